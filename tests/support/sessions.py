"""Tells a session what happens, for the stories of `tests/unit/payment/test_session*.py`."""

from __future__ import annotations

from dataclasses import replace

from pay.errors import PayError
from pay.feedback.failure import Failure
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from pay.payment.states import AttemptStatus
from pay.payment.terms import Terms
from pay.routing.query import NoRoute, NoRouteReason, Route
from tests.support.payments import (
    HEIGHT,
    NOW,
    PREIMAGE,
    line,
    terms,
)

DEADLINE, EXPIRY = NOW + 60, NOW + 3600
NO_ROUTE = NoRoute(NoRouteReason.UNREACHABLE, "No channels lead to the recipient")

RESTING = replace(NO_ROUTE, resting=True)
"""There would be routes over what is left alone for a moment."""

AWAY = replace(NO_ROUTE, reason=NoRouteReason.RECIPIENT_REFUSES, doors=1)
"""The recipient's only channel says that it is away."""


class Teller:
    """Tells a session what happens; each method gives back the actions.

    Questions are kept as well, and words for the callers are put aside in `told`.
    """

    def __init__(self, payment: Terms, found: tuple[ev.FoundPart, ...] = ()):
        self.session = PaymentSession(payment)
        self.questions: list[ev.FindRoutes] = []
        self.told: list[str] = []
        self.now = NOW
        self.first = self.tell(ev.Started(found))

    def tell(self, event: ev.Event, at: float | None = None) -> list[ev.Action]:
        self.now = self.now if at is None else at
        actions = self.session.handle(event, self.now)
        self.questions += [action for action in actions if isinstance(action, ev.FindRoutes)]
        self.told += [action.message for action in actions if isinstance(action, ev.Notify)]
        return [action for action in actions if not isinstance(action, ev.Notify)]

    def routes(self, *routes: Route, query: int = -1, at: float | None = None) -> list[ev.Action]:
        return self.tell(ev.RoutesFound(self.questions[query].query_id, routes), at)

    def no_route(self, query: int = -1, why: NoRoute = NO_ROUTE) -> list[ev.Action]:
        return self.tell(ev.NoRouteFound(self.questions[query].query_id, why))

    def fails(
        self, partid: int, failure: Failure, at: float | None = None, height: int = HEIGHT
    ) -> list[ev.Action]:
        return self.tell(ev.AttemptFailed(partid, failure, height), at)

    def settles(self, partid: int, at: float | None = None) -> list[ev.Action]:
        return self.tell(ev.AttemptSettled(partid, PREIMAGE), at)

    def status(self, partid: int) -> AttemptStatus:
        return self.session.attempts[partid].status


def asked(actions: list[ev.Action]) -> ev.FindRoutes:
    (action,) = actions
    assert isinstance(action, ev.FindRoutes)
    return action


def error_of(actions: list[ev.Action]) -> PayError:
    (action,) = actions
    assert isinstance(action, ev.Finish) and isinstance(action.result, ev.NotPaid), action
    return action.result.error


def paid_of(actions: list[ev.Action]) -> ev.Paid:
    (action,) = actions
    assert isinstance(action, ev.Finish) and isinstance(action.result, ev.Paid), action
    return action.result


def halves(payment: Terms | None = None) -> Teller:
    """Two parts of 50,000 are out, a fee of 1,000 each, of 100,000 with at most 5,000 of fees."""
    story = Teller(payment or terms(max_parts=4))
    story.routes(line(50_000, "ad"), line(50_000, "bd", first=11))
    return story
