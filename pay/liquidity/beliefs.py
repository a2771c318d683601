"""What is believed of all channels and nodes, learnt from observations; shared by all payments.

What one observation means is in `channel_facts`, what the facts of a channel are together in `facts`, how they
fade in `forgetting`. What is believed where nothing was seen, and how soon what we sent comes back, are
explanations that compete (`contest`, `returning`): used is the one that has foretold our own outcomes best. What
is believed is changed in place and read as a `Knowledge` that does not change; who plans on another thread makes
it there, where the learning is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pay.liquidity import facts
from pay.liquidity.chance import chance_of
from pay.liquidity.channel_facts import ChannelFacts, take_in
from pay.liquidity.contest import NOTHING_HEARD, Contest, Scores
from pay.liquidity.experience import Experience, NodeBelief
from pay.liquidity.facts import EMPTY, LACK, Table
from pay.liquidity.forgetting import HalfLives, faded_columns
from pay.liquidity.knowledge import Knowledge
from pay.liquidity.observation import (
    Beside,
    Moved,
    NodeFailed,
    NodeWorked,
    Observation,
    Passed,
    Refused,
    Seen,
    Took,
)
from pay.liquidity.prior import DEFAULT_PRIOR, PRIORS, Ints, Prior
from pay.liquidity.returning import Returning
from pay.units import Scid


@dataclass(frozen=True, slots=True)
class Believed:
    """All of it, to be kept or handed on: facts, and how well priors and half-lives of what we sent have
    foretold."""

    channels: Table = EMPTY
    nodes: tuple[NodeBelief, ...] = ()
    priors: Scores = NOTHING_HEARD
    returns: Scores = NOTHING_HEARD


class LiquidityBeliefs:
    """Learns, and says what it believes.

    Parameters
    ----------
    half_lives
        How fast it forgets. May be set to others at any time.
    prior
        Of the balances of which nothing is known; None for the one that foretells best.

    Attributes
    ----------
    changes
        Counts what was learnt, for those who keep something of it.
    fixed_prior
        As `prior`; may be set to another at any time. All of them are scored whichever is used.
    """

    def __init__(self, half_lives: HalfLives | None = None, prior: Prior | None = None):
        self.fixed_prior = prior
        self.changes = 0
        self._priors = Contest(tuple(PRIORS), DEFAULT_PRIOR.name)
        self._returning = Returning(half_lives or HalfLives())
        self._half_lives = half_lives or HalfLives()
        self._half_life_s = facts.half_lives_column(self._half_lives)
        self._table = EMPTY
        self._value, self._speaks = facts.holding(EMPTY, self._half_life_s)
        self._nodes = Experience(self._half_lives.node_s)

    @property
    def prior(self) -> Prior:
        """The one in use."""
        return self.fixed_prior or PRIORS[self._priors.best]

    @property
    def returns(self) -> str:
        """How soon what we sent is believed to come back: a name of `returning.RETURNS_S`."""
        return self._returning.used

    @property
    def half_lives(self) -> HalfLives:
        return self._half_lives

    @half_lives.setter
    def half_lives(self, half_lives: HalfLives) -> None:
        self._half_lives = half_lives
        self._half_life_s = facts.half_lives_column(half_lives)
        self._nodes.half_life_s = half_lives.node_s
        self._returning.forget = half_lives
        self._settle()

    def __len__(self) -> int:
        """Of how many channels something is known."""
        return int(np.count_nonzero(self._value.any(axis=0)))

    # --- learning ---------------------------------------------------------------------------------------

    def learn(self, observations: Iterable[Observation], now_s: float) -> None:
        """Take in what was seen, in its order, at unix time `now_s` in seconds."""
        seen = list(observations)
        if not seen:
            return
        self.changes += 1
        channels = [of for of in seen if isinstance(of, Passed | Refused | Moved | Seen)]
        if channels:
            self._make_room({scid: size for of in channels for scid, size in _named(of)})
            rows: dict[Scid, ChannelFacts] = {}
            returns = self._returning.used
            for of in channels:
                self._take_in(of, rows, now_s)
            if self._returning.used != returns:
                self._believe_anew(rows, now_s)
            self._write(rows, now_s)
        for node in seen:
            if isinstance(node, NodeFailed | NodeWorked | Took):
                self._nodes.learn(node, now_s)

    def _take_in(self, of: Passed | Refused | Moved | Seen, rows: dict[Scid, ChannelFacts], now_s: float) -> None:
        """Learn it into the rows, after those who foretell were asked for it."""
        scid, size = of.channel.scid, of.capacity_msat
        if not isinstance(of, Seen) and not of.beside and self._returning.follows(scid, size):
            # The table's row is what is used of these, so it need not be looked up.
            each = self._returning.rows(scid, size, now_s)
        else:
            for name, _ in _named(of):
                if name not in rows:
                    rows[name] = self._row(name, now_s)
            if isinstance(of, Seen) or of.beside:
                self._returning.drop(name for name, _ in _named(of))
                take_in(of, rows)
                return
            if not isinstance(of, Moved):
                self._ask(of, rows[scid])
                take_in(of, rows)
                return
            each = self._returning.follow(scid, rows[scid])
        self._ask(of, each[self.returns])
        self._returning.learn(of, each)
        rows[scid] = each[self.returns]

    def _ask(self, of: Passed | Refused | Moved, row: ChannelFacts) -> None:
        """Every prior for its chance of what was seen, unless bounds say it all."""
        low, high = row.bounds(of.channel.direction)
        if low < of.amount_msat <= high:
            size = row.capacity_msat
            chances = {
                # Where nothing is known, which is most of them, doubt makes no difference.
                name: chance_of(prior, of.amount_msat, 0, low, high, size)
                if low or high < size
                else prior.survival_of(of.amount_msat, size)
                for name, prior in PRIORS.items()
            }
            self._priors.hear(chances, not isinstance(of, Refused), of.forwarder)

    def _believe_anew(self, rows: dict[Scid, ChannelFacts], now_s: float) -> None:
        """Another explanation is ahead: all that we moved something over is as that one has it."""
        followed = self._returning.followed()
        self._make_room(dict(followed))
        for scid, size in followed:
            rows[scid] = self._returning.rows(scid, size, now_s)[self.returns]

    def _make_room(self, capacities: dict[Scid, int]) -> None:
        grown = facts.grown(self._table, capacities)
        if grown is not self._table:
            self._table = grown
            self._settle()

    def _row(self, scid: Scid, now_s: float) -> ChannelFacts:
        at = np.searchsorted(self._table.scid, np.array([scid], np.uint64))
        taken = self._table.take(at)
        # What a newer fact contradicts is over once something else is learnt.
        value = self._value[:, at]
        left = faded_columns(value, taken.at_s, now_s, self._half_life_s)
        size = int(taken.capacity_msat[0])
        return ChannelFacts(size, value[:, 0].tolist(), taken.at_s[:, 0].tolist(), left[:, 0].tolist(), now_s)

    def _write(self, rows: dict[Scid, ChannelFacts], now_s: float) -> None:
        at = np.searchsorted(self._table.scid, np.array(list(rows), np.uint64))
        value = np.array([row.value for row in rows.values()], np.int64).T
        self._table.value_msat[:, at] = value
        self._table.at_s[:, at] = np.array([row.at_s for row in rows.values()], np.float64).T
        if value[LACK:].all(axis=0).any():
            self._value[:, at], self._speaks[at] = facts.holding(self._table.take(at), self._half_life_s)
        else:
            # No fact of a row contradicts another of it, and one refusal alone speaks for the other side.
            self._value[:, at], self._speaks[at] = value, True
        shrunk = facts.shrunk(self._table, now_s, self._half_life_s)
        if shrunk is not self._table:
            self._table = shrunk
            self._settle()

    def _settle(self) -> None:
        """What counts of the table, after it changed in many places."""
        self._value, self._speaks = facts.holding(self._table, self._half_life_s)

    # --- reading ----------------------------------------------------------------------------------------

    def knowledge(self, now_s: float) -> Knowledge:
        """What a plan may read, as of now: faded, and each bound no tighter than any that follows from it."""
        table = self._table
        both = facts.bounds(table, self._value, self._speaks, now_s, self._half_life_s)
        self._bring_back(both, now_s)
        costs = self._nodes.costs(now_s)
        # The columns of the table are written in place: what is handed out stays as it is.
        return Knowledge(table.scid, both[:2], both[2:], table.capacity_msat.copy(), costs, self.prior)

    def _bring_back(self, both: Ints, now_s: float) -> None:
        """Move the bounds (`facts.bounds`) by what has come back of what we sent."""
        back = self._returning.coming_back(now_s)
        if not back:
            return
        at, there = facts.find(self._table, np.array(list(back), np.uint64))
        at, msat = at[there], np.array(list(back.values()), np.int64)[there]
        size = self._table.capacity_msat[at]
        for side, moved in ((0, msat), (1, -msat)):
            for bound in (side, 2 + side):
                both[bound, at] = np.clip(both[bound, at] + moved, 0, size)

    def believed(self) -> Believed:
        """All that counts, with the times at which it was learnt."""
        table = self._table
        known = np.flatnonzero(self._value.any(axis=0))
        counting = Table(table.scid, table.capacity_msat, self._value, table.at_s).take(known)
        agreeing = facts.agreeing(counting, self._half_life_s)
        return Believed(agreeing, self._nodes.beliefs(), self._priors.scores, self._returning.contest.scores)

    # --- all of it --------------------------------------------------------------------------------------

    def merge(self, other: Believed, now_s: float) -> None:
        """Take in what somebody else learnt, or we before a restart: of each fact the stronger.

        What is dated later than now is taken as of now: a clock that was wrong keeps nothing for years.
        """
        self.changes += 1
        joined = facts.union(self._table, facts.dated_until(other.channels, now_s), self._half_life_s)
        self._table = facts.shrunk(joined, now_s, self._half_life_s)
        self._settle()
        self._nodes.merge(other.nodes, now_s)
        self._priors.merge(other.priors)
        self._returning.contest.merge(other.returns)
        self._returning.forget_all()

    def tidy(self, now_s: float) -> None:
        """Drop what has faded to next to nothing."""
        tidied = facts.tidied(self._table, now_s, self._half_life_s)
        if tidied is not self._table:
            self.changes += 1
            self._table = tidied
            self._settle()

    def reset(self) -> None:
        """Forget everything."""
        self.changes += 1
        self._table = EMPTY
        self._settle()
        self._nodes = Experience(self._half_lives.node_s)
        self._priors.reset()
        self._returning = Returning(self._half_lives)


def _named(seen: Passed | Refused | Moved | Seen) -> list[Beside]:
    """All channels that an observation speaks of, the one it names first."""
    return [Beside(seen.channel.scid, seen.capacity_msat), *(() if isinstance(seen, Seen) else seen.beside)]
