"""One hash, many senders: callers that join, payments of others, and repeats."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.network.encoding.failures import FailCode, failure
from pay.sim.network.invoices import SimInvoice
from tests.support.box.host import SAT, Host, Pending, hosting
from tests.support.waiting import result_of, until

AMOUNT_MSAT = 100_000 * SAT


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(
        Path(tmp_path_factory.mktemp("host")), developer=True, options={"pay-dev-reconcile-ms": 300}
    ) as host:
        yield host


# --- joining a payment of ours ----------------------------------------------------------------------------


def test_two_callers_one_payment(host: Host) -> None:
    """The second is told with whose limits it runs; both get the one answer; one part was sent."""
    made = host.invoice(hold=True)
    mark = host.mark()
    first = host.pay_held(made, maxfee=70_000, maxdelay=500)
    messages: list[dict[str, Any]] = []
    second = host.box.submit(host.node.call("pay", {"bolt11": made.bolt11}, messages.append))
    host.until(lambda: messages)
    text = messages[0]["params"]["message"]
    assert "Already being paid" in text and "fee 70 sat, delay 500 blocks" in text
    assert not first.answered
    host.release(made)
    assert result_of(second) == first.answer().ok()
    assert len(host.sendpays(mark)) == 1


def test_both_callers_read_the_failure(host: Host) -> None:
    made = host.invoice(hold=True)
    first = host.pay_held(made)
    mark = host.log_mark()
    second = host.pay_soon(made)
    host.log("payment_attached", mark)
    host.cancel(made)
    assert first.answer().code == second.answer().code == 203
    assert first.answer().error == second.answer().error


def test_called_at_the_same_moment(host: Host) -> None:
    """Ten calls before the first has an answer to anything: one payment."""
    made = host.invoice(hold=True)
    mark, log_mark = host.mark(), host.log_mark()
    calls = [host.pay_soon(made) for _ in range(10)]
    host.until(lambda: len(host.lines("payment_attached", log_mark)) == 9)
    host.release(made)
    answers = [call.answer().ok() for call in calls]
    assert all(answer == answers[0] for answer in answers)
    assert len(host.sendpays(mark)) == 1


@pytest.mark.parametrize(
    ("amount_msat", "first", "second"),
    [
        (None, {"amount_msat": 5000}, {"amount_msat": 6000}),
        (AMOUNT_MSAT, {}, {"partial_msat": 5000}),
        (AMOUNT_MSAT, {"partial_msat": AMOUNT_MSAT // 2}, {}),
    ],
)
def test_joining_with_another_amount(
    host: Host, amount_msat: int | None, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """The running payment is not what the second caller means."""
    made = host.invoice(amount_msat=amount_msat, hold=True)
    pending = host.pay_held(made, **first)
    assert host.pay(made, **second).code == 201
    host.cancel(made)
    assert pending.answer().code == 203


def test_two_payments_at_once(host: Host) -> None:
    """A payment that hangs delays no other."""
    slow, quick = host.invoice(hold=True), host.invoice()
    pending = host.pay_held(slow)
    assert host.pay(quick).ok()["status"] == "complete"
    assert not pending.answered
    host.release(slow)
    assert pending.answer().ok()["payment_hash"] == slow.payment_hash.hex()


def test_caller_goes_away(host: Host) -> None:
    """The payment goes on, others may join it, and the repeat gets its answer."""
    made = host.invoice(hold=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.connect(f"{host.directory}/lightning-rpc")
        call = {"jsonrpc": "2.0", "id": "gone", "method": "pay", "params": [made.bolt11]}
        caller.sendall(json.dumps(call).encode())
        host.until(lambda: made.parts)
    mark = host.log_mark()
    joined = host.pay_soon(made)
    host.log("payment_attached", mark)
    host.release(made)
    answer = joined.answer().ok()
    assert answer["payment_preimage"] == made.preimage.hex()
    assert host.pay(made).ok() == answer


def test_seen_while_the_node_approves(host: Host) -> None:
    """Callers take a payment that is in no list for one that never was: it is there from the first moment on."""
    made = host.invoice()
    asked = {"payment_hash": made.payment_hash.hex()}
    with host.faults(delay_s={"preapproveinvoice": 0.5}):
        mark = host.mark()
        pending = host.pay_soon(made, label="mine")
        host.until(lambda: "preapproveinvoice" in host.methods(mark))
        (pay,) = host.call("listpays", asked).ok()["pays"]
        (entry,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
        assert (pay["status"], pay["label"], pay["bolt11"]) == ("pending", "mine", made.bolt11)
        assert (entry["session_status"], entry["attempts"]) == ("Created", [])
        assert pending.answer().ok()
    with host.faults(decline_preapproval=True):
        assert host.pay(declined := host.invoice()).code == 213
    assert host.call("listpays", {"payment_hash": declined.payment_hash.hex()}).ok() == {"pays": []}
    assert host.call("paystatus", [declined.bolt11]).ok() == {"pay": []}


# --- somebody else's payment ------------------------------------------------------------------------------


def foreign(host: Host, made: SimInvoice, **more: Any) -> None:
    """Somebody else's part, held by the recipient."""
    parts = len(made.parts)
    host.send_by_hand(made, **more)
    host.until(lambda: len(made.parts) > parts)


def watching(host: Host, made: SimInvoice, **params: Any) -> Pending:
    """A call that found somebody else's parts and waits for them."""
    mark = host.log_mark()
    pending = host.pay_soon(made, **params)
    host.until(lambda: host.lines("watched=True", mark) or pending.answered)
    assert not pending.answered, pending.answer()
    return pending


def shown(host: Host, made: SimInvoice) -> list[tuple[str, list[str]]]:
    """What paystatus says of it, and of each attempt."""
    entries = host.call("paystatus", [made.bolt11]).ok()["pay"]
    return [(entry["session_status"], [part["status"] for part in entry["attempts"]]) for entry in entries]


def test_foreign_payment_succeeds(host: Host) -> None:
    """Nothing of ours is sent; the answer is of what the other sender did."""
    made = host.invoice(hold=True)
    foreign(host, made)
    mark = host.mark()
    pending = watching(host, made)
    host.release(made)
    answer = pending.answer().ok()
    assert (answer["amount_msat"], answer["amount_sent_msat"]) == (AMOUNT_MSAT, AMOUNT_MSAT + 11 * SAT)
    assert answer["payment_preimage"] == made.preimage.hex()
    assert host.sendpays(mark) == []
    assert host.pay(made).ok() == answer


def test_foreign_payment_fails(host: Host) -> None:
    """No error: the call asked for a payment, so now it is made, in a group of its own."""
    made = host.invoice(hold=True)
    foreign(host, made)
    mark = host.mark()
    pending = watching(host, made)
    assert host.sendpays(mark) == []
    host.give_back(made)
    host.until(lambda: made.parts)
    host.release(made)
    assert pending.answer().ok()["parts"] == 1
    assert [(row["groupid"], row["status"]) for row in host.rows(made)] == [(7, "failed"), (8, "complete")]


def test_a_part_of_a_group_that_had_failed(host: Host) -> None:
    """What another sender has out is shown with what it tried before, while nobody waits for it."""
    made = host.invoice(hold=True)
    foreign(host, made)
    host.give_back(made)
    until(lambda: shown(host, made) == [("Failed", ["Failed"])])
    foreign(host, made, groupid=7, partid=2)
    assert shown(host, made) == [("Inflight", ["Failed", "Inflight"])]
    host.give_back(made)
    until(lambda: shown(host, made) == [("Failed", ["Failed", "Failed"])])


def test_foreign_sender_adds_parts(host: Host) -> None:
    """What was seen first was half of it: the answer counts all that was sent."""
    made = host.invoice(hold=True)
    foreign(host, made, part_msat=60_000 * SAT)
    pending = watching(host, made)
    foreign(host, made, part_msat=40_000 * SAT, partid=2)
    host.release(made)
    answer = pending.answer().ok()
    assert answer["amount_sent_msat"] == AMOUNT_MSAT + (7 + 5) * SAT
    assert answer["parts"] == 2
    assert host.pay(made).ok().items() >= {**answer, "payment_hash": made.payment_hash.hex()}.items()


def test_foreign_sender_tries_again(host: Host) -> None:
    """Its first part fails, but it has sent another one: no error while that may settle."""
    made = host.invoice(hold=True)
    foreign(host, made, part_msat=60_000 * SAT)
    pending = watching(host, made)
    first = list(made.parts)
    foreign(host, made, part_msat=60_000 * SAT, partid=2)
    message = failure(FailCode.TEMPORARY_NODE_FAILURE)

    def give_back(_: Any) -> None:
        made.parts[:] = [part for part in made.parts if part not in first]
        for part in first:
            part.fail(message)

    mark = host.log_mark()
    host.world(give_back)
    host.log("payment_failed", mark)
    host.until(lambda: host.lines("watched=True", mark))
    assert not pending.answered
    host.send_by_hand(made, part_msat=40_000 * SAT, partid=3)
    host.until(lambda: len(made.parts) == 2)
    host.release(made)
    assert pending.answer().ok()["amount_msat"] == AMOUNT_MSAT


def test_foreign_group_and_an_amount(host: Host) -> None:
    """What the other sender's parts will come to is unknown until they have: 201 needs certainty."""
    made = host.invoice(amount_msat=None, hold=True)
    foreign(host, made, amount_msat=AMOUNT_MSAT)
    assert host.pay(made, amount_msat=AMOUNT_MSAT - 1).code == 201
    pending = watching(host, made, amount_msat=AMOUNT_MSAT)
    mark = host.log_mark()
    more = host.pay_soon(made, amount_msat=AMOUNT_MSAT + 1)
    none = host.pay_soon(made)
    host.until(lambda: len(host.lines("payment_attached", mark)) == 2)
    assert host.pay(made, amount_msat=AMOUNT_MSAT - 1).code == 201
    host.release(made)
    assert pending.answer().ok()["amount_msat"] == none.answer().ok()["amount_msat"] == AMOUNT_MSAT
    # Of what another sender paid it is not certain that there was no more: the answer is the amount that is known.
    assert more.answer().ok()["amount_msat"] == AMOUNT_MSAT


def test_foreign_payment_was_complete(host: Host) -> None:
    """Paid before by another sender: the same object as any repeat, with his figures."""
    made = host.invoice()
    host.send_by_hand(made)
    host.settled(made)
    mark = host.mark()
    answer = host.pay(made).ok()
    row = host.rows(made)[0]
    assert (answer["amount_sent_msat"], answer["created_at"]) == (row["amount_sent_msat"], row["created_at"])
    assert (answer["amount_msat"], answer["parts"]) == (AMOUNT_MSAT, 1)
    # Our channels may be looked at for a plan that is not needed then.
    assert [method for method in host.methods(mark) if method != "listpeerchannels"] == ["decode", "listsendpays"]


def test_foreign_sender_is_quicker(host: Host) -> None:
    """It starts between our look and our part: the host says 200, and we wait for its outcome."""
    made = host.invoice(hold=True)
    with host.faults(delay_s={"preapproveinvoice": 0.2}):
        mark = host.mark()
        pending = host.pay_soon(made)
        host.until(lambda: "preapproveinvoice" in host.methods(mark))
        foreign(host, made)
        host.until(lambda: host.lines("payment_elsewhere payment_hash=" + made.payment_hash.hex()))
    assert not pending.answered
    host.release(made)
    answer = pending.answer().ok()
    assert answer["amount_sent_msat"] == host.rows(made)[0]["amount_sent_msat"]
    assert [row["groupid"] for row in host.rows(made)] == [7]


@pytest.mark.parametrize("groupid", [1, 7])
def test_foreign_sender_is_done_before_us(host: Host, groupid: int) -> None:
    """It is paid when our part reaches the host: its figures are the answer, whatever number its group has."""
    made = host.invoice()
    # Another fee than ours, as another sender's would be.
    with host.faults(delay_s={"preapproveinvoice": 0.2}):
        mark = host.mark()
        pending = host.pay_soon(made, exclude=[host.scid("us", "hub")])
        host.until(lambda: "preapproveinvoice" in host.methods(mark))
        host.send_by_hand(made, groupid=groupid)
        host.settled(made)
    answer = pending.answer().ok()
    (row,) = host.rows(made)
    assert answer["amount_sent_msat"] == row["amount_sent_msat"] == AMOUNT_MSAT + 11 * SAT
    assert host.pay(made).ok() == answer


def test_foreign_part_under_our_number(host: Host) -> None:
    """Its part has our group and part number and is out: it is watched as what it is, not as our part."""
    made = host.invoice(hold=True)
    with host.faults(delay_s={"preapproveinvoice": 0.2}):
        mark = host.mark()
        pending = host.pay_soon(made, exclude=[host.scid("us", "hub")])
        host.until(lambda: "preapproveinvoice" in host.methods(mark))
        foreign(host, made, groupid=1)
        host.until(lambda: host.lines("payment_elsewhere payment_hash=" + made.payment_hash.hex()))
    host.release(made)
    assert pending.answer().ok()["amount_sent_msat"] == AMOUNT_MSAT + 11 * SAT
    assert len(host.rows(made)) == 1


def test_foreign_payment_of_an_expired_invoice(host: Host) -> None:
    """Expired is said only of what cannot be paid any more: here an HTLC is out."""
    made = host.invoice(hold=True)
    foreign(host, made)
    host.world(lambda _: setattr(made, "_text", None))
    host.world(lambda _: setattr(made, "created_at", made.created_at - 7200))
    expired = made.bolt11
    mark = host.log_mark()
    pending = host.pay_soon(expired)
    host.until(lambda: host.lines("watched=True", mark) or pending.answered)
    assert not pending.answered
    host.give_back(made)
    # Nothing is out any more, and what it waited for has failed: now it is said.
    assert pending.answer().code == 207
    assert host.pay(expired).code == 207
