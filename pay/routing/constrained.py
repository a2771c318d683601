"""The best path within all limits at once, exactly: for where a search with one price for each limit finds none.

Paths grow backwards from the recipient as labels: the exact amount, the delay, the hops and the cost so far. A
label is dropped where another at the same node is no worse in all four, or where even the least that is still
needed of any of them, from us to that node, breaks a limit. (A way round that only lifts the amount over a minimum
may be all that is left, and the other may pass through what it needs: where that finds nothing, the search is
repeated with only such labels dropped as pass through no less.) Those least figures come from one search forward
from our peers for each limit; the one by cost says which label to grow first, so the first that is complete is the
best
(Dumitrescu and Boland, "Improved preprocessing, labeling and scaling algorithms for the weight-constrained
shortest path problem", 2003). Where the limits leave little room few labels survive; where they leave much, nobody
needs this.

What it knowingly does not do: go on for ever. After `LABELS` grown labels it gives up; the problem is NP-hard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

import numpy as np
from numpy.typing import NDArray

from pay.routing.arcs import Arc, Usable
from pay.routing.costs import Prices
from pay.routing.exact import Tracer, likelihood
from pay.routing.problem import Problem
from pay.routing.query import Hop, Route, RouteQuery
from pay.routing.search import FAR_MSAT, Forwards
from pay.routing.single_path import broken_by
from pay.units import Scid, fee_msat

LABELS = 1_000
"""Labels grown, 20 to 50 us each. On mainnet a payment with both limits set to what one of its good routes needs
takes a few dozen."""

_SLACK = 1e-5
"""Of a figure that float32 rounded, and `_ROUNDED` msat for the fees that integers round down."""

_ROUNDED = 20.0

_EACH = (Prices(1.0, 0.0, 0.0, 1e-9), Prices(0.0, 1.0, 0.0, 1e-9), Prices(0.0, 0.0, 0.0, 1.0))
"""Fee, delay and hops alone; a search needs every arc to cost something."""

_Floats = NDArray[np.float64]
_Leasts = tuple[_Floats, _Floats, _Floats]
"""Of fee, delay and hops, by node."""


@dataclass(frozen=True, slots=True)
class _Label:
    """A path from a node to the recipient: what must arrive at the node for it, and its first arc.

    `minima` counts the HTLC minima that the amount satisfies, of those that not every amount in question does.
    """

    node: int
    cost: float
    amount_msat: int
    minima: int
    delay_blocks: int
    hops: int
    arc: Arc | None
    onward: _Label | None

    def beats(self, other: _Label) -> bool:
        """No worse in anything."""
        return (
            self.cost <= other.cost
            and self.amount_msat <= other.amount_msat
            and self.delay_blocks <= other.delay_blocks
            and self.hops <= other.hops
            and self.minima >= other.minima
        )

    def nodes(self) -> set[int]:
        """All that it goes through."""
        label: _Label | None = self
        nodes = set[int]()
        while label is not None:
            nodes.add(label.node)
            label = label.onward
        return nodes

    def visits(self, node: int) -> bool:
        """Whether it goes through a node already."""
        label: _Label | None = self
        while label is not None and label.node != node:
            label = label.onward
        return label is not None


@dataclass(slots=True)
class ConstrainedPath:
    """The search of one query at some prices. `spent` is whether it gave up."""

    problem: Problem
    query: RouteQuery
    usable: Usable
    prices: Prices
    spent: bool = False
    _known: dict[int, list[_Label]] = field(init=False, default_factory=dict)
    _weights: _Floats = field(init=False)
    _minima: NDArray[np.int64] = field(init=False)
    _forwards: Forwards = field(init=False)

    def __post_init__(self) -> None:
        arcs, amount, most = self.problem.arcs, self.query.amount_msat, self.query.max_fee_msat
        own = [channel.htlc_min_msat for channels in self.problem.peers.values() for channel in channels]
        minima = np.concatenate((arcs.known.rows.least_msat, arcs.extra_rows.least_msat, np.array(own, np.int64)))
        self._minima = np.unique(minima[(minima > amount) & (minima <= amount + most)])
        self._weights = self.usable.costs.weights(self.prices)
        self._forwards = Forwards(self.usable.indptr, self.usable.source)

    def _toward(self, prices: Prices | None = None, within: float = FAR_MSAT) -> _Floats:
        """What the way from the best peer to each node costs, float64[n]; by our own prices without others."""
        weights = self._weights if prices is None else self.usable.costs.weights(prices)
        return self._forwards.distances(weights, list(self.problem.peers), within)

    def best(self) -> Route | None:
        """The best route within all limits of the query; None if there is none, or none was found in time."""
        least = self._least()
        if least is None:
            return None
        found = self._grow(least, self._beats)
        if found is None and not self.spent and len(self._minima):
            self._known.clear()
            found = self._grow(least, self._beats_lifted)
        return found

    def _beats(self, one: _Label, other: _Label) -> bool:
        return one.beats(other)

    def _beats_lifted(self, one: _Label, other: _Label) -> bool:
        """The same where a way round may be needed to lift the amount over a minimum."""
        return one.beats(other) and one.nodes() <= other.nodes()

    def _grow(self, least: _Leasts, beats: Callable[[_Label, _Label], bool]) -> Route | None:
        query, toward, order = self.query, self._toward(), count()
        amount = query.amount_msat
        start = _Label(self.problem.target, 0.0, amount, self._satisfied(amount), query.final_cltv, 1, None, None)
        waiting: list[tuple[float, int, _Label, Route | None]] = [(0.0, next(order), start, None)]
        grown = 0
        while waiting:
            _, _, label, route = heappop(waiting)
            if route is not None:
                return route
            if any(other is not label and beats(other, label) for other in self._known.get(label.node, ())):
                continue
            if grown == LABELS:
                self.spent = True
                return None
            grown += 1
            if (route := self._complete(label)) is not None:
                total = label.cost + self.problem.toll(label.node, self.prices)
                heappush(waiting, (total, next(order), label, route))
            for longer in self._longer(label, least, beats):
                heappush(waiting, (longer.cost + float(toward[longer.node]), next(order), longer, None))
        return None

    def _least(self) -> _Leasts | None:
        """What is needed at least from us to each node, of fee, delay and hops; None if that is too much."""
        query, target, least = self.query, self.problem.target, []
        room = query.max_fee_msat + _ROUNDED, query.max_delay - query.final_cltv, query.max_hops - 1
        for prices, most in zip(_EACH, room, strict=True):
            within = max(most, 0) * (1 + _SLACK) + _SLACK
            least.append(self._toward(prices, within))
            if least[-1][target] > within:
                return None
        fee, delay, hops = least
        return fee, delay, hops

    def _longer(self, label: _Label, least: _Leasts, beats: Callable[[_Label, _Label], bool]) -> Iterator[_Label]:
        """This path with each arc before it that may yet keep the limits."""
        query, usable = self.query, self.usable
        fee, delay, hops = least
        here = slice(int(usable.indptr[label.node]), int(usable.indptr[label.node + 1]))
        source, costs = usable.source[here], usable.costs
        left = query.max_fee_msat - (label.amount_msat - query.amount_msat)
        may = costs.carries[here].copy()
        may &= costs.fee[here] + fee[source] <= left * (1 + _SLACK) + _ROUNDED
        may &= costs.blocks[here] + delay[source] <= query.max_delay - label.delay_blocks + _SLACK
        may &= hops[source] <= query.max_hops - label.hops - 1 + _SLACK
        for at in np.flatnonzero(may).tolist():
            arc, node = self.problem.arcs.arc(int(usable.row[here.start + at])), int(source[at])
            if not arc.carries(label.amount_msat) or label.visits(node):
                continue
            amount = label.amount_msat + fee_msat(label.amount_msat, arc.fee_base_msat, arc.fee_ppm)
            cost, delay_blocks = float(self._weights[here.start + at]), label.delay_blocks + arc.cltv_delta
            longer = _Label(
                node, label.cost + cost, amount, self._satisfied(amount), delay_blocks, label.hops + 1, arc, label
            )
            known = self._known.setdefault(node, [])
            if not any(beats(other, longer) for other in known):
                known[:] = [other for other in known if not beats(longer, other)]
                known.append(longer)
                yield longer

    def _complete(self, label: _Label) -> Route | None:
        """The route of a path that begins at a peer of ours, if it keeps the limits."""
        problem, query = self.problem, self.query
        if label.node not in problem.peers:
            return None
        tracer = Tracer(problem, self.usable, query, self.prices)
        channel = tracer.own(label.node, label.amount_msat)
        if channel is None:
            return None
        peer = problem.node_id(label.node)
        hops = [Hop(channel.scid, channel.direction, peer, label.amount_msat, label.delay_blocks)]
        path, chances = [label.node], []
        while label.arc is not None and label.onward is not None:
            arc, label = label.arc, label.onward
            amount, delay = label.amount_msat, label.delay_blocks
            hops.append(Hop(Scid(arc.scid), arc.direction, problem.node_id(label.node), amount, delay))
            path.append(label.node)
            chances.append(arc.chance(amount))
        nats, seconds = problem.tolls_along(path)
        route = Route(tuple(hops), likelihood(chances, nats), seconds)
        return None if broken_by(query, (route,)) else route

    def _satisfied(self, amount_msat: int) -> int:
        return int(np.searchsorted(self._minima, amount_msat, "right"))
