"""Payments as stories: what is waited for before the next try: blocks, and whoever sleeps or has no slot."""

from __future__ import annotations

import pytest

from pay.commands.form.errors import error_data
from pay.errors import Code
from pay.feedback.failure import FailCode
from pay.payment import events as ev
from pay.payment.states import AttemptStatus
from pay.units import ScidDir
from tests.support.payments import (
    HEIGHT,
    NOW,
    failed,
    line,
    no_balance,
    scid,
    terms,
    unknown_payment,
)
from tests.support.sessions import AWAY, DEADLINE, RESTING, Teller, asked, error_of, halves, paid_of

# --- heights --------------------------------------------------------------------------------------------------


def test_the_recipient_is_a_block_ahead() -> None:
    story = Teller(terms())
    story.routes(line(100_000))
    actions = story.fails(1, unknown_payment(4, HEIGHT + 2))
    assert ev.WaitHeight(HEIGHT + 2) in actions and f"at block {HEIGHT + 2}" in story.told[-1]
    assert not any(isinstance(action, ev.FindRoutes | ev.Finish) for action in actions)
    assert story.tell(ev.HeightReached(HEIGHT + 1)) == []
    assert asked(story.tell(ev.HeightReached(HEIGHT + 2), at=NOW + 30)).query.amount_msat == 100_000
    story.routes(line(100_000))
    error = error_of(story.fails(2, unknown_payment(4, HEIGHT + 2), height=HEIGHT + 2))
    assert error.code == Code.DESTINATION_FAILED, "now we are as high: it means it"


def test_a_block_came_while_the_part_was_out() -> None:
    """It was sent at HEIGHT; by the time it is refused everybody has seen one block more, we too."""
    story = Teller(terms())
    story.routes(line(100_000))
    assert ev.WaitHeight(HEIGHT + 1) in story.fails(1, unknown_payment(4, HEIGHT + 1), at=NOW + 3)
    assert asked(story.tell(ev.HeightReached(HEIGHT + 1), at=NOW + 3)).query.amount_msat == 100_000


def test_held_for_hours_and_then_refused() -> None:
    """The recipient looked at the height when the part came: the blocks since then are no reason, it refuses."""
    story = Teller(terms())
    story.routes(line(100_000))
    error = error_of(story.fails(1, unknown_payment(4, HEIGHT + 20), at=NOW + 12_000))
    assert error.code == Code.DESTINATION_FAILED


def test_two_halves_and_two_heights() -> None:
    """Both are refused, the second by a recipient that is one block further: that one is waited for."""
    story = halves()
    story.fails(1, unknown_payment(2, HEIGHT + 1))
    story.fails(2, unknown_payment(2, HEIGHT + 2))
    assert story.tell(ev.HeightReached(HEIGHT + 1)) == []
    assert asked(story.tell(ev.HeightReached(HEIGHT + 2))).query.amount_msat == 100_000


def test_the_higher_of_two_heights_comes_first() -> None:
    story = halves()
    story.fails(1, unknown_payment(2, HEIGHT + 2))
    story.fails(2, unknown_payment(2, HEIGHT + 1))
    assert story.tell(ev.HeightReached(HEIGHT + 1)) == []
    asked(story.tell(ev.HeightReached(HEIGHT + 2)))


def test_a_sister_fails_while_a_block_is_waited_for() -> None:
    story = halves()
    story.fails(1, unknown_payment(2, HEIGHT + 1))
    assert story.fails(2, no_balance(1)) == []
    assert story.status(1) is story.status(2) is AttemptStatus.RETRYING
    again = asked(story.tell(ev.HeightReached(HEIGHT + 1)))
    assert again.query.amount_msat == 100_000 and again.restrictions.caps


def test_no_wait_for_a_block_after_the_deadline() -> None:
    story = Teller(terms())
    story.routes(line(100_000))
    error = error_of(story.fails(1, unknown_payment(4, HEIGHT + 1), at=DEADLINE))
    assert error.code == Code.STOPPED_RETRYING


# --- pauses ---------------------------------------------------------------------------------------------------

HINT = ScidDir(scid(2), 1)


def asleep(tries: int = 1, **changes: object) -> Teller:
    """us ─1─ a ─2─ d, where d is behind the hint of channel 2 and does not answer a."""
    story = Teller(terms(wakeable=frozenset({HINT}), **changes))
    for partid in range(1, tries + 1):
        story.routes(line(100_000, "ad"))
        story.fails(partid, failed(1, FailCode.UNKNOWN_NEXT_PEER))
        if partid < tries:
            (wake,) = story.no_route(why=AWAY)
            assert isinstance(wake, ev.WakeAt)
            story.tell(ev.TimerFired(), at=wake.at_s)
    return story


def test_a_recipient_that_sleeps_is_given_a_moment() -> None:
    """Another way in would be used at once; as there is none, the same one is tried again a second later."""
    story = asleep()
    assert story.questions[-1].restrictions.closed_channels == {HINT}
    assert story.no_route(why=AWAY) == [ev.WakeAt(NOW + 1)]
    assert "a phone that sleeps" in story.told[-1]
    assert story.tell(ev.TimerFired(), at=NOW + 0.999) == [ev.WakeAt(NOW + 1)]
    wake, again = story.tell(ev.TimerFired(), at=NOW + 1)
    assert wake == ev.WakeAt(DEADLINE)
    assert isinstance(again, ev.FindRoutes) and not again.restrictions.closed_channels
    assert len(story.routes(line(100_000, "ad"))) == 1
    paid_of(story.settles(2))


def test_a_recipient_that_sleeps_on() -> None:
    """Tried again after 1, 2, 4, 8 and 16 s, at most so long, until retry_for; that is said once, and 210."""
    story = asleep(6)
    assert story.now == NOW + 31 and len([told for told in story.told if "a phone that sleeps" in told]) == 1
    (wake,) = story.no_route(why=AWAY)
    assert wake == ev.WakeAt(NOW + 47)
    story.tell(ev.TimerFired(), at=NOW + 47)
    story.routes(line(100_000, "ad"))
    story.fails(7, failed(1, FailCode.UNKNOWN_NEXT_PEER))
    assert story.no_route(why=AWAY) == [ev.WakeAt(DEADLINE)], "sixteen more would be too many"
    error = error_of(story.tell(ev.TimerFired(), at=DEADLINE))
    assert (error.code, error_data(error)["reason"]) == (Code.STOPPED_RETRYING, "phone")
    assert "after 7 attempts" in error.message and "probably offline, or a phone that sleeps" in error.message


def test_a_nap_ends_at_the_deadline() -> None:
    story = asleep(deadline_s=NOW + 0.5)
    assert story.no_route(why=AWAY) == [ev.WakeAt(NOW + 0.5)]
    assert error_of(story.tell(ev.TimerFired(), at=NOW + 0.5)).code == Code.STOPPED_RETRYING


def test_our_own_channel_has_no_slot_now() -> None:
    """No other way: a moment later, when a slot may be free, the same channel is tried again."""
    story, busy = Teller(terms()), failed(0, FailCode.TEMPORARY_CHANNEL_FAILURE, "Too many HTLCs")
    for partid, pause in enumerate((0.5, 1, 2, 4, 8, 16, 16), 1):
        story.routes(line(100_000, "ad"))
        again = asked(story.fails(partid, busy))
        assert again.restrictions.closed_channels == {ScidDir(scid(1), 0)}
        assert story.no_route(why=RESTING) == [ev.WakeAt(story.now + pause)]
        _, woken = story.tell(ev.TimerFired(), at=story.now + pause)
        assert isinstance(woken, ev.FindRoutes) and not woken.restrictions.closed_channels
    story.routes(line(100_000, "ad"))
    paid_of(story.settles(8))


@pytest.mark.parametrize("at", [NOW + 60, NOW + 4_000])
def test_the_end_of_time_comes_in_a_nap(at: float) -> None:
    story = asleep()
    story.no_route(why=AWAY)
    assert error_of(story.tell(ev.TimerFired(), at=at)).code == Code.STOPPED_RETRYING


def test_an_expired_invoice_is_not_woken_up_for() -> None:
    story = asleep(expires_at_s=NOW + 0.5)
    story.no_route(why=AWAY)
    assert error_of(story.tell(ev.TimerFired(), at=NOW + 3)[1:]).code == Code.INVOICE_EXPIRED


def test_our_own_channels_refuse_in_a_row() -> None:
    """Ten refusals come within a millisecond: then a second's pause, not a busy loop.

    They have no slot now. So they are left alone until then and no longer.
    """
    story = Teller(terms())
    for partid in range(1, 11):
        story.routes(line(100_000, "ad", first=partid * 10))
        actions = story.fails(partid, failed(0, FailCode.TEMPORARY_CHANNEL_FAILURE, "Too many HTLCs"))
        assert isinstance(actions[0], ev.FindRoutes) is (partid < 10)
    assert actions == [ev.WakeAt(NOW + 1)] and story.status(10) is AttemptStatus.RETRYING
    _, again = story.tell(ev.TimerFired(), at=NOW + 1)
    assert len(story.questions[-2].restrictions.asleep) == 9
    assert isinstance(again, ev.FindRoutes) and not again.restrictions.closed_channels
