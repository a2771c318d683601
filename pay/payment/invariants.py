"""What holds of a session after every event; a session that breaks it is our bug, whatever the world did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pay.payment import events as ev

if TYPE_CHECKING:
    from pay.payment.session import PaymentSession


class SessionError(Exception):
    """An invariant of the session is broken."""


def check(
    session: PaymentSession, requested_msat: int, decided: bool, actions: Sequence[ev.Action]
) -> None:
    """Raises SessionError.

    Parameters
    ----------
    requested_msat
        What routes are being looked for.
    decided
        There is a verdict: nothing may be added any more.
    """
    terms = session.terms
    # A part reported failed that is paid all the same may add up to more than the amount: then it is
    # paid, nothing more is sent, and the preimage must reach the callers.
    if not terms.watched and not isinstance(session.result, ev.Paid):
        committed = session.delivered_msat + session.in_flight_msat + requested_msat
        if committed > terms.amount_msat:
            raise SessionError(f"{committed} msat committed of {terms.amount_msat}")
        fees = terms.shadow_fee_msat + sum(a.fee_msat for a in session.attempts.values() if a.counts)
        if fees > terms.max_fee_msat:
            raise SessionError(f"{fees} msat of fees committed, limit {terms.max_fee_msat}")
    for action in actions:
        match action:
            case ev.FindRoutes(_, query, _):
                if session.result is not None or decided:
                    raise SessionError("a query after the verdict")
                if query.amount_msat <= 0 or query.max_fee_msat < 0:
                    raise SessionError(f"a query for {query.amount_msat} msat, fee {query.max_fee_msat}")
            case ev.SendAttempt(_, route):
                if session.result is not None or decided:
                    raise SessionError("a part after the verdict")
                if route is not None and route.delay_blocks - terms.behind_blocks > terms.max_delay_blocks:
                    raise SessionError(f"a delay of {route.delay_blocks}, limit {terms.max_delay_blocks}")
            case ev.Finish(result):
                if not isinstance(result, ev.Paid) and session.live:
                    raise SessionError("an error while a part is out")
            case _:
                pass
