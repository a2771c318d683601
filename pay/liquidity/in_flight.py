"""What our own live parts hold on channels of others; derived from the parts each time, so nothing can leak.

And what parts that were out together mean for each other's lessons. Answers arrive when they arrive: a part that
was refused may have met another that has failed, or settled, before we hear of the refusal. With `x` what a side
could forward before what we hold there counts as gone, as of now with all that was learnt before:

    refused a    less than a + h     parts the same way that are out, or failed while this one was out: they may
                                     have been in the channel. Parts the other way that settled meanwhile: what
                                     they brought may not have been there yet.
    passed a     at least a - h      parts the same way that settled meanwhile: it may have passed before them.
                                     Parts the other way that are out: it may have used what they brought.
    moved a      brought a - h       parts the other way that settled meanwhile: these may have used it.

So bounds hold whatever the order was, at the price of some width where parts crowd.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from enum import Enum, auto

from pay.units import Scid, ScidDir


class Fate(Enum):
    """What became of a part."""

    OUT = auto()
    SETTLED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """A part of ours: what it puts on each channel of others, and when it was out (unix seconds)."""

    holds: tuple[tuple[ScidDir, int], ...]
    fate: Fate
    began_s: float
    ended_s: float | None = None
    scids: frozenset[Scid] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Hundreds of parts are looked through for each that ends, and hardly any of them went the same way.
        object.__setattr__(self, "scids", frozenset(channel.scid for channel, _ in self.holds))


@dataclass(frozen=True, slots=True)
class InFlight:
    """Parts that are out, and those that ended lately."""

    parts: tuple[Part, ...] = ()

    def held(self) -> dict[ScidDir, int]:
        """What is held on each direction, msat; empty when nothing is out."""
        held: dict[ScidDir, int] = {}
        for part in self.parts:
            for channel, amount_msat in part.holds if part.fate is Fate.OUT else ():
                held[channel] = held.get(channel, 0) + amount_msat
        return held

    def since(self, began_s: float) -> InFlight:
        """The parts that were out at that time or later."""
        return InFlight(tuple(p for p in self.parts if p.ended_s is None or p.ended_s >= began_s))

    def may_have_kept_out(self, channels: Set[Scid], direction: int) -> int:
        """What must be added to an amount that was refused on any of `channels`, by parts out with that one."""
        return self._sum(channels, direction, (Fate.OUT, Fate.FAILED), (Fate.SETTLED,))

    def may_have_let_pass(self, channels: Set[Scid], direction: int) -> int:
        """What must be taken off an amount that passed, likewise."""
        return self._sum(channels, direction, (Fate.SETTLED,), (Fate.OUT,))

    def may_have_spent(self, channels: Set[Scid], direction: int) -> int:
        """What may be gone again of an amount that was moved, likewise."""
        return self._sum(channels, direction, (), (Fate.SETTLED,))

    def parts_on(self, channels: Set[Scid], direction: int) -> int:
        """How many of them are out on any of `channels`."""
        return sum(
            any(channel.scid in channels and channel.direction == direction for channel, _ in part.holds)
            for part in self.parts
            if part.fate is Fate.OUT and not part.scids.isdisjoint(channels)
        )

    def _sum(self, channels: Set[Scid], direction: int, same: Iterable[Fate], opposite: Iterable[Fate]) -> int:
        fates = {direction: frozenset(same), 1 - direction: frozenset(opposite)}
        return sum(
            amount_msat
            for part in self.parts
            if not part.scids.isdisjoint(channels)
            for channel, amount_msat in part.holds
            if channel.scid in channels and part.fate in fates[channel.direction]
        )
