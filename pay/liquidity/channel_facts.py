"""What one observation means for the channels that it speaks of.

On channel c, direction d, side d of it and the other side o (LOW and LACK are the rows of `facts`):

    passed     at least a was there     side d has a                          LOW d  is a or more
    refused    less than a was there    side d lacks c - a + 1                LACK d is that or more
    moved      a was there and has      side d has a less, lacks a more       LOW d - a, LACK d + a
               gone to side o           side o has a more, lacks a less       LOW o + a, LACK o - a
    seen       our own channel          both sides                            all four

A fact that a new one contradicts is dropped, not trimmed: somebody else has paid since, nobody knows how much. It
counts as it was learnt, not as it has faded: what is left of "less than 100,000" after some hours, "less than
200,000", was never seen, and nothing of it is true once 100,000 have passed. What is changed is first faded to
now, so nothing is remembered for longer because something was added to it.

The side that receives may have been below its reserve. If it is not known to have had something to spend, the
first of what it gets may have to fill that.

Where other channels lie beside it, a refusal is of all of them, as the node would have used another. What passed
or moved cannot be laid on one of them: each may have a less now, or more, and bounds only widen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pay.liquidity.facts import LACK, LOW, reserved, reserved_by_one
from pay.liquidity.observation import Moved, Passed, Refused, Seen
from pay.units import Scid


@dataclass(slots=True)
class ChannelFacts:
    """One channel while it is changed.

    Parameters
    ----------
    value, at_s
        Its four facts as they are kept, msat and unix seconds.
    left
        The same faded to `now_s`.
    """

    capacity_msat: int
    value: list[int]
    at_s: list[float]
    left: list[int]
    now_s: float

    def set(self, fact: int, value_msat: int) -> None:
        value = min(max(value_msat, 0), self.capacity_msat)
        self.value[fact] = self.left[fact] = value
        self.at_s[fact] = self.now_s

    def raise_to(self, fact: int, value_msat: int) -> None:
        """Unless what is left of the fact that is known says as much."""
        if value_msat > self.left[fact]:
            self.set(fact, value_msat)

    def change(self, fact: int, amount_msat: int) -> None:
        """Of a fact that is known; nothing known stays so."""
        if self.left[fact]:
            self.set(fact, self.left[fact] + amount_msat)

    def has(self, side: int, amount_msat: int) -> None:
        """It is there, whatever was believed."""
        amount = min(amount_msat, self.capacity_msat)
        for fact in (LACK + side, LOW + 1 - side):
            if self.value[fact] + amount > self.capacity_msat:
                self.set(fact, 0)
        self.raise_to(LOW + side, amount)

    def lacks(self, side: int, amount_msat: int) -> None:
        """So much is missing there from the capacity, whatever was believed."""
        if self.value[LOW + side] + amount_msat > self.capacity_msat:
            self.set(LOW + side, 0)
        self.raise_to(LACK + side, amount_msat)

    def move(self, side: int, amount_msat: int, spent_msat: int) -> None:
        """All of it, from `side` to the other; some of it may be back."""
        other = 1 - side
        self.change(LOW + side, -amount_msat)
        self.change(LACK + side, amount_msat)
        self.change(LACK + other, -amount_msat)
        if self.left[LOW + other]:
            self.change(LOW + other, amount_msat)
        else:
            self.raise_to(LOW + other, amount_msat - spent_msat - reserved_by_one(self.capacity_msat))

    def may_have_moved(self, side: int, amount_msat: int) -> None:
        """All of it or nothing."""
        self.change(LOW + side, -amount_msat)
        self.change(LACK + 1 - side, -amount_msat)

    def bounds(self, side: int) -> tuple[int, int]:
        """What `side` could forward now, at least and at most: as `facts.bounds` of one channel."""
        low, lack = self.left[LOW + side], self.left[LACK + side]
        other_low, other_lack = self.left[LOW + 1 - side], self.left[LACK + 1 - side]
        high = self.capacity_msat - max(lack, other_low)
        if lack + other_lack <= self.capacity_msat + reserved(self.capacity_msat):
            low = max(low, min(other_lack - reserved(self.capacity_msat), high))
        return min(low, high), high

    def denies(self, side: int, amount_msat: int) -> bool:
        """Whether it is believed that so much is not there."""
        return self.left[LACK + side] + amount_msat > self.capacity_msat


def take_in(seen: Passed | Refused | Moved | Seen, rows: Mapping[Scid, ChannelFacts]) -> None:
    """Change the rows of the channels that `seen` speaks of."""
    row, side = rows[seen.channel.scid], seen.channel.direction
    match seen:
        case Passed(_, _, amount_msat, beside):
            _passed(row, [rows[scid] for scid, _ in beside], side, amount_msat)
        case Refused(_, _, amount_msat, beside):
            for refusing in (row, *(rows[scid] for scid, _ in beside)):
                refusing.lacks(side, refusing.capacity_msat - amount_msat + 1)
        case Moved(_, _, amount_msat, spent_msat, beside):
            others = [rows[scid] for scid, _ in beside]
            _passed(row, others, side, amount_msat)
            if others:
                for one in (row, *others):
                    one.may_have_moved(side, amount_msat)
            else:
                row.move(side, amount_msat, spent_msat)
        case Seen(_, _, spendable_msat, receivable_msat):
            for of, has_msat in ((side, spendable_msat), (1 - side, receivable_msat)):
                row.set(LOW + of, has_msat)
                row.set(LACK + of, row.capacity_msat - has_msat)


def _passed(row: ChannelFacts, others: list[ChannelFacts], side: int, amount_msat: int) -> None:
    if not others:
        row.has(side, amount_msat)
    elif all(one.denies(side, amount_msat) for one in (row, *others)):
        # One of them must be wrong, and nobody knows which.
        for one in (row, *others):
            one.set(LACK + side, 0)
