"""`pay`: parameters, result and errors as the manual and the host's own `pay` have them.

Source: lightning-pay(7).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pay.commands.form import failing, readers
from pay.commands.form.command import Command, Context, Shared, Words
from pay.commands.form.parameters import Parameter, given, unknown
from pay.commands.form.shapes import (
    BOOLEAN,
    HASH,
    HEX,
    MSAT,
    NUMBER,
    PUBKEY,
    SCID,
    SCID_DIR,
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
from pay.errors import Code, PayError, invalid_param
from pay.host.version import INVSTRING_SINCE, NEWEST, Version
from pay.invoice import CURRENCIES, normalise
from pay.invoice.unreadable import other_thing
from pay.log_events import EventLog, LogEvent
from pay.payment.receipt import Receipt
from pay.payment.terms import (
    DEFAULT_EXEMPTFEE_MSAT,
    DEFAULT_MAXDELAY_BLOCKS,
    DEFAULT_MAXFEEPERCENT,
    DEFAULT_RETRY_FOR_S,
    DEFAULT_RISKFACTOR,
    PayRequest,
)
from pay.units import parse_msat

if TYPE_CHECKING:
    from pay.engine.live.in_work import InWork
    from pay.engine.live.running import Tell

log = EventLog("pay")

PARTIAL_COMPLETION = (
    "Some parts of the payment are not yet completed, but we have the confirmation from the recipient."
)
PARTIAL_FAILURE = "Some parts of the payment failed, but we have the confirmation from the recipient: it is paid"

_ANY_AMOUNT = "a whole number of msat, or a text like *1000msat*, *1sat*, *1.5sat* or *0.00001btc*"

PARAMETERS = (
    Parameter(
        "bolt11", STRING, readers.invstring,
        "The invoice, in BOLT #11. Capital letters and *lightning:* in front do no harm.",
        required=True, other_name="invstring", leads_since=INVSTRING_SINCE,
    ),
    Parameter(
        "amount_msat", MSAT, readers.positive_msat,
        f"What to pay, where the invoice leaves that open; only then. It is {_ANY_AMOUNT}.",
    ),
    Parameter("label", STRING, readers.text, "A name for the payment, which lists of payments show."),
    Parameter(
        "riskfactor", NUMBER, readers.decimal,
        "What it is worth that money is locked for a shorter time: percent a year of the amount that may be "
        "locked.",
        DEFAULT_RISKFACTOR, f"{DEFAULT_RISKFACTOR}",
    ),
    Parameter(
        "maxfeepercent", NUMBER, readers.decimal,
        "The most that the fees may come to, in percent of the amount; not together with *maxfee*.",
        default_words=f"{DEFAULT_MAXFEEPERCENT}",
    ),
    Parameter(
        "retry_for", U32, readers.u32,
        "For so many seconds new ways are tried. Whatever is out then is waited for: the answer may come later.",
        DEFAULT_RETRY_FOR_S, f"{DEFAULT_RETRY_FOR_S}",
    ),
    Parameter(
        "maxdelay", U32, readers.u32,
        "The most blocks that money may be locked for by another node.",
        DEFAULT_MAXDELAY_BLOCKS, f"{DEFAULT_MAXDELAY_BLOCKS}",
    ),
    Parameter(
        "exemptfee", MSAT, parse_msat,
        "Fees up to this amount are never too much, whatever *maxfeepercent* says; not together with *maxfee*.",
        default_words=f"{DEFAULT_EXEMPTFEE_MSAT}msat",
    ),
    Parameter(
        "localinvreqid", HEX, readers.hash32,
        "The invoice_request of this node that the payment is for (lightning-invoicerequest(7)).",
    ),
    Parameter(
        "exclude", Array(OneOf((SCID_DIR, SCID, PUBKEY))), readers.exclude,
        "Nodes and channels that no part may use. A channel without a direction is excluded in both.",
        (frozenset(), frozenset()), "none",
    ),
    Parameter(
        "maxfee", MSAT, parse_msat,
        "The most that the fees may come to, as an amount, in the place of *maxfeepercent* and *exemptfee*.",
    ),
    Parameter(
        "description", STRING, readers.text,
        "The text that the invoice has the hash of; it must match. Lists of payments show it.",
    ),
    Parameter(
        "partial_msat", MSAT, readers.positive_msat,
        "Pay only this share of the invoice: others pay the rest at the same time. Not to this node itself.",
    ),
    Parameter(
        "dev_use_shadow", BOOLEAN, readers.boolean, "False: no shadow route.", True, "true", developer=True
    ),
)  # fmt: skip

PAID = Object((
    maybe("destination", PUBKEY, "The recipient, where that is known."),
    always("payment_hash", HASH, "The hash of the payment."),
    always(
        "created_at", U64, "When the payment began, in seconds since 1970; of an earlier one, when that began.",
    ),
    always("parts", U32, "How many parts were sent, those that failed included."),
    always("amount_msat", MSAT, "What the recipient got by this call."),
    always("amount_sent_msat", MSAT, "What left this node, fees included."),
    always("payment_preimage", SECRET, "The proof: its SHA256 is *payment_hash*."),
    always("status", words("complete"), "It is paid."),
    maybe(
        "warning_partial_completion", STRING,
        "Not all parts have settled. It is paid all the same, and *amount_sent_msat* counts what is out.",
    ),
))  # fmt: skip


_OURS = re.compile(f"ln({'|'.join(sorted(set(CURRENCIES.values())))})[0-9]")
"""BOLT 11, "Human-Readable Part". A prefix without an amount is followed by the separator, which is a 1."""


def string_of(params: Any) -> str | None:
    """The string that a call is to pay, however it gives it; None where it gives none."""
    match params:
        case [str(text), *_] | {"bolt11": str(text)} | {"invstring": str(text)}:
            return normalise(text)
    return None


def can_be_paid(text: str | None) -> bool:
    """Whether a string is of a kind that we pay; by its beginning alone."""
    return text is not None and _OURS.match(text) is not None


def fits(params: Any, _version: Version, _developer: bool) -> bool:
    """Whether a call of the host's `pay` is for us: all else than what we can pay gets the host's own answer."""
    return can_be_paid(string_of(params))


def at_work(params: Any, names: InWork) -> bool:
    """Whether a call is about a payment in work."""
    return (text := string_of(params)) is not None and text in names


def read(params: Any, version: Version = NEWEST, developer: bool = False) -> PayRequest:
    """What a call asks for. Raises PayError (-32602)."""
    try:
        return parse_request(params, version, developer)
    except PayError as error:
        log.info(LogEvent.PAY_REFUSED, "code=%d message=%r", error.code, error.message)
        raise


def parse_request(params: Any, version: Version = NEWEST, developer: bool = False) -> PayRequest:
    """The same, and nothing of it in the log."""
    take = given("pay", PARAMETERS, params, version, developer, _stranger)
    if "maxfee" in take:
        for name in ("maxfeepercent", "exemptfee"):
            if name in take:
                raise invalid_param(name, "maxfee replaces it: give one or the other")
    nodes, channels = take["exclude"]
    return PayRequest(
        invstring=take["bolt11"],
        amount_msat=take["amount_msat"],
        label=take["label"],
        riskfactor=take["riskfactor"],
        maxfeepercent=take["maxfeepercent"],
        retry_for_s=take["retry_for"],
        maxdelay_blocks=take["maxdelay"],
        exemptfee_msat=take["exemptfee"],
        localinvreqid=take["localinvreqid"],
        exclude_nodes=nodes,
        exclude_channels=channels,
        maxfee_msat=take["maxfee"],
        description=take["description"],
        partial_msat=take["partial_msat"],
        use_shadow=take["dev_use_shadow"],
    )


def _stranger(name: str, value: Any) -> PayError:
    """Of a parameter that there is not; lightning-cli makes one of a link with `=` in it."""
    said = other_thing(normalise(f"{name}={value}")) if re.search("[:/?]", name) else None
    return unknown(name, value) if said is None else invalid_param("bolt11", said)


async def answer(request: PayRequest, context: Context, tell: Tell) -> dict[str, Any]:
    """Pay, and say so. Raises PayError."""
    return success_json(await receipt_of(request, context, tell))


async def receipt_of(request: PayRequest, context: Context, tell: Tell) -> Receipt:
    """Pay. Raises PayError."""
    with context.calls.open(request, tell) as call:
        paying = await context.started()
        try:
            return await paying.pay(call)
        except PayError:
            raise
        except Exception as error:
            log.broken(LogEvent.PAY_CRASHED)
            raise PayError(Code.OTHER, f"Internal error before anything was sent: {error!r}") from error


async def check(request: PayRequest, context: Context) -> None:
    """All that can be said without paying. Raises PayError."""
    await (await context.started()).check(request)


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


WORDS = Words(
    "Command for paying a BOLT #11 invoice",
    (
        "The **pay** command looks for ways to the recipient of an invoice, sends what it asks for over one or "
        "several of them, and answers when it is paid or is not.",
        "An error is answered only when nothing of the payment can settle any more, whoever sent it. As long as "
        "that is unsure there is no answer: **paystatus** shows what is waited for. A client that gives up "
        "waiting ends nothing; calling **pay** again with the same invoice waits with the payment that is in "
        "progress.",
        "Once an invoice is paid, **pay** of it gives the same answer again and sends nothing.",
        "Parameters may be given by position, by name (*lightning-cli -k*), and left out as *null*. Use "
        "*lightning-cli -N none pay* in scripts: else the lines that say what is waited for are printed before "
        "the answer.",
    ),
    (
        "Several calls of one invoice at the same time are one payment: the limits of the first one apply, and "
        "all of them are answered.",
        "An invoice with the hash of a description is paid without the description too; one that is given must "
        "match.",
        "**check pay** says what a call would be refused for, and pays nothing. Where **pay** is another plugin's "
        "and calls of it are led here, **check clnpay-pay** does.",
    ),
    ("paystatus", "listpays", "payliquidity", "lightning-decode(7)"),
)

COMMAND = Command(
    name="pay",
    summary="Pay the invoice {bolt11} within the given limits, and answer when it is paid or is not",
    parameters=PARAMETERS,
    answers=PAID,
    errors=(
        failing.INVALID_PARAMS,
        failing.OTHER,
        failing.ALREADY_USED,
        failing.DESTINATION_FAILED,
        failing.ROUTE_NOT_FOUND,
        failing.ROUTE_TOO_EXPENSIVE,
        failing.INVOICE_EXPIRED,
        failing.STOPPED_RETRYING,
        failing.PREAPPROVAL_DECLINED,
        failing.PREAPPROVAL_FAILED,
    ),
    words=WORDS,
    read=read,
    answer=answer,
    bug=LogEvent.PAY_CRASHED,
    check=check,
    shared=Shared(fits, at_work, always=True),
    hosts_page=True,
)
