"""How a payment ends whose session broke: nobody decides for it any more, so the host's table does."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pay.node.facade import Node, RowStatus
from pay.node.orphans import Orphans
from pay.node.past import PaidBefore, past_of
from pay.node.reconciliation import accepted
from pay.node.running import Running
from pay.payment.states import AttemptStatus, State

LOOK_S = 5.0
"""How often the table is looked at."""


async def end_of_crashed(node: Node, orphans: Orphans, running: Running) -> PaidBefore | None:
    """Wait until it is certain: the payment, or None if nothing was paid and nothing is out."""
    terms = running.session.terms
    if running.sending:
        await asyncio.wait(set(running.sending))
    had_rows = accepted(running)
    while True:
        rows = await node.rows(terms.payment_hash)
        past = past_of(rows)
        if isinstance(past, PaidBefore):
            return past
        pending = {row.partid for row in rows if row.status is RowStatus.PENDING}
        # Of a part whose row was deleted nobody knows whether it was paid.
        all_there = had_rows <= {row.partid for row in rows if row.groupid == terms.groupid}
        if all_there and pending <= await orphans.among(terms.payment_hash, rows):
            return None
        await asyncio.sleep(LOOK_S)


async def settle_crashed(node: Node, orphans: Orphans, running: Running, paid: bool) -> None:
    """Give its attempts their ends, for who asks later; of one that was `paid`, wait until nothing is out."""
    session, terms = running.session, running.session.terms
    settled: set[int] = set()
    pending = paid
    while pending:
        rows = [row for row in await node.rows(terms.payment_hash) if row.groupid == terms.groupid]
        settled = {row.partid for row in rows if row.status is RowStatus.COMPLETE}
        out = {row.partid for row in rows if row.status is RowStatus.PENDING}
        pending = not out <= await orphans.among(terms.payment_hash, rows)
        if pending:
            await asyncio.sleep(LOOK_S)
    for partid, attempt in session.attempts.items():
        end = AttemptStatus.SETTLED if partid in settled else AttemptStatus.FAILED
        session.attempts[partid] = replace(attempt, status=end)
    session.state = State.DONE
