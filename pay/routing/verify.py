"""Every plan is verified against its query before it is used, in integers and without the planner's arrays.

It looks each channel up again in the overlay and recomputes fees and CLTVs as each node on the way would demand
them (BOLT 7: HTLCs should pay at least fee_base_msat + amount_to_forward * fee_proportional_millionths /
1000000). What it finds is an error of the planner, never of the network or the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pay.network import NOT_OWN, ChannelGraph, ExtraArcs, Overlay
from pay.routing.exact import ONION_BYTES, onion_bytes
from pay.routing.query import Hop, Route, RouteQuery
from pay.units import ScidDir, fee_msat


class PlanError(Exception):
    """A plan that breaks its own query: a bug of the planner."""


class _Asked(NamedTuple):
    """What an arc asks and takes; `slots` is None for channels of others."""

    source: int
    target: int
    fee_base_msat: int
    fee_ppm: int
    cltv_delta: int
    htlc_min_msat: int
    htlc_max_msat: int
    capacity_msat: int
    slots: int | None = None


def check(overlay: Overlay, query: RouteQuery, routes: Sequence[Route]) -> None:
    """Verifies that `routes` deliver what `query` asks, within its limits, over arcs that the overlay allows.

    Raises
    ------
    PlanError
        With the first violation in words.
    """
    most = max(query.max_parts, query.most_parts)
    if not 1 <= len(routes) <= most:
        raise PlanError(f"{len(routes)} routes, 1 to {most} asked")
    delivered = sum(route.amount_msat for route in routes)
    if delivered != query.amount_msat:
        raise PlanError(f"delivers {delivered} msat of {query.amount_msat}")
    fees = sum(route.fee_msat for route in routes)
    if fees > query.max_fee_msat:
        raise PlanError(f"costs {fees} msat, at most {query.max_fee_msat} allowed")
    shadows = {route.hops[-1].delay_blocks for route in routes if len(route.hops) > 1}
    if len(shadows) > 1:
        raise PlanError(f"parts that end with different delays: {sorted(shadows)}")
    load: Counter[ScidDir] = Counter()
    htlcs: Counter[ScidDir] = Counter()
    asked: dict[ScidDir, _Asked] = {}
    for route in routes:
        for hop in route.hops:
            named = hop.scid_dir
            load[named] += hop.amount_msat
            htlcs[named] += 1
            if named not in asked:
                asked[named] = _asked(overlay, named)
        _check_limits(query, route)
        _check_hops(overlay, query, route, asked)
    for named, amount in load.items():
        capacity, slots = asked[named].capacity_msat, asked[named].slots
        if amount > capacity:
            raise PlanError(f"{amount} msat over {named} of {capacity}")
        if slots is not None and htlcs[named] > slots:
            raise PlanError(f"{htlcs[named]} HTLCs over {named}, {slots} free")


def _check_limits(query: RouteQuery, route: Route) -> None:
    if route.amount_msat <= 0:
        raise PlanError("a route for nothing")
    if route.delay_blocks > query.max_delay:
        raise PlanError(f"{route.delay_blocks} blocks, at most {query.max_delay} allowed")
    if len(route.hops) > query.max_hops:
        raise PlanError(f"{len(route.hops)} hops, at most {query.max_hops} allowed")
    if onion_bytes(route, query.metadata_bytes) > ONION_BYTES:
        raise PlanError("more payload than an onion holds")
    if not 0 <= route.probability <= 1:
        raise PlanError(f"probability {route.probability}")


def _check_hops(overlay: Overlay, query: RouteQuery, route: Route, asked: Mapping[ScidDir, _Asked]) -> None:
    at = overlay.source
    nodes = {at}
    before: Hop | None = None
    for hop in route.hops:
        named, end = hop.scid_dir, overlay.node_number(hop.node)
        arc = asked[named]
        if (arc.source, arc.target) != (at, end):
            raise PlanError(f"{named} does not lead on to {hop.node.hex()}")
        if end in nodes:
            raise PlanError(f"{hop.node.hex()} twice")
        if not arc.htlc_min_msat <= hop.amount_msat <= arc.htlc_max_msat:
            taken = f"{arc.htlc_min_msat} to {arc.htlc_max_msat}"
            raise PlanError(f"{hop.amount_msat} msat over {named}, which takes {taken}")
        if (arc.slots is None) != (before is not None):
            raise PlanError(f"{named}: the first hop, and no other, is a channel of ours")
        if before is not None:
            fee = fee_msat(hop.amount_msat, arc.fee_base_msat, arc.fee_ppm)
            if before.amount_msat != hop.amount_msat + fee:
                raise PlanError(f"{before.amount_msat - hop.amount_msat} msat for {named}, which asks {fee}")
            if before.delay_blocks != hop.delay_blocks + arc.cltv_delta:
                raise PlanError(f"{before.delay_blocks - hop.delay_blocks} blocks for {named}")
        before, at = hop, arc.target
        nodes.add(at)
    last, shadow = route.hops[-1], query.shadow_blocks if len(route.hops) > 1 else 0
    if last.node != query.destination or not 0 <= last.delay_blocks - query.final_cltv <= shadow:
        raise PlanError(f"ends at {last.node.hex()} with {last.delay_blocks} blocks")


def _asked(overlay: Overlay, named: ScidDir) -> _Asked:
    """What the overlay says of a channel direction."""
    extra, graph = overlay.extra, overlay.graph
    slots: int | None = None
    columns: ChannelGraph | ExtraArcs = extra
    rows = np.flatnonzero((extra.scid == named.scid) & (extra.direction == named.direction))
    if len(rows):
        row = int(rows[0])
        if extra.own[row] != NOT_OWN:
            slots = overlay.own[extra.own[row]].free_htlcs
    else:
        arc = graph.arc_number(named)
        if arc is None:
            raise PlanError(f"{named} is unknown")
        at = int(np.searchsorted(overlay.closed, arc))
        if at < len(overlay.closed) and overlay.closed[at] == arc:
            raise PlanError(f"{named} must not be used")
        columns, row = graph, arc
    if slots is None and int(columns.source[row]) in graph.demanding:
        raise PlanError(f"{named} leaves a node that requires what we do not know")
    if not columns.enabled[row]:
        raise PlanError(f"{named} is disabled")
    figures = {name: getattr(columns, name).item(row) for name in _Asked._fields[:-1]}
    return _Asked(**figures, slots=slots)
