"""What a text is that the host does not read as an invoice, and what helps: its reader has only that to go by.

A BOLT 11 string has a checksum, so one that the host reads past that has come as it was made: to copy it again
gives the same. What a caller took for an invoice is often something else that wallets show as a QR code or a link,
and each of those has a way of its own to be paid.
"""

from __future__ import annotations

import re

from pay.units import show

_BAD_CHECKSUM = "Bad bech32 string"
"""The host's words for a text that is no bech32, or whose checksum is wrong."""

UNPARSABLE = "Unparsable string"
"""Of a text that looks like nothing that the host reads."""

ASK = "ask the recipient for another invoice"
_COPY = "copy the invoice again, in full"

_OTHER_THINGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"lnurl1.*|lnurlp?:.*|lnurl[pwc]://.*|https?://.*|keyauth://.*", re.DOTALL),
        "this is an LNURL or a web address, not an invoice: a wallet that knows LNURL gets an invoice from there",
    ),
    (
        # In labels without dots: anybody may have written the text, and no length of it may take long.
        re.compile(r"[^@\s/:?]+@[^@\s/:?.]+(\.[^@\s/:?.]+)+"),
        "this is a Lightning address, not an invoice: a wallet that knows them gets an invoice from its host",
    ),
    (
        re.compile(r"bitcoin:.*[?&]lightning=[^&].*", re.DOTALL),
        "this is a payment link for several ways to pay: give the invoice alone, what follows `lightning=` in it",
    ),
    (
        re.compile(r"bitcoin:.*[?&]lno=[^&].*", re.DOTALL),
        "this is a payment link with an offer: `fetchinvoice` gets an invoice for what follows `lno=` in it",
    ),
    (
        re.compile(r"bitcoin:.*|(bc|tb|bcrt)1[ac-hj-np-z02-9]+|[123mn][1-9a-z]{25,34}", re.DOTALL),
        "this is an on-chain address, not an invoice: `withdraw` pays to it",
    ),
    (re.compile(r"lnr1.*", re.DOTALL), "this is a request for an invoice: it asks for one, nothing is to be paid"),
    (re.compile(r"0[23][0-9a-f]{64}"), "this is a node id, not an invoice: `keysend` pays a node without one"),
    (re.compile(r"[0-9a-f]{64}"), "this is a payment hash or a preimage: the invoice itself is needed"),
)  # fmt: skip
"""In lower case, as `normalise` has them."""

_BOLT11 = re.compile(r"ln([a-z]+?)(\d+[munp]?)?1[^1]*", re.DOTALL)
_OTHER_CURRENCIES = frozenset({"bc", "tb", "tbs", "bcrt", "ex", "ert", "sb", "ltc"})
_BECH32 = frozenset("qpzry9x8gf2tvdw0s3jn54khce6mua7l")


def other_thing(text: str) -> str | None:
    """What a text is that wallets show beside invoices, and how it is paid; `text` as `normalise` has it."""
    return next((words for form, words in _OTHER_THINGS if form.fullmatch(text)), None)


def unreadable(text: str, host_words: str, currency: str | None) -> str:
    """What is wrong with a text that is no invoice, and what to do.

    Parameters
    ----------
    text
        As `normalise` has it.
    host_words
        What the host's `decode` said.
    currency
        What invoices of our network have after `ln`.
    """
    if (words := other_thing(text)) is not None:
        return words
    if text.startswith(("lno1", "lni1")):
        # BOLT 12 strings have no checksum: a letter that is missing looks like anything.
        kind = "offer" if text.startswith("lno1") else "BOLT 12 invoice"
        return f"this {kind} cannot be read ({host_words}): copy it again, in full"
    parts = _BOLT11.fullmatch(text)
    if parts is not None and currency not in (None, parts[1]):
        if parts[1] in _OTHER_CURRENCIES:
            return f"this invoice is for another network (ln{parts[1]}); ours takes ln{currency}: {ASK}, for ours"
        return f"it begins with ln{parts[1]}, and invoices of our network with ln{currency}: {_COPY}"
    if parts is None and not text.startswith("ln"):
        ours = f"ln{currency}" if currency is not None else "ln"
        return f"this is not an invoice: one begins with {ours} and is a single line of letters and digits"
    if parts is not None and host_words not in (_BAD_CHECKSUM, UNPARSABLE):
        return _as_made(host_words)
    data = text.rpartition("1")[2] if "1" in text else ""
    strange = next((c for c in data if c not in _BECH32), None)
    if strange is None:
        return f"{host_words}, letters are missing or wrong: {_COPY}"
    what = "white space" if strange.isspace() else show(strange)
    return f"{host_words}, there is {what} in it, which no invoice has: {_COPY}, and nothing beside it"


def _as_made(host_words: str) -> str:
    """Of an invoice that has come as it was made: its checksum is right."""
    feature = re.search(r"unknown feature bit (\d+)", host_words)
    if feature is not None:
        return (
            f"the invoice requires feature bit {feature[1]}, which this node does not know: ask the recipient for "
            f"one without it"
        )
    if "'d' or 'h'" in host_words:
        return f"the invoice has neither a description nor the hash of one ({host_words}): {ASK}, with one"
    if "payment secret" in host_words:
        return f"the invoice has no payment_secret, without which nobody can pay it safely: {ASK}, with one"
    return f"the invoice was made so that it cannot be read ({host_words}): {ASK}"
