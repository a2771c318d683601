"""What a caller reads: the result and the error of `pay` as the manual and the host's own `pay` give them.

An error is read by people first: of a payment that took a hundred attempts it has the last few, and says how many
there were. `paystatus` has them all.
"""

from __future__ import annotations

from typing import Any

from pay.errors import PayError
from pay.payment.attempt import Attempt
from pay.payment.receipt import Receipt
from pay.payment.session import PaymentSession
from pay.payment.states import AttemptStatus
from pay.payment.verdict import failure_object, in_words, last_refusal

PARTIAL_COMPLETION = (
    "Some parts of the payment are not yet completed, but we have the confirmation from the recipient."
)
PARTIAL_FAILURE = "Some parts of the payment failed, but we have the confirmation from the recipient: it is paid"


LAST = 3
"""Attempts and failures that an error shows: its own words are to be found without scrolling."""


def success_json(receipt: Receipt) -> dict[str, Any]:
    """The success object: exactly the documented fields, the schema forbids others."""
    paid = receipt.paid
    result: dict[str, Any] = {} if receipt.destination is None else {"destination": receipt.destination.hex()}
    result |= {
        "payment_hash": receipt.payment_hash.hex(),
        "created_at": receipt.created_at_s,
        "parts": paid.parts,
        "amount_msat": paid.amount_msat,
        "amount_sent_msat": paid.sent_msat,
        "payment_preimage": paid.preimage.hex(),
        "status": "complete",
    }
    if paid.incomplete:
        failed = paid.sent_msat < paid.amount_msat
        result["warning_partial_completion"] = PARTIAL_FAILURE if failed else PARTIAL_COMPLETION
    return result


def error_data(session: PaymentSession, error: PayError) -> dict[str, Any]:
    """The fields of `error`, with those that every error has once routing began; see `error_json`."""
    terms = session.terms
    last = session.failures[-1] if session.failures else None
    refusal = {} if last is None else last_refusal(terms, session.attempts[last.partid].route, last.failure)
    return {
        **refusal,
        **error.data,
        "payment_hash": terms.payment_hash.hex(),
        "destination": terms.destination.hex(),
        "amount_msat": terms.asked_msat,
        "created_at": int(terms.created_at_s),
        "status": "failed",
        "getroute_tries": session.queries,
        "sendpay_tries": len(session.attempts),
        "failures": [
            {
                "partid": part.partid,
                **_amounts(session.attempts[part.partid]),
                **failure_object(terms, session.attempts[part.partid].route, part.failure),
                "message": in_words(part.failure),
            }
            for part in session.failures[-LAST:]
        ],
        "attempts": [attempt_json(attempt) for attempt in list(session.attempts.values())[-LAST:]],
    }


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """One attempt in the form of the host's `pay`."""
    match attempt.status:
        case AttemptStatus.CREATED | AttemptStatus.INFLIGHT:
            status = "pending"
        case AttemptStatus.SETTLED:
            status = "success"
        case AttemptStatus.RETRYING | AttemptStatus.FAILED:
            status = "failed"
    result: dict[str, Any] = {"status": status}
    if attempt.failure is not None:
        result["failreason"] = in_words(attempt.failure)
        if attempt.failure.failcode is not None:
            result["failcode"] = attempt.failure.failcode
    return {**result, "partid": attempt.partid, **_amounts(attempt)}


def _amounts(attempt: Attempt) -> dict[str, int]:
    return {"amount_msat": attempt.amount_msat, "amount_sent_msat": attempt.sent_msat}
