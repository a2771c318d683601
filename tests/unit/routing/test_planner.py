"""Routes on drawn networks, with the exact amounts and the reason for each choice."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from pay.liquidity.knowledge import Knowledge, NodeCost
from pay.network import HintHop
from pay.routing import NoRoute, PlanError, Route, RouteQuery, check, plan
from pay.routing import constrained as labels
from pay.routing.exact import onion_bytes
from pay.units import ScidDir, direction_of
from tests.support.networks import SAT, US, Net, names, node, query, scid
from tests.support.values import varied
from tests.support.waiting import PATIENCE_S


def planned(net: Net, asked: RouteQuery, in_flight: dict[ScidDir, int] | None = None, **overlay: object) -> Route:
    """The one route of a plan."""
    routes = plan(net.overlay(asked.destination[1:].decode().rstrip("."), **overlay), asked, in_flight or {})
    assert not isinstance(routes, NoRoute), routes.message
    (route,) = routes
    return route


def channel(number: int, a: str, b: str) -> ScidDir:
    return ScidDir(scid(number), direction_of(node(a), node(b)))


def test_amounts_and_cltvs_grow_backwards_from_the_recipient() -> None:
    """us ─1─ a ─2─ b ─3─ c, 1,000,000 sat to c: b asks 1 sat + 1,000 ppm and 40 blocks, a asks 2,000 ppm and
    80."""
    net = Net().own(1, "a", 2_000_000 * SAT)
    net.link(2, "a", "b", ppm=2_000, cltv=80).link(3, "b", "c", base=1_000, ppm=1_000, cltv=40)
    route = planned(net, query("c", 1_000_000 * SAT))
    last = 1_000_000_000
    middle = last + 1_000 + 1_000_000
    assert [(hop.amount_msat, hop.delay_blocks) for hop in route.hops] == [
        (middle + middle * 2_000 // 1_000_000, 18 + 40 + 80),
        (middle, 18 + 40),
        (last, 18),
    ]
    assert [hop.scid for hop in route.hops] == [scid(1), scid(2), scid(3)]
    assert [hop.node for hop in route.hops] == [node("a"), node("b"), node("c")]
    assert (route.amount_msat, route.sent_msat - route.fee_msat, route.delay_blocks) == (last, last, 138)


def test_a_direct_peer_costs_nothing() -> None:
    """us ─1─ a: one hop, no fee, the recipient's own CLTV."""
    route = planned(Net().own(1, "a", 50_000 * SAT), query("a", 50_000 * SAT))
    assert (len(route.hops), route.fee_msat, route.delay_blocks, route.probability) == (1, 0, 18, 1.0)


def test_a_likelier_path_is_worth_its_fee_up_to_the_failure_cost() -> None:
    """us ─ a ═ b over c (free, half full: one chance in two) or d (5 sat dearer, roomy). At 10 sat a nat the
    ln 2 of the narrow way costs 6.9 sat, so 5 sat are paid; at 5 sat a nat it costs 3.5 sat, and they are
    not."""
    net = Net().own(1, "a", 10**9).link(2, "a", "c", 10**8, ppm=0).link(3, "c", "b", 10**12, ppm=0)
    net.link(4, "a", "d", 10**12, ppm=0, base=5_000).link(5, "d", "b", 10**12, ppm=0)
    assert names(planned(net, query("b", 5 * 10**7))) == "us>a>d>b"
    assert names(planned(net, query("b", 5 * 10**7, failure_cost_msat=5_000))) == "us>a>c>b"


def test_a_peer_that_fails_often_is_passed_by_for_one_far_off() -> None:
    """us ─ a ─ c at 1 sat, us ─ b ─ c at 30 sat; ten nats against a are 100 sat. The search meets a long before
    it would meet b."""
    net = Net().own(1, "a", 10**9).own(2, "b", 10**9)
    net.link(3, "a", "c", ppm=0, base=1_000).link(4, "b", "c", ppm=0, base=30_000)
    wary = Knowledge.about({}, {node("a"): NodeCost(10.0, 0.0)})
    routes = plan(net.overlay("c"), query("c", 10**6), knowledge=wary)
    assert not isinstance(routes, NoRoute) and names(routes[0]) == "us>b>c"
    assert names(planned(net, query("c", 10**6))) == "us>a>c"


def test_the_faintest_route_is_a_route() -> None:
    """A line of 20 nodes that failed so often that the chance of all of them is less than a float can say."""
    net = Net().own(1, "n00", 10**9)
    for number in range(19):
        net.link(10 + number, f"n{number:02}", f"n{number + 1:02}", cltv=1)
    wary = Knowledge.about({}, {node(f"n{number:02}"): NodeCost(50.0, 0.0) for number in range(20)})
    for limits in ({}, {"max_fee_msat": 19 * 101, "max_delay": 18 + 19}):
        routes = plan(net.overlay("n19"), query("n19", 10**6, max_parts=4, **limits), knowledge=wary)
        assert not isinstance(routes, NoRoute) and 0 < routes[0].probability < 1e-300


def crossroads() -> Net:
    """us ─ a ═ b over c (free, 900 blocks), d (9 sat, 10 blocks) or e (6 sat, 600 blocks)."""
    net = Net().own(1, "a", 10**9)
    for number, (name, base, cltv) in enumerate([("c", 0, 900), ("d", 9_000, 10), ("e", 6_000, 600)]):
        net.link(2 + 2 * number, "a", name, ppm=0, cltv=0)
        net.link(3 + 2 * number, name, "b", base=base, ppm=0, cltv=cltv)
    return net


def test_a_way_that_is_best_at_no_price_of_time_is_found_within_two_limits() -> None:
    """At any price of a block the way over e costs more than that over c or over d; at most 6 sat and 618 blocks,
    it is the only one. At most 5.999 sat there is none, and the cheapest within the delay is said."""
    net = crossroads()
    within = query("b", 10**6, max_fee_msat=6_000, max_delay=618)
    assert names(planned(net, within)) == "us>a>e>b"
    none = plan(net.overlay("b"), replace(within, max_fee_msat=5_999))
    assert isinstance(none, NoRoute) and (none.fee_msat, none.delay_blocks) == (6_000, 618)


def test_the_exact_search_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "LABELS", 1)
    none = plan(crossroads().overlay("b"), query("b", 10**6, max_fee_msat=6_000, max_delay=618))
    assert isinstance(none, NoRoute) and none.fee_msat == 9_000


def test_an_exact_search_that_gave_up_does_not_say_that_there_is_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """us ─ a ─ b ─ c: a ─ b takes the amount, but not with b's fee on top."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", high=10**8).link(3, "b", "c", base=1)
    reasons = []
    for most in (1_000, 1):
        monkeypatch.setattr(labels, "LABELS", most)
        none = plan(net.overlay("c"), query("c", 10**8))
        assert isinstance(none, NoRoute)
        reasons.append(none.reason.value)
    assert reasons == ["insufficient_capacity", "gave_up"]


def test_risk_of_locked_time_is_priced() -> None:
    """us ─ a ═ b over c (free, 1,000 blocks) or d (100 sat, 10 blocks). 10 % a year of 1,000,000 sat for 990
    blocks is 1,882 sat: the quick way is cheaper; who does not mind the time takes the free one."""
    net = Net().own(1, "a", 10**10).link(2, "a", "c", ppm=0, cltv=1).link(3, "c", "b", ppm=0, cltv=1_000)
    net.link(4, "a", "d", ppm=0, cltv=1).link(5, "d", "b", ppm=0, base=100_000, cltv=10)
    assert names(planned(net, query("b", 10**9))) == "us>a>d>b"
    assert names(planned(net, query("b", 10**9, riskfactor=0.0))) == "us>a>c>b"


def test_the_better_of_parallel_channels_at_the_exact_amount() -> None:
    """a ═ b by channel 2 (cheap for large amounts) and 3 (cheap for small ones), and 4, free but too small."""
    net = Net().own(1, "a", 10**10).link(2, "a", "b", base=5_000, ppm=10).link(3, "a", "b", ppm=200)
    net.link(4, "a", "b", 10**6, ppm=0)
    assert planned(net, query("b", 10_000 * SAT)).hops[-1].scid == scid(3)
    assert planned(net, query("b", 1_000_000 * SAT)).hops[-1].scid == scid(2)
    assert planned(net, query("b", 500 * SAT, failure_cost_msat=0)).hops[-1].scid == scid(4)


def test_fees_that_lift_the_amount_over_a_maximum_lead_another_way() -> None:
    """us ─ a ═ b ─ c: channel 2 takes the query's amount exactly, but not with b's fee on top; 3 is dearer
    and fits; without 3 the way over d is taken."""
    net = Net().own(1, "a", 10**10).own(9, "d", 10**10).link(2, "a", "b", ppm=0, high=10**9, cltv=0)
    net.link(3, "a", "b", ppm=5_000).link(4, "b", "c", base=1).link(5, "d", "b", ppm=9_000)
    asked = query("c", 10**9)
    assert [hop.scid for hop in planned(net, asked).hops] == [scid(1), scid(3), scid(4)]
    without = planned(net, asked, excluded_channels={channel(3, "a", "b")})
    assert [hop.scid for hop in without.hops] == [scid(9), scid(5), scid(4)]


def test_a_minimum_that_only_the_fees_reach() -> None:
    """us ─ a ─ b ─ c: channel 2 wants 1,000 msat more than the amount, and b's fee is just that."""
    net = Net().own(1, "a", 10**10).link(2, "a", "b", low=10**8 + 1_000).link(3, "b", "c", base=1_000, ppm=0)
    assert names(planned(net, query("c", 10**8))) == "us>a>b>c"
    assert isinstance(plan(net.overlay("c"), query("c", 10**8 - 1)), NoRoute)


def test_the_smallest_own_channel_that_fits_is_taken() -> None:
    """Three channels to a with 1,000, 2,000 and 9,000 sat; 1,500 sat go over the second."""
    net = Net().own(1, "a", 10**6).own(2, "a", 2 * 10**6).own(3, "a", 9 * 10**6)
    assert planned(net, query("a", 1_500 * SAT)).hops[0].scid == scid(2)


@pytest.mark.parametrize(
    "changes", [{"connected": False}, {"live_htlcs": 30}, {"htlc_max_msat": 10**6}, {"htlc_min_msat": 10**8}]
)
def test_an_own_channel_that_cannot_is_left_out(changes: dict[str, object]) -> None:
    """Channel 1 fits the amount but for one property; channel 2, larger, is taken although it would be kept."""
    net = Net().own(1, "a", 10**8, **changes).own(2, "a", 10**10)
    assert planned(net, query("a", 10**7)).hops[0].scid == scid(2)


def test_limits_change_the_choice_before_they_refuse() -> None:
    """Three ways from a to b: likely and dear over c, middling over d, risky and cheap over e. A tighter fee
    limit takes the next cheaper each time; a tighter delay limit the quicker."""
    net = Net().own(1, "a", 10**10)
    for number, (via, capacity, fee, cltv) in enumerate(
        [("c", 10**12, 9_000, 40), ("d", 3 * 10**9, 5_000, 100), ("e", 11 * 10**8, 1_000, 200)], start=1
    ):
        net.link(10 * number, "a", via, capacity, ppm=0, cltv=0)
        net.link(10 * number + 1, via, "b", capacity, ppm=0, base=fee, cltv=cltv)
    asked = query("b", 10**9, riskfactor=0.0)
    assert names(planned(net, asked)) == "us>a>c>b"
    for limit, way in ((9_000, "us>a>c>b"), (8_999, "us>a>d>b"), (4_999, "us>a>e>b")):
        assert names(planned(net, varied(asked, max_fee_msat=limit))) == way
    cheap = varied(asked, failure_cost_msat=0, max_delay=18 + 199)
    assert names(planned(net, cheap)) == "us>a>d>b"


def test_what_is_in_flight_makes_a_channel_less_likely() -> None:
    """Two equal ways from a to b; 60 % of the one over c are in flight, so the other is likelier; with 99 %
    it cannot take the amount at all, with or without an alternative."""
    net = Net().own(1, "a", 10**9).link(2, "a", "c", 10**8, ppm=0, cltv=0).link(3, "c", "b", 10**12, ppm=0, cltv=0)
    net.link(4, "a", "d", 10**8, ppm=0, base=1, cltv=0).link(5, "d", "b", 10**12, ppm=0, cltv=0)
    busy = channel(2, "a", "c")
    asked = query("b", 10**7)
    free = planned(net, asked)
    assert names(free) == "us>a>c>b"
    assert names(planned(net, asked, {busy: 6 * 10**7})) == "us>a>d>b"
    alone = {"excluded_nodes": {node("d")}}
    pressed = planned(net, asked, {busy: 6 * 10**7}, **alone)
    assert names(pressed) == "us>a>c>b" and pressed.probability < free.probability
    assert isinstance(plan(net.overlay("b", **alone), asked, {busy: 99 * 10**6}), NoRoute)


def test_a_cap_and_a_hint_and_a_policy_from_the_overlay() -> None:
    """b is known by the invoice's hint only (a ─7─ b, private). The way over channel 2 is capped by a
    failure, so channel 3 is taken."""
    net = Net().own(1, "m", 10**9).link(2, "m", "a", ppm=0).link(3, "m", "a", ppm=900)
    hint = (HintHop(node("a"), scid(7), 1_000, 10, 30),)
    caps = {channel(2, "m", "a"): 10**6}
    route = planned(net, query("b", 10**8), hints=[hint], caps=caps)
    assert [hop.scid for hop in route.hops] == [scid(1), scid(3), scid(7)]
    assert route.hops[1].amount_msat == 10**8 + 1_000 + 10**8 * 10 // 10**6
    assert route.hops[1].delay_blocks == 18 + 30


def test_noise_spreads_payments_but_a_seed_is_steadfast() -> None:
    """Ten ways that differ by 1 msat, where time costs 76: without noise always the best; with it several, each
    seed its own. A way that differs by 1,000 msat is never taken: fees are not misjudged."""
    net = Net().own(1, "a", 10**9)
    for number in range(10):
        net.link(100 + number, "a", f"m{number}", ppm=0, cltv=0)
        net.link(200 + number, f"m{number}", "b", ppm=0, cltv=40, base=1_000 + number)
    net.link(300, "a", "n", ppm=0, cltv=0).link(400, "n", "b", ppm=0, cltv=30, base=2_000)
    calm = {names(planned(net, query("b", 10**6, seed=seed))) for seed in range(20)}
    assert calm == {"us>a>m0>b"}
    noisy = [names(planned(net, query("b", 10**6, seed=seed, randomness=0.2))) for seed in range(20)]
    assert len(set(noisy)) >= 4 and "us>a>n>b" not in noisy
    assert noisy == [names(planned(net, query("b", 10**6, seed=seed, randomness=0.2))) for seed in range(20)]


def test_twenty_hops_and_no_more() -> None:
    """A line of 20 channels is a route, one of 21 is not; with 600 bytes of metadata neither fits in the
    onion."""
    net = Net().own(1, "n00", 10**9)
    for number in range(20):
        net.link(10 + number, f"n{number:02}", f"n{number + 1:02}", cltv=1)
    longest = planned(net, query("n19", 10**6))
    assert len(longest.hops) == 20 and onion_bytes(longest) <= 1_300
    for to, changes in (("n20", {}), ("n19", {"metadata_bytes": 600})):
        refused = plan(net.overlay(to), query(to, 10**6, **changes))
        assert isinstance(refused, NoRoute) and refused.reason.value == "too_many_hops"


def test_an_onion_is_counted_as_bolt_4_writes_it() -> None:
    """Two hops of a payment of 1,000,000 msat (3 bytes as tu64): an intermediate payload of 1 + 5 + 5 + 10
    bytes and a final one of 1 + 5 + 5 + 42, each with an HMAC of 32."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", ppm=0)
    route = planned(net, query("b", 1_000_000))
    assert onion_bytes(route) == (1 + 5 + 5 + 10 + 32) + (1 + 5 + 5 + 2 + 32 + 8 + 32)


def test_check_finds_what_is_wrong_with_a_plan() -> None:
    """A good plan passes; one that was tampered with in any field does not."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", base=7)
    asked, overlay = query("b", 10**8), net.overlay("b")
    good = planned(net, asked)
    check(overlay, asked, (good,))
    first, last = good.hops
    bad: list[tuple[Route, ...]] = [
        (),
        (good, good),
        (Route((last,), 0.5),),
        (Route((first,), 0.5),),
        (Route((_with(first, amount_msat=first.amount_msat + 1), last), 0.5),),
        (Route((_with(first, delay_blocks=first.delay_blocks - 1), last), 0.5),),
        (Route((first, _with(last, direction=1 - last.direction)), 0.5),),
        (Route((first, _with(last, scid=scid(99))), 0.5),),
        (Route((first, _with(last, amount_msat=last.amount_msat - 1)), 0.5),),
    ]
    for routes in bad:
        with pytest.raises(PlanError):
            check(overlay, asked, routes)
    for limited in (query("b", 10**8, max_fee_msat=1), query("b", 10**8, max_delay=57), query("a", 10**8)):
        with pytest.raises(PlanError):
            check(overlay, limited, (good,))
    with pytest.raises(PlanError, match="must not be used"):
        check(net.overlay("b", excluded_channels={channel(2, "a", "b")}), asked, (good,))


def _with(hop: object, **changes: object) -> object:
    from dataclasses import replace

    return replace(hop, **changes)  # type: ignore[type-var]


def test_questions_that_make_no_sense() -> None:
    net = Net().own(1, "a", 10**9)
    for asked in (query("a", 0), query(US, 1_000)):
        with pytest.raises(ValueError):
            plan(net.overlay("a"), asked)


def test_the_value_types_need_no_numpy() -> None:
    """The plugin answers the host before heavy imports, so importing the values must not bring them in."""
    code = "import sys, pay.routing; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE_S, check=False).returncode == 0
