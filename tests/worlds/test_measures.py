"""What the benches measure with, held against the slow and plain ways to the same figures."""

from __future__ import annotations

import pytest

from pay.network import Overlay
from pay.routing import NoRoute, check
from pay.sim.network import networks, oracle
from pay.sim.network.clock import VirtualClock
from pay.sim.network.world import World
from pay.units import NodeId
from tests.bench.others import cheapest_first, host_pay
from tests.bench.setting import SAT, ours, query
from tests.bench.truth import Truth
from tests.support.worlds.sender import Sender


@pytest.fixture(scope="module", params=["uniform", "bimodal"])
def town(request) -> tuple[World, NodeId]:
    world = World(VirtualClock(), seed=3, chain="bitcoin")
    networks.generate(world, 120, seed=3, balances=request.param)
    networks.join(world, "small", 3, seed=3)
    return world, ours(world).id


@pytest.mark.parametrize("amount", [1_000 * SAT, 300_000 * SAT, 3_000_000 * SAT])
def test_truth_is_what_the_oracle_says(town, amount):
    world, us = town
    truth = Truth(world, us)
    found = 0
    for payee in [node for node in world.nodes if node != us][::4]:
        flow = oracle.max_flow_msat(world, us, payee, limit_msat=2 * amount)
        known = truth.max_flow_msat(payee, amount)
        assert known == pytest.approx(min(flow, 2 * amount), abs=200 * SAT)
        route = oracle.cheapest_route(world, us, payee, amount)
        cheapest = truth.cheapest(payee, amount, most_parts=1, cuts=(1,))
        assert (cheapest and cheapest.fee_msat) == (route and route.fee_msat)
        split = truth.cheapest(payee, amount, most_parts=16)
        assert split is None or route is None or split.fee_msat <= route.fee_msat
        assert split is None or known >= amount
        found += split is not None
    assert found > 5


@pytest.mark.parametrize("planner", [cheapest_first, host_pay])
def test_other_ways_to_choose_keep_the_query(town, planner):
    world, us = town
    sender = Sender(world, us)
    graph, own, found = sender.graph, sender.own_channels(), 0
    for payee in [node for node in world.nodes if node != us][::3]:
        asked = query(us, payee, 500_000 * SAT, max_parts=16, max_fee_msat=10**12, max_delay=10_000)
        overlay = Overlay(graph, us, own, recipient=payee)
        routes = planner(overlay, asked, {})
        if not isinstance(routes, NoRoute):
            check(overlay, asked, routes)
            found += 1
    assert found > 5
