"""The table of transitions: every event in every state, listed or not.

A session is brought into each state by a short story; then it is told one event of each kind, meaningful and not.
"""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import Any

import pytest

from pay.errors import Code, PayError
from pay.feedback.failure import FailCode
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from pay.payment.states import TRANSITIONS, State
from pay.routing.query import NoRoute, NoRouteReason
from pay.units import ScidDir
from tests.support.payments import HEIGHT, NOW, PREIMAGE, failed, line, no_balance, scid, terms, unknown_payment

NONE = NoRoute(NoRouteReason.UNREACHABLE, "none")
HALVES = ev.RoutesFound(1, (line(50_000, "ad"), line(50_000, "bcd", first=11)))
HINT = ScidDir(scid(13), 0)

STORIES: dict[State, list[ev.Event]] = {
    State.WAITING_ROUTES: [ev.Started()],
    State.IN_FLIGHT: [ev.Started(), HALVES],
    State.WAITING_HEIGHT: [ev.Started(), HALVES, ev.AttemptFailed(1, unknown_payment(2, HEIGHT + 1), HEIGHT)],
    State.PAUSING: [
        ev.Started(),
        HALVES,
        ev.AttemptFailed(2, failed(2, FailCode.UNKNOWN_NEXT_PEER), HEIGHT),
        ev.NoRouteFound(2, replace(NONE, resting=True)),
    ],
    State.DRAINING_FAILED: [ev.Started(), HALVES, ev.AttemptFailed(1, unknown_payment(2), HEIGHT)],
    State.DRAINING_PAID: [ev.Started(), HALVES, ev.AttemptSettled(1, PREIMAGE)],
    State.DONE: [ev.Started(), ev.NoRouteFound(1, NONE)],
}

# One of each kind that means something, and one that does not, to whatever is out or asked in the stories above.
EVENTS: dict[type, list[ev.Event]] = {
    ev.Started: [ev.Started(), ev.Started((ev.FoundPart(1, 1, 1),))],
    ev.RoutesFound: [HALVES, ev.RoutesFound(99, (line(1),))],
    ev.NoRouteFound: [ev.NoRouteFound(1, NONE), ev.NoRouteFound(99, NONE)],
    ev.AttemptAccepted: [ev.AttemptAccepted(1), ev.AttemptAccepted(2), ev.AttemptAccepted(99)],
    ev.AttemptSettled: [ev.AttemptSettled(n, PREIMAGE) for n in (1, 2, 99)],
    ev.AttemptFailed: [
        ev.AttemptFailed(partid, failure, HEIGHT)
        for partid in (1, 2, 99)
        for failure in (no_balance(1), unknown_payment(2), unknown_payment(3), unknown_payment(3, HEIGHT + 2))
    ],
    ev.HashTaken: [ev.HashTaken(n, "in progress") for n in (1, 2, 99, None)],
    ev.TimerFired: [ev.TimerFired()],
    ev.PeersBack: [ev.PeersBack()],
    ev.HeightReached: [ev.HeightReached(HEIGHT), ev.HeightReached(HEIGHT + 1)],
    ev.Cancelled: [ev.Cancelled(PayError(Code.OTHER, "stop"))],
    ev.Crashed: [
        ev.Crashed(ev.NotPaid(PayError(Code.OTHER, "a bug")), frozenset()),
        ev.Crashed(ev.Paid(PREIMAGE, 100_000, 101_000, 2, True), None),
        ev.Crashed(ev.Paid(PREIMAGE, 100_000, 101_000, 2, True), frozenset({1})),
    ],
}

TIMES = [NOW + 2, NOW + 4, NOW + 60, NOW + 4_000]
"""At once, after a nap, at the deadline, and when the invoice has expired."""


def brought_to(state: State) -> PaymentSession:
    session = PaymentSession(terms(max_parts=4, wakeable=frozenset({HINT})))
    for event in STORIES[state]:
        session.handle(event, NOW)
    assert session.state is state
    return session


def everything_in(session: PaymentSession) -> str:
    return repr(vars(session))


def each(state: State, told: type) -> list[tuple[ev.Event, float]]:
    return [(event, now) for event in EVENTS[told] for now in TIMES]


PAIRS = [(state, told) for state in State for told in EVENTS]


def named(value: Any) -> str:
    return value.name if isinstance(value, State) else value.__name__


def test_every_event_is_tried() -> None:
    assert set(EVENTS) == set(typing.get_args(ev.Event))
    assert set(STORIES) == set(State)
    assert all(state in State and told in EVENTS for state, told in TRANSITIONS)


@pytest.mark.parametrize(("state", "told"), [p for p in PAIRS if p not in TRANSITIONS], ids=named)
def test_what_is_not_listed_changes_nothing(state: State, told: type) -> None:
    for event, now in each(state, told):
        session = brought_to(state)
        before = everything_in(session)
        assert session.handle(event, now) == []
        assert everything_in(session) == before


@pytest.mark.parametrize(("state", "told"), [p for p in PAIRS if p in TRANSITIONS], ids=named)
def test_what_is_listed_leads_where_it_says(state: State, told: type) -> None:
    """No event at any of the times raises; a session ends where the table says, or stays."""
    for event, now in each(state, told):
        session = brought_to(state)
        session.handle(event, now)
        assert session.state in TRANSITIONS[state, told] | {state}


def test_an_end_is_an_end() -> None:
    """Nothing leaves DONE, a success is never given up, and no failure is taken back but by a preimage."""
    assert not [pair for pair in TRANSITIONS if pair[0] is State.DONE]
    for (state, told), after in TRANSITIONS.items():
        if state is State.DRAINING_PAID:
            assert after <= {State.DRAINING_PAID, State.DONE}
        if state is State.DRAINING_FAILED:
            paid = {State.DRAINING_PAID} if told in (ev.AttemptSettled, ev.Crashed) else set()
            assert after <= {State.DRAINING_FAILED, State.DONE} | paid
        if told is ev.AttemptSettled:
            assert after == {State.DRAINING_PAID, State.DONE}
