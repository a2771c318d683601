"""Many parts at once: a min-cost flow in equal chunks by successive shortest paths.

The price of an arc is convex in what flows over it: fee and time grow in proportion, the nats faster (`-ln P`
of a uniform balance, conditional on what flows). Cut into chunks it is piecewise linear, so each chunk goes
along the path that is cheapest at the margin, and where a later one would rather have an arc that an earlier one
took, it may push that back: a residual arc, with the price that is saved. Such a flow is the cheapest for its
number of chunks (Ahuja, Magnanti and Orlin, "Network Flows", chapter 14; Pickhardt & Richter, arXiv:2107.05322,
applied it to payments).

Prices saved are negative and Dijkstra's search bears none, so weights are reduced by potentials (Johnson): each
node's distance so far, cut off where a search ended, which keeps every reduced weight at zero or above.

Base fees, what experience with a node adds, and the risk that even a msat has (a side that is down to its
reserve) are paid once by an HTLC, not by the chunk: the first chunks on an arc pay them between them, later ones
do not. That one step is not convex, nor is the price beyond a bound that is believed with some doubt; reduced
weights are cut off at zero there and the flow may miss the best by as much.

Fine chunks are cheap where one search sends many of them: along a path as long as it costs little more than at
first. So the effort goes with how often prices change, not with the number of chunks.

Our own channels are no arcs: a path ends at any peer whose channels still hold a chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pay.routing.arcs import Arc, Usable
from pay.routing.costs import Prices
from pay.routing.problem import Problem
from pay.routing.query import RouteQuery
from pay.routing.search import FAR_MSAT, Tree, shortest_tree

_REACH_GROWTH = 4.0


@dataclass(frozen=True, slots=True)
class _Residual:
    """The arcs of one search: those that take a further chunk, and flowing ones backwards.

    `arc` is a position in `Usable`; for a residual arc -1 less that position.
    """

    indptr: NDArray[np.int32]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    weights: NDArray[np.float64]
    arc: NDArray[np.intp]


class Path(NamedTuple):
    """A way that a flow takes: its nodes from our peer to the recipient, the arcs between them, and how many
    chunks go there."""

    nodes: list[int]
    arcs: list[Arc]
    chunks: int


class ChunkFlow:
    """A flow of chunks of `query.amount_msat` each, which `push` adds to.

    Attributes
    ----------
    chunks
        How many flow over each arc, by position in `usable`.
    sent
        How many leave through each peer, by node number.
    searches
        Shortest-path searches made.
    lasting_msat
        The price of the last chunk, less what it paid once for an HTLC: those after it cost as much at least.
    base_share
        The part of a base fee that each chunk pays, until it is paid; `usable` has its costs with that.
    """

    def __init__(
        self,
        problem: Problem,
        query: RouteQuery,
        usable: Usable,
        prices: Prices,
        reach_msat: float,
        base_share: float = 1.0,
    ):
        self.problem, self.query, self.usable, self.prices = problem, query, usable, prices
        self.base_share = base_share
        self._arcs: dict[int, Arc] = {}
        self.chunks: Counter[int] = Counter()
        self.sent: Counter[int] = Counter()
        self.searches = 0
        self.lasting_msat = 0.0
        self._weights = usable.costs.weights(prices)
        nodes = np.arange(len(usable.indptr) - 1, dtype=np.int32)
        self._target = np.repeat(nodes, np.diff(usable.indptr))
        self._potential = np.zeros(len(nodes))
        self._reach = reach_msat
        self._room = {peer: self._own_chunks(peer) for peer in problem.peers}

    def push(self, most: int = 1, slack: float = 0.0) -> float | None:
        """Sends one more chunk the cheapest way; its price in msat, None if no more fits.

        Up to `most` go the same way while each costs at most `1 + slack` times as much as the first.
        """
        open_peers = [peer for peer, room in self._room.items() if room > self.sent[peer]]
        if not open_peers:
            return None
        self.searches += 1
        residual = self._residual()
        reduced = residual.weights + self._potential[residual.target]
        reduced -= self._potential[residual.source]
        np.maximum(reduced, 0.0, out=reduced)
        within, growth = self._reach, _REACH_GROWTH
        while True:
            tree = shortest_tree(residual.indptr, residual.source, reduced, self.problem.target, within)
            price, peer = min((float(tree.distance[p] + self._beyond(p)), p) for p in open_peers)
            missed = min((within + self._beyond(p) for p in open_peers if tree.distance[p] == inf), default=inf)
            if price <= missed or within >= FAR_MSAT:
                break
            within = within * growth if within < 1e12 else FAR_MSAT
            growth *= growth
        if price == inf:
            return None
        # Half of what the last chunk cost more than nothing: the next one costs little more than this one.
        self._reach = max(price * (0.05 + slack), 1.0)
        arcs = self._arcs_along(tree, peer, residual, reduced)
        most = min(most, self._room[peer] - self.sent[peer])
        self.lasting_msat = price - sum(self._fixed(arc, self.chunks[arc]) for arc in self._seen(arcs))
        self._send(peer, arcs, self._alike(arcs, most, price * (1 + slack)))
        self._potential += np.minimum(tree.distance, min(within, float(tree.distance[peer])))
        return price

    def paths(self) -> Iterator[Path]:
        """The flow as paths from our peers to the recipient."""
        left, sent = self.chunks.copy(), self.sent.copy()
        onward: dict[int, list[int]] = {}
        for arc in left:
            onward.setdefault(int(self.usable.source[arc]), []).append(arc)
        for peer in sorted(sent, key=lambda peer: -sent[peer]):
            while sent[peer] > 0:
                nodes, arcs, count = [peer], list[int](), sent[peer]
                while nodes[-1] != self.problem.target:
                    arc = max(onward[nodes[-1]], key=lambda arc: left[arc])
                    arcs.append(arc)
                    nodes.append(int(self._target[arc]))
                    count = min(count, left[arc])
                for arc in arcs:
                    left[arc] -= count
                sent[peer] -= count
                yield Path(nodes, [self._arcs[arc] for arc in arcs], count)

    def _beyond(self, peer: int) -> float:
        """What a path by way of a peer costs beside its distance."""
        return float(self._potential[peer]) + self.problem.toll(peer, self.prices) * self.base_share

    def _own_chunks(self, peer: int) -> int:
        """How many chunks our channels to a peer hold, each with a little on top for fees."""
        chunk = self.query.amount_msat + self.query.amount_msat // 200
        own = self.problem.peers[peer]
        return sum(min(c.spendable_msat, c.free_htlcs * c.htlc_max_msat) // chunk for c in own)

    def _residual(self) -> _Residual:
        usable = self.usable
        arc = np.arange(len(usable.row))
        back = np.array([arc for arc, count in self.chunks.items() if count > 0], np.intp)
        if not len(back):
            return _Residual(usable.indptr, usable.source, self._target, self._weights, arc)
        back = back[np.argsort(usable.source[back], kind="stable")]
        ends, starts = usable.source[back], self._target[back]
        at = usable.indptr[ends + 1]
        saved = [-self._price(int(arc), self.chunks[int(arc)] - 1) for arc in back]
        indptr = usable.indptr.copy()
        indptr[1:] += np.cumsum(np.bincount(ends, minlength=len(indptr) - 1)).astype(np.int32)
        return _Residual(
            indptr,
            np.insert(usable.source, at, starts),
            np.insert(self._target, at, ends),
            np.insert(self._weights, at, saved),
            np.insert(arc, at, -1 - back),
        )

    def _arcs_along(self, tree: Tree, peer: int, residual: _Residual, reduced: NDArray[np.float64]) -> list[int]:
        path = tree.path(peer)
        arcs = []
        for start, end in pairwise(path):
            low, high = int(residual.indptr[end]), int(residual.indptr[end + 1])
            between = np.flatnonzero(residual.source[low:high] == start) + low
            arcs.append(int(residual.arc[between[np.argmin(reduced[between])]]))
        return arcs

    def _seen(self, arcs: list[int]) -> list[int]:
        """Those that are no residual ones, with all that prices are made of at hand."""
        ahead = [arc for arc in arcs if arc >= 0]
        for arc in ahead:
            if arc not in self._arcs:
                self._arcs[arc] = self.problem.arcs.arc(int(self.usable.row[arc]))
        return ahead

    def _alike(self, arcs: list[int], most: int, dearest_msat: float) -> int:
        """How many chunks may go along these arcs at such a price each; one at least."""
        if most < 2 or min(arcs, default=0) < 0:
            return 1
        for count in range(1, most):
            if sum(self._price(arc, self.chunks[arc] + count) for arc in arcs) > dearest_msat:
                return count
        return most

    def _send(self, peer: int, arcs: list[int], count: int) -> None:
        self.sent[peer] += count
        for arc in arcs:
            arc, step = (arc, count) if arc >= 0 else (-1 - arc, -count)
            self.chunks[arc] += step
            if not self.chunks[arc]:
                del self.chunks[arc]
            self._weights[arc] = self._price(arc, self.chunks[arc])

    def _price(self, position: int, flowing: int) -> float:
        """What one more chunk beside `flowing` ones costs on an arc, msat; inf if it does not fit."""
        chunk, prices, costs = self.query.amount_msat, self.prices, self.usable.costs
        arc = self._arcs.get(position)
        if arc is None:
            arc = self._arcs[position] = self.problem.arcs.arc(int(self.usable.row[position]))
        if arc.capacity_msat - flowing * chunk < chunk:
            return inf
        fee = arc.fee_ppm * chunk / 1e6
        nats = -log(arc.chance(chunk, flowing * chunk))
        if not flowing:
            nats += log(arc.chance(1))
        time = prices.block * arc.cltv_delta
        if costs.noise is not None:
            time *= float(costs.noise[position])
        if costs.drawn_fee is not None:
            fee += float(costs.drawn_fee[position])
        price = prices.fee * fee + time + prices.nat * nats + prices.hop
        return price + self._fixed(position, flowing)

    def _fixed(self, position: int, flowing: int) -> float:
        """Of that, the share of what an HTLC costs whatever its size, msat: nothing once it is paid."""
        if flowing * self.base_share >= 1:
            return 0.0
        arc, prices = self._arcs[position], self.prices
        nats, seconds = self.problem.arcs.tolls.of(int(self._target[position]))
        nats -= log(arc.chance(1))
        return self.base_share * (prices.fee * arc.fee_base_msat + prices.nat * nats + prices.second * seconds)
