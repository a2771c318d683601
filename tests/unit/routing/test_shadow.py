"""The shadow route: where the walk leads, what of it counts, and what it does to a plan."""

from __future__ import annotations

import pytest

from pay.network import ChannelGraph
from pay.routing import NoRoute, PlanError, Route, check, plan
from pay.routing.shadow import lengthened, shadow_fee_msat, walk
from tests.support.networks import Net, node, query

AMOUNT = 1_000_000
ROOM = 2_016


def test_a_walk_adds_up_channels_that_lead_on() -> None:
    """b ─ c ─ d ─ e, 40, 50 and 60 blocks, 1, 10 and 100 msat and 1 % each: one, two or three of them in this
    order, with the fees of the later on top of the earlier; four lead nowhere."""
    net = Net()
    for number, (ends, blocks, base) in enumerate([("bc", 40, 1), ("cd", 50, 10), ("de", 60, 100)], start=1):
        net.link(number, ends[0], ends[1], base=base, ppm=10_000, cltv=blocks)
    one = 1 + AMOUNT // 100
    two = 10 + AMOUNT // 100
    two += 1 + (AMOUNT + two) // 100
    seen = {(w.blocks, w.fee_msat) for w in (walk(net.graph, node("b"), AMOUNT, ROOM, seed) for seed in range(40))}
    assert {blocks for blocks, _ in seen} == {40, 90, 150}
    assert {(40, one), (90, two)} <= seen
    assert walk(net.graph, node("b"), AMOUNT, ROOM, 7) == walk(net.graph, node("b"), AMOUNT, ROOM, 7)


@pytest.mark.parametrize(
    "changes",
    [{"enabled": False}, {"cltv": 0}, {"cltv": 600}, {"low": AMOUNT + 1}, None],
)
def test_where_nothing_leads_on_the_delay_is_drawn(changes: dict | None) -> None:
    """A channel that is closed, adds nothing, adds too much or takes larger amounts only, or none at all: there is
    no fee, and the delay is that of one to three channels from elsewhere, or what is usual, as far as there is
    room."""
    net = Net().link(1, "x", "y", cltv=33)
    if changes is not None:
        net.link(2, "a", "b", **{"cltv": 44, **changes})
    walks = [walk(net.graph, node("b"), AMOUNT, ROOM, seed) for seed in range(60)]
    assert {w.fee_msat for w in walks} == {0}
    assert len({w.blocks for w in walks}) > 2
    assert all(0 < w.blocks <= ROOM // 4 for w in walks)
    empty = [walk(ChannelGraph(), node("b"), AMOUNT, ROOM, seed).blocks for seed in range(60)]
    assert min(empty) >= 34
    assert max(empty) <= 4 * 144 and len(set(empty)) > 5


def test_a_walk_prefers_channels_that_take_the_whole() -> None:
    """b ─ c takes it, b ─ d a part: never d, unless there is no c."""
    net = Net().link(1, "b", "c", cltv=40).link(2, "b", "d", cltv=50, high=AMOUNT - 1)
    assert {walk(net.graph, node("b"), AMOUNT, ROOM, seed).blocks for seed in range(30)} == {40}
    alone = walk(Net().link(2, "b", "d", cltv=50, ppm=100, high=AMOUNT - 1).graph, node("b"), AMOUNT, ROOM, 1)
    assert (alone.blocks, alone.fee_msat) == (50, AMOUNT // 10_000)


def test_a_walk_takes_the_fourth_part_of_the_room() -> None:
    """Of 160 blocks 40, so never the channel of 50; of 10 blocks nothing."""
    net = Net().link(1, "b", "c", cltv=40).link(2, "b", "d", cltv=50)
    assert {walk(net.graph, node("b"), AMOUNT, 160, seed).blocks for seed in range(40)} == {40}
    assert {walk(net.graph, node("b"), AMOUNT, 10, seed).blocks for seed in range(40)} == {0}


@pytest.mark.parametrize(
    ("walked", "cheapest", "limit", "most"),
    [(5_000, 10_000, 10**9, 1_000), (70, 10_000, 10**9, 70), (5_000, 20, 10**9, 10), (5_000, 10_000, 12_000, 500),
     (5_000, 0, 10**9, 10), (0, 10_000, 10**9, 0), (5_000, 10_000, 10_000, 0), (5_000, 10_000, 9_000, 0)],
)  # fmt: skip
def test_the_fee_is_the_least_of_three(walked: int, cheapest: int, limit: int, most: int) -> None:
    """Of the walk's, a tenth of the cheapest route's or 10 msat, and a quarter of what that leaves of the limit:
    from half of it on, by the seed."""
    fees = {shadow_fee_msat(walked, AMOUNT, cheapest, limit, seed) for seed in range(300)}
    assert max(fees) <= most and min(fees) >= most // 2
    assert len(fees) > 1 or most < 2


@pytest.mark.parametrize("amount", [1, 2, 9, 500])
def test_the_fee_never_makes_it_more_than_twice_the_amount(amount: int) -> None:
    """A recipient refuses that, and for good."""
    assert max(shadow_fee_msat(5_000, amount, 10_000, 10**9, seed) for seed in range(300)) == amount


def planned(net: Net, to: str, **changes: object) -> tuple[Route, ...]:
    answer = plan(net.overlay(to), query(to, AMOUNT, **changes))
    assert not isinstance(answer, NoRoute)
    return answer


def test_all_hops_of_a_route_are_later() -> None:
    """us ─ a ─ b: the whole shadow on both; on less room as much as there is; too long without it is too long."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", cltv=40)
    for max_delay, expected in ((1_000, [158, 118]), (158, [158, 118]), (157, [157, 117]), (58, [58, 18])):
        (route,) = planned(net, "b", max_delay=max_delay, shadow_blocks=100)
        assert [hop.delay_blocks for hop in route.hops] == expected
    none = plan(net.overlay("b"), query("b", AMOUNT, max_delay=57, shadow_blocks=100))
    assert isinstance(none, NoRoute) and (none.reason.value, none.delay_blocks) == ("too_long", 58)


def test_a_neighbour_gets_what_it_asks_for() -> None:
    (route,) = planned(Net().own(1, "a", 10**9), "a", shadow_blocks=100)
    assert [hop.delay_blocks for hop in route.hops] == [18]


def test_parts_get_the_same() -> None:
    """One way straight, one of 40 and one of 144 blocks more: the room of the longest decides for both others."""
    net = Net().own(1, "b", 500_000).own(2, "c", 400_000).own(3, "d", 400_000)
    net.link(4, "c", "b", cltv=40, ppm=0).link(5, "d", "b", cltv=144, ppm=0)
    asked = query("b", AMOUNT, max_delay=200, shadow_blocks=100, max_parts=5)
    routes = plan(net.overlay("b"), asked)
    assert not isinstance(routes, NoRoute)
    ends = sorted((len(route.hops), route.hops[-1].delay_blocks) for route in routes)
    assert ends == [(1, 18), (2, 56), (2, 56)]
    first, *rest = sorted(routes, key=lambda route: -len(route.hops))
    uneven = lengthened(query("b", AMOUNT, max_delay=300, shadow_blocks=1), [first])
    with pytest.raises(PlanError, match="different delays"):
        check(net.overlay("b"), asked, (*uneven, *rest))
