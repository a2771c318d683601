"""Plans with beliefs about balances and nodes: the best by the formula, whatever is believed; small networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pay.liquidity.knowledge import Knowledge, NodeCost
from pay.liquidity.prior import BIMODAL, MIXED, UNIFORM
from pay.routing import NoRoute, plan
from pay.routing.costs import Prices
from pay.routing.min_cost_flow import ChunkFlow
from pay.routing.problem import Problem
from pay.units import Scid, ScidDir
from tests.support.drawing import AMOUNT, CHUNK, networks, one_of_each
from tests.support.drawing import chunk_networks as split_networks
from tests.support.networks import Net, all_routes, node, path_cost, query

EXAMPLES = settings(max_examples=75, deadline=None)
PRIORS = st.sampled_from([UNIFORM, BIMODAL, MIXED])


@st.composite
def knowledge_of(draw: st.DrawFn, net: Net, prior=UNIFORM) -> Knowledge:
    """Of any of its channels: from "nothing" through "surely" to "surely not"; and of any of its nodes."""
    channels, nodes = {}, {}
    ends = [0, 1, AMOUNT - 1, AMOUNT, AMOUNT + 700, 1.0, 0.5]
    bounds, costs = one_of_each([False, True], ends, ends), one_of_each([False, True], [0.0, 0.3, 4.0], [0.0, 2.0])
    for named, (_, _, _, capacity) in net.policies.items():
        known, *both = draw(bounds)
        if known:
            msat = (int(end * capacity) if isinstance(end, float) else end for end in both)
            low, high = sorted(min(end, capacity) for end in msat)
            channels[Scid(named.scid)] = capacity, low, high
    for name in "abcdef":
        known, nats, seconds = draw(costs)
        if known:
            nodes[node(name)] = NodeCost(nats, seconds)
    return Knowledge.about(channels, nodes, prior)


@EXAMPLES
@given(st.data(), networks(tight=False), st.sampled_from([0, 10_000, 1_000_000]), st.sampled_from([0, 3_000]))
def test_the_path_is_the_best_there_is_by_what_is_believed(
    data: st.DataObject, net: Net, failure_cost: int, second_cost: int
) -> None:
    knowledge = data.draw(knowledge_of(net))
    asked = query("a", AMOUNT, failure_cost_msat=failure_cost, second_cost_msat=second_cost)
    planned = plan(net.overlay("a"), asked, knowledge=knowledge)
    costs = [path_cost(net, asked, route, knowledge) for route in all_routes(net, asked, "a")]
    assert isinstance(planned, NoRoute) == (not costs)
    if not isinstance(planned, NoRoute):
        assert path_cost(net, asked, planned[0], knowledge) <= min(costs) * (1 + 1e-5) + 0.1


@EXAMPLES
@given(st.data(), networks(tight=True), PRIORS)
def test_no_belief_makes_a_payee_unreachable(data: st.DataObject, net: Net, prior) -> None:
    asked = query("a", AMOUNT)
    without = plan(net.overlay("a"), asked)
    planned = plan(net.overlay("a"), asked, knowledge=data.draw(knowledge_of(net, prior)))
    assert isinstance(planned, NoRoute) == isinstance(without, NoRoute)


@EXAMPLES
@given(
    st.data(), networks(tight=True), PRIORS, st.sampled_from([1_000, AMOUNT - 700, AMOUNT]),
    st.sampled_from([0, 1, AMOUNT // 2, AMOUNT]), st.sampled_from([AMOUNT // 3, AMOUNT + 700, 10**12]),
)  # fmt: skip
def test_arrays_and_single_arcs_say_the_same(
    data: st.DataObject, net: Net, prior, amount: int, held: int, cap: int
) -> None:
    """Whatever is believed, in flight, refused or about to close: a search has the nats of the exact pass."""
    knowledge = data.draw(knowledge_of(net, prior))
    some = st.sets(st.sampled_from(sorted(net.policies)), max_size=4) if net.policies else st.just(set())
    in_flight = dict.fromkeys(data.draw(some), held)
    overlay = net.overlay("a", caps=dict.fromkeys(data.draw(some), cap))
    net.graph.mark_dying(np.array([named.scid for named in data.draw(some)], np.uint64))
    problem = Problem.of(overlay, node("a"), in_flight, knowledge)
    if problem is None:
        return
    usable = problem.arcs.usable(amount)
    into = np.repeat(np.arange(problem.arcs.n_nodes), np.diff(usable.indptr))
    for at in np.flatnonzero(usable.costs.carries).tolist():
        arc = problem.arcs.arc(int(usable.row[at]))
        assert arc.carries(amount)
        toll = 0.0 if into[at] == problem.target else problem.arcs.tolls.of(int(into[at]))[0]
        chance = arc.chance(amount)
        # The bimodal parts give float32 little to tell a faint chance by.
        faint = 0.3 if prior is not UNIFORM and chance < 1e-3 else 2e-4
        assert usable.costs.nats[at] == pytest.approx(toll - math.log(chance), rel=faint, abs=1e-5)


@EXAMPLES
@given(st.data(), split_networks(base=False), st.integers(1, 6), PRIORS)
def test_a_chunk_beside_others_costs_what_both_cost_less_what_these_cost(
    data: st.DataObject, net: Net, chunks: int, prior
) -> None:
    """The marginal chances of a flow multiply to the chance of all of it, held or believed whatever."""
    knowledge = data.draw(knowledge_of(net, prior))
    problem = Problem.of(net.overlay("a"), node("a"), {}, knowledge)
    if problem is None:
        return
    for row in range(problem.arcs.graph_rows):
        arc = problem.arcs.arc(row)
        most = min(chunks, arc.capacity_msat // CHUNK)
        marginal = [arc.chance(CHUNK, flowing * CHUNK) for flowing in range(most)]
        if most and min(marginal) > 1e-9:
            assert math.prod(marginal) == pytest.approx(arc.chance(most * CHUNK), rel=1e-6)


@EXAMPLES
@given(st.data(), networks(tight=False))
def test_a_flow_of_one_chunk_takes_the_best_path_there_is(data: st.DataObject, net: Net) -> None:
    """At the price that is said, tolls of nodes and of our peers included."""
    knowledge = data.draw(knowledge_of(net))
    asked = query("a", AMOUNT, second_cost_msat=500)
    problem = Problem.of(net.overlay("a"), node("a"), {}, knowledge)
    if problem is None:
        return
    price = ChunkFlow(problem, asked, problem.arcs.usable(AMOUNT), Prices.of(asked), 100.0).push()
    costs = [path_cost(net, asked, route, knowledge) for route in all_routes(net, asked, "a")]
    assert price is None if not costs else price == pytest.approx(min(costs), rel=1e-4, abs=1.0)


def test_a_channel_that_is_believed_empty_is_the_last_resort() -> None:
    """us ─ s ═ a over b for nothing or over c for 20 sat: b's channel is believed to lack the amount."""
    net = Net().own(1, "s", 10**12)
    for number, (start, end) in enumerate(["sb", "ba", "sc", "ca"], start=2):
        net.link(number, start, end, base=20_000 if start == "c" else 0, ppm=0, cltv=0)
    named = next(named for named, (start, end, _, _) in net.policies.items() if (start, end) == ("b", "a"))
    capacity = net.policies[named][3]
    low, high = (0, AMOUNT - 1) if named.direction == 0 else (capacity - AMOUNT + 1, capacity)
    knowledge = Knowledge.about({Scid(named.scid): (capacity, low, high)})

    def way(**changes: object) -> str:
        planned = plan(net.overlay("a", **changes), query("a", AMOUNT), knowledge=knowledge)
        assert not isinstance(planned, NoRoute)
        return "".join(hop.node[1:2].decode() for hop in planned[0].hops)

    assert way() == "sca"
    other = next(named for named, (start, end, _, _) in net.policies.items() if (start, end) == ("c", "a"))
    assert way(excluded_channels=frozenset({ScidDir(other.scid, other.direction)})) == "sba"
