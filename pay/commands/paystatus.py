"""`paystatus`: what is known of payments in work and of those that ended, each with all of its attempts.

The list is long: tables of the host are read in pages, and the answer has iterators in place of the arrays, from
which `streaming` makes the text bit by bit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from pay.commands.archive import Archive, Sender, entry_of_rows, groups_of
from pay.commands.entries import PAYMENT, Alias, Moment, paystatus_entry
from pay.commands.form import failing
from pay.commands.form.command import Command, Context, Shared, Words
from pay.commands.form.parameters import Parameter, given
from pay.commands.form.shapes import STRING, Array, Object, always
from pay.commands.pay import can_be_paid
from pay.commands.payments import is_hash, is_meant, key_of, means
from pay.engine.live.running import Running
from pay.errors import Code, PayError
from pay.host.calls import CallError
from pay.host.own_htlcs import OwnHtlc
from pay.host.version import NEWEST, Version
from pay.invoice import normalise
from pay.invoice.recipient import ClearRecipient
from pay.log_events import EventLog, LogEvent
from pay.units import NodeId, ScidDir, show

if TYPE_CHECKING:
    from pay.engine.live.in_work import InWork
    from pay.engine.live.register import Snapshot
    from pay.engine.live.running import Tell

log = EventLog("pay")

LOOK_S = 5.0
"""So long `paystatus` waits for the host's list of HTLCs; without it, it does not say where parts are."""


def _wanted(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"should be an invoice or a payment_hash, not {show(value)}")
    return normalise(value)


PARAMETERS = (
    Parameter(
        "bolt11", STRING, _wanted, "Only payments of this invoice, or of this *payment_hash*.",
        other_name="payment_hash",
    ),
)  # fmt: skip

STATUS = Object((
    always(
        "pay", Array(PAYMENT),
        "Payments in progress and the last thousand that ended, newest last; those of one invoice newest first.",
    ),
))  # fmt: skip


def read(params: Any, version: Version = NEWEST, developer: bool = False) -> str | None:
    """An invoice or a payment_hash, by whichever name. Raises PayError."""
    wanted: str | None = given("paystatus", PARAMETERS, params, version, developer)["bolt11"]
    return wanted


def fits(params: Any, version: Version, developer: bool) -> bool:
    """Whether a call of the host's `paystatus` is for us: not where it asks for what only the host can pay."""
    try:
        wanted = read(params, version, developer)
    except PayError:
        return True
    return wanted is None or is_hash(wanted) or can_be_paid(wanted)


def at_work(params: Any, names: InWork) -> bool:
    """Whether a call is about a payment in work, or about all of them while any is."""
    try:
        wanted = read(params)
    except PayError:
        return False
    return bool(names) if wanted is None else wanted in names


async def answer(wanted: str | None, context: Context, _tell: Tell) -> dict[str, Any]:
    """All payments, newest last, or those of one invoice or payment_hash, newest first. Raises PayError."""
    await context.started()
    await context.calls.all_read()
    return await listed(wanted, context)


async def listed(wanted: str | None, context: Context) -> dict[str, Any]:
    """As of now. Who asks for one invoice reads the first entry, and means the payment that is in work.

    What was finished before our start, or is not kept any more, comes from the host's rows. Raises PayError.
    """
    finished, in_work = context.register.finished(), context.register.in_work()
    if wanted is not None:
        finished = [payment for payment in finished if means(payment.standing.terms, payment.source, wanted)]
        in_work = [running for running in in_work if is_meant(running, wanted)]
    # As of now: payments go on while the answer is made.
    shown = [*finished, *map(context.register.snapshot, in_work)]
    if wanted is not None:
        shown.reverse()
    # Of what somebody else sent, the rows tell more than our watching, which is over.
    if wanted is not None and not any(payment.ours or payment.standing.live for payment in shown):
        rows = await _from_rows(wanted, context)
        if rows or not shown:
            return {"pay": rows}
    names = await context.planning.aliases(_nodes_of(shown))
    older = iter(()) if wanted is not None else await _older(shown, context)
    moment = await _moment(in_work, context)
    sender = context.register.others.sender
    return {"pay": chain(older, (_entry(payment, moment, names.get, sender) for payment in shown))}


async def _moment(in_work: list[Running], context: Context) -> Moment:
    """Now, with what is known of where the parts that are out are."""
    if not any(running.session.live for running in in_work):
        return Moment(time.time(), context.height)
    htlcs: list[OwnHtlc] | None = None
    try:
        htlcs = await asyncio.wait_for(context.host.own_htlcs(), LOOK_S)
    except (CallError, TimeoutError, LookupError, TypeError, ValueError) as error:
        log.unusual(LogEvent.HTLCS_UNKNOWN, "error=%r", error)
    closed = await context.planning.closed(_announced_ways(in_work))
    return Moment(time.time(), context.height, htlcs, closed)


async def _older(shown: list[Snapshot], context: Context) -> Iterator[dict[str, Any]]:
    known = [key_of(payment.standing.terms) for payment in shown]
    ended = {payment_hash.hex() for payment_hash in context.register.ended()}
    known_rows = sum(len(payment.standing.attempts) for payment in shown)
    try:
        most = context.register.room
        archive = Archive(context.host, context.began_s, context.register.others.sender)
        return await archive.newest(known, most, ended, known_rows)
    except CallError as error:
        log.unusual(LogEvent.ARCHIVE_UNREADABLE, "error=%r", str(error))
        return iter(())


async def _from_rows(wanted: str, context: Context) -> list[dict[str, Any]]:
    """A payment of before our start: what the host has of it."""
    key = "payment_hash" if is_hash(wanted) else "bolt11"
    try:
        rows = (await context.host.patient("listsendpays", {key: wanted}))["payments"]
    except CallError as error:
        raise PayError(Code.INVALID_PARAMS, f"{key}: {error.message}") from error
    sender = context.register.others.sender
    return [entry_of_rows(group, sender(*key)) for key, group in reversed(groups_of(rows).items())]


def _entry(payment: Snapshot, moment: Moment, alias: Alias, sender: Sender) -> dict[str, Any]:
    source = payment.source
    entry = paystatus_entry(payment.standing, source.bolt11, source.label, payment.times, moment, alias)
    by = None if payment.ours else sender(*key_of(payment.standing.terms))
    return entry if by is None else {"by": by, **entry}


def _nodes_of(shown: Iterable[Snapshot]) -> set[NodeId]:
    """On the ways of all parts."""
    return {
        hop.node
        for payment in shown
        for attempt in payment.standing.attempts
        if attempt.route is not None
        for hop in attempt.route.hops
    }


def _announced_ways(shown: list[Running]) -> set[ScidDir]:
    """The channels of others on the ways of live parts, without those that gossip never has: of route hints."""
    ways: set[ScidDir] = set()
    for running in shown:
        hints = running.recipient.hints if isinstance(running.recipient, ClearRecipient) else ()
        hinted = {hop.scid for hint in hints for hop in hint}
        for attempt in running.session.live:
            hops = attempt.route.hops[1:] if attempt.route is not None else ()
            ways |= {hop.scid_dir for hop in hops if hop.scid not in hinted}
    return ways


WORDS = Words(
    "Command for looking at payments and their attempts",
    (
        "The **paystatus** command shows payments in progress and the last thousand that ended, or those of one "
        "invoice or *payment_hash*: every attempt with its route, what it costs, and what failed where and why; "
        "of an attempt that is out also where it probably is and when it must be over.",
        "Of payments that ended before the plugin was started, and of those beyond the last 5,000 attempts, it "
        "shows what the node's own table still has: no routes and no reasons. So it does of payments that other "
        "plugins of the node make and tell of, like cln-xpay: *by* says which.",
    ),
    (
        "A payment is *Created* before its first part, *Inflight* until it is paid or given up with nothing out, "
        "then *Success* or *Failed*. An error of **pay** is answered only for one that is *Failed*.",
    ),
    ("pay", "listpays", "lightning-listsendpays(7)", "payliquidity"),
)

COMMAND = Command(
    name="paystatus",
    summary="Show payments in progress and finished ones, all or that of {bolt11} (or payment_hash)",
    parameters=PARAMETERS,
    answers=STATUS,
    errors=failing.OF_LISTS,
    words=WORDS,
    read=read,
    answer=answer,
    bug=LogEvent.PAYSTATUS_FAILED,
    shared=Shared(fits, at_work, always=True),
    long=True,
)
