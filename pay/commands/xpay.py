"""`xpay`: cln-xpay's form of a payment, for the clients that call that: the same engine, other words.

Its parameters stand in its own order, of which older hosts have fewer. Its answer is closed: readers made from its
schema fail on a field that they do not know. An error is a code and a message.

Source: lightning-xpay(7); plugins/xpay/xpay.c of the tags from v24.11 on.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pay.commands import pay
from pay.commands.form import failing, readers
from pay.commands.form.command import Command, Context, Shared, Words
from pay.commands.form.failing import Failing
from pay.commands.form.parameters import Parameter, given
from pay.commands.form.shapes import BOOLEAN, HEX, MSAT, SECRET, STRING, U32, U64, Array, Object, always
from pay.commands.pay import can_be_paid
from pay.engine.live.in_work import InWork
from pay.errors import Code, PayError, XpayCode, invalid_param
from pay.host.version import (
    NEWEST,
    XPAY_ALREADY_PAID_IS_219_SINCE,
    XPAY_LABEL_SINCE,
    XPAY_MAXDELAY_SINCE,
    XPAY_PAYER_NOTE_SINCE,
    XPAY_TOO_DEAR_IS_206_SINCE,
    Version,
)
from pay.invoice import normalise
from pay.log_events import EventLog, LogEvent
from pay.payment.receipt import Receipt
from pay.payment.terms import DEFAULT_EXEMPTFEE_MSAT, DEFAULT_MAXDELAY_BLOCKS, DEFAULT_RETRY_FOR_S, PayRequest
from pay.units import parse_msat

if TYPE_CHECKING:
    from pay.engine.live.running import Tell

log = EventLog("pay")

DEFAULT_MAXFEEPERCENT = Decimal(1)
"""Of `xpay`, or 5 sat where that is more; `pay` has half of it. Its callers leave the limit to it."""

ONE_PART = "auto.no_mpp_support"
"""The one layer of askrene that we can respect: it stands for a recipient that takes no parts. Boltz names it
where its operator wants none."""

PARAMETERS = (
    Parameter(
        "invstring", STRING, readers.invstring,
        "The invoice, in BOLT #11. Capital letters and *lightning:* in front do no harm.", required=True,
    ),
    Parameter(
        "amount_msat", MSAT, readers.positive_msat,
        "What to pay, where the invoice leaves that open; only then.",
    ),
    Parameter(
        "maxfee", MSAT, parse_msat, "The most that the fees may come to.",
        default_words="1 % of the amount, or 5000msat where that is more",
    ),
    Parameter(
        "layers", Array(STRING), readers.texts,
        f"Layers of askrene. *{ONE_PART}* is respected: the payment is not split. The node's own **xpay** serves "
        "a call that names any other.", (), "none",
    ),
    Parameter(
        "retry_for", U32, readers.u32,
        "For so many seconds new ways are tried. Whatever is out then is waited for: the answer may come later.",
        DEFAULT_RETRY_FOR_S, f"{DEFAULT_RETRY_FOR_S}",
    ),
    Parameter(
        "partial_msat", MSAT, readers.positive_msat,
        "Pay only this share of the invoice: others pay the rest at the same time. Not to this node itself.",
    ),
    Parameter(
        "maxdelay", U32, readers.u32, "The most blocks that money may be locked for by another node.",
        DEFAULT_MAXDELAY_BLOCKS, f"{DEFAULT_MAXDELAY_BLOCKS}", since=XPAY_MAXDELAY_SINCE,
    ),
    Parameter(
        "payer_note", STRING, readers.text,
        "Goes with an invoice_request; a BOLT #11 invoice has no place for it.",
        since=XPAY_PAYER_NOTE_SINCE,
    ),
    Parameter(
        "label", STRING, readers.text, "A name for the payment, which lists of payments show.",
        since=XPAY_LABEL_SINCE,
    ),
    Parameter(
        "localinvreqid", HEX, readers.hash32,
        "The invoice_request of this node that is paid. No BOLT #11 invoice has one: it is an error with that.",
        since=XPAY_LABEL_SINCE,
    ),
    Parameter(
        "dev_use_shadow", BOOLEAN, readers.boolean, "False: no shadow route.", True, "true", developer=True,
        since=XPAY_LABEL_SINCE,
    ),
)  # fmt: skip


def serves(params: Any, version: Version, developer: bool = False) -> bool:
    """Whether a call with these `params`, of a string that we can pay, is one that we can answer as it is meant.

    All else is for the host's own `xpay`: what its release does not have, what we cannot honour, and what is no
    call at all, of which it gives its own error. Nothing is read here that takes time.
    """
    try:
        take = given("xpay", PARAMETERS, params, version, developer)
    except PayError:
        return False
    layers = take.values.get("layers", [])
    return isinstance(take.values["invstring"], str) and layers in ([], [ONE_PART]) and "localinvreqid" not in take


def string_of(params: Any) -> str | None:
    """The string that a call is to pay, however it gives it; None where it gives none."""
    match params:
        case [str(text), *_] | {"invstring": str(text)}:
            return normalise(text)
    return None


def fits(params: Any, version: Version, developer: bool) -> bool:
    """Whether a call of the host's `xpay` is for us."""
    return can_be_paid(string_of(params)) and serves(params, version, developer)


def at_work(params: Any, names: InWork) -> bool:
    """Whether a call is about a payment in work: cln-xpay would refuse it, and the payment may succeed."""
    return (text := string_of(params)) is not None and text in names


PAID = Object((
    always("payment_preimage", SECRET, "The proof: its SHA256 is the hash of the payment."),
    always("amount_msat", MSAT, "What the recipient got by this call."),
    always("amount_sent_msat", MSAT, "What left this node, fees included."),
    always("failed_parts", U64, "How many parts failed."),
    always("successful_parts", U64, "How many parts settled, or are about to."),
))  # fmt: skip


def read(params: Any, version: Version = NEWEST, developer: bool = False) -> PayRequest:
    """What a call asks for. Raises PayError (-32602)."""
    try:
        return parse_request(params, version, developer)
    except PayError as error:
        log.info(LogEvent.PAY_REFUSED, "code=%d message=%r", error.code, error.message)
        raise


def parse_request(params: Any, version: Version = NEWEST, developer: bool = False) -> PayRequest:
    """The same, and nothing of it in the log."""
    take = given("xpay", PARAMETERS, params, version, developer)
    if take["localinvreqid"] is not None:
        raise invalid_param("localinvreqid", "Cannot use localinvreqid with BOLT11 payment")
    maxfee_msat = take["maxfee"]
    _ = take["payer_note"]  # read, so that a wrong one is refused
    return PayRequest(
        invstring=take["invstring"],
        amount_msat=take["amount_msat"],
        label=take["label"],
        maxfeepercent=DEFAULT_MAXFEEPERCENT,
        retry_for_s=take["retry_for"],
        maxdelay_blocks=take["maxdelay"],
        exemptfee_msat=DEFAULT_EXEMPTFEE_MSAT,
        maxfee_msat=maxfee_msat,
        partial_msat=take["partial_msat"],
        use_shadow=take["dev_use_shadow"],
        fee_words="the default of maxfee" if maxfee_msat is None else None,
        one_part=ONE_PART in take["layers"],
        layers=tuple(layer for layer in take["layers"] if layer != ONE_PART),
    )


async def answer(request: PayRequest, context: Context, tell: Tell) -> dict[str, Any]:
    """Pay, and say so. Raises PayError."""
    try:
        return success_json(await pay.receipt_of(request, context, tell), context.version)
    except PayError as error:
        raise error_of(error, context.version) from error


async def check(request: PayRequest, context: Context) -> None:
    """All that can be said without paying. Raises PayError."""
    try:
        await (await context.started()).check(request)
    except PayError as error:
        raise error_of(error, context.version) from error


def success_json(receipt: Receipt, version: Version) -> dict[str, Any]:
    """The success object; what was paid before the call came is an error, as it is of the host's own."""
    if receipt.earlier:
        code = XpayCode.ALREADY_PAID
        if not version.since(XPAY_ALREADY_PAID_IS_219_SINCE):
            code = XpayCode.ALREADY_PAID_BEFORE_V26_06
        # Its very words, which callers look for.
        raise PayError(code, "Already paid this invoice successfully")
    paid = receipt.paid
    return {
        "payment_preimage": paid.preimage.hex(),
        "amount_msat": paid.amount_msat,
        "amount_sent_msat": paid.sent_msat,
        "failed_parts": paid.failed_parts,
        "successful_parts": max(1, paid.parts - paid.failed_parts),
    }


def error_of(error: PayError, version: Version) -> PayError:
    """An error of `pay` as that of `xpay` in this release of the host: no more than a code and a message."""
    return PayError(_code_of(error.code, version), _words_of(error.message))


def _code_of(code: int, version: Version) -> int:
    match code:
        case Code.ALREADY_USED:
            return XpayCode.PLUGIN_ERROR
        case Code.STOPPED_RETRYING:
            return XpayCode.UNSPECIFIED
        case Code.ROUTE_TOO_EXPENSIVE if not version.since(XPAY_TOO_DEAR_IS_206_SINCE):
            return Code.ROUTE_NOT_FOUND
        case _:
            return code


def _words_of(message: str) -> str:
    """With the names that `xpay` has for parameters and for failures of BOLT 4."""
    words = re.sub("^bolt11: ", "invstring: ", message).replace("maxfee or maxfeepercent", "maxfee")
    return re.sub(r"\bWIRE_[A-Z_]+", lambda name: name[0].removeprefix("WIRE_").lower(), words)


WORDS = Words(
    "Command for paying a BOLT #11 invoice, in the form of cln-xpay",
    (
        "The **xpay** command pays as **pay** does, with the parameters, the answer and the errors that cln-xpay "
        "has for it: for clients that call that. It is the same payment: who calls **pay** and who calls **xpay** "
        "of one invoice at the same time are answered together, each in its own form.",
        "What is not listed here, other *layers*, and strings that are no BOLT #11 invoice are left to the node's "
        "own **xpay**. The parameters are those of the newest release; an older node has those that its own "
        "**xpay** has.",
        "An error is answered only when nothing of the payment can settle any more, whoever sent it.",
    ),
    (
        "An invoice that was paid before the call came is an error, 219 (218 before v26.06), as with cln-xpay; "
        "**pay** repeats the answer instead.",
        "**check clnpay-xpay** says what a call would be refused for, and pays nothing; **check xpay** is the "
        "node's own.",
    ),
    ("pay", "paystatus", "listpays", "lightning-decode(7)"),
)

COMMAND = Command(
    name="xpay",
    summary="Pay the invoice {invstring} within the given limits, and answer in the form of cln-xpay",
    parameters=PARAMETERS,
    answers=PAID,
    errors=(
        failing.INVALID_PARAMS,
        Failing(
            XpayCode.PLUGIN_ERROR,
            "The hash of the invoice was paid, or is being paid, with another amount or to another node.",
        ),
        Failing(Code.OTHER, "Anything else, in words."),
        Failing(Code.DESTINATION_FAILED, "The recipient refuses for good."),
        Failing(Code.ROUTE_NOT_FOUND, "No route. The message says what stands in the way."),
        Failing(
            Code.ROUTE_TOO_EXPENSIVE,
            "There are routes, but they cost more than *maxfee* allows, or take longer than *maxdelay*; 205 "
            "before v26.06.",
        ),
        Failing(Code.INVOICE_EXPIRED, "The invoice has expired: ask the recipient for a new one."),
        Failing(
            XpayCode.UNSPECIFIED,
            "Not paid within *retry_for*, or within the most attempts allowed; nothing is out.",
        ),
        Failing(Code.PREAPPROVAL_DECLINED, "The node's own preapproval (its signer) declined."),
        Failing(Code.PREAPPROVAL_FAILED, "The node's own preapproval gave no answer that can be used."),
        Failing(XpayCode.ALREADY_PAID_BEFORE_V26_06, "The invoice was paid before; of nodes before v26.06."),
        Failing(XpayCode.ALREADY_PAID, "The invoice was paid before."),
    ),
    words=WORDS,
    read=read,
    answer=answer,
    bug=LogEvent.PAY_CRASHED,
    check=check,
    shared=Shared(fits, at_work, always=True),
    hosts_page=True,
)
