"""Payments as stories: what is kept of each part, and news of it that is late, twice or against what is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.commands.form.errors import error_data
from pay.errors import Code, PayError
from pay.feedback.blame import Kind
from pay.feedback.failure import FailCode, Failure
from pay.network.policy import Policy
from pay.payment import events as ev
from pay.payment.attempt import Attempt
from pay.payment.session import PaymentSession, SessionError
from pay.payment.states import TRANSITIONS, AttemptStatus, State
from pay.routing.query import Restrictions
from pay.units import ScidDir
from tests.support.payments import (
    HEIGHT,
    NOW,
    PREIMAGE,
    failed,
    line,
    no_balance,
    scid,
    terms,
    unknown_payment,
    update_bytes,
)
from tests.support.sessions import AWAY, DEADLINE, EXPIRY, Teller, asked, error_of, halves, paid_of

CREATED, INFLIGHT, SETTLED = AttemptStatus.CREATED, AttemptStatus.INFLIGHT, AttemptStatus.SETTLED
RETRYING, FAILED = AttemptStatus.RETRYING, AttemptStatus.FAILED


def thirds() -> Teller:
    """Three parts are out, over channels of their own: 30,000, 30,000 and 40,000."""
    story = Teller(terms(max_parts=4))
    story.routes(line(30_000, "ad"), line(30_000, "bd", first=11), line(40_000, "cd", first=21))
    return story


# --- what is kept of a part -----------------------------------------------------------------------------------


def test_a_part_from_its_order_to_its_failure() -> None:
    story, route, failure = Teller(terms()), line(100_000, "ad"), no_balance(1)
    story.routes(route, at=NOW + 2)
    assert story.session.attempts == {1: Attempt(1, route, 100_000, 101_000, CREATED, NOW + 2)}
    assert (story.session.in_flight_msat, story.session.delivered_msat) == (100_000, 0)
    story.tell(ev.AttemptAccepted(1))
    assert story.status(1) is INFLIGHT
    story.fails(1, failure, at=NOW + 3)
    kept = story.session.attempts[1]
    assert kept.status is RETRYING and kept.failure is failure
    assert kept.blame is not None and kept.blame.kind is Kind.LACKS_BALANCE
    assert (story.session.in_flight_msat, story.session.delivered_msat) == (0, 0)


def test_adopted_parts_have_a_row_and_a_date() -> None:
    dated, undated = ev.FoundPart(3, 50_000, 50_500, NOW - 90), ev.FoundPart(4, 50_000, 50_700)
    story = Teller(terms(first_partid=5), (dated, undated))
    assert story.session.state is State.IN_FLIGHT
    assert list(story.session.attempts.values()) == [
        Attempt(3, None, 50_000, 50_500, INFLIGHT, NOW - 90),
        Attempt(4, None, 50_000, 50_700, INFLIGHT, NOW),
    ]
    assert story.tell(ev.Started((undated,))) == [], "started twice"


def test_a_msat_is_missing() -> None:
    """All but one msat is out: that one is asked for, and a part of one msat is a part."""
    story = Teller(terms(first_partid=5), (ev.FoundPart(4, 99_999, 100_999),))
    assert story.questions[0].query.amount_msat == 1
    assert len(story.routes(line(1, "ad"))) == 1


def test_to_ourselves_there_is_one_part_without_a_number() -> None:
    story = Teller(terms(to_self=True))
    assert story.session.attempts == {0: Attempt(0, None, 100_000, 100_000, CREATED, NOW)}
    assert story.session.state is State.IN_FLIGHT
    assert story.tell(ev.Started()) == [], "started twice"


def test_a_fee_for_nothing_is_never_sent() -> None:
    story = Teller(terms(max_parts=4))
    with pytest.raises(SessionError):
        story.routes(line(100_000, "ad"), line(0, "bd", fee_msat=1_000))


# --- the figures of a success, later --------------------------------------------------------------------------


def test_the_other_half_settles_after_the_answer() -> None:
    """A share of 100,000 of a payment of 300,000, with a shadow fee: what others pay of it is never missing."""
    story = Teller(terms(total_msat=300_000, max_parts=4).with_shadow(blocks=0, fee_msat=500))
    story.routes(line(50_500, "ad"), line(50_000, "bd", first=11))
    assert paid_of(story.settles(1)) == ev.Paid(PREIMAGE, 100_000, 102_500, 2, incomplete=True)
    assert story.session.paid == ev.Paid(PREIMAGE, 100_000, 102_500, 2, incomplete=True)
    assert (story.session.delivered_msat, story.session.in_flight_msat) == (50_500, 50_000)
    story.settles(2)
    assert story.session.paid == ev.Paid(PREIMAGE, 100_000, 102_500, 2, incomplete=False)


def test_the_other_half_fails_after_the_answer() -> None:
    """It is paid, for less than the recipient had asked: nothing is out any more, and something is missing."""
    story = halves()
    story.settles(1)
    assert story.fails(2, no_balance(1)) == []
    assert story.status(2) is FAILED and story.session.state is State.DONE
    assert story.session.paid == ev.Paid(PREIMAGE, 100_000, 51_000, 2, incomplete=True, failed_parts=1)


def test_the_retry_is_out_when_the_part_before_it_settles() -> None:
    """All of it is delivered, and the retry may be as well: the warning stays until that has ended."""
    story = Teller(terms())
    story.routes(line(100_000, "ad"))
    asked(story.fails(1, no_balance(1)))
    story.routes(line(100_000, "bd", first=11))
    story.settles(1)
    assert story.session.paid == ev.Paid(PREIMAGE, 100_000, 202_000, 2, incomplete=True)
    story.fails(2, no_balance(1))
    assert story.session.paid == ev.Paid(PREIMAGE, 100_000, 101_000, 2, incomplete=False, failed_parts=1)


def test_what_is_not_paid_has_no_figures() -> None:
    story = halves()
    assert story.session.paid is None
    story.tell(ev.Cancelled(PayError(Code.OTHER, "stop")))
    story.fails(1, no_balance(1))
    story.fails(2, no_balance(1))
    assert story.session.paid is None and story.session.result is not None


# --- news that is old, or against what is known ---------------------------------------------------------------


def test_one_of_three_is_paid() -> None:
    """The two that are out end one after the other, however they do; the payment is over with the last."""
    story = thirds()
    paid_of(story.settles(1))
    assert story.tell(ev.HashTaken(2, "in progress")) == []
    assert story.status(2) is FAILED and story.session.state is State.DRAINING_PAID
    assert story.fails(3, no_balance(1)) == []
    assert story.status(3) is FAILED and story.session.state is State.DONE
    story = thirds()
    paid_of(story.settles(1))
    assert story.fails(3, no_balance(1)) == []
    assert story.session.state is State.DRAINING_PAID
    assert story.tell(ev.HashTaken(2, "in progress")) == []
    assert story.session.state is State.DONE


def test_what_is_paid_stays_paid() -> None:
    """Part 1 has settled; late news has it failed, taken for another sender's, or just accepted by the node."""
    story = halves()
    story.settles(1)
    for event in (
        ev.AttemptFailed(1, no_balance(1), HEIGHT),
        ev.HashTaken(1, "in progress"),
        ev.AttemptAccepted(1),
    ):
        assert story.tell(event) == []
        assert story.status(1) is SETTLED and story.session.state is State.DRAINING_PAID
    assert story.session.failures == [] and story.session.delivered_msat == 50_000


def test_a_part_that_was_given_up_is_paid_all_the_same() -> None:
    """Nothing is left to try for it, so it is Failed; its sister is out, and its preimage comes."""
    story = halves()
    asked(story.fails(1, no_balance(1)))
    assert story.no_route() == [] and story.status(1) is FAILED
    assert story.tell(ev.AttemptAccepted(1)) == [] and story.status(1) is FAILED
    assert paid_of(story.settles(1)) == ev.Paid(PREIMAGE, 100_000, 102_000, 2, incomplete=True)
    assert story.status(1) is SETTLED


def test_nobody_knows_such_a_part() -> None:
    story = halves()
    for event in (ev.HashTaken(77, "in progress"), ev.AttemptAccepted(77), ev.AttemptSettled(77, PREIMAGE)):
        assert story.tell(event) == []
    assert story.session.state is State.IN_FLIGHT and len(story.session.attempts) == 2


def test_another_group_was_paid() -> None:
    """No part of ours is named: nothing more is sent, and the answer is theirs once ours are over."""
    story = Teller(terms())
    assert story.tell(ev.HashTaken(None, "group 7 was paid")) == [ev.Finish(ev.Elsewhere("group 7 was paid"))]
    story = halves()
    assert story.tell(ev.HashTaken(None, "group 7 was paid")) == []
    story.fails(1, no_balance(1))
    assert story.fails(2, no_balance(1)) == [ev.Finish(ev.Elsewhere("group 7 was paid"))]


# --- what is learnt from a part -------------------------------------------------------------------------------


def test_what_the_sister_holds_is_in_the_cap() -> None:
    """40,000 and 60,000 go over channel 2; it lacks the balance for the first while it has the second."""
    story = Teller(terms(max_parts=4))
    story.routes(line(40_000, "ad"), line(60_000, "ad"))
    assert asked(story.fails(1, no_balance(1))).restrictions.caps == {ScidDir(scid(2), 1): 40_000 + 60_000 - 1}


def test_the_same_news_of_two_parts_that_were_out_together() -> None:
    """Both were planned before a asked for more: it is asked what it asks, and is left where it lies again."""
    channel, policy = ScidDir(scid(2), 1), Policy(3_000, 0, 40, 1, 10_000_000, timestamp=5)
    failure = failed(1, FailCode.FEE_INSUFFICIENT, update=update_bytes(channel, policy))
    story = Teller(terms(max_parts=4))
    story.routes(line(40_000, "ad"), line(60_000, "ad"))
    asked(story.fails(1, failure))
    both = asked(story.fails(2, failure)).restrictions
    assert both.policies == {channel: policy} and not both.excluded_channels
    assert [refused.times for refused in both.refusals.values()] == [1]
    story.routes(line(100_000, "ad", fee_msat=3_000))
    third = asked(story.fails(3, failure)).restrictions
    assert third.excluded_channels == {channel}
    assert [refused.times for refused in third.refusals.values()] == [2], "it knew what this one was planned with"


@pytest.mark.parametrize(("total_msat", "way_in_is_good"), [(100_001, True), (100_000, False)])
def test_the_recipient_waits_for_parts_of_others(total_msat: int, way_in_is_good: bool) -> None:
    """Our share is all here; the others' are missing, and that is no fault of the last channel."""
    story = Teller(terms(total_msat=total_msat))
    story.routes(line(100_000, "ad"))
    again = asked(story.fails(1, failed(2, FailCode.MPP_TIMEOUT))).restrictions
    assert again.reached and (again == Restrictions(reached=True)) is way_in_is_good
    assert (again.excluded_channels == {ScidDir(scid(2), 1)}) is not way_in_is_good


# --- pauses, and where there is none --------------------------------------------------------------------------

NO_SLOT = failed(0, FailCode.TEMPORARY_CHANNEL_FAILURE, "Too many HTLCs")


def refusals(story: Teller, *failures: Failure) -> list[type]:
    """The first action after each, of parts one after the other."""
    made = []
    for failure in failures:
        partid = len(story.session.attempts) + 1
        story.routes(line(100_000, "ad", first=partid * 10))
        made.append(type(story.fails(partid, failure)[0]))
    return made


def test_only_our_own_refusals_in_a_row_make_a_pause() -> None:
    """Another node's between them begins the count anew; a pause does as well."""
    story = Teller(terms())
    assert refusals(story, *[no_balance(1)] * 11, *[NO_SLOT] * 9, no_balance(1)) == [ev.FindRoutes] * 21
    assert refusals(story, *[NO_SLOT] * 10) == [ev.FindRoutes] * 9 + [ev.WakeAt]
    story.tell(ev.TimerFired(), at=NOW + 1)
    assert refusals(story, *[NO_SLOT] * 10) == [ev.FindRoutes] * 9 + [ev.WakeAt]


def test_no_pause_where_nothing_may_follow() -> None:
    """Ten refusals of our own are all the attempts that are allowed, or the invoice has expired by the nap."""
    story = Teller(terms(max_attempts=10))
    assert refusals(story, *[NO_SLOT] * 10) == [ev.FindRoutes] * 9 + [ev.Finish]
    story = Teller(terms(patient_until_s=EXPIRY + 60, deadline_s=EXPIRY + 60))
    story.now = EXPIRY + 1
    assert error_of(story.no_route()).code == Code.INVOICE_EXPIRED


def test_our_peers_may_not_be_connected_yet() -> None:
    """The node has just started: "no route" is believed half a minute later."""
    story = Teller(terms(patient_until_s=NOW + 30))
    assert story.no_route() == [ev.WakeAt(NOW + 3)] and story.session.state is State.PAUSING
    story.tell(ev.TimerFired(), at=NOW + 29.9)
    assert story.no_route() == [ev.WakeAt(NOW + 32.9)]
    story.tell(ev.TimerFired(), at=NOW + 32.9)
    assert error_of(story.no_route()).code == Code.ROUTE_NOT_FOUND
    story = Teller(terms(patient_until_s=NOW))
    assert error_of(story.no_route()).code == Code.ROUTE_NOT_FOUND


# --- time -----------------------------------------------------------------------------------------------------


def test_the_expiry_is_by_the_clock_on_the_wall() -> None:
    """The deadline's clock only goes forward; it says nothing of the hour."""
    session = PaymentSession(terms())
    (finish,) = session.handle(ev.Started(), NOW, EXPIRY + 1)[1:]
    assert isinstance(finish, ev.Finish) and isinstance(finish.result, ev.NotPaid)
    assert finish.result.error.code == Code.INVOICE_EXPIRED
    session = PaymentSession(terms(deadline_s=EXPIRY + 60))
    assert isinstance(session.handle(ev.Started(), EXPIRY + 1, NOW)[1], ev.FindRoutes)


def test_words_when_time_is_up() -> None:
    story = halves()
    assert story.tell(ev.TimerFired(), at=DEADLINE) == []
    assert story.told[-1].startswith("retry_for (60 s) is over: no new parts are sent; 2 parts are ")


def test_time_is_up_while_routes_are_looked_for_and_none_was_busy() -> None:
    story = Teller(terms())
    story.routes(line(100_000))
    asked(story.fails(1, no_balance(2), at=DEADLINE - 1))
    error = error_of(story.tell(ev.TimerFired(), at=DEADLINE))
    assert (error.code, error_data(error).get("reason")) == (Code.STOPPED_RETRYING, None)


STILL_OUT = "No new parts are sent; "


def test_callers_hear_once_that_the_answer_waits() -> None:
    story = thirds()
    assert story.fails(1, unknown_payment(2)) == []
    assert story.told[-1].startswith(STILL_OUT + "2 parts are ") and "error 203" in story.told[-1]
    assert story.fails(2, no_balance(1)) == story.tell(ev.Cancelled(PayError(Code.OTHER, "stop"))) == []
    assert len([words for words in story.told if words.startswith(STILL_OUT)]) == 1


def test_no_error_is_announced_where_there_is_none() -> None:
    """Parts of another sender are watched, or another group has the hash: the answer is not this error."""
    watched = Teller(terms(watched=True), (ev.FoundPart(1, 50_000, 50_000), ev.FoundPart(2, 50_000, 50_000)))
    taken = halves()
    taken.tell(ev.HashTaken(2, "in progress"))
    assert watched.told == [] and not [words for words in taken.told if words.startswith(STILL_OUT)]


# --- a bug of ours --------------------------------------------------------------------------------------------


def test_a_step_that_the_table_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """All transitions are in one table: a session that leaves it stops, before its part goes out."""
    story = Teller(terms())
    monkeypatch.setitem(TRANSITIONS, (State.WAITING_ROUTES, ev.RoutesFound), frozenset({State.DONE}))
    with pytest.raises(SessionError, match="WAITING_ROUTES went to IN_FLIGHT on RoutesFound"):
        story.routes(line(100_000))


def test_heights_are_waited_for_with_the_others_out() -> None:
    """A question was open for the first half; the second is refused by a recipient ahead of us, so it is void."""
    story = halves()
    asked(story.fails(1, no_balance(1)))
    assert ev.WaitHeight(HEIGHT + 1) in story.fails(2, unknown_payment(2, HEIGHT + 1))
    assert story.routes(line(50_000)) == []
    asked(story.tell(ev.HeightReached(HEIGHT + 1)))


def test_nobody_is_answered_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has no way back from Done; were there one, the second answer would be an error of ours."""
    story = Teller(terms())
    error_of(story.no_route())
    monkeypatch.setitem(TRANSITIONS, (State.DONE, ev.Cancelled), frozenset({State.DONE}))
    with pytest.raises(SessionError, match="finished twice"):
        story.tell(ev.Cancelled(PayError(Code.OTHER, "stop")))


def test_more_parts_than_usual_only_where_the_first_plan_had_to() -> None:
    """Two are usual, four allowed. Once one of two has failed, crumbs go only over channels that have not refused:
    to a recipient that was away 97 HTLCs went where there had been 46. What needed three parts from the start may
    need them again, also if that was before a restart."""
    story = Teller(terms(usual_parts=2, max_parts=4))
    assert story.questions[0].query.most_parts == 4
    story.routes(line(40_000, "ad"), line(60_000, "bd", first=11))
    query = asked(story.fails(1, no_balance(1))).query
    assert (query.max_parts, query.most_parts, query.fresh_parts) == (1, 0, 3)
    many = Teller(terms(usual_parts=2, max_parts=4))
    many.routes(line(30_000, "ad"), line(30_000, "bd", first=11), line(40_000, "cd", first=21))
    query = asked(many.fails(1, no_balance(1))).query
    assert (query.max_parts, query.most_parts, query.fresh_parts) == (1, 2, 0)
    parts = tuple(ev.FoundPart(partid, 30_000, 30_003, NOW) for partid in (1, 2, 3))
    adopted = Teller(terms(90_000, usual_parts=2, max_parts=4, first_partid=4), parts)
    query = asked(adopted.fails(1, no_balance(1))).query
    assert (query.max_parts, query.most_parts, query.fresh_parts) == (1, 2, 0)


def test_a_part_that_is_long_out_may_have_reached_the_recipient() -> None:
    """One half is refused at the recipient's door: the other one is given two seconds. If it is still out then,
    the recipient seems to be there; when it comes back refused as well, that was not so."""
    story = halves()
    refused = replace(AWAY, money=True)
    asked(story.fails(1, no_balance(1)))
    assert story.no_route(why=refused) == [ev.WakeAt(NOW + 2)]
    _, again = story.tell(ev.TimerFired(), at=NOW + 2)
    assert isinstance(again, ev.FindRoutes) and again.restrictions.reached
    story.routes(line(50_000, "cd", first=21))
    asked(story.fails(2, no_balance(1)))
    last = asked(story.fails(3, no_balance(1)))
    assert not last.restrictions.reached and len(last.restrictions.doors) == 3
