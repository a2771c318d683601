"""One plan's view of the overlay: arcs, our channels by peer, the recipient, and what is in flight already.

Our own channels are no arcs: what they can send is certain and they cost nothing, so a search ends at
our peers.

What is in flight on an arc is taken off what may pass, and what is believed of the rest is conditional on that it
could pass (see `arc_beliefs`). On our own channels nothing is taken off, because what the host calls spendable is
without the HTLCs that are out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pay.liquidity.knowledge import NOTHING_KNOWN, Knowledge
from pay.network import NOT_OWN, ChannelGraph, Overlay, OwnChannel
from pay.routing.arc_beliefs import Beliefs, KnownRows, Tolls, tolls
from pay.routing.arcs import CLOSED, DEAD, Arcs, GraphRows, Layout
from pay.routing.costs import ArcRows, Columns, Prices
from pay.units import NodeId, ScidDir


@dataclass(frozen=True, slots=True)
class Problem:
    """What a plan is made on: the network as it is for one query.

    Parameters
    ----------
    target
        The recipient's node number.
    peers
        Our channels that can send, by their peer's node number; never empty values.
    knowledge
        What the plan was given.
    """

    overlay: Overlay
    arcs: Arcs
    target: int
    peers: Mapping[int, tuple[OwnChannel, ...]]
    knowledge: Knowledge = NOTHING_KNOWN

    def node_id(self, number: int) -> NodeId:
        return self.overlay.node_id(number)

    def toll(self, peer: int, prices: Prices) -> float:
        """What experience with a peer of ours adds to what leaves through it, msat."""
        nats, seconds = self.arcs.tolls.of(peer)
        return prices.nat * nats + prices.second * seconds

    def tolls_along(self, path: Sequence[int]) -> tuple[float, float]:
        """Nats and seconds of the nodes of a path, our peer's included."""
        if not len(self.arcs.tolls.node):
            return 0.0, 0.0
        nats, seconds = zip(*map(self.arcs.tolls.of, path), strict=True)
        return sum(nats), sum(seconds)

    @classmethod
    def of(
        cls,
        overlay: Overlay,
        destination: NodeId,
        in_flight: Mapping[ScidDir, int],
        knowledge: Knowledge = NOTHING_KNOWN,
    ) -> Problem | None:
        """None if nothing is known of the destination."""
        target = overlay.node_number(destination)
        if target is None:
            return None
        arcs = _arcs(overlay, target, in_flight, knowledge, _tolls(overlay, knowledge, target))
        return cls(overlay, arcs, target, _peers(overlay), knowledge)


def _peers(overlay: Overlay) -> dict[int, tuple[OwnChannel, ...]]:
    """Our usable channels with what the overlay allows each, by peer."""
    extra = overlay.extra
    peers: dict[int, tuple[OwnChannel, ...]] = {}
    for row in np.flatnonzero(extra.own != NOT_OWN):
        channel = overlay.own[extra.own[row]]
        spendable, most = int(extra.capacity_msat[row]), int(extra.htlc_max_msat[row])
        if spendable < channel.spendable_msat or most < min(channel.htlc_max_msat, spendable):
            channel = replace(channel, spendable_msat=spendable, htlc_max_msat=most)
        if channel.usable:
            peer = int(extra.target[row])
            peers[peer] = (*peers.get(peer, ()), channel)
    return peers


def _tolls(overlay: Overlay, knowledge: Knowledge, target: int) -> Tolls:
    """By number; the recipient's would change nothing."""
    numbers = ((overlay.node_number(node), cost) for node, cost in knowledge.nodes.items())
    into = ((number, cost) for number, cost in numbers if number is not None and number != target)
    return tolls({number: (cost.nats, cost.seconds) for number, cost in into})


def _arcs(
    overlay: Overlay, target: int, in_flight: Mapping[ScidDir, int], knowledge: Knowledge, tolls: Tolls
) -> Arcs:
    graph, extra, known = overlay.graph, overlay.extra, GraphRows.of(overlay.graph)
    # A learnt policy or a hint does not make a node passable that requires what we do not know.
    passable = known.through[np.minimum(extra.source, graph.n_nodes)]
    theirs = np.flatnonzero((extra.own == NOT_OWN) & passable)
    rows = Columns(*(getattr(extra, name)[theirs] for name in Columns._fields))
    scids, directions, closed = extra.scid[theirs], extra.direction[theirs], overlay.closed
    copies = _replaced(overlay, known, in_flight) | _revived(overlay, known, target)
    if copies:
        arcs = np.array(sorted(copies), np.int32)
        copied = Columns(*(getattr(graph, name)[arcs] for name in Columns._fields))
        rows = Columns(*(np.concatenate((getattr(rows, n), getattr(copied, n))) for n in Columns._fields))
        scids = np.concatenate((scids, graph.scids[arcs >> 1]))
        directions = np.concatenate((directions, (arcs & 1).astype(np.int8)))
        closed = np.concatenate((closed, arcs))
    shut = known.row[closed]
    channels = graph.find_channels(scids)
    arc = np.where(channels >= 0, 2 * channels + directions, -1)
    beliefs = _beliefs(graph, knowledge, scids, directions, arc, rows.capacity_msat, in_flight)
    rows.capacity_msat[:] = np.maximum(rows.capacity_msat - beliefs.held_msat, 0)
    replaces, dying = np.full(len(arc), -1, np.intp), np.zeros(len(arc), np.bool_)
    announced = arc >= 0
    replaces[announced] = known.row[arc[announced]]
    dying[announced] = graph.dying[arc[announced] >> 1] & (beliefs.held_msat[announced] == 0)
    merged = ArcRows.of(rows)
    layout = Layout.of(known, overlay.n_nodes, merged, replaces)
    return Arcs(
        overlay.n_nodes, graph, known, rows, merged, scids, directions, shut[shut >= 0], layout, dying,
        beliefs, KnownRows.of(knowledge, graph, known.row), knowledge.prior, tolls,
    )  # fmt: skip


def _beliefs(
    graph: ChannelGraph,
    knowledge: Knowledge,
    scids: NDArray[np.uint64],
    directions: NDArray[np.int8],
    arc: NDArray[np.int64],
    limit_msat: NDArray[np.int64],
    in_flight: Mapping[ScidDir, int],
) -> Beliefs:
    """Of rows of one plan; `arc` is -1 where the graph has none. The limits are what may pass in all."""
    size = limit_msat.copy()
    announced = arc >= 0
    size[announced] = np.maximum(size[announced], graph.capacity_msat[arc[announced]])
    held, low, high = np.zeros_like(size), np.zeros_like(size), size.copy()
    if in_flight:
        # Of hundreds of rows a `ScidDir` each would cost more than all the rest; a pair is equal to it.
        by_pair = cast(Mapping[tuple[int, int], int], in_flight)
        held[:] = [by_pair.get(pair, 0) for pair in zip(scids.tolist(), directions.tolist(), strict=True)]
    if len(knowledge):
        at = np.minimum(np.searchsorted(knowledge.scid, scids), len(knowledge) - 1)
        known = np.flatnonzero(knowledge.scid[at] == scids)
        which = directions[known], at[known]
        high[known] = np.minimum(knowledge.high_msat[which], size[known])
        low[known] = np.minimum(knowledge.low_msat[which], high[known])
    return Beliefs(held, low, high, size, limit_msat.copy())


def _replaced(overlay: Overlay, known: GraphRows, in_flight: Mapping[ScidDir, int]) -> set[int]:
    """The graph's arcs that have something in flight and are open."""
    names = [named for named, amount in in_flight.items() if amount > 0]
    channels = overlay.graph.find_channels(np.array([named.scid for named in names], np.uint64))
    arcs = 2 * channels + np.array([named.direction for named in names], np.int32)
    arcs = arcs[channels >= 0]
    return set(arcs[known.row[arcs] != CLOSED].tolist()).difference(overlay.closed.tolist())


def _revived(overlay: Overlay, known: GraphRows, target: int) -> set[int]:
    """The graph's arcs that lead nowhere but from a node that the overlay leads to, and on from there."""
    graph, revived = overlay.graph, set[int]()
    waiting = set(overlay.extra.target.tolist())
    while waiting:
        node = waiting.pop()
        if node < graph.n_nodes and node != target and known.leads_nowhere[node]:
            out = graph.arcs_into(node) ^ 1
            out = out[(known.row[out] == DEAD) & graph.enabled[out]]
            fresh = set(out.tolist()).difference(overlay.closed.tolist(), revived)
            revived |= fresh
            waiting.update(graph.target[list(fresh)].tolist())
    return revived
