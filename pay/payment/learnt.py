"""What a payment has learnt from its parts, and what each of them was planned with."""

from __future__ import annotations

from collections.abc import Sequence

from pay.feedback.blame import Blame
from pay.feedback.restrictions import Circumstances, crowded, held_on, parts_on, restrict, woken
from pay.payment.attempt import Attempt, Terms
from pay.routing.query import Restrictions


class Learnt:
    """Of one payment.

    Attributes
    ----------
    restrictions
        What its next plan must respect.
    """

    def __init__(self, terms: Terms):
        self._terms = terms
        self._planned_with: dict[int, Restrictions] = {}
        self.restrictions = Restrictions(
            excluded_nodes=terms.exclude_nodes, excluded_channels=terms.exclude_channels
        )

    def planned(self, partid: int) -> None:
        """A part goes out, planned with what is known now."""
        self._planned_with[partid] = self.restrictions

    def settled(self, partid: int) -> None:
        self._planned_with.pop(partid, None)

    def failed(self, attempt: Attempt, said: Blame, live: Sequence[Attempt]) -> bool:
        """Take in a failure, while `live` are out; whether it was that of a channel that holds others of them."""
        terms, before = self._terms, self.restrictions
        routes = [part.route for part in live]
        of = Circumstances(
            held_msat=held_on(routes),
            parts_on=parts_on(routes),
            planned_with=self._planned_with.pop(attempt.partid, before),
            wakeable=terms.wakeable,
            several=terms.max_parts > 1,
            total_msat=terms.total_msat,
        )
        self.restrictions = restrict(before, attempt.route, said, of)
        return self.restrictions.crowds != before.crowds

    def paused(self, *, reached: bool) -> None:
        """A pause is over; `reached` is whether a part has come to the recipient meanwhile."""
        self.restrictions = woken(self.restrictions, self._terms.wakeable, reached=reached)

    def beside(self, live: Sequence[Attempt]) -> Restrictions:
        """What a plan beside the parts that are out must respect."""
        return crowded(self.restrictions, parts_on(part.route for part in live))

    def door_parts(self, live: Sequence[Attempt]) -> int | None:
        """How many HTLCs more a channel of the recipient takes, as far as that has shown."""
        most, on = self.restrictions.crowds, parts_on(part.route for part in live)
        return min((max(1, parts - on.get(channel, 0)) for channel, parts in most.items()), default=None)

    @property
    def door_wall(self) -> bool:
        """Whether the recipient has no channels but those that took no more."""
        return bool(self.restrictions.crowds) and self.restrictions.crowds.keys() == self._terms.wakeable
