"""One run: payments, kills and restarts drawn from a seed, until everything has ended and can be judged.

Beside them some runs have nodes that lie, clocks that step, and other senders of the same invoices (`trouble.py`).
A kill comes after a drawn number of signs of life (lines of the log, commands at the host), so that it meets every
moment of a payment: before the journal, between row and HTLC, between attempts, while old parts are adopted.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.lightningd.payments.database import Database, Payment, Status
from tests.campaign.town import Purchase, builder, now_s, purchases
from tests.campaign.trouble import Trouble
from tests.campaign.truth import Call, Evidence, Guard, judge
from tests.support.box.host import Host
from tests.support.box.stepped_clock import SteppedClock
from tests.support.checkout import PLUGIN
from tests.support.waiting import PATIENCE_S, NeverCameError, until

OPTIONS = {"pay-dev-reconcile-ms": 500}
NO_XPAY = {"xpay-handle-pay": False}
"""Else cln-xpay would take every call that comes before the plugin has switched it off."""
_MOST_KILLS = 4
_COUNTED = ("payment_resumed", "payment_attached", "payment_repeated", "payment_elsewhere", "orphaned_parts")
"""Lines of the log."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one run."""

    seed: int
    wrong: list[str]
    counts: Counter[str]


def run(seed: int, calm: bool = False) -> Report:
    """Everything of a run follows from its seed, but for what real processes make of it.

    Parameters
    ----------
    calm
        Without the troubles of `trouble.py`; payments and kills are the same.
    """
    guard = Guard()
    with (
        tempfile.TemporaryDirectory(prefix="campaign-") as directory,
        mock.patch.object(Database, "add_payment", lambda table, **fields: guard.add_payment(table, **fields)),
    ):
        options = OPTIONS | NO_XPAY | {"pay-shadow": "full" if seed % 3 == 0 else "delay"}
        clock = SteppedClock(Path(directory))
        clock.host_starts()
        host = Host(
            Path(directory), build=builder(seed), wait=False, developer=True, options=options,
            environment=clock.environment,
        )  # fmt: skip
        host.rpc.timeout_s = PATIENCE_S
        try:
            return _Run(host, seed, guard, clock, calm).go()
        finally:
            host.close()


class _Run:
    def __init__(self, host: Host, seed: int, guard: Guard, clock: SteppedClock, calm: bool):
        self._host = host
        self._seed = seed
        self._guard = guard
        self._clock = clock
        self._rng = random.Random(f"run {seed}")
        self._calls: list[Call] = []
        self._open: list[Future[None]] = []
        self._threads = ThreadPoolExecutor(max_workers=64)
        self._counts: Counter[str] = Counter(runs=1)
        self._trouble = Trouble(host, clock, seed, self._counts, calm)
        self._purchases: list[Purchase] = []
        self._late = 0
        self._restarted = 0
        """Where the log of the plugin that runs begins."""
        self._outlived: list[str] = []

    def go(self) -> Report:
        rng, host = self._rng, self._host
        self._purchases = host.world(lambda world: purchases(world, rng, rng.randint(2, 6)))
        self._guard.watch(self._purchases)
        self._trouble.others_begin(self._purchases)
        for purchase in self._purchases:
            self._call(purchase)
        for _ in range(rng.randint(1, _MOST_KILLS)):
            self._some_trouble()
            self._trouble.some(self._purchases)
            if rng.random() < 0.75:
                self._until_started()
            self._signs_of_life(rng.randint(1, 60))
            if rng.random() < 0.5:
                self._kill_node()
            else:
                self._kill_plugin()
            for purchase in self._purchases:
                if rng.random() < 0.6:
                    self._call(purchase)
                if purchase.held and rng.random() < 0.25:
                    self._decide(purchase)
        self._finish()
        return self._report()

    # --- what happens -----------------------------------------------------------------------------------

    def _call(self, purchase: Purchase) -> None:
        """`pay`, as a caller who may be cut off."""
        call = Call(purchase, now_s())
        self._calls.append(call)
        self._open.append(self._threads.submit(self._calling, call))

    def _calling(self, call: Call) -> None:
        try:
            answer = self._host.pay(call.purchase.invoice, **call.purchase.params)
        except (OSError, ValueError):
            return  # cut off, and nothing was said
        call.ended_s = now_s()
        rows = self._rows(call.purchase)
        call.groups = frozenset(row.groupid for row in rows)
        call.pending = frozenset((row.groupid, row.partid) for row in rows if row.status is Status.PENDING)
        call.answer = answer

    def _rows(self, purchase: Purchase) -> list[Payment]:
        table = Database(self._host.node.directory / "lightningd.sqlite3")
        try:
            return table.payments("payment_hash = ?", purchase.invoice.payment_hash)
        finally:
            table.close()

    def _until_started(self) -> None:
        """Until the plugin serves calls and can plan, if it comes to that."""
        host = self._host
        with contextlib.suppress(TimeoutError):
            for line in ("started version=", "gossip_loaded"):
                host.log(line, self._restarted, timeout_s=10.0)

    def _signs_of_life(self, count: int) -> None:
        """Until so much has happened, or nothing happens any more."""
        mark = self._life()
        try:
            self._host.until(lambda: self._life() >= mark + count, timeout_s=1.0)
        except TimeoutError:
            self._counts["quiet moments"] += 1

    def _life(self) -> int:
        return len(self._host.node.lines) + len(self._host.node.recorded)

    def _some_trouble(self) -> None:
        """The host commits late or not at all, tells nothing, or is slow."""
        rng, faults = self._rng, LightningdFaults(only_plugin=True)
        faults.commitment_delay_s = rng.choice([0.0, 0.0, 0.02, 0.2])
        faults.no_commitment = rng.random() < 0.05
        if rng.random() < 0.2:
            faults.drop = {rng.choice(["sendpay_success", "sendpay_failure", "*"])}
        if rng.random() < 0.2:
            slow = rng.choice(["sendpay", "datastore", "listsendpays", "decode"])
            faults.delay_s = {slow: rng.choice([0.05, 0.3])}
        if rng.random() < 0.1:
            faults.hang_up = {rng.choice(["sendpay", "datastore", "listpeerchannels"])}
        self._host.node.faults = faults

    def _kill_node(self) -> None:
        self._counts["node killed"] += 1
        host, rng = self._host, self._rng
        self._cut_off()
        for purchase in self._purchases:
            if purchase.held and rng.random() < 0.2:
                self._decide(purchase)
        if rng.random() < 0.2:
            host.world(lambda world: world.mine(1))
        if rng.random() < 0.7:
            host.node.faults = LightningdFaults()
        self._restarted = host.log_mark()
        self._trouble.node_starts()
        host.box.restart()

    def _cut_off(self) -> None:
        """The node dies, and whoever waits for it is not waited for."""
        self._trouble.node_dies()
        self._outlived += self._host.box.kill()
        self._open.clear()

    def _kill_plugin(self) -> None:
        host = self._host
        if not host.node.plugin_pids:
            return
        self._counts["plugin killed"] += 1
        os.kill(host.pid, signal.SIGKILL)
        host.until(lambda: not host.node.plugin_pids)
        self._restarted = host.log_mark()
        host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN), **OPTIONS}).ok()

    def _decide(self, purchase: Purchase) -> None:
        """The recipient takes the money that it holds, or refuses it."""
        if self._rng.random() < 0.7:
            self._host.release(purchase.invoice)
        else:
            self._host.cancel(purchase.invoice)

    # --- how it ends ------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """No trouble any more; the node is started once more, and everybody asks for the last time."""
        host = self._host
        host.node.faults = LightningdFaults()
        self._trouble.end()
        if self._rng.random() < 0.5:
            for purchase in self._purchases:
                self._call(purchase)
        for purchase in self._purchases:
            if purchase.held and purchase.invoice.hold:
                self._decide(purchase)
        # What the host does not date before its start is no orphan for it.
        self._cut_off()
        self._clock.host_starts()
        host.box.restart()
        for _ in range(2):
            _, late = wait(self._open, timeout=PATIENCE_S)
            self._late += len(late)
            for purchase in self._purchases:
                self._call(purchase)
        self._late += len(wait(self._open, timeout=PATIENCE_S).not_done)
        self._until_over()

    def _until_over(self) -> None:
        """Until nothing is in work any more, if that comes."""
        host = self._host

        def over() -> bool:
            shown = host.call("paystatus").ok()["pay"]
            journal = host.call("listdatastore", {"key": ["pay", "session"]}).ok()["datastore"]
            # A payment leaves the journal with its answer; its last parts may still be on their way back.
            live = any(e["session_status"] in ("Created", "Inflight") or e.get("in_flight_amount") for e in shown)
            return not journal and not live

        try:
            until(over)
        except NeverCameError:
            self._counts["never over"] += 1

    def _report(self) -> Report:
        host = self._host
        journal = host.call("listdatastore", {"key": ["pay", "session"]}).ok()["datastore"]
        shown = host.call("paystatus").ok()["pay"]
        rows = [row for purchase in self._purchases for row in self._rows(purchase)]
        evidence = Evidence(
            calls=self._calls, rows=rows, lines=list(host.node.lines), guard=self._guard,
            late=self._late, in_flight=host.world(lambda world: world.in_flight), journal=journal,
            working=[entry for entry in shown if entry["session_status"] in ("Created", "Inflight")],
        )  # fmt: skip
        wrong = judge(evidence, self._purchases) + [f"{name} outlived its node" for name in self._outlived]
        if wrong:
            log = Path(tempfile.gettempdir()) / f"campaign-{self._seed}.log"
            log.write_text("".join(f"{line}\n" for line in evidence.lines))
            wrong.append(f"log: {log}")
        self._threads.shutdown(wait=False, cancel_futures=True)
        return Report(self._seed, wrong, self._count(rows, evidence))

    def _count(self, rows: list[Payment], evidence: Evidence) -> Counter[str]:
        counts = self._counts
        counts["payments"] += len(self._purchases)
        counts["calls"] += len(self._calls)
        counts["cut off"] += sum(call.answer is None for call in self._calls)
        counts["parts"] += len(rows)
        counts["orphaned rows"] += sum(row.status is Status.PENDING for row in rows)
        counts["paid"] += sum(purchase.invoice.paid_at is not None for purchase in self._purchases)
        for name in _COUNTED:
            counts[name] += sum(name in line.text for line in evidence.lines)
        counts["watched"] += sum("watched=True" in line.text for line in evidence.lines)
        return counts
