"""The last resort for several parts: the best plan over many ways at once, where flows of chunks found none.

Which ways there are is asked of a linear program over those that are known: what a msat of fee, or one more
through a channel, would be worth to it (its dual prices) goes onto the weights of a shortest-path search, and the
way that this finds is worth having; until there is none (column generation; Desrosiers and Lübbecke, "A primer in
column generation", 2005). There is a search for each of several sizes of part, since a wide way saves parts. Where
a network is so small that all ways can be listed they are, and what is then found impossible, is. In one as large
as the public network none of this is tried.

How much goes each way is an integer program; see `portions`. Its figures are turned into exact routes here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import isfinite

import numpy as np

from pay.network import OwnChannel
from pay.routing.arcs import Arc, Usable
from pay.routing.bounds import Floats, in_time, soonest
from pay.routing.costs import Prices
from pay.routing.exact import Load, Traced, Tracer, most_own
from pay.routing.portions import Duals, Portion, duals, portions
from pay.routing.problem import Problem
from pay.routing.query import Route, RouteQuery
from pay.routing.search import Backwards
from pay.routing.single_path import Limit, OverLimit, broken_by
from pay.routing.ways import Way, named, way_of
from pay.units import ScidDir

ALL_WAYS = 200
"""Where there are no more, all of them are listed."""

MANY_WAYS = 100
"""Where there are more, so many are enough: an integer program of more columns takes too long."""

_STEPS = 2_000
"""Arcs looked at in that, 5 us each."""

_MOST_ARCS = 4_000
"""In a network of more this takes half a second, and finds a plan for one in a hundred that had none: nobody waits
so long for that, least of all between two attempts."""

_SIZES = (1.0, 0.8, 0.64, 0.5, 0.4, 0.32, 0.25, 0.17, 0.125, 0.06, 0.03, 0.01)
"""Sizes of part that are searched, as shares of the amount: where parts are few, finely."""

_SEARCHES = 48
"""Shortest paths at most, some 2 ms each on the public network: nobody waits long for a plan that there is not."""

_FILLS = (0.9, 1.0)
"""How full channels of others may become, in turn until there is a plan."""


@dataclass(slots=True)
class _Size:
    """One size of part, and what carries it."""

    part_msat: int
    usable: Usable


@dataclass(slots=True)
class Program:
    """The work on one query.

    `searches` counts those made.
    """

    problem: Problem
    query: RouteQuery
    searches: int = 0
    _listed: bool = False
    _unsure: bool = False
    _ways: dict[tuple[int, ...], Way] = field(default_factory=dict)
    _refused: set[tuple[int, ...]] = field(default_factory=set)
    _used: Counter[int] = field(default_factory=Counter)
    _dearer: bool = False
    _blocks: float = 1.0
    _soonest: tuple[Floats, Floats] | None = None

    def solve(self) -> tuple[Route, ...] | OverLimit | None:
        """Routes within all limits; else the cheapest plan known; None if no plan is known."""
        query = self.query
        if query.max_searches < len(_SIZES):
            return None
        self._soonest = soonest(self.problem, query)
        usable = in_time(self.problem.arcs.usable(1, slack_msat=query.amount_msat), self._soonest, query)
        self._listed = self._list(usable)
        if not self._listed:
            if len(usable.source) > _MOST_ARCS:
                return None
            self._ways.clear()
            if not self._seek().short:
                self._list(self._crossed(usable), MANY_WAYS)
        ways, crumbs = list(self._ways.values()), query.with_parts_of_any_size
        for asked in dict.fromkeys((query, crumbs)):
            for fill in _FILLS:
                found = portions(ways, asked, fill)
                self._unsure |= found is not None
                routes = None if found is None else self._routes(found)
                if routes is not None and not broken_by(query, routes):
                    return routes
        found = portions(ways, crumbs, _FILLS[-1], frugal=True)
        routes = None if found is None else self._routes(found)
        return None if routes is None else OverLimit(Limit.FEE, routes)

    @property
    def complete(self) -> bool:
        """Whether all ways are known, and that no plan over them keeps the limits."""
        return (
            self._listed
            and not self._unsure
            and not any(use.shared for way in self._ways.values() for use in way.uses)
        )

    # -- the ways ----------------------------------------------------------------------------------------------

    def _list(self, usable: Usable, most: int = ALL_WAYS) -> bool:
        """Takes all ways over these arcs, or as many as are looked at; whether that is all."""
        tracer, steps = self._tracer(usable), 0
        waiting: list[tuple[tuple[int, ...], tuple[Arc, ...]]] = [((self.problem.target,), ())]
        while waiting:
            nodes, arcs = waiting.pop()
            for channel in self.problem.peers.get(nodes[0], ()):
                self._take(tracer, channel, nodes, arcs)
            here = slice(int(usable.indptr[nodes[0]]), int(usable.indptr[nodes[0] + 1]))
            at = (np.flatnonzero(usable.costs.carries[here]) + here.start).tolist()
            steps += len(at) + 1
            if steps > _STEPS or len(self._ways) > most:
                return False
            for position in at:
                start = int(usable.source[position])
                if start not in nodes and len(nodes) < self.query.max_hops:
                    arc = self.problem.arcs.arc(int(usable.row[position]))
                    waiting.append(((start, *nodes), (arc, *arcs)))
        return True

    def _crossed(self, usable: Usable) -> Usable:
        """Only the arcs of ways that are known: what begins like one and ends like another may be of use."""
        rows = [self._row(use.named) for one in self._ways.values() for use in one.uses[1:]]
        carries = usable.costs.carries & np.isin(usable.row, rows)
        return replace(usable, costs=replace(usable.costs, carries=carries))

    def _seek(self) -> Duals:
        """Takes ways that the linear program has a use for, and others beside them; its last prices."""
        amount, parts = self.query.amount_msat, self.query.max_parts
        shares = [share for share in _SIZES if share * 4 * parts >= 1 and share * amount >= 1]
        sizes = [_Size(part, self._carrying(part)) for part in (int(share * amount) for share in shares)]
        prices, dry, turn = Duals(), 0, 0
        most = min(self.query.max_searches, _SEARCHES)
        while self.searches < most and len(self._ways) < MANY_WAYS and dry < 2 * len(sizes):
            fresh = self._search(sizes[turn % len(sizes)], prices)
            dry, turn = 0 if fresh else dry + 1, turn + 1
            if turn % len(sizes) == 0 and self._ways:
                prices = duals(list(self._ways.values()), self.query)
                # Where these are all, or would do but for the number of parts, others may; or quicker ones.
                self._dearer = not prices.short or dry >= len(sizes) // 2
                self._blocks *= 30.0 if self._refused else 1.0
        return duals(list(self._ways.values()), self.query) if self._ways else prices

    def _carrying(self, part_msat: int) -> Usable:
        slack = self.query.amount_msat - part_msat
        assert self._soonest is not None
        return in_time(self.problem.arcs.usable(part_msat, slack_msat=slack), self._soonest, self.query).tight()

    def _search(self, size: _Size, worth: Duals) -> int:
        """The best way at one size of part, by these prices; how many new ones it gave."""
        self.searches += 1
        usable, part = size.usable, size.part_msat
        goal = Prices.of(self.query)
        share = part / self.query.amount_msat
        prices = goal._replace(fee=goal.fee + worth.fee, block=goal.block * share * self._blocks)
        weights = usable.costs.weights(prices)
        mine = {own.scid for channels in self.problem.peers.values() for own in channels}
        for channel, price in worth.channels.items():
            if channel.scid not in mine:
                weights[usable.row == self._row(channel)] += price * part
        if self._dearer:
            for row, count in self._used.items():
                weights[usable.row == row] *= 1 + count
        tree = Backwards(usable.indptr, usable.source, weights).tree(self.problem.target)
        widest = max(most_own(own) for channels in self.problem.peers.values() for own in channels)
        ends: list[tuple[float, int, OwnChannel]] = []
        for peer, channels in self.problem.peers.items():
            for own in channels if isfinite(tree.distance[peer]) else ():
                if most_own(own) >= min(part, widest):
                    price = worth.channels.get(ScidDir(own.scid, own.direction), 0.0) * part
                    price += float(tree.distance[peer]) + self.problem.toll(peer, prices)
                    ends.append((price, peer, own))
        ends.sort(key=lambda end: (end[0], end[2].scid))
        tracer, fresh = self._tracer(usable), 0
        for _, peer, own in ends[:2]:
            nodes = tree.path(peer)
            arcs: list[Arc] = []
            for start, end in pairwise(nodes):
                between = usable.between(start, end)
                arcs.append(self.problem.arcs.arc(int(usable.row[between[np.argmin(weights[between])]])))
            fresh += self._take(tracer, own, nodes, arcs)
        return fresh

    def _take(self, tracer: Tracer, own: OwnChannel, nodes: Sequence[int], arcs: Sequence[Arc]) -> bool:
        """Notes a way; whether it is new and of use."""
        name = named(own, arcs)
        if name in self._ways or name in self._refused:
            return False
        part = self.query.amount_msat // self.query.max_parts + 1
        found = way_of(tracer, Prices.of(self.query), own, nodes, arcs, part)
        broken = found and broken_by(replace(self.query, max_fee_msat=found[1].fee_msat), (found[1],))
        if found is None or broken:
            self._refused.add(name)
            return False
        self._ways[name] = found[0]
        self._used.update(self._row(use.named) for use in found[0].uses[1:])
        return True

    def _tracer(self, usable: Usable, load: Load | None = None) -> Tracer:
        return Tracer(self.problem, usable, self.query, Prices.of(self.query), load=load or Load())

    def _row(self, named: ScidDir) -> int:
        """Of the plan's arcs, the one of this name."""
        arcs = self.problem.arcs
        extra = np.flatnonzero((arcs.extra_scid == named.scid) & (arcs.extra_direction == named.direction))
        if len(extra):
            return arcs.graph_rows + int(extra[0])
        number = arcs.graph.arc_number(named)
        assert number is not None
        return int(arcs.known.row[number])

    def _routes(self, portions: Sequence[Portion]) -> tuple[Route, ...] | None:
        """Exact routes for what goes each way; None where the msats do not come out."""
        usable = self.problem.arcs.usable(1, slack_msat=self.query.amount_msat)
        parts: list[tuple[Way, Route]] = []
        load, left = Load(), self.query.amount_msat
        for way, amount, htlcs in portions:
            for number in range(htlcs, 0, -1):
                part = min(round(amount / number), left)
                if (route := self._most_along(way, part, usable, load)) is not None:
                    load.add(route)
                    parts.append((way, route))
                    left, amount = left - route.amount_msat, amount - route.amount_msat
        for at, (way, route) in enumerate(parts):
            rest = load.without(route)
            larger = self._most_along(way, route.amount_msat + left, usable, rest) if left else None
            if larger is not None and larger.amount_msat > route.amount_msat:
                rest.add(larger)
                load, parts[at], left = rest, (way, larger), left - (larger.amount_msat - route.amount_msat)
        return None if left else tuple(route for _, route in parts)

    def _most_along(self, way: Way, amount_msat: int, usable: Usable, load: Load) -> Route | None:
        """For so much, or as much as that way takes beside a load."""
        tracer = self._tracer(usable, load)
        want = min(amount_msat, tracer.most(way.nodes, way.arcs, way.channel))
        traced = tracer.trace(way.nodes, want, way.arcs, way.channel) if want > 0 else None
        return traced.route if isinstance(traced, Traced) else None
