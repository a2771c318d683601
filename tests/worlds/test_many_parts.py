"""A hub whose channels take small HTLCs only: more parts than usual, and no more than are allowed."""

from __future__ import annotations

from collections import Counter

from tests.support.worlds.town import SAT, Town

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
    story = small().pay(max_attempts=40, **WISH)
    assert (story.lines, story.code) == ([], 205)
    assert story.words.endswith("in 40 parts; pay-max-attempts allows no more parts")


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


def beside(ends: str = "A-D") -> Town:
    """
    us ── A ── D     the cheaper way, for any HTLC.
     └─── B ── D     for HTLCs of 1,980 sat.
    """
    town = Town("us-A", (ends, 10))
    town.join("us-B", htlc_max_msat=SMALL).htlc_limits[:] = [483, 483]
    town.join("B-D", 100).htlc_limits[:] = [483, 483]
    return town


def test_a_way_of_51_parts_is_found_after_the_first_way_has_failed():
    """
    us ─╱─ A ── D     A has disabled its channel, and nobody has heard: one failure, then 51 parts over B.
     └──── B ── D
    """
    town = beside()
    town.now_asks("A-D", enabled=False)
    story = town.pay(**WISH)
    assert Counter(story.lines) == {"us>A>D A: the channel is disabled": 1, "us>B>D paid": 51}


def test_a_way_of_51_parts_is_found_after_an_empty_one():
    """
    us ── A ╌╌ D     empty: it is tried with less and less, some parts go over B meanwhile, and in the end all.
     └─── B ── D
    """
    town = beside()
    town.drain("A-D")
    story = town.pay(**WISH)
    told = Counter(story.lines)
    assert told["us>B>D paid"] == 51 and len(story.parts) <= 56


def test_what_has_refused_gets_no_crumbs():
    """
    us ── hub ══ D     D is away, four channels: no more HTLCs than if 30 parts were all that is allowed.
    """

    def htlcs(most: int) -> int:
        town = Town("us-hub", *[("hub-D", ppm) for ppm in (10, 20, 30, 40)])
        town.faults("D", offline=True)
        story = town.pay(max_parts=most, min_part_msat=1_000 * SAT)
        assert story.code == 205
        return len(story.parts)

    assert htlcs(100) == htlcs(30) <= 50
