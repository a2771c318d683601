"""What somebody who knows every balance could do: the measure of what a sender without that knowledge achieves.

For demonstrations, tests and benchmarks only; nothing that pays may look in here. The maximum flow is networkx's
over the true balances, without fees: more than that cannot arrive, whatever the route. The cheapest route is
exact for one HTLC: amounts and expiries are computed backwards from the recipient with true policies, so the
amount that a channel must carry is the one it would really carry. Cheapest parts are found one after the other, a
heuristic: what it finds can be paid, what it does not find may still be possible.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
from networkx.algorithms.flow import edmonds_karp

from pay.sim.network.channel import SimChannel
from pay.sim.network.htlc import WireHop
from pay.sim.network.world import World
from pay.units import NodeId

_MAX_PARTS = 64


@dataclass(frozen=True, slots=True)
class OracleRoute:
    """A route that would work at the moment it was asked for; expiries are absolute."""

    hops: tuple[WireHop, ...]

    @property
    def amount_msat(self) -> int:
        """What arrives."""
        return self.hops[-1].amount_msat

    @property
    def fee_msat(self) -> int:
        return self.hops[0].amount_msat - self.amount_msat

    def delay_blocks(self, height: int) -> int:
        """Blocks that the sender's HTLC is locked at most."""
        return self.hops[0].cltv_expiry - height


def max_flow_msat(world: World, source: NodeId, destination: NodeId, limit_msat: int | None = None) -> int:
    """The most that could arrive at `destination` at all: an upper bound, without fees and limits of one HTLC.

    Parameters
    ----------
    limit_msat
        Stop when at least this much is found; the answer is then this or somewhat more.

    Source: Edmonds and Karp 1972, as networkx has it.
    """
    if source == destination:
        raise ValueError("a node needs no flow to itself")
    graph = nx.DiGraph()
    graph.add_nodes_from((source, destination))
    for channel in world.channels.values():
        if channel.closed or not channel.connected():
            continue
        for direction in (0, 1):
            room_msat = _room_msat(channel, direction, source)
            if room_msat > 0:
                start, end = channel.nodes[direction].id, channel.nodes[1 - direction].id
                if graph.has_edge(start, end):
                    graph[start][end]["capacity"] += room_msat
                else:
                    graph.add_edge(start, end, capacity=room_msat)
    kwargs: dict[str, Any] = {} if limit_msat is None else {"cutoff": limit_msat}
    return int(edmonds_karp(graph, source, destination, **kwargs).graph["flow_value"])


def cheapest_route(
    world: World,
    source: NodeId,
    destination: NodeId,
    amount_msat: int,
    *,
    final_cltv: int = 18,
    used_msat: Mapping[tuple[SimChannel, int], int] | None = None,
) -> OracleRoute | None:
    """The route with the least fee that would really carry `amount_msat` now, None if no single one does.

    Dijkstra backwards from the recipient; a node's label is the amount that must arrive there, which never gets
    less on the way to the sender, so the first label that is final is the least. Expiries come along and only
    break ties. Nodes that misbehave are taken to behave, unless they are offline. (It may miss a
    route where only a dearer way onwards reaches a channel's minimum.)

    Parameters
    ----------
    used_msat
        What parts planned before take of a channel's direction.
    """
    used_msat = used_msat or {}
    best: dict[NodeId, tuple[int, int]] = {destination: (amount_msat, world.height + final_cltv)}
    onward: dict[NodeId, tuple[SimChannel, int]] = {}
    settled: set[NodeId] = set()
    queue = [(*best[destination], destination)]
    while queue:
        _, _, end = heapq.heappop(queue)
        if end in settled:
            continue
        if end == source:
            return _route(source, destination, best, onward)
        settled.add(end)
        amount, expiry = best[end]
        for channel in world.nodes[end].channels:
            direction = 1 - channel.side(end)
            start = channel.nodes[direction].id
            if start in settled or not _takes(channel, direction, source, amount, used_msat):
                continue
            policy = channel.policies[direction]
            label = (amount, expiry)
            if start != source:
                fee_msat = policy.fee_base_msat + amount * policy.fee_ppm // 1_000_000
                label = (amount + fee_msat, expiry + policy.cltv_delta)
            if start not in best or label < best[start]:
                best[start] = label
                onward[start] = (channel, direction)
                heapq.heappush(queue, (*label, start))
    return None


def parts(
    world: World,
    source: NodeId,
    destination: NodeId,
    amount_msat: int,
    *,
    final_cltv: int = 18,
    most_parts: int = _MAX_PARTS,
) -> tuple[OracleRoute, ...] | None:
    """Routes that would together really carry `amount_msat` now, found one after the other; None if it gives up.

    Each part is the largest halving of what is left that some route carries, by its cheapest route. The fee is
    an upper bound of the best one. What the parts take from shared channels is accounted for. It gives up as soon
    as parts of the present size would be more than `most_parts`.
    """
    used_msat: dict[tuple[SimChannel, int], int] = {}
    found: list[OracleRoute] = []
    left_msat = part_msat = amount_msat
    while left_msat > 0:
        part_msat = min(part_msat, left_msat)
        if len(found) + -(-left_msat // part_msat) > most_parts:
            return None
        route = cheapest_route(world, source, destination, part_msat, final_cltv=final_cltv, used_msat=used_msat)
        if route is None:
            part_msat = -(-part_msat // 2)
            if part_msat <= amount_msat >> 12 or part_msat == 1:
                return None
            continue
        found.append(route)
        left_msat -= part_msat
        _use(world, source, route, used_msat)
    return tuple(found)


def audit(world: World) -> None:
    """Check that no money came or went: balances and HTLCs of every channel add up to its capacity.

    Raises
    ------
    AssertionError
        If the world itself is broken.
    """
    for channel in world.channels.values():
        on_the_way = sum(htlc.amount_msat for htlc in channel.htlcs.values())
        assert min(channel.balances_msat) >= 0, f"{channel!r} has a negative balance"
        assert sum(channel.balances_msat) + on_the_way == channel.capacity_msat, f"{channel!r} does not add up"
        live = [sum(htlc.direction == d for htlc in channel.htlcs.values()) for d in (0, 1)]
        assert live == channel.live_htlcs, f"{channel!r} miscounts its HTLCs"


def _room_msat(channel: SimChannel, direction: int, source: NodeId) -> int:
    """What this direction could carry, in several HTLCs."""
    start = channel.nodes[direction].id
    # A sender does not ask itself for leave: its own policy binds others only.
    if start != source and not channel.policies[direction].enabled:
        return 0
    if channel.free_slots(direction) <= 0:
        return 0
    return channel.spendable_msat(start)


def _takes(
    channel: SimChannel,
    direction: int,
    source: NodeId,
    amount_msat: int,
    used_msat: Mapping[tuple[SimChannel, int], int],
) -> bool:
    """Whether this direction carries one HTLC of `amount_msat` now, besides what is planned already."""
    policy = channel.policies[direction]
    own = channel.nodes[direction].id == source
    if not own and (not policy.enabled or not policy.htlc_min_msat <= amount_msat <= policy.htlc_max_msat):
        return False
    return channel.refusal(direction, amount_msat + used_msat.get((channel, direction), 0)) is None


def _route(
    source: NodeId,
    destination: NodeId,
    best: Mapping[NodeId, tuple[int, int]],
    onward: Mapping[NodeId, tuple[SimChannel, int]],
) -> OracleRoute:
    hops: list[WireHop] = []
    at = source
    while at != destination:
        channel, direction = onward[at]
        scid = channel.scid if channel.announced else channel.aliases[direction]
        at = channel.nodes[1 - direction].id
        hops.append(WireHop(scid, at, *best[at]))
    return OracleRoute(tuple(hops))


def _use(world: World, source: NodeId, route: OracleRoute, used_msat: dict[tuple[SimChannel, int], int]) -> None:
    start = source
    for hop in route.hops:
        channel = world.find_channel(hop.scid, start)
        assert channel is not None
        key = (channel, channel.side(start))
        used_msat[key] = used_msat.get(key, 0) + hop.amount_msat
        start = hop.node
