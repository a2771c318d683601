"""The oracle against what the world then does, and against networkx on random networks."""

from __future__ import annotations

import random
from dataclasses import replace

import networkx as nx
import pytest

from pay.network import Policy
from pay.sim.network.clock import VirtualClock
from pay.sim.network.faults import Faults
from pay.sim.network.htlc import FinalPayload, Settled
from pay.sim.network.oracle import audit, cheapest_route, max_flow_msat, parts
from pay.sim.network.world import World
from pay.units import NodeId
from tests.support.worlds.line import PLAIN, SAT, Line


def random_world(seed: int, n_nodes: int = 30, n_channels: int = 90) -> tuple[World, VirtualClock, list[NodeId]]:
    """Channels between random nodes, some parallel, with any balance and fees from nothing to 0.2 %."""
    rng, clock = random.Random(seed), VirtualClock()
    world = World(clock, seed)
    ids = [world.add_node().id for _ in range(n_nodes)]
    for _ in range(n_channels):
        a, b = rng.sample(ids, 2)
        capacity = rng.randrange(10_000, 2_000_000) * SAT
        policies = [
            Policy(rng.randrange(0, 2000), rng.randrange(0, 2000), rng.choice((6, 34, 80)), 1, capacity)
            for _ in range(2)
        ]
        world.add_channel(a, b, capacity, rng.randrange(0, capacity), policy_ab=policies[0], policy_ba=policies[1])
    return world, clock, ids


def flow_by_networkx(world: World, source: NodeId, destination: NodeId) -> int:
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(world.nodes)
    for channel in world.channels.values():
        for direction in (0, 1):
            start, end = channel.nodes[direction].id, channel.nodes[1 - direction].id
            graph.add_edge(start, end, capacity=channel.spendable_msat(start))
    simple = nx.DiGraph()
    simple.add_nodes_from(graph)
    for start, end, capacity in graph.edges(data="capacity"):
        known = simple[start][end]["capacity"] if simple.has_edge(start, end) else 0
        simple.add_edge(start, end, capacity=known + capacity)
    return nx.maximum_flow_value(simple, source, destination)


@pytest.mark.parametrize("seed", range(5))
def test_the_flow_is_that_of_another_algorithm_and_stops_early_if_asked(seed: int):
    world, _, ids = random_world(seed)
    flow = max_flow_msat(world, ids[0], ids[1])
    assert flow == flow_by_networkx(world, ids[0], ids[1])
    if flow:
        assert min(flow, flow // 2) <= max_flow_msat(world, ids[0], ids[1], flow // 2) <= flow


def cheapest_by_trying(world: World, source: NodeId, destination: NodeId, amount_msat: int) -> int | None:
    """The least fee over all simple paths and all channels on them."""
    best: int | None = None
    graph = nx.MultiGraph((c.nodes[0].id, c.nodes[1].id, c.scid) for c in world.channels.values())
    if source not in graph or destination not in graph:
        return None
    for path in nx.all_simple_edge_paths(graph, source, destination, cutoff=6):
        amount, possible = amount_msat, True
        for start, _, scid in reversed(path):
            channel = world.channels[scid]
            policy, own = channel.policies[channel.side(start)], start == source
            possible &= channel.spendable_msat(start) >= amount and (own or policy.htlc_max_msat >= amount)
            if not own:
                amount += policy.fee_base_msat + amount * policy.fee_ppm // 1_000_000
        if possible and (best is None or amount - amount_msat < best):
            best = amount - amount_msat
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_cheapest_route_is_the_cheapest_and_the_world_carries_it(seed: int):
    """On 7 nodes all simple paths are tried; the route found pays at the first attempt, with exactly its fee."""
    world, clock, ids = random_world(seed, n_nodes=7, n_channels=11)
    amount = 400_000 * SAT
    route = cheapest_route(world, ids[0], ids[1], amount)
    expected = cheapest_by_trying(world, ids[0], ids[1], amount)
    assert (route.fee_msat if route else None) == expected
    if route is None:
        return
    invoice, outcomes = world.create_invoice(ids[1], amount), []
    before = sum(channel.balance_msat(ids[0]) for channel in world.nodes[ids[0]].channels)
    final = FinalPayload(invoice.payment_secret, amount)
    world.send(ids[0], route.hops, invoice.payment_hash, final, outcomes.append)
    clock.run_until_idle()
    assert outcomes == [Settled(invoice.preimage)]
    after = sum(channel.balance_msat(ids[0]) for channel in world.nodes[ids[0]].channels)
    assert before - after == amount + route.fee_msat
    audit(world)


def test_the_random_networks_have_both_routes_and_none():
    found = [
        cheapest_route(world, ids[0], ids[1], 400_000 * SAT) is not None
        for world, _, ids in (random_world(seed, n_nodes=7, n_channels=11) for seed in range(12))
    ]
    assert 3 <= sum(found) <= 11


@pytest.mark.parametrize("seed", range(6))
def test_parts_arrive_together(seed: int):
    """Most of the maximum flow in parts: all of them are sent at once and settle."""
    world, clock, ids = random_world(seed)
    amount = max_flow_msat(world, ids[0], ids[1]) * 7 // 10
    routes = parts(world, ids[0], ids[1], amount)
    assert routes is not None and len(routes) > 1
    assert sum(route.amount_msat for route in routes) == amount
    invoice, outcomes = world.create_invoice(ids[1], amount), []
    for route in routes:
        final = FinalPayload(invoice.payment_secret, amount)
        world.send(ids[0], route.hops, invoice.payment_hash, final, outcomes.append)
    clock.run_until_idle()
    assert outcomes == [Settled(invoice.preimage)] * len(routes)
    audit(world)


def test_nothing_goes_beyond_the_flow_nor_through_what_is_closed_offline_or_disabled():
    """A ── B ── C, 490,000 sat at most; then one obstacle after the other."""
    line = Line("ABC")
    a, b, c = (line.nodes[name].id for name in "ABC")
    assert max_flow_msat(line.world, a, c) == 490_000 * SAT
    assert parts(line.world, a, c, 490_001 * SAT) is None

    def blocked() -> bool:
        flow, route = max_flow_msat(line.world, a, c), cheapest_route(line.world, a, c, SAT)
        assert (flow == 0) == (route is None)
        return flow == 0

    assert not blocked()
    line.world.set_faults(b, Faults(offline=True))
    assert blocked()
    line.world.set_faults(b, None)
    line.world.set_policy(line.channels["BC"], b, replace(PLAIN, enabled=False))
    assert blocked()
    line.world.set_policy(line.channels["BC"], b, PLAIN)
    line.world.set_policy(line.channels["AB"], a, replace(PLAIN, enabled=False))
    assert not blocked(), "what we ask of others does not bind ourselves"
    own = line.channels["AB"].side(a)
    line.channels["AB"].htlc_limits[own] = 0
    assert blocked()
    line.channels["AB"].htlc_limits[own] = 1
    assert not blocked()
    line.world.close_channel(line.channels["AB"])
    assert blocked()


def test_our_own_fee_does_not_drive_us_away_from_a_cheap_route():
    """By B it costs 0.01 %, by C a little more; that A asks a lot of others on AB costs A nothing."""
    line = Line("ABD")
    line.nodes["C"] = line.world.add_node("C")
    line.join("A", "C")
    line.join("C", "D", policy_ab=replace(PLAIN, fee_ppm=101))
    a, d = line.nodes["A"].id, line.nodes["D"].id
    line.world.set_policy(line.channels["AB"], a, replace(PLAIN, fee_ppm=50_000, htlc_min_msat=10**9))
    route = cheapest_route(line.world, a, d, 100_000 * SAT)
    assert [hop.node for hop in route.hops] == [line.nodes["B"].id, d]
    assert route.hops[0].cltv_expiry == line.world.height + 18 + PLAIN.cltv_delta


def test_a_route_may_end_in_an_unannounced_channel_by_the_right_name():
    line = Line("AB")
    line.nodes["C"] = line.world.add_node("C")
    channel = line.join("B", "C", announced=False)
    a, b, c = (line.nodes[name].id for name in "ABC")
    route = cheapest_route(line.world, a, c, 100 * SAT)
    assert route.hops[1].scid == channel.aliases[channel.side(b)]
    assert route.delay_blocks(line.world.height) == 18 + PLAIN.cltv_delta
    invoice = line.world.create_invoice(c, 100 * SAT, "")
    assert line.pay(list(route.hops), invoice) == Settled(invoice.preimage)


def test_ten_thousand_payments_keep_every_channel_adding_up():
    """2,000 HTLCs at a time over a random network, with chance in their latencies; no money comes or goes."""
    world, clock, ids = random_world(3, n_nodes=60, n_channels=240)
    world.state.jitter = 1.0
    rng, outcomes = random.Random(3), []
    routes = []
    while len(routes) < 200:
        source, destination = rng.sample(ids, 2)
        route = cheapest_route(world, source, destination, rng.randrange(1, 100_000) * SAT)
        if route is not None:
            routes.append((source, destination, route))
    for number in range(10_000):
        source, destination, route = rng.choice(routes)
        invoice = world.create_invoice(destination, route.amount_msat)
        final = FinalPayload(invoice.payment_secret, route.amount_msat)
        world.send(source, route.hops, invoice.payment_hash, final, outcomes.append)
        if number % 2000 == 0:
            clock.run_until(lambda sent=number: len(outcomes) >= sent - 100)
    audit(world)
    clock.run_until_idle()
    audit(world)
    settled = sum(isinstance(outcome, Settled) for outcome in outcomes)
    assert len(outcomes) == 10_000 and world.in_flight == 0
    assert 1000 < settled < 9900, "some went, some met an empty channel"
    assert not any(channel.htlcs for channel in world.channels.values())
