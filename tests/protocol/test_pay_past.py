"""One hash, many senders: callers that join, payments of others, answers that were lost, and repeats."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pay.sim.failures import FailCode, failure
from pay.sim.invoices import SimInvoice, fail_parts
from tests.protocol.kit import SAT, UNKNOWN_DETAILS, Host, Pending, hosting

AMOUNT_MSAT = 100_000 * SAT


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(
        Path(tmp_path_factory.mktemp("host")), developer=True, options={"pay-dev-reconcile-ms": 300}
    ) as host:
        yield host


def fail_held(host: Host, made: SimInvoice) -> None:
    """The recipient gives back what it holds and would take it again: another way may be tried."""
    message = failure(FailCode.TEMPORARY_NODE_FAILURE)
    host.world(lambda _: fail_parts(made, lambda _: message))


def asked(host: Host, mark: int, times: int) -> None:
    """Wait until the plugin has looked at the past so often."""
    host.until(lambda: host.methods(mark).count("decode") >= times)


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
    assert "being paid" in text and "70000msat" in text and "500 blocks" in text
    assert not first.answered
    host.release(made)
    assert second.result(10) == first.answer().ok()
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
    """The answer is that it failed; another call may then pay, in a new group."""
    made = host.invoice(hold=True)
    foreign(host, made)
    mark = host.mark()
    pending = watching(host, made)
    fail_held(host, made)
    answer = pending.answer()
    assert answer.code == 210
    assert host.sendpays(mark) == []
    host.world(lambda _: setattr(made, "hold", False))
    assert host.pay(made).ok()["parts"] == 1
    assert [(row["groupid"], row["status"]) for row in host.rows(made)] == [(7, "failed"), (8, "complete")]


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
    host.log("watched_over", mark)
    host.until(lambda: host.lines("watched=True", mark))
    assert not pending.answered
    host.send_by_hand(made, part_msat=40_000 * SAT, partid=3)
    host.until(lambda: len(made.parts) == 2)
    host.release(made)
    assert pending.answer().ok()["amount_msat"] == AMOUNT_MSAT


def test_foreign_group_and_an_amount(host: Host) -> None:
    """What the other sender's parts will come to is unknown: an amount of ours cannot be compared."""
    made = host.invoice(amount_msat=None, hold=True)
    foreign(host, made, amount_msat=AMOUNT_MSAT)
    assert host.pay(made, amount_msat=AMOUNT_MSAT).code == 201
    pending = watching(host, made)
    assert host.pay(made, amount_msat=AMOUNT_MSAT).code == 201
    host.release(made)
    assert pending.answer().ok()["amount_msat"] == AMOUNT_MSAT


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
    assert host.methods(mark) == ["decode", "listsendpays"]


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
    fail_held(host, made)
    # Nothing is out any more, and what it waited for has failed.
    assert pending.answer().code == 210
    assert host.pay(expired).code == 207


# --- answers that were lost -------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hang_up", "garbage"])
def test_answer_of_sendpay_is_lost(host: Host, fault: str) -> None:
    """It is repeated to the letter; the host takes it once."""
    made = host.invoice(hold=True)
    mark = host.mark()
    with host.faults(**{fault: {"sendpay"}}):
        pending = host.pay_soon(made)
        host.until(lambda: len(host.sendpays(mark)) >= 2)
    sent = host.sendpays(mark)
    assert all(call == sent[0] for call in sent)
    assert not pending.answered
    host.release(made)
    assert pending.answer().ok()["parts"] == 1
    assert len(host.rows(made)) == 1


@pytest.mark.parametrize("end", ["settled", "refused"])
def test_answer_is_lost_and_it_ends(host: Host, end: str) -> None:
    """The outcome is known before `sendpay` is ever answered: that is the answer, and the repeats end."""
    made = host.invoice()
    if end == "refused":
        host.cancel(made)
    log_mark = host.log_mark()
    with host.faults(hang_up={"sendpay"}):
        answer = host.pay(made)
    assert answer.code == (None if end == "settled" else 203)
    host.log("sendpay_unanswered", log_mark)
    mark = host.mark()
    assert host.pay(host.invoice()).ok()
    assert sum(call["payment_hash"] == made.payment_hash.hex() for call in host.sendpays(mark)) <= 1
    assert len(host.rows(made)) == 1


def test_outcome_before_the_answer(host: Host) -> None:
    """lightningd may tell the outcome first."""
    with host.faults(early_outcomes=True):
        made = host.invoice()
        assert host.pay(made).ok()["parts"] == 1
        refused = host.invoice()
        host.cancel(refused)
        assert host.pay(refused).code == 203


def test_answer_never_comes(tmp_path: Path) -> None:
    """A host that takes a part and never says so: after the time for an answer it is repeated."""
    options = {"pay-dev-answer-ms": 200, "pay-dev-reconcile-ms": 100}
    with hosting(tmp_path, developer=True, options=options) as host:
        made = host.invoice()
        mark = host.mark()
        with host.faults(ignore={"sendpay"}):
            pending = host.pay_soon(made)
            host.until(lambda: len(host.sendpays(mark)) >= 2)
            assert not pending.answered
        assert pending.answer().ok()["parts"] == 1
        held = host.invoice(hold=True)
        with host.faults(hang={"sendpay"}):
            pending = host.pay_held(held)
            host.release(held)
            assert pending.answer().ok()["parts"] == 1


# --- notifications ----------------------------------------------------------------------------------------


def test_notifications_twice(host: Host) -> None:
    with host.faults(double={"*"}), host.misbehaving("far", fail_code=0x2000 | 2, fail_times=1):
        made = host.invoice()
        assert host.pay(made).ok()["parts"] == 2
        assert [row["status"] for row in host.rows(made)] == ["failed", "complete"]


def test_success_is_not_told(host: Host) -> None:
    """It is found in the host's table."""
    with host.faults(drop={"sendpay_success"}):
        made = host.invoice()
        assert host.pay(made).ok()["payment_preimage"] == made.preimage.hex()


def test_failure_is_not_told(host: Host) -> None:
    """The reason is lost with it: another way is tried."""
    with host.faults(drop={"sendpay_failure"}), host.misbehaving("hub", fail_code=0x2000 | 2):
        made = host.invoice()
        assert host.pay(made).ok()["parts"] == 2


def test_refusal_is_not_told(host: Host) -> None:
    """Without its reason every way is tried once; then there is no route: 205, not a verdict of the recipient."""
    made = host.invoice()
    host.cancel(made)
    with host.faults(drop={"sendpay_failure"}):
        answer = host.pay(made)
    assert answer.code == 205
    assert answer.error is not None
    assert answer.error["sendpay_tries"] == 2


def test_late_failure_of_a_part_that_was_found_failed(host: Host) -> None:
    """The table told it first: the notification that comes later does not count again."""
    made = host.invoice(hold=True)
    with host.faults(late_s={"sendpay_failure": 0.4}), host.misbehaving("hub", fail_code=0x2000 | 2):
        pending = host.pay_held(made)
        mark = host.log_mark()
        host.log("AttemptFailed partid=1", mark)
    host.release(made)
    assert pending.answer().ok()["parts"] == 2


# --- the host has trouble ---------------------------------------------------------------------------------


def test_past_cannot_be_seen(host: Host) -> None:
    """No answer while the table cannot be read, whatever the invoice would deserve; then the true one."""
    paid = host.invoice()
    answer = host.pay(paid).ok()
    mark, log_mark = host.mark(), host.log_mark()
    with host.faults(errors={"listsendpays": (-1, "database is locked")}):
        again = host.pay_soon(paid)
        new = host.pay_soon(host.invoice())
        host.until(lambda: host.methods(mark).count("listsendpays") >= 4)
        assert not again.answered and not new.answered
        assert not {"preapproveinvoice", "sendpay"} & set(host.methods(mark))
        assert host.lines("host_trouble method=listsendpays", log_mark)
    assert again.answer().ok() == answer
    assert new.answer().ok()["status"] == "complete"


def test_search_for_lost_news_survives_trouble(host: Host) -> None:
    """The success is not told and the table cannot be read for a while: it is found all the same."""
    made = host.invoice(hold=True)
    pending = host.pay_held(made)
    mark = host.mark()
    with host.faults(drop={"sendpay_success"}, errors={"listsendpays": (-1, "database is locked")}):
        host.release(made)
        host.until(lambda: host.methods(mark).count("listsendpays") >= 2)
    assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()


def test_invoice_cannot_be_read(host: Host) -> None:
    """The host's reader of invoices is away for a while: that is nobody's bad parameter."""
    made = host.invoice()
    mark = host.mark()
    with host.faults(errors={"decode": (-4, "Plugin terminated before replying to RPC call.")}):
        pending = host.pay_soon(made)
        asked(host, mark, 2)
        assert not pending.answered
    assert pending.answer().ok()


@pytest.mark.parametrize(
    ("fault", "method"),
    [
        *product(("hang_up", "garbage"), ("decode", "listsendpays", "preapproveinvoice", "listpeerchannels")),
        *product(("empty",), ("decode", "listsendpays")),
    ],
)
def test_answers_are_lost(host: Host, method: str, fault: str) -> None:
    """Whatever is asked before the part is asked again; an answer without its fields is none either."""
    mark = host.mark()
    with host.faults(**{fault: {method}}):
        pending = host.pay_soon(host.invoice())
        host.until(lambda: host.methods(mark).count(method) >= 2)
        assert not pending.answered
    assert pending.answer().ok()["status"] == "complete"
    assert len(host.sendpays(mark)) == 1


def test_socket_refuses(host: Host) -> None:
    """Nobody listens for a while, then somebody does."""

    async def listen(on: bool) -> None:
        if on:
            await host.node._server.start()
        else:
            host.node._server.stop_listening()
            for connection in list(host.node._server._connections):
                if connection.peer_pid == host.pid:
                    connection.close()

    made = host.invoice()
    waiting = host.invoice(hold=True)
    pending = host.pay_held(waiting)
    mark = host.log_mark()
    # The caller is connected before the door shuts.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        known = set(host.node._server._connections)
        caller.connect(f"{host.directory}/lightning-rpc")
        host.until(lambda: set(host.node._server._connections) - known)
        host.box.run(listen(False))
        call = {"jsonrpc": "2.0", "id": "x", "method": "pay", "params": [made.bolt11]}
        caller.sendall(json.dumps(call).encode())
        host.log("host_unanswered", mark)
        host.release(waiting)
        assert pending.future.result(10).ok()
        host.box.run(listen(True))
        caller.settimeout(20)
        answer = json.loads(caller.recv(1 << 16))
    assert answer["result"]["status"] == "complete"


# --- held invoices ----------------------------------------------------------------------------------------


def test_held_beyond_retry_for(host: Host) -> None:
    """retry_for ends new attempts, not the waiting: the answer is the outcome."""
    made, refused = host.invoice(hold=True), host.invoice(hold=True)
    mark = host.log_mark()
    pending, other = host.pay_held(made, retry_for=0), host.pay_held(refused, retry_for=0)
    host.until(lambda: len(host.lines("TimerFired", mark)) == 2)
    assert not pending.answered and not other.answered
    (shown,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
    (attempt,) = shown["attempts"]
    assert (shown["session_status"], shown["no_new_parts"]) == ("Inflight", "retry_for is over")
    assert attempt["probably_at"]["reason"].startswith("after the first hop")
    out = host.call("listpeerchannels").ok()["channels"]
    (expiry,) = {h["expiry"] for c in out for h in c["htlcs"] if h["payment_hash"] == made.payment_hash.hex()}
    assert attempt["must_resolve"]["height"] == expiry
    host.release(made)
    assert pending.answer().ok()["status"] == "complete"
    host.cancel(refused)
    assert other.answer().code == 203


def test_where_a_part_is_stuck(host: Host) -> None:
    """Gossip has the second channel as disabled since; without the list of HTLCs nothing is said of it."""
    made = host.invoice(hold=True)
    pending = host.pay_held(made)
    hub = host.id("hub")
    channel = host.channel("hub", "far")
    policy = channel.policies[channel.side(hub)]
    host.world(lambda world: world.set_policy(channel, hub, replace(policy, enabled=False)))
    (attempt,) = host.call("paystatus", [made.bolt11]).ok()["pay"][0]["attempts"]
    place = attempt["probably_at"]
    assert (place["hop"], place["alias"], place["channel"]) == (1, "hub", host.scid("hub", "far"))
    with host.faults(errors={"listpeerchannels": (-1, "no")}):
        (attempt,) = host.call("paystatus", [made.bolt11]).ok()["pay"][0]["attempts"]
    assert "probably_at" not in attempt and attempt["must_resolve"]["blocks_left"] > 0
    host.world(lambda world: world.set_policy(channel, hub, policy))
    host.release(made)
    assert pending.answer().ok()


def test_held_and_failed_beyond_retry_for(host: Host) -> None:
    """After its time no new attempt is made."""
    made = host.invoice(hold=True)
    mark = host.mark()
    pending = host.pay_held(made, retry_for=0)
    fail_held(host, made)
    assert pending.answer().code == 210
    assert len(host.sendpays(mark)) == 1


def test_recipient_is_a_block_ahead(host: Host) -> None:
    """It refuses what would expire too soon for it: we wait for its block and try again."""
    made = host.invoice()
    far = host.box.world.nodes[host.id("far")]
    host.world(lambda _: setattr(far, "extra_height", 2))
    mark = host.log_mark()
    # The blocks of a shadow would do as well.
    with host.option("pay-shadow", "off"):
        pending = host.pay_soon(made)
        host.log("waiting for it", mark) if host.lines("waiting for it", mark) else host.log("WaitHeight", mark)
        host.world(lambda _: setattr(far, "extra_height", 0))
        host.world(lambda world: world.mine(2))
        answer = pending.answer().ok()
    assert answer["parts"] == 2
    assert host_failcode(host, made) == UNKNOWN_DETAILS


def host_failcode(host: Host, made: SimInvoice) -> int:
    """Of the first part, as the host kept it."""
    row = host.rows(made)[0]
    assert row["status"] == "failed"
    error = host.call("waitsendpay", {"payment_hash": row["payment_hash"], "partid": 1, "groupid": 1}).error
    assert error is not None
    return int(error["data"]["failcode"])
