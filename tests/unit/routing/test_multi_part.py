"""Plans of several routes on drawn networks."""

from __future__ import annotations

from dataclasses import replace

from pay.errors import Code
from pay.liquidity.knowledge import Knowledge
from pay.liquidity.prior import RESERVED
from pay.routing import NoRoute, NoRouteReason, RouteQuery, plan
from tests.support.networks import SAT, Net, names, planned, query, refused, scid
from tests.support.values import varied


def many(to: str, amount_msat: int, **changes: object) -> RouteQuery:
    return query(to, amount_msat, max_parts=8, **changes)


def test_two_own_channels_pay_what_none_can_alone() -> None:
    """us ═ a by 3,000 and 2,000 sat, a ─ b: 4,500 sat to b go in two parts, or not at all."""
    net = Net().own(1, "a", 3_000 * SAT).own(2, "a", 2_000 * SAT).link(3, "a", "b", ppm=10)
    routes = planned(net, many("b", 4_500 * SAT))
    assert sum(route.amount_msat for route in routes) == 4_500 * SAT
    assert {route.hops[0].scid for route in routes} == {scid(1), scid(2)}
    assert refused(net, query("b", 4_500 * SAT)).reason is NoRouteReason.INSUFFICIENT_SPENDABLE


def test_one_route_where_one_is_as_good() -> None:
    """Wide channels everywhere: nothing is gained by a second part."""
    net = Net().own(1, "a", 10**10).own(2, "c", 10**10)
    net.link(3, "a", "b", 10**12).link(4, "c", "b", 10**12, ppm=101)
    assert len(planned(net, many("b", 10**9))) == 1


def test_two_equal_ways_share_an_amount_that_would_fill_either() -> None:
    """us ─ a ═ b over c or d, each of 1,000,000 sat; of 900,000 sat either way alone carries all with a chance of
    one in ten, half each with one in two times one in two."""
    net = Net().own(1, "a", 10**10)
    net.link(2, "a", "c", 10**9, cltv=0).link(3, "c", "b", 10**12, cltv=0)
    net.link(4, "a", "d", 10**9, cltv=0).link(5, "d", "b", 10**12, cltv=0)
    routes = planned(net, many("b", 9 * 10**8, failure_cost_msat=100_000))
    assert sorted(map(names, routes)) == ["us>a>c>b", "us>a>d>b"]
    assert all(4 * 10**8 < route.amount_msat < 5 * 10**8 for route in routes)
    (alone,) = planned(net, query("b", 9 * 10**8))
    assert routes[0].probability * routes[1].probability > 2 * alone.probability


def test_capacity_is_shared_between_the_routes_of_a_plan() -> None:
    """Two routes meet in c ─ b of 1,000,000 sat: together they cannot carry more, whatever each alone could."""
    net = Net().own(1, "a", 7 * 10**8).own(2, "d", 7 * 10**8)
    net.link(3, "a", "c", 10**12, ppm=0).link(4, "d", "c", 10**12, ppm=0).link(5, "c", "b", 10**9, ppm=0)
    routes = planned(net, many("b", 999_000 * SAT))
    assert len(routes) == 2
    none = refused(net, many("b", 1_001_000 * SAT))
    assert none.reason is NoRouteReason.INSUFFICIENT_CAPACITY and none.max_sendable_msat == 10**9


def test_parallel_channels_share_an_amount_that_one_of_them_would_carry_dearly() -> None:
    """a ═ b: channel 2 of 1,000,000 sat at 500 ppm and 3 of 250,000 sat at 10 ppm. All of 500,000 sat over 2 cost
    250 sat; some 225,000 of them over 3 save about 110 sat, for 24 sat of chance and 10 of a second part."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", 10**9, ppm=500).link(3, "a", "b", 25 * 10**7, ppm=10)
    routes = planned(net, many("b", 5 * 10**8))
    assert [route.hops[1].scid for route in routes] == [scid(2), scid(3)]
    assert sum(route.fee_msat for route in routes) < 150_000
    (alone,) = planned(net, many("b", 5 * 10**7))
    assert alone.hops[1].scid == scid(3)


def test_parts_go_by_the_parallel_channel_that_the_flow_took() -> None:
    """us ─ a ═ b: one channel of 600,000 sat takes 150,000 a part at 1,000 ppm, the other, of 608,000 sat, any at
    5,000 ppm. 562,099 sat go by the first in four parts, for 562 sat; in one by the other they cost 2,811."""
    net = Net().own(1, "a", 592_000 * SAT).link(2, "a", "b", 600_000 * SAT, high=150_000 * SAT, ppm=1_000)
    net.link(3, "a", "b", 608_000 * SAT, ppm=5_000)
    for limit in (10**15, 573 * SAT):
        asked = replace(many("b", 562_099 * SAT, max_fee_msat=limit), max_parts=4)
        routes = planned(net, asked)
        assert [route.hops[1].scid for route in routes] == [scid(2)] * 4
        assert sum(route.fee_msat for route in routes) == 562_099


def test_a_channel_is_filled_and_the_rest_goes_by_another() -> None:
    """us ═ a by 112,000 and 381,000 sat: 493,000 sat are both of them, to the msat. Halves of what does not fit
    leave some of either."""
    net = Net().own(1, "a", 112_000 * SAT).own(2, "a", 381_000 * SAT).link(3, "a", "b", ppm=0)
    for to in ("a", "b"):
        routes = planned(net, many(to, 493_000 * SAT))
        assert [route.amount_msat for route in routes] == [381_000 * SAT, 112_000 * SAT]


def test_parallel_channels_of_others_are_not_filled_to_the_msat() -> None:
    """us ─ a ═ b by two of 100,000 sat: a chooses which of them a part takes. 190,000 sat leave room in both; for
    200,000 they would have to be chosen well, which nobody promises, and nobody can say that it is impossible."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", 10**8, ppm=0).link(3, "a", "b", 10**8, ppm=0)
    routes = planned(net, many("b", 190_000 * SAT))
    for number in (2, 3):
        assert sum(r.amount_msat for r in routes if r.hops[-1].scid == scid(number)) <= 97_000 * SAT
    assert refused(net, many("b", 200_000 * SAT)).reason is NoRouteReason.GAVE_UP
    (alone,) = planned(net, query("b", 100_000 * SAT))
    assert alone.amount_msat == 10**8


def test_small_channels_are_used_where_they_are_needed() -> None:
    """us ─ a to b over c, 700,000 sat, and over d and e, 100,000 each: 900,000 sat in four parts need the two that
    take less than an even part of 225,000. In two parts 800,000 can be sent, no more."""
    net = Net().own(1, "a", 10**10)
    for number, (via, size) in enumerate([("c", 700_000), ("d", 100_000), ("e", 100_000)]):
        net.link(2 + 2 * number, "a", via, size * SAT, ppm=0).link(3 + 2 * number, via, "b", size * SAT, ppm=0)
    routes = planned(net, replace(many("b", 900_000 * SAT), max_parts=4))
    assert [route.amount_msat // SAT for route in routes] == [700_000, 100_000, 100_000]
    none = refused(net, replace(many("b", 800_001 * SAT), max_parts=2))
    assert none.reason is NoRouteReason.INSUFFICIENT_CAPACITY


def test_a_tight_fee_limit_is_kept_by_a_better_division() -> None:
    """us ─ a ─ b over c by 100,000 sat at no fee in HTLCs of 25,000, and over d by 500,000 at 1,000 ppm. 200,000
    sat cost 200 sat in one part; in five, half of them go over d, for 100 sat; in four 125,000, for 125."""
    net = Net().own(1, "a", 10**9).link(2, "a", "c", 10**8, high=25 * 10**6, ppm=0).link(3, "c", "b", ppm=0)
    net.link(4, "a", "d", 5 * 10**8, ppm=0).link(5, "d", "b", 5 * 10**8, ppm=1_000)
    five = planned(net, replace(many("b", 200_000 * SAT, max_fee_msat=100_100), max_parts=5))
    assert sum(route.fee_msat for route in five) <= 100_100
    none = refused(net, replace(many("b", 200_000 * SAT, max_fee_msat=100_100), max_parts=4))
    assert (none.code, none.fee_msat) == (Code.ROUTE_TOO_EXPENSIVE, 125_000)
    assert "the cheapest plan found, in 4 parts, costs 125 sat" in none.message


def test_htlc_maxima_bound_a_part_not_the_sum() -> None:
    """a ─ b holds 1,000,000 sat but takes 300,000 a part: 800,000 go in three parts."""
    net = Net().own(1, "a", 10**10).link(2, "a", "b", 10**9, high=3 * 10**8, ppm=0)
    routes = planned(net, many("b", 8 * 10**8))
    assert len(routes) == 3 and max(route.amount_msat for route in routes) <= 3 * 10**8


def test_a_flow_takes_back_what_an_earlier_chunk_took() -> None:
    """The cheapest way for the first half, over x ─ y, blocks the only two ways for both halves."""
    net = Net().own(1, "x", 10**9).own(2, "y", 10**9)
    net.link(3, "x", "y", 10**9, ppm=0, cltv=0)
    net.link(4, "x", "p", 5 * 10**8, ppm=50, cltv=0).link(5, "p", "b", 10**12, ppm=0, cltv=0)
    net.link(6, "y", "q", 5 * 10**8, ppm=0, cltv=0).link(7, "q", "b", 10**12, ppm=0, cltv=0)
    net.ours[1] = replace(net.ours[1], spendable_msat=6 * 10**8)
    routes = planned(net, many("b", 9 * 10**8, failure_cost_msat=0))
    assert {names(route) for route in routes} <= {"us>x>p>b", "us>y>q>b", "us>x>y>q>b"}
    assert sum(route.amount_msat for route in routes) == 9 * 10**8


def test_no_more_parts_than_allowed() -> None:
    """Four own channels of 1,000 sat: 3,500 sat need four parts; with three 2,500 sat can be paid at most."""
    net = Net()
    for number in range(4):
        net.own(number + 1, "a", 1_000 * SAT)
    net.link(9, "a", "b", ppm=0)
    assert len(planned(net, replace(many("b", 3_500 * SAT), max_parts=4))) == 4
    assert isinstance(plan(net.overlay("b"), replace(many("b", 3_500 * SAT), max_parts=3)), NoRoute)
    assert len(planned(net, replace(many("b", 2_500 * SAT), max_parts=3))) == 3


def test_free_htlc_slots_bound_the_parts_of_a_channel() -> None:
    """One HTLC may still be added to channel 1, none to 3."""
    net = Net().own(1, "a", 10**9, live_htlcs=29).own(2, "a", 10**9).own(3, "a", 10**9, live_htlcs=30)
    net.link(4, "a", "b", 10**12, high=4 * 10**8, ppm=0)
    routes = planned(net, many("b", 11 * 10**8))
    assert [route.hops[0].scid for route in routes].count(scid(1)) <= 1
    assert scid(3) not in {route.hops[0].scid for route in routes}


def test_a_channel_without_a_free_slot_left_is_not_taken_by_what_flows_again() -> None:
    """us ═ a: channel 1 takes one HTLC of 250 sat at most and holds more, channel 2 three of 125. Of 500 sat the
    least parts are first thought to be 200, so what is left over flows again, when channel 1 has no slot."""
    net = Net().own(1, "a", 500 * SAT, max_htlcs=1, htlc_max_msat=250 * SAT)
    net.own(2, "a", 1_000 * SAT, max_htlcs=3, htlc_max_msat=125 * SAT).link(3, "a", "b", 2_000 * SAT)
    routes = planned(net, many("b", 500 * SAT, min_part_msat=200 * SAT))
    assert [route.hops[0].scid for route in routes].count(scid(1)) == 1


def test_the_fee_limit_is_for_all_parts_together() -> None:
    """Two ways to b are needed, of 100 and 200 ppm: 150,000 msat for 1,000,000 sat; a msat less is refused with
    about that figure."""
    net = Net().own(1, "a", 6 * 10**8).own(2, "c", 6 * 10**8)
    net.link(3, "a", "b", 5 * 10**8, ppm=100).link(4, "c", "b", 5 * 10**8 + 1, ppm=200)
    routes = planned(net, many("b", 10**9, max_fee_msat=150_001))
    assert sum(route.fee_msat for route in routes) <= 150_001
    none = refused(net, many("b", 10**9, max_fee_msat=140_000))
    assert (none.reason, none.code) == (NoRouteReason.TOO_EXPENSIVE, Code.ROUTE_TOO_EXPENSIVE)
    assert none.fee_msat is not None and 149_000 <= none.fee_msat <= 151_000
    assert "the cheapest plan found, in 2 parts, costs" in none.message


def test_parts_go_by_the_quick_channels_where_no_price_of_time_makes_them_all() -> None:
    """us ═ b and c ═ a: of each pair the slow channel is free and likelier, so at any price of a block some part
    goes there; within 98 blocks the two quick ones, of 333,000 sat each, carry 500,000."""
    net = Net().own(1, "b", 3 * 10**9).own(2, "c", 10**9)
    net.link(3, "c", "a", 333 * 10**6, ppm=2_000).link(4, "b", "a", 333 * 10**6, ppm=2_000)
    net.link(5, "c", "a", 5 * 10**8, ppm=0, cltv=144).link(6, "b", "a", 25 * 10**7, ppm=0, cltv=144)
    routes = planned(net, many("a", 5 * 10**8, max_delay=98))
    assert {route.hops[-1].scid for route in routes} == {scid(3), scid(4)}


def test_parts_are_not_smaller_than_asked() -> None:
    """Ten ways that take 100,000 sat each; 600,000 sat in parts of 80,000 at least."""
    net = Net().own(1, "a", 10**10)
    for number in range(10):
        net.link(10 + number, "a", f"m{number}", 10**8, ppm=number)
        net.link(30 + number, f"m{number}", "b", 10**9, ppm=0)
    routes = planned(net, varied(many("b", 6 * 10**8, min_part_msat=8 * 10**7), max_parts=10))
    assert min(route.amount_msat for route in routes) >= 8 * 10**7


def test_parts_are_smaller_than_asked_where_there_is_no_other_way() -> None:
    """Five own channels of 8,000 sat: 30,000 sat are paid, though parts should have 10,000 at least."""
    net = Net().link(9, "a", "b")
    for number in range(5):
        net.own(number + 1, "a", 8_000 * SAT)
    assert len(planned(net, many("b", 30_000 * SAT, min_part_msat=10_000 * SAT))) >= 4


def test_a_part_too_small_gets_what_it_lacks_from_the_largest() -> None:
    """us ═ a by 1 and 2 of 100,000 sat each: 100,000 sat with a fee on top do not fit in one, but 99,500 do; the
    other 500 are fewer than a part should have."""
    net = Net().own(1, "a", 10**8).own(2, "a", 10**8).link(3, "a", "b", 2 * 10**8, base=1_000)
    smallest = [planned(net, many("b", 10**8, min_part_msat=least))[-1].amount_msat for least in (0, 10**7)]
    assert smallest[0] < 10**7 == smallest[1]


def test_a_budget_of_searches_is_kept() -> None:
    """With one search there is no plan of several parts, and the answer says that, instead of taking longer."""
    net = Net().own(1, "a", 3_000 * SAT).own(2, "a", 2_000 * SAT).link(3, "a", "b", ppm=10)
    none = refused(net, many("b", 4_500 * SAT, max_searches=1))
    assert none.reason is NoRouteReason.GAVE_UP and "1 search" in none.message


def test_a_large_part_goes_by_the_quick_one_of_parallel_channels() -> None:
    """c ═ a: channel 3 holds 1,000,000 sat and takes no time, 4 holds 4,000,000 and takes 80 blocks, which of
    1,000,000 sat cost 152 sat; the odds of 900,000 over 3 cost 23. The rest goes over f."""
    net = Net().own(1, "c", 3 * 10**9).own(2, "f", 3 * 10**9).link(3, "c", "a", 10**9, ppm=0, cltv=0)
    net.link(4, "c", "a", 4 * 10**9, ppm=0, cltv=80).link(5, "f", "a", 5 * 10**8, ppm=10, cltv=40)
    routes = planned(net, many("a", 10**9))
    assert [route.hops[-1].scid for route in routes] == [scid(3), scid(5)]


def a_dear_way_and_a_narrow_one(base: int = 0) -> Net:
    """us ─ a ─ b at 1,000 ppm; us ─ c ─ b at no ppm, in HTLCs of 100,000 sat. Balances stand in nobody's way."""
    net = Net().own(1, "a", 10**10).own(2, "c", 10**10)
    net.link(3, "a", "b", 10**14, ppm=1_000, cltv=0)
    return net.link(4, "c", "b", 10**14, base=base, ppm=0, cltv=0, high=100_000 * SAT)


def test_what_an_htlc_risks_whatever_its_size_is_not_multiplied_by_chunks() -> None:
    """One side in a hundred is down to its reserve: 60 sat, where a failure is worth 6,000. All of 400,000 sat by
    a costs 400 sat and that; in four parts by c it is that and 30 sat for parts. If forty chunks took the risk
    each, it would be 2,400 sat."""
    asked, net = many("b", 400_000 * SAT, failure_cost_msat=6_000 * SAT), a_dear_way_and_a_narrow_one()
    routes = plan(net.overlay("b"), asked, knowledge=Knowledge.about({}, prior=RESERVED))
    assert not isinstance(routes, NoRoute)
    assert [names(route) for route in routes] == ["us>c>b"] * 4


def test_a_base_fee_is_not_multiplied_by_chunks() -> None:
    """c asks 49 sat for each of four parts: 196 sat and 30 for parts, where a asks 400. It would be 392 if each
    of forty chunks paid a fifth of it, as if eight parts were sent."""
    routes = planned(a_dear_way_and_a_narrow_one(base=49 * SAT), many("b", 400_000 * SAT))
    assert [names(route) for route in routes] == ["us>c>b"] * 4
