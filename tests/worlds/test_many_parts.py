"""A hub whose channels take small HTLCs only: more parts than usual, and no more than are allowed."""

from __future__ import annotations

from collections import Counter

from tests.worlds.town import SAT, Town

SMALL = 1_980 * SAT
WISH = {"max_parts": 100, "min_part_msat": 1_000 * SAT}


def small(doors: int = 2, slots: int = 483, theirs: int = 483) -> Town:
    """
    us ── hub ══ D     by two channels that take 1,980 sat an HTLC, at 100 and 200 ppm, or by one.
    """
    town = Town()
    town.join("us-hub").htlc_limits[:] = [slots, slots]
    for ppm in (100, 200)[:doors]:
        town.join("hub-D", ppm, htlc_max_msat=SMALL).htlc_limits[:] = [theirs, theirs]
    return town


def test_a_hundred_thousand_sat_in_51_parts():
    """
    us ── hub ══ D     51 HTLCs, 30 over the cheaper channel and 21 over the other: 10 sat and as much again for 21
                       of them.
    """
    town = small()
    story = town.pay(**WISH)
    assert Counter(town.over(story)) == {"us-hub hub-D": 30, "us-hub hub-D'": 21}
    assert {part.told for part in story.parts} == {"paid"}
    assert 14 * SAT <= story.fee_msat <= 15 * SAT


def test_the_wall_and_nothing_sent():
    """
    us ── hub ══ D     50 parts are allowed: 99,000 sat.
    """
    story = small().pay(max_parts=50)
    assert (story.lines, story.code, story.reason) == ([], 205, "insufficient_capacity")
    assert "pay-max-parts" in story.words
    story = small().pay(max_parts=1)
    assert (story.lines, story.code) == ([], 205)


def test_the_wish_can_be_smaller():
    """
    us ── hub ══ D     10 are usual: 15,000 sat in 8 parts, 30,000 sat in 16.
    """
    assert len(small().pay(15_000 * SAT, usual_parts=10, **WISH).parts) == 8
    assert len(small().pay(30_000 * SAT, usual_parts=10, **WISH).parts) == 16


def test_a_recipient_that_takes_thirty_a_channel():
    """
    us ── hub ══ D     each of D's channels takes 30 HTLCs: 60 in all, for 118,800 sat.
    """
    story = small(theirs=30).pay(**WISH)
    assert (len(story.parts), story.paid) == (51, True)


def test_a_recipient_with_one_channel_may_take_more():
    """
    us ── hub ── D     nobody says how many D takes: here it is more than 30.
    """
    story = small(doors=1).pay(**WISH)
    assert (len(story.parts), story.paid) == (51, True)


def test_our_own_slots():
    """
    us ── hub ══ D     our channel takes 40 HTLCs: nothing is sent, and the words say so.
    """
    story = small(slots=40).pay(**WISH)
    assert (story.lines, story.code) == ([], 205)
    assert "in 40 parts, for so many HTLCs our channels have room" in story.words


def test_some_of_51_fail():
    """
    us ── hub ══ D     a third channel is the cheapest and nearly empty: what fails there goes over the others, and
                       the payment is made.
    """
    town = small()
    town.join("hub-D", 50, htlc_max_msat=SMALL, has=5_000 * SAT)
    town.channels["hub-D''"].htlc_limits[:] = [483, 483]
    story = town.pay(**WISH)
    told = Counter(part.told for part in story.parts)
    assert story.paid
    assert told["paid"] >= 51
