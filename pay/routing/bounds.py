"""What no plan can exceed: by the channels at either end (microseconds), by all between (milliseconds).

A part leaves through one of our channels and arrives through one of the recipient's, as one HTLC each. So a plan
carries at most what the largest such HTLCs carry, as many as it may have parts: full ones, and the rest of each
channel. And it carries at most the maximum flow through what is believed of all channels, fees aside.

What it knowingly does not do: say that what is not too much can be sent. Fees, minima and the number of parts may
yet stand in the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from heapq import nlargest
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import maximum_flow

from pay.network import OwnChannel
from pay.routing.arcs import Usable
from pay.routing.costs import ArcRows, Prices
from pay.routing.exact import most_own
from pay.routing.problem import Problem
from pay.routing.query import RouteQuery
from pay.routing.reach import Reach
from pay.routing.search import Backwards, Forwards
from pay.units import MAX_MSAT

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_UNKNOWN = 1 << 30
"""HTLCs that a channel of others may take: nobody says."""

_SHARES = (4, 16)
"""Of an even part: how small the parts are taken that bounds of a plan leave out of the flow."""

ROUNDED_MSAT = 100
"""What fees may be less in a plan than in reckoning: each is rounded down, and float32 ranks."""

_UNITS = 1 << 16
"""SciPy's flows count in 32 bits: the amount is so many units, and the room of a channel is rounded up to one."""


class Door(NamedTuple):
    """A channel at an end: what it holds, the largest HTLC it takes, and how many of them."""

    total_msat: int
    htlc_msat: int
    htlcs: int


def most_through(doors: Iterable[Door], parts: int) -> int:
    """The most that so many parts carry through these channels, msat."""
    pieces: list[int] = []
    for total, htlc, slots in doors:
        if htlc <= 0 or total <= 0:
            continue
        full = min(total // htlc, slots, parts)
        pieces += [htlc] * full
        if full < min(slots, parts):
            pieces.append(total - full * htlc)
    return sum(nlargest(parts, pieces))


def doors_out(problem: Problem) -> list[Door]:
    """Our own channels."""
    return [door_out(channel) for channels in problem.peers.values() for channel in channels]


def doors_in(problem: Problem, htlcs: int = _UNKNOWN) -> list[Door]:
    """The recipient's open channels, ours with it included; those of others take so many HTLCs."""
    doors = [door_out(channel) for channel in problem.peers.get(problem.target, ())]
    for total, htlc in _rooms_in(problem):
        doors += [Door(*ends, htlcs) for ends in zip(total.tolist(), htlc.tolist(), strict=True)]
    return doors


def too_much(problem: Problem, query: RouteQuery) -> bool:
    """Whether the channels at either end cannot carry the amount, whatever is between."""
    amount, parts = query.amount_msat, query.max_parts
    # The usual answers, without a look at each of the thousand channels that a node may have.
    one = any(most_own(channel) >= amount for channels in problem.peers.values() for channel in channels)
    if not one and most_through(doors_out(problem), parts) < amount:
        return True
    if any((htlc >= amount).any() for _, htlc in _rooms_in(problem)):
        return False
    return most_through(doors_in(problem, query.door_parts), parts) < amount


def most_in_parts(problem: Problem, query: RouteQuery) -> int:
    """What so many parts carry from us to the recipient at most, msat, up to the amount and a little more.

    Parts of more than x flow through channels that take more than x; the others are x each at most. That holds for
    every x, and the least bound holds.
    """
    most = most_between(problem, query)
    for share in _SHARES:
        if most < query.amount_msat:
            break
        small = query.amount_msat // (share * query.max_parts)
        most = min(most, query.max_parts * small + most_between(problem, query, small + 1))
    return most


def most_between(problem: Problem, query: RouteQuery, part_msat: int = 0) -> int:
    """The maximum flow from us to the recipient in parts of `part_msat` or more, msat, up to the amount and a
    little more (see `_UNITS`)."""
    arcs, n = problem.arcs, problem.arcs.n_nodes
    least = max(part_msat, 1)
    sources, targets, rooms = [], [], []
    chosen = arcs.carrying(least, query.amount_msat)
    for rows, carries in zip((arcs.known.rows, arcs.extra_rows), chosen, strict=True):
        at = np.flatnonzero(carries)
        sources.append(rows.source[at])
        targets.append(rows.target[at])
        most = np.minimum(rows.most_msat[at], query.amount_msat) * query.max_parts
        rooms.append(np.minimum(rows.room_msat[at] - 1, most))
    peers = list(problem.peers)
    sources.append(np.full(len(peers), n, np.int32))
    targets.append(np.array(peers, np.int32))
    held = [most_through(map(door_out, problem.peers[peer]), query.max_parts) for peer in peers]
    rooms.append(np.array(held, np.int64))
    unit = -(-query.amount_msat // _UNITS)
    room = np.minimum(-(-np.concatenate(rooms) // unit), _UNITS)
    ends = np.concatenate(sources), np.concatenate(targets)
    flows = coo_array((room.astype(np.int32), ends), shape=(n + 1, n + 1)).tocsr()
    flows.sum_duplicates()
    ints = (np.minimum(flows.data, _UNITS).astype(np.int32), *map(np.int32, (flows.indices, flows.indptr)))
    return int(maximum_flow(csr_array(ints, shape=flows.shape), n, problem.target).flow_value) * unit


def soonest(problem: Problem, query: RouteQuery) -> tuple[Floats, Floats]:
    """The least blocks from our peers to each node, and from each to the recipient, float64[n]; inf where that
    is more than `max_delay` leaves."""
    usable = problem.arcs.usable(1, slack_msat=query.amount_msat)
    weights = usable.costs.weights(Prices(0.0, 1.0, 0.0))
    room = max(query.max_delay - query.final_cltv, 0) + 0.5
    toward = Backwards(usable.indptr, usable.source, weights).tree(problem.target, room).distance
    return Forwards(usable.indptr, usable.source).distances(weights, list(problem.peers), room), toward


def in_time(usable: Usable, blocks: tuple[Floats, Floats], query: RouteQuery) -> Usable:
    """Without arcs that are on no path within the delay; `blocks` as from `soonest`."""
    away, toward = blocks
    through = away[usable.source] + usable.costs.blocks + np.repeat(toward, np.diff(usable.indptr))
    carries = usable.costs.carries & (through <= query.max_delay - query.final_cltv + 0.5)
    return replace(usable, costs=replace(usable.costs, carries=carries))


def least_blocks(problem: Problem, query: RouteQuery, most: int) -> float:
    """No route locks funds for less beside the recipient's blocks, whatever its amount; inf for `most` or more."""
    usable = problem.arcs.usable(1, slack_msat=query.amount_msat)
    weights = usable.costs.weights(Prices(0.0, 1.0, 0.0, 1e-9))
    tree = Backwards(usable.indptr, usable.source, weights).tree(problem.target, max(most - 0.5, 0.0))
    return min(float(tree.distance[peer]) for peer in problem.peers)


def least_fee(problem: Problem, query: RouteQuery) -> float:
    """No plan costs less in fees, msat, but for what is rounded; inf where there is no way at all.

    A part of `most` or less pays at least as much for each msat as one of `most` on the cheapest way, if HTLCs had
    no maximum: its share of a rate like that, and base fees of its own.
    """
    most = Reach(problem).most(query.amount_msat)
    if not most:
        return inf
    usable = problem.arcs.usable(most)
    carries = problem.arcs.layout.merged(*problem.arcs.carrying(1, slack_msat=MAX_MSAT))
    weights = replace(usable.costs, carries=carries).weights(Prices(1.0, 0.0, 0.0, 1e-9))
    tree = Backwards(usable.indptr, usable.source, weights).tree(problem.target)
    return query.amount_msat / most * min(float(tree.distance[peer]) for peer in problem.peers)


def rounded_msat(parts: int, hops: int) -> int:
    """What the fees of so many parts may be less than the least: each fee of each part is rounded down."""
    return max(ROUNDED_MSAT, parts * hops)


def _rooms_in(problem: Problem) -> list[tuple[Ints, Ints]]:
    """What the recipient's open channels hold and the largest HTLC that each takes, int64[k], but for ours."""
    arcs, target = problem.arcs, problem.target
    at = np.flatnonzero(arcs.extra_rows.target == target)
    rooms = [_room(arcs.extra_rows, at)] if len(at) else []
    if target + 1 < len(arcs.known.start):
        first, behind = arcs.known.start[target : target + 2].tolist()
        shut = arcs.closed[(arcs.closed >= first) & (arcs.closed < behind)]
        rooms.append(_room(arcs.known.rows, np.delete(np.arange(first, behind), shut - first)))
    return rooms


def _room(rows: ArcRows, at: NDArray[np.intp]) -> tuple[Ints, Ints]:
    room = rows.room_msat[at] - 1
    return room, np.minimum(rows.most_msat[at], room)


def door_out(channel: OwnChannel) -> Door:
    """A channel of ours."""
    return Door(
        channel.spendable_msat, min(channel.htlc_max_msat, channel.spendable_msat), max(channel.free_htlcs, 0)
    )
