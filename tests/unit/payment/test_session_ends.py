"""Payments as stories: time, blocks, pauses, other groups, cancellation, adopted parts, payments to ourselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.errors import Code, PayError
from pay.feedback.failure import FailCode, Failure
from pay.payment import events as ev
from pay.payment.session import PaymentSession, SessionError
from pay.payment.states import AttemptStatus, State
from pay.units import ScidDir
from tests.support.payments import (
    HEIGHT,
    NOW,
    PREIMAGE,
    failed,
    line,
    no_balance,
    node,
    scid,
    terms,
    unknown_payment,
)
from tests.support.sessions import AWAY, DEADLINE, EXPIRY, RESTING, Teller, asked, error_of, halves, paid_of

# --- time -----------------------------------------------------------------------------------------------------


def test_retry_for_ends_before_the_next_attempt() -> None:
    story = Teller(terms())
    story.routes(line(100_000))
    assert story.tell(ev.TimerFired(), at=DEADLINE) == [], "what is out is waited for"
    error = error_of(story.fails(1, no_balance(2), at=DEADLINE))
    assert error.code == Code.STOPPED_RETRYING and "60 s" in error.message


def test_retry_for_ends_while_routes_are_looked_for() -> None:
    story = Teller(terms())
    story.routes(line(100_000))
    asked(story.fails(1, no_balance(2), at=DEADLINE - 1))
    assert error_of(story.tell(ev.TimerFired(), at=DEADLINE)).code == Code.STOPPED_RETRYING
    assert story.routes(line(100_000)) == []


def test_routes_that_come_too_late() -> None:
    """The timer is late, the routes are first: nothing is sent all the same."""
    story = Teller(terms())
    story.routes(line(100_000))
    asked(story.fails(1, no_balance(2), at=DEADLINE - 1))
    assert error_of(story.routes(line(100_000), at=DEADLINE)).code == Code.STOPPED_RETRYING


def test_a_first_try_is_made_however_short_retry_for_is() -> None:
    """retry_for=0: the timer fires at once, the routes come a second later and are used."""
    story = Teller(terms(deadline_s=NOW))
    assert story.tell(ev.TimerFired(), at=NOW) == []
    route = line(100_000)
    assert story.routes(route, at=NOW + 1) == [ev.SendAttempt(1, route)]
    assert error_of(story.fails(1, no_balance(2))).code == Code.STOPPED_RETRYING


def test_timers_that_come_early() -> None:
    """Clocks differ by milliseconds and are set: what waits for the deadline asks to be woken again."""
    story = Teller(terms())
    assert story.tell(ev.TimerFired(), at=DEADLINE - 0.001) == [ev.WakeAt(DEADLINE)]
    story.routes(line(100_000))
    story.tell(ev.TimerFired(), at=DEADLINE - 0.001)
    waiting = story.fails(1, unknown_payment(4, HEIGHT + 1))
    assert ev.WakeAt(DEADLINE) in waiting
    assert story.tell(ev.TimerFired(), at=DEADLINE - 0.001) == [ev.WakeAt(DEADLINE)]
    assert story.session.state is State.WAITING_HEIGHT
    assert error_of(story.tell(ev.TimerFired(), at=DEADLINE)).code == Code.STOPPED_RETRYING


def test_the_invoice_expires_between_two_attempts() -> None:
    story = Teller(terms(deadline_s=EXPIRY + 60))
    story.routes(line(100_000), at=EXPIRY)
    error = error_of(story.fails(1, no_balance(2), at=EXPIRY + 2))
    assert error.code == Code.INVOICE_EXPIRED
    assert error.data == {"now": EXPIRY + 2, "expiry": EXPIRY}


@pytest.mark.parametrize("to_self", [False, True])
def test_expired_at_the_start(to_self: bool) -> None:
    story = Teller(terms(expires_at_s=NOW - 1, to_self=to_self))
    assert error_of(story.first[-1:]).code == Code.INVOICE_EXPIRED
    assert story.session.attempts == {}


def test_expired_while_the_first_routes_were_looked_for() -> None:
    story = Teller(terms())
    assert error_of(story.routes(line(100_000), at=EXPIRY + 1)).code == Code.INVOICE_EXPIRED


def test_too_many_attempts() -> None:
    story = Teller(terms(max_attempts=2))
    for partid in (1, 2):
        story.routes(line(100_000, "ad", first=partid * 10))
        actions = story.fails(partid, no_balance(1))
    error = error_of(actions)
    assert error.code == Code.STOPPED_RETRYING and "after 2 attempts, the most allowed" in error.message


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


# --- somebody else's group ------------------------------------------------------------------------------------


def test_another_group_has_the_hash() -> None:
    story = Teller(terms())
    story.routes(line(100_000))
    assert story.tell(ev.HashTaken(1, "in progress")) == [ev.Finish(ev.Elsewhere("in progress"))]


def test_another_group_and_a_part_of_ours_out() -> None:
    story = halves()
    assert story.tell(ev.HashTaken(2, "in progress")) == []
    assert story.fails(1, no_balance(1)) == [ev.Finish(ev.Elsewhere("in progress"))]


def test_a_refusal_of_our_part_says_nothing_of_the_other_group() -> None:
    """203 means surely unpaid, and the other group may still pay: its outcome is the answer."""
    story = halves()
    assert story.tell(ev.HashTaken(2, "in progress")) == []
    assert story.fails(1, unknown_payment(2)) == [ev.Finish(ev.Elsewhere("in progress"))]


def test_another_group_after_a_refusal() -> None:
    story = halves()
    assert story.fails(1, unknown_payment(2)) == []
    assert story.tell(ev.HashTaken(2, "in progress")) == [ev.Finish(ev.Elsewhere("in progress"))]


def test_another_group_and_paid() -> None:
    story = halves()
    story.tell(ev.HashTaken(2, "in progress"))
    paid = paid_of(story.settles(1))
    assert paid.sent_msat == 51_000, "the part that was refused sent nothing"


# --- cancelled ------------------------------------------------------------------------------------------------


def test_cancelled() -> None:
    why = PayError(Code.OTHER, "The node refused to send a part")
    story = halves()
    assert story.tell(ev.Cancelled(why)) == []
    assert story.fails(1, no_balance(1)) == []
    error = error_of(story.fails(2, no_balance(1)))
    assert (error.code, error.message) == (why.code, why.message)


@pytest.mark.parametrize("planned", [False, True])
def test_cancelled_with_nothing_out(planned: bool) -> None:
    story = Teller(terms())
    if planned:
        story.routes(line(100_000))
        story.fails(1, no_balance(1))
    assert error_of(story.tell(ev.Cancelled(PayError(Code.OTHER, "stop")))).code == Code.OTHER
    assert story.routes(line(100_000)) == []
    assert story.tell(ev.Cancelled(PayError(Code.OTHER, "stop"))) == []


# --- adopted parts --------------------------------------------------------------------------------------------

ADOPTED = (ev.FoundPart(3, 50_000, 50_500), ev.FoundPart(4, 50_000, 50_700))


def watching() -> Teller:
    return Teller(terms(max_fee_msat=0, max_delay_blocks=0, final_cltv=0, watched=True), ADOPTED)


def test_adopted_parts_are_watched_only() -> None:
    story = watching()
    assert story.first == [] and story.session.state is State.DRAINING_FAILED
    assert story.fails(3, no_balance(1)) == []
    assert story.tell(ev.TimerFired(), at=DEADLINE) == []
    error = error_of(story.fails(4, unknown_payment(1)))
    assert error.code == Code.STOPPED_RETRYING, "how it was refused is known to its sender, not to us"


def test_an_adopted_part_settles() -> None:
    story = watching()
    paid = paid_of(story.settles(4))
    assert paid == ev.Paid(PREIMAGE, 100_000, 101_200, parts=4, incomplete=True), "there were parts 1 and 2 before"
    assert story.fails(3, no_balance(1)) == [] and story.session.state is State.DONE


def test_broken_before_its_first_part_and_paid_by_somebody() -> None:
    """The host's table has the preimage, the session has no attempt to count."""
    session = PaymentSession(terms())
    session.handle(ev.Started(), NOW)
    session.handle(ev.Crashed(ev.Paid(PREIMAGE, 100_000, 101_000, 1, False), frozenset()), NOW)
    assert session.paid == ev.Paid(PREIMAGE, 100_000, 0, parts=0, incomplete=True)


def test_watching_nothing_sends_nothing() -> None:
    """The parts ended between the look and the start."""
    story = Teller(terms(watched=True))
    assert error_of(story.first).code == Code.STOPPED_RETRYING
    assert story.session.queries == 0


# --- to ourselves ---------------------------------------------------------------------------------------------


def test_to_ourselves() -> None:
    story = Teller(terms(to_self=True))
    assert story.first == [ev.SendAttempt(0, None)]
    assert paid_of(story.settles(0)) == ev.Paid(PREIMAGE, 100_000, 100_000, parts=1, incomplete=False)


def test_to_ourselves_refused() -> None:
    story = Teller(terms(to_self=True))
    error = error_of(story.fails(0, failed(0, FailCode.UNKNOWN_PAYMENT, "Attempt to pay again")))
    assert error.code == Code.DESTINATION_FAILED
    assert error.data["erring_node"] == node("us").hex() and error.data["erring_channel"] == "0x0x0"


def test_to_ourselves_not_even_sent() -> None:
    story = Teller(terms(to_self=True))
    assert story.tell(ev.Cancelled(PayError(Code.OTHER, "The node refused to send a part"))) == []
    assert error_of(story.fails(0, Failure(None, None, "partial"))).code == Code.OTHER


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
    assert "asleep" in story.told[-1]
    assert story.tell(ev.TimerFired(), at=NOW + 0.999) == [ev.WakeAt(NOW + 1)]
    wake, again = story.tell(ev.TimerFired(), at=NOW + 1)
    assert wake == ev.WakeAt(DEADLINE)
    assert isinstance(again, ev.FindRoutes) and not again.restrictions.closed_channels
    assert len(story.routes(line(100_000, "ad"))) == 1
    paid_of(story.settles(2))


def test_a_recipient_that_sleeps_on() -> None:
    """Tried again after 1, 2, 4, 8 and 16 s, at most so long, until retry_for; that is said once, and 210."""
    story = asleep(6)
    assert story.now == NOW + 31 and len([told for told in story.told if "asleep" in told]) == 1
    (wake,) = story.no_route(why=AWAY)
    assert wake == ev.WakeAt(NOW + 47)
    story.tell(ev.TimerFired(), at=NOW + 47)
    story.routes(line(100_000, "ad"))
    story.fails(7, failed(1, FailCode.UNKNOWN_NEXT_PEER))
    assert story.no_route(why=AWAY) == [ev.WakeAt(DEADLINE)], "sixteen more would be too many"
    error = error_of(story.tell(ev.TimerFired(), at=DEADLINE))
    assert (error.code, error.data["reason"]) == (Code.STOPPED_RETRYING, "phone")
    assert "after 7 attempts" in error.message and "seems to be asleep" in error.message


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


# --- ours, from before a restart ------------------------------------------------------------------------------


def resumed(*parts: ev.FoundPart, **changes: object) -> Teller:
    return Teller(terms(first_partid=5, **changes), parts)


def test_half_of_it_is_still_out() -> None:
    """Only the other half is asked for, with what the first one leaves of the fee budget."""
    story = resumed(ev.FoundPart(4, 50_000, 51_500))
    query = story.questions[0].query
    assert (query.amount_msat, query.max_fee_msat) == (50_000, 3_500)
    (sent,) = story.routes(line(50_000))
    assert isinstance(sent, ev.SendAttempt) and sent.partid == 5
    assert paid_of(story.settles(4)).sent_msat == 51_500 + 53_000


def test_all_of_it_is_still_out() -> None:
    story = resumed(ev.FoundPart(4, 100_000, 100_500))
    assert story.first == [ev.WakeAt(DEADLINE)]
    assert asked(story.fails(4, Failure(None, None, ""))).query.amount_msat == 100_000


def test_a_forgotten_route_and_the_recipients_own_word() -> None:
    """The route is not known any more; the node that answered is."""
    for erring_node, over in ((node("d"), True), (node("c"), False), (None, False)):
        story = resumed(ev.FoundPart(4, 100_000, 100_500))
        actions = story.fails(4, replace(unknown_payment(2), erring_node=erring_node))
        assert isinstance(actions[0], ev.Finish) is over


def test_more_is_out_than_the_amount() -> None:
    with pytest.raises(SessionError):
        resumed(ev.FoundPart(3, 50_001, 50_001), ev.FoundPart(4, 50_000, 50_000))


def test_the_deadline_has_passed_meanwhile() -> None:
    """Nothing is added; what is out is waited for."""
    story = resumed(ev.FoundPart(4, 50_000, 51_500), deadline_s=NOW)
    assert story.questions == [] and story.session.result is None
    assert error_of(story.fails(4, Failure(None, None, ""))).code == Code.STOPPED_RETRYING


def test_our_node_is_behind_the_chain() -> None:
    """100 blocks: what the recipient sees is not ahead of what we count from, so its refusal is one; a block more
    is waited for."""
    story = Teller(terms(behind_blocks=100))
    assert (story.questions[0].query.final_cltv, story.questions[0].query.max_delay) == (118, 2116)
    story.routes(line(100_000, final_cltv=118))
    assert error_of(story.fails(1, unknown_payment(4, HEIGHT + 100))).code == Code.DESTINATION_FAILED
    story = Teller(terms(behind_blocks=100))
    story.routes(line(100_000, final_cltv=118))
    story.fails(1, unknown_payment(4, HEIGHT + 101))
    assert story.session.state is State.WAITING_HEIGHT


@pytest.mark.parametrize(("delay", "fits"), [(2_016 + 100, True), (2_016 + 101, False)])
def test_missing_blocks_are_not_in_maxdelay(delay: int, fits: bool) -> None:
    story = Teller(terms(behind_blocks=100))
    route = line(100_000, "d", final_cltv=delay)
    if fits:
        assert story.routes(route) == [ev.SendAttempt(1, route)]
    else:
        with pytest.raises(SessionError):
            story.routes(route)
