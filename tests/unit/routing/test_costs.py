"""The vectorised pieces against their definitions, and what the search relies on in SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from pay.network import HintHop, Policy
from pay.routing.arcs import GraphRows
from pay.routing.costs import Prices
from pay.routing.problem import Problem
from pay.routing.search import FAR_MSAT, shortest_tree
from pay.units import ScidDir, direction_of
from tests.support.networks import SAT, Net, arc_cost, node, query, scid


def random_net(seed: int) -> Net:
    rng = np.random.default_rng(seed)
    net = Net().own(1, "n1", 10**10)
    for number in range(2, 40):
        a, b = rng.choice(12, 2, replace=False)
        capacity = int(rng.integers(10**5, 10**10))
        net.link(
            number, f"n{a}", f"n{b}", capacity, base=int(rng.integers(0, 2_000)), ppm=int(rng.integers(0, 3_000)),
            cltv=int(rng.integers(0, 200)), low=int(rng.integers(0, 10**6)),
            high=int(rng.integers(1, capacity + 1)), enabled=bool(rng.random() < 0.8),
        )  # fmt: skip
    return net


@pytest.mark.parametrize("seed", range(8))
def test_weights_are_the_objective_of_exactly_the_arcs_that_can_carry_the_amount(seed: int) -> None:
    net = random_net(seed)
    asked = query("n0", 700_000, failure_cost_msat=25_000, riskfactor=30.0)
    problem = Problem.of(net.overlay("n0"), node("n0"), {})
    assert problem is not None
    usable = problem.arcs.usable(asked.amount_msat)
    weights = usable.costs.weights(Prices.of(asked))
    got = {}
    for target in range(problem.arcs.n_nodes):
        for at in range(usable.indptr[target], usable.indptr[target + 1]):
            arc = problem.arcs.arc(int(usable.row[at]))
            start, end, _, _ = net.policies[ScidDir(scid(arc.scid >> 40), arc.direction)]
            assert problem.node_id(target) == node(end)
            assert problem.node_id(int(usable.source[at])) == node(start)
            if np.isfinite(weights[at]):
                got[arc.scid, arc.direction] = weights[at]
    want = {
        (named.scid, named.direction): arc_cost(asked, policy, capacity)
        for named, (_, _, policy, capacity) in net.policies.items()
        if policy.enabled and policy.htlc_min_msat <= 700_000 <= min(policy.htlc_max_msat, capacity)
    }
    assert got.keys() == want.keys() and len(want) > 5
    for named, cost in want.items():
        assert got[named] == pytest.approx(cost, rel=1e-5, abs=0.01)


def test_an_arc_that_just_holds_the_amount_is_priced_finitely() -> None:
    """The amount is all there is in the channel: one chance in c + 1, however float32 rounds."""
    for amount in (16_777_217, 999_999_999, 123_456_789_012):
        net = Net().own(1, "a", 10**12).link(2, "a", "b", amount)
        problem = Problem.of(net.overlay("b"), node("b"), {})
        assert problem is not None
        usable = problem.arcs.usable(amount)
        assert usable.costs.nats == pytest.approx([np.log(amount + 1)], rel=1e-5)


def test_rows_of_a_plan_are_merged_among_those_of_the_graph() -> None:
    """Hints to a public and to an unknown node, a learnt policy and something in flight: every arc is where the
    search looks for it, with what it asks now."""
    net = random_net(1)
    learnt, busy = [named for named, (_, _, policy, _) in net.policies.items() if policy.enabled][:2]
    hint = (HintHop(node("n3"), scid(900), 7, 8, 9), HintHop(node("far"), scid(901), 1, 2, 3))
    overlay = net.overlay("new", hints=[hint], policies={learnt: Policy(5, 6, 7, 0, 10**10, timestamp=9)})
    problem = Problem.of(overlay, node("new"), {busy: 1_000})
    assert problem is not None
    usable = problem.arcs.usable(1_000)
    found = {}
    for target in range(problem.arcs.n_nodes):
        for at in range(usable.indptr[target], usable.indptr[target + 1]):
            arc = problem.arcs.arc(int(usable.row[at]))
            ends = problem.node_id(int(usable.source[at])), problem.node_id(target)
            found[arc.scid, arc.direction] = (*ends, arc)
    assert len(found) == len(usable.row)
    start, end, asked = found[scid(900), direction_of(node("n3"), node("far"))]
    assert (start, end, asked.fee_base_msat) == (node("n3"), node("far"), 7)
    start, end, asked = found[scid(901), direction_of(node("far"), node("new"))]
    assert (start, end, asked.cltv_delta) == (node("far"), node("new"), 3)
    assert found[learnt.scid, learnt.direction][2].fee_ppm == 6
    if (busy.scid, busy.direction) in found:
        capacity = net.policies[busy][3]
        assert found[busy.scid, busy.direction][2].capacity_msat == capacity - 1_000


def test_sorted_rows_follow_the_graph() -> None:
    """Kept between plans, made anew when a policy changes or a channel is added."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", ppm=1).link(3, "b", "c").link(4, "c", "a")
    kept = GraphRows.of(net.graph)
    assert GraphRows.of(net.graph) is kept
    net.graph.set_policy(ScidDir(scid(2), 0), Policy(0, 77, 1, 0, 10**9, timestamp=5))
    assert 77 in GraphRows.of(net.graph).rows.fee_ppm
    net.link(5, "b", "c", 1_000 * SAT)
    assert len(GraphRows.of(net.graph).arc) == 8


def test_the_search_takes_the_best_of_duplicates_and_follows_free_arcs() -> None:
    """0 <- 1 at 5 and at 3 (parallel), 1 <- 2 for nothing, 3 only at infinity: SciPy sums no duplicates, does not
    drop zeros, and reaches nothing beyond the limit."""
    indptr = np.array([0, 2, 3, 4, 4], np.int32)
    source = np.array([1, 1, 2, 3], np.int32)
    weights = np.array([5.0, 3.0, 0.0, np.inf])
    tree = shortest_tree(indptr, source, weights, 0)
    assert tree.distance.tolist() == [0.0, 3.0, 3.0, np.inf]
    assert tree.path(2) == [2, 1, 0]
    assert shortest_tree(indptr, source, weights, 0, 2.9).distance.tolist() == [0.0, np.inf, np.inf, np.inf]
    assert FAR_MSAT > 2_100_000_000_000_000_000 / 1_000
