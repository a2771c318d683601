"""The arcs that one plan may use: the graph's, as the overlay changes them, less what cannot carry an amount.

An arc is one direction of a channel between two node numbers. The rows of the graph come first, numbered as the
graph numbers them; rows that exist for this plan only follow: route hints, arcs whose policy was learnt from a
failure, arcs with something in flight. A row that is replaced is closed, so nothing of the graph is copied or
written to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pay.routing.costs import Columns, Terms, can_carry, terms


class Arc(NamedTuple):
    """One arc in plain integers; `most_msat` is the least of its HTLC maximum and what is believed to be there."""

    scid: int
    direction: int
    fee_base_msat: int
    fee_ppm: int
    cltv_delta: int
    htlc_min_msat: int
    most_msat: int
    capacity_msat: int

    def carries(self, amount_msat: int) -> bool:
        return self.htlc_min_msat <= amount_msat <= self.most_msat


class Grouped(NamedTuple):
    """Arcs grouped by the node they lead to; see `Usable`."""

    row: NDArray[np.int32]
    source: NDArray[np.int32]
    indptr: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Usable:
    """The m arcs that can carry an amount, grouped by the node they lead to, over n nodes.

    `source[indptr[v]:indptr[v + 1]]` lead into node v; `row` int32[m] says which arcs they are.
    """

    row: NDArray[np.int32]
    source: NDArray[np.int32]
    indptr: NDArray[np.int32]
    terms: Terms

    def between(self, source: int, target: int) -> NDArray[np.intp]:
        """Positions of the parallel arcs from one node to another."""
        start, end = int(self.indptr[target]), int(self.indptr[target + 1])
        return np.flatnonzero(self.source[start:end] == source) + start

    def quiet(self) -> Usable:
        """The same arcs at their true costs."""
        return replace(self, terms=replace(self.terms, noise=None))


@dataclass(frozen=True, slots=True)
class Arcs:
    """All arcs of one plan.

    Parameters
    ----------
    n_nodes
        Of the graph and of the overlay together.
    graph, scids
        The graph's rows, and the short_channel_id of each channel; row 2c + d is direction d of channel c.
    by_target
        The graph's rows sorted by the node they lead to, int32.
    extra, extra_scid, extra_direction
        The rows of this plan only, any order.
    closed
        Graph rows that this plan must not use.
    """

    n_nodes: int
    graph: Columns
    scids: NDArray[np.uint64]
    by_target: NDArray[np.int32]
    extra: Columns
    extra_scid: NDArray[np.uint64]
    extra_direction: NDArray[np.int8]
    closed: NDArray[np.int32]

    @property
    def graph_rows(self) -> int:
        return len(self.graph.source)

    def usable(self, amount_msat: int, slack_msat: int = 0) -> Usable:
        """The arcs that can carry `amount_msat`; for `slack_msat` see `can_carry`."""
        in_graph = can_carry(self.graph, amount_msat, slack_msat)
        in_graph[self.closed] = False
        in_extra = can_carry(self.extra, amount_msat, slack_msat)
        grouped = self.grouped(in_graph, in_extra)
        mine = grouped.row < self.graph_rows
        if mine.all():
            return Usable(*grouped, terms(self.graph, grouped.row, amount_msat))
        costs = [
            terms(self.graph, grouped.row[mine], amount_msat),
            terms(self.extra, grouped.row[~mine] - self.graph_rows, amount_msat),
        ]
        merged = []
        for ours, others in zip(*((c.fee, c.blocks, c.nats) for c in costs), strict=True):
            column = np.empty(len(mine))
            column[mine], column[~mine] = ours, others
            merged.append(column)
        return Usable(*grouped, Terms(*merged))

    def grouped(self, in_graph: NDArray[np.bool_], in_extra: NDArray[np.bool_]) -> Grouped:
        """The chosen rows, grouped by the node they lead to. Shapes bool[graph rows], bool[extra rows]."""
        row = self.by_target[in_graph[self.by_target]]
        target, source = self.graph.target[row], self.graph.source[row]
        add = np.flatnonzero(in_extra).astype(np.int32)
        if len(add):
            add = add[np.argsort(self.extra.target[add], kind="stable")]
            at = np.searchsorted(target, self.extra.target[add], side="right")
            row = np.insert(row, at, add + np.int32(self.graph_rows))
            target = np.insert(target, at, self.extra.target[add])
            source = np.insert(source, at, self.extra.source[add])
        indptr = np.zeros(self.n_nodes + 1, np.int32)
        np.cumsum(np.bincount(target, minlength=self.n_nodes), out=indptr[1:])
        return Grouped(row, source, indptr)

    def arc(self, row: int) -> Arc:
        """One row in integers."""
        if row < self.graph_rows:
            columns, scid, direction = self.graph, int(self.scids[row >> 1]), row & 1
        else:
            row -= self.graph_rows
            columns, scid, direction = self.extra, int(self.extra_scid[row]), int(self.extra_direction[row])
        return Arc(
            scid,
            direction,
            int(columns.fee_base_msat[row]),
            int(columns.fee_ppm[row]),
            int(columns.cltv_delta[row]),
            int(columns.htlc_min_msat[row]),
            min(int(columns.htlc_max_msat[row]), int(columns.capacity_msat[row])),
            int(columns.capacity_msat[row]),
        )

    def with_noise(self, usable: Usable, seed: int, randomness: float) -> Usable:
        """The same arcs with a factor each between 1 and 1 + `randomness`, the same for a seed and an arc.

        Drawn for all rows of the graph, so that an arc keeps its factor whatever else can carry the amount.
        """
        if randomness <= 0:
            return usable
        draw = np.random.default_rng(seed).random(self.graph_rows + len(self.extra_scid), dtype=np.float32)
        noise = draw[usable.row] * np.float64(randomness)
        noise += 1.0
        return replace(usable, terms=replace(usable.terms, noise=noise))
