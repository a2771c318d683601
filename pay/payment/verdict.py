"""The ends of a payment that is not made: code, words and facts, one function each.

The words say amount, limit and next step. `incorrect_or_unknown_payment_details` and `invoice expired` stand in
no verdict but those two: some callers refund when they read them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from pay.errors import Code, Expired, Hindered, NoWay, PayError
from pay.feedback.failure import UNKNOWN_TO_IT, FailCode, Failure, describe, read_details
from pay.payment.attempt import Attempt, FailedPart
from pay.payment.patience import WORDS as WAITS
from pay.payment.patience import Wait
from pay.payment.refusal import refusal_of
from pay.payment.terms import Terms
from pay.routing.query import NoRoute, NoRouteReason, Route
from pay.units import format_msat


class Lost(Enum):
    """Of a part whose end nobody will hear of."""

    ORPHANED = "orphaned_part"
    """The host will show it as pending for ever, and nothing of it is out."""
    OUTCOME = "outcome_lost"
    """The host's row of it was deleted."""


ORPHANED = Lost.ORPHANED.value
"""Of such a part, in the place of the host's words."""

NOT_TAKEN = "the node did not take this part"
"""Of a part that failed without an answer from anywhere."""

UNREADABLE = "Malformed error reply"
"""The host's own words for an answer that nobody on the route can have written."""

FAILCODE_NAMES: dict[int, str] = {
    **{code: f"WIRE_{code.name}" for code in FailCode},
    FailCode.UNKNOWN_PAYMENT: "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS",
}
"""As the host names them in `failcodename`."""


_FINAL_WORDS = re.compile("incorrect_or_unknown_payment_details|invoice expired", re.IGNORECASE)


MOST_LETTERS = 120
"""Of a reason that the host gives: another plugin may have written it."""


def host_words(text: str, most: int = MOST_LETTERS) -> str:
    """What the host said, cut, and without the two phrases that callers take for a final verdict."""
    words = _FINAL_WORDS.sub("...", text)
    return words if len(words) <= most else words[: most - 3].rstrip() + "..."


def in_words(failure: Failure) -> str:
    """Why a part failed, without the codes' names."""
    # We refuse as a recipient only what we pay to ourselves; all else at index 0 is of our own channel.
    if failure.erring_index == 0 and failure.failcode != FailCode.UNKNOWN_PAYMENT:
        return f"our own channel: {host_words(failure.reason) or describe(failure.failcode)}"
    if failure.failcode is None and failure.reason not in ("", UNREADABLE):
        return host_words(failure.reason)
    update = read_details(failure.failcode, failure.raw_message).update
    if failure.failcode == FailCode.TEMPORARY_CHANNEL_FAILURE and update is not None and not update[1].enabled:
        # So nodes say it that have no code for a peer that is away; of money it says nothing.
        return "the channel is disabled now: its peer is probably away"
    return describe(failure.failcode)


def part_failed(attempt: Attempt, failure: Failure) -> str:
    """For callers that wait: which part failed, and why."""
    return f"Part {attempt.partid} ({format_msat(attempt.amount_msat)}) failed: {in_words(failure)}"


def parts_out(parts: Sequence[Attempt], still: str = "") -> str:
    """How many, and with how much; `still` before "out"."""
    amount = format_msat(sum(part.amount_msat for part in parts))
    if len(parts) == 1:
        return f"1 part is {still}out, {amount}"
    return f"{len(parts)} parts are {still}out, {amount} in all"


def time_is_up(parts: Sequence[Attempt], retry_for_s: float) -> str:
    """For callers that wait: retry_for has passed with parts out, whose outcome is still open."""
    return (
        f"retry_for ({retry_for_s:.0f} s) is over: no new parts are sent; {parts_out(parts, 'still ')}: waiting "
        "for what becomes of them"
    )


def still_out(parts: Sequence[Attempt], code: int) -> str:
    """For callers that wait: no new parts, and the answer depends on those that are out."""
    return (
        f"No new parts are sent; {parts_out(parts, 'still ')}: waiting for what becomes of them "
        f"(error {code} if none is paid)"
    )


def refused(terms: Terms, route: Route | None, failure: Failure) -> PayError:
    """203: the recipient refuses for good."""
    name = failcode_name(failure.failcode)
    if failure.failcode is None:
        message = f"The node refused the payment: {host_words(failure.reason) or 'it does not say why'}"
    elif terms.to_self:
        # The host says what it has of its own invoice.
        unknown = host_words(failure.reason) or "Unknown invoice"
        message = f"{unknown} (failed: {name}): the invoice is this node's own"
    elif failure.failcode == FailCode.UNKNOWN_PAYMENT:
        message = f"The recipient refuses (failed: {name}): {UNKNOWN_TO_IT}"
    else:
        message = f"The recipient refuses (failed: {name}): {describe(failure.failcode)}"
    return PayError(Code.DESTINATION_FAILED, message, refusal_of(terms, route, failure))


_NOT_BY_FAILURES = frozenset(
    {
        NoRouteReason.TOO_EXPENSIVE,
        NoRouteReason.TOO_LONG,
        NoRouteReason.TOO_MANY_HOPS,
        NoRouteReason.INSUFFICIENT_SPENDABLE,
        NoRouteReason.NO_OWN_CHANNELS,
        NoRouteReason.OWN_CHANNEL,
        NoRouteReason.GAVE_UP,
        NoRouteReason.RECIPIENT_REFUSES,
    }
)
"""Reasons that stand whatever has failed before."""


def no_route(terms: Terms, why: NoRoute, failures: Sequence[FailedPart], tries: int, late: int = 0) -> PayError:
    """205 or 206, with the numbers of the best route that breaks a limit; `late` tries were a last resort."""
    facts = NoWay(
        why.reason,
        terms.asked_msat,
        None if why.fee_msat is None else why.fee_msat + terms.shadow_fee_msat,
        None if why.delay_blocks is None else why.delay_blocks - terms.behind_blocks,
        terms.limits.max_fee_msat,
        terms.limits.max_delay_blocks,
        # What was refused is known not to pass, and nothing more is known: a little less is no figure to go by.
        None if tries else why.max_sendable_msat,
        why.sendable_bound,
    )
    words = why.message
    most_msat = None if facts.sendable_bound else facts.max_sendable_msat
    if why.reason is NoRouteReason.INSUFFICIENT_SPENDABLE and most_msat is not None:
        # The planner's figure is what our channels hold.
        words += f"; with the fees taken off, {format_msat(most_msat)} can reach the recipient"
    if why.reason is NoRouteReason.TOO_EXPENSIVE:
        extra = terms.shadow_fee_msat
        shadow = f", less {format_msat(extra)} for the shadow route" if extra else ""
        words += f" (the limit comes from {terms.limits.fee_limit_words}{shadow})"
    if tries and tries == late:
        words += f"; tried all the same, in case gossip is late: {_tries(tries)}{_last(failures)}"
    elif tries:
        # What is too small or left out now is so because of what failed: the planner's words would mislead.
        excluded = terms.limits.exclude_nodes or terms.limits.exclude_channels
        own = why.reason is NoRouteReason.EXCLUDED and excluded
        rest = "nothing else is left to try" + (" but what this call excludes" if own else "")
        spoilt = why.reason is NoRouteReason.INSUFFICIENT_SPENDABLE and any(
            part.failure.erring_index == 0 for part in failures
        )
        rest = words if why.reason in _NOT_BY_FAILURES and not spoilt else rest
        amount = format_msat(terms.asked_msat)
        words = f"No route is left for {amount} after {_tries(tries)}{_last(failures)}; {rest}"
    return PayError(why.code, words, facts)


def cancelled(error: PayError) -> PayError:
    """`error` as the reason of no further parts; where it repeats the host's words, they are no final verdict."""
    return PayError(error.code, host_words(error.message, 2 * MOST_LETTERS), error.facts)


def orphaned() -> PayError:
    """-1: the host has a part pending that no HTLC belongs to."""
    return PayError(
        Code.OTHER,
        "Not paid, and it cannot be paid now: the node's table has a part of an earlier try as pending although "
        "no HTLC belongs to it any more. Nothing can settle, but the node refuses this payment_hash until that "
        "row is repaired",
        Hindered(Lost.ORPHANED),
    )


def outcome_lost(partid: int) -> PayError:
    """Of a part that ended as nobody knows what: said while waiting, and never answered."""
    return PayError(
        Code.OTHER,
        f"The node's row of part {partid} was deleted (autoclean, delpay) before its outcome was heard of: "
        "whether it was paid is not known here, so nothing is answered and nothing more sent. Ask the recipient",
        Hindered(Lost.OUTCOME),
    )


def stopped_retrying(
    terms: Terms, failures: Sequence[FailedPart], tries: int, waited_for: Wait | None = None
) -> PayError:
    """210: time is up, and nothing is out; `waited_for` is what the last wait was for, if there was one."""
    seconds = round(terms.limits.deadline_s - terms.created_at_s)
    words = f"Not paid within retry_for ({seconds} s), stopped after {_tries(tries)}{_last(failures)}"
    match waited_for:
        case None:
            return PayError(Code.STOPPED_RETRYING, words)
        case Wait.BUSY:
            words += (
                "; what routes there are was taken by payments in flight (money or HTLC slots of channels): try "
                "again when they are over, or raise retry_for"
            )
        case _:
            words += f"; at last {WAITS[waited_for]}"
    return PayError(Code.STOPPED_RETRYING, words, Hindered(waited_for))


def too_many_attempts(terms: Terms, failures: Sequence[FailedPart], tries: int) -> PayError:
    """210: the payment's budget of attempts is spent, and nothing is out."""
    option = terms.limits.parts.attempts_option
    wall = f"the most that {option} allows" if option else "the most allowed"
    return PayError(Code.STOPPED_RETRYING, f"Not paid: stopped after {_tries(tries)}, {wall}{_last(failures)}")


def expired(terms: Terms, now: int, failures: Sequence[FailedPart], tries: int) -> PayError:
    """207, at the start or before another attempt."""
    expiry = int(terms.expires_at_s)
    after = f" after {_tries(tries)}{_last(failures)}" if tries else ""
    return PayError(
        Code.INVOICE_EXPIRED,
        f"Invoice expired {now - expiry} s ago{after}: ask the recipient for a new one",
        Expired(now, expiry),
    )


def watched_failed(terms: Terms) -> PayError:
    """210: the parts that somebody else had sent all failed."""
    return PayError(
        Code.STOPPED_RETRYING,
        f"Not paid: the parts of {format_msat(terms.amount_msat)} that were out for this invoice have failed; "
        "nothing is out now, so it can be paid again",
    )


def must_stop(
    terms: Terms, now: float, unix_s: float, failures: Sequence[FailedPart], tries: int
) -> PayError | None:
    """Why no further part may be sent at `now` by the deadline's clock and `unix_s` on the wall, if so.

    A first try is made however short `retry_for` is.
    """
    if unix_s > terms.expires_at_s:
        return expired(terms, int(unix_s), failures, tries)
    if tries and now >= terms.limits.deadline_s:
        return stopped_retrying(terms, failures, tries)
    if tries >= terms.limits.parts.max_attempts:
        return too_many_attempts(terms, failures, tries)
    return None


def _tries(tries: int) -> str:
    return f"{tries} attempt" if tries == 1 else f"{tries} attempts"


def failcode_name(failcode: int | None) -> str:
    """As the host names it."""
    return FAILCODE_NAMES.get(failcode or 0, f"failure {failcode}")


def name_to_say(failcode: int | None) -> str | None:
    """The code's name, where it may stand in an error that is not the recipient's refusal."""
    name = FAILCODE_NAMES.get(failcode or 0)
    return None if name is None or _FINAL_WORDS.search(name) else name


def _last(failures: Sequence[FailedPart]) -> str:
    if not failures:
        return ""
    failure = failures[-1].failure
    name = name_to_say(failure.failcode)
    # In the builtin's words, which callers look for.
    return f"; last failure: {in_words(failure)}" + (f" (failed: {name})" if name else "")
