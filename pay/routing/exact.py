"""From a path of nodes to a route in exact integers, backwards from the recipient.

BOLT 7: a node takes its fee on what it forwards, so amounts are known from the end only; the CLTV of an HTLC
is that of the next one plus the delta of the channel that it leaves through. Of parallel channels each hop
takes the one that is best at the amount that it must really carry. Our own channel asks nothing of us.

Where no channel between two nodes carries the exact amount (fees may lift it over a maximum that the query's
amount kept below), the pass reports which arcs are in the way and the search goes on without them.

BOLT 4: the payloads of all hops fit in 1,300 bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import exp, log, prod
from sys import float_info

from pay.network import OwnChannel
from pay.routing.arcs import Arc, Usable
from pay.routing.costs import Prices
from pay.routing.problem import Problem
from pay.routing.query import Hop, Route, RouteQuery
from pay.units import Scid, ScidDir, fee_msat

ONION_BYTES = 1_300
"""BOLT 4: length of hop_payloads."""

_HMAC_BYTES = 32
_CLTV_BYTES = 3
"""Block heights stay below 2^24 for three centuries."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A route and what it is worth: `cost_msat` by the prices it was traced with, noise included."""

    route: Route
    cost_msat: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """None of the parallel arcs at these positions of `Usable` carries the exact amount.

    Empty if it is our own channels to the first node that cannot.
    """

    positions: tuple[int, ...]


@dataclass(slots=True)
class Load:
    """What the routes of one plan so far put on each channel direction: msat and HTLCs."""

    msat: Counter[ScidDir] = field(default_factory=Counter)
    htlcs: Counter[ScidDir] = field(default_factory=Counter)

    def add(self, route: Route) -> None:
        for hop in route.hops:
            self.msat[hop.scid_dir] += hop.amount_msat
            self.htlcs[hop.scid_dir] += 1

    @classmethod
    def of(cls, routes: Iterable[Route]) -> Load:
        load = cls()
        for route in routes:
            load.add(route)
        return load

    def without(self, route: Route) -> Load:
        """That of the other routes."""
        rest = Load(self.msat.copy(), self.htlcs.copy())
        for hop in route.hops:
            rest.msat[hop.scid_dir] -= hop.amount_msat
            rest.htlcs[hop.scid_dir] -= 1
        return rest

    def left(self, channel: OwnChannel) -> OwnChannel:
        """A channel of ours as this load leaves it."""
        named = ScidDir(channel.scid, channel.direction)
        spendable, htlcs = channel.spendable_msat - self.msat[named], channel.live_htlcs + self.htlcs[named]
        return replace(channel, spendable_msat=spendable, live_htlcs=htlcs)


@dataclass(frozen=True, slots=True)
class Tracer:
    """What a path is traced with.

    Parameters
    ----------
    shut
        Positions in `usable` that must not be used.
    load
        Of the other routes of the same plan: it takes from what is believed to be on an arc.
    """

    problem: Problem
    usable: Usable
    query: RouteQuery
    prices: Prices
    shut: set[int] = field(default_factory=set)
    load: Load = field(default_factory=Load)

    def trace(
        self,
        path: Sequence[int],
        amount_msat: int,
        arcs: Sequence[Arc] | None = None,
        channel: OwnChannel | None = None,
    ) -> Traced | Blocked:
        """The exact route for `amount_msat` along `path`, the node numbers from our peer to the recipient.

        Over the best of parallel channels, or over these `arcs`; through that channel of ours that suits best, or
        through `channel`.
        """
        amount, delay, cost = amount_msat, self.query.final_cltv, 0.0
        # A part locks its share of the query's amount.
        prices = self.prices._replace(block=self.prices.block * amount_msat / self.query.amount_msat)
        hops: list[Hop] = []
        chances: list[float] = []
        for at in range(len(path) - 2, -1, -1):
            start, end = path[at], path[at + 1]
            between = [] if arcs else [int(p) for p in self.usable.between(start, end) if int(p) not in self.shut]
            if arcs is None:
                best = self._best(between, end, amount, prices)
            else:
                best = self._take(arcs[at], end, amount, prices, self.shared(start, end))
            if best is None:
                return Blocked(tuple(between))
            arc, price, chance = best
            hops.append(Hop(Scid(arc.scid), arc.direction, self.problem.node_id(end), amount, delay))
            chances.append(chance)
            cost += price
            amount += fee_msat(amount, arc.fee_base_msat, arc.fee_ppm)
            delay += arc.cltv_delta
        channel = self.own(path[0], amount, channel)
        if channel is None:
            return Blocked(())
        hops.append(Hop(channel.scid, channel.direction, self.problem.node_id(path[0]), amount, delay))
        nats, seconds = self.problem.tolls_along(path)
        cost += prices.nat * nats + prices.second * seconds
        return Traced(Route(tuple(reversed(hops)), likelihood(chances, nats), seconds), cost)

    def _best(
        self, positions: Sequence[int], end: int, amount_msat: int, prices: Prices
    ) -> tuple[Arc, float, float] | None:
        """The cheapest of parallel arcs that carries the amount, its cost in msat and its chance."""
        best: tuple[Arc, float, float] | None = None
        for position in positions:
            arc = self.problem.arcs.arc(int(self.usable.row[position]))
            costs, drawn = self.usable.costs, prices
            if costs.noise is not None:
                drawn = prices._replace(block=prices.block * float(costs.noise[position]))
            this = self._take(arc, end, amount_msat, drawn, len(positions) > 1)
            if this is not None and costs.drawn_fee is not None:
                this = arc, this[1] + prices.fee * float(costs.drawn_fee[position]), this[2]
            if this is not None and (best is None or this[1] < best[1]):
                best = this
        return best

    def _take(
        self, arc: Arc, end: int, amount_msat: int, prices: Prices, shared: bool
    ) -> tuple[Arc, float, float] | None:
        """An arc to node `end`, if it carries the amount, its cost in msat and its chance."""
        load = self._loaded(arc)
        # A single part takes all of one of parallel channels: it is sure of a place in one as large.
        if not arc.carries(amount_msat, load + (spared(arc) if shared and self.load.msat else 0)):
            return None
        if self._crowded(arc, end):
            return None
        chance = arc.chance(amount_msat, load)
        price = prices.fee * fee_msat(amount_msat, arc.fee_base_msat, arc.fee_ppm)
        price += prices.block * arc.cltv_delta - prices.nat * log(chance) + prices.hop
        return arc, price, chance

    def _loaded(self, arc: Arc) -> int:
        return self.load.msat[ScidDir(Scid(arc.scid), arc.direction)] if self.load.msat else 0

    def _crowded(self, arc: Arc, end: int) -> bool:
        """Whether it leads into the recipient and others of the plan have as many HTLCs there as should be."""
        if end != self.problem.target or not self.load.htlcs:
            return False
        return self.load.htlcs[ScidDir(Scid(arc.scid), arc.direction)] >= self.query.door_parts

    def shared(self, start: int, end: int) -> bool:
        """Whether there are parallel channels between two nodes."""
        return len(self.usable.between(start, end)) > 1

    def most(self, path: Sequence[int], arcs: Sequence[Arc], channel: OwnChannel | None = None) -> int:
        """The most that one of several parts delivers along `path` over these arcs, msat."""
        own = (channel,) if channel is not None else self.problem.peers[path[0]]
        most = max(map(self._most_own, own))
        for arc, (start, end) in zip(arcs, pairwise(path), strict=True):
            most = less_fee(most, arc.fee_base_msat, arc.fee_ppm)
            free = arc.capacity_msat - self._loaded(arc) - (spared(arc) if self.shared(start, end) else 0)
            most = min(most, arc.most_msat, 0 if self._crowded(arc, end) else free)
        return max(most, 0)

    def own(self, peer: int, amount_msat: int, only: OwnChannel | None = None) -> OwnChannel | None:
        """Our channel to a peer for such an HTLC: the smallest that does, so that large ones stay large."""
        fitting = [
            channel
            for channel in (self.problem.peers[peer] if only is None else (only,))
            if channel.htlc_min_msat <= amount_msat <= self._most_own(channel)
        ]
        return min(fitting, key=lambda channel: (channel.spendable_msat, channel.scid), default=None)

    def _most_own(self, channel: OwnChannel) -> int:
        named = ScidDir(channel.scid, channel.direction)
        if self.load.htlcs[named] >= channel.free_htlcs:
            return 0
        return min(channel.spendable_msat - self.load.msat[named], channel.htlc_max_msat)


def likelihood(chances: Iterable[float], nats: float) -> float:
    """That all of these happen and what the nodes add does not: never 0, which has no logarithm."""
    return max(prod(chances) * exp(-nats), float_info.min)


def spared(arc: Arc) -> int:
    """Of one of parallel channels of others, msat: several parts do not fill them to the brim. Their owner chooses
    which of them each part takes (BOLT 4, non-strict forwarding), and does not choose so that all find a place."""
    return arc.capacity_msat * 3 // 100


def less_fee(amount_msat: int, base_msat: int, ppm: int) -> int:
    """The most that a node which gets so much passes on, msat; negative where its base fee is more."""
    most = (amount_msat - base_msat) * 1_000_000 // (1_000_000 + ppm)
    # Fees are rounded down, so a msat more may fit.
    return most + (most + 1 + fee_msat(most + 1, base_msat, ppm) <= amount_msat)


def most_own(channel: OwnChannel) -> int:
    """The largest HTLC that our own channel takes now, msat."""
    return min(channel.spendable_msat, channel.htlc_max_msat) if channel.usable and channel.free_htlcs else 0


def onion_bytes(route: Route, metadata_bytes: int = 0) -> int:
    """Size of the hop payloads of `route` (BOLT 4, tlv_payload), HMACs included; the total at its longest."""
    total = 0
    for hop in route.hops[1:]:
        total += _framed(2 + _tu64(hop.amount_msat) + 2 + _CLTV_BYTES + 2 + 8)
    final = 2 + _tu64(route.amount_msat) + 2 + _CLTV_BYTES + 2 + 32 + 8
    if metadata_bytes:
        final += 1 + _bigsize(metadata_bytes) + metadata_bytes
    return total + _framed(final)


def _framed(payload_bytes: int) -> int:
    return _bigsize(payload_bytes) + payload_bytes + _HMAC_BYTES


def _tu64(value: int) -> int:
    return (value.bit_length() + 7) // 8


def _bigsize(value: int) -> int:
    return 1 if value < 0xFD else 3
