"""BOLT 11 invoices, written and read.

An invoice is a bech32 string of a human readable part (`ln`, the currency, the amount), a timestamp, tagged
fields and a recoverable signature. Reading follows the requirements of BOLT 11 and words its refusals as
lightningd does (v26.06), so that tests against the one hold for the other. Writing is deterministic and in
lightningd's order of fields: `decode` and `encode` with the same key give the same string back.

What it knowingly does not do: it does not match a description with its hash (whoever pays must), and it does
not know of other currencies than lightningd.

Source: BOLT 11.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyln.proto.bech32 import CHARSET, bech32_decode, bech32_encode

from pay.network import HintHop, RouteHint
from pay.sim.network import bolt11_words as w
from pay.units import NodeId, Scid

DEFAULT_EXPIRY_S = 3600
DEFAULT_FINAL_CLTV_BLOCKS = 18

KNOWN_FEATURES = frozenset({8, 14, 16, 24, 48})
"""The required (even) bits that lightningd v26.06 understands in an invoice: var_onion_optin, payment_secret,
basic_mpp, route_blinding, payment_metadata (BOLT 9)."""

FIELD_ORDER = "sphdmnxcfr9"
"""The order in which lightningd writes the fields."""

CURRENCIES = {"bitcoin": "bc", "regtest": "bcrt", "signet": "tbs", "testnet": "tb", "testnet4": "tb",
              "liquid-regtest": "ert", "liquid": "ex"}  # fmt: skip
"""What an invoice of a network begins with after `ln`."""

_MSAT_PER_BTC = 100_000_000_000
_TENTHS = {"": 10 * _MSAT_PER_BTC, "m": 1_000_000_000, "u": 1_000_000, "n": 1_000, "p": 1}
"""multiplier -> tenths of a msat in one unit; from the largest to the smallest."""

_HINT_HOP = struct.Struct(">33sQIIH")

NOBODY = NodeId(b"")
"""The payee of an invoice that is not signed yet."""


@dataclass(frozen=True, slots=True)
class Bolt11:
    """All that an invoice says. What `encode` takes and what `decode` gives.

    `fallbacks` are output scripts. `features` is a number whose bit n is feature n. `extra` holds the fields
    that a reader must ignore: tag letter and the data in bech32 characters. `payee_named` says whether `payee` is
    written as field `n` (whoever signs, if it is `NOBODY`); otherwise `encode` ignores it, and `signature` (DER).
    """

    payment_hash: bytes
    created_at: int
    amount_msat: int | None = None
    description: str | None = None
    description_hash: bytes | None = None
    payment_secret: bytes | None = None
    currency: str = "bcrt"
    expiry: int = DEFAULT_EXPIRY_S
    min_final_cltv_expiry: int = DEFAULT_FINAL_CLTV_BLOCKS
    features: int = 0
    payment_metadata: bytes | None = None
    fallbacks: tuple[bytes, ...] = ()
    routes: tuple[RouteHint, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    payee_named: bool = False
    payee: NodeId = NOBODY
    signature: bytes = b""


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
    letter, unit = next((m, u) for m, u in _TENTHS.items() if amount_msat * 10 % u == 0)
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
        hops = (_HINT_HOP.pack(h.node, h.scid, h.fee_base_msat, h.fee_ppm, h.cltv_delta) for h in hint)
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


def canonical(text: str) -> str:
    """Without `lightning:` and in lower case, as an invoice is stored."""
    return text[text.startswith(("lightning:", "LIGHTNING:")) * len("lightning:") :].lower()


def decode(
    text: str, *, known_features: frozenset[int] | None = KNOWN_FEATURES, check_signature: bool = True
) -> Bolt11:
    """Read an invoice and check its signature.

    Parameters
    ----------
    text
        In lower or upper case, with or without the scheme `lightning:`.
    known_features
        The even feature bits that are understood; None accepts all.
    check_signature
        False believes field `n` whoever signed: for invoices in the name of a node whose key the box lacks.

    Raises
    ------
    ValueError
        Why it is not an invoice, in lightningd's words.
    """
    if text.startswith(("lightning:", "LIGHTNING:")):
        text = text[len("lightning:") :]
    try:
        hrp, words = bech32_decode(text)
    except ValueError:
        raise ValueError("Bad bech32 string") from None
    currency, amount_msat = _read_hrp(hrp)
    if len(words) < 7:
        raise ValueError("Can't get 35-bit timestamp: truncated")
    found, extra, end = _read_fields(words, known_features)
    _require_fields(found)
    if len(words) - end < w.SIGNATURE_WORDS:
        raise ValueError("can't read signature: truncated")
    signature = w.bytes_of_words(words[end:])
    named = found.get("n")
    payee, der = w.verify(w.signed_hash(hrp, words[:end]), signature, named if check_signature else None)
    if named is not None:
        payee = named
    return Bolt11(
        currency=currency, amount_msat=amount_msat, created_at=w.uint_of(words[:7]),
        payment_hash=found["p"], payment_secret=found["s"], description=found.get("d"),
        description_hash=found.get("h"), expiry=found.get("x", DEFAULT_EXPIRY_S),
        min_final_cltv_expiry=found.get("c", DEFAULT_FINAL_CLTV_BLOCKS), features=found.get("9", 0),
        payment_metadata=found.get("m"), fallbacks=tuple(found.get("f", ())),
        routes=tuple(found.get("r", ())), extra=tuple(extra), payee_named="n" in found,
        payee=NodeId(payee), signature=der,
    )  # fmt: skip


def _read_hrp(hrp: str) -> tuple[str, int | None]:
    """Currency and amount (msat) of the human readable part."""
    n_letters = next((k for k, c in enumerate(hrp) if c in "0123456789"), len(hrp))
    prefix, amount = hrp[:n_letters], hrp[n_letters:]
    if not prefix.startswith("ln"):
        raise ValueError(f"Prefix '{prefix}' does not start with ln")
    currency = prefix[2:]
    # A reader that does not understand the `prefix` MUST fail the payment.
    if currency not in CURRENCIES.values():
        raise ValueError(f"Unknown chain {currency}")
    if not amount:
        return currency, None
    letter = amount[-1] if amount[-1] in "munp" else ""
    digits = amount.removesuffix(letter)
    n_digits = next((k for k, c in enumerate(digits) if c not in "0123456789"), len(digits))
    # If `amount` contains a non-digit or is followed by anything except a `multiplier`, MUST fail.
    if n_digits < len(digits):
        raise ValueError(f"Invalid amount postfix '{digits[n_digits:]}'")
    tenths = int(digits) * _TENTHS[letter]
    if tenths >= 1 << 64:
        raise ValueError(f"Invalid amount '{digits}'")
    # If the multiplier is `p` and the last decimal of `amount` is not 0, MUST fail the payment.
    if tenths % 10:
        raise ValueError(f"Invalid sub-millisatoshi amount '{digits}p'")
    return currency, tenths // 10


def _read_fields(
    words: bytes, known_features: frozenset[int] | None
) -> tuple[dict[str, Any], list[tuple[str, str]], int]:
    """The tagged fields by letter, those to be ignored, and where the signature begins."""
    found: dict[str, Any] = {}
    extra: list[tuple[str, str]] = []
    at = 7
    while len(words) - at > w.SIGNATURE_WORDS:
        letter, length = CHARSET[words[at]], w.uint_of(words[at + 1 : at + 3])
        data = words[at + 3 : at + 3 + length]
        if len(data) < length:
            raise ValueError(f"{letter}: truncated")
        at += 3 + length
        value = None
        # The first of several `p`, `d`, … holds; there may be more than one `f` and `r`.
        if letter in _READERS and (letter in "fr" or letter not in found):
            value = _READERS[letter](data)
        if value is None:
            extra.append((letter, "".join(CHARSET[word] for word in data)))
        elif letter in "fr":
            found.setdefault(letter, []).append(value)
        else:
            found[letter] = value
        if letter == "9" and value is not None and known_features is not None:
            _check_features(value, known_features)
    return found, extra, at


def _require_fields(found: Mapping[str, Any]) -> None:
    if "p" not in found:
        raise ValueError("No valid 'p' field found")
    if "s" not in found:
        raise ValueError("Missing required payment secret (s field)")
    if "d" not in found and "h" not in found:
        raise ValueError("must have either 'd' or 'h' field")


def _check_features(features: int, known: frozenset[int]) -> None:
    # If the `9` field contains unknown even bits that are non-zero, MUST fail the payment.
    for bit in range(0, features.bit_length(), 2):
        if features >> bit & 1 and bit not in known:
            raise ValueError(f"9: unknown feature bit {bit}")


def _read_exactly(length: int) -> Callable[[bytes], bytes | None]:
    # A reader MUST skip over `p`, `h`, `s` or `n` fields that do not have data_lengths 52, 52, 52 or 53.
    return lambda words: w.bytes_of_words(words) if len(words) == length else None


def _read_description(words: bytes) -> str:
    data = w.bytes_of_words(words)
    if b"\0" in data:
        raise ValueError("d: invalid utf8")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("d: invalid utf8") from None


def _read_number(letter: str, bits: int) -> Callable[[bytes], int]:
    def read(words: bytes) -> int:
        try:
            value = w.uint_of_words(words)
        except ValueError as error:
            raise ValueError(f"{letter}: {error}") from None
        if value >> bits:
            raise ValueError(f"{letter}: {value} is too large")
        return value

    return read


def _read_payee(words: bytes) -> bytes | None:
    if len(words) != 53:
        return None
    payee = w.bytes_of_words(words)
    if not w.is_public_key(payee):
        raise ValueError(f"invalid public key {payee.hex()}")
    return payee


def _read_features(words: bytes) -> int:
    if words[:1] == b"\0" and (len(words) == 1 or words[1] < 4):
        raise ValueError("9: non-minimal length (begins with 0)")
    return w.uint_of(words)


def _read_fallback(words: bytes) -> bytes | None:
    if not words:
        raise ValueError("f: truncated")
    version = words[0]
    if version > 18:
        return None  # A reader MUST skip over `f` fields that use an unknown version.
    data = w.bytes_of_words(words[1:])
    if version == 17:
        if len(data) != 20:
            raise ValueError(f"f: pkhash length {len(data)}")
        return b"\x76\xa9\x14" + data + b"\x88\xac"
    if version == 18:
        if len(data) != 20:
            raise ValueError(f"f: p2sh length {len(data)}")
        return b"\xa9\x14" + data + b"\x87"
    allowed = {0: (20, 32), 1: (32,)}.get(version, range(2, 41))
    if len(data) not in allowed:
        raise ValueError(f"f: witness v{version} bad length {len(data)}")
    return bytes([0x50 + version if version else 0, len(data)]) + data


def _read_route(words: bytes) -> RouteHint:
    data = w.bytes_of_words(words)
    hops = []
    for n in range(max(1, -(-len(data) // _HINT_HOP.size))):
        packed = data[n * _HINT_HOP.size : (n + 1) * _HINT_HOP.size]
        if len(packed) < _HINT_HOP.size:
            raise ValueError(f"r: hop {n} truncated")
        node, scid, base_msat, ppm, delta = _HINT_HOP.unpack(packed)
        if not w.is_public_key(node):
            raise ValueError(f"r: hop {n} pubkey invalid")
        hops.append(HintHop(NodeId(node), Scid(scid), base_msat, ppm, delta))
    return tuple(hops)


_READERS: Mapping[str, Callable[[bytes], Any]] = {
    "p": _read_exactly(52),
    "h": _read_exactly(52),
    "s": _read_exactly(52),
    "d": _read_description,
    "x": _read_number("x", 64),
    "c": _read_number("c", 32),
    "n": _read_payee,
    "f": _read_fallback,
    "r": _read_route,
    "9": _read_features,
    "m": w.bytes_of_words,
}
"""letter -> reader of its words; None says that the field is to be ignored."""
