"""What a plan believes of its arcs, from what is known of channels and nodes; see `pay.liquidity.chance`.

Most arcs of a plan have nothing known of them and nothing in flight: what the prior says of their size is computed
for all of them at once (`costs.arc_costs`). The few others are worked out here and put over that, so that
knowledge costs by how much there is of it.

Two kinds of bounds meet on an arc. What is believed (`low`, `high`) may be wrong. What this payment was refused
just now, or what is not ours to doubt, is a `limit`: the balance is not above it, and the chance is conditional
on that. With `P` as in `pay.liquidity.chance`, what is held `h`, and the limit `l`,

    chance(a) = (P(h + a) - P(l + 1)) / (P(h) - P(l + 1))

which with nothing known and a uniform prior is `(l + 1 - h - a) / (l + 1 - h)`.

A node that was unreliable or slow lately makes every arc into it dearer, the recipient excepted: every way ends
there.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pay.liquidity.chance import chance, chance_of
from pay.liquidity.knowledge import Knowledge
from pay.liquidity.prior import UNIFORM, Ints, Prior
from pay.network import ChannelGraph

FAINTEST = 1e-15
"""No arc that carries an amount has less of a chance: float64 does not tell such differences."""


class Belief(NamedTuple):
    """Of one arc, msat: what is held there, the bounds and the size of the channel, and the limit."""

    prior: Prior
    held_msat: int
    low_msat: int
    high_msat: int
    size_msat: int
    limit_msat: int

    def chance(self, amount_msat: int, load_msat: int = 0) -> float:
        """That it forwards `amount_msat` more if it can forward what is held and `load_msat`."""
        held = self.held_msat + load_msat
        if not self.low_msat and self.high_msat >= self.limit_msat:
            if self.prior is UNIFORM:
                room = self.limit_msat + 1 - held
                return (room - amount_msat) / room
            if self.limit_msat >= self.size_msat:
                passes = self.prior.survival_of
                with_more = passes(held + amount_msat, self.size_msat)
                return max(with_more / passes(held, self.size_msat), FAINTEST)
        beyond = self._passes(self.limit_msat + 1)
        before = self._passes(held) - beyond
        return max((self._passes(held + amount_msat) - beyond) / before, FAINTEST) if before > 0 else FAINTEST

    def _passes(self, amount_msat: int) -> float:
        if amount_msat > self.size_msat:
            return 0.0
        return chance_of(self.prior, amount_msat, 0, self.low_msat, self.high_msat, self.size_msat)


class Beliefs(NamedTuple):
    """The same of k arcs, int64[k] each."""

    held_msat: Ints
    low_msat: Ints
    high_msat: Ints
    size_msat: Ints
    limit_msat: Ints

    @classmethod
    def nothing(cls) -> Beliefs:
        return cls(*(np.zeros(0, np.int64) for _ in cls._fields))

    @property
    def free(self) -> bool:
        """Whether nothing is held on any, and nothing but the size of the channel limits it: all in all likely."""
        return not self.held_msat.any() and bool((self.limit_msat >= self.size_msat).all())

    def take(self, at: NDArray[np.intp]) -> Beliefs:
        return Beliefs(*(column[at] for column in self))

    def one(self, prior: Prior, at: int) -> Belief:
        return Belief(prior, *(int(column[at]) for column in self))

    def nats(self, prior: Prior, amount_msat: int, base_share: float = 1.0) -> NDArray[np.float32]:
        """`-ln` of each arc's chance for an amount that it carries, float32[k]; of what the least amount has,
        `base_share`."""
        nats = self._nats(prior, amount_msat)
        return nats if base_share >= 1 else nats - self._nats(prior, 1) * np.float32(1 - base_share)

    def _nats(self, prior: Prior, amount_msat: int) -> NDArray[np.float32]:
        nothing = np.zeros(1, np.int64)

        def passes(amount: Ints | int) -> NDArray[np.float64]:
            return chance(prior, amount, nothing, self.low_msat, self.high_msat, self.size_msat)

        if self.free:
            share = passes(amount_msat)
        else:
            beyond = passes(self.limit_msat + 1)
            after, before = passes(self.held_msat + amount_msat) - beyond, passes(self.held_msat) - beyond
            share = np.full(len(after), FAINTEST)
            np.divide(after, before, out=share, where=before > 0)
        np.maximum(share, FAINTEST, out=share)
        nats: NDArray[np.float32] = -np.log(share).astype(np.float32)
        return nats


class KnownRows(NamedTuple):
    """The graph's arcs of which something is known: rows int32[k] as a plan sorts them, ascending, and what."""

    row: NDArray[np.int32]
    beliefs: Beliefs

    @classmethod
    def of(cls, knowledge: Knowledge, graph: ChannelGraph, row: NDArray[np.int32]) -> KnownRows:
        """Of a graph whose arc `a` is the plan's `row[a]`.

        Kept for the last knowledge asked with: a payment plans more than once with the same.
        """
        if not len(knowledge):
            return NO_ROWS
        kept = _kept.get(graph)
        if kept is None or kept[0] is not knowledge or kept[1] is not row:
            kept = _kept[graph] = (knowledge, row, cls._found(knowledge, graph, row))
        return kept[2]

    @classmethod
    def _found(cls, knowledge: Knowledge, graph: ChannelGraph, row: NDArray[np.int32]) -> KnownRows:
        channel = graph.find_channels(knowledge.scid)
        there = np.flatnonzero(channel >= 0)
        arc = np.concatenate([2 * channel[there] + direction for direction in (0, 1)])
        size = graph.capacity_msat[arc]
        high = np.minimum(knowledge.high_msat[:, there].ravel(), size)
        low = np.minimum(knowledge.low_msat[:, there].ravel(), high)
        rows = row[arc]
        order = np.argsort(rows)
        # Closed arcs have no row.
        order = order[np.searchsorted(rows, 0, sorter=order) :]
        return cls(rows[order], Beliefs(np.zeros(len(arc), np.int64), low, high, size, size).take(order))

    def find(self, row: int) -> int | None:
        """Where a row stands here."""
        if not len(self.row):
            return None
        at = int(self.row.searchsorted(np.int32(row)))
        return at if at < len(self.row) and self.row[at] == row else None


class Tolls(NamedTuple):
    """What nodes add to arcs into them: node numbers intp[t], nats and seconds float32[t]; the same by number."""

    node: NDArray[np.intp]
    nats: NDArray[np.float32]
    seconds: NDArray[np.float32]
    by_number: dict[int, tuple[float, float]]

    def of(self, number: int) -> tuple[float, float]:
        """Nats and seconds of one node."""
        return self.by_number.get(number, _FREE)


def tolls(by_number: dict[int, tuple[float, float]]) -> Tolls:
    """Of these nodes: (nats, seconds) by number."""
    if not by_number:
        return NO_TOLLS
    nats, seconds = np.array(list(by_number.values()), np.float32).T
    return Tolls(np.array(list(by_number), np.intp), nats, seconds, by_number)


NO_ROWS = KnownRows(np.zeros(0, np.int32), Beliefs.nothing())
NO_TOLLS = Tolls(np.zeros(0, np.intp), np.zeros(0, np.float32), np.zeros(0, np.float32), {})
_FREE = (0.0, 0.0)
_kept: WeakKeyDictionary[ChannelGraph, tuple[Knowledge, NDArray[np.int32], KnownRows]] = WeakKeyDictionary()
