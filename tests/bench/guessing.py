"""The last node before the payee guesses who is paid, from what it forwards: the blocks that are left, the amount.

It knows the graph with all policies, the planner's objective, which final delays are usual and how often, how
shadows are drawn, and which nodes may be paid, each as likely as any other. For every one of them, v, it weighs

- how likely a route to v comes by here and goes on to the next node N: e to the power of minus what the best way
  over N costs more than the best way from here, in tenths of that; N itself counts fully;
- how likely so many blocks are left if v is paid: its usual final delays, the deltas of the best way from N to v,
  and a shadow, which it draws from N as we do, and takes from a table of walks from anybody for the others;
- where it knows that invoices are whole sats, how likely the amount's last three digits are: N would get the
  amount itself, while behind N fees are still to come, so any digits are as likely

and names the v with the largest product (Bayes). What it does not do: put several payments or parts together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from pay.network import ChannelGraph
from pay.routing.shadow import walk
from pay.units import NodeId
from tests.bench.planning import objective
from tests.bench.setting import query

FINAL_BLOCKS = {80: 0.6, 18: 0.2, 24: 0.1, 30: 0.1}
"""What invoices ask for and how often, about as implementations are spread: LND, CLN, LDK, Eclair."""

ROOM_BLOCKS = 2016 - 80
_MOST_BLOCKS = 4_096
_WALKS = 200
_DETOUR = 0.1
_FAINT = 1e-6
"""No blocks are impossible: whoever drew them otherwise than we think."""

Floats = NDArray[np.float64]


@dataclass
class Watcher:
    """What a forwarding node can compute beforehand, for payments of about one amount."""

    graph: ChannelGraph
    amount_msat: int
    payees: Sequence[NodeId]

    @cached_property
    def _ways(self) -> tuple[csr_array, NDArray[np.int64], NDArray[np.int64]]:
        """Costs from node to node over the cheapest channel of each pair; the pairs in order, and their deltas."""
        anybody = self.graph.node_id(0)
        arcs, cost = objective(self.graph, query(anybody, anybody, self.amount_msat))
        n = self.graph.n_nodes
        pair = self.graph.source[arcs].astype(np.int64) * n + self.graph.target[arcs]
        order = np.lexsort((cost, pair))
        first = order[np.append(True, pair[order][1:] != pair[order][:-1])]
        starts, ends = np.divmod(pair[first], n)
        costs = csr_array((cost[first] + 1e-3, (starts, ends)), shape=(n, n))
        return costs, pair[first], self.graph.cltv_delta[arcs[first]].astype(np.int64)

    @cached_property
    def _able(self) -> NDArray[np.bool_]:
        able = np.zeros(self.graph.n_nodes, np.bool_)
        able[[self.graph.node_number(payee) for payee in self.payees]] = True
        return able

    @cached_property
    def _shadows(self) -> Floats:
        """How often a walk from anybody adds so many blocks."""
        return _spread([self._walk(payee, seed) for seed, payee in enumerate(list(self.payees)[: 10 * _WALKS])])

    def _walk(self, payee: NodeId, seed: int) -> int:
        return walk(self.graph, payee, self.amount_msat, ROOM_BLOCKS, seed).blocks

    def onward(self, here: NodeId, following: NodeId) -> Onward:
        """What can lie behind the next node."""
        costs, pairs, deltas = self._ways
        n, us, them = self.graph.n_nodes, self.graph.node_number(here), self.graph.node_number(following)
        assert us is not None and them is not None
        distance, before = dijkstra(costs, indices=[us, them], return_predecessors=True)
        step = np.zeros(n, np.int64)
        known = before[1] >= 0
        step[known] = deltas[np.searchsorted(pairs, before[1][known].astype(np.int64) * n + np.flatnonzero(known))]
        jump = np.where(known, before[1], them)
        # Doubling: each node's sum reaches twice as far back every time.
        for _ in range(6):
            step, jump = step + np.where(jump == them, 0, step[jump]), jump[jump]
        with np.errstate(invalid="ignore", divide="ignore"):
            more = float(costs[us, them]) + distance[1] - distance[0]
            weight = np.exp(-more / (_DETOUR * distance[0]))
        weight[~np.isfinite(weight) | ~self._able] = 0.0
        weight[us], weight[them] = 0.0, 1.0
        own = _spread([self._walk(following, 1_000_000 + seed) for seed in range(_WALKS)])
        return Onward(them, weight, step, own, self._shadows)


@dataclass(frozen=True)
class Onward:
    """Nodes behind the next one: how likely routes there come by, and the blocks from the next one to them."""

    following: int
    weight: Floats
    blocks: NDArray[np.int64]
    own_shadow: Floats
    shadow: Floats

    def guess(self, left: int, shadowed: bool, digits: float = 1.0) -> int:
        """The number of the node that is most likely paid, with so many blocks left behind here.

        `digits` is how much likelier the amount's last digits are if the next node is paid than if not.
        """
        none = np.zeros(_MOST_BLOCKS)
        none[0] = 1.0
        chance, own = np.full(len(self.weight), _FAINT), _FAINT
        for final, share in FINAL_BLOCKS.items():
            added = left - final - self.blocks
            possible = (added >= 0) & (added < _MOST_BLOCKS)
            spread = self.shadow if shadowed else none
            chance[possible] += share * spread[added[possible]]
            if left >= final:
                own += share * float((self.own_shadow if shadowed else none)[left - final])
        chance[self.following] = own * digits
        return int(np.argmax(chance * self.weight))


def _spread(blocks: Sequence[int]) -> Floats:
    counts = np.bincount(blocks, minlength=_MOST_BLOCKS)[:_MOST_BLOCKS].astype(np.float64)
    return counts / counts.sum()
