"""The shadow route: what a route would ask more if it led on from the recipient, so that it seems to.

Who forwards an HTLC sees its expiry, and with it how many blocks are left after him. What recipients ask for is
known (18 blocks, 40, ...), so without more the last node on the way knows that it is the last. BOLT 7
("Recommendations for Routing"): "in order to create a shadow route offset, the origin node MAY start a limited
random walk on the graph, starting from the intended recipient and summing the `cltv_expiry_delta`s, and use the
resulting sum as the offset". The fees of such a walk are part of a route too: with them the amount is not the
invoice's any more.

Where there is nowhere to walk to, the deltas of channels drawn from the whole graph do: the sum looks the same.

What it knowingly does not do: hide a recipient with one channel from the node at its other end, or the amount from
a node that knows the invoice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from pay.network import ChannelGraph
from pay.routing.query import Route, RouteQuery
from pay.units import NodeId, fee_msat

STEPS = (1, 2, 3, 4)
"""How many channels a walk leads on, drawn from these. If short walks were likelier than others, or none long,
blocks that fit a short one would give the recipient away; but each block of delay may lock funds for longer.
Measured, a guesser who knows all this is right for 55 of 100 payments with up to four, for 75 with three, and for
all without any (python -m tests.bench privacy)."""

DELAY_SHARE = 4
"""A walk takes at most the fourth part of what maxdelay leaves: the routes need the rest."""

_USUAL_DELTAS = (34, 40, 72, 80, 80, 144)
"""cltv_expiry_deltas that implementations set by default, for a graph without channels."""

_STREAM = 0x5AD0
"""Of the numbers drawn from a payment's seed, those that the walk takes."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk adds: blocks of delay, and what its channels would take for forwarding the amount, msat."""

    blocks: int
    fee_msat: int


def walk(graph: ChannelGraph, payee: NodeId, amount_msat: int, room_blocks: int, seed: int) -> Walk:
    """A random walk of one to four channels onward from `payee` that adds up to at most so many blocks.

    Parameters
    ----------
    room_blocks
        What maxdelay leaves when the recipient has what it asks for.

    Returns
    -------
    Walk
        The same for the same graph and seed. Its channels carry `amount_msat`, or a part of it where none takes
        the whole; where none leads on, blocks are drawn and the fee is 0.
    """
    rng = np.random.default_rng((_STREAM, seed))
    steps, most = int(rng.choice(STEPS)), room_blocks // DELAY_SHARE
    arcs = _arcs(graph, payee, amount_msat, most, steps, rng)
    if not arcs:
        return Walk(_drawn(graph, most, steps, rng), 0)
    carried = amount_msat
    for arc in reversed(arcs):
        carried += fee_msat(carried, int(graph.fee_base_msat[arc]), int(graph.fee_ppm[arc]))
    return Walk(sum(int(graph.cltv_delta[arc]) for arc in arcs), carried - amount_msat)


def shadow_fee_msat(walked_msat: int, amount_msat: int, cheapest_msat: int, limit_msat: int, seed: int) -> int:
    """How much more than the invoice asks for is delivered, msat.

    At most the least of the walk's fee, a tenth of the cheapest route's (or 10 msat, if that is more), a quarter
    of what that leaves of the limit, and the amount itself; drawn from the upper half, since what can be computed
    hides nothing.
    """
    # BOLT 4: a recipient that gets more than twice what it asked for SHOULD fail the HTLC.
    most = min(walked_msat, max(cheapest_msat // 10, 10), (limit_msat - cheapest_msat) // 4, amount_msat)
    if most <= 0:
        return 0
    return most - int(np.random.default_rng((_STREAM, seed, 1)).integers(most // 2 + 1))


def lengthened(query: RouteQuery, routes: Sequence[Route]) -> tuple[Route, ...]:
    """The routes with the query's shadow on every hop, or as much of it as `max_delay` leaves to all of them.

    A route of one hop has nobody on it to hide the recipient from. The others get the same: parts that differ
    in what they leave the recipient would be told apart.
    """
    longer = [route for route in routes if len(route.hops) > 1]
    if not longer:
        return tuple(routes)
    blocks = min(query.shadow_blocks, query.max_delay - max(route.delay_blocks for route in longer))
    if blocks <= 0:
        return tuple(routes)
    return tuple(_later(route, blocks) if len(route.hops) > 1 else route for route in routes)


def _later(route: Route, blocks: int) -> Route:
    hops = tuple(replace(hop, delay_blocks=hop.delay_blocks + blocks) for hop in route.hops)
    return replace(route, hops=hops)


def _arcs(
    graph: ChannelGraph, payee: NodeId, amount_msat: int, most_blocks: int, steps: int, rng: Generator
) -> list[int]:
    """Arcs of the walk; fewer than `steps` where it gets stuck."""
    at = graph.node_number(payee)
    arcs: list[int] = []
    visited = [] if at is None else [at]
    while at is not None and len(arcs) < steps:
        out = graph.arcs_into(at) ^ 1
        fits = graph.enabled[out] & (graph.cltv_delta[out] > 0) & (graph.cltv_delta[out] <= most_blocks)
        fits &= graph.htlc_min_msat[out] <= amount_msat
        fits &= ~np.isin(graph.target[out], visited)
        if not fits.any():
            break
        whole = fits & (np.minimum(graph.htlc_max_msat[out], graph.capacity_msat[out]) >= amount_msat)
        # What no channel takes as a whole goes on in parts.
        onward = out[whole if whole.any() else fits]
        arc = int(onward[rng.integers(len(onward))])
        arcs.append(arc)
        at = int(graph.target[arc])
        visited.append(at)
        most_blocks -= int(graph.cltv_delta[arc])
    return arcs


def _drawn(graph: ChannelGraph, most_blocks: int, steps: int, rng: Generator) -> int:
    """The deltas of so many channels from anywhere, as many of them as fit."""
    total = 0
    for _ in range(steps):
        fits = [delta for delta in _USUAL_DELTAS if total + delta <= most_blocks]
        if not fits:
            break
        delta = fits[int(rng.integers(len(fits)))]
        if graph.n_arcs:
            arc = int(rng.integers(graph.n_arcs))
            theirs = int(graph.cltv_delta[arc])
            delta = theirs if graph.enabled[arc] and 0 < theirs <= most_blocks - total else delta
        total += delta
    return total
