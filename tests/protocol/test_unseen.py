"""What comes from where it is not seen: other senders that begin while nothing of ours is out, orders in a queue.

Each was answered wrongly once: an error although the invoice was paid, or more sent than was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.network.clock import RealClock
from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.liars import Liar, Lie
from pay.sim.network.world import World
from pay.units import NodeId
from tests.support.box.host import CHEAP, DEAR, SAT, Host, hosting
from tests.support.box.narrow import SPLIT_MSAT, narrow
from tests.support.box.restarts import (
    OPTIONS,
    journal,
    kill_plugin,
    left_in_a_hook,
    over,
    restart_node,
    start_plugin,
)
from tests.support.box.rows import complete, delete
from tests.support.checkout import PLUGIN
from tests.support.waiting import until

UNKNOWN_AHEAD = Lie(FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS, height=10**6)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path, **OPTIONS) as host:
        yield host


def three(clock: RealClock) -> tuple[World, NodeId]:
    """us ── hub, alt, third ── far, 3,000,000 sat each."""
    world = World(clock, seed=1, latency_s=0.0)
    ids = {name: world.add_node(name).id for name in ("us", "hub", "alt", "third", "far")}
    for middle, policy in (("hub", CHEAP), ("alt", DEAR), ("third", DEAR)):
        for start, end in (("us", middle), (middle, "far")):
            amount_msat = 3_000_000 * SAT
            world.add_channel(ids[start], ids[end], amount_msat, amount_msat, policy_ab=policy, policy_ba=policy)
    return world, ids["us"]


def takes_its_time(host: Host) -> None:
    """A second, in which what was seen before becomes old."""
    clock = host.box.world.clock
    late_s = clock.now() + 1.0
    host.until(lambda: clock.now() > late_s)


def start_slowly(host: Host, reconcile_ms: int = 4000) -> None:
    """The plugin, which then gives an order of an earlier run twice as long."""
    mark = host.log_mark()
    host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN), "pay-dev-reconcile-ms": reconcile_ms}).ok()
    host.log("started version=", mark)


# --- another sender begins while we wait ------------------------------------------------------------------


def test_it_pays_while_we_wait_for_a_block(host: Host) -> None:
    """Our time is up with nothing of ours out; the recipient holds the other one's part."""
    made = host.invoice(hold=True)
    with host.misbehaving("far", liar=Liar([UNKNOWN_AHEAD])):
        mark = host.log_mark()
        pending = host.pay_soon(made, retry_for=5)
        host.log("WaitHeight", mark)
    host.send_by_hand(made)
    host.until(lambda: made.parts)
    host.log("code=210", mark)
    host.log("watched=True", mark)
    assert not pending.answered
    host.release(made)
    assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()


def test_it_has_paid_under_our_number_while_we_wait(host: Host) -> None:
    """Its success names our group and a part that is not ours: the invoice is paid."""
    made = host.invoice()
    with host.misbehaving("far", liar=Liar([UNKNOWN_AHEAD])):
        mark = host.log_mark()
        pending = host.pay_soon(made, retry_for=30)
        host.log("WaitHeight", mark)
    host.send_by_hand(made, groupid=1, partid=5)
    host.settled(made)
    assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()


def test_it_has_paid_when_the_signer_declines(host: Host) -> None:
    made = host.invoice()
    with host.faults(hold={"preapproveinvoice"}):
        pending = host.pay_soon(made)
        host.until(lambda: host.node.dispatcher.held)
    host.send_by_hand(made)
    host.settled(made)
    takes_its_time(host)
    with host.faults(decline_preapproval=True):
        host.let_go("preapproveinvoice")
        assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()


def test_it_has_taken_our_group_while_the_signer_thinks(tmp_path: Path) -> None:
    """Parts of both in one group would come to more than the invoice: the table is looked at once more."""
    with hosting(tmp_path, build=three, **OPTIONS) as host:
        made = host.invoice(amount_msat=SPLIT_MSAT, hold=True)
        with host.faults(hold={"preapproveinvoice"}):
            pending = host.pay_soon(made)
            host.until(lambda: host.node.dispatcher.held)
            other = host.other_sender(made)
            other.send(part_msat=2_500_000 * SAT)
            host.until(lambda: made.parts)
            takes_its_time(host)
        mark, calls = host.log_mark(), host.mark()
        host.let_go("preapproveinvoice")
        host.log("watched=True", mark)
        assert host.sendpays(calls) == []
        other.send(part_msat=1_500_000 * SAT)
        host.until(lambda: len(made.parts) == 2)
        host.release(made)
        assert pending.answer().ok()["amount_msat"] == SPLIT_MSAT
        assert made.received_msat == SPLIT_MSAT


def test_it_has_taken_our_group_a_moment_ago(tmp_path: Path) -> None:
    """Too short to look again: our first part finds out, and the others are not sent."""
    with hosting(tmp_path, build=three, **{**OPTIONS, "options": {}}) as host:
        made = host.invoice(amount_msat=SPLIT_MSAT, hold=True)
        mark, calls = host.log_mark(), host.mark()
        with host.faults(hold={"preapproveinvoice"}):
            pending = host.pay_soon(made)
            host.until(lambda: host.node.dispatcher.held)
            other = host.other_sender(made)
            other.send(part_msat=2_500_000 * SAT)
            host.until(lambda: made.parts)
            host.let_go("preapproveinvoice")
        host.log("watched=True", mark)
        assert [call["partid"] for call in host.sendpays(calls)] == [1]
        other.send(part_msat=1_500_000 * SAT)
        host.until(lambda: len(made.parts) == 2)
        host.release(made)
        assert pending.answer().ok()["amount_msat"] == SPLIT_MSAT
        assert made.received_msat == SPLIT_MSAT


def test_a_first_part_goes_alone(tmp_path: Path) -> None:
    """Two parts, and the answer to the first one is late: until then the second one is not sent."""
    with hosting(tmp_path, build=narrow, **OPTIONS) as host:
        made = host.invoice(amount_msat=SPLIT_MSAT)
        mark = host.mark()
        with host.faults(hold_if={"sendpay": lambda params: params["payment_hash"] == made.payment_hash.hex()}):
            pending = host.pay_soon(made)
            host.until(lambda: host.node.dispatcher.held)
            # Another payment goes from its call to its end meanwhile.
            host.pay(host.invoice()).ok()
            assert [call["partid"] for call in host.sendpays(mark) if call["amount_msat"] == SPLIT_MSAT] == [1]
        host.let_go("sendpay")
        assert pending.answer().ok()["amount_msat"] == SPLIT_MSAT


def test_a_signer_that_hangs_for_one_caller_hangs_for_no_other(host: Host) -> None:
    """Somebody else pays the invoice meanwhile: who asks then is answered, though the first call still hangs."""
    made = host.invoice()
    with host.faults(hold={"preapproveinvoice"}):
        first = host.pay_soon(made, retry_for=1_000_000)
        host.until(lambda: host.node.dispatcher.held)
        second = host.pay_soon(made)
        host.send_by_hand(made)
        host.settled(made)
        assert second.answer().ok() == host.pay(made).ok()
        assert not first.answered
        host.let_go("preapproveinvoice")
    assert first.answer().ok()["payment_preimage"] == made.preimage.hex()


# --- a call without an answer -----------------------------------------------------------------------------


def test_its_repeat_is_refused_and_it_was_taken(host: Host) -> None:
    """The part is out, its answer is lost, and a hook refuses the repeat: no error."""
    made = host.invoice(hold=True)
    with host.faults(hang_up={"sendpay"}) as faults:
        mark = host.mark()
        pending = host.pay_soon(made)
        host.until(lambda: made.parts)
        faults.hang_up, faults.errors = set(), {"sendpay": (-1, "rate limit: not now")}
        host.until(lambda: len(host.sendpays(mark)) >= 2)
        host.until(lambda: "listsendpays" in host.methods(mark)[3:])
        assert not pending.answered
    host.release(made)
    assert pending.answer().ok()["parts"] == 1


def test_its_repeat_is_refused_and_it_comes_out_of_a_queue(tmp_path: Path) -> None:
    """A part of two waits in a hook, its repeats are refused: it is not planned anew, so no more arrives."""
    options = {"developer": True, "options": {**OPTIONS["options"], "pay-dev-answer-ms": 1000}}
    with hosting(tmp_path, build=three, **options) as host:
        made = host.invoice(amount_msat=SPLIT_MSAT)
        faults = host.node.faults
        faults.only_plugin = True
        faults.hold_if = {"sendpay": lambda params: params["partid"] == 1}
        mark, log_mark = host.mark(), host.log_mark()
        pending = host.pay_soon(made, retry_for=5)
        host.until(lambda: host.node.dispatcher.held)
        faults.hold_if, faults.errors = {}, {"sendpay": (204, "First peer not ready")}
        host.log("sendpay_unanswered", log_mark)
        host.until(lambda: len([c for c in host.sendpays(mark) if c["partid"] == 1]) >= 4)
        assert not pending.answered
        faults.errors = {}
        host.let_go("sendpay")
        assert pending.answer().ok()["amount_msat"] == SPLIT_MSAT
        complete(host, made)
        assert made.received_msat == SPLIT_MSAT


# --- an order of an earlier run ---------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["restarted", "restarted twice", "unreadable entry", "no journal"])
def test_it_comes_out_of_a_hook(tmp_path: Path, why: str) -> None:
    """Whatever the successor, who finds no way, knows of it: that is not the end of it."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = left_in_a_hook(host)
        if why == "restarted twice":
            start_plugin(host)
            kill_plugin(host)
        if why == "unreadable entry":
            (entry,) = journal(host)
            text = json.dumps({**json.loads(entry["string"]), "version": 99})
            host.call("datastore", {"key": entry["key"], "string": text, "mode": "must-replace"}).ok()
        with host.faults(errors={"listdatastore": (-1, "disk")} if why == "no journal" else {}):
            start_slowly(host)
        mark = host.log_mark()
        pending = host.pay_soon(made, maxfee=0)
        host.log("payment_failed", mark)
        assert not pending.answered
        assert host.let_go("sendpay") == 1
        assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()
        assert len(host.rows(made)) == 1


def test_an_odd_entry_stops_nobody(tmp_path: Path) -> None:
    """Its key is no payment_hash, and its text agrees with it."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        (entry,) = journal(host)
        stored = json.loads(entry["string"])
        stored["order"]["payment_hash"] = "ab"
        odd = {"key": ["pay", "session", "ab"], "string": json.dumps(stored)}
        host.call("datastore", odd).ok()
        kill_plugin(host)
        start_plugin(host)
        host.release(made)
        assert host.pay(made).ok()["status"] == "complete"
        over(host)


# --- what is left of a success ----------------------------------------------------------------------------


def test_answered_from_the_rows_and_then_they_are_deleted(host: Host) -> None:
    made = host.invoice()
    host.pay(made).ok()
    over(host)
    restart_node(host)
    answer = host.pay(made).ok()
    for row in host.rows(made):
        delete(host, made, row)
    mark = host.mark()
    assert host.pay(made).ok() == answer
    assert host.sendpays(mark) == []


def test_the_total_of_parts_that_were_only_watched_to_their_end(tmp_path: Path) -> None:
    """A restart while both parts of a chosen amount are out; both settle; one row is deleted; a restart."""
    with hosting(tmp_path, build=narrow, **OPTIONS) as host:
        made = host.invoice(amount_msat=None, hold=True)
        host.pay_soon(made, amount_msat=SPLIT_MSAT)
        host.until(lambda: len(made.parts) == 2)
        kill_plugin(host)
        start_plugin(host)
        again = host.pay_soon(made, amount_msat=SPLIT_MSAT)
        host.release(made)
        again.answer().ok()
        rows = complete(host, made)
        over(host)
        delete(host, made, rows[1])
        restart_node(host)
        assert host.pay(made, amount_msat=SPLIT_MSAT).ok()["amount_msat"] == SPLIT_MSAT
        assert host.pay(made, amount_msat=SPLIT_MSAT - 1).code == 201


def test_a_row_is_left_of_what_another_sender_paid(tmp_path: Path) -> None:
    """Nobody knows what it came to: no 201, and the amount that is known."""
    with hosting(tmp_path, build=narrow, **OPTIONS) as host:
        made = host.invoice(amount_msat=None)
        other = host.other_sender(made, total_msat=SPLIT_MSAT)
        other.send(part_msat=2_500_000 * SAT)
        other.send(part_msat=1_500_000 * SAT)
        rows = complete(host, made)
        delete(host, made, next(row for row in rows if row["partid"] == 2))
        answer = host.pay(made, amount_msat=SPLIT_MSAT).ok()
        assert (answer["payment_preimage"], answer["amount_msat"]) == (made.preimage.hex(), 2_500_000 * SAT)
        assert host.pay(made, amount_msat=1_000_000 * SAT).code == 201


def test_a_failure_that_was_heard_is_not_lost_with_its_row(tmp_path: Path) -> None:
    """Two parts are marked in the journal, one fails and its row is deleted; a restart; the other one fails."""
    with hosting(tmp_path, build=narrow, **OPTIONS) as host:
        made = host.invoice(amount_msat=SPLIT_MSAT, hold=True)
        host.pay_soon(made, retry_for=0)
        host.until(lambda: len(made.parts) == 2)

        def marked() -> list[int]:
            return [p["partid"] for entry in journal(host) for p in json.loads(entry["string"])["accepted"]]

        until(lambda: len(marked()) == 2)

        def fail_one(_: Any) -> None:
            made.parts.pop(0).fail(b"\x20\x02")

        host.world(fail_one)
        until(lambda: len(marked()) == 1)
        (row,) = [row for row in host.rows(made) if row["status"] == "failed"]
        delete(host, made, row)
        kill_plugin(host)
        start_plugin(host)
        mark = host.log_mark()
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        host.give_back(made)
        assert pending.answer().code == 210


def test_the_entry_of_the_next_try_survives_a_late_removal(tmp_path: Path) -> None:
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.node.faults.only_plugin = True
        with host.faults(hold={"deldatastore"}):
            assert host.pay(made, maxfee=0).code == 206
            host.until(lambda: host.node.dispatcher.held)
            pending = host.pay_held(made)
            host.let_go("deldatastore")
        until(lambda: len(journal(host)) == 1)
        host.release(made)
        assert pending.answer().ok()
        over(host)


# --- without decode ---------------------------------------------------------------------------------------


def test_check_without_decode(host: Host) -> None:
    made = host.invoice()
    with host.faults(missing={"decode"}, only_plugin=False):
        answer = host.call("check", {"command_to_check": "pay", "bolt11": made.bolt11})
    assert answer.code == -1 and answer.error is not None and "`decode`" in answer.error["message"]
