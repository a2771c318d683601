"""Why there is no route, from the nearest obstacle to the farthest, with the figures that help.

Each question is a reachability search over the arcs that remain when one kind of obstacle is lifted (the
amount, the exclusions, the disabled flags), a fraction of a millisecond each. The largest amount that could
be sent is found by halving, since a channel that carries an amount also carries less (minima aside).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order

from pay.network import Overlay
from pay.routing.bounds import doors_in, doors_out, most_in_parts, most_through
from pay.routing.exact import most_own
from pay.routing.query import NoRoute, NoRouteReason, Route, RouteQuery
from pay.routing.single import Limit, OverLimit, SinglePath
from pay.routing.terrain import Terrain
from pay.units import MAX_MSAT, format_msat

MAX_DELAY = 1 << 16
"""Blocks: more than any route locks funds."""


def over_limit(query: RouteQuery, found: OverLimit) -> NoRoute:
    """Routes exist, and the best of them break a limit."""
    fee, delay = Limit.FEE.use(found.routes), Limit.DELAY.use(found.routes)
    percent = 100 * fee / query.amount_msat
    way = "route" if len(found.routes) == 1 else f"plan, in {len(found.routes)} parts,"
    match found.limit:
        case Limit.FEE:
            within = f"within {query.max_delay} blocks " if found.jointly else ""
            reason, message = NoRouteReason.TOO_EXPENSIVE, (
                f"the cheapest {way} {within}costs {format_msat(fee)} ({percent:.4g} %) and at most "
                f"{format_msat(query.max_fee_msat)} is allowed; raise maxfee or maxfeepercent to pay"
            )
        case Limit.DELAY:
            reason, message = NoRouteReason.TOO_LONG, (
                f"the quickest {way} may lock funds for {delay} blocks and at most {query.max_delay} are "
                f"allowed; raise maxdelay to pay"
            )
        case Limit.HOPS:
            reason, message = NoRouteReason.TOO_MANY_HOPS, (
                f"the shortest {way} has {found.use} hops, more than the {query.max_hops} allowed or than an "
                f"onion can hold"
            )
    return NoRoute(reason, message, fee_msat=fee, delay_blocks=delay)


def why_none(
    overlay: Overlay,
    terrain: Terrain | None,
    query: RouteQuery,
    *,
    gave_up: bool = False,
    most_msat: int | None = None,
) -> NoRoute:
    """No path carries the amount: what stands in the way.

    `most_msat`: what so many parts carry at most, if that is known.
    """
    lifted = overlay.without_exclusions() if overlay.n_excluded else overlay
    everything = Terrain.of(lifted, query.destination, {})
    if everything is None or not _known(everything):
        return _unknown(overlay, query)
    if terrain is None or not terrain.peers:
        return _no_own(overlay, everything)
    reach = _Reach(terrain)
    return (
        _excluded(reach, everything, query)
        or _own_too_small(terrain, query)
        or _never(reach, terrain, query)
        or _amount(reach, terrain, query, most_msat)
        or _fees_too_much(terrain, query)
        or _tried(query, gave_up)
    )


def _tried(query: RouteQuery, gave_up: bool) -> NoRoute:
    what = "route" if query.max_parts == 1 else "set of routes"
    where = f"for {format_msat(query.amount_msat)} to node {query.destination.hex()}"
    if gave_up:
        return NoRoute(NoRouteReason.GAVE_UP, f"no {what} {where} was found in {query.max_searches} searches")
    return NoRoute(
        NoRouteReason.INSUFFICIENT_CAPACITY,
        f"no {what} {where}: with the fees on top, the channels on the way are too small",
    )


def _excluded(reach: _Reach, everything: Terrain, query: RouteQuery) -> NoRoute | None:
    """Whether there is a way for the amount, but for the exclusions."""
    count, probe = reach.terrain.overlay.n_excluded, _probe(query)
    if not count or reach.carries(probe) or not _Reach(everything).carries(probe):
        return None
    return NoRoute(
        NoRouteReason.EXCLUDED,
        f"every route for {format_msat(query.amount_msat)} to node {query.destination.hex()} leads through "
        f"something excluded ({count} channel directions are)",
        max_sendable_msat=reach.most(query.amount_msat),
    )


def _probe(query: RouteQuery) -> int:
    """The least amount of which some path must carry a part, msat."""
    return -(-query.amount_msat // query.max_parts)


class _Reach:
    """Which amounts find any way from our peers to the recipient, whatever it costs."""

    def __init__(self, terrain: Terrain):
        self.terrain = terrain

    def carries(self, amount_msat: int) -> bool:
        """Whether some path's channels all carry the amount."""
        return self._reached(*self.terrain.arcs.carrying(amount_msat), amount_msat)

    def some_way(self) -> bool:
        """Whether enabled channels lead there at all."""
        arcs = self.terrain.arcs
        mask = arcs.known.rows.most_msat >= 0
        mask[arcs.closed] = False
        return self._reached(mask, arcs.extra.enabled, 0)

    def any_way(self) -> bool:
        """Whether channels lead there at all, disabled ones too."""
        terrain, overlay = self.terrain, self.terrain.overlay
        graph, extra = overlay.graph, overlay.extra
        mask = np.ones(graph.n_arcs, np.bool_)
        mask[overlay.closed] = False
        source, target = (
            np.concatenate((getattr(graph, end)[mask], getattr(extra, end))) for end in ("source", "target")
        )
        n = terrain.arcs.n_nodes
        backwards = coo_array((np.ones(len(source)), (target, source)), shape=(n, n)).tocsr()
        return _meets(backwards, terrain.target, terrain.peers)

    def most(self, below_msat: int) -> int:
        """The largest amount below `below_msat` that `carries`, to within 0.4 % or 1 sat; 0 if none does."""
        own = [most_own(channel) for channels in self.terrain.peers.values() for channel in channels]
        low, high = 0, min(below_msat, max(own) + 1, max(_into(self.terrain), default=0) + 1)
        if self.carries(high - 1):
            return high - 1
        while high - low > max(1_000, low // 256):
            middle = (low + high) // 2
            low, high = (middle, high) if self.carries(middle) else (low, middle)
        return low

    def _reached(self, in_graph: NDArray[np.bool_], in_extra: NDArray[np.bool_], amount_msat: int) -> bool:
        terrain = self.terrain
        wanted = [n for n, own in terrain.peers.items() if max(map(most_own, own)) >= amount_msat]
        source, indptr = terrain.arcs.chosen(in_graph, in_extra)
        n = terrain.arcs.n_nodes
        return _meets(csr_array((np.ones(len(source)), source, indptr), shape=(n, n)), terrain.target, wanted)


def _meets(backwards: csr_array, target: int, wanted: Iterable[int]) -> bool:
    """Whether one of the wanted nodes leads to the target."""
    reached = breadth_first_order(backwards, target, return_predecessors=False)
    return not set(wanted).isdisjoint(reached.tolist())


def _known(terrain: Terrain) -> bool:
    """Whether any channel leads to the recipient, of gossip's, of a hint's or of our own."""
    graph, target = terrain.overlay.graph, terrain.target
    in_graph = target < graph.n_nodes and len(graph.arcs_into(target)) > 0
    return in_graph or target in terrain.peers or bool((terrain.arcs.extra.target == target).any())


def _unknown(overlay: Overlay, query: RouteQuery) -> NoRoute:
    node = query.destination.hex()
    if overlay.n_hints:
        return NoRoute(
            NoRouteReason.BAD_HINTS,
            f"node {node} is not in the graph and none of the invoice's {overlay.n_hints} route hints can be "
            f"used; ask for a new invoice",
        )
    return NoRoute(
        NoRouteReason.UNKNOWN_NODE,
        f"node {node} has no known channel and the invoice no route hint; its channels may be private, or "
        f"newer than our gossip",
    )


def _no_own(overlay: Overlay, everything: Terrain) -> NoRoute:
    if everything.peers:
        return NoRoute(NoRouteReason.EXCLUDED, "all of our channels that can send, or their peers, are excluded")
    return NoRoute(
        NoRouteReason.NO_OWN_CHANNELS,
        "none of our channels is connected, in normal operation and has something to spend",
        max_sendable_msat=0,
    )


def _own_too_small(terrain: Terrain, query: RouteQuery) -> NoRoute | None:
    """The amount against our own channels."""
    own = [channel for channels in terrain.peers.values() for channel in channels]
    largest = max(map(most_own, own))
    if query.max_parts > 1:
        largest = most_through(doors_out(terrain), query.max_parts)
    if query.amount_msat > largest:
        how = f"the largest of our {len(own)} usable channels can send in one part now"
        if query.max_parts > 1:
            how = f"our {len(own)} usable channels can send now in {query.max_parts} parts"
        return NoRoute(
            NoRouteReason.INSUFFICIENT_SPENDABLE,
            f"{format_msat(query.amount_msat)} is more than the {format_msat(largest)} that {how}",
            max_sendable_msat=largest,
        )
    least = min(channel.htlc_min_msat for channel in own)
    if query.amount_msat < least:
        return NoRoute(
            NoRouteReason.BELOW_MINIMUM,
            f"{query.amount_msat} msat is less than the {least} msat that our channels send at least",
        )
    return None


def _never(reach: _Reach, terrain: Terrain, query: RouteQuery) -> NoRoute | None:
    """Ways that are closed for any amount."""
    name = f"node {query.destination.hex()}"
    if reach.some_way():
        return None
    if not reach.any_way():
        return NoRoute(NoRouteReason.UNREACHABLE, f"no channels lead from us to {name}")
    arcs = terrain.arcs
    into = arcs.graph.target == terrain.target
    if not (arcs.graph.enabled & into).any() and not (arcs.extra.target == terrain.target).any():
        return NoRoute(
            NoRouteReason.RECIPIENT_DISABLED,
            f"all {np.count_nonzero(into)} known channels of {name} are disabled towards it; it is probably "
            f"offline",
        )
    return NoRoute(NoRouteReason.UNREACHABLE, f"all ways from us to {name} lead over disabled channels")


def _amount(reach: _Reach, terrain: Terrain, query: RouteQuery, most_msat: int | None) -> NoRoute | None:
    """Ways that are closed for this amount."""
    amount, name = format_msat(query.amount_msat), f"node {query.destination.hex()}"
    into, total = _into(terrain), most_through(doors_in(terrain), query.max_parts)
    if query.amount_msat > total and query.max_parts > 1:
        return NoRoute(
            NoRouteReason.INSUFFICIENT_CAPACITY,
            f"{amount} is more than the {format_msat(total)} that all open channels of {name} can take in "
            f"{query.max_parts} parts",
            max_sendable_msat=total,
        )
    probe = _probe(query)
    if reach.carries(probe):
        return None if query.max_parts == 1 else _between(terrain, query, most_msat)
    most = reach.most(probe)
    if not most:
        return NoRoute(
            NoRouteReason.BELOW_MINIMUM,
            f"{amount} is less than the smallest payment that the channels towards {name} accept",
        )
    where = f"the largest channel of {name}" if max(into) <= most + 1_000 else f"the widest way to {name}"
    parts = "one part" if query.max_parts == 1 else f"{query.max_parts} parts"
    return NoRoute(
        NoRouteReason.INSUFFICIENT_CAPACITY,
        f"{amount} in {parts} is too much: {where} takes at most about {format_msat(most)} a part",
        max_sendable_msat=most,
    )


def _between(terrain: Terrain, query: RouteQuery, most_msat: int | None) -> NoRoute | None:
    """The amount in parts against all that is between us and the recipient."""
    most = most_in_parts(terrain, query) if most_msat is None else most_msat
    if most >= query.amount_msat:
        return None
    return NoRoute(
        NoRouteReason.INSUFFICIENT_CAPACITY,
        f"{format_msat(query.amount_msat)} is more than the {format_msat(most)} that all ways together from us to "
        f"node {query.destination.hex()} can carry in {query.max_parts} parts",
        max_sendable_msat=most,
    )


def _into(terrain: Terrain) -> list[int]:
    """The largest HTLC that each open channel into the recipient takes, ours included, msat."""
    arcs, target = terrain.arcs, terrain.target
    into = arcs.known.rows.target == target
    into[arcs.closed] = False
    most = arcs.known.rows.most_msat[into], arcs.extra_rows.most_msat[arcs.extra_rows.target == target]
    own = [most_own(channel) for channel in terrain.peers.get(target, ())]
    return [max(amount, 0) for amount in np.concatenate(most).tolist()] + own


def _fees_too_much(terrain: Terrain, query: RouteQuery) -> NoRoute | None:
    """The amount alone could be sent, but not with the fees on top."""
    if query.max_parts > 1:
        return None
    roomy = {
        peer: tuple(replace(c, spendable_msat=MAX_MSAT, htlc_max_msat=MAX_MSAT) for c in own)
        for peer, own in terrain.peers.items()
    }
    lifted = replace(query, max_fee_msat=MAX_MSAT, max_delay=MAX_DELAY)
    found = SinglePath(replace(terrain, peers=roomy), lifted, terrain.arcs.usable(query.amount_msat)).solve()
    if not isinstance(found, Route):
        return None
    peer = terrain.overlay.node_number(found.hops[0].node)
    assert peer is not None
    most = max(map(most_own, terrain.peers[peer]))
    return NoRoute(
        NoRouteReason.INSUFFICIENT_SPENDABLE,
        f"{format_msat(query.amount_msat)} and fees of {format_msat(found.fee_msat)} on top are more than the "
        f"{format_msat(most)} that our channels to the next node can send in one part now",
        fee_msat=found.fee_msat,
        delay_blocks=found.delay_blocks,
        max_sendable_msat=max(most - found.fee_msat, 0),
    )
