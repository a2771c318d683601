"""Every plan is verified against its query before it is used: integers only, and nothing of the planner's arrays.

It looks each channel up again in the overlay and recomputes fees and CLTVs forwards, from what each node would demand
(BOLT 7: "A node ... SHOULD accept HTLCs that pay a fee equal to or greater than fee_base_msat + amount_to_forward *
fee_proportional_millionths / 1000000"). What it finds is an error of the planner, never of the network or the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pay.network import NOT_OWN, Overlay
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
    _demand(bool(routes), "no routes")
    _demand(len(routes) <= query.max_parts, f"{len(routes)} routes, at most {query.max_parts} asked")
    delivered = sum(route.amount_msat for route in routes)
    _demand(delivered == query.amount_msat, f"delivers {delivered} msat of {query.amount_msat}")
    fees = sum(route.fee_msat for route in routes)
    _demand(fees <= query.max_fee_msat, f"costs {fees} msat, at most {query.max_fee_msat} allowed")
    load: Counter[ScidDir] = Counter()
    slots: Counter[ScidDir] = Counter()
    for route in routes:
        _check_limits(query, route)
        _check_hops(overlay, query, route)
        for hop in route.hops:
            load[hop.scid_dir] += hop.amount_msat
            slots[hop.scid_dir] += 1
    for named, amount in load.items():
        asked = _asked(overlay, named)
        _demand(amount <= asked.capacity_msat, f"{amount} msat over {named} of {asked.capacity_msat}")
        _demand(asked.slots is None or slots[named] <= asked.slots, f"more HTLCs over {named} than are free")


def _check_limits(query: RouteQuery, route: Route) -> None:
    _demand(route.amount_msat > 0, "a route for nothing")
    _demand(route.delay_blocks <= query.max_delay, f"{route.delay_blocks} blocks, at most {query.max_delay} allowed")
    _demand(len(route.hops) <= query.max_hops, f"{len(route.hops)} hops, at most {query.max_hops} allowed")
    _demand(onion_bytes(route, query.metadata_bytes) <= ONION_BYTES, "more payload than an onion holds")
    _demand(0 < route.probability <= 1, f"probability {route.probability}")


def _check_hops(overlay: Overlay, query: RouteQuery, route: Route) -> None:
    at = overlay.source
    nodes = {at}
    before: Hop | None = None
    for hop in route.hops:
        asked = _asked(overlay, hop.scid_dir)
        end = overlay.node_number(hop.node)
        _demand((asked.source, asked.target) == (at, end), f"{hop.scid_dir} does not lead on to {hop.node.hex()}")
        _demand(end not in nodes, f"{hop.node.hex()} twice")
        _demand(
            asked.htlc_min_msat <= hop.amount_msat <= asked.htlc_max_msat,
            f"{hop.amount_msat} msat over {hop.scid_dir}, {asked.htlc_min_msat} to {asked.htlc_max_msat} accepted",
        )
        if before is None:
            _demand(asked.slots is not None, f"{hop.scid_dir} is not ours")
        else:
            _demand(asked.slots is None, f"{hop.scid_dir} is ours and not the first")
            fee = fee_msat(hop.amount_msat, asked.fee_base_msat, asked.fee_ppm)
            _demand(before.amount_msat == hop.amount_msat + fee, f"fee of {hop.scid_dir} is not {fee} msat")
            _demand(before.delay_blocks == hop.delay_blocks + asked.cltv_delta, f"CLTV delta of {hop.scid_dir}")
        before, at = hop, asked.target
        nodes.add(at)
    last = route.hops[-1]
    _demand(last.node == query.destination, f"ends at {last.node.hex()}")
    _demand(last.delay_blocks == query.final_cltv, f"{last.delay_blocks} blocks at the recipient")


def _asked(overlay: Overlay, named: ScidDir) -> _Asked:
    """What the overlay says of a channel direction."""
    extra, graph = overlay.extra, overlay.graph
    rows = np.flatnonzero((extra.scid == named.scid) & (extra.direction == named.direction))
    slots: int | None = None
    if len(rows):
        row = int(rows[0])
        if extra.own[row] != NOT_OWN:
            slots = overlay.own[extra.own[row]].free_htlcs
    else:
        arc = graph.arc_number(named)
        _demand(arc is not None, f"{named} is unknown")
        assert arc is not None
        at = int(np.searchsorted(overlay.closed, arc))
        _demand(at == len(overlay.closed) or overlay.closed[at] != arc, f"{named} must not be used")
        row = arc
    columns = extra if len(rows) else graph
    _demand(bool(columns.enabled[row]), f"{named} is disabled")
    figures = {name: int(getattr(columns, name)[row]) for name in _Asked._fields[:-1]}
    return _Asked(**figures, slots=slots)


def _demand(holds: bool, problem: str) -> None:
    if not holds:
        raise PlanError(problem)
