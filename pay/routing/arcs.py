"""The arcs that one plan may use: the graph's, as the overlay changes them.

An arc is one direction of a channel between two node numbers. The rows of the graph stand sorted as the search
needs them; rows that exist for this plan only (route hints, arcs whose policy was learnt from a failure, arcs with
something in flight) are merged among them, in the place of the row that they replace if they do. A plan writes to
nothing shared.

The sorted copy of the graph's columns (3 MB on the mainnet snapshot) is what makes a plan fast: costs are computed
over contiguous memory, and the structure of the matrix is there already. It holds what a search can ever use, 62 %
of the arcs: those that are open and lead somewhere. An arc out of a node that only the arc's own end leads to is
on no path, but from there: it is left out, and added for the plan whose overlay leads to such a node.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pay.liquidity.prior import UNIFORM, Prior
from pay.network import ByTarget, ChannelGraph
from pay.routing.arc_beliefs import NO_ROWS, NO_TOLLS, Belief, Beliefs, KnownRows, Tolls
from pay.routing.costs import ArcCosts, ArcRows, Columns, arc_costs, can_carry
from pay.routing.noise import FEE_PPM, FEE_SHARE, fee_noise, noise
from pay.routing.query import RouteQuery

DYING_CHANCE = 0.02
"""That a channel whose funding was spent some blocks ago still forwards: if it is being spliced. Nearly all are
closed, and the host's own senders try them all the same. At the usual failure cost it is worth 39 sat to go
another way; where there is none, it is tried."""


class Arc(NamedTuple):
    """One arc in plain integers; `capacity_msat` is all that may pass beside what is in flight, `most_msat` that
    or its HTLC maximum, if less."""

    scid: int
    direction: int
    fee_base_msat: int
    fee_ppm: int
    cltv_delta: int
    htlc_min_msat: int
    most_msat: int
    capacity_msat: int
    belief: Belief
    dying: bool

    def carries(self, amount_msat: int, load_msat: int = 0) -> bool:
        """Whether it takes an HTLC of `amount_msat` beside others of the same plan."""
        most = min(self.most_msat, self.capacity_msat - load_msat)
        return self.htlc_min_msat <= amount_msat <= most

    def chance(self, amount_msat: int, load_msat: int = 0) -> float:
        """The believed chance that it can forward an amount that it carries, if it can the load."""
        chance = self.belief.chance(amount_msat, load_msat)
        return chance * DYING_CHANCE if self.dying and not load_msat else chance


Column = TypeVar("Column", bound=np.generic)


class Layout(NamedTuple):
    """The m rows of a plan, grouped by the node they lead to, over n nodes.

    `source[indptr[v]:indptr[v + 1]]` lead into node v; `row` int32[m] says which arcs they are.

    Extra rows `patches` stand in the place of the graph's rows `patched`; the extra rows `added` are put before
    the graph's rows `before`, intp each.
    """

    row: NDArray[np.int32]
    source: NDArray[np.int32]
    indptr: NDArray[np.int32]
    patched: NDArray[np.intp]
    patches: NDArray[np.intp]
    before: NDArray[np.intp]
    added: NDArray[np.intp]

    @classmethod
    def of(cls, known: GraphRows, n_nodes: int, extra: ArcRows, replaces: NDArray[np.intp]) -> Layout:
        """`replaces` intp[k] is the graph's row in whose place each extra row stands, or negative."""
        missing = np.full(n_nodes + 1 - len(known.start), known.start[-1], np.int32)
        indptr = np.concatenate((known.start, missing)) if len(missing) else known.start
        if not len(replaces):
            return cls(known.number, known.rows.source, indptr, _NO_ROWS, _NO_ROWS, _NO_ROWS, _NO_ROWS)
        patches, added = np.flatnonzero(replaces >= 0), np.flatnonzero(replaces < 0)
        added = added[np.argsort(extra.target[added], kind="stable")]
        target = extra.target[added]
        before = indptr[target + 1].astype(np.intp)
        result = cls(known.number, known.rows.source, indptr, replaces[patches], patches, before, added)
        if len(added):
            indptr = indptr.copy()
            indptr[1:] += np.cumsum(np.bincount(target, minlength=n_nodes)).astype(np.int32)
        numbers = np.arange(len(known.number), len(known.number) + len(replaces), dtype=np.int32)
        row, source = result.merged(known.number, numbers), result.merged(known.rows.source, extra.source)
        return result._replace(row=row, source=source, indptr=indptr)

    def merged(self, known: NDArray[Column], extra: NDArray[Column]) -> NDArray[Column]:
        """A column of the graph's rows with that of the extra rows merged in."""
        if not len(extra):
            return known
        pieces, start = [], 0
        for before, at in zip(self.before.tolist(), self.added.tolist(), strict=True):
            pieces += [known[start:before], extra[at : at + 1]]
            start = before
        column = np.concatenate((*pieces, known[start:]))
        # Rows put before a patched one have moved it on.
        column[self.patched + np.searchsorted(self.before, self.patched, "right")] = extra[self.patches]
        return column


@dataclass(frozen=True, slots=True)
class Usable:
    """The m arcs of a plan with what an amount costs on each, grouped by the node they lead to, over n nodes.

    `source[indptr[v]:indptr[v + 1]]` lead into node v; `row` int32[m] says which arcs they are. Not all of them
    carry the amount: see `ArcCosts.carries`.
    """

    row: NDArray[np.int32]
    source: NDArray[np.int32]
    indptr: NDArray[np.int32]
    costs: ArcCosts

    def between(self, source: int, target: int) -> NDArray[np.intp]:
        """Positions of the parallel arcs from one node to another that carry the amount."""
        start, end = int(self.indptr[target]), int(self.indptr[target + 1])
        return np.flatnonzero((self.source[start:end] == source) & self.costs.carries[start:end]) + start

    def tight(self) -> Usable:
        """Only the arcs that carry the amount: for who searches them often."""
        carries = self.costs.carries
        at = np.flatnonzero(carries)
        return Usable(self.row[at], self.source[at], _counted(carries, self.indptr), self.costs.take(at))

    def quiet(self) -> Usable:
        """The same arcs at their true costs."""
        return replace(self, costs=replace(self.costs, noise=None, drawn_fee=None))


@dataclass(frozen=True, slots=True)
class GraphRows:
    """The graph's arcs in the order of a backward search: sorted by the node they lead to.

    Arcs that were closed when this was made are not among them, nor those that are `DEAD`.

    The rows into node v are `start[v]` to `start[v + 1]`, int32[nodes + 1]; `arc` int32[rows] is the graph's
    number of each row, `row` int32[arcs] the inverse, or `CLOSED` or `DEAD`; `number` is 0, 1, 2...
    `leads_nowhere` bool[nodes] says of which nodes arcs are dead, `dead` bool[arcs] which of `grouped.arcs` are,
    `through` bool[nodes + 1] through which nodes payments may go (the last stands for nodes that the graph does
    not know). `dying` are rows of channels about to close.
    """

    rows: ArcRows
    start: NDArray[np.int32]
    arc: NDArray[np.int32]
    row: NDArray[np.int32]
    number: NDArray[np.int32]
    leads_nowhere: NDArray[np.bool_]
    dead: NDArray[np.bool_]
    grouped: ByTarget
    through: NDArray[np.bool_]
    dying: NDArray[np.intp]

    @classmethod
    def of(cls, graph: ChannelGraph) -> GraphRows:
        """Kept, and kept up with policies that change: plans come in bursts, gossip by the minute."""
        kept = _kept.get(graph)
        if kept is not None and kept[0] != graph.changes:
            touched = graph.written.since(kept[0])
            if touched is not None and kept[1].take(graph, touched):
                kept = _kept[graph] = (graph.changes, kept[1])
        if kept is None or kept[0] != graph.changes:
            kept = _kept[graph] = (graph.changes, cls._made(graph, kept and kept[1]))
        return kept[1]

    @classmethod
    def _made(cls, graph: ChannelGraph, before: GraphRows | None = None) -> GraphRows:
        """`before` spares the work on what has not changed since."""
        grouped = graph.by_target()
        dead = before.dead if before is not None and before.grouped is grouped else _dead(grouped)
        through = np.ones(graph.n_nodes + 1, np.bool_)
        through[list(graph.demanding)] = False
        passable = through[grouped.source]
        chosen = graph.enabled[grouped.arcs] & passable & ~dead
        arc, start = grouped.arcs[chosen], _counted(chosen, grouped.start)
        row = np.full(graph.n_arcs, CLOSED, np.int32)
        row[grouped.arcs[dead & passable]] = DEAD
        number = np.arange(len(arc), dtype=np.int32)
        row[arc] = number
        leads_nowhere = np.zeros(graph.n_nodes, np.bool_)
        leads_nowhere[grouped.source[dead]] = True
        dying = np.flatnonzero(graph.dying[arc >> 1])
        return cls(ArcRows.of(graph, arc), start, arc, row, number, leads_nowhere, dead, grouped, through, dying)

    def take(self, graph: ChannelGraph, arcs: NDArray[np.int32]) -> bool:
        """Takes over the policies of some arcs; no plan is being made meanwhile (see the graph).

        False if that cannot be done in place, because an arc was opened.
        """
        at = self.row[arcs]
        if (graph.enabled[arcs] & (at == CLOSED) & self.through[graph.source[arcs]]).any():
            return False
        fresh = ArcRows.of(graph, arcs[at >= 0])
        for name in ArcRows._fields:
            getattr(self.rows, name)[at[at >= 0]] = getattr(fresh, name)
        return True


CLOSED, DEAD = -1, -2
_NO_ROWS = np.zeros(0, np.intp)
_DYING_NATS = np.float32(-log(DYING_CHANCE))


def _counted(chosen: NDArray[np.bool_], start: NDArray[np.int32]) -> NDArray[np.int32]:
    """Where the groups of the chosen rows start, if those of all rows do at `start`."""
    before = np.zeros(len(chosen) + 1, np.int32)
    np.cumsum(chosen, out=before[1:])
    return before[start]


def _dead(grouped: ByTarget) -> NDArray[np.bool_]:
    """Which of the arcs leave a node that is entered from where they lead, if at all, and from nowhere else.

    Left out, they may leave others so: a chain that hangs on the network is dead towards it.
    """
    n = len(grouped.start) - 1
    source, start = grouped.source, grouped.start
    target = np.repeat(np.arange(n, dtype=np.int32), np.diff(start))
    dead = np.zeros(len(source), np.bool_)
    alive = np.arange(len(source))
    while True:
        first, last = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
        entered = np.flatnonzero(start[1:] > start[:-1])
        if len(entered):
            first[entered] = np.minimum.reduceat(source, start[entered])
            last[entered] = np.maximum.reduceat(source, start[entered])
        only = np.where(first == last, first, -2)
        gone = (only[source] == target) | (only[source] == -1)
        if not gone.any():
            return dead
        dead[alive[gone]] = True
        alive, source, target, start = alive[~gone], source[~gone], target[~gone], _counted(~gone, start)


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
    layout
        The order of the search.
    extra_dying
        Of the rows of this plan only, bool: the channel is about to close, and nothing of ours is in flight there.
    extra_beliefs, some_known, prior
        What is believed of the rows of this plan only, of rows of the graph of which something is known, and of
        the balances of all others.
    tolls
        What nodes add to the arcs into them.
    """

    n_nodes: int
    graph: ChannelGraph
    known: GraphRows
    extra: Columns
    extra_rows: ArcRows
    extra_scid: NDArray[np.uint64]
    extra_direction: NDArray[np.int8]
    closed: NDArray[np.int32]
    layout: Layout
    extra_dying: NDArray[np.bool_]
    extra_beliefs: Beliefs
    some_known: KnownRows = NO_ROWS
    prior: Prior = UNIFORM
    tolls: Tolls = NO_TOLLS

    @property
    def graph_rows(self) -> int:
        return len(self.known.arc)

    def usable(self, amount_msat: int, slack_msat: int = 0) -> Usable:
        """The arcs with the cost of `amount_msat`; for `slack_msat` see `can_carry`."""
        return self._priced(amount_msat, 1.0, slack_msat)

    def usable_for(self, amount_msat: int, part_msat: int) -> Usable:
        """The arcs that can carry parts of `part_msat`, at the cost of `amount_msat` of such a part."""
        usable = self._priced(amount_msat, amount_msat / part_msat, 0)
        carries = self.layout.merged(*self.carrying(part_msat))
        return replace(usable, costs=replace(usable.costs, carries=carries)).tight()

    def _priced(self, amount_msat: int, base_share: float, slack_msat: int) -> Usable:
        costs = arc_costs(self.known.rows, amount_msat, base_share, slack_msat, self.prior)
        costs.carries[self.closed] = False
        if len(self.some_known.row):
            costs.nats[self.some_known.row] = self.some_known.beliefs.nats(self.prior, amount_msat, base_share)
        costs.nats[self.known.dying] += _DYING_NATS * base_share
        if len(self.extra_scid):
            more, merged = arc_costs(self.extra_rows, amount_msat, base_share, slack_msat), self.layout.merged
            more.nats[:] = self.extra_beliefs.nats(self.prior, amount_msat, base_share)
            more.nats[self.extra_dying] += _DYING_NATS * base_share
            costs = ArcCosts(
                merged(costs.fee, more.fee), merged(costs.blocks, more.blocks), merged(costs.nats, more.nats),
                merged(costs.carries, more.carries),
            )  # fmt: skip
        if len(self.tolls.node):
            costs = self._tolled(costs, base_share)
        return Usable(self.layout.row, self.layout.source, self.layout.indptr, costs)

    def _tolled(self, costs: ArcCosts, share: float) -> ArcCosts:
        """`share` of what a node adds is borne by this amount, as of a base fee."""
        tolls, indptr = self.tolls, self.layout.indptr
        first, count = indptr[tolls.node], indptr[tolls.node + 1] - indptr[tolls.node]
        at = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(count.sum())
        costs.nats[at] += np.repeat(tolls.nats, count) * np.float32(share)
        seconds = np.zeros(len(costs.nats), np.float32)
        seconds[at] = np.repeat(tolls.seconds, count) * np.float32(share)
        return replace(costs, seconds=seconds)

    def carrying(self, amount_msat: int, slack_msat: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which rows can carry an amount: of the graph and of the extra ones, closed ones excepted."""
        in_graph = can_carry(self.known.rows, amount_msat, slack_msat)
        in_graph[self.closed] = False
        return in_graph, can_carry(self.extra_rows, amount_msat, slack_msat)

    def chosen(
        self, in_graph: NDArray[np.bool_], in_extra: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The sources of some rows and where those into each node start, as `Layout` has them for all.

        Shapes bool[graph rows], bool[extra rows].
        """
        mask = self.layout.merged(in_graph, in_extra)
        return self.layout.source[mask], _counted(mask, self.layout.indptr)

    def arc(self, row: int) -> Arc:
        """One row in integers."""
        columns: ChannelGraph | Columns
        if row < self.graph_rows:
            at, columns = int(self.known.arc[row]), self.graph
            scid, direction, dying = int(self.graph.scids[at >> 1]), at & 1, bool(self.graph.dying[at >> 1])
            known, size = self.some_known.find(row), int(columns.capacity_msat[at])
            if known is None:
                belief = Belief(self.prior, 0, 0, size, size, size)
            else:
                belief = self.some_known.beliefs.one(self.prior, known)
        else:
            at, columns = row - self.graph_rows, self.extra
            scid, direction = int(self.extra_scid[at]), int(self.extra_direction[at])
            belief, dying = self.extra_beliefs.one(self.prior, at), bool(self.extra_dying[at])
        return Arc(
            scid,
            direction,
            int(columns.fee_base_msat[at]),
            int(columns.fee_ppm[at]),
            int(columns.cltv_delta[at]),
            int(columns.htlc_min_msat[at]),
            min(int(columns.htlc_max_msat[at]), int(columns.capacity_msat[at])),
            int(columns.capacity_msat[at]),
            belief,
            dying,
        )

    def with_noise(self, usable: Usable, query: RouteQuery) -> Usable:
        """The same arcs with time and fees as drawn for the node that each leads out of; see `noise`."""
        prefer = query.preferences
        if prefer.randomness <= 0:
            return usable
        # `take` is twice as fast as an index.
        drawn, top = noise(self.n_nodes, prefer.seed, prefer.randomness).take(usable.source), None
        fees = fee_noise(self.n_nodes, prefer.seed, prefer.randomness, prefer.riskfactor)
        if fees is not None:
            top = usable.costs.fee * np.float32(FEE_SHARE) + np.float32(query.amount_msat * FEE_PPM / 1e6)
            top *= fees.take(usable.source)
        return replace(usable, costs=replace(usable.costs, noise=drawn, drawn_fee=top))
