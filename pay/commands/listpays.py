"""`listpays`, where it is ours or where the host's would be wrong about a payment in work.

Up to v26.04 it went with the builtin `pay`. Since v26.06 cln-xpay owns it and shows another sender's payment as
failed between two attempts: there a call that concerns a payment in work is led to us, and answered from
`listsendpays` – never from `listpays`, which would ask us again.

The parts of one group are one payment, in the host's own form. One thing is better than in the host: a payment
that is still worked on is pending, also before its first part and between two attempts, when no row of it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pay.commands.archive import PAGE_ROWS, Rows, add_to_groups, groups_of
from pay.commands.form import failing, readers
from pay.commands.form.command import Command, Context, Shared, Words
from pay.commands.form.parameters import Parameter, given
from pay.commands.form.shapes import (
    HASH,
    MSAT,
    PUBKEY,
    SECRET,
    STRING,
    U32,
    U64,
    Array,
    Case,
    Object,
    always,
    maybe,
    words,
)
from pay.commands.payments import PayKey, is_hash, is_meant, key_of
from pay.engine.live.running import Running
from pay.errors import HostsOwn, PayError
from pay.host.calls import CallError
from pay.host.version import NEWEST, Version
from pay.invoice import normalise
from pay.log_events import LogEvent
from pay.payment.terms import purpose

if TYPE_CHECKING:
    from pay.engine.live.in_work import InWork
    from pay.engine.live.running import Tell

NO_GROUP = -1
"""In the place of a group's number, of a payment that has not begun."""

STATUSES = ("pending", "complete", "failed")

PARAMETERS = (
    Parameter("bolt11", STRING, readers.as_given, "Only payments of this invoice."),
    Parameter("payment_hash", HASH, readers.as_given, "Only payments of this hash."),
    Parameter("status", words(*STATUSES), readers.one_of(*STATUSES), "Only payments that stand so."),
    Parameter(
        "index", words("created", "updated"), readers.as_given,
        "In the order in which parts were created or updated, from *start* on.",
    ),
    Parameter("start", U64, readers.as_given, "With *index*: the first part that is looked at."),
    Parameter(
        "limit", U32, readers.as_given,
        "With *index*: the most parts that are looked at. Payments that begin or end elsewhere are shown with "
        "less than they have.",
    ),
)  # fmt: skip

_OF_PARTS = (
    maybe("amount_msat", MSAT, "What the recipient is to get by the parts that did not fail."),
    maybe("number_of_parts", U64, "How many parts did not fail, where they are several."),
)

PAYS = Object((
    always(
        "pays",
        Array(
            Object(
                (
                    always("payment_hash", HASH, "The hash of the payment."),
                    always(
                        "status", words(*STATUSES),
                        "How it stands. What is still worked on is pending, whether parts of it are out or not.",
                    ),
                    maybe("destination", PUBKEY, "The recipient, where that is known."),
                    always("created_at", U64, "When the payment began, in seconds since 1970."),
                    maybe("label", STRING, "The *label* of the call."),
                    maybe("bolt11", STRING, "The invoice."),
                    maybe("bolt12", STRING, "The BOLT #12 invoice, of a payment that another sender made."),
                    maybe("description", STRING, "The *description* of the call, or else that of the invoice."),
                    always("amount_sent_msat", MSAT, "What left this node and did not come back, fees included."),
                    always("created_index", U64, "The number of its first part; 0 where there is none yet."),
                    maybe("updated_index", U64, "The number of the last change to one of its parts."),
                ),
                (
                    Case(
                        "status", "complete",
                        (
                            *_OF_PARTS,
                            always("preimage", SECRET, "The proof: its SHA256 is *payment_hash*."),
                            maybe("completed_at", U64, "When it was paid, in seconds since 1970."),
                        ),
                    ),
                    Case("status", "pending", _OF_PARTS),
                    Case("status", "failed", ()),
                ),
            )
        ),
        "Payments, in the order of their first parts; those without a part at the end.",
    ),
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class LivePay:
    """What is known of a payment in work without its rows."""

    bolt11: str | None
    destination: str
    created_at: int
    label: str | None
    description: str | None


def read(params: Any, version: Version = NEWEST, developer: bool = False) -> dict[str, Any]:
    """The parameters that were given, under their names. Raises PayError."""
    take = given("listpays", PARAMETERS, params, version, developer)
    return {name: take[name] for name in take.values}


async def answer(wanted: Mapping[str, Any], context: Context, _tell: Tell) -> dict[str, Any]:
    """The host's `listpays`, right about payments in work. Raises PayError."""
    await context.started()
    await context.calls.all_read()
    return await listed(wanted, context)


def fits(params: Any, version: Version, developer: bool) -> bool:
    """Whether these `params` can be read; what cannot gets the host's own error."""
    try:
        read(params, version, developer)
    except PayError:
        return False
    return True


def at_work(params: Any, names: InWork) -> bool:
    """Whether a call with these `params` would have to show a payment in work."""
    if not names:
        return False
    try:
        wanted = _wanted(read(params))
    except PayError:
        return False
    if wanted is None or wanted.lower() in names or normalise(wanted) in names:
        return True
    return bool(names.unread) and is_hash(wanted)


async def listed(given: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """As of now. Raises PayError."""
    asked = {name: value for name, value in given.items() if name != "status"}
    status, wanted = given.get("status"), _wanted(given)
    live, called = _live(wanted, context), _called(wanted, context)
    try:
        if asked:
            groups = groups_of((await context.host.patient("listsendpays", asked))["payments"])
        else:
            groups = await _all_groups(context)
    except CallError as error:
        raise PayError(error.code, error.message, HostsOwn(error.data)) from error
    if called:
        # What is out or paid says so itself.
        told = {key[0] for key, parts in groups.items() if any(part["status"] != "failed" for part in parts)}
        told |= {key[0] for key in live}
        live |= {key: pay for key, pay in called.items() if key[0] not in told}
        live = {key: _since_its_call(key, pay, called) for key, pay in live.items()}
    pays = pays_of_groups(groups, live, unsent="index" not in asked)
    return {"pays": (pay for pay in pays if status is None or pay["status"] == status)}


def _wanted(given: Mapping[str, Any]) -> str | None:
    """The one payment that is meant."""
    wanted = given.get("payment_hash") or given.get("bolt11")
    return None if wanted is None else str(wanted)


def _live(wanted: str | None, context: Context) -> dict[PayKey, LivePay]:
    """Payments in work, all or those that are meant."""
    chosen = [running for running in context.register.in_work() if wanted is None or is_meant(running, wanted)]
    return {key_of(running.session.terms): _live_pay(running) for running in chosen}


def _called(wanted: str | None, context: Context) -> dict[PayKey, LivePay]:
    """Payments of calls without an answer: one of them may be about to begin, or between two senders."""
    return {
        (invoice.payment_hash.hex(), NO_GROUP): LivePay(
            invoice.invstring, invoice.payee.hex(), int(call.began_s), call.request.label,
            purpose(call.request, invoice),
        )
        # Of several calls the oldest is that which begins it.
        for call, invoice in reversed(context.calls.known())
        if wanted is None or wanted.lower() in (invoice.payment_hash.hex(), invoice.invstring)
        or normalise(wanted) == invoice.invstring
    }  # fmt: skip


async def _all_groups(context: Context) -> dict[PayKey, Rows]:
    """The rows of all payments there ever were, read in pages. Raises CallError."""
    groups: dict[PayKey, Rows] = {}
    start = 1
    while True:
        page = {"index": "created", "start": start, "limit": PAGE_ROWS}
        rows = (await context.host.patient("listsendpays", page))["payments"]
        add_to_groups(groups, rows)
        if len(rows) < PAGE_ROWS:
            return groups
        start = int(rows[-1]["created_index"]) + 1


def _live_pay(running: Running) -> LivePay:
    terms, source = running.session.terms, running.source
    return LivePay(
        source.bolt11, terms.destination.hex(), int(terms.created_at_s), source.label, source.description
    )


def _since_its_call(key: PayKey, pay: LivePay, called: Mapping[PayKey, LivePay]) -> LivePay:
    """A payment begins a moment after its call: whoever looks twice sees one time."""
    call = called.get((key[0], NO_GROUP))
    return pay if call is None else replace(pay, created_at=min(pay.created_at, call.created_at))


# --- JSON -------------------------------------------------------------------------------------------------


def pays_of_groups(
    groups: Mapping[PayKey, list[Any]], live: Mapping[PayKey, LivePay], unsent: bool = True
) -> Iterator[dict[str, Any]]:
    """The entries of `listpays`; each is made when it is asked for.

    Parameters
    ----------
    groups
        The rows of each payment, of the host's `listsendpays`, as JSON.
    live
        Payments in work that the question is about.
    unsent
        Whether those without a row are added at the end: a page of the table has no place for them.
    """
    for key, parts in groups.items():
        yield _entry(key, parts, key in live)
    for key, pay in live.items():
        if unsent and key not in groups:
            yield _unsent(key, pay)


def _entry(key: PayKey, parts: list[Mapping[str, Any]], live: bool) -> dict[str, Any]:
    first = parts[0]
    counted = [part for part in parts if part["status"] != "failed"]
    complete = [part for part in counted if part["status"] == "complete"]
    pending = live or len(counted) > len(complete)
    entry: dict[str, Any] = {}
    for name in ("bolt11", "bolt12", "description"):
        value = next((part[name] for part in parts if name in part), None)
        if value is not None:
            entry[name] = value
    if "destination" in first:
        entry["destination"] = first["destination"]
    entry["payment_hash"] = key[0]
    entry["status"] = "complete" if complete else "pending" if pending else "failed"
    entry["created_at"] = int(first["created_at"])
    settled = [int(part["completed_at"]) for part in complete if "completed_at" in part]
    if settled:
        entry["completed_at"] = min(settled)
    if "label" in first:
        entry["label"] = first["label"]
    if complete:
        entry["preimage"] = complete[-1]["payment_preimage"]
    if counted and all("amount_msat" in part for part in counted):
        entry["amount_msat"] = sum(int(part["amount_msat"]) for part in counted)
    entry["amount_sent_msat"] = sum(int(part["amount_sent_msat"]) for part in counted)
    if len(counted) > 1:
        entry["number_of_parts"] = len(counted)
    entry["created_index"] = min(int(part["created_index"]) for part in parts)
    updated = max(int(part.get("updated_index", 0)) for part in parts)
    if updated:
        entry["updated_index"] = updated
    return entry


def _unsent(key: PayKey, pay: LivePay) -> dict[str, Any]:
    """A payment that has no row yet: its first route is being looked for."""
    entry: dict[str, Any] = {"payment_hash": key[0], "destination": pay.destination, "status": "pending"}
    for name in ("bolt11", "label", "description"):
        value = getattr(pay, name)
        if value is not None:
            entry[name] = value
    # The index is the host's to give; 0 is before all that it has given.
    return {**entry, "created_at": pay.created_at, "amount_sent_msat": 0, "created_index": 0}


WORDS = Words(
    "Command for listing payments",
    (
        "The **listpays** command lists payments of this node, or those of one invoice or *payment_hash*: each "
        "with all of its parts together.",
        "On nodes from v26.06 on the command is the node's own, and answers of it that would have to show a "
        "payment in progress are made by this plugin: a payment is pending from its call to its answer.",
    ),
    ("The invoice of a failed payment may be paid again; of a pending one nothing can be concluded.",),
    ("pay", "paystatus", "lightning-listsendpays(7)"),
)

COMMAND = Command(
    name="listpays",
    summary="List payments, all or those of {bolt11} or {payment_hash}, with {status}",
    parameters=PARAMETERS,
    answers=PAYS,
    errors=failing.OF_LISTS,
    words=WORDS,
    read=read,
    answer=answer,
    bug=LogEvent.LISTPAYS_FAILED,
    shared=Shared(fits, at_work, always=False),
    long=True,
    hosts_page=True,
)
