"""What a payment has learnt from its parts, and what each of them was planned with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pay.feedback.blame import Blame, Speaker
from pay.feedback.restrictions import Circumstances, crowded, held_on, parts_on, restrict, woken
from pay.payment.attempt import Attempt
from pay.payment.patience import Wait
from pay.payment.terms import Terms
from pay.routing.query import Restrictions
from pay.units import ScidDir


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
        self._own: frozenset[ScidDir] = frozenset()
        self._presumed = False
        self.restrictions = Restrictions(
            excluded_nodes=terms.limits.exclude_nodes, excluded_channels=terms.limits.exclude_channels
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
            several=terms.limits.parts.max_parts > 1,
            total_msat=terms.total_msat,
        )
        if said.speaker is Speaker.US and said.channel is not None:
            self._own |= {said.channel}
        self._presumed &= bool(live)
        self.restrictions = restrict(before, attempt.route, said, of)
        return self.restrictions.crowds != before.crowds

    def paused(self, what_for: Wait | None, *, parts_out: bool) -> None:
        """A pause is over: what was left alone for it may be tried again."""
        known = self.restrictions
        match what_for:
            case Wait.BUSY:
                # These naps are short and many: for our own channels; nobody else is asked more often.
                self.restrictions = replace(known, asleep=known.asleep - self._own)
            case Wait.PHONE_OR_MONEY:
                self.restrictions = woken(known, phones=self._terms.wakeable)
            case Wait.AT_THE_DOOR:
                # What is still out may have come to the recipient: taken for true until it is back, unpaid.
                self.restrictions, self._presumed = known.awake, parts_out
            case _:
                self.restrictions = woken(known)

    def beside(self, live: Sequence[Attempt]) -> Restrictions:
        """What a plan beside the parts that are out must respect."""
        known = replace(self.restrictions, reached=True) if self._presumed and live else self.restrictions
        return crowded(known, parts_on(part.route for part in live))

    def door_parts(self, live: Sequence[Attempt]) -> int | None:
        """How many HTLCs more a channel of the recipient takes, as far as that has shown."""
        most, on = self.restrictions.crowds, parts_on(part.route for part in live)
        return min((max(1, crowd.parts - on.get(channel, 0)) for channel, crowd in most.items()), default=None)

    @property
    def door_wall(self) -> bool:
        """Whether the recipient has no channels but those that took no more."""
        return bool(self.restrictions.crowds) and self.restrictions.crowds.keys() == self._terms.wakeable
