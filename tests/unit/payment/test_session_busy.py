"""Payments as stories: what routes there are is taken by what is in flight; it is asked for again, until 210."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from pay.commands.form.errors import error_data
from pay.errors import Code
from pay.feedback.failure import FailCode
from pay.payment import events as ev
from pay.payment.states import State
from pay.units import ScidDir
from tests.support.payments import NOW, failed, line, no_balance, scid, terms
from tests.support.sessions import DEADLINE, EXPIRY, NO_ROUTE, RESTING, Teller, asked, error_of, halves

BUSY = replace(NO_ROUTE, busy=True)


def busy(story: Teller) -> list[ev.Action]:
    return story.no_route(why=BUSY)


def test_naps_grow_until_the_deadline() -> None:
    """0.25 s, then twice as long each time, at most 4 s; at the deadline 210 says what stood in the way."""
    story = Teller(terms())
    naps = []
    while True:
        (wake,) = busy(story)
        assert isinstance(wake, ev.WakeAt) and story.session.state is State.PAUSING
        naps.append(wake.at_s - story.now)
        if wake.at_s == DEADLINE:
            break
        timer, question = story.tell(ev.TimerFired(), at=wake.at_s)
        assert timer == ev.WakeAt(DEADLINE) and isinstance(question, ev.FindRoutes)
    assert naps[:7] == [0.25, 0.5, 1, 2, 4, 4, 4]
    assert sum(naps) == 60 and all(nap <= after for nap, after in pairwise(naps[:-1]))
    error = error_of(story.tell(ev.TimerFired(), at=DEADLINE))
    assert (error.code, error_data(error)["reason"]) == (Code.STOPPED_RETRYING, "busy")
    assert "HTLC slots" in error.message and "60 s" in error.message and "0 attempts" in error.message


def test_without_time_to_wait_it_is_210_at_once() -> None:
    error = error_of(busy(Teller(terms(deadline_s=NOW))))
    assert (error.code, error_data(error)["reason"]) == (Code.STOPPED_RETRYING, "busy")


def test_a_route_in_between_begins_anew() -> None:
    """After a part was sent the naps are short again, and a later 210 is not about busy routes."""
    story = Teller(terms())
    for at in (NOW + 0.25, NOW + 0.75, NOW + 1.75):
        assert busy(story) == [ev.WakeAt(at)]
        story.tell(ev.TimerFired(), at=at)
    story.routes(line(100_000), at=NOW + 2)
    asked(story.fails(1, no_balance(2)))
    assert busy(story) == [ev.WakeAt(NOW + 2.25)]
    story.tell(ev.TimerFired(), at=NOW + 2.25)
    story.routes(line(100_000))
    error = error_of(story.fails(2, no_balance(2), at=DEADLINE))
    assert (error.code, error_data(error).get("reason")) == (Code.STOPPED_RETRYING, None)


def test_only_our_own_channels_are_tried_more_often_for_it() -> None:
    """Ours had no slot, and another's peer was away: that one is left alone until a pause of its own."""
    story = halves()
    story.fails(1, failed(0, FailCode.TEMPORARY_CHANNEL_FAILURE, "Too many HTLCs"))
    story.fails(2, failed(1, FailCode.UNKNOWN_NEXT_PEER))
    ours, theirs = ScidDir(scid(1), 0), ScidDir(scid(12), 1)
    assert story.questions[-1].restrictions.asleep == {ours, theirs}
    busy(story)
    _, again = story.tell(ev.TimerFired(), at=NOW + 0.25)
    assert isinstance(again, ev.FindRoutes) and again.restrictions.asleep == {theirs}
    story.no_route(why=RESTING)
    _, again = story.tell(ev.TimerFired(), at=NOW + 0.75)
    assert isinstance(again, ev.FindRoutes) and not again.restrictions.asleep


def test_no_route_at_all_is_final_after_any_nap() -> None:
    story = Teller(terms())
    busy(story)
    story.tell(ev.TimerFired(), at=NOW + 0.25)
    assert error_of(story.no_route()).code == Code.ROUTE_NOT_FOUND


def test_our_own_other_part_holds_the_way() -> None:
    """One half failed and what is left waits for what the other holds: a question for all of it says whether."""
    story = halves()
    question = asked(story.fails(1, no_balance(1)))
    assert question.whole is not None
    assert (question.query.amount_msat, question.whole.amount_msat) == (50_000, 100_000)
    assert (question.query.max_fee_msat, question.whole.max_fee_msat) == (4_000, 5_000)
    assert (question.query.max_parts, question.whole.max_parts) == (3, 4)
    assert busy(story) == [ev.WakeAt(NOW + 0.25)]
    assert story.fails(2, no_balance(1), at=NOW + 0.1) == [], "the pause goes on"
    _, again = story.tell(ev.TimerFired(), at=NOW + 0.25)
    assert isinstance(again, ev.FindRoutes)
    assert (again.query.amount_msat, again.whole) == (100_000, None)


def test_a_part_is_still_out_when_time_is_up() -> None:
    """The answer waits for it; then it is 210 with the reason."""
    story = halves()
    story.fails(1, no_balance(1))
    busy(story)
    assert story.tell(ev.TimerFired(), at=DEADLINE) == []
    assert story.session.state is State.DRAINING_FAILED
    error = error_of(story.fails(2, no_balance(1), at=DEADLINE + 30))
    assert (error.code, error_data(error)["reason"]) == (Code.STOPPED_RETRYING, "busy")


def test_the_invoice_expires_in_a_nap() -> None:
    story = Teller(terms(deadline_s=EXPIRY + 60))
    story.now = EXPIRY
    assert busy(story) == [ev.WakeAt(EXPIRY + 0.25)]
    assert error_of(story.tell(ev.TimerFired(), at=EXPIRY + 0.25)[-1:]).code == Code.INVOICE_EXPIRED
