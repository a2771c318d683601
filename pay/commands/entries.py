"""One payment as `paystatus` shows it: the builtin's fields, so that its readers work, and what it never told.

Added to it: the payment's and each attempt's state in words, the route with names, amounts and delays, where
a failed attempt failed, for one that is out where it probably is, the height and the time by which it must end,
and that no further parts follow, where that is so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pay.commands.form.errors import refusal_json
from pay.commands.form.failing import FAILCODENAME, REFUSAL
from pay.commands.form.shapes import (
    BOOLEAN,
    HASH,
    HEX,
    INTEGER,
    MSAT,
    NULL,
    NUMBER,
    PUBKEY,
    SCID,
    SECRET,
    STRING,
    U32,
    U64,
    Array,
    Object,
    OneOf,
    always,
    maybe,
    words,
)
from pay.commands.strategy import strategies
from pay.commands.whereabouts import Whereabouts, htlcs_of, nodes_of_failures, whereabouts
from pay.engine.live.part_times import PartTimes, latest_block
from pay.errors import Code
from pay.host.own_htlcs import OwnHtlc
from pay.payment import events as ev
from pay.payment.attempt import Attempt
from pay.payment.refusal import refusal_of
from pay.payment.standing import Standing
from pay.payment.states import AttemptStatus, SessionStatus, State
from pay.payment.terms import Terms
from pay.payment.verdict import FAILCODE_NAMES, NOT_TAKEN, in_words, must_stop, outcome_lost
from pay.routing.query import Hop
from pay.units import NodeId, ScidDir, format_scid

_WAITS = (*(state.value for state in State), "parts_sent_before")

_FAILURE = Object(
    (
        always("code", INTEGER, "As of lightning-waitsendpay(7), 202 or 204."),
        always("message", STRING, "Why it failed, in words."),
        maybe(
            "data",
            Object(
                (
                    always("id", U64, "The number of the part."),
                    *REFUSAL,
                    maybe("raw_message", HEX, "The message of the node that refused it."),
                    FAILCODENAME,
                )
            ),
            "What the network said.",
        ),
    )
)

_HOP = Object(
    (
        always("id", PUBKEY, "The node that the channel leads to."),
        maybe("alias", STRING, "Its name, as it announces it."),
        always("channel", SCID, "The channel."),
        always("direction", U32, "The direction in which it is used, 0 or 1."),
        always("amount_msat", MSAT, "What that node gets."),
        always("delay", U32, "The blocks that it gets."),
    )
)

_MUST_RESOLVE = Object(
    (
        always("height", U32, "The block by which it has ended, whatever happens."),
        always("blocks_left", U32, "So many blocks from now."),
        always("estimated_time", STRING, "About that time (UTC), at ten minutes a block."),
    )
)

_PROBABLY_AT = Object(
    (
        always("reason", STRING, "What it is guessed by."),
        maybe("hop", U32, "The hop of the route, from 0; the number of hops is the recipient."),
        maybe("id", PUBKEY, "The node that should forward it there."),
        maybe("alias", STRING, "Its name."),
        maybe("channel", SCID, "The channel by which it should."),
        maybe("direction", U32, "The direction of that, 0 or 1."),
    )
)

ATTEMPT = Object((
    always(
        "strategy", STRING,
        "What it was made for: *Initial attempt*, or which part, by another route or the same.",
    ),
    always("start_time", STRING, "When it was sent (UTC)."),
    always("age_in_seconds", U64, "So many seconds ago."),
    maybe("end_time", STRING, "When it settled or failed (UTC)."),
    always("state", words("pending", "completed"), "Pending while it is out."),
    maybe(
        "success",
        Object((
            always("id", U64, "The number of the part."),
            always("payment_preimage", SECRET, "The proof that it was paid."),
        )),
        "Of one that settled.",
    ),
    maybe("failure", _FAILURE, "Of one that failed."),
    always(
        "status", words(*(status.value for status in AttemptStatus)),
        "How it stands. One that is *Retrying* has failed, and its amount is on its way anew.",
    ),
    always("partid", U64, "The number of the part."),
    maybe("amount_msat", MSAT, "What it delivers."),
    always("amount_sent_msat", MSAT, "What leaves this node for it, fees included."),
    maybe("fee_msat", MSAT, "The difference."),
    maybe(
        "route_unknown", BOOLEAN,
        "True: another sender or an earlier run of the plugin sent it, or it is a payment to this node itself.",
    ),
    maybe("delay", U32, "The most blocks that money is locked for by it."),
    maybe("probability", NUMBER, "The chance that it was given, from 0 to 1."),
    maybe("route", Array(_HOP), "Its route, from this node to the recipient."),
    maybe("must_resolve", _MUST_RESOLVE, "When one that is out must be over."),
    maybe("outcome_unknown", STRING, "Nobody can tell how it ended: why, in words."),
    maybe(
        "probably_at", _PROBABLY_AT, "Where one that is out probably is. Beyond the first channel it is a guess.",
    ),
))  # fmt: skip

PAYMENT = Object((
    maybe("label", STRING, "The *label* of the call."),
    maybe("bolt11", STRING, "The invoice."),
    maybe("bolt12", STRING, "The BOLT #12 invoice, of a payment that another sender made."),
    maybe("by", STRING, "The plugin of the node that makes it, where that is another one and has told of it."),
    always("amount_msat", MSAT, "What the recipient is to get."),
    always("destination", OneOf((PUBKEY, NULL)), "The recipient; *null* where that is not known."),
    always("payment_hash", HASH, "The hash of the payment."),
    always("groupid", U64, "The number of this try among those of its hash."),
    always("created_at", U64, "When it began, in seconds since 1970."),
    always("session_status", words(*(status.value for status in SessionStatus)), "How the payment stands."),
    always("settled_amount", MSAT, "What of it has settled."),
    maybe("in_flight_amount", MSAT, "What of it is out."),
    maybe("waiting_for", words(*_WAITS), "What it is at, as one word for programs."),
    maybe(
        "shadow_fee_msat", MSAT, "What the recipient gets beyond the amount, so that nodes on the way know less.",
    ),
    maybe("shadow_delay", U32, "Blocks on top of those that the recipient asks for, likewise."),
    maybe(
        "failure",
        Object((
            always("code", INTEGER, "As of **pay**."),
            always("message", STRING, "In words."),
        )),
        "The error that the call was answered with.",
    ),
    maybe("no_new_parts", STRING, "Why what is out is all there will be."),
    always("attempts", Array(ATTEMPT), "Every attempt, in the order in which they were made."),
))  # fmt: skip

BLOCK_S = 600
"""Seconds of a block on average, to turn a height into a time."""

Alias = Callable[[NodeId], str | None]


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
    for attempt, strategy in zip(standing.attempts, strategies(standing.attempts), strict=True):
        part_times = times.get(attempt.partid)
        fields = _attempt(attempt, strategy, part_times, moment, alias, standing)
        if attempt.live:
            _add_whereabouts(
                fields, attempt, part_times, htlcs.get(attempt.partid), moment, failed_at, standing.terms, alias
            )
        yield fields


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
    strategy: str,
    times: PartTimes | None,
    moment: Moment,
    alias: Alias,
    standing: Standing,
) -> dict[str, Any]:
    started = attempt.started_s if times is None else times.started_s
    fields: dict[str, Any] = {
        "strategy": strategy,
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
    latest = latest_block(attempt, times)
    if attempt.live and latest is not None:
        fields["must_resolve"] = _deadline(latest, moment)
    return fields


def _failure(attempt: Attempt, terms: Terms) -> dict[str, Any]:
    """As the builtin shows it; without the host's answer only that it failed is known."""
    failure = attempt.failure
    if failure is None:
        return {"code": 204, "message": NOT_TAKEN}
    data = {"id": attempt.partid, **refusal_json(refusal_of(terms, attempt.route, failure))}
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
