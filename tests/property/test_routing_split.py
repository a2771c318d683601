"""Plans of several routes on small random networks, against networkx's flows."""

from __future__ import annotations

import math
from collections import Counter

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pay.network import Policy
from pay.routing import NoRoute, check, plan
from pay.routing.bounds import most_between
from pay.routing.costs import Prices
from pay.routing.min_cost_flow import ChunkFlow
from pay.routing.problem import Problem
from pay.routing.search import FAR_MSAT
from pay.units import ScidDir
from tests.support.drawing import CHUNK
from tests.support.drawing import chunk_networks as networks
from tests.support.networks import US, Net, node, query
from tests.support.values import varied

NODES = "abcdef"
EXAMPLES = settings(max_examples=80, deadline=None)


@st.composite
def tangles(draw: st.DrawFn) -> Net:
    """Many channels of one chunk each between eight nodes: every fifth such flow has to take something back."""
    net, rng = Net().own(1, "h", 9 * CHUNK), draw(st.randoms(use_true_random=False))
    for number in range(2, rng.randint(16, 26)):
        a, b = rng.sample("abcdefgh", 2)
        back = Policy(0, rng.randint(0, 2_000), 0, 1, CHUNK + 7, timestamp=1)
        net.link(number, a, b, CHUNK + 7, ppm=rng.randint(0, 2_000), cltv=0, back=back)
    return net


def chunk_price(prices: Prices, policy: Policy, capacity_msat: int, flowing: int, chunk: int) -> float:
    room = capacity_msat + 1 - flowing * chunk
    fee = policy.fee_ppm * chunk / 1e6
    return prices.fee * fee + prices.block * policy.cltv_delta - prices.nat * math.log((room - chunk) / room)


def least_price(net: Net, prices: Prices, chunks: int, chunk: int = CHUNK) -> float | None:
    """The price of the cheapest flow, by network simplex: every chunk that an arc can take is an arc of its
    own."""
    flows = nx.MultiDiGraph()
    flows.add_node(US, demand=-chunks)
    flows.add_node("a", demand=chunks)
    for channel in net.ours:
        room = channel.spendable_msat // (chunk + chunk // 200)
        flows.add_edge(US, channel.peer[1:].decode().rstrip("."), capacity=room, weight=0)
    for start, end, policy, capacity in net.policies.values():
        for flowing in range(min(capacity // chunk, chunks) if policy.enabled else 0):
            cost = round(chunk_price(prices, policy, capacity, flowing, chunk) * 1_000)
            flows.add_edge(start, end, capacity=1, weight=cost)
    try:
        return nx.network_simplex(flows)[0] / 1_000
    except nx.NetworkXUnfeasible:
        return None


@EXAMPLES
@given(
    st.one_of(tangles(), networks(base=False)), st.integers(1, 8), st.sampled_from([0, 1_000, 10_000, 1_000_000])
)
def test_a_flow_of_chunks_is_the_cheapest_there_is(net: Net, chunks: int, failure_cost: int) -> None:
    """Chunk after chunk, with taking back what earlier ones took, ends where network simplex ends; and where
    no more fits, no more fits."""
    asked = query("a", CHUNK, failure_cost_msat=failure_cost)
    prices = Prices.of(asked)
    problem = Problem.of(net.overlay("a"), node("a"), {})
    if problem is None:
        return
    flow = ChunkFlow(problem, asked, problem.arcs.usable(CHUNK), prices, reach_msat=100.0)
    total, pushed = 0.0, 0
    while pushed < chunks and (price := flow.push()) is not None:
        total, pushed = total + price, pushed + 1
    assert least_price(net, prices, pushed) == pytest.approx(total, rel=1e-4, abs=1.0)
    if pushed < chunks:
        assert least_price(net, prices, pushed + 1) is None
    assert sum(count for *_, count in flow.paths()) == pushed
    assert all(nodes[-1] == problem.target and count > 0 for nodes, _, count in flow.paths())


@st.composite
def towns(draw: st.DrawFn) -> Net:
    """Six nodes with parallel channels of some to many times what a part may be, quick and slow, cheap and not."""
    net, rng, size = Net(), draw(st.randoms(use_true_random=False)), 10 * CHUNK
    for number in range(1, rng.randint(5, 15)):
        a, b = rng.sample(NODES, 2)
        asks = {"ppm": rng.choice([0, 10, 100, 300, 1_000]), "cltv": rng.choice([0, 40, 80, 144])}
        net.link(number, a, b, rng.choice([size // 3, size // 2, size, 2 * size, 4 * size]), **asks)
    for number in range(20, rng.randint(21, 23)):
        net.own(number, rng.choice(NODES[1:]), rng.choice([size + size // 10, 3 * size]))
    return net


@EXAMPLES
@given(towns(), st.sampled_from([10_000, 100_000]))
def test_a_plan_costs_hardly_more_than_the_cheapest_flow(net: Net, failure_cost: int) -> None:
    """Fee, time and odds of whole plans, beside the cheapest flow of eightieths; that has six parts or more for
    nothing, where each of ours must save its price."""
    amount, pieces = 10 * CHUNK, 80
    asked = query("a", amount, failure_cost_msat=failure_cost, max_parts=30, max_searches=120)
    planned = plan(net.overlay("a"), asked)
    if isinstance(planned, NoRoute):
        return
    prices, loads = Prices.of(asked), Counter[ScidDir]()
    total = 0.0
    for route in planned:
        blocks = route.delay_blocks - asked.final_cltv
        total += route.fee_msat + prices.block * blocks * route.amount_msat / amount
        for hop in route.hops[1:]:
            loads[hop.scid_dir] += hop.amount_msat
    for named, load in loads.items():
        total -= prices.nat * math.log1p(-load / (net.policies[named][3] + 1))
    least = least_price(net, prices._replace(block=prices.block / pieces), pieces, amount // pieces)
    assert least is not None and total <= 1.2 * least + 5 * asked.more_part_msat


@EXAMPLES
@given(
    networks(base=True),
    st.sampled_from([CHUNK // 2, 2 * CHUNK, 3 * CHUNK + 1, 5 * CHUNK]),
    st.sampled_from([2, 3, 8]),
    st.sampled_from([10**15, 400_000, 100_000]),
    st.sampled_from([100_000, 100, 18]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0, 100]),
)
def test_no_plan_breaks_its_query_nor_the_flow_there_can_be(
    net: Net, amount: int, max_parts: int, max_fee: int, max_delay: int, randomness: float, shadow: int
) -> None:
    """Whatever the limits and whatever is drawn, a plan passes the check; no plan delivers more than the maximum
    flow; where one route would do, there is a plan, and where the quiet planner has one there is one."""
    limits = {"max_fee_msat": max_fee, "max_delay": max_delay, "max_searches": 200, "shadow_blocks": shadow}
    asked = query("a", amount, max_parts=max_parts, randomness=randomness, seed=amount, **limits)
    planned = plan(net.overlay("a"), asked)
    single = plan(net.overlay("a"), query("a", amount, max_fee_msat=max_fee, max_delay=max_delay))
    if isinstance(planned, NoRoute):
        assert isinstance(single, NoRoute)
        assert isinstance(plan(net.overlay("a"), varied(asked, randomness=0.0)), NoRoute)
        return
    check(net.overlay("a"), asked, planned)
    assert amount <= most(net)


def most(net: Net) -> int:
    """The maximum flow from us to a, msat, fees aside."""
    flows = nx.DiGraph()
    flows.add_nodes_from([US, "a"])
    ends = [(US, channel.peer[1:].decode().rstrip("."), channel.spendable_msat) for channel in net.ours]
    ends += [(start, end, size) for start, end, policy, size in net.policies.values() if policy.enabled]
    for start, end, size in ends:
        old = flows.get_edge_data(start, end, {"capacity": 0})["capacity"]
        flows.add_edge(start, end, capacity=old + size)
    return nx.maximum_flow_value(flows, US, "a")


@EXAMPLES
@given(networks(base=True), st.sampled_from([0.5, 1.5, 3.0]))
def test_what_is_said_to_flow_at_most_is_the_maximum_flow(net: Net, share: float) -> None:
    """To within the rounding up of each channel, and up to the amount."""
    amount = int(most(net) * share)
    problem = Problem.of(net.overlay("a"), node("a"), {}) if amount else None
    if problem is not None and problem.peers:
        asked = query("a", amount, max_parts=100)
        found = most_between(problem, asked)
        assert min(most(net), amount) <= found
        if share > 1:
            assert found <= most(net) + 20 * (amount // 2**16 + 1)


@EXAMPLES
@given(networks(base=True), st.sampled_from([0.3, 0.6, 0.9]))
def test_what_can_flow_is_found(net: Net, share: float) -> None:
    """Up to 90 % of the maximum flow (the rest is for fees), a plan is found if parts enough are allowed."""
    amount = int(most(net) * share)
    if amount:
        planned = plan(net.overlay("a"), query("a", amount, max_parts=100, max_searches=1_000))
        assert not isinstance(planned, NoRoute), planned
        assert sum(route.amount_msat for route in planned) == amount


def test_a_later_chunk_takes_back_what_an_earlier_one_took() -> None:
    """us ─ s ═ a over x or y; s ─ x, x ─ y and y ─ a are free and hold one chunk, s ─ y costs 50 ppm, x ─ a 90.
    The first chunk goes s x y a; the second is best sent over s y, and the first from x straight on to a."""
    net = Net().own(1, "s", 10**12)
    for number, (start, end, ppm) in enumerate(["sx0", "xy0", "ya0", "sy5", "xa9"], start=2):
        net.link(number, start, end, CHUNK + 7, ppm=10 * int(ppm), cltv=0)
    asked = query("a", CHUNK, failure_cost_msat=0)
    problem = Problem.of(net.overlay("a"), node("a"), {})
    assert problem is not None
    flow = ChunkFlow(problem, asked, problem.arcs.usable(CHUNK), Prices.of(asked), 1.0)
    assert [round(flow.push() or 0) for _ in range(3)] == [0, 14_000, 0]
    ways = {">".join(problem.node_id(at)[1:2].decode() for at in nodes) for nodes, _, _ in flow.paths()}
    assert ways == {"s>x>a", "s>y>a"}


def test_fees_and_paths_are_in_the_order_of_their_price() -> None:
    """us ─ a over three ways of 100, 200 and 300 ppm with room for 2, 1 and 9 chunks; each further one is
    dearer."""
    net = Net().own(1, "s", 10**12)
    for number, (via, ppm, room) in enumerate([("b", 100, 2), ("c", 200, 1), ("d", 300, 9)], start=1):
        net.link(10 * number, "s", via, room * CHUNK + 7, ppm=0, cltv=0)
        net.link(10 * number + 1, via, "a", 10**12, ppm=ppm, cltv=0)
    asked = query("a", CHUNK, failure_cost_msat=0)
    problem = Problem.of(net.overlay("a"), node("a"), {})
    assert problem is not None
    flow = ChunkFlow(problem, asked, problem.arcs.usable(CHUNK), Prices.of(asked), FAR_MSAT)
    assert [round(flow.push() or 0, 1) for _ in range(4)] == [10_000.0, 10_000.0, 20_000.0, 30_000.0]
