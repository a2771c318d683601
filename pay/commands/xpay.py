"""`xpay`: cln-xpay's form of a payment, for the clients that call that: the same engine, other words.

Its parameters stand in its own order, of which older hosts have fewer. Its answer is closed: readers made from its
schema fail on a field that they do not know. An error is a code and a message.

Source: lightning-xpay(7); plugins/xpay/xpay.c of the tags from v24.11 on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pay.commands.form import readers
from pay.commands.form.parameters import Parameter
from pay.commands.form.shapes import BOOLEAN, HEX, MSAT, STRING, U32, Array
from pay.host.version import XPAY_LABEL_SINCE, XPAY_MAXDELAY_SINCE, XPAY_PAYER_NOTE_SINCE, Version
from pay.payment.terms import DEFAULT_MAXDELAY_BLOCKS, DEFAULT_RETRY_FOR_S
from pay.units import parse_msat

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
        "Layers of askrene. The node's own **xpay** serves a call that names any.", (), "none",
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
        "payer_note", STRING, readers.text, "Goes with an invoice_request; a BOLT #11 invoice has no place for it.",
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
    named = _named(params, version, developer)
    if named is None or not isinstance(named.get("invstring"), str):
        return False
    return named.get("layers") in (None, []) and named.get("localinvreqid") is None


def string_of(params: Any) -> str | None:
    """The string that a call is to pay, however it gives it; None where it gives none."""
    match params:
        case [str(text), *_] | {"invstring": str(text)}:
            return text
    return None


def _named(params: Any, version: Version, developer: bool) -> Mapping[str, Any] | None:
    """The values of a call by their names; None where the host of this version would refuse one of the names."""
    names = [parameter.name for parameter in PARAMETERS if parameter.known_to(version, developer)]
    if isinstance(params, list):
        return dict(zip(names, params, strict=False)) if len(params) <= len(names) else None
    if isinstance(params, dict):
        return params if params.keys() <= set(names) else None
    return None
