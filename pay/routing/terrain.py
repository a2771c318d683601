"""One plan's view of the overlay: arcs, our channels by peer, the recipient, and what is in flight already.

Our own channels are no arcs: what they can send is certain and they cost nothing, so a search ends at
our peers.

What is in flight on an arc is taken off what is believed to be there: with `f` passed or under way of a
channel of `c`, the balance is uniform over the rest, and a further `a` passes with the chance
`(c - f + 1 - a) / (c - f + 1)`. On our own channels nothing is taken off, because what the host calls
spendable is without the HTLCs that are out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pay.network import NOT_OWN, Overlay, OwnChannel
from pay.routing.arcs import DEAD, Arcs, GraphRows, Layout
from pay.routing.costs import Columns, Rows
from pay.units import NodeId, Scid, ScidDir


@dataclass(frozen=True, slots=True)
class Terrain:
    """What a plan is made on.

    Parameters
    ----------
    target
        The recipient's node number.
    peers
        Our channels that can send, by their peer's node number; never empty values.
    """

    overlay: Overlay
    arcs: Arcs
    target: int
    peers: Mapping[int, tuple[OwnChannel, ...]]

    def node_id(self, number: int) -> NodeId:
        return self.overlay.node_id(number)

    @classmethod
    def of(cls, overlay: Overlay, destination: NodeId, in_flight: Mapping[ScidDir, int]) -> Terrain | None:
        """None if nothing is known of the destination."""
        target = overlay.node_number(destination)
        if target is None:
            return None
        return cls(overlay, _arcs(overlay, in_flight), target, _peers(overlay))


def _peers(overlay: Overlay) -> dict[int, tuple[OwnChannel, ...]]:
    """Our usable channels with what the overlay allows each, by peer."""
    extra = overlay.extra
    peers: dict[int, tuple[OwnChannel, ...]] = {}
    for row in np.flatnonzero(extra.own != NOT_OWN):
        channel = replace(
            overlay.own[extra.own[row]],
            spendable_msat=int(extra.capacity_msat[row]),
            htlc_max_msat=int(extra.htlc_max_msat[row]),
        )
        if channel.usable:
            peer = int(extra.target[row])
            peers[peer] = (*peers.get(peer, ()), channel)
    return peers


def _arcs(overlay: Overlay, in_flight: Mapping[ScidDir, int]) -> Arcs:
    graph, extra, known = overlay.graph, overlay.extra, GraphRows.of(overlay.graph)
    theirs = np.flatnonzero(extra.own == NOT_OWN)
    rows = Columns(*(getattr(extra, name)[theirs] for name in Columns._fields))
    scids, directions, closed = extra.scid[theirs], extra.direction[theirs], overlay.closed
    copies = _replaced(overlay, in_flight) | _revived(overlay, known)
    if copies:
        arcs = np.array(sorted(copies), np.int32)
        copied = Columns(*(getattr(graph, name)[arcs] for name in Columns._fields))
        rows = Columns(*(np.concatenate((getattr(rows, n), getattr(copied, n))) for n in Columns._fields))
        scids = np.concatenate((scids, graph.scids[arcs >> 1]))
        directions = np.concatenate((directions, (arcs & 1).astype(np.int8)))
        closed = np.concatenate((closed, arcs))
    if in_flight:
        names = zip(scids.tolist(), directions.tolist(), strict=True)
        used = [in_flight.get(ScidDir(Scid(scid), direction), 0) for scid, direction in names]
        rows.capacity_msat[:] = np.maximum(rows.capacity_msat - np.array(used, np.int64), 0)
    shut = known.row[closed]
    replaces = np.full(len(scids), -1, np.intp)
    channels = graph.find_channels(scids)
    announced = channels >= 0
    replaces[announced] = known.row[2 * channels[announced] + directions[announced]]
    merged = Rows.of(rows)
    layout = Layout.of(known, overlay.n_nodes, merged, replaces)
    return Arcs(overlay.n_nodes, graph, known, rows, merged, scids, directions, shut[shut >= 0], layout)


def _replaced(overlay: Overlay, in_flight: Mapping[ScidDir, int]) -> set[int]:
    """The graph's arcs that have something in flight and are open."""
    numbers = (overlay.graph.arc_number(named) for named, amount in in_flight.items() if amount > 0)
    return {arc for arc in numbers if arc is not None}.difference(overlay.closed.tolist())


def _revived(overlay: Overlay, known: GraphRows) -> set[int]:
    """The graph's arcs that lead nowhere but from a node that the overlay leads to, and on from there."""
    graph, revived = overlay.graph, set[int]()
    waiting = set(overlay.extra.target.tolist())
    while waiting:
        node = waiting.pop()
        if node < graph.n_nodes and known.leads_nowhere[node]:
            out = graph.arcs_into(node) ^ 1
            out = out[(known.row[out] == DEAD) & graph.enabled[out]]
            fresh = set(out.tolist()).difference(overlay.closed.tolist(), revived)
            revived |= fresh
            waiting.update(graph.target[list(fresh)].tolist())
    return revived
