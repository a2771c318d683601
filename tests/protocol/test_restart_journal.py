"""What a restart finds: entries of the journal good and bad, payments of others, rows that have no HTLC."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pay.engine.records.journal import READ_TIMEOUT_S
from pay.sim.lightningd.daemon import Lightningd
from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.network.world import World
from tests.support.box.host import SAT, hosting
from tests.support.box.narrow import SPLIT_MSAT, narrow
from tests.support.box.restarts import AMOUNT_MSAT, KEY, OPTIONS, journal, over, restart_node, write_entry
from tests.support.waiting import PATIENCE_S, until

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
        # A moment after it was taken a part is marked in its entry, which would undo what is written here.
        until(lambda: all(json.loads(entry["string"])["accepted"] for entry in journal(host)))
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
        until(lambda: [entry["key"] for entry in journal(host)] == [[*KEY, "no hash"]])


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

    def prepare(node: Lightningd) -> None:
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
        host.until(lambda: host.lines("payment_attached", mark), timeout_s=READ_TIMEOUT_S + PATIENCE_S)
        assert host.lines("journal_unread", mark)
        assert not host.lines("payment_resumed", mark)
        host.release(made)
        assert pending.answer().ok()["parts"] == 1
        host.node.faults = LightningdFaults()


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
        host.give_back(made)
        answer = pending.answer()
        assert (answer.code, answer.error["data"]["reason"]) == (-1, "orphaned_part")  # type: ignore[index]
        assert host.sendpays(calls) == []
        over(host)
