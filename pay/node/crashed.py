"""How a payment ends whose session broke: nobody decides for it any more, so the host's table does."""

from __future__ import annotations

import asyncio

from pay.node.facade import Node, RowStatus
from pay.node.orphans import Orphans
from pay.node.past import PaidBefore, past_of
from pay.node.reconciliation import accepted
from pay.node.running import Running

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
