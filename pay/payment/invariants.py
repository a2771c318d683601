"""What holds of a session after every event; a session that breaks it is our bug, whatever the world did.

1. delivered + in flight + requested is never more than the amount (the shadow fee, fixed before the first part, is
   in it), and there is no query for 0 msat. The host does not refuse a part that exceeds the total, so this is the
   only guard. A part without an answer is in flight.
2. Fees delivered, in flight and planned, and the shadow fee, stay within the limit; so does every CLTV.
3. No part is sent after a preimage, after the deadline, or after the recipient refused.
4. `Finish` comes exactly once; an error only when nothing is in flight; the first preimage is a success.
5. Answers to old queries are ignored.

Checked here is what can be read off the figures and the actions of one event; of the rest `Ending` (4) and
`RouteQueries` (5) see to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pay.payment import events as ev
from pay.payment.ledger import Ledger
from pay.payment.terms import Terms


class SessionError(Exception):
    """An invariant of the session is broken."""


def check(
    terms: Terms,
    ledger: Ledger,
    result: ev.Result | None,
    requested_msat: int,
    decided: bool,
    actions: Sequence[ev.Action],
) -> None:
    """Raises SessionError.

    Parameters
    ----------
    requested_msat
        What routes are being looked for.
    decided
        There is a verdict: nothing may be added any more.
    """
    # A part reported failed that is paid all the same may add up to more than the amount: then it is
    # paid, nothing more is sent, and the preimage must reach the callers.
    if not terms.watched and not isinstance(result, ev.Paid):
        sums = ledger.sums
        committed = sums.committed_msat + requested_msat
        if committed > terms.amount_msat:
            raise SessionError(f"{committed} msat committed of {terms.amount_msat}")
        fees = terms.shadow_fee_msat + sums.fees_msat
        if fees > terms.limits.max_fee_msat:
            raise SessionError(f"{fees} msat of fees committed, limit {terms.limits.max_fee_msat}")
    for action in actions:
        match action:
            case ev.FindRoutes(_, query, _):
                if result is not None or decided:
                    raise SessionError("a query after the verdict")
                if query.amount_msat <= 0 or query.max_fee_msat < 0:
                    raise SessionError(f"a query for {query.amount_msat} msat, fee {query.max_fee_msat}")
            case ev.SendAttempt(_, route):
                if result is not None or decided:
                    raise SessionError("a part after the verdict")
                if route is not None and route.delay_blocks - terms.behind_blocks > terms.limits.max_delay_blocks:
                    raise SessionError(f"a delay of {route.delay_blocks}, limit {terms.limits.max_delay_blocks}")
            case ev.Finish(answer):
                if not isinstance(answer, ev.Paid) and ledger.live:
                    raise SessionError("an error while a part is out")
            case _:
                pass
