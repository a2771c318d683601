"""One path for the whole amount: the cheapest by the objective that keeps the limits.

Without limits that bind this is one search and one exact pass. Otherwise:

- An arc that does not carry the exact amount is left out and the search repeated. If that ends without a
  route, the path of least fees is tried afresh: it has the least amounts everywhere, so what blocks it blocks
  every path.
- A limit that the best route breaks (fee, delay, hops) is priced: the cheapest and the most frugal route span a
  price at which both are worth the same, the search at that price replaces one of them, until nothing is gained
  (Lagrangean relaxation; Jüttner et al., "Lagrange relaxation based method for the QoS routing problem", 2001).
  If even the most frugal route breaks the limit, there is none, and its figure is the answer.

What it knowingly does not do: find the best, or any, of the routes within two tight limits at once. See
`constrained`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import inf, isfinite, log

from pay.routing.arcs import Usable
from pay.routing.costs import HOP_MSAT, Prices
from pay.routing.exact import ONION_BYTES, Traced, Tracer, most_own, onion_bytes
from pay.routing.problem import Problem
from pay.routing.query import Route, RouteQuery
from pay.routing.search import FAR_MSAT, Backwards, Tree

TIE = 1e-6
"""Weight of the objective where only a limit matters: decides between routes that use equally little of it."""


_REACH_GROWTH = 1.5
_REACH_MOST = 10.0
"""A search looks no farther than it must: on the mainnet snapshot our best peer is among the 50 to 200 nodes that
are nearest to the recipient. It starts with the cheapest way into the recipient and what most routes cost beyond
that, and looks `_REACH_GROWTH` times as far, then by that squared, until it meets a peer: 1.3 searches, mostly;
where that is more than `_REACH_MOST` times as far it looks everywhere."""


class Limit(Enum):
    """What a route may use only so much of; the value is the price of one unit of it."""

    FEE = Prices(1.0, 0.0, 0.0, 0.0)
    DELAY = Prices(0.0, 1.0, 0.0, 0.0)
    HOPS = Prices(0.0, 0.0, 0.0, 1.0)

    def usual_msat(self, amount_msat: int) -> float:
        """What a unit of it costs about where it matters: 4 ppm for 40 blocks, 10 ppm for a hop."""
        match self:
            case Limit.FEE:
                return 1.0
            case Limit.DELAY:
                return amount_msat * 1e-7
            case Limit.HOPS:
                return amount_msat * 1e-5

    def use(self, routes: Sequence[Route]) -> int:
        """How much of it a plan uses: msat, blocks, channels."""
        match self:
            case Limit.FEE:
                return sum(route.fee_msat for route in routes)
            case Limit.DELAY:
                return max(route.delay_blocks for route in routes)
            case Limit.HOPS:
                return max(len(route.hops) for route in routes)


@dataclass(frozen=True, slots=True)
class OverLimit:
    """Routes exist, but none within the limits: these use least of `limit`; if `jointly`, of those within the
    other limits."""

    limit: Limit
    routes: tuple[Route, ...]
    jointly: bool = False

    @property
    def use(self) -> int:
        return self.limit.use(self.routes)


@dataclass(slots=True)
class SinglePath:
    """The work on one path of one query.

    `searches` counts the shortest-path searches made; `cut_off` is whether no path of arcs that carry the query's
    amount leads to the recipient; `peers` are those whom one channel of ours can send it to, once that was looked
    for.
    """

    problem: Problem
    query: RouteQuery
    usable: Usable
    searches: int = 0
    cut_off: bool = False
    seen: list[Route] = field(default_factory=list)
    peers: list[int] | None = None

    def solve(self) -> Route | OverLimit | None:
        """The best route found within the limits; None if no path carries the amount at all."""
        goal = Prices.of(self.query)
        first = self._best(goal)
        if first is not None and not self._broken(first):
            return first
        if self.usable.costs.noise is not None:
            self.usable = self.usable.quiet()
            first = self._best(goal)
        if first is None and not self.cut_off:
            first = self._best(_only(Limit.FEE, goal))
        if first is None or not self._broken(first):
            return first
        for limit in self._broken(first):
            least = self._best(_only(limit, goal))
            if least is not None and limit in self._broken(least):
                return OverLimit(limit, (least,))
            if least is not None:
                self._relax(goal, limit, first, least)
        return self._best_seen(goal) or self._nearest()

    def _broken(self, route: Route) -> list[Limit]:
        return broken_by(self.query, (route,))

    def _nearest(self) -> OverLimit:
        """Each limit can be kept, but no route seen keeps them all: the cheapest of those within the others."""
        within = [route for route in self.seen if self._broken(route) == [Limit.FEE]]
        if within:
            return OverLimit(Limit.FEE, (min(within, key=lambda route: route.fee_msat),), jointly=True)
        worst = self._broken(self.seen[0])[0]
        return OverLimit(worst, (min(self.seen, key=lambda route: worst.use((route,))),))

    def _relax(self, goal: Prices, limit: Limit, best: Route, frugal: Route) -> None:
        """Searches between the route that is best by `goal` and breaks `limit`, and the one that keeps it."""
        while self.searches < self.query.max_searches:
            saved = limit.use((best,)) - limit.use((frugal,))
            if saved <= 0:
                return
            price = (worth(frugal, goal) - worth(best, goal)) / saved
            prices = goal.plus(limit.value, max(price, 0.0))
            route = self._best(prices)
            if route is None or worth(route, prices) >= worth(best, prices) * (1 - 1e-9):
                return
            if limit in self._broken(route):
                best = route
            else:
                frugal = route

    def _best_seen(self, goal: Prices) -> Route | None:
        within = [route for route in self.seen if not self._broken(route)]
        return min(within, key=lambda route: worth(route, goal), default=None)

    def _best(self, prices: Prices) -> Route | None:
        """The route of the least cost at these prices, every exact amount carried, whatever the limits."""
        weights = self.usable.costs.weights(prices)
        backwards = Backwards(self.usable.indptr, self.usable.source, weights)
        tracer = Tracer(self.problem, self.usable, self.query, prices)
        best: Traced | None = None
        while self.searches < self.query.max_searches:
            traced, blocked = self._search(backwards, tracer)
            if traced is not None and (best is None or traced.cost_msat < best.cost_msat):
                best = traced
            if not blocked:
                break
            tracer.shut.update(blocked)
            weights[list(blocked)] = inf
        if best is None:
            return None
        self.seen.append(best.route)
        return best.route

    def _search(self, backwards: Backwards, tracer: Tracer) -> tuple[Traced | None, set[int]]:
        """One search: the best path that can be traced, and the arcs that stood in the way of better ones."""
        self.searches += 1
        target, growth, tolls = self.problem.target, _REACH_GROWTH, len(self.problem.arcs.tolls.node)
        nearest = 0.0 if target in self.problem.peers else backwards.nearest_msat(target)
        within = nearest + _beyond(self.query.amount_msat, tracer.prices)
        while nearest < FAR_MSAT:
            traced, blocked = self._trace_best(backwards.tree(target, within), tracer)
            # A peer beyond the reach may be better than one within that we pay to avoid.
            if traced is not None and tolls and within < traced.cost_msat:
                within = traced.cost_msat
                continue
            if traced is not None or blocked or within >= FAR_MSAT:
                return traced, blocked
            within = within * growth if growth < _REACH_MOST else FAR_MSAT
            growth *= growth
        self.cut_off = not tracer.shut
        return None, set()

    def _trace_best(self, tree: Tree, tracer: Tracer) -> tuple[Traced | None, set[int]]:
        """The best of the ways from our peers that can be traced, and what stood in the way of better ones."""
        problem, query = self.problem, self.query
        if self.peers is None:
            self.peers = [p for p, own in problem.peers.items() if max(map(most_own, own)) >= query.amount_msat]
        blocked: set[int] = set()
        ways = ((float(tree.distance[peer]) + problem.toll(peer, tracer.prices), peer) for peer in self.peers)
        met = sorted((distance, peer) for distance, peer in ways if isfinite(distance))
        self.cut_off = not met and not tracer.shut
        for _, peer in met:
            result = tracer.trace(tree.path(peer), query.amount_msat)
            if isinstance(result, Traced):
                return result, blocked
            blocked.update(result.positions)
        return None, blocked


def broken_by(query: RouteQuery, routes: Sequence[Route]) -> list[Limit]:
    """The limits that a plan breaks."""
    broken = []
    if Limit.FEE.use(routes) > query.max_fee_msat:
        broken.append(Limit.FEE)
    if Limit.DELAY.use(routes) > query.max_delay:
        broken.append(Limit.DELAY)
    # BOLT 4: hop_payloads is 1,300 bytes, and the sender must not exceed it.
    if Limit.HOPS.use(routes) > query.max_hops or any(
        onion_bytes(route, query.metadata_bytes) > ONION_BYTES for route in routes
    ):
        broken.append(Limit.HOPS)
    return broken


def _beyond(amount_msat: int, prices: Prices) -> float:
    """About what most routes cost, the last channel excepted."""
    return prices.fee * (30 + amount_msat * 1.1e-4) + prices.hop * 4 + prices.block * 50


def first_reach(query: RouteQuery, prices: Prices) -> float:
    """How far the first search of a flow looks: more than what most routes cost."""
    return prices.fee * (600 + query.amount_msat * 2.5e-4) + prices.hop * 4 + prices.block * 80


def worth(route: Route, prices: Prices, blocks: float | None = None) -> float:
    """The cost of a route at these prices, msat; its blocks are counted unless they are given."""
    if blocks is None:
        blocks = route.delay_blocks - route.hops[-1].delay_blocks
    cost = prices.fee * route.fee_msat + prices.block * blocks + prices.hop * (len(route.hops) - 1)
    return cost + prices.second * route.seconds - prices.nat * log(route.probability)


def _only(limit: Limit, goal: Prices) -> Prices:
    """Prices under which hardly anything but one limit counts."""
    nothing = Prices(0.0, 0.0, 0.0, HOP_MSAT)
    return nothing.plus(limit.value, 1.0).plus(goal, TIE)
