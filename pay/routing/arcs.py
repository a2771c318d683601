"""The arcs that one plan may use: the graph's, as the overlay changes them, less what cannot carry an amount.

An arc is one direction of a channel between two node numbers. The rows of the graph come first, sorted as the
search needs them; rows that exist for this plan only follow: route hints, arcs whose policy was learnt from a
failure, arcs with something in flight. A row that is replaced is closed, so a plan writes to nothing shared.

The sorted copy of the graph's columns (5 MB on the mainnet snapshot) is what makes a plan fast: an arc that
cannot carry the amount costs three comparisons over contiguous memory, and what remains is read in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pay.network import ChannelGraph
from pay.routing.costs import Columns, Rows, Terms, can_carry, terms


class Arc(NamedTuple):
    """One arc in plain integers; `most_msat` is its HTLC maximum or what is believed to be there, if less."""

    scid: int
    direction: int
    fee_base_msat: int
    fee_ppm: int
    cltv_delta: int
    htlc_min_msat: int
    most_msat: int
    capacity_msat: int

    def carries(self, amount_msat: int, load_msat: int = 0) -> bool:
        """Whether it takes an HTLC of `amount_msat` beside others of the same plan."""
        most = min(self.most_msat, self.capacity_msat - load_msat)
        return self.htlc_min_msat <= amount_msat <= most

    def chance(self, amount_msat: int, load_msat: int = 0) -> float:
        """The believed chance that it can forward an amount that it carries, if it can the load. See costs."""
        room = self.capacity_msat + 1 - load_msat
        return (room - amount_msat) / room


class Grouped(NamedTuple):
    """Arcs grouped by the node they lead to; see `Usable`."""

    row: NDArray[np.intp]
    source: NDArray[np.int32]
    indptr: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Usable:
    """The m arcs that can carry an amount, grouped by the node they lead to, over n nodes.

    `source[indptr[v]:indptr[v + 1]]` lead into node v; `row` intp[m] says which arcs they are.
    """

    row: NDArray[np.intp]
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
class GraphRows:
    """The graph's arcs in the order of a backward search: sorted by the node they lead to.

    The rows into node v are `start[v]` to `start[v + 1]`, int32[nodes + 1]; `arc` int32[rows] is the graph's
    number of each row, `row` int32[arcs] the inverse.
    """

    rows: Rows
    start: NDArray[np.int32]
    arc: NDArray[np.int32]
    row: NDArray[np.int32]

    @classmethod
    def of(cls, graph: ChannelGraph) -> GraphRows:
        """Kept, and kept up with policies that change: plans come in bursts, gossip by the minute."""
        kept = _kept.get(graph)
        if kept is not None and kept[0] != graph.changes:
            touched = graph.written.since(kept[0])
            if touched is not None:
                kept[1].take(graph, touched)
                kept = _kept[graph] = (graph.changes, kept[1])
        if kept is None or kept[0] != graph.changes:
            grouped = graph.by_target()
            row = np.empty(len(grouped.arcs), np.int32)
            row[grouped.arcs] = np.arange(len(row), dtype=np.int32)
            kept = (graph.changes, cls(Rows.of(graph, grouped.arcs), grouped.start, grouped.arcs, row))
            _kept[graph] = kept
        return kept[1]

    def take(self, graph: ChannelGraph, arcs: NDArray[np.int32]) -> None:
        """Takes over the policies of some arcs; no plan is being made meanwhile (see the graph)."""
        at = self.row[arcs]
        fresh = Rows.of(graph, arcs)
        for name in Rows._fields:
            getattr(self.rows, name)[at] = getattr(fresh, name)


_kept: WeakKeyDictionary[ChannelGraph, tuple[int, GraphRows]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Arcs:
    """All arcs of one plan: rows of the graph first, then the rows of this plan only.

    Parameters
    ----------
    n_nodes
        Of the graph and of the overlay together.
    extra, extra_scid, extra_direction
        The rows of this plan only, any order; `extra_rows` is the same for the search.
    closed
        Rows of the graph that this plan must not use, int32.
    """

    n_nodes: int
    graph: ChannelGraph
    known: GraphRows
    extra: Columns
    extra_rows: Rows
    extra_scid: NDArray[np.uint64]
    extra_direction: NDArray[np.int8]
    closed: NDArray[np.int32]

    @property
    def graph_rows(self) -> int:
        return len(self.known.arc)

    def usable(self, amount_msat: int, slack_msat: int = 0) -> Usable:
        """The arcs that can carry `amount_msat`; for `slack_msat` see `can_carry`."""
        return self._priced(amount_msat, 1.0, *self.carrying(amount_msat, slack_msat))

    def usable_for(self, amount_msat: int, part_msat: int) -> Usable:
        """The arcs that can carry parts of `part_msat`, at the cost of `amount_msat` of such a part."""
        return self._priced(amount_msat, amount_msat / part_msat, *self.carrying(part_msat, 0))

    def _priced(
        self, amount_msat: int, base_share: float, in_graph: NDArray[np.bool_], in_extra: NDArray[np.bool_]
    ) -> Usable:
        row = np.flatnonzero(in_graph)
        costs = terms(self.known.rows, row, amount_msat, base_share)
        grouped, add, at = self.grouped(in_graph, in_extra)
        if len(add):
            costs = costs.inserted(at, terms(self.extra_rows, add, amount_msat, base_share))
        return Usable(*grouped, costs)

    def carrying(self, amount_msat: int, slack_msat: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which rows can carry an amount: of the graph and of the extra ones, closed ones excepted."""
        in_graph = can_carry(self.known.rows, amount_msat, slack_msat)
        in_graph[self.closed] = False
        return in_graph, can_carry(self.extra_rows, amount_msat, slack_msat)

    def grouped(
        self, in_graph: NDArray[np.bool_], in_extra: NDArray[np.bool_]
    ) -> tuple[Grouped, NDArray[np.intp], NDArray[np.intp]]:
        """The chosen rows, grouped by the node they lead to. Shapes bool[graph rows], bool[extra rows].

        Also the extra rows among them, and before which of the graph's chosen rows each was put.
        """
        row = np.flatnonzero(in_graph)
        source = self.known.rows.source[row]
        before = np.zeros(len(in_graph) + 1, np.int32)
        np.cumsum(in_graph, out=before[1:])
        indptr = np.full(self.n_nodes + 1, before[-1], np.int32)
        indptr[: len(self.known.start)] = before[self.known.start]
        add = np.flatnonzero(in_extra)
        target = self.extra_rows.target[add]
        at = indptr[target + 1].astype(np.intp)
        if len(add):
            order = np.argsort(target, kind="stable")
            add, target, at = add[order], target[order], at[order]
            row = np.insert(row, at, add + self.graph_rows)
            source = np.insert(source, at, self.extra_rows.source[add])
            indptr[1:] += np.cumsum(np.bincount(target, minlength=self.n_nodes)).astype(np.int32)
        return Grouped(row, source, indptr), add, at

    def arc(self, row: int) -> Arc:
        """One row in integers."""
        columns: ChannelGraph | Columns
        if row < self.graph_rows:
            at, columns = int(self.known.arc[row]), self.graph
            scid, direction = int(self.graph.scids[at >> 1]), at & 1
        else:
            at, columns = row - self.graph_rows, self.extra
            scid, direction = int(self.extra_scid[at]), int(self.extra_direction[at])
        return Arc(
            scid,
            direction,
            int(columns.fee_base_msat[at]),
            int(columns.fee_ppm[at]),
            int(columns.cltv_delta[at]),
            int(columns.htlc_min_msat[at]),
            min(int(columns.htlc_max_msat[at]), int(columns.capacity_msat[at])),
            int(columns.capacity_msat[at]),
        )

    def with_noise(self, usable: Usable, seed: int, randomness: float) -> Usable:
        """The same arcs with a factor each between 1 and 1 + `randomness`.

        Drawn for all arcs of the graph by number, so that an arc keeps its factor for a seed, whatever the
        amount.
        """
        if randomness <= 0:
            return usable
        draw = np.random.default_rng(seed).random(self.graph_rows + len(self.extra_scid), dtype=np.float32)
        draw *= np.float32(randomness)
        draw += np.float32(1.0)
        arc = usable.row.copy()
        mine = arc < self.graph_rows
        arc[mine] = self.known.arc[arc[mine]]
        return replace(usable, terms=replace(usable.terms, noise=draw[arc]))
