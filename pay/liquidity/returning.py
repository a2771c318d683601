"""What we have sent over a channel may come back: who owns it rebalances, or others pay the other way.

How soon, nobody tells, and it is not the same everywhere: where balances never move it is back at once, where a
channel is used one way it never is. So several explanations compete (`contest`), each a half-life of what has been
sent. Each keeps its own bounds of the channels that we moved something over, from the moment it was first moved:

    moved a     as in `channel_facts`: side d has a less, the other a more; `out` grows by a
    later       out * (1 - 2^-(t / half-life)) of it has come back: moved as far, the other way
    passed,     each explanation is asked what it would have given to that, and charged; then it learns it too
    refused

What is used of a channel is what the explanation that is ahead believes of it; should another get ahead, the same
channels are believed to be as that one has them, at once.

What it knowingly does not do: tell channels apart (a rate for each would take years to learn), or follow channels
beside others, of which nobody knows what moved over which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pay.liquidity.chance import chance_of
from pay.liquidity.channel_facts import ChannelFacts, take_in
from pay.liquidity.contest import Contest
from pay.liquidity.facts import LACK
from pay.liquidity.forgetting import HalfLives
from pay.liquidity.observation import Moved, Passed, Refused
from pay.liquidity.prior import UNIFORM
from pay.units import Scid

NEVER = "never"
"""It stays where it went."""

RETURNS_S: Mapping[str, float] = {NEVER: float("inf"), "hours": 3 * 3_600.0, "minutes": 600.0, "at_once": 0.0}
"""Half-lives in seconds, by the names under which they are scored and kept. The first is the default: it is what
the host says of our own channels, and a belief that is too low costs a detour, one that is too high a failure."""

MOST_FOLLOWED = 1_000
"""Channels; the one that we used least lately is followed no longer."""


@dataclass(slots=True)
class _Facts:
    """Of one channel as one explanation has them: as in `facts`, and what has not come back of what was moved away
    from side 0 (less what was moved to it), as of `out_at_s`."""

    value: list[int]
    at_s: list[float]
    out_msat: float = 0.0
    out_at_s: float = 0.0

    def row(self, capacity_msat: int, now_s: float, half_life_s: float, forget: HalfLives) -> ChannelFacts:
        """To be changed, as of now; what has come back is back."""
        left = [0] * 4
        for fact, value in enumerate(self.value):
            if value:
                pace_s = forget.failure_s if fact >= LACK else forget.success_s
                left[fact] = int(value * math.exp2(-max(0.0, now_s - self.at_s[fact]) / pace_s))
        row = ChannelFacts(capacity_msat, list(self.value), list(self.at_s), left, now_s)
        back = int(self.returned(now_s, half_life_s))
        if back:
            # From the side that it was moved to.
            row.move(1 if back > 0 else 0, abs(back), 0)
        return row

    def returned(self, now_s: float, half_life_s: float) -> float:
        """Of what was out, how much has come back since."""
        return self.out_msat - self._still_out(now_s, half_life_s)

    def keep(self, row: ChannelFacts, moved_msat: int, half_life_s: float) -> None:
        """What the row is after something was learnt, `moved_msat` of it away from side 0 just now."""
        self.value, self.at_s = row.value, row.at_s
        self.out_msat = self._still_out(row.now_s, half_life_s) + moved_msat
        self.out_at_s = row.now_s

    def _still_out(self, now_s: float, half_life_s: float) -> float:
        if not half_life_s or not self.out_msat:
            return 0.0
        return self.out_msat * math.exp2(-max(0.0, now_s - self.out_at_s) / half_life_s)


@dataclass(slots=True)
class _Followed:
    """One channel, as each explanation has it."""

    capacity_msat: int
    facts: dict[str, _Facts] = field(default_factory=dict)


class Returning:
    """Follows what we moved, and says which explanation is ahead.

    Parameters
    ----------
    forget
        How fast bounds fade.
    """

    def __init__(self, forget: HalfLives):
        self.forget = forget
        self.contest = Contest(tuple(RETURNS_S), NEVER)
        self._followed: dict[Scid, _Followed] = {}

    @property
    def used(self) -> str:
        """The name of the explanation that is ahead."""
        return self.contest.best

    def follows(self, scid: Scid, capacity_msat: int) -> bool:
        """Whether we moved something over a channel of that capacity lately."""
        known = self._followed.get(scid)
        return known is not None and known.capacity_msat == capacity_msat

    def follow(self, scid: Scid, row: ChannelFacts) -> dict[str, ChannelFacts]:
        """`rows` of a channel from now on, of which they all know what `row` says."""
        alike = {name: _Facts(list(row.value), list(row.at_s)) for name in RETURNS_S}
        self._followed[scid] = _Followed(row.capacity_msat, alike)
        return self.rows(scid, row.capacity_msat, row.now_s)

    def rows(self, scid: Scid, capacity_msat: int, now_s: float) -> dict[str, ChannelFacts]:
        """A channel that is followed, as each explanation has it now."""
        facts = self._followed[scid].facts
        return {
            name: facts[name].row(capacity_msat, now_s, half_life_s, self.forget)
            for name, half_life_s in RETURNS_S.items()
        }

    def learn(self, seen: Passed | Refused | Moved, rows: Mapping[str, ChannelFacts]) -> None:
        """Charge the explanations for what was seen, and let them learn it into their `rows`.

        Within bounds every balance counts as likely as any other: what was moved from where balances lie at the
        ends lies elsewhere now, and a prior that does not know this would be against whoever says that it moved.
        """
        scid, side = seen.channel.scid, seen.channel.direction
        bounds = {name: row.bounds(side) for name, row in rows.items()}
        if len(set(bounds.values())) > 1:
            amount, size = seen.amount_msat, seen.capacity_msat
            said = {both: chance_of(UNIFORM, amount, 0, *both, size) for both in set(bounds.values())}
            chances = {name: said[both] for name, both in bounds.items()}
            # That something was refused a node can make up, that something passed it cannot alone.
            refused = isinstance(seen, Refused)
            self.contest.hear(chances, not refused, seen.forwarder if refused else None)
        followed = self._followed.pop(scid)
        self._followed[scid] = followed
        for name, half_life_s in RETURNS_S.items():
            row, moved = rows[name], 0
            told: Passed | Refused | Moved = seen
            if isinstance(seen, Moved):
                if half_life_s:
                    moved = -seen.amount_msat if side else seen.amount_msat
                else:
                    told = Passed(seen.channel, seen.capacity_msat, seen.amount_msat)
            take_in(told, {scid: row})
            followed.facts[name].keep(row, moved, half_life_s)
        while len(self._followed) > MOST_FOLLOWED:
            del self._followed[next(iter(self._followed))]

    def drop(self, scids: Iterable[Scid]) -> None:
        """Follow these no longer: what was seen of them cannot be laid on one channel."""
        for scid in scids:
            self._followed.pop(scid, None)

    def forget_all(self) -> None:
        """Follow nothing; what was found of the explanations stays."""
        self._followed.clear()

    def followed(self) -> list[tuple[Scid, int]]:
        """Channels and their capacities."""
        return [(scid, channel.capacity_msat) for scid, channel in self._followed.items()]

    def coming_back(self, now_s: float) -> dict[Scid, int]:
        """What has come back to side 0 (negative: to side 1) since something was last learnt of each channel."""
        half_life_s = RETURNS_S[self.used]
        if half_life_s in (0.0, RETURNS_S[NEVER]):
            return {}
        found = {
            scid: int(channel.facts[self.used].returned(now_s, half_life_s))
            for scid, channel in self._followed.items()
        }
        return {scid: msat for scid, msat in found.items() if msat}
