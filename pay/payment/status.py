"""What `paystatus` shows of a payment: the builtin's fields, so that its readers work, and what it never told.

Added to it: the payment's and each attempt's state in words, the route with names, amounts and delays, where
a failed attempt failed, for one that is out where it probably is, the height and the time by which it must end,
and that no further parts follow, where that is so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pay.errors import Code
from pay.payment import events as ev
from pay.payment.attempt import Attempt
from pay.payment.patience import WORDS
from pay.payment.session import PaymentSession
from pay.payment.standing import Standing
from pay.payment.states import AttemptStatus, State
from pay.payment.terms import Terms
from pay.payment.verdict import (
    FAILCODE_NAMES,
    NOT_TAKEN,
    failure_object,
    in_words,
    must_stop,
    outcome_lost,
    parts_out,
)
from pay.payment.whereabouts import OwnHtlc, Whereabouts, htlcs_of, nodes_of_failures, whereabouts
from pay.routing.query import Hop
from pay.units import NodeId, ScidDir, format_msat, format_scid

FIRST_STRATEGY = "Initial attempt"
"""Readers look for these words on the first attempt."""

BLOCK_S = 600
"""Seconds of a block on average, to turn a height into a time."""

Alias = Callable[[NodeId], str | None]


@dataclass(frozen=True, slots=True)
class PartTimes:
    """What the edge knows of a part beside the session.

    Parameters
    ----------
    ended_s
        Unix time; None while it is out.
    sent_height
        Block at which it was sent; 0 where unknown.
    outcome_lost
        The host deleted what it knew of it before that was heard of.
    """

    started_s: float
    ended_s: float | None
    sent_height: int
    outcome_lost: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """When and where a status is asked for.

    Parameters
    ----------
    htlcs
        What goes out of us; None where the host does not tell.
    closed
        Channels on the ways of live parts that gossip has as disabled or not at all.
    """

    now_s: float
    height: int
    htlcs: Sequence[OwnHtlc] | None = None
    closed: frozenset[ScidDir] = frozenset()


def paystatus_entry(
    standing: Standing,
    bolt11: str | None,
    label: str | None,
    times: Mapping[int, PartTimes],
    moment: Moment,
    alias: Alias,
) -> dict[str, Any]:
    """One element of `paystatus`' array `pay`; its `attempts` are an iterator, each made when it is asked for."""
    terms = standing.terms
    entry: dict[str, Any] = {}
    if label is not None:
        entry["label"] = label
    if bolt11 is not None:
        entry["bolt11"] = bolt11
    live = standing.live
    entry |= {
        "amount_msat": terms.asked_msat,
        "destination": terms.destination.hex(),
        "payment_hash": terms.payment_hash.hex(),
        "groupid": terms.groupid,
        "created_at": int(terms.created_at_s),
        "session_status": standing.status.value,
        "settled_amount": standing.delivered_msat,
        "in_flight_amount": standing.in_flight_msat,
        "waiting_for": "parts_sent_before" if terms.watched and live else standing.state.value,
    }
    if terms.shadow_blocks:
        entry |= {"shadow_fee_msat": terms.shadow_fee_msat, "shadow_delay": terms.shadow_blocks}
    if isinstance(standing.result, ev.NotPaid):
        error = standing.result.error
        entry["failure"] = {"code": error.code, "message": error.message}
    why = _no_new_parts(standing, moment.now_s) if live else None
    if why is not None:
        entry["no_new_parts"] = why
    return {**entry, "attempts": _attempts(standing, times, moment, alias)}


def _attempts(
    standing: Standing, times: Mapping[int, PartTimes], moment: Moment, alias: Alias
) -> Iterator[dict[str, Any]]:
    live = standing.live
    ours = [htlc for htlc in moment.htlcs or () if htlc.payment_hash == standing.terms.payment_hash]
    htlcs = htlcs_of(live, ours)
    failed_at = nodes_of_failures(standing.attempts) if live else frozenset()
    for number, attempt in enumerate(standing.attempts):
        part_times = times.get(attempt.partid)
        fields = _attempt(attempt, number, part_times, moment, alias, standing)
        if attempt.live:
            _add_whereabouts(
                fields, attempt, part_times, htlcs.get(attempt.partid), moment, failed_at, standing.terms, alias
            )
        yield fields


def how_it_stands(session: PaymentSession, times: Mapping[int, PartTimes], now_s: float) -> str:
    """One line for callers that wait: what for, and for how long at the most."""
    since = f"after {max(0.0, now_s - session.terms.created_at_s):.0f} s"
    live = session.live
    if not live:
        match session.state:
            case State.WAITING_HEIGHT:
                return f"Waiting {since}: nothing is out, the recipient is a block ahead of us"
            case State.PAUSING if session.waits.what_for is not None:
                return f"Waiting {since}: nothing is out, and {WORDS[session.waits.what_for]}"
            case _:
                return f"Waiting {since}: nothing is out, routes are being looked for"
    words = f"Waiting {since}: {parts_out(live)}"
    ends = [_latest_block(part, times.get(part.partid)) for part in live]
    known = [end for end in ends if end is not None]
    return f"{words}, over by block {max(known)} at the latest" if len(known) == len(live) else words


def _latest_block(attempt: Attempt, times: PartTimes | None) -> int | None:
    """By which a part that was sent at a known height has ended."""
    if attempt.route is None or times is None or not times.sent_height:
        return None
    return times.sent_height + attempt.route.delay_blocks + 1


def _no_new_parts(standing: Standing, now_s: float) -> str | None:
    """Why what is out is all that there will be; None where more may come."""
    if standing.terms.watched:
        return "parts that were sent before are only watched"
    if standing.state is State.DRAINING_PAID:
        return "it is paid"
    if standing.verdict is not None:
        return "it is given up"
    stop = must_stop(standing.terms, now_s, now_s, standing.failures, len(standing.attempts))
    if stop is None:
        return None
    if stop.code == Code.INVOICE_EXPIRED:
        return "the invoice has expired"
    over = now_s >= standing.terms.limits.deadline_s
    return "retry_for is over" if over else "it has had the most attempts allowed"


def _add_whereabouts(
    fields: dict[str, Any],
    attempt: Attempt,
    times: PartTimes | None,
    htlc: OwnHtlc | None,
    moment: Moment,
    failed_at: frozenset[NodeId],
    terms: Terms,
    alias: Alias,
) -> None:
    """Where a live part probably is and when it must have ended."""
    if times is not None and times.outcome_lost:
        fields.pop("must_resolve", None)
        fields["outcome_unknown"] = outcome_lost(attempt.partid).message
        return
    if htlc is not None:
        # The host's own word, better than what was reckoned when the part was sent.
        fields["must_resolve"] = _deadline(htlc.expiry, moment)
    if moment.htlcs is not None:
        guess = whereabouts(attempt, htlc, moment.closed, failed_at)
        fields["probably_at"] = _place(guess, attempt, terms, alias)


def _place(guess: Whereabouts, attempt: Attempt, terms: Terms, alias: Alias) -> dict[str, Any]:
    shown: dict[str, Any] = {"reason": guess.why}
    if guess.hop is None:
        return shown
    hops = attempt.route.hops if attempt.route is not None else ()
    node = hops[guess.hop - 1].node if guess.hop else terms.source
    shown |= {"hop": guess.hop, "id": node.hex()}
    name = alias(node)
    if name:
        shown["alias"] = name
    if guess.hop < len(hops):
        shown |= {"channel": format_scid(hops[guess.hop].scid), "direction": hops[guess.hop].direction}
    return shown


def _attempt(
    attempt: Attempt,
    number: int,
    times: PartTimes | None,
    moment: Moment,
    alias: Alias,
    standing: Standing,
) -> dict[str, Any]:
    started = attempt.started_s if times is None else times.started_s
    fields: dict[str, Any] = {
        "strategy": FIRST_STRATEGY if number == 0 else _strategy(attempt),
        "start_time": _time(started),
        "age_in_seconds": max(0, int(moment.now_s - started)),
    }
    if times is not None and times.ended_s is not None:
        fields["end_time"] = _time(times.ended_s)
    fields["state"] = "pending" if attempt.live else "completed"
    if attempt.status is AttemptStatus.SETTLED and isinstance(standing.result, ev.Paid):
        fields["success"] = {"id": attempt.partid, "payment_preimage": standing.result.preimage.hex()}
    elif not attempt.live:
        fields["failure"] = _failure(attempt, standing.terms)
    fields |= {
        "status": attempt.status.value,
        "partid": attempt.partid,
        "amount_msat": attempt.amount_msat,
        "amount_sent_msat": attempt.sent_msat,
        "fee_msat": attempt.fee_msat,
    }
    if attempt.route is None:
        fields["route_unknown"] = True
        return fields
    fields["delay"] = attempt.route.delay_blocks
    fields["probability"] = round(attempt.route.probability, 6)
    fields["route"] = [_hop(hop, alias) for hop in attempt.route.hops]
    latest = _latest_block(attempt, times)
    if attempt.live and latest is not None:
        fields["must_resolve"] = _deadline(latest, moment)
    return fields


def _strategy(attempt: Attempt) -> str:
    return f"Part {attempt.partid}: {format_msat(attempt.amount_msat)} by another route"


def _failure(attempt: Attempt, terms: Terms) -> dict[str, Any]:
    """As the builtin shows it; without the host's answer only that it failed is known."""
    failure = attempt.failure
    if failure is None:
        return {"code": 204, "message": NOT_TAKEN}
    data = {"id": attempt.partid, **failure_object(terms, attempt.route, failure)}
    if failure.raw_message:
        data["raw_message"] = failure.raw_message.hex()
    if failure.failcode is not None:
        data["failcodename"] = FAILCODE_NAMES.get(failure.failcode, f"{failure.failcode}")
    return {"code": 202 if failure.erring_index is None else 204, "message": in_words(failure), "data": data}


def _hop(hop: Hop, alias: Alias) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": hop.node.hex()}
    name = alias(hop.node)
    if name:
        shown["alias"] = name
    return {
        **shown,
        "channel": format_scid(hop.scid),
        "direction": hop.direction,
        "amount_msat": hop.amount_msat,
        "delay": hop.delay_blocks,
    }


def _deadline(height: int, moment: Moment) -> dict[str, Any]:
    """Until when an HTLC can be out: its own channel's peer must have settled or failed it by then (BOLT 2)."""
    blocks = max(0, height - moment.height)
    return {
        "height": height,
        "blocks_left": blocks,
        "estimated_time": _time(moment.now_s + blocks * BLOCK_S),
    }


def _time(unix_s: float) -> str:
    moment = datetime.fromtimestamp(unix_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
