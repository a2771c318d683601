"""Payments in several parts. What a split looks like exactly is the planner's; what it must do is told here."""

from __future__ import annotations

from decimal import Decimal

from tests.support.worlds.town import EMPTY, SAT, Town

LARGE = 1_500_000 * SAT


def test_more_than_one_channel_holds():
    """
    us ──── A ──100── D     1,500,000 sat, and no channel of ours has more than 990,000: two parts at once, no less
     └───── B ──200── D     of it the cheaper way; D waits for both and takes them together.
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 200))
    story = town.pay(LARGE, max_parts=16)
    assert story.paid and set(story.paths) == {"us>A>D", "us>B>D"}
    assert {part.sent_s for part in story.parts} == {0.0} and story.ended_s == 2.0
    assert sum(part.route.amount_msat for part in story.parts) == LARGE
    over_a = sum(part.route.amount_msat for part in story.parts if part.path == "us>A>D")
    assert story.fee_msat == over_a // 10_000 + (LARGE - over_a) // 5_000
    assert over_a >= LARGE // 2


def test_one_part_only_is_a_limit_like_others():
    """
    us ──── A ──100── D     The same with one part allowed: nothing is sent.
     └───── B ──200── D
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 200))
    story = town.pay(LARGE)
    assert (story.lines, story.code, story.reason) == ([], 205, "insufficient_spendable")


def test_what_fails_is_sent_again_and_what_waits_is_left_alone():
    """
    us ──── A ──100── D     B has nothing for D: its part goes another way while A's waits at D. No more than the
     ├───── B ──200─× D     amount is ever out, and all that is out at the end is taken.
     └───── C ──300── D
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 200), "us-C", ("C-D", 300))
    town.drain("B-D")
    story = town.pay(LARGE, max_parts=16)
    assert story.paid
    assert f"us>B>D B: {EMPTY}" in story.lines and "us>B>D paid" not in story.lines
    first = next(part for part in story.parts if part.path == "us>A>D")
    assert (first.sent_s, first.told, first.ended_s) == (0.0, "paid", story.ended_s)
    arrived = [part.route.amount_msat for part in story.parts if part.told == "paid"]
    assert sum(arrived) == LARGE


def test_an_incomplete_set_comes_back_before_there_is_an_answer():
    """
    us ──── A ──100── D     B has nothing for D and there is no third way: A's part waits at D for a minute. Only
     └───── B ──200─× D     when D gives it back is it sure that nothing was paid.
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 200))
    town.drain("B-D")
    story = town.pay(LARGE, max_parts=16)
    assert not story.paid and story.code in (205, 210)
    assert not any(part.told == "paid" for part in story.parts)
    waited = [part for part in story.parts if part.path == "us>A>D"]
    assert all("other parts did not reach" in part.told for part in waited)
    assert story.ended_s >= 62.0


def test_halves_where_the_whole_does_not_pass():
    """
    us ──── A ══100══ D     Two channels from A to D with 300,000 sat in each, which nobody knows: half a million
                            goes over both. A may use either for any part, so each has to be given what it holds.
    """
    town = Town("us-A", ("A-D", 100), ("A-D", 100))
    for name in ("A-D", "A-D'"):
        town.drain(name, left=310_000 * SAT)
    story = town.pay(500_000 * SAT, max_parts=16)
    assert story.paid and story.fee_msat == 50 * SAT
    assert len([part for part in story.parts if part.told == "paid"]) >= 2


def test_what_a_channel_refused_is_halved_and_not_shaved():
    """
    us ──── A ──100─── D     A-D has 300,000 of its 1,000,000 sat: 900,000 sat fail there once, then at most the
     └───── B ──2000── D     half of that is tried, and the dear way takes the rest: a few parts, not dozens.
    """
    town = Town("us-A", ("A-D", 100), "us-B", ("B-D", 2000))
    town.drain("A-D", 300_000 * SAT)
    story = town.pay(900_000 * SAT, maxfeepercent=Decimal(5), max_parts=16)
    assert story.paid
    assert sum(part.told != "paid" for part in story.parts) <= 3 and len(story.parts) <= 6


def test_where_half_is_too_little_a_little_more_is_tried():
    """
    us ──── A ──100─── D     A-D has 640,000 of its 1,000,000 sat, B-D at most 300,000: 580,000 must go over A-D,
     └───── B ──2000── D     which is more than half of the 880,000 that it refuses. Not shaved either.
    """
    town = Town("us-A", ("A-D", 100), "us-B")
    town.join("B-D", 2000, capacity=300_000 * SAT)
    town.drain("A-D", 640_000 * SAT)
    story = town.pay(880_000 * SAT, maxfeepercent=Decimal(5), max_parts=16)
    assert story.paid
    assert sum(part.told != "paid" for part in story.parts) <= 4 and len(story.parts) <= 8
