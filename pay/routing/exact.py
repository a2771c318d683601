"""From a path of nodes to a route in exact integers, backwards from the recipient.

BOLT 7: a node takes its fee on what it forwards, so amounts are known from the end only; the CLTV of an HTLC
is that of the next one plus the delta of the channel that it leaves through. Of parallel channels each hop
takes the one that is best at the amount that it must really carry. Our own channel asks nothing of us.

Where no channel between two nodes carries the exact amount (fees may lift it over a maximum that the query's
amount kept below), the pass reports which arcs are in the way and the search goes on without them.

BOLT 4: the payloads of all hops fit in 1,300 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, prod

from pay.network import OwnChannel
from pay.routing.arcs import Arc, Arcs, Usable
from pay.routing.costs import Prices
from pay.routing.query import Hop, Route, RouteQuery
from pay.units import NodeId, Scid, fee_msat

ONION_BYTES = 1_300
"""BOLT 4: length of hop_payloads."""

_HMAC_BYTES = 32
_CLTV_BYTES = 3
"""Block heights stay below 2^24 for three centuries."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A route and what it is worth: `cost_msat` by the prices it was traced with, noise included."""

    route: Route
    cost_msat: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """None of the parallel arcs at these positions of `Usable` carries the exact amount.

    Empty if it is our own channels to the first node that cannot.
    """

    positions: tuple[int, ...]


def trace(
    arcs: Arcs,
    usable: Usable,
    own: Sequence[OwnChannel],
    path: Sequence[int],
    ids: Sequence[NodeId],
    query: RouteQuery,
    prices: Prices,
    amount_msat: int,
    shut: frozenset[int] | set[int] = frozenset(),
) -> Traced | Blocked:
    """The exact route along `path`, the node numbers from our peer to the recipient.

    Parameters
    ----------
    own
        Our channels to the first node of `path`.
    ids
        Node ids of `path`, in its order.
    shut
        Positions in `usable` that must not be used.
    """
    amount, delay, cost = amount_msat, query.final_cltv, 0.0
    hops: list[Hop] = []
    chances: list[float] = []
    for at in range(len(path) - 1, 0, -1):
        between = [int(p) for p in usable.between(path[at - 1], path[at]) if int(p) not in shut]
        best = _best(arcs, usable, between, amount, prices)
        if best is None:
            return Blocked(tuple(between))
        arc, price = best
        hops.append(Hop(Scid(arc.scid), arc.direction, ids[at], amount, delay))
        chances.append(chance(arc, amount))
        cost += price
        amount += fee_msat(amount, arc.fee_base_msat, arc.fee_ppm)
        delay += arc.cltv_delta
    channel = pick_own(own, amount)
    if channel is None:
        return Blocked(())
    hops.append(Hop(channel.scid, channel.direction, ids[0], amount, delay))
    return Traced(Route(tuple(reversed(hops)), prod(chances)), cost)


def _best(
    arcs: Arcs, usable: Usable, positions: Sequence[int], amount_msat: int, prices: Prices
) -> tuple[Arc, float] | None:
    """The cheapest of parallel arcs that carries the amount, with its cost in msat."""
    best, least = None, inf
    for position in positions:
        arc = arcs.arc(int(usable.row[position]))
        if not arc.carries(amount_msat):
            continue
        price = prices.fee * fee_msat(amount_msat, arc.fee_base_msat, arc.fee_ppm)
        price += prices.block * arc.cltv_delta - prices.nat * log(chance(arc, amount_msat))
        if usable.terms.noise is not None:
            price *= float(usable.terms.noise[position])
        if price + prices.hop < least:
            best, least = arc, price + prices.hop
    return None if best is None else (best, least)


def chance(arc: Arc, amount_msat: int) -> float:
    """The believed chance that an arc can forward `amount_msat`, which it carries by its policy. See costs."""
    return (arc.capacity_msat + 1 - amount_msat) / (arc.capacity_msat + 1)


def pick_own(own: Sequence[OwnChannel], amount_msat: int) -> OwnChannel | None:
    """Our channel for an HTLC of `amount_msat`: the smallest that does, so that large ones stay large."""
    fitting = [channel for channel in own if channel.htlc_min_msat <= amount_msat <= most_own(channel)]
    return min(fitting, key=lambda channel: (channel.spendable_msat, channel.scid), default=None)


def most_own(channel: OwnChannel) -> int:
    """The largest HTLC that our own channel takes now, msat."""
    return min(channel.spendable_msat, channel.htlc_max_msat) if channel.usable and channel.free_htlcs else 0


def onion_bytes(route: Route, metadata_bytes: int = 0) -> int:
    """Size of the hop payloads of `route` (BOLT 4, tlv_payload), HMACs included; the total at its longest."""
    total = 0
    for hop in route.hops[1:]:
        total += _framed(2 + _tu64(hop.amount_msat) + 2 + _CLTV_BYTES + 2 + 8)
    final = 2 + _tu64(route.amount_msat) + 2 + _CLTV_BYTES + 2 + 32 + 8
    if metadata_bytes:
        final += 1 + _bigsize(metadata_bytes) + metadata_bytes
    return total + _framed(final)


def _framed(payload_bytes: int) -> int:
    return _bigsize(payload_bytes) + payload_bytes + _HMAC_BYTES


def _tu64(value: int) -> int:
    return (value.bit_length() + 7) // 8


def _bigsize(value: int) -> int:
    return 1 if value < 0xFD else 3
