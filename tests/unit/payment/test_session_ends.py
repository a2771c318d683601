"""Payments as stories: time, other groups, cancellation, payments to ourselves."""

from __future__ import annotations

import pytest

from pay.commands.form.errors import error_data
from pay.errors import Code, PayError
from pay.feedback.failure import FailCode, Failure
from pay.payment import events as ev
from pay.payment.states import State
from tests.support.payments import (
    HEIGHT,
    NOW,
    PREIMAGE,
    failed,
    line,
    no_balance,
    node,
    terms,
    unknown_payment,
)
from tests.support.sessions import DEADLINE, EXPIRY, Teller, asked, error_of, halves, paid_of

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
    assert error_data(error) == {"now": EXPIRY + 2, "expiry": EXPIRY}


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


# --- to ourselves ---------------------------------------------------------------------------------------------


def test_to_ourselves() -> None:
    story = Teller(terms(to_self=True))
    assert story.first == [ev.SendAttempt(0, None)]
    assert paid_of(story.settles(0)) == ev.Paid(PREIMAGE, 100_000, 100_000, parts=1, incomplete=False)


def test_to_ourselves_refused() -> None:
    story = Teller(terms(to_self=True))
    error = error_of(story.fails(0, failed(0, FailCode.UNKNOWN_PAYMENT, "Attempt to pay again")))
    assert error.code == Code.DESTINATION_FAILED
    assert error_data(error)["erring_node"] == node("us").hex() and error_data(error)["erring_channel"] == "0x0x0"


def test_to_ourselves_not_even_sent() -> None:
    story = Teller(terms(to_self=True))
    assert story.tell(ev.Cancelled(PayError(Code.OTHER, "The node refused to send a part"))) == []
    assert error_of(story.fails(0, Failure(None, None, "partial"))).code == Code.OTHER
