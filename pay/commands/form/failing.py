"""The one table of error codes: what each means to callers, what it says of the money, what it has in `data`.

`pay.errors.Code` names them; here is what documents and the check of answers know of them.
"""

from __future__ import annotations

from typing import NamedTuple

from pay.commands.form.shapes import (
    HASH,
    HEX,
    INTEGER,
    MSAT,
    NUMBER,
    PUBKEY,
    STRING,
    U32,
    U64,
    Array,
    Field,
    Object,
    always,
    maybe,
    words,
)
from pay.errors import Code, XpayCode


class Failing(NamedTuple):
    """One code.

    Parameters
    ----------
    data
        Fields of its own in `data`.
    begun
        It may be the end of a payment that had begun: then `data` has the fields of every such end too.
    hosts_data
        The host's own, whatever it is, is passed on.
    """

    code: Code | XpayCode
    about: str
    data: tuple[Field, ...] = ()
    begun: bool = False
    hosts_data: bool = False


REFUSAL = (
    maybe("erring_index", U32, "Which node on the route failed the part: 0 is this node, 1 its peer, and so on."),
    maybe("erring_node", PUBKEY, "That node."),
    maybe(
        "erring_channel", STRING,
        "The channel that the part did not get through, or *0x0x0* where the recipient answered.",
    ),
    maybe("erring_direction", U32, "The direction in which that channel was to be used, 0 or 1."),
    maybe("failcode", INTEGER, "The failure code of BOLT #4."),
)  # fmt: skip
"""The routing failure object of lightning-pay(7)."""

FAILCODENAME = maybe("failcodename", STRING, "The name of the *failcode*, like WIRE_TEMPORARY_CHANNEL_FAILURE.")

SAID = (
    FAILCODENAME,
    maybe("channel_update", HEX, "The channel_update that the node sent along."),
    maybe("raw_message", HEX, "The message of the node, where it has no channel_update."),
)

AMOUNTS = (
    always("amount_msat", MSAT, "What it was to deliver."),
    always("amount_sent_msat", MSAT, "What left this node for it, fees included."),
)

FAILED_PART = Object(
    (
        always("partid", U64, "The number of the part."),
        *AMOUNTS,
        *REFUSAL,
        always("message", STRING, "Why it failed, in words."),
    )
)

ENDED = (
    always("payment_hash", HASH, "The hash of the payment."),
    always("destination", PUBKEY, "The recipient."),
    always("amount_msat", MSAT, "What the recipient was to get of this call."),
    always("created_at", U64, "When the payment began, in seconds since 1970."),
    always("status", words("failed"), "Nothing of it is out, and nothing was paid."),
    always("getroute_tries", U32, "How often routes were looked for."),
    always("sendpay_tries", U32, "How many parts were sent, or tried to be."),
    always("failures", Array(FAILED_PART), "The last three parts that failed."),
)
"""In `data` of every end of a payment that had begun."""

ATTEMPT = Object(
    (
        always("status", words("pending", "success", "failed"), "How it stands."),
        maybe("failreason", STRING, "Why it failed, in words."),
        maybe("failcode", INTEGER, "The failure code of BOLT #4."),
        always("partid", U64, "The number of the part."),
        *AMOUNTS,
    )
)

BESIDE = (
    maybe("attempts", Array(ATTEMPT), "The last three attempts; **paystatus** has all of them."),
    *REFUSAL,
    FAILCODENAME,
)
"""Beside `code` and `message`, as in the host's own `pay`, whose readers look for it there."""

_REASON = "What stands in the way, as one word for programs; the message says it to people."

_LIMITS = (
    maybe("reason", STRING, _REASON),
    maybe("fee", MSAT, "The fee of the cheapest route that breaks a limit."),
    maybe("feepercent", NUMBER, "That fee, in percent of the amount."),
    maybe("delay", U32, "The delay of the route that breaks the limit, in blocks."),
    maybe("maxfee_msat", MSAT, "The most that this call may cost."),
    maybe("maxdelay", U32, "The most blocks that this call allows."),
)

_SENDABLE = (
    maybe(
        "max_sendable_msat", MSAT,
        "Before anything was tried: so much would reach the recipient, by a plan that was made.",
    ),
    maybe(
        "max_sendable_bound_msat", MSAT, "Before anything was tried: more than this cannot reach the recipient.",
    ),
)  # fmt: skip

INVALID_PARAMS = Failing(
    Code.INVALID_PARAMS,
    "A parameter or the invoice is not right. The message begins with the parameter's name, and says what "
    "a text is that is not an invoice.",
)

OTHER = Failing(
    Code.OTHER, "Anything else, in words.", (maybe("reason", STRING, _REASON),), begun=True, hosts_data=True
)

ALREADY_USED = Failing(
    Code.ALREADY_USED,
    "This *payment_hash* was paid, or is being paid, with another amount or to another node.",
)

DESTINATION_FAILED = Failing(Code.DESTINATION_FAILED, "The recipient refuses for good.", begun=True)

ROUTE_NOT_FOUND = Failing(
    Code.ROUTE_NOT_FOUND,
    "No route. The message says what stands in the way, the node's own channels first.",
    (*_LIMITS, *_SENDABLE),
    begun=True,
)

ROUTE_TOO_EXPENSIVE = Failing(
    Code.ROUTE_TOO_EXPENSIVE,
    "There are routes, but they cost more than *maxfee* (or *maxfeepercent* and *exemptfee*) allow, or take "
    "longer than *maxdelay*.",
    (*_LIMITS, *_SENDABLE),
    begun=True,
)

INVOICE_EXPIRED = Failing(
    Code.INVOICE_EXPIRED,
    "The invoice has expired: ask the recipient for a new one.",
    (
        always("now", U64, "The time of this node, in seconds since 1970."),
        always("expiry", U64, "When the invoice expired, likewise."),
    ),
    begun=True,
)

STOPPED_RETRYING = Failing(
    Code.STOPPED_RETRYING,
    "Not paid within *retry_for*, or within the most attempts allowed; nothing is out.",
    (
        maybe(
            "reason", STRING,
            "What was waited for at last; *busy* where only payments in flight stood in the way.",
        ),
    ),
    begun=True,
)  # fmt: skip

PREAPPROVAL_DECLINED = Failing(
    Code.PREAPPROVAL_DECLINED, "The node's own preapproval (its signer) declined.", hosts_data=True
)

PREAPPROVAL_FAILED = Failing(
    Code.PREAPPROVAL_FAILED, "The node's own preapproval gave no answer that can be used.", hosts_data=True
)

OF_LISTS = (
    INVALID_PARAMS,
    Failing(Code.OTHER, "Anything else, in words.", hosts_data=True),
)
"""Of commands that only show something."""
