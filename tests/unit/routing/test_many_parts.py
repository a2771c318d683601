"""Thirty parts are a wish: more where there is no way within them, up to a wall and what channels take."""

from __future__ import annotations

from collections import Counter

import pytest

from pay.errors import Code
from pay.routing import NoRoute, Route, RouteQuery, plan, planner
from pay.routing.bounds import least_fee
from pay.routing.multi_part import MultiPart
from pay.routing.problem import Problem
from tests.support.networks import SAT, Net, planned, query, refused
from tests.support.values import varied

SMALL = 1_980 * SAT
"""The largest HTLC of some hubs' channels: sat that were taken for msat."""


def hub(*, channels: int = 3, slots: int = 483, doors: int = 2) -> Net:
    """us ─ hub ═ x1…x3 ─ y ═ b: each channel of the hub takes HTLCs of 1,980 sat, and b has two."""
    net = Net().own(1, "hub", 5_000_000 * SAT, max_htlcs=slots)
    for number in range(channels):
        net.link(10 + number, "hub", f"x{number}", high=SMALL, ppm=100 + number)
        net.link(20 + number, f"x{number}", "y", ppm=0)
    for number in range(doors):
        net.link(30 + number, "y", "b", ppm=10 * number)
    return net


def asked(amount_msat: int, **changes: object) -> RouteQuery:
    wish = query("b", amount_msat, max_parts=30, most_parts=100, max_fee_msat=amount_msat // 200)
    return varied(wish, min_part_msat=1_000 * SAT, max_searches=120, **changes)


def doors(routes: tuple[Route, ...]) -> list[int]:
    """How many HTLCs each of the recipient's channels gets, most first."""
    return sorted(Counter(route.hops[-1].scid for route in routes).values(), reverse=True)


def test_a_hub_of_small_htlcs_pays_in_51_of_them() -> None:
    """100,000 sat, 1,980 sat an HTLC, 100 ppm: 51 parts deliver it for 10 sat, and no more than 51."""
    routes = planned(hub(), asked(100_000 * SAT))
    assert len(routes) == 51
    assert max(route.hops[1].amount_msat for route in routes) <= SMALL
    assert sum(route.fee_msat for route in routes) <= 12 * SAT


def test_thirty_where_thirty_do() -> None:
    """59,000 sat are 30 HTLCs of 1,980 sat, 59,400 sat in all; 59,500 sat are one more."""
    assert len(planned(hub(), asked(59_000 * SAT))) == 30
    assert len(planned(hub(), asked(59_500 * SAT))) == 31


def test_the_upper_figure_is_a_wall() -> None:
    """With 50 parts 99,000 sat arrive at most; the words name the option."""
    none = refused(hub(), asked(100_000 * SAT, most_parts=50, parts_option="pay-max-parts"))
    assert none.reason.value == "insufficient_capacity"
    assert none.message == (
        "100,000 sat is too much in 50 parts: the widest way to the recipient takes at most 1,980 sat a part; "
        "pay-max-parts allows no more parts"
    )
    assert len(planned(hub(), asked(98_000 * SAT, most_parts=50))) == 50


def test_one_part_is_a_wall() -> None:
    """As with disable-mpp: no wish of more is made of it."""
    wall = {"max_parts": 1, "most_parts": 0}
    words = "100,000 sat is too much in one part: the widest way to the recipient takes at most 1,980 sat"
    assert refused(hub(), asked(100_000 * SAT, **wall)).message == words
    none = refused(hub(), asked(100_000 * SAT, parts_option="disable-mpp", **wall))
    assert none.message == words + "; disable-mpp allows no more parts"


def test_no_option_is_named_where_more_parts_would_not_do() -> None:
    """us ─ a ─ c ─ b: a ─ c is of 100,000 sat, in one part or in many."""
    net = Net().own(1, "a", 10**9).link(2, "a", "c", 100_000 * SAT).link(3, "c", "b")
    none = refused(net, query("b", 150_000 * SAT, parts_option="disable-mpp"))
    assert none.message == (
        "150,000 sat is too much in one part: the widest way to the recipient takes at most 100,000 sat"
    )


def test_own_slots_are_a_wall() -> None:
    """Our channel takes 40 HTLCs more: 79,200 sat, however many parts are allowed."""
    net = hub(slots=40)
    none = refused(net, asked(100_000 * SAT))
    assert none.message == (
        "100,000 sat is too much in 40 parts, for so many HTLCs our channels have room: the widest way to the "
        "recipient takes at most 1,980 sat a part"
    )
    assert len(planned(net, asked(79_000 * SAT))) == 40


def test_own_channels_share_the_parts_by_their_slots() -> None:
    """us ═ a by three channels of 30 HTLCs of 1,980 sat each: 51 parts need two of them, 91 would need four."""
    net = Net().link(9, "a", "b", ppm=0)
    for number in range(3):
        net.own(number + 1, "a", 5_000_000 * SAT, htlc_max_msat=SMALL)
    routes = planned(net, asked(100_000 * SAT, door_parts=100))
    assert len(routes) == 51
    assert max(Counter(route.hops[0].scid for route in routes).values()) <= 30
    assert refused(net, asked(180_000 * SAT)).message == (
        "180,000 sat is more than the 178,200 sat that our 3 usable channels can send now in 90 parts, for so "
        "many HTLCs our channels have room"
    )


def test_the_recipients_channels_get_thirty_each_where_that_does() -> None:
    """b's first channel is cheaper, but it may take no more than 30 HTLCs; with one channel it gets all 51."""
    assert doors(planned(hub(), asked(100_000 * SAT))) == [30, 21]
    assert doors(planned(hub(doors=1), asked(100_000 * SAT))) == [51]


@pytest.mark.parametrize("amount", [60_000, 100_000, 150_000, 190_000, 197_000])
def test_up_to_a_hundred(amount: int) -> None:
    least = -(-amount // 1_980)
    assert least <= len(planned(hub(), asked(amount * SAT))) <= min(100, least + 3)


def test_more_than_a_hundred_would_do_is_said() -> None:
    """198,000 sat and a sat more; and without a search for each of the counts."""
    none = plan(hub().overlay("b"), asked(198_001 * SAT))
    assert isinstance(none, NoRoute)
    assert none.message == (
        "198,001 sat is too much in 100 parts: the widest way to the recipient takes at most 1,980 sat a part"
    )
    none = plan(hub().overlay("b"), asked(198_001 * SAT, parts_option="pay-max-attempts"))
    assert isinstance(none, NoRoute)
    assert none.message.endswith("a part; pay-max-attempts allows no more parts")


def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many parts each look for several routes may have."""
    made: list[int] = []

    class Counted(MultiPart):
        def solve(self, single: Route | None) -> tuple[Route, ...] | None:
            made.append(self.query.max_parts)
            return super().solve(single)

    monkeypatch.setattr(planner, "MultiPart", Counted)
    return made


@pytest.mark.parametrize(
    ("amount", "parts", "costs"),
    [(100_000, 51, "9.996 sat"), (150_000, 76, "14.972 sat"), (197_990, 100, "19.799 sat")],
)
def test_a_limit_that_no_way_keeps_is_told_after_one_look(
    monkeypatch: pytest.MonkeyPatch, amount: int, parts: int, costs: str
) -> None:
    """Every way costs 100 ppm and half of that is allowed: the cheapest plan is looked for, and none within it."""
    made = looks(monkeypatch)
    none = refused(hub(), asked(amount * SAT, max_fee_msat=amount * SAT * 50 // 10**6))
    assert none.code is Code.ROUTE_TOO_EXPENSIVE
    assert f"the cheapest plan, in {parts} parts, costs {costs} (" in none.message
    assert made == [100]


def test_a_limit_that_is_missed_by_what_is_rounded_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """51 fees of 196 msat are 9.996 sat, 4 msat less than 100 ppm of the amount: that limit is kept."""
    made = looks(monkeypatch)
    assert len(planned(hub(), asked(100_000 * SAT, max_fee_msat=9_996))) == 51
    assert made[0] == 100


def test_nothing_that_is_unproven_is_called_the_cheapest_plan() -> None:
    """us ─ a ─ b: HTLCs of 1,980 sat, each for 1 sat and 198 msat: 51 of them, and the bound counts as
    many as the amount fills, 50.5."""
    net = Net().own(1, "a", 5_000_000 * SAT, max_htlcs=483).link(2, "a", "b", high=SMALL, base=1_000, ppm=100)
    question = asked(100_000 * SAT, max_fee_msat=50_000)
    problem = Problem.of(net.overlay("b"), question.destination, {})
    assert problem is not None
    assert least_fee(problem, question) == pytest.approx(1_198 * 100_000 / 1_980)
    assert "the cheapest plan found, in 51 parts, costs 60.996 sat" in refused(net, question).message
