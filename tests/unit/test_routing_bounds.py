"""What the channels at either end take at most, before any search."""

from __future__ import annotations

from pay.routing import NoRoute, NoRouteReason, plan
from pay.routing import planner as planner_module
from pay.routing.bounds import Door, most_through
from tests.routing_tools import SAT, Net, query


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
