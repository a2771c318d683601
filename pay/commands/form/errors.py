"""An error as callers read it: the member `error` of an answer.

An error is read by people first: of a payment that took a hundred attempts it has the last few, and says how many
there were. `paystatus` has them all.

Source: lightning-pay(7); the host's plugins/pay.c.
"""

from __future__ import annotations

from typing import Any

from pay.errors import Broken, Expired, Facts, Hindered, HostsOwn, NoWay, PayError, Refusal, TooSlow
from pay.payment.attempt import Attempt
from pay.payment.refusal import refusal_of
from pay.payment.standing import PaymentFailed, Standing
from pay.payment.states import AttemptStatus
from pay.payment.verdict import failcode_name, in_words, name_to_say
from pay.routing.query import NoRouteReason
from pay.units import format_scid

LAST = 3
"""Attempts and failures that an error shows: its own words are to be found without scrolling."""

DESTINATION_CHANNEL = "0x0x0"
"""erring_channel where the recipient answered (lightning-pay(7))."""

_FLAT = (
    "attempts", "erring_index", "erring_node", "erring_channel", "erring_direction", "failcode", "failcodename",
)  # fmt: skip
"""What stands beside `code` and `message` as in the host's own `pay`, whose readers look for it there."""

_ONLY_FLAT = frozenset({"attempts"})
"""A list, that stands once; the few others are in `data` as well, where the manual has them."""


def error_json(error: PayError) -> dict[str, Any]:
    """The member `error` of an answer: what a person reads comes first."""
    known = error_data(error)
    answer: dict[str, Any] = {"code": error.code, "message": error.message}
    answer |= {name: known[name] for name in _FLAT if name in known}
    data = {name: value for name, value in known.items() if name not in _ONLY_FLAT}
    return {**answer, "data": data} if data else answer


def error_data(error: PayError) -> dict[str, Any]:
    """All that is known beyond the words, under the names that are documented."""
    known = _facts_json(error.facts)
    return _of_the_payment(error.standing, known) if isinstance(error, PaymentFailed) else known


def _facts_json(facts: Facts | None) -> dict[str, Any]:
    match facts:
        case None:
            return {}
        case Hindered(reason):
            return {"reason": reason.value}
        case NoWay():
            return _no_way(facts)
        case TooSlow(delay_blocks, max_delay_blocks):
            too_long = NoRouteReason.TOO_LONG.value
            return {"delay": delay_blocks, "maxdelay": max_delay_blocks, "reason": too_long}
        case Expired(now_s, expiry_s):
            return {"now": now_s, "expiry": expiry_s}
        case Refusal():
            data = refusal_json(facts) | _said(facts)
            return data if facts.failcode is None else {**data, "failcodename": failcode_name(facts.failcode)}
        case Broken(payment_hash):
            return {"payment_hash": payment_hash.hex(), "status": "failed"}
        case HostsOwn(data):
            return dict(data)


def refusal_json(refusal: Refusal) -> dict[str, Any]:
    """The routing failure object of lightning-pay(7), with numeric codes."""
    data: dict[str, Any] = {}
    if refusal.index is not None:
        data["erring_index"] = refusal.index
    if refusal.node is not None:
        data["erring_node"] = refusal.node.hex()
    if refusal.by_recipient:
        data["erring_channel"] = DESTINATION_CHANNEL
    elif refusal.scid is not None:
        data |= {"erring_channel": format_scid(refusal.scid), "erring_direction": refusal.direction}
    if refusal.failcode is not None:
        data["failcode"] = refusal.failcode
    return data


def _said(refusal: Refusal) -> dict[str, str]:
    """What the refusing node sent: its `channel_update`, or else the whole message, which has it as well."""
    if refusal.update is not None:
        return {"channel_update": refusal.update.hex()}
    return {"raw_message": refusal.raw_message.hex()} if refusal.raw_message else {}


def _no_way(facts: NoWay) -> dict[str, Any]:
    data: dict[str, Any] = {"reason": facts.reason.value}
    if facts.fee_msat is not None:
        data |= {"fee": facts.fee_msat, "feepercent": round(facts.fee_msat * 100 / facts.amount_msat, 6)}
    if facts.delay_blocks is not None:
        data["delay"] = facts.delay_blocks
    if facts.max_sendable_msat is not None:
        name = "max_sendable_bound_msat" if facts.sendable_bound else "max_sendable_msat"
        data[name] = facts.max_sendable_msat
    return {**data, "maxfee_msat": facts.max_fee_msat, "maxdelay": facts.max_delay_blocks}


def _of_the_payment(standing: Standing, known: dict[str, Any]) -> dict[str, Any]:
    """`known` of an error, with what every one has once routing began."""
    terms, attempts = standing.terms, {attempt.partid: attempt for attempt in standing.attempts}
    last = standing.failures[-LAST:]
    failed = [(part, refusal_of(terms, attempts[part.partid].route, part.failure)) for part in last]
    return {
        **(_last_refusal(failed[-1][1]) if failed else {}),
        **known,
        "payment_hash": terms.payment_hash.hex(),
        "destination": terms.destination.hex(),
        "amount_msat": terms.asked_msat,
        "created_at": int(terms.created_at_s),
        "status": "failed",
        "getroute_tries": standing.queries,
        "sendpay_tries": len(attempts),
        "failures": [
            {
                "partid": part.partid,
                **_amounts(attempts[part.partid]),
                **refusal_json(refusal),
                "message": in_words(part.failure),
            }
            for part, refusal in failed
        ],
        "attempts": [attempt_json(attempt) for attempt in standing.attempts[-LAST:]],
    }


def _last_refusal(refusal: Refusal) -> dict[str, Any]:
    """What the network said last, as the builtin has it flat in an error that followed from other things.

    The name of the code that only a final verdict may carry is left out, see `pay.payment.verdict`.
    """
    data = refusal_json(refusal) | _said(refusal)
    name = name_to_say(refusal.failcode)
    return data if name is None else {**data, "failcodename": name}


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
