"""The question to the planner for what is left of a payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pay.payment.attempt import Attempt
from pay.payment.events import FindRoutes
from pay.payment.learnt import Learnt
from pay.payment.ledger import Ledger
from pay.payment.terms import Terms
from pay.routing.query import DOOR_PARTS, RouteQuery

SEARCHES = 120
"""Shortest paths per plan, a millisecond each on the public network; most plans take ten."""


def route_query(
    terms: Terms,
    left_msat: int,
    spent_msat: int,
    live_parts: int,
    attempts: int,
    late_parts: int = 0,
    *,
    many: bool = True,
    door_parts: int | None = None,
    door_wall: bool = False,
) -> RouteQuery:
    """Routes for `left_msat`; `spent_msat` of fees and `live_parts` of `attempts` parts are out or settled.

    For `late_parts` see `LateGossip`; `many` is whether there may be more parts than usual over any channel, also
    over one that has refused a part of this payment. `door_parts` is how many HTLCs a channel of the recipient has
    shown to take; it has no other one where that is a `door_wall`.
    """
    limits, parts = terms.limits, terms.limits.parts
    parts_left, attempts_left = parts.max_parts - live_parts, parts.max_attempts - attempts
    free = max(1, min(parts_left, attempts_left))
    if door_parts is not None and door_wall:
        free = min(free, door_parts)
    usual = max(1, min(free, parts.usual_parts - live_parts))
    wall = parts.parts_option if parts_left <= attempts_left else parts.attempts_option
    return RouteQuery(
        source=terms.source,
        destination=terms.destination,
        amount_msat=left_msat,
        final_cltv=terms.final_cltv + terms.behind_blocks,
        max_fee_msat=limits.max_fee_msat - terms.shadow_fee_msat - spent_msat,
        max_delay=limits.max_delay_blocks + terms.behind_blocks,
        preferences=terms.preferences,
        max_parts=usual,
        most_parts=free if many and free > usual else 0,
        fresh_parts=free if not many and free > usual else 0,
        door_parts=DOOR_PARTS if door_parts is None else max(1, min(door_parts, DOOR_PARTS)),
        parts_option=wall if many or free == usual else None,
        late_parts=min(late_parts, free),
        max_searches=SEARCHES,
        metadata_bytes=terms.metadata_bytes,
        shadow_blocks=terms.shadow_blocks,
    )


def whole(query: RouteQuery, live: Sequence[Attempt]) -> RouteQuery | None:
    """`query` as it were if the parts that are out were still to be sent; None where none is."""
    if not live:
        return None
    return replace(
        query,
        amount_msat=query.amount_msat + sum(part.amount_msat for part in live),
        max_fee_msat=query.max_fee_msat + sum(part.fee_msat for part in live),
        max_parts=query.max_parts + len(live),
        most_parts=query.most_parts + len(live) if query.most_parts else 0,
    )


class RouteQueries:
    """Which question is open: an answer to an older one is void.

    Attributes
    ----------
    asked
        How many so far; the number of the newest.
    requested_msat
        What routes are being looked for; 0 when no question is open.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.requested_msat = 0

    def ask(self, amount_msat: int) -> int:
        """Open a question for that much and close any other one: its number."""
        self.asked += 1
        self.requested_msat = amount_msat
        return self.asked

    def find(self, terms: Terms, ledger: Ledger, learnt: Learnt, late: int, *, many: bool) -> FindRoutes:
        """Ask for all that is neither delivered nor in flight; for `late` and `many` see `route_query`."""
        left_msat, live = ledger.left_msat, ledger.live
        query = route_query(
            terms, left_msat, ledger.sums.fees_msat, len(live), len(ledger.attempts), late,
            many=many, door_parts=learnt.door_parts(live), door_wall=learnt.door_wall,
        )  # fmt: skip
        return FindRoutes(self.ask(left_msat), query, learnt.beside(live), whole(query, live))

    def answered(self, number: int) -> bool:
        """Whether this is the answer to the open question, which is closed by it."""
        if not self.requested_msat or number != self.asked:
            return False
        self.close()
        return True

    def close(self) -> None:
        self.requested_msat = 0
