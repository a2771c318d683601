"""What the channels at either end take at most, before any search."""

from __future__ import annotations

import pytest

from pay.errors import Code
from pay.routing import NoRoute, NoRouteReason, plan
from pay.routing import planner as planner_module
from pay.routing.bounds import Door, most_through
from tests.support.networks import SAT, Net, query


def test_the_largest_htlcs_count_and_what_is_left_in_a_channel() -> None:
    """One channel of 10 that takes 4 at a time, one of 3: 4, 4, 3, 2 are the HTLCs there can be."""
    doors = [Door(10, 4, 99), Door(3, 3, 99)]
    assert [most_through(doors, parts) for parts in range(1, 6)] == [4, 8, 11, 13, 13]


def test_slots_bound_the_htlcs() -> None:
    """A single slot: 4 of 10 at most; a closed channel and one without slots count for nothing."""
    assert most_through([Door(10, 4, 1), Door(10, -1, 9), Door(10, 4, 0)], 8) == 4


def test_more_than_the_recipients_channels_take_is_said_without_a_search(monkeypatch) -> None:
    """us ─ a ═ b over two channels of 1,000 sat that take 300 sat an HTLC: in four parts 1,200 sat arrive at
    most, in sixteen 2,000."""
    net = Net().own(1, "a", 10**9)
    for number in (2, 3):
        net.link(number, "a", "b", 1_000 * SAT, high=300 * SAT, ppm=0)

    def searched(*_: object) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr(planner_module, "SinglePath", searched)
    for parts, most in ((4, 1_200 * SAT), (16, 2_000 * SAT)):
        none = plan(net.overlay("b"), query("b", most + 1, max_parts=parts))
        assert isinstance(none, NoRoute)
        assert (none.reason, none.max_sendable_msat) == (NoRouteReason.INSUFFICIENT_CAPACITY, most)
        assert f"{parts} parts" in none.message


@pytest.mark.parametrize(
    ("limits", "figure", "words"),
    [
        ({"max_delay": 20}, (None, 98), "the quickest route may lock funds for 98 blocks and at most 20 are"),
        ({"max_fee_msat": 1_000}, (10_000, None), "the cheapest route costs 10 sat"),
    ],
)
def test_what_no_plan_can_keep_is_said_without_plans_in_parts(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], figure: tuple[int | None, int | None], words: str
) -> None:
    """us ─ a ─ b ─ c: 40 blocks and 50 ppm a hop, of 100,000 sat. With maxdelay 20 this took 290 ms on the public
    network, for parts that wait as long."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", ppm=50).link(3, "b", "c", ppm=50)

    def split(*_: object, **__: object) -> object:
        raise AssertionError("parts were planned")

    monkeypatch.setattr(planner_module, "MultiPart", split)
    none = plan(net.overlay("c"), query("c", 100_000 * SAT, max_parts=30, most_parts=100, **limits))
    assert isinstance(none, NoRoute)
    assert none.code is Code.ROUTE_TOO_EXPENSIVE
    for told, wanted in zip((none.fee_msat, none.delay_blocks), figure, strict=True):
        assert wanted is None or told == wanted
    assert none.message.startswith(words)


def test_a_limit_that_parts_could_keep_is_no_end() -> None:
    """us ─ a ═ b: 100,000 sat in one part cost 100 sat over the wide channel; half of it goes the free way."""
    net = Net().own(1, "a", 10**9).link(2, "a", "b", ppm=1_000).link(3, "a", "b", 60_000 * SAT, ppm=0)
    asked = query("b", 100_000 * SAT, max_parts=30, most_parts=100, max_fee_msat=50 * SAT)
    routes = plan(net.overlay("b"), asked)
    assert not isinstance(routes, NoRoute)
    assert sum(route.fee_msat for route in routes) <= 50 * SAT
