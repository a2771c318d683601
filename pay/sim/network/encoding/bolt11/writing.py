"""Invoices written: deterministic, in lightningd's order of fields."""

from __future__ import annotations

from collections.abc import Iterator

from pyln.proto.bech32 import CHARSET, bech32_encode

from pay.sim.network.encoding.bolt11 import words as w
from pay.sim.network.encoding.bolt11.fields import DEFAULT_EXPIRY_S, FIELD_ORDER, HINT_HOP, TENTHS, Bolt11


def encode(invoice: Bolt11, secret: bytes, *, order: str = FIELD_ORDER) -> str:
    """The invoice as a lower-case string, signed.

    Parameters
    ----------
    invoice
        If it has both a description and its hash, the hash is written.
    secret
        The payee's key, 32 bytes.
    order
        The letters of the fields in the order in which to write them; a letter left out leaves the field out,
        which makes the invoices that a reader has to refuse.

    Raises
    ------
    ValueError
        If a value cannot be written.
    """
    hrp = "ln" + invoice.currency + _amount_text(invoice.amount_msat)
    words = w.words_of_uint(invoice.created_at, 7)
    payee = invoice.payee or w.public_key_of(secret)
    fields = list(_fields(invoice, payee))
    for letter in order:
        words += b"".join(w.tagged(letter, data) for name, data in fields if name == letter)
    for letter, data_text in invoice.extra:
        words += w.tagged(letter, bytes(CHARSET.index(c) for c in data_text))
    return str(bech32_encode(hrp, words + w.sign(hrp, words, secret)))


def _amount_text(amount_msat: int | None) -> str:
    # A writer MUST encode `amount` as a positive decimal integer with no leading 0s; SHOULD use the shortest
    # representation possible, by using the largest multiplier or omitting the multiplier.
    if amount_msat is None:
        return ""
    if amount_msat <= 0:
        raise ValueError(f"an invoice for {amount_msat} msat")
    letter, unit = next((m, u) for m, u in TENTHS.items() if amount_msat * 10 % u == 0)
    return f"{amount_msat * 10 // unit}{letter}"


def _fields(invoice: Bolt11, payee: bytes) -> Iterator[tuple[str, bytes]]:
    """Letter and words of every field that the invoice has."""
    if invoice.payment_secret is not None:
        yield "s", w.words_of_bytes(invoice.payment_secret)
    yield "p", w.words_of_bytes(invoice.payment_hash)
    # A writer MUST include either exactly one `d` or exactly one `h` field.
    if invoice.description_hash is not None:
        yield "h", w.words_of_bytes(invoice.description_hash)
    elif invoice.description is not None:
        yield "d", w.words_of_bytes(invoice.description.encode())
    if invoice.payment_metadata is not None:
        yield "m", w.words_of_bytes(invoice.payment_metadata)
    if invoice.payee_named:
        yield "n", w.words_of_bytes(payee)
    if invoice.expiry != DEFAULT_EXPIRY_S:
        yield "x", w.words_of_uint(invoice.expiry)
    yield "c", w.words_of_uint(invoice.min_final_cltv_expiry)
    for script in invoice.fallbacks:
        yield "f", _fallback_words(script)
    for hint in invoice.routes:
        hops = (HINT_HOP.pack(h.node, h.scid, h.fee_base_msat, h.fee_ppm, h.cltv_delta) for h in hint)
        yield "r", w.words_of_bytes(b"".join(hops))
    # A writer MUST omit the `9` field altogether if it would contain no non-zero bits.
    if invoice.features:
        yield "9", w.words_of_uint(invoice.features)


def _fallback_words(script: bytes) -> bytes:
    # For bitcoin payments an `f` field holds a witness version and program, or 17 and a public key hash, or
    # 18 and a script hash.
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return b"\x11" + w.words_of_bytes(script[3:23])
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return b"\x12" + w.words_of_bytes(script[2:22])
    version = script[0] - 0x50 if script[:1] > b"\x50" else 0
    if len(script) < 4 or version > 16 or script[1] != len(script) - 2:
        raise ValueError(f"not an output script that an invoice can name: {script.hex()}")
    return bytes([version]) + w.words_of_bytes(script[2:])
