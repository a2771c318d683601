"""How a payment ends whose session broke: nobody decides for it any more, so the host's table does."""

from __future__ import annotations

import asyncio
import logging

from pay.engine.live.reconciliation import accepted
from pay.engine.live.running import Running
from pay.engine.restart.paid_before import PaidBefore, past_of
from pay.host.calls import Host, RowStatus
from pay.host.dead_rows import DeadRows
from pay.payment.events import Paid
from pay.payment.verdict import outcome_lost

log = logging.getLogger("pay")

LOOK_S = 5.0
"""How often the table is looked at."""


async def end_of_crashed(host: Host, dead_rows: DeadRows, running: Running) -> Paid | None:
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
        past = past_of(rows)
        if isinstance(past, PaidBefore):
            return past.paid(terms.asked_msat)
        pending = {row.partid for row in rows if row.status is RowStatus.PENDING}
        # Of a part whose row was deleted nobody knows whether it was paid.
        gone = had_rows - {row.partid for row in rows if row.groupid == terms.groupid}
        if not gone and pending <= await dead_rows.among(terms.payment_hash, rows):
            return None
        for partid in sorted(gone - told):
            log.warning("outcome_lost %s partid=%d: its row was deleted", running.name, partid)
            running.tell(outcome_lost(partid).message)
            running.lost_outcome(partid)
        told |= gone
        await asyncio.sleep(LOOK_S)


async def settled_of_crashed(host: Host, dead_rows: DeadRows, running: Running) -> frozenset[int]:
    """Wait until nothing of a payment that is paid is out any more: the parts that settled."""
    terms = running.session.terms
    while True:
        rows = [row for row in await host.rows(terms.payment_hash) if row.groupid == terms.groupid]
        out = {row.partid for row in rows if row.status is RowStatus.PENDING}
        if out <= await dead_rows.among(terms.payment_hash, rows):
            return frozenset(row.partid for row in rows if row.status is RowStatus.COMPLETE)
        await asyncio.sleep(LOOK_S)
