"""An error is answered only when nothing of the hash can settle, and a success is never taken back.

Rows that somebody deletes, a sender beside us, an order that waits in the host, clocks that are set, a host that
lacks a command: the real plugin, in the world of box/host.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.liars import Liar, Lie
from tests.support.box.host import Host, hosting
from tests.support.box.narrow import SPLIT_MSAT, narrow
from tests.support.box.restarts import (
    AMOUNT_MSAT,
    OPTIONS,
    journal,
    kill_plugin,
    left_in_a_hook,
    over,
    restart_node,
    start_plugin,
)
from tests.support.box.rows import complete, delete
from tests.support.box.stepped_clock import SteppedClock
from tests.support.waiting import PATIENCE_S, until


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(Path(tmp_path_factory.mktemp("host")), **OPTIONS) as host:
        yield host


@pytest.fixture
def split_host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path, build=narrow, **OPTIONS) as host:
        yield host


def without_warning(answer: dict[str, Any]) -> dict[str, Any]:
    """At the first preimage other parts may still be out."""
    return {key: value for key, value in answer.items() if not key.startswith("warning")}


# --- a success stays one ----------------------------------------------------------------------------------


def test_rows_of_a_paid_invoice_are_deleted_one_after_the_other(split_host: Host) -> None:
    """autoclean deletes by age, part by part: as long as the plugin remembers, the answer is the first one."""
    host = split_host
    made = host.invoice(amount_msat=SPLIT_MSAT)
    answer = without_warning(host.pay(made).ok())
    rows = complete(host, made)
    over(host)
    assert len(rows) == 2
    for row in rows:
        delete(host, made, row)
        assert host.pay(made).ok() == answer
    assert host.rows(made) == []


@pytest.mark.parametrize("gone", [0, 1])
def test_one_row_is_left_of_it_after_a_restart(split_host: Host, gone: int) -> None:
    """Nobody remembers, and the row that is left shows less than the invoice: it has the preimage."""
    host = split_host
    made = host.invoice(amount_msat=SPLIT_MSAT)
    answer = host.pay(made).ok()
    delete(host, made, complete(host, made)[gone])
    over(host)
    kill_plugin(host)
    start_plugin(host)
    again = host.pay(made).ok()
    same = ("payment_preimage", "payment_hash", "amount_msat", "destination", "status")
    assert [again[key] for key in same] == [answer[key] for key in same]
    assert again["amount_sent_msat"] >= again["amount_msat"]
    assert host.pay(made, partial_msat=1000).code == 201


@pytest.mark.parametrize("gone", [0, 1])
def test_the_total_that_the_caller_chose_is_kept(split_host: Host, gone: int) -> None:
    """Of an invoice without an amount only the plugin knows what its parts came to: also after a restart."""
    host = split_host
    made = host.invoice(amount_msat=None)
    answer = host.pay(made, amount_msat=SPLIT_MSAT).ok()
    rows = complete(host, made)
    over(host)
    delete(host, made, rows[gone])
    until(lambda: host.call("listdatastore", {"key": ["pay", "paid"]}).ok()["datastore"])
    restart_node(host)
    assert host.pay(made, amount_msat=SPLIT_MSAT).ok()["payment_preimage"] == answer["payment_preimage"]
    for other in (SPLIT_MSAT + 1, SPLIT_MSAT - 1, rows[1 - gone]["amount_msat"]):
        assert host.pay(made, amount_msat=other).code == 201


def test_a_part_of_a_chosen_amount_failed_after_the_preimage(split_host: Host) -> None:
    """Less than was asked for is settled: it is paid all the same, remembered or not."""
    host = split_host
    made = host.invoice(amount_msat=None)
    host.pay(made, amount_msat=SPLIT_MSAT).ok()
    complete(host, made)
    over(host)
    table = host.node.db
    last = table.payments()[-1]
    host.world(lambda _: table.fail(last, None, None, last.created_at))
    for restarted in (False, True):
        if restarted:
            restart_node(host)
        again = host.pay(made, amount_msat=SPLIT_MSAT).ok()
        assert (again["amount_msat"], "warning_partial_completion" in again) == (SPLIT_MSAT, True)


def test_paid_with_a_part_out_whose_settled_row_is_deleted(split_host: Host) -> None:
    """The call is answered with the preimage of one part; the other part hangs: its row alone looks unpaid."""
    host = split_host
    made = host.invoice(amount_msat=SPLIT_MSAT, hold=True)
    pending = host.pay_soon(made)
    host.until(lambda: len(made.parts) == 2)

    def settle_one(_: Any) -> None:
        made.parts.pop(0).settle(made.preimage)

    host.world(settle_one)
    answer = pending.answer().ok()
    (row,) = [row for row in host.rows(made) if row["status"] == "complete"]
    delete(host, made, row)
    mark = host.mark()
    again = host.pay(made).ok()
    assert again == answer and "warning_partial_completion" in again
    assert host.sendpays(mark) == []
    host.world(settle_one)
    until(lambda: "warning_partial_completion" not in host.pay(made).ok())
    assert host.pay(made).ok() == without_warning(answer)


def test_a_wrong_call_stays_one_for_a_paid_invoice(host: Host) -> None:
    """What the invoice itself refutes is refused before anything else; what time and limits refuse is not."""
    made = host.invoice()
    answer = host.pay(made).ok()
    mark = host.mark()
    for wrong in ({"amount_msat": AMOUNT_MSAT}, {"amount_msat": 1}, {"partial_msat": AMOUNT_MSAT + 1}):
        assert host.pay(made, **wrong).code == -32602
    assert host.methods(mark) == ["decode"] * 3
    assert host.pay(made, maxfee=0, maxdelay=1, exclude=[host.id("far").hex()]).ok() == answer


# --- somebody else beside us ------------------------------------------------------------------------------


def test_another_sender_goes_on_while_we_have_no_way(host: Host) -> None:
    """Between two of its tries nothing is out; with our limits nothing can be paid. Its next part settles."""
    made = host.invoice(hold=True)
    other = host.other_sender(made, groupid=7)
    other.send()
    host.until(lambda: made.parts)
    mark, calls = host.log_mark(), host.mark()
    pending = host.pay_soon(made, maxfee=0)
    host.log("watched=True", mark)
    host.world(lambda _: setattr(made, "hold", False))
    host.give_back(made)
    host.log("payment_failed", mark)
    host.log("code=206", mark)
    other.send()
    assert other.outcome() == "complete"
    assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()
    assert host.sendpays(calls) == []


def test_another_sender_is_kept_out_by_ours(host: Host) -> None:
    """What it had out failed, and our own payment begins: the host takes one group, its next part is refused."""
    made = host.invoice(hold=True)
    other = host.other_sender(made, groupid=7)
    other.send()
    host.until(lambda: made.parts)
    mark = host.log_mark()
    pending = host.pay_soon(made)
    host.log("watched=True", mark)
    host.give_back(made)
    host.until(lambda: made.parts)
    with pytest.raises(RpcError, match="in progress"):
        other.send()
    host.release(made)
    assert pending.answer().ok()["parts"] == 1
    assert made.received_msat == AMOUNT_MSAT


def test_what_is_paid_after_all_is_said_aloud(tmp_path: Path) -> None:
    """The order stays in the hook for longer than anybody waits: an unusual line, and a notification."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = left_in_a_hook(host)
        start_plugin(host)
        mark = host.log_mark()
        assert host.pay(made, maxfee=0).code == 206
        assert host.let_go("sendpay") == 1
        host.settled(made)
        (line,) = host.until(lambda: host.lines("payment_paid_after_error", mark))
        assert "UNUSUAL" in line or "unusual" in line
        assert host.pay(made).ok()["payment_preimage"] == made.preimage.hex()


def test_a_row_deleted_while_we_were_away(tmp_path: Path) -> None:
    """The part ended and its row was deleted while the plugin was down: whether it was paid nobody knows."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        until(lambda: any(json.loads(entry["string"])["accepted"] for entry in journal(host)))
        kill_plugin(host)
        host.release(made)
        host.settled(made)
        delete(host, made, host.rows(made)[0])
        start_plugin(host)
        mark = host.log_mark()
        calls = host.mark()
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        (entry,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
        assert "is not known here" in entry["attempts"][0]["outcome_unknown"]
        looks = host.mark()
        host.until(lambda: host.methods(looks).count("listsendpays") >= 3)
        assert not pending.answered and host.sendpays(calls) == []


# --- clocks -----------------------------------------------------------------------------------------------


def test_a_clock_that_was_ahead_at_boot_makes_no_orphans(tmp_path: Path) -> None:
    """The host starts an hour ahead; the clock is set right: a part sent now seems older than the host."""
    clock = SteppedClock(tmp_path, 3600.0)
    with hosting(tmp_path, environment=clock.environment, **OPTIONS) as host:
        clock.step_host(host.box, 3600.0)
        restart_node(host)
        clock.step(host.box, -3600.0)
        made = host.invoice(hold=True)
        # The host took the part and its HTLC is late.
        host.node.faults.commitment_delay_s = 1.5
        pending = host.pay_soon(made)
        looks = host.mark()
        host.until(lambda: host.methods(looks).count("listsendpays") >= 4)
        assert not pending.answered and not host.lines("orphaned_parts")
        host.until(lambda: made.parts)
        host.release(made)
        assert pending.answer().ok()["status"] == "complete"


def test_an_orphan_from_a_clock_that_was_ahead(tmp_path: Path) -> None:
    """Its row is dated after the start of the host that is asked: it is an orphan all the same, in the end."""
    clock = SteppedClock(tmp_path)
    with hosting(tmp_path, environment=clock.environment, **OPTIONS) as host:
        clock.step(host.box, 3000.0)
        made = host.invoice()
        host.node.faults.no_commitment = True
        mark = host.log_mark()
        host.pay_soon(made)
        host.log("AttemptAccepted", mark)
        host.box.kill()
        host.node.faults.no_commitment = False
        clock.step(host.box, -3000.0)
        clock.host_starts()
        mark = host.log_mark()
        host.box.restart()
        host.log("started version=", mark)
        answer = host.pay(made)
        assert answer.error is not None
        assert (answer.code, answer.error["data"]["reason"]) == (-1, "orphaned_part")


def test_a_clock_set_back_makes_no_wait_longer(tmp_path: Path) -> None:
    """The recipient claims a block that never comes; meanwhile somebody sets the clock back by an hour."""
    clock = SteppedClock(tmp_path)
    with hosting(tmp_path, environment=clock.environment, **OPTIONS) as host:
        made = host.invoice()
        ahead = Liar([Lie(FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS, height=10**6)])
        with host.misbehaving("far", liar=ahead):
            mark = host.log_mark()
            pending = host.pay_soon(made, retry_for=5)
            host.log("WaitHeight", mark)
            clock.step(host.box, -3600.0)
            began = time.monotonic()
            assert pending.answer().code == 210
            assert time.monotonic() - began < PATIENCE_S, "no hour"


# --- a host that lacks something --------------------------------------------------------------------------


def test_no_decode(host: Host) -> None:
    """disable-plugin=offers: said at once; what the node's table has of the invoice is the answer all the same."""
    paid, new = host.invoice(), host.invoice()
    answer = host.pay(paid).ok()
    held = host.invoice(hold=True)
    pending = host.pay_held(held)
    mark = host.mark()
    with host.faults(missing={"decode"}, only_plugin=False):
        refused = host.pay(new)
        assert refused.code == -1
        assert "`decode`" in refused.error["message"] and "nothing was sent" in refused.error["message"]
        again = host.pay(paid).ok()
        assert again == answer
        waiting = host.pay_soon(held)
        host.until(lambda: host.methods(mark).count("listsendpays") >= 3)
        assert not waiting.answered
        assert host.pay("lnbc1nonsense").code == -1
        host.release(held)
        assert waiting.answer().ok()["payment_preimage"] == held.preimage.hex()
    assert pending.answer().ok()
