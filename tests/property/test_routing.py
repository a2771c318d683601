"""The planner on small random networks, against every path there is.

The networks are multigraphs of up to six nodes with parallel channels, free ones, disabled ones, tight minima
and maxima, and own channels of all sizes; the reference enumerates all simple paths in exact integers.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pay.errors import Code
from pay.routing import NoRoute, NoRouteReason, Route, RouteQuery, check, plan
from tests.support.drawing import AMOUNT, networks
from tests.support.networks import Net, all_routes, path_cost, query

EXAMPLES = settings(max_examples=75, deadline=None)


@EXAMPLES
@given(networks(tight=False), st.sampled_from([0, 1_000, 10_000, 1_000_000]), st.sampled_from([0.0, 10.0, 500.0]))
def test_the_path_is_the_best_there_is(net: Net, failure_cost: int, riskfactor: float) -> None:
    """Without limits that bind the objective is the least of all paths, at the query's amount, and there is a
    route exactly where there is a path."""
    asked = query("a", AMOUNT, failure_cost_msat=failure_cost, riskfactor=riskfactor)
    planned = plan(net.overlay("a"), asked)
    costs = [path_cost(net, asked, route) for route in all_routes(net, asked, "a")]
    assert isinstance(planned, NoRoute) == (not costs)
    if not isinstance(planned, NoRoute):
        assert path_cost(net, asked, planned[0]) <= min(costs) * (1 + 1e-5) + 0.1


@EXAMPLES
@given(
    networks(tight=True),
    st.sampled_from([0, 1_000, 9_000, 10**12]),
    st.sampled_from([18, 60, 200, 10**5]),
    st.sampled_from([1, 2, 3, 20]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 3),
    st.sampled_from([0, 100]),
)
def test_no_limit_is_ever_broken(
    net: Net, max_fee: int, max_delay: int, max_hops: int, randomness: float, seed: int, shadow: int
) -> None:
    """Whatever the limits, a route is one of those that the reference enumerates, amounts exact, and within
    them, as much of its shadow as there is room for included; and where one limit alone forbids every path, that
    is said with the figure of the best one."""
    asked = query(
        "a", AMOUNT, max_fee_msat=max_fee, max_delay=max_delay, max_hops=max_hops, randomness=randomness,
        seed=seed, shadow_blocks=shadow,
    )  # fmt: skip
    planned = plan(net.overlay("a"), asked)
    routes = list(all_routes(net, asked, "a"))
    if isinstance(planned, NoRoute):
        _is_justified(planned, asked, routes, plain(net, routes))
        return
    check(net.overlay("a"), asked, planned)
    (route,) = planned
    added = min(shadow, max_delay - route.delay_blocks + route.hops[-1].delay_blocks - asked.final_cltv)
    added = added if len(route.hops) > 1 else 0
    plain_hops = tuple(replace(hop, delay_blocks=hop.delay_blocks - added) for hop in route.hops)
    assert plain_hops in [other.hops for other in routes]
    assert route.fee_msat <= max_fee and route.delay_blocks <= max_delay and len(route.hops) <= max_hops


def plain(net: Net, routes: list[Route]) -> list[Route]:
    """Those over channels whose minimum is no more than the amount itself. Figures of what breaks a limit are
    of these; a route within the limits is found whatever lifts it over a minimum."""
    least = {named: policy.htlc_min_msat for named, (_, _, policy, _) in net.policies.items()}
    return [route for route in routes if all(least[hop.scid_dir] <= AMOUNT for hop in route.hops[1:])]


def _is_justified(none: NoRoute, asked: RouteQuery, routes: list[Route], plain_ones: list[Route]) -> None:
    match none.reason:
        case NoRouteReason.TOO_EXPENSIVE if not routes:
            # More than the amount: no channel carries that, and the fee is what is wrong.
            assert none.fee_msat is not None and none.fee_msat > max(AMOUNT, asked.max_fee_msat)
        case NoRouteReason.TOO_EXPENSIVE:
            assert none.code is Code.ROUTE_TOO_EXPENSIVE and none.fee_msat is not None
            within = [r for r in routes if r.delay_blocks <= asked.max_delay and len(r.hops) <= asked.max_hops]
            cheapest = min(route.fee_msat for route in within or routes)
            assert asked.max_fee_msat < cheapest and abs(none.fee_msat - cheapest) <= 2
        case NoRouteReason.TOO_LONG:
            assert none.code is Code.ROUTE_TOO_EXPENSIVE and none.delay_blocks is not None
            assert none.delay_blocks > asked.max_delay
            assert none.delay_blocks == min(route.delay_blocks for route in plain_ones or routes)
        case NoRouteReason.TOO_MANY_HOPS:
            assert min(len(route.hops) for route in routes) > asked.max_hops
        case _:
            assert none.code is Code.ROUTE_NOT_FOUND
            assert not routes


@EXAMPLES
@given(networks(tight=True), st.data())
def test_limits_hide_no_route(net: Net, data: st.DataObject) -> None:
    """Whatever the limits on fee, delay and hops, together or alone, and however little they leave: a route is
    found if and only if some path keeps them."""
    asked = query("a", AMOUNT)
    routes = list(all_routes(net, asked, "a"))
    one = data.draw(st.sampled_from(routes)) if routes else None
    fee = st.sampled_from([one.fee_msat, one.fee_msat - 1] if one else [0])
    delay = st.sampled_from([one.delay_blocks, one.delay_blocks - 1, 10**5] if one else [18])
    hops = st.sampled_from([len(one.hops), 20] if one else [20])
    limited = replace(
        asked, max_fee_msat=max(data.draw(fee), 0), max_delay=data.draw(delay), max_hops=data.draw(hops)
    )
    kept = [
        route
        for route in routes
        if route.fee_msat <= limited.max_fee_msat
        and route.delay_blocks <= limited.max_delay
        and len(route.hops) <= limited.max_hops
    ]
    assert isinstance(plan(net.overlay("a"), limited), NoRoute) == (not kept)


@settings(max_examples=30, deadline=None)
@given(networks(tight=True), st.integers(0, 5))
def test_the_same_question_has_the_same_answer(net: Net, seed: int) -> None:
    asked = query("a", AMOUNT, randomness=0.3, seed=seed, max_fee_msat=6_000)
    assert plan(net.overlay("a"), asked) == plan(net.overlay("a"), asked)
