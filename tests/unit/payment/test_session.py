"""Payments as stories: parts, retries and refusals; what happened, and what the session said to do each time.

Routes are lines of channels towards d (`tests.support.payments`); a route's fee is 1,000 msat per node between.
"""

from __future__ import annotations

import pytest

from pay.commands.form.errors import error_data
from pay.errors import Code
from pay.feedback.failure import FailCode, Failure
from pay.network.policy import Policy
from pay.payment import events as ev
from pay.payment.session import PaymentSession, SessionError
from pay.payment.states import AttemptStatus, SessionStatus, State
from pay.routing.query import Restrictions, Route
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
    update_bytes,
)
from tests.support.sessions import DEADLINE, NO_ROUTE, Teller, asked, error_of, halves, paid_of

# --- paid -----------------------------------------------------------------------------------------------------


def test_one_part_that_arrives() -> None:
    story = Teller(terms())
    wake, find = story.first
    assert wake == ev.WakeAt(DEADLINE)
    assert isinstance(find, ev.FindRoutes) and find.restrictions == Restrictions()
    assert (find.query.amount_msat, find.query.max_fee_msat, find.query.max_delay) == (100_000, 5_000, 2016)
    assert story.session.status is SessionStatus.CREATED
    route = line(100_000, "abd")
    assert story.routes(route) == [ev.SendAttempt(1, route)]
    assert story.tell(ev.AttemptAccepted(1)) == []
    assert story.session.status is SessionStatus.INFLIGHT and story.status(1) is AttemptStatus.INFLIGHT
    assert paid_of(story.settles(1)) == ev.Paid(PREIMAGE, 100_000, 102_000, parts=1, incomplete=False)
    assert story.session.state is State.DONE and story.session.status is SessionStatus.SUCCESS


def test_settled_before_the_host_even_answered() -> None:
    """The notification overtakes the answer of `sendpay`."""
    story = Teller(terms())
    story.routes(line(100_000))
    assert paid_of(story.settles(1)).incomplete is False
    assert story.tell(ev.AttemptAccepted(1)) == []
    assert story.status(1) is AttemptStatus.SETTLED


def test_the_first_preimage_is_the_answer_while_the_other_half_is_out() -> None:
    story = halves()
    assert paid_of(story.settles(2)) == ev.Paid(PREIMAGE, 100_000, 102_000, parts=2, incomplete=True)
    assert story.session.state is State.DRAINING_PAID
    assert story.settles(1) == []
    assert story.session.state is State.DONE


def test_paid_while_more_is_being_planned() -> None:
    """The recipient takes half for the whole: routes that come then are not used."""
    story = halves()
    asked(story.fails(1, no_balance(1)))
    paid = paid_of(story.settles(2))
    assert (paid.sent_msat, paid.parts, paid.incomplete) == (51_000, 2, False)
    assert story.routes(line(50_000)) == []
    assert story.status(1) is AttemptStatus.FAILED


def test_a_part_reported_failed_is_paid_all_the_same() -> None:
    """The preimage is the truth, also where the retry is out and the two together exceed the amount."""
    story = Teller(terms())
    story.routes(line(100_000, "ad"))
    asked(story.fails(1, no_balance(1)))
    story.routes(line(100_000, "bd", first=11))
    paid = paid_of(story.settles(1))
    assert (paid.sent_msat, paid.parts, paid.incomplete) == (202_000, 2, True)
    assert story.settles(2) == [] and story.session.state is State.DONE


# --- retried --------------------------------------------------------------------------------------------------


def test_the_lesson_goes_into_the_next_question() -> None:
    """us ─1─ a ─2─ b ─3─ d: a has no balance in channel 2 for 101,000."""
    story = Teller(terms())
    story.routes(line(100_000, "abd"))
    again = asked(story.fails(1, no_balance(1), at=NOW + 3))
    assert again.query_id != story.questions[0].query_id
    assert again.query.amount_msat == 100_000 and again.query.max_fee_msat == 5_000
    assert again.restrictions.caps == {ScidDir(scid(2), 1): 100_999}
    assert story.status(1) is AttemptStatus.RETRYING
    route = line(100_000, "cd", first=21)
    assert story.routes(route) == [ev.SendAttempt(2, route)]
    assert paid_of(story.settles(2)).parts == 2
    assert story.status(1) is AttemptStatus.FAILED


def test_only_what_is_missing_is_asked_for() -> None:
    """One half failed: 50,000 with what its sister leaves of the fee budget, in at most 3 more parts."""
    story = halves()
    query = asked(story.fails(2, no_balance(1))).query
    assert (query.amount_msat, query.max_fee_msat, query.max_parts) == (50_000, 4_000, 3)


def test_both_halves_fail_while_the_first_question_is_open() -> None:
    """The answer to the question that is void now is ignored, whenever it comes."""
    story = halves()
    asked(story.fails(1, no_balance(1)))
    both = asked(story.fails(2, no_balance(1)))
    assert (both.query.amount_msat, both.query.max_fee_msat) == (100_000, 5_000)
    assert story.routes(line(50_000), query=-2) == []
    assert story.no_route(query=-2) == []
    assert story.session.state is State.WAITING_ROUTES
    route = line(100_000)
    assert story.routes(route) == [ev.SendAttempt(3, route)]
    assert story.routes(route) == [], "the same answer twice"


def test_old_failures_are_told_again() -> None:
    """The host's table is read every half a minute: it has part 1 as failed while part 2 is out."""
    story = Teller(terms())
    story.routes(line(100_000, "ad"))
    story.fails(1, no_balance(1))
    story.routes(line(100_000, "bd", first=11))
    for _ in range(2):
        assert story.fails(1, Failure(None, None, "")) == []
        assert story.tell(ev.HashTaken(1, "")) == []
        assert story.fails(77, Failure(None, None, "")) == []
        assert story.settles(77) == []
    assert story.session.state is State.IN_FLIGHT
    assert len(story.session.failures) == 1
    paid_of(story.settles(2))


def test_a_policy_is_believed_once() -> None:
    """a asks for more, gets it, and asks for the same again: then it is left out."""
    policy = Policy(3_000, 0, 40, 1, 10_000_000, timestamp=5)
    channel = ScidDir(scid(2), 1)
    failure = failed(1, FailCode.FEE_INSUFFICIENT, update=update_bytes(channel, policy))
    story = Teller(terms())
    story.routes(line(100_000, "ad"))
    first = asked(story.fails(1, failure)).restrictions
    assert first.policies == {channel: policy} and not first.excluded_channels
    story.routes(line(100_000, "ad", fee_msat=3_000))
    assert asked(story.fails(2, failure)).restrictions.excluded_channels == {channel}


def test_the_lowest_amount_that_failed_is_kept() -> None:
    """30,000 fails in channel 2; later 100,000 fails there, which is no news."""
    story = Teller(terms(max_parts=2))
    story.routes(line(30_000, "ad"), line(70_000, "bd", first=11))
    assert asked(story.fails(1, no_balance(1))).restrictions.caps == {ScidDir(scid(2), 1): 29_999}
    story.fails(2, no_balance(1))
    story.routes(line(100_000, "ad"))
    assert asked(story.fails(3, no_balance(1))).restrictions.caps[ScidDir(scid(2), 1)] == 29_999


def test_the_callers_exclusions_stay() -> None:
    excluded = ScidDir(scid(99), 0)
    story = Teller(terms(exclude_nodes=frozenset({node("x")}), exclude_channels=frozenset({excluded})))
    story.routes(line(100_000, "abd"))
    restrictions = asked(story.fails(1, failed(1, FailCode.PERMANENT_NODE_FAILURE))).restrictions
    assert restrictions.excluded_nodes == {node("x"), node("a")} and restrictions.excluded_channels == {excluded}


def test_no_route_is_left() -> None:
    story = Teller(terms())
    story.routes(line(100_000))
    story.fails(1, no_balance(2))
    error = error_of(story.no_route())
    assert error.code == Code.ROUTE_NOT_FOUND
    assert error.message.startswith("No route is left for 100 sat after 1 attempt; last failure: the channel ")


def test_no_route_for_one_half_waits_for_the_other() -> None:
    """205 only when nothing is out; and if the recipient takes the half, it is a success."""
    for settled in (False, True):
        story = halves()
        asked(story.fails(1, no_balance(1)))
        assert story.no_route() == []
        assert story.session.state is State.DRAINING_FAILED
        assert story.status(1) is AttemptStatus.FAILED, "nothing is planned any more"
        if settled:
            assert paid_of(story.settles(2)).incomplete is False
        else:
            assert error_of(story.fails(2, no_balance(1))).code == Code.ROUTE_NOT_FOUND


# --- refused --------------------------------------------------------------------------------------------------


def test_the_recipient_refuses() -> None:
    story = Teller(terms())
    story.routes(line(100_000, "abcd"))
    error = error_of(story.fails(1, unknown_payment(4)))
    assert error.code == Code.DESTINATION_FAILED
    assert error_data(error)["failcode"] == 0x400F and error_data(error)["erring_index"] == 4
    assert error_data(error)["erring_node"] == node("d").hex() and error_data(error)["erring_channel"] == "0x0x0"


def test_refused_while_the_other_half_is_out() -> None:
    story = halves()
    assert story.fails(1, unknown_payment(2)) == []
    assert story.session.state is State.DRAINING_FAILED
    error = error_of(story.fails(2, Failure(None, None, "")))
    assert error.code == Code.DESTINATION_FAILED


def test_refused_and_paid() -> None:
    """The one part is refused, the other one settled: it is paid."""
    story = halves()
    assert story.fails(1, unknown_payment(2)) == []
    paid_of(story.settles(2))


def test_a_node_on_the_way_cannot_refuse_for_the_recipient() -> None:
    story = Teller(terms())
    story.routes(line(100_000, "abcd"))
    asked(story.fails(1, unknown_payment(3)))


# --- the session against its driver and its planner -----------------------------------------------------------


def test_started_twice() -> None:
    """A second start neither asks again nor replaces parts that are out."""
    story = Teller(terms())
    assert story.tell(ev.Started()) == []
    assert story.tell(ev.Started((ev.FoundPart(3, 50_000, 50_500),))) == []
    story.routes(line(100_000))
    asked(story.fails(1, no_balance(1)))
    assert story.tell(ev.Started((ev.FoundPart(1, 1, 1),))) == []
    assert story.session.attempts[1].amount_msat == 100_000


def test_nothing_happens_before_the_start() -> None:
    session = PaymentSession(terms())
    for event in (
        ev.RoutesFound(0, (line(100_000),)),
        ev.RoutesFound(1, (line(100_000),)),
        ev.NoRouteFound(0, NO_ROUTE),
        ev.AttemptSettled(1, PREIMAGE),
        ev.AttemptFailed(1, no_balance(1), HEIGHT),
        ev.TimerFired(),
        ev.HeightReached(HEIGHT),
    ):
        assert session.handle(event, NOW + 100) == [], event
    assert session.attempts == {} and session.result is None


BROKEN_PLANS = {
    "nothing": (),
    "too little": (line(99_999, "ad"),),
    "a msat too much": (line(100_001, "ad"),),
    "twice": (line(100_000, "ad"), line(100_000, "bd")),
    "a part of nothing": (line(100_000, "ad"), line(0, "bd", fee_msat=0)),
    "too expensive": (line(100_000, "ad", fee_msat=5_001),),
    "too expensive together": (line(50_000, "ad", fee_msat=2_501), line(50_000, "bd", fee_msat=2_500)),
    "too long": (line(100_000, "ad", delta=2016),),
}


@pytest.mark.parametrize("routes", BROKEN_PLANS.values(), ids=BROKEN_PLANS)
def test_a_plan_that_breaks_the_terms_is_never_sent(routes: tuple[Route, ...]) -> None:
    """The planner checks its plans; were that wrong, this is the last guard before money moves."""
    story = Teller(terms(max_parts=4))
    with pytest.raises(SessionError):
        story.routes(*routes)


def test_limits_reached_but_not_passed() -> None:
    story = Teller(terms(max_delay_blocks=58))
    assert len(story.routes(line(100_000, "ad", fee_msat=5_000, delta=40))) == 1
