"""Many parts over one node of which nothing is known: five go, the others wait for as long as a failure takes.

A hop takes 0.2 s each way, so a node next to us refuses after 0.4 s; half a second is waited for each hop to it.
"""

from __future__ import annotations

from collections import Counter

from tests.support.worlds.town import EMPTY, SAT, Town

SMALL = 1_980 * SAT
SPLIT = {"max_parts": 30, "min_part_msat": 1_000 * SAT}
LACKS = 0x1007


def hubs(*, dear: bool = True) -> Town:
    """
    us ── cheap ── D     at 100 ppm and at 5,000 ppm, channels to D that take 1,980 sat an HTLC.
    us ── dear ─── D
    """
    town = Town(latency_s=0.2)
    for name, ppm in (("cheap", 100), ("dear", 5_000))[: 1 + dear]:
        town.join(f"us-{name}")
        town.join(f"{name}-D", ppm, htlc_max_msat=SMALL)
    return town


def test_five_go_and_half_a_second_later_the_rest():
    """
    us ── cheap ── D     15,000 sat are eight parts; all is well.
    """
    town = hubs()
    story = town.pay(15_000 * SAT, **SPLIT)
    assert [(part.sent_s, part.told) for part in story.parts] == [(0.0, "paid")] * 5 + [(0.5, "paid")] * 3
    assert Counter(town.over(story)) == {"us-cheap cheap-D": 8}
    assert len(story.session.attempts) == 8 and story.session.queries == 1


def test_a_node_further_away_is_given_longer():
    """
    us ── near ── cheap ── D     news from the second hop takes twice as long.
    """
    town = Town(("us-near", 0), ("near-cheap", 0), latency_s=0.2)
    town.join("cheap-D", 100, htlc_max_msat=SMALL)
    story = town.pay(15_000 * SAT, **SPLIT)
    assert [part.sent_s for part in story.parts] == [0.0] * 5 + [1.0] * 3
    assert story.paid


def test_five_parts_need_not_wait():
    """
    us ── cheap ── D     9,000 sat are five parts.
    """
    story = hubs().pay(9_000 * SAT, **SPLIT)
    assert [part.sent_s for part in story.parts] == [0.0] * 5


def test_a_cheap_node_that_refuses_everything_costs_five():
    """
    us ── cheap ── D     refuses each HTLC; the three parts that waited never go there.
    us ── dear ─── D
    """
    town = hubs()
    town.faults("cheap", fail_code=LACKS)
    story = town.pay(15_000 * SAT, maxfee_msat=1_000 * SAT, **SPLIT)
    assert story.paid
    refused = [part for part in story.parts if part.told != "paid"]
    assert [(part.path, part.sent_s) for part in refused] == [("us>cheap>D", 0.0)] * 5
    paid = [part for part in story.parts if part.told == "paid"]
    assert {part.path for part in paid} == {"us>dear>D"}
    assert sum(part.route.amount_msat for part in paid) == 15_000 * SAT


def test_the_one_node_that_all_ways_lead_over():
    """
    us ── cheap ── D     refuses each HTLC, and there is no other way: of 26 parts five are lost on it.
    """
    town = hubs(dear=False)
    town.faults("cheap", fail_code=LACKS)
    story = town.pay(50_000 * SAT, **SPLIT)
    assert (story.code, story.lines) == (205, [f"us>cheap>D cheap: {EMPTY}"] * 5)


def test_where_there_is_no_time_to_wait_all_go():
    """
    us ── cheap ── D     retry_for 0.5 s: the first try is made whole, however short that is.
    """
    for seconds, later_s in ((0.5, 0.0), (0.0, 0.0), (0.6, 0.5)):
        story = hubs().pay(15_000 * SAT, retry_for_s=seconds, **SPLIT)
        assert story.paid
        assert [part.sent_s for part in story.parts] == [0.0] * 5 + [later_s] * 3


def test_a_failure_ends_the_wait():
    """
    us ── cheap ── D     its channel takes four HTLCs, so the fifth is refused after 0.4 s: what waited is planned
    us ── dear ─── D     anew together with it.
    """
    town = hubs()
    town.channels["cheap-D"].htlc_limits[:] = [4, 4]
    story = town.pay(15_000 * SAT, maxfee_msat=1_000 * SAT, **SPLIT)
    assert story.paid and story.session.queries == 2
    assert Counter((part.path, round(part.sent_s, 3), part.told == "paid") for part in story.parts) == {
        ("us>cheap>D", 0.0, True): 4,
        ("us>cheap>D", 0.0, False): 1,
        ("us>dear>D", 0.4, True): 4,
    }
