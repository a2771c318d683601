"""What a failed part means for its payment, also where its route is not known or other parts are to blame."""

from __future__ import annotations

from pay.payment.attempt import Attempt, Terms
from pay.payment.failure import FailCode, Failure
from pay.payment.interpret import Outcome, interpret, is_final


def meaning(terms: Terms, attempt: Attempt, failure: Failure, our_height: int, decided: bool) -> Outcome:
    """`interpret` for this payment.

    Parameters
    ----------
    decided
        There is a verdict already, which the host's words on a payment to ourselves do not change.
    """
    if failure.failcode == FailCode.MPP_TIMEOUT and attempt.amount_msat < terms.total_msat:
        # Its way was good; other parts were missing.
        return Outcome()
    if attempt.route is not None:
        return interpret(attempt.route, failure, our_height, terms.wakeable)
    # Of a part whose route is not known only the recipient's own word counts.
    by_recipient = failure.erring_node == terms.destination and failure.failcode is not None
    by_host = terms.to_self and not decided
    return Outcome(refused=by_host or (by_recipient and is_final(failure)))
