"""Other ways to choose routes, to be run by the same session in the same worlds: measures, not for use.

`host_pay` chooses as the cost formula of the host's builtin `pay` does (plugins/libplugin-pay.c, v26.06):
(fee + cost of locked time + 1 msat) times (1 - ln((capacity + 1 - amount) / (capacity + 1))), the cheapest path
by that, with the session's caps and exclusions; if there is none, two halves, each again so. The builtin's
splitting by our own channels and its memory across payments are not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from pay.network import NOT_OWN, Overlay
from pay.routing import Hop, NoRoute, NoRouteReason, Route, RouteQuery, plan
from pay.routing.find import Planner
from pay.routing.query import BLOCKS_PER_YEAR, Answer
from pay.units import Scid, ScidDir, fee_msat
from tests.support.values import varied

Other = Callable[[Overlay, RouteQuery, Mapping[ScidDir, int]], Answer]


def incautious(other: Other) -> Planner:
    """One of these where the product's own planner stands; it does without beliefs and caution."""
    return lambda overlay, _restrictions, query, in_flight, _knowledge: other(overlay, query, in_flight)


_NONE = NoRoute(NoRouteReason.UNREACHABLE, "none")
_COLUMNS = ("source", "target", "fee_base_msat", "fee_ppm", "cltv_delta", "htlc_min_msat", "htlc_max_msat",
            "capacity_msat")  # fmt: skip


def one_path(overlay: Overlay, query: RouteQuery, in_flight: Mapping[ScidDir, int]) -> tuple[Route, ...] | NoRoute:
    """Our planner where a payment must not be split."""
    return plan(overlay, replace(query, max_parts=1), in_flight)


def cheapest_first(
    overlay: Overlay, query: RouteQuery, in_flight: Mapping[ScidDir, int]
) -> tuple[Route, ...] | NoRoute:
    """Our planner where failures cost nothing."""
    return plan(overlay, varied(query, failure_cost_msat=0, failure_cost_ppm=0), in_flight)


def host_pay(overlay: Overlay, query: RouteQuery, in_flight: Mapping[ScidDir, int]) -> tuple[Route, ...] | NoRoute:
    """One path by the host's formula, or halves of halves."""
    arcs = _Arcs(overlay)
    for named, amount in in_flight.items():
        arcs.use(named, amount)
    routes: list[Route] = []
    waiting = [query.amount_msat]
    while waiting:
        amount = waiting.pop()
        route = arcs.route(query, amount)
        if route is not None:
            routes.append(route)
            for hop in route.hops:
                arcs.use(hop.scid_dir, hop.amount_msat)
        elif len(routes) + len(waiting) + 2 > query.max_parts or amount < 2_000:
            return _NONE
        else:
            waiting += [amount // 2, amount - amount // 2]
    return tuple(routes)


class _Arcs:
    """All arcs of an overlay, our own channels among them."""

    def __init__(self, overlay: Overlay):
        graph, extra = overlay.graph, overlay.extra
        self.overlay = overlay
        known = graph.enabled.copy()
        known[overlay.closed] = False
        self.arcs = np.flatnonzero(known)
        self.columns = {
            name: np.concatenate((getattr(graph, name)[self.arcs], getattr(extra, name))) for name in _COLUMNS
        }
        self.own = np.concatenate((np.zeros(len(self.arcs), bool), extra.own != NOT_OWN))

    def named(self, row: int) -> ScidDir:
        if row < len(self.arcs):
            return self.overlay.graph.scid_dir(int(self.arcs[row]))
        extra, at = self.overlay.extra, row - len(self.arcs)
        return ScidDir(Scid(int(extra.scid[at])), int(extra.direction[at]))

    def use(self, named: ScidDir, amount_msat: int) -> None:
        """Something of ours is on its way there."""
        arc = self.overlay.graph.arc_number(named)
        row = None if arc is None else int(np.searchsorted(self.arcs, arc))
        if row is None or row >= len(self.arcs) or self.arcs[row] != arc:
            extra = self.overlay.extra
            at = np.flatnonzero((extra.scid == named.scid) & (extra.direction == named.direction))
            if not len(at):
                return
            row = len(self.arcs) + int(at[0])
        self.columns["capacity_msat"][row] = max(0, self.columns["capacity_msat"][row] - amount_msat)

    def route(self, query: RouteQuery, amount: int) -> Route | None:
        shut: list[int] = []
        target = self.overlay.node_number(query.destination)
        while target is not None:
            found = self._route(query, amount, target, shut)
            if not isinstance(found, int):
                return found
            shut.append(found)
        return None

    def _route(self, query: RouteQuery, amount: int, target: int, shut: list[int]) -> Route | int | None:
        """A route, or the arc that cannot take the fees on top, or None."""
        c = self.columns
        most = np.minimum(c["htlc_max_msat"], c["capacity_msat"])
        able = (c["htlc_min_msat"] <= amount) & (most >= amount)
        able[shut] = False
        rows = np.flatnonzero(able)
        fee = c["fee_base_msat"][rows] + amount * c["fee_ppm"][rows] / 1e6
        risk = c["cltv_delta"][rows] * (amount * query.preferences.riskfactor / (100 * BLOCKS_PER_YEAR))
        room = c["capacity_msat"][rows] + 1.0
        cost = (fee + risk + 1) * (1 - np.log((room - amount) / room))
        cost[self.own[rows]] = 1e-3
        order = np.argsort(c["target"][rows], kind="stable")
        rows, cost = rows[order], cost[order]
        ends, starts = c["target"][rows], c["source"][rows]
        n = self.overlay.n_nodes
        indptr = np.searchsorted(ends, np.arange(n + 1)).astype(np.int32)
        distance, onward = dijkstra(
            csr_array((cost, starts, indptr), shape=(n, n)), indices=target, return_predecessors=True
        )
        us = self.overlay.source
        if not np.isfinite(distance[us]):
            return None
        path = [us]
        while path[-1] != target:
            path.append(int(onward[path[-1]]))
        hops: list[Hop] = []
        delay = query.final_cltv
        for start, end in zip(path[-2::-1], path[:0:-1], strict=True):
            low, high = int(indptr[end]), int(indptr[end + 1])
            between = np.flatnonzero(starts[low:high] == start) + low
            row = int(rows[between[np.argmin(cost[between])]])
            if amount > most[row]:
                return row
            named = self.named(row)
            hops.append(Hop(named.scid, named.direction, self.overlay.node_id(end), amount, delay))
            amount += fee_msat(amount, int(c["fee_base_msat"][row]), int(c["fee_ppm"][row]))
            delay += int(c["cltv_delta"][row])
        return Route(tuple(reversed(hops)), 1.0)
