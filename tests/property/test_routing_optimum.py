"""Plans of several parts on small drawn networks, against the optimum by SciPy's MILP; more of them in
`python -m tests.bench exact`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from pay.errors import Code
from pay.routing import NoRoute, NoRouteReason, check, plan
from pay.routing.bounds import least_fee, rounded_msat
from pay.routing.problem import Problem
from tests.support.networks import SAT, Net, node, query
from tests.support.optimum import Case, Optimum, drawn, near_the_most, tight

FIXED = range(10)
FEWEST = 8
"""Of the fixed seeds: some networks have no way, or none whose optimum is known in time."""

FRESH = 3

tight_case = cache(tight)


@cache
def near_case(seed: int) -> Case | None:
    return near_the_most(seed, fees=seed % 2 == 0)


def bound_msat(case: Case) -> float:
    """What no plan costs less than: parallel channels are filled."""
    least = Optimum(case.drawn.net, "a", case.drawn.parts, sparing=False).fee_msat(case.amount_msat)
    assert least is not None
    return least


def asked(case: Case | None) -> None:
    """The plan that there is, is found; nor is any better than the optimum."""
    if case is None:
        pytest.skip("no way, or no optimum in time")
    net, parts = case.drawn.net, case.drawn.parts
    question = query("a", case.amount_msat, max_parts=parts, max_fee_msat=case.max_fee_msat)
    overlay = net.overlay("a")
    problem = Problem.of(overlay, question.destination, {})
    assert problem is not None
    if case.least_fee_msat:
        assert least_fee(problem, question) <= case.least_fee_msat + rounded_msat(parts, question.max_hops)
    routes = plan(overlay, question)
    assert not isinstance(routes, NoRoute), (case, routes.message)
    check(overlay, question, routes)
    assert sum(route.fee_msat for route in routes) >= bound_msat(case) - 100


@pytest.mark.parametrize("seed", FIXED)
def test_a_fee_limit_of_little_more_than_the_optimum_is_kept(seed: int) -> None:
    """1.02 times what the cheapest plan costs, of a fifth to nine tenths of what can be sent."""
    asked(tight_case(seed))


@pytest.mark.parametrize("seed", FIXED)
def test_nearly_all_that_can_be_sent_is_sent(seed: int) -> None:
    """97 to 100 % of the most that a plan can deliver, whatever it costs."""
    asked(near_case(seed))


@pytest.mark.parametrize("case", [tight_case, near_case])
def test_most_of_the_fixed_networks_are_asked(case: Callable[[int], Case | None]) -> None:
    assert sum(case(seed) is not None for seed in FIXED) >= FEWEST


def test_the_first_part_may_fill_one_of_parallel_channels() -> None:
    """us ── b, and b ── a twice: 426,400 sat at 1 sat, 179,000 sat at 100 ppm; 528,514.2 sat in two parts.

    With 3 % of both left free the cheap one takes 413,608 sat, and the other 114,906.2 sat. Filled, 426,400 and
    102,114.2 sat. What is planned lies between.
    """
    net = Net().own(1, "b", 1_000_000 * SAT)
    net.link(2, "b", "a", 426_400 * SAT, base=1_000, ppm=0).link(3, "b", "a", 179_000 * SAT, ppm=100)
    amount = 528_514_200
    strict, bound = (Optimum(net, "a", 2, sparing=sparing).fee_msat(amount) for sparing in (True, False))
    assert strict == pytest.approx(1_000 + 11_490.62, abs=1)
    assert bound == pytest.approx(1_000 + 10_211.42, abs=1)
    overlay, question = net.overlay("a"), query("a", amount, max_parts=2)
    routes = plan(overlay, question)
    assert not isinstance(routes, NoRoute)
    check(overlay, question, routes)
    assert bound - 1 <= sum(route.fee_msat for route in routes) < strict


@pytest.mark.parametrize("_number", range(FRESH))
def test_what_is_possible_is_never_called_impossible(_number: int) -> None:
    """Other networks each time. A plan may be missed, of 100 perhaps one; then nothing is claimed."""
    seed = random.SystemRandom().randrange(10**9)
    for case in (tight(seed, 3.0), near_the_most(seed, fees=True, seconds=3.0)):
        if case is None:
            continue
        question = query("a", case.amount_msat, max_parts=drawn(seed).parts, max_fee_msat=case.max_fee_msat)
        routes = plan(case.drawn.net.overlay("a"), question)
        if isinstance(routes, NoRoute):
            proven = routes.code is Code.ROUTE_TOO_EXPENSIVE and "found" not in routes.message
            assert not proven and routes.reason is not NoRouteReason.INSUFFICIENT_CAPACITY, (seed, routes)


@pytest.mark.parametrize("seed", FIXED)
@pytest.mark.parametrize("without", ["", "b"])
def test_a_bound_is_never_less_than_what_can_be_sent(seed: int, without: str) -> None:
    """More is asked for than can be sent, also with a node excluded: what is called a bound is no less than the
    optimum, nor does a plan deliver more; what is said to be sendable is sent."""
    network = drawn(seed, fees=seed % 2 == 0)
    excluded = {"excluded_nodes": frozenset({node(without)})} if without else {}
    net = network.net
    overlay = net.overlay("a", **excluded)
    reduced = replace(net, ours=[channel for channel in net.ours if channel.peer != node(without)])
    reduced.policies = {named: asks for named, asks in net.policies.items() if without not in asks[:2]}
    try:
        most = Optimum(reduced, "a", network.parts, seconds=5.0).most_msat() if reduced.ours else 0.0
    except TimeoutError:
        return
    for more in (1.001, 1.2, 3, 20):
        asked = query("a", int(most * more) + 1_000 * SAT, max_parts=network.parts)
        none = plan(overlay, asked)
        if not isinstance(none, NoRoute) or none.max_sendable_msat is None:
            continue
        figure = none.max_sendable_msat
        if not none.sendable_bound:
            assert not figure or isinstance(plan(overlay, replace(asked, amount_msat=figure)), tuple), (seed, none)
            continue
        assert figure >= most - 100, (seed, more, none)
        for above in (figure + 1, figure + figure // 100 + 1, 2 * figure + 1):
            assert isinstance(plan(overlay, replace(asked, amount_msat=above)), NoRoute), (seed, more, none)
