"""The plugin or the node dies with payments under way and comes back: what is out is taken up, nothing is doubled.

The world is that of kit.py, or `narrow` where a payment has to be split.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pay.node.journal import READ_TIMEOUT_S
from pay.sim.clock import RealClock
from pay.sim.failures import FailCode, failure
from pay.sim.invoices import SimInvoice, fail_parts
from pay.sim.node import SimNode
from pay.sim.node_faults import NodeFaults
from pay.sim.world import World
from pay.units import NodeId
from tests.protocol.kit import CHEAP, DEAR, PLUGIN, SAT, Host, hosting

FAST = {"pay-dev-reconcile-ms": 300}
OPTIONS: dict[str, Any] = {"developer": True, "options": {**FAST, "xpay-handle-pay": False}}
AMOUNT_MSAT = 100_000 * SAT
KEY = ["pay", "session"]


def narrow(clock: RealClock) -> tuple[World, NodeId]:
    """us ── hub ── far and us ── alt ── far, 3,000,000 sat each, all on our side: 4,000,000 sat need two parts."""
    world = World(clock, seed=1, latency_s=0.0)
    ids = {name: world.add_node(name).id for name in ("us", "hub", "alt", "far")}
    for middle, policy in (("hub", CHEAP), ("alt", DEAR)):
        for start, end in (("us", middle), (middle, "far")):
            amount_msat = 3_000_000 * SAT
            world.add_channel(
                ids[start], ids[end], amount_msat, amount_msat, policy_ab=policy, policy_ba=policy
            )
    return world, ids["us"]


SPLIT_MSAT = 4_000_000 * SAT


def kill_plugin(host: Host) -> None:
    """The plugin dies, the node lives on without it."""
    os.kill(host.pid, signal.SIGKILL)
    host.until(lambda: not host.node.plugin_pids)


def start_plugin(host: Host, wait: bool = True) -> None:
    mark = host.log_mark()
    host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN), **FAST}).ok()
    if wait:
        host.log("started version=", mark)


def restart_node(host: Host, change: Callable[[], Any] = lambda: None, wait: bool = True) -> None:
    """The node dies with its plugin; `change` happens before both come back."""
    host.box.kill()
    change()
    mark = host.log_mark()
    host.box.restart()
    if wait:
        host.log("started version=", mark)


def journal(host: Host) -> list[dict[str, Any]]:
    return host.call("listdatastore", {"key": KEY}).ok()["datastore"]


def write_entry(host: Host, made: SimInvoice, text: str) -> None:
    params = {"key": [*KEY, made.payment_hash.hex()], "string": text, "mode": "create-or-replace"}
    host.call("datastore", params).ok()


def over(host: Host) -> None:
    """Nothing is in work and nothing written down any more."""

    def done() -> bool:
        shown = host.call("paystatus").ok()["pay"]
        return not journal(host) and all(entry["session_status"] in ("Success", "Failed") for entry in shown)

    host.box.poll(done)


def give_back(host: Host, made: SimInvoice) -> None:
    """The recipient fails what it holds, for now."""
    message = failure(FailCode.TEMPORARY_NODE_FAILURE)
    host.world(lambda _: fail_parts(made, lambda _: message))


# --- the plugin alone -------------------------------------------------------------------------------------


def test_plugin_restarted_alone(tmp_path: Path) -> None:
    """The part is watched, none is added; a call attaches and gets the outcome; the journal is empty after it."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        cut_off = host.pay_held(made, label="tea")
        assert len(journal(host)) == 1
        kill_plugin(host)
        assert cut_off.answer().code == -4
        calls, mark = host.mark(), host.log_mark()
        start_plugin(host)
        (shown,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
        assert (shown["session_status"], shown["amount_msat"], shown["label"]) == ("Inflight", AMOUNT_MSAT, "tea")
        assert [(a["status"], a["partid"]) for a in shown["attempts"]] == [("Inflight", 1)]
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        host.release(made)
        answer = pending.answer().ok()
        assert answer["payment_preimage"] == made.preimage.hex()
        assert host.pay(made).ok() == answer
        assert host.sendpays(calls) == []
        over(host)
        assert host.call("paystatus", [made.bolt11]).ok()["pay"][0]["session_status"] == "Success"


def test_plugin_restarted_alone_and_a_part_fails(tmp_path: Path) -> None:
    """An order of the earlier run may still be queued in the host: nothing is added although there is time."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        kill_plugin(host)
        calls, mark = host.mark(), host.log_mark()
        start_plugin(host)
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        give_back(host, made)
        assert pending.answer().code == 210
        assert host.sendpays(calls) == []
        over(host)
        # What was given up can be paid anew, in another group.
        host.world(lambda _: setattr(made, "hold", False))
        assert host.pay(made).ok()["parts"] == 1
        assert [row["groupid"] for row in host.rows(made)] == [1, 2]


def test_plugin_restarted_alone_with_an_order_unseen(tmp_path: Path) -> None:
    """Its order comes late in the host: what is paid meanwhile is another group, beside which it is refused."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.node.faults.ignore = {"sendpay"}
        mark = host.mark()
        host.pay_soon(made)
        host.until(lambda: host.sendpays(mark))
        late = host.sendpays(mark)[0]
        kill_plugin(host)
        host.node.faults = NodeFaults()
        start_plugin(host)
        assert journal(host) == []
        mark = host.mark()
        pending = host.pay_soon(made)
        host.until(lambda: made.parts)
        assert (late["groupid"], host.sendpays(mark)[0]["groupid"]) == (1, 2)
        assert host.call("sendpay", late).code == 200
        host.release(made)
        assert pending.answer().ok()["parts"] == 1
        assert made.received_msat == AMOUNT_MSAT


# --- the node ---------------------------------------------------------------------------------------------


def test_node_restarted(tmp_path: Path) -> None:
    """The payment is resumed with its own limits; a part that fails is tried again, in the same group."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made, retry_for=600, maxfee=60_000)
        mark = host.log_mark()
        restart_node(host)
        assert host.lines("payment_resumed", mark)
        assert any("maxfee_msat=60000" in line for line in host.lines("payment_start", mark))
        pending = host.pay_soon(made, maxfee=1)
        host.log("payment_attached", mark)
        give_back(host, made)
        host.until(lambda: made.parts)
        assert not pending.answered
        host.release(made)
        answer = pending.answer().ok()
        rows = host.rows(made)
        assert [(row["groupid"], row["partid"], row["status"]) for row in rows] == [
            (1, 1, "failed"), (1, 2, "complete"),
        ]  # fmt: skip
        assert (answer["created_at"], answer["parts"]) == (rows[0]["created_at"], 2)
        over(host)
        restart_node(host)
        assert host.pay(made).ok() == answer


def test_settled_while_the_node_was_away(tmp_path: Path) -> None:
    """The recipient takes the money meanwhile: the next call is a success."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        restart_node(host, lambda: host.release(made))
        assert host.pay(made).ok()["payment_preimage"] == made.preimage.hex()
        assert len(host.rows(made)) == 1
        over(host)


@pytest.mark.parametrize("why", ["deadline", "expiry", "journal"])
def test_node_restarted_and_nothing_may_be_added(tmp_path: Path, why: str) -> None:
    """Its time has passed, or the invoice's has, or nothing was written down: what is out is watched."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True, expiry=6 if why == "expiry" else 3600)
        if why == "journal":
            with host.faults(errors={"datastore": (-1, "no space")}):
                host.pay_held(made, retry_for=600)
        else:
            host.pay_held(made, retry_for=600 if why == "expiry" else 0)
        host.until(lambda: why != "expiry" or host.box.world.clock.now() > made.expires_at)
        calls, mark = host.mark(), host.log_mark()
        restart_node(host)
        assert not host.lines("payment_resumed", mark)
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        give_back(host, made)
        assert pending.answer().code == 210
        assert host.sendpays(calls) == []
        over(host)
        host.world(lambda _: setattr(made, "hold", False))
        assert host.pay(made).code == (207 if why == "expiry" else None)


def split_with_a_part_missing(host: Host) -> SimInvoice:
    """4,000,000 sat in two parts: one waits at far, the other one has failed, and nothing replaces it yet."""
    made = host.invoice(amount_msat=SPLIT_MSAT)
    host.world(lambda world: world.set_channel_faults(host.channel("hub", "far"), host.id("hub"), None))
    mark = host.log_mark()
    host.node.faults.only_plugin = True
    with host.misbehaving("hub", fail_code=0x2000 | 2):
        pending = host.pay_soon(made, retry_for=600)
        # No answer to its next question: it stays between two attempts.
        host.log("SendAttempt partid=2", mark)
        host.node.faults.ignore = {"listpeerchannels"}
        host.until(lambda: len(made.parts) == 1)
        host.log("FindRoutes query=2", mark)
    assert not pending.answered
    return made


def test_node_restarted_with_a_part_missing(tmp_path: Path) -> None:
    """One part waits, one is missing: the missing one is sent, and no more than that."""
    with hosting(tmp_path, build=narrow, **OPTIONS) as host:
        made = split_with_a_part_missing(host)
        host.node.faults = NodeFaults()
        restart_node(host)
        answer = host.pay(made).ok()
        over(host)
        assert made.received_msat == SPLIT_MSAT
        rows = host.rows(made)
        assert {row["groupid"] for row in rows} == {1}
        assert sum(row["amount_msat"] for row in rows if row["status"] == "complete") == SPLIT_MSAT
        assert answer["parts"] == max(row["partid"] for row in rows)
        # At the first preimage the other part may still have been out.
        answer.pop("warning_partial_completion", None)
        assert host.pay(made).ok() == answer


def test_plugin_restarted_alone_with_a_part_missing(tmp_path: Path) -> None:
    """The part that waits is watched until the recipient gives it back; nothing is added."""
    with hosting(tmp_path, build=narrow, **OPTIONS) as host:
        made = split_with_a_part_missing(host)
        kill_plugin(host)
        host.node.faults = NodeFaults()
        calls = host.mark()
        start_plugin(host)
        mark = host.log_mark()
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        give_back(host, made)
        assert pending.answer().code == 210
        assert host.sendpays(calls) == []
        over(host)


# --- the journal ------------------------------------------------------------------------------------------


def altered(change: Callable[[dict[str, Any]], None]) -> Callable[[str], str]:
    def alter(text: str) -> str:
        stored = json.loads(text)
        change(stored)
        return json.dumps(stored)

    return alter


BAD_ENTRIES: dict[str, Callable[[str], str]] = {
    "garbage": lambda _: "{",
    "no object": lambda _: "[1, 2]",
    "older version": altered(lambda stored: stored.update(version=0)),
    "foreign": lambda _: '{"version": 1, "what": "another plugin"}',
    "of another payment": altered(lambda stored: stored["order"].update(payment_hash="00" * 32)),
    "of another group": altered(lambda s: (s["terms"].update(groupid=9), s["order"].update(groupid=9))),
    "other total": altered(lambda s: (s["terms"].update(total_msat=2**40), s["order"].update(total_msat=2**40))),
    "amount above the total": altered(lambda stored: stored["terms"].update(amount_msat=2**40)),
    "amount below what is out": altered(lambda stored: stored["terms"].update(amount_msat=1000)),
    "text for a number": altered(lambda stored: stored["terms"].update(deadline_s="tomorrow")),
    "null": altered(lambda stored: stored["terms"].update(exclude_channels=[None])),
}


def test_bad_entries(tmp_path: Path) -> None:
    """Whatever stands in the journal: what is out is watched, nothing is added, and it is gone in the end."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = {name: host.invoice(amount_msat=(100 + n) * SAT, hold=True) for n, name in enumerate(BAD_ENTRIES)}
        for invoice in made.values():
            host.pay_held(invoice, retry_for=600)
        texts = {entry["key"][-1]: entry["string"] for entry in journal(host)}
        for name, invoice in made.items():
            write_entry(host, invoice, BAD_ENTRIES[name](texts[invoice.payment_hash.hex()]))
        host.call("datastore", {"key": [*KEY, "no hash", "deeper"], "hex": "ff"}).ok()
        calls, mark = host.mark(), host.log_mark()
        restart_node(host)
        assert not host.lines("payment_resumed", mark)
        assert len(host.lines("watched=True", mark)) == len(made)
        pending = [host.pay_soon(invoice) for invoice in made.values()]
        host.until(lambda: len(host.lines("payment_attached", mark)) == len(made))
        for invoice in made.values():
            host.release(invoice)
        assert all(call.answer().ok()["parts"] == 1 for call in pending)
        assert host.sendpays(calls) == []
        host.box.poll(lambda: [entry["key"] for entry in journal(host)] == [[*KEY, "no hash"]])


@pytest.mark.parametrize("fault", ["error", "hang"])
def test_journal_cannot_be_written(tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The payment goes on without it."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice()
        faults: dict[str, Any] = (
            {"errors": {"datastore": (-1, "no space")}} if fault == "error" else {"ignore": {"datastore"}}
        )
        with host.faults(**faults):
            assert host.pay(made).ok()["parts"] == 1
        assert host.lines("journal_unwritten")
        over(host)


@pytest.mark.parametrize("fault", ["error", "hang"])
def test_journal_cannot_be_read(tmp_path: Path, fault: str) -> None:
    """At start: parts are watched and calls are served, after a moment."""

    def prepare(node: SimNode) -> None:
        node.faults.only_plugin = True
        if fault == "error":
            node.faults.errors = {"listdatastore": (-1, "database is locked")}
        else:
            node.faults.ignore = {"listdatastore"}

    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made, retry_for=600)
        mark = host.log_mark()
        restart_node(host, lambda: prepare(host.node), wait=False)
        pending = host.pay_soon(made)
        host.until(lambda: host.lines("payment_attached", mark), timeout_s=READ_TIMEOUT_S + 10)
        assert host.lines("journal_unread", mark)
        assert not host.lines("payment_resumed", mark)
        host.release(made)
        assert pending.answer().ok()["parts"] == 1
        host.node.faults = NodeFaults()


def test_foreign_group_at_start(tmp_path: Path) -> None:
    """A part of somebody else, of half the amount: it is watched and never added to, whoever restarts."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.send_by_hand(made, part_msat=AMOUNT_MSAT // 2)
        host.until(lambda: made.parts)
        calls, mark = host.mark(), host.log_mark()
        restart_node(host)
        assert len(host.lines("watched=True", mark)) == 1
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        host.send_by_hand(made, part_msat=AMOUNT_MSAT // 2, partid=2)
        host.until(lambda: len(made.parts) == 2)
        host.release(made)
        answer = pending.answer().ok()
        assert (answer["amount_msat"], answer["parts"]) == (AMOUNT_MSAT, 2)
        assert host.sendpays(calls) == []
        over(host)


# --- rows without an HTLC ---------------------------------------------------------------------------------


def test_orphaned_row(tmp_path: Path) -> None:
    """Killed between sendpay and the commitment: -1 with the reason for every call; the session ends by itself."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice()
        with host.faults(no_commitment=True):
            host.pay_soon(made)
            host.log("AttemptAccepted")
            mark = host.log_mark()
            restart_node(host)
        host.log("orphaned_parts", mark)
        for _ in range(2):
            answer = host.pay(made)
            assert (answer.code, answer.error["data"]["reason"]) == (-1, "orphaned_part")  # type: ignore[index]
        over(host)
        assert [row["status"] for row in host.rows(made)] == ["pending"]
        assert host.pay(host.invoice()).ok()


def test_orphaned_row_beside_a_part(tmp_path: Path) -> None:
    """One of two parts has no HTLC: that is known at once; the end of the other one is waited for."""
    with hosting(tmp_path, build=narrow, **OPTIONS) as host:
        made = host.invoice(amount_msat=SPLIT_MSAT)
        mark = host.log_mark()

        def first_only(_: World) -> None:
            commit, seen = host.node.payments._commit, []

            def once(*arguments: Any) -> None:
                seen.append(arguments)
                if len(seen) == 1:
                    commit(*arguments)

            host.node.payments._commit = once  # type: ignore[method-assign]

        host.world(first_only)
        host.pay_soon(made, retry_for=600)
        host.log("AttemptAccepted partid=2", mark)
        host.until(lambda: made.parts)
        calls, mark = host.mark(), host.log_mark()
        restart_node(host)
        assert not host.lines("payment_resumed", mark)
        pending = host.pay_soon(made)
        host.log("payment_attached", mark)
        assert "partids=[2]" in host.log("orphaned_parts", mark)
        (shown,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
        assert [a["status"] for a in shown["attempts"]] == ["Inflight", "Failed"]
        assert not pending.answered
        give_back(host, made)
        answer = pending.answer()
        assert (answer.code, answer.error["data"]["reason"]) == (-1, "orphaned_part")  # type: ignore[index]
        assert host.sendpays(calls) == []
        over(host)


# --- while it starts --------------------------------------------------------------------------------------


def test_pay_during_the_adoption(tmp_path: Path) -> None:
    """A call that comes before old parts have been looked for waits for that, and so does `paystatus`."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        host.pay_held(made)
        mark = host.log_mark()

        def trouble() -> None:
            host.node.faults.only_plugin = True
            host.node.faults.errors = {"listsendpays": (-1, "database is locked")}

        restart_node(host, trouble, wait=False)
        calls = host.mark()
        pending, status = host.pay_soon(made), host.soon("paystatus", [made.bolt11])
        host.until(lambda: host.methods(calls).count("listsendpays") >= 3)
        assert not pending.answered and not status.answered
        host.node.faults = NodeFaults()
        host.log("payment_attached", mark)
        assert status.answer().ok()["pay"][0]["session_status"] == "Inflight"
        host.release(made)
        assert pending.answer().ok()["parts"] == 1
        assert len(host.rows(made)) == 1


@pytest.mark.parametrize("version", ["v26.06.6", "v25.09"])
def test_listpays_after_a_restart(tmp_path: Path, version: str) -> None:
    """A payment in work is pending there, between two attempts too; with the hook and with our own command."""
    with hosting(tmp_path, build=narrow, version=version, developer=True, options=FAST) as host:
        made = split_with_a_part_missing(host)
        host.node.faults = NodeFaults()

        def no_plans() -> None:
            host.node.faults.only_plugin = True
            host.node.faults.delay_s = {"listpeerchannels": 0.3}

        def shown() -> list[str]:
            return [pay["status"] for pay in host.call("listpays", {"bolt11": made.bolt11}).ok()["pays"]]

        assert shown() == ["pending"]
        restart_node(host, no_plans)
        assert shown() in (["pending"], ["complete"])
        host.box.poll(lambda: shown() == ["complete"])
        over(host)


def test_paystatus_of_what_ended_before(tmp_path: Path) -> None:
    """Rebuilt from the host's rows, without routes; no attempt is Retrying."""
    with hosting(tmp_path, **OPTIONS) as host:
        paid, refused = host.invoice(), host.invoice()
        host.cancel(refused)
        assert host.pay(paid).ok() and host.pay(refused).code == 203
        restart_node(host)
        for made, word, attempt in ((paid, "Success", "Settled"), (refused, "Failed", "Failed")):
            for wanted in (made.bolt11, made.payment_hash.hex()):
                (entry,) = host.call("paystatus", [wanted]).ok()["pay"]
                assert entry["session_status"] == word
                assert [a["status"] for a in entry["attempts"]] == [attempt]
                assert all(a["route_unknown"] for a in entry["attempts"])
