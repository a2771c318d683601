"""How a payment stands at one moment, as a value: what lists of payments are made from.

A session goes on while a long list is written, and one that is over holds what nobody asks for any more: what its
next plan would have had to respect, the question that it was at, each failure twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pay.errors import PayError
from pay.payment import events as ev
from pay.payment.attempt import Attempt, FailedPart
from pay.payment.ledger import sums_of
from pay.payment.session import PaymentSession
from pay.payment.states import SessionStatus, State
from pay.payment.terms import Terms


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one session.

    Parameters
    ----------
    attempts
        In the order they were made.
    verdict
        What the answer will be if nothing that is out settles; None while more may be tried, and once it is over.
    failures
        Those that `verdict` would be made of; none once it is over.
    queries
        How often routes were asked for.
    """

    terms: Terms
    attempts: tuple[Attempt, ...]
    state: State
    status: SessionStatus
    result: ev.Result | None
    verdict: ev.NotPaid | ev.Elsewhere | None = None
    failures: tuple[FailedPart, ...] = ()
    queries: int = 0

    @property
    def live(self) -> list[Attempt]:
        """Parts that may still settle."""
        return [attempt for attempt in self.attempts if attempt.live]

    @property
    def delivered_msat(self) -> int:
        return sums_of(self.attempts).delivered_msat

    @property
    def in_flight_msat(self) -> int:
        return sums_of(self.attempts).in_flight_msat


def standing_of(session: PaymentSession) -> Standing:
    """As of now."""
    return Standing(
        session.terms,
        tuple(session.attempts.values()),
        session.state,
        session.status,
        session.result,
        session.verdict,
        tuple(session.failures),
        session.queries,
    )


def standing_at_the_end(session: PaymentSession) -> Standing:
    """Of a payment that is over, to be kept: without whose fault failures were, and of its error the words."""
    result = session.result
    if isinstance(result, ev.NotPaid):
        result = ev.NotPaid(PayError(result.error.code, result.error.message))
    attempts = tuple(
        attempt if attempt.blame is None else replace(attempt, blame=None) for attempt in session.attempts.values()
    )
    return Standing(session.terms, attempts, session.state, session.status, result)


class PaymentFailed(PayError):
    """The error of a payment that had begun, with how it stood when it ended."""

    def __init__(self, error: PayError, standing: Standing):
        super().__init__(error.code, error.message, error.facts)
        self.standing = standing
