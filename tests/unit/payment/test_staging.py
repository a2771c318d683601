"""Which parts of a plan go at once: five through each node on the way of which nothing was heard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.feedback.failure import FailCode
from pay.payment import events as ev
from pay.payment.attempt import Attempt
from pay.payment.staging import HELD_S, HOP_S, Staging
from pay.payment.states import AttemptStatus, State
from pay.routing.query import Route
from tests.support.payments import HEIGHT, NOW, PREIMAGE, blamed, failed, line, no_balance, terms
from tests.support.sessions import Teller

LAST = NOW + 60
OUT = AttemptStatus.INFLIGHT


def parts(number: int, names: str = "abd", amount_msat: int = 10_000) -> tuple[Route, ...]:
    """So many along the same nodes, each over channels of its own."""
    return tuple(line(amount_msat, names, first=10 * place + 1) for place in range(number))


def attempt(route: Route | None, status: AttemptStatus = OUT, started_s: float = NOW) -> Attempt:
    return Attempt(1, route, 10_000, 12_000, status, started_s)


def stage(routes: tuple[Route, ...], *attempts: Attempt, now: float = NOW) -> tuple[int, int, float | None]:
    """How many go, how many wait, and for how many seconds."""
    staging = Staging()
    going = staging.stage(routes, attempts, now, LAST)
    assert set(going) | set(staging.routes) == set(routes)
    return len(going), len(staging.routes), staging.until_s - now if staging else None


def test_five_through_a_node_and_none_more() -> None:
    assert stage(parts(5)) == (5, 0, None)
    assert stage(parts(6)) == (5, 1, 2 * HOP_S), "b is two hops away, and has five as well as a"
    assert stage(parts(30)) == (5, 25, 2 * HOP_S)
    assert stage(parts(6, "ad")) == (5, 1, HOP_S)


def test_the_recipient_is_no_node_on_the_way() -> None:
    direct, other = parts(30, "d"), parts(5, "ad")
    assert stage(direct) == (30, 0, None)
    assert stage(direct + other) == (35, 0, None)


def test_the_largest_go_first_and_those_that_go_keep_their_order() -> None:
    amounts = [1_000, 9_000, 2_000, 8_000, 7_000, 3_000, 6_000]
    routes = tuple(line(amount, "ad", first=10 * place + 1) for place, amount in enumerate(amounts))
    staging = Staging()
    going = staging.stage(routes, (), NOW, LAST)
    assert [route.amount_msat for route in going] == [9_000, 8_000, 7_000, 3_000, 6_000]
    assert [route.amount_msat for route in staging.routes] == [1_000, 2_000]


def test_parts_that_are_out_count() -> None:
    out = [attempt(route) for route in parts(4, "ad")]
    assert stage(parts(3, "ad"), *out) == (1, 2, HOP_S)
    assert stage(parts(3, "ad"), *out, now=NOW + 0.2) == (1, 2, pytest.approx(HOP_S - 0.2))
    assert stage(parts(3, "cd"), *out) == (3, 0, None), "another node"
    ended = [replace(part, status=AttemptStatus.FAILED) for part in out]
    assert stage(parts(3, "ad"), *ended) == (3, 0, None)


def test_no_news_for_long_enough_are_good_news() -> None:
    quiet = attempt(line(10_000, "abd"))
    routes = parts(30)
    assert stage(routes, quiet, now=NOW + HOP_S) == (4, 26, HOP_S), "a has passed it on, and b not yet"
    assert stage(routes, quiet, now=NOW + 2 * HOP_S) == (30, 0, None)


@pytest.mark.parametrize(
    ("speaker", "going"),
    [(1, 5), (2, 5), (3, 30)],
    ids=["a refused", "a forwarded and b refused", "the recipient spoke"],
)
def test_who_was_passed_has_forwarded(speaker: int, going: int) -> None:
    route = line(10_000, "abd")
    failure = no_balance(speaker) if speaker < 3 else failed(speaker, FailCode.MPP_TIMEOUT)
    said = blamed(route, failure)
    told = replace(attempt(route, AttemptStatus.RETRYING), blame=said)
    assert stage(parts(30), told)[0] == going
    assert stage(parts(30, "ad"), told)[0] == (5 if speaker == 1 else 30)


def test_a_part_of_an_earlier_run_says_nothing() -> None:
    assert stage(parts(6, "ad"), attempt(None, started_s=NOW - 20)) == (5, 1, HOP_S)


def test_nobody_waits_once_the_recipient_has_held_a_part_for_long() -> None:
    held = attempt(line(10_000, "cd"), started_s=NOW - HELD_S)
    assert stage(parts(30), held) == (30, 0, None)
    assert stage(parts(30), replace(held, started_s=NOW - HELD_S + 0.1)) == (5, 25, 2 * HOP_S)


def test_nobody_waits_until_there_is_no_time_left() -> None:
    for last_s, going in ((NOW + HOP_S, 6), (NOW + HOP_S + 0.1, 5), (NOW, 6), (NOW - 1, 6)):
        staging = Staging()
        assert len(staging.stage(parts(6, "ad"), (), NOW, last_s)) == going
        assert len(staging.routes) == 6 - going


# --- in a payment -----------------------------------------------------------------------------------------------


def ten(**changes: object) -> Teller:
    """Ten parts of 10,000 by way of a: five are out."""
    story = Teller(terms(max_parts=10, max_fee_msat=10_000, **changes))
    story.routes(*(line(10_000, "ad", first=10 * place + 1) for place in range(10)))
    return story


def test_the_others_follow_and_the_deadline_is_minded_again() -> None:
    story = ten()
    assert story.session.in_flight_msat == 50_000
    assert story.tell(ev.TimerFired(), at=NOW + 0.4) == [ev.WakeAt(NOW + HOP_S)]
    wake, *sent = story.tell(ev.TimerFired(), at=NOW + HOP_S)
    assert wake == ev.WakeAt(NOW + 60)
    assert [action.partid for action in sent if isinstance(action, ev.SendAttempt)] == [6, 7, 8, 9, 10]
    assert story.session.in_flight_msat == 100_000
    assert story.tell(ev.TimerFired(), at=NOW + 1) == [ev.WakeAt(NOW + 60)]


def test_what_waits_is_asked_for_again_with_what_failed() -> None:
    story = ten()
    *_, asked = story.fails(1, no_balance(1))
    assert isinstance(asked, ev.FindRoutes) and asked.query.amount_msat == 60_000
    assert story.tell(ev.TimerFired(), at=NOW + HOP_S) == [ev.WakeAt(NOW + 60)], "nothing waits any more"
    assert story.session.in_flight_msat == 40_000


def test_nothing_follows_a_preimage_or_a_verdict() -> None:
    story = ten()
    story.tell(ev.AttemptSettled(1, PREIMAGE))
    assert story.tell(ev.TimerFired(), at=NOW + HOP_S) == []
    story = ten()
    story.tell(ev.AttemptFailed(1, failed(2, FailCode.UNKNOWN_PAYMENT, height=HEIGHT), HEIGHT))
    assert story.session.state is State.DRAINING_FAILED
    assert story.tell(ev.TimerFired(), at=NOW + HOP_S) == []


def test_a_timer_that_comes_too_late() -> None:
    """A machine that hung: what waited is not sent after the deadline, and the answer waits for what is out."""
    story = ten()
    actions = story.tell(ev.TimerFired(), at=NOW + 61)
    assert not any(isinstance(action, ev.SendAttempt) for action in actions)
    assert story.session.state is State.DRAINING_FAILED and story.session.in_flight_msat == 50_000


def test_an_invoice_that_expires_first() -> None:
    """Parts that would have to wait until then go at once."""
    assert ten(expires_at_s=NOW + HOP_S).session.in_flight_msat == 100_000
    assert ten(expires_at_s=NOW + HOP_S + 0.1).session.in_flight_msat == 50_000
