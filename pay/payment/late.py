"""The last resort of a payment: channels of the recipient that gossip shows as disabled.

A node that comes back is payable at once, and gossip says so minutes later. So where there is no other way, a few
parts are sent over such channels; what follows from their failures is as of others. If they fail as well, the
answer is the one that there was before.
"""

from __future__ import annotations

from pay.routing.query import NoRoute, Route

MOST_PARTS = 3
"""HTLCs of a payment: most such recipients are away, and each costs their peers work."""

MOST_S = 2.0
"""So long after the first one another is sent; an HTLC takes about half a second."""


class LateGossip:
    """What a payment has tried over such channels.

    Attributes
    ----------
    parts
        How many.
    why
        Why there was no other way, before the first of them; None before that.
    """

    def __init__(self) -> None:
        self.parts = 0
        self.why: NoRoute | None = None
        self._until_s = 0.0

    def left(self, now: float) -> int:
        """Parts that may still be sent so."""
        return 0 if self.why is not None and now >= self._until_s else MOST_PARTS - self.parts

    def take(self, why: NoRoute, now: float) -> tuple[Route, ...]:
        """The routes of `why` that are to be sent; none where that is over."""
        if not 0 < len(why.late) <= self.left(now):
            return ()
        if self.why is None:
            self.why, self._until_s = why, now + MOST_S
        self.parts += len(why.late)
        return why.late
