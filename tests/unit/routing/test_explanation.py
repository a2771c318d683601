"""Why there is no route: the reason, its code, and figures that help, without anything sent."""

from __future__ import annotations

import pytest

from pay.errors import Code
from pay.network import HintHop
from pay.routing import NoRoute, NoRouteReason, RouteQuery, explain, plan
from pay.units import ScidDir, direction_of
from tests.support.networks import SAT, US, Net, node, query, scid


def why(net: Net, asked: RouteQuery, **overlay: object) -> NoRoute:
    to = asked.destination[1:].decode().rstrip(".")
    none = explain(net.overlay(to, **overlay), asked)
    assert none is not None
    assert none == plan(net.overlay(to, **overlay), asked)
    return none


def line() -> Net:
    """us ─1─ a ─2─ b ─3─ c; 1 holds 5,000,000 sat, the others 10,000,000; 1 sat and 40 blocks a hop."""
    net = Net().own(1, "a", 5_000_000 * SAT)
    return net.link(2, "a", "b", base=1_000, ppm=0).link(3, "b", "c", base=1_000, ppm=0)


@pytest.mark.parametrize(
    ("asked", "overlay", "message"),
    [
        (query("c", 6_000_000 * SAT), {},
         "6,000,000 sat is more than the 5,000,000 sat that our only usable channel, 1x1x0, can send now in one "
         "part"),
        (query("c", 6_000_000 * SAT, max_parts=4), {},
         "6,000,000 sat is more than the 5,000,000 sat that our only usable channel, 1x1x0, can send now in 4 "
         "parts"),
        (query("d", 900_000 * SAT), {},
         "900,000 sat is too much in one part: the largest open channel of the recipient, 4x1x0, takes at most "
         "700,000 sat"),
        (query("d", 900_000 * SAT, max_parts=3), {},
         "900,000 sat is more than the 700,000 sat that the open channels of the recipient can take in 3 parts"),
        (query("e", 900_000 * SAT), {},
         "900,000 sat is too much in one part: the widest way to the recipient takes at most 700,000 sat"),
        (query("e", 900_000 * SAT, max_parts=2), {},
         "900,000 sat is more than all ways together from us to the recipient can carry in 2 parts: at most "
         "700,100 sat"),
        (query("e", 700_000 * SAT), {},
         "no way to send 700,000 sat in one part: with fees of about 4 sat or more on top, channels on the way "
         "are too small; about 697,200 sat can be sent"),
        (query("c", 10**6), {"excluded_channels": frozenset({ScidDir(scid(3), 0), ScidDir(scid(3), 1)})},
         "every route for 1,000 sat leads through something excluded (2 channel directions in all); nothing can "
         "be sent without it"),
        (query("c", 1), {"excluded_nodes": frozenset({node("a")})},
         "all of our channels that can send, or their peers, are excluded; nothing can be sent without them"),
        (query("c", 10**6, max_hops=2), {}, "the shortest route has 3 hops and at most 2 are allowed"),
        (query("c", 10**6, max_fee_msat=1_999), {},
         "the cheapest route costs 2 sat (0.2 %) and at most 1.999 sat is allowed; raise maxfee or maxfeepercent "
         "to pay"),
        (query("c", 10**6, max_searches=0), {},
         "no way to send 1,000 sat in one part was found in 0 searches; there may be one"),
        (query("c", 10**6, max_delay=97), {},
         "the quickest route may lock funds for 98 blocks and at most 97 are allowed; raise maxdelay to pay"),
    ],
)  # fmt: skip
def test_what_an_operator_reads(asked: RouteQuery, overlay: dict[str, object], message: str) -> None:
    """us ─1─ a ─2─ b ─3─ c ─4─ d ─5─ e; 1 holds 5,000,000 sat, 4 takes 700,000, the others 10,000,000."""
    net = line().link(4, "c", "d", 700_000 * SAT, base=1_000, ppm=0).link(5, "d", "e", base=1_000, ppm=0)
    assert why(net, asked, **overlay).message == message


def test_what_an_operator_reads_of_minima() -> None:
    net = Net().own(1, "a", 10**9).link(2, "a", "b", low=10_000)
    assert why(net, query("b", 9_000)).message == (
        "9 sat is less than channels on every way to the recipient accept; the least that can be sent is about "
        "10 sat"
    )


def test_what_an_operator_reads_of_own_channels() -> None:
    """Two are not connected, one is empty, one is full; then one of them is there."""
    net = Net().own(1, "a", 3_000 * SAT, connected=False).own(2, "a", 2_000 * SAT, connected=False)
    net.own(3, "a", 0).own(4, "a", 10**9, live_htlcs=30).link(5, "a", "b")
    assert why(net, query("b", 10**6)).message == (
        "none of our 4 channels can send now: 2 not connected, with 5,000 sat in them; 1 without anything to "
        "spend; 1 full of HTLCs"
    )
    assert why(net.own(6, "a", 500 * SAT), query("b", 10**6)).message == (
        "1,000 sat is more than the 500 sat that our only usable channel, 6x1x0, can send now in one part; 5,000 "
        "sat more is in channels that are not connected"
    )
    assert why(Net().link(1, "a", "b"), query("b", 10**6)).message == "we have no open channel: open one to pay"


def test_what_an_operator_reads_of_the_recipient_s_channels() -> None:
    net = line().link(4, "c", "d", enabled=False)
    assert why(net, query("d", 10**6)).message == (
        "the only known channel of the recipient is disabled towards it; it is probably offline"
    )
    hints = [(HintHop(node("y"), scid(9), 0, 0, 0),)]
    assert why(line(), query("z", 10**6), hints=hints).message == (
        "no channels lead from us to where the invoice's route hints start"
    )


def test_there_is_nothing_to_explain() -> None:
    assert explain(line().overlay("c"), query("c", 10**6)) is None


def test_unknown_node() -> None:
    none = why(line(), query("z", 10**6))
    assert (none.reason, none.code) == (NoRouteReason.UNKNOWN_NODE, Code.ROUTE_NOT_FOUND)
    assert node("z").hex() in none.message and "hint" in none.message


def test_hints_that_lead_nowhere() -> None:
    """The only hint claims that an announced channel of other nodes leads to z."""
    none = why(line(), query("z", 10**6), hints=[(HintHop(node("a"), scid(3), 0, 0, 0),)])
    assert none.reason is NoRouteReason.BAD_HINTS and "its route hint cannot" in none.message


def test_hints_that_start_where_we_cannot_get() -> None:
    none = why(line(), query("z", 10**6), hints=[(HintHop(node("y"), scid(9), 0, 0, 0),)])
    assert none.reason is NoRouteReason.UNREACHABLE


@pytest.mark.parametrize("changes", [{"connected": False}, {"live_htlcs": 30}])
def test_no_own_channel(changes: dict[str, object]) -> None:
    net = Net().own(1, "a", 10**9, **changes).link(2, "a", "b")
    none = why(net, query("b", 10**6))
    assert (none.reason, none.max_sendable_msat) == (NoRouteReason.NO_OWN_CHANNELS, 0)


def test_not_enough_to_spend() -> None:
    """Two channels of 3,000 and 2,000 sat: 4,000 sat do not leave in one part. Of 3,000 sat a takes 100 ppm, so
    2,999.701 arrive at most; and if asked for, they do."""
    net = Net().own(1, "a", 3_000 * SAT).own(2, "a", 2_000 * SAT).link(3, "a", "b")
    none = why(net, query("b", 4_000 * SAT))
    assert (none.reason, none.max_sendable_msat) == (NoRouteReason.INSUFFICIENT_SPENDABLE, 2_999_701)
    assert "4,000 sat" in none.message and "3,000 sat" in none.message
    assert not isinstance(plan(net.overlay("b"), query("b", 2_999_701)), NoRoute)


def test_what_two_channels_can_send_reaches_the_recipient() -> None:
    """In parts 3,000 and 2,000 sat leave us, and 5 sat and 1 ppm in a thousand are fees: what is said arrives."""
    net = Net().own(1, "a", 3_000 * SAT).own(2, "a", 2_000 * SAT).link(3, "a", "b", ppm=1_000, base=1_000)
    none = why(net, query("b", 6_000 * SAT, max_parts=4))
    assert none.max_sendable_msat is not None and not none.sendable_bound
    assert 4_990 * SAT <= none.max_sendable_msat <= 4_994 * SAT
    assert not isinstance(plan(net.overlay("b"), query("b", none.max_sendable_msat, max_parts=4)), NoRoute)


def test_what_others_may_hold_is_a_bound_and_no_promise() -> None:
    """b ─ c is of 700,000 sat: how many of them are on b's side nobody knows. Nor is it known where fees are not
    allowed: 3,000 sat leave us, and none arrive."""
    net = line().link(4, "b", "d", 700_000 * SAT)
    none = why(net, query("d", 900_000 * SAT))
    assert (none.max_sendable_msat, none.sendable_bound) == (700_000 * SAT, True)
    none = why(line(), query("c", 6_000_000 * SAT, max_fee_msat=0))
    assert (none.max_sendable_msat, none.sendable_bound) == (5_000_000 * SAT, True)


def test_enough_for_the_amount_but_not_for_the_fees() -> None:
    """3,000 sat spendable, 3,000 sat to pay, 2 sat of fees: 2,998 sat can be sent."""
    net = Net().own(1, "a", 3_000 * SAT).link(2, "a", "b", base=2_000, ppm=0)
    none = why(net, query("b", 3_000 * SAT))
    assert (none.reason, none.max_sendable_msat) == (NoRouteReason.INSUFFICIENT_SPENDABLE, 2_998 * SAT)
    assert none.fee_msat == 2_000
    assert not isinstance(plan(net.overlay("b"), query("b", 2_998 * SAT)), NoRoute)


def test_all_channels_of_the_recipient_are_disabled() -> None:
    net = line().link(4, "b", "d", enabled=False).link(5, "c", "d", enabled=False)
    none = why(net, query("d", 10**6))
    assert none.reason is NoRouteReason.RECIPIENT_DISABLED and "all 2 " in none.message


def test_an_island() -> None:
    net = line().link(4, "x", "y")
    assert why(net, query("y", 10**6)).reason is NoRouteReason.UNREACHABLE


def test_all_ways_are_disabled_on_the_way() -> None:
    net = Net().own(1, "a", 10**9).link(2, "a", "b", enabled=False).link(3, "b", "c")
    assert why(net, query("c", 10**6)).reason is NoRouteReason.UNREACHABLE


@pytest.mark.parametrize(
    "excluded",
    [
        {"excluded_nodes": frozenset({node("b")})},
        {"excluded_channels": frozenset({ScidDir(scid(3), direction_of(node("b"), node("c")))})},
        {"excluded_channels": frozenset({ScidDir(scid(1), direction_of(node(US), node("a")))})},
    ],
)
def test_every_route_is_excluded(excluded: dict[str, object]) -> None:
    none = why(line(), query("c", 10**6), **excluded)
    assert (none.reason, none.code) == (NoRouteReason.EXCLUDED, Code.ROUTE_NOT_FOUND)


def test_exclusions_are_not_blamed_for_what_they_did_not_do() -> None:
    net = line().link(4, "x", "y")
    none = why(net, query("y", 10**6), excluded_nodes=frozenset({node("b")}))
    assert none.reason is NoRouteReason.UNREACHABLE


def test_channels_on_the_way_are_too_small() -> None:
    """The way to d ends in a channel that takes 700,000 sat; asked for 900,000."""
    net = line().link(4, "c", "d", 700_000 * SAT)
    none = why(net, query("d", 900_000 * SAT))
    assert (none.reason, none.max_sendable_msat) == (NoRouteReason.INSUFFICIENT_CAPACITY, 700_000 * SAT)
    assert "700,000 sat" in none.message
    net.link(5, "d", "e")
    none = why(net, query("e", 900_000 * SAT))
    assert (none.max_sendable_msat, none.sendable_bound) == (700_000 * SAT, True)


def test_less_than_any_channel_takes() -> None:
    net = Net().own(1, "a", 10**9).link(2, "a", "b", low=10_000)
    assert why(net, query("b", 9_000)).reason is NoRouteReason.BELOW_MINIMUM
    net = Net().own(1, "a", 10**9, htlc_min_msat=10_000).link(2, "a", "b")
    assert why(net, query("b", 9_000)).reason is NoRouteReason.BELOW_MINIMUM


def test_a_payment_of_a_few_msat_that_finds_no_way_is_told_so() -> None:
    """us ─ a ─ b ─ c: a fee of 900 msat on top is more than a channel of 900 takes. There is less and less to try
    below, and nothing at all below 1 msat. With a channel of 1,000, 100 msat can be sent."""
    for size, amount in [(900, 1), (900, 255), (900, 256), (1_000, 101)]:
        net = Net().own(1, "a", 10**9).link(2, "a", "b", size, ppm=0, low=0)
        net.link(3, "b", "c", base=900, ppm=0, low=0)
        none = why(net, query("c", amount))
        assert (none.reason, none.max_sendable_msat) == (
            NoRouteReason.INSUFFICIENT_CAPACITY, 100 if size == 1_000 else None,
        )  # fmt: skip
    assert not isinstance(plan(net.overlay("c"), query("c", 100)), NoRoute)


def test_fees_lift_an_amount_over_our_channels_minimum() -> None:
    """us ─ a ═ b: our channel sends 1,000 msat at least. 900 msat are that with the fee of the dear channel, 300
    msat: too dear if 299 are allowed, which is no matter of the minimum; and paid if 300 are."""
    net = Net().own(1, "a", 10**9, htlc_min_msat=1_000).link(2, "a", "b", base=50, ppm=0)
    net.link(3, "a", "c", base=300, ppm=0).link(4, "c", "b", base=0, ppm=0)
    none = why(net, query("b", 900, max_fee_msat=299))
    assert (none.reason, none.code, none.fee_msat) == (
        NoRouteReason.TOO_EXPENSIVE, Code.ROUTE_TOO_EXPENSIVE, 300,
    )  # fmt: skip
    assert not isinstance(plan(net.overlay("b"), query("b", 900, max_fee_msat=300)), NoRoute)
    assert why(net, query("b", 600)).reason is NoRouteReason.BELOW_MINIMUM


def test_the_way_that_lifts_an_amount_may_lead_through_where_another_passes() -> None:
    """us ─ d ─ c ─ b ─ a, and d ─ a: 1,000 msat need 1,050 on our channel. From c the way over d is as cheap as
    over b and as long, but leads through d itself: only that over b, 200 msat, is one from us."""
    net = Net().own(1, "d", 10**7, htlc_min_msat=1_050)
    net.link(2, "a", "d", 2_000, ppm=0).link(3, "d", "c", 2_000, ppm=0, base=100)
    net.link(4, "c", "b", 2_000, ppm=0, base=100).link(5, "a", "b", 2_000, ppm=0)
    routes = plan(net.overlay("a"), query("a", 1_000, max_fee_msat=300))
    assert not isinstance(routes, NoRoute)
    assert [hop.scid for hop in routes[0].hops] == [scid(1), scid(3), scid(4), scid(5)]


def test_too_expensive_says_the_cheapest_fee_and_its_percentage() -> None:
    """us ─ a ─ b ─ c costs 2 sat, which is 1 % of 200 sat; 1,999 msat are allowed. (a ─ c costs 50 sat.)"""
    net = line().link(4, "a", "c", base=50_000)
    none = why(net, query("c", 200 * SAT, max_fee_msat=1_999))
    assert (none.reason, none.code, none.fee_msat) == (
        NoRouteReason.TOO_EXPENSIVE, Code.ROUTE_TOO_EXPENSIVE, 2_000,
    )  # fmt: skip
    assert "2 sat" in none.message and "1 %" in none.message and "1.999 sat" in none.message


def test_too_long_says_the_least_delay() -> None:
    none = why(line(), query("c", 10**6, max_delay=97))
    assert (none.reason, none.code, none.delay_blocks) == (
        NoRouteReason.TOO_LONG, Code.ROUTE_TOO_EXPENSIVE, 98,
    )  # fmt: skip
    assert "98 blocks" in none.message and "97" in none.message


def test_the_cheap_way_is_long_and_the_quick_way_dear() -> None:
    """Either limit can be kept, not both: the answer is what the cheapest way within the delay costs."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", base=1, ppm=0, cltv=900)
    net.link(3, "a", "c", ppm=0, cltv=0).link(4, "c", "b", base=9_000, ppm=0, cltv=10)
    none = why(net, query("b", 10**6, max_fee_msat=100, max_delay=500))
    assert (none.reason, none.fee_msat, none.delay_blocks) == (NoRouteReason.TOO_EXPENSIVE, 9_000, 28)
    assert "within 500 blocks" in none.message


def test_too_many_hops() -> None:
    none = why(line(), query("c", 10**6, max_hops=2))
    assert (none.reason, none.code) == (NoRouteReason.TOO_MANY_HOPS, Code.ROUTE_NOT_FOUND)


@pytest.mark.parametrize(("parts", "asked"), [(1, 150_000), (4, 450_000)])
def test_no_more_than_a_bound_can_be_sent_and_all_of_it_can(parts: int, asked: int) -> None:
    """us ─ a ─ c ─ b: a ─ c takes HTLCs of 100,000 sat at most, and nothing costs a fee."""
    net = Net().own(1, "a", 10**9).link(2, "a", "c", high=100_000 * SAT, ppm=0).link(3, "c", "b", ppm=0)
    none = why(net, query("b", asked * SAT, max_parts=parts))
    assert (none.max_sendable_msat, none.sendable_bound) == (parts * 100_000 * SAT, True)
    assert "the widest way to the recipient takes at most 100,000 sat" in none.message
    assert not isinstance(plan(net.overlay("b"), query("b", parts * 100_000 * SAT, max_parts=parts)), NoRoute)


@pytest.mark.parametrize(
    ("parts", "bound", "words"),
    [
        (1, 10_000, "no more than 10,000 sat can be sent in one part without it"),
        (3, 30_000, "no more than 30,000 sat can be sent in 3 parts without it"),
        (10, 100_000, "no more than 100,000 sat can be sent in 10 parts without it"),
    ],
)
def test_what_can_be_sent_without_the_excluded(parts: int, bound: int, words: str) -> None:
    """us ─ a ─ c ─ b takes 10,000 sat a part; a ─ d ─ b takes all, and d is excluded."""
    net = Net().own(1, "a", 10**9).link(2, "a", "c", high=10_000 * SAT, ppm=0).link(3, "c", "b", ppm=0)
    net.link(4, "a", "d", ppm=0).link(5, "d", "b", ppm=0)
    without = {"excluded_nodes": frozenset({node("d")})}
    none = why(net, query("b", 400_000 * SAT, max_parts=parts), **without)
    assert none.message.endswith(words)
    assert (none.reason, none.max_sendable_msat, none.sendable_bound) == (
        NoRouteReason.EXCLUDED, bound * SAT, True,
    )  # fmt: skip
    assert not isinstance(plan(net.overlay("b", **without), query("b", bound * SAT, max_parts=parts)), NoRoute)


def test_minima_make_no_bound() -> None:
    """us ─ a ═ b by a channel that takes 50,000 sat at most and one of 100,000 at least: 75,000 do not go, and
    100,000 do."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", high=50_000 * SAT, ppm=0).link(3, "a", "b", low=100_000 * SAT)
    none = why(net, query("b", 75_000 * SAT))
    assert (none.reason, none.max_sendable_msat) == (NoRouteReason.BELOW_MINIMUM, None)
    assert "the least that can be sent is about 100,0" in none.message


def test_the_widest_of_our_channels_bounds_what_fees_come_on_top_of() -> None:
    """us ─ a holds 100,000 sat for 1 msat, us ─ d 151,000 for 2,000 sat: 150,000 sat go neither way, but
    149,000 go by d."""
    net = Net().own(1, "a", 100_000 * SAT).own(2, "d", 151_000 * SAT)
    net.link(3, "a", "b", ppm=0, base=1).link(4, "d", "b", ppm=0, base=2_000 * SAT)
    none = plan(net.overlay("b"), query("b", 150_000 * SAT))
    assert isinstance(none, NoRoute) and none.max_sendable_msat is not None
    assert none.max_sendable_msat >= 149_000 * SAT
