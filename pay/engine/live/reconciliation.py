"""What a lost notification would have told, found in the host's table of parts.

Every half a minute what a session holds to be out is compared with the rows. Three things can show: an outcome
that was not heard of; a row that is pending for ever (`dead_rows`); and no row at all although there was one. The
host deletes only what is over (delpay, autoclean), so such a part has ended, but as what is not known any more.
Then nothing is added, the callers are told so, and nobody is given an answer that might be wrong: only another row
with the preimage makes it certain again.

Of a payment whose session broke nobody decides any more: how it ends is what the table says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pay.engine.live.running import Running
from pay.engine.live.sender import Sender, is_of
from pay.engine.records.paid_before import PaidBefore, record_of
from pay.errors import PayError
from pay.feedback.failure import Failure
from pay.host.calls import Host, SendpayRow, SendpayStatus
from pay.host.dead_rows import DeadRows
from pay.log_events import EventLog, LogEvent
from pay.payment import events as ev
from pay.payment.states import AttemptStatus, State
from pay.payment.verdict import ORPHANED, orphaned, outcome_lost

log = EventLog("pay")

RECONCILE_S = 30.0
"""How often parts that are out are compared with the host's table."""

LOOK_S = 5.0
"""How often it is looked at for a payment whose session broke."""


class Reconciliation:
    """Compares sessions with the host's rows.

    Parameters
    ----------
    post
        Tells a session what happened.
    """

    def __init__(
        self,
        host: Host,
        sender: Sender,
        dead_rows: DeadRows,
        post: Callable[[Running, ev.Event], None],
        every_s: float = RECONCILE_S,
    ):
        self._host = host
        self._sender = sender
        self._dead_rows = dead_rows
        self._post = post
        self._every_s = every_s

    async def run(self, running: Running, at_once: bool) -> None:
        """As long as the payment lives; `at_once` for the first time without a wait."""
        while running.session.state is not State.DONE:
            if not at_once:
                await asyncio.sleep(self._every_s)
            at_once = False
            if running.session.live:
                await self._look(running)

    async def _look(self, running: Running) -> None:
        terms = running.session.terms
        had_rows = accepted(running)
        everything = await self._host.rows(terms.payment_hash)
        rows = [row for row in everything if row.groupid == terms.groupid]
        for row in rows:
            if is_of(running, row.partid, row.sent_msat):
                self._sender.tell_row(running, row)
        for partid in sorted(had_rows & accepted(running) - {row.partid for row in rows}):
            self._without_row(running, partid, everything)
        dead_rows = await self._dead_rows.among(terms.payment_hash, rows)
        if dead_rows:
            log.info(LogEvent.ORPHANED_PARTS, "%s partids=%s", running.name, sorted(dead_rows))
            self._post(running, ev.Cancelled(orphaned()))
        for partid in dead_rows:
            failure = Failure(None, None, ORPHANED)
            self._post(running, ev.AttemptFailed(partid, failure, running.sent_height(partid)))

    def _without_row(self, running: Running, partid: int, everything: Sequence[SendpayRow]) -> None:
        """A part that the host had and has not any more: it is over, and what is known of the hash decides."""
        session = running.session
        known = next((row.preimage for row in everything if row.preimage is not None), None)
        if known is None and isinstance(session.result, ev.Paid):
            known = session.result.preimage
        if known is not None:
            # Who has given the preimage has taken what there was for it.
            self._post(running, ev.AttemptSettled(partid, known))
            return
        if running.times[partid].outcome_lost:
            return
        self._post(running, ev.Cancelled(_lost(running, partid)))


def accepted(running: Running) -> set[int]:
    """Live parts that the host has had in its table."""
    return {a.partid for a in running.session.live if a.status is AttemptStatus.INFLIGHT}


def _lost(running: Running, partid: int) -> PayError:
    """Nobody will ever know how a part ended: said to all, and what follows for the payment."""
    running.lost_outcome(partid)
    log.unusual(LogEvent.OUTCOME_LOST, "%s partid=%d: its row was deleted", running.name, partid)
    error = outcome_lost(partid)
    running.tell(error.message)
    return error


async def end_of_crashed(host: Host, dead_rows: DeadRows, running: Running) -> ev.Paid | None:
    """Wait until it is certain: the success, or None if nothing was paid and nothing is out."""
    terms = running.session.terms
    if running.sending:
        await asyncio.wait(set(running.sending))
    if (known := running.session.paid) is not None:
        return known
    had_rows = accepted(running)
    told: set[int] = set()
    while True:
        rows = await host.rows(terms.payment_hash)
        record = record_of(rows)
        if isinstance(record, PaidBefore):
            return record.paid(terms.asked_msat)
        pending = {row.partid for row in rows if row.status is SendpayStatus.PENDING}
        # Of a part whose row was deleted nobody knows whether it was paid.
        gone = had_rows - {row.partid for row in rows if row.groupid == terms.groupid}
        if not gone and pending <= await dead_rows.among(terms.payment_hash, rows):
            return None
        for partid in sorted(gone - told):
            _lost(running, partid)
        told |= gone
        await asyncio.sleep(LOOK_S)


async def settled_of_crashed(host: Host, dead_rows: DeadRows, running: Running) -> frozenset[int]:
    """Wait until nothing of a payment that is paid is out any more: the parts that settled."""
    terms = running.session.terms
    while True:
        rows = [row for row in await host.rows(terms.payment_hash) if row.groupid == terms.groupid]
        out = {row.partid for row in rows if row.status is SendpayStatus.PENDING}
        if out <= await dead_rows.among(terms.payment_hash, rows):
            return frozenset(row.partid for row in rows if row.status is SendpayStatus.COMPLETE)
        await asyncio.sleep(LOOK_S)
