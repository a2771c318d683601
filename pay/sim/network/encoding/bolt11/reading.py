"""Invoices read.

They are refused as BOLT 11 requires, in lightningd's words (v26.06), so that tests against the one hold for the
other. It does not match a description with its hash (whoever pays must), and knows no currencies but lightningd's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyln.proto.bech32 import CHARSET, bech32_decode

from pay.network import HintHop, RouteHint
from pay.sim.network.encoding.bolt11 import words as w
from pay.sim.network.encoding.bolt11.fields import (
    CURRENCIES,
    DEFAULT_EXPIRY_S,
    DEFAULT_FINAL_CLTV_BLOCKS,
    HINT_HOP,
    KNOWN_FEATURES,
    TENTHS,
    Bolt11,
)
from pay.units import NodeId, Scid


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
    tenths = int(digits) * TENTHS[letter]
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
    for n in range(max(1, -(-len(data) // HINT_HOP.size))):
        packed = data[n * HINT_HOP.size : (n + 1) * HINT_HOP.size]
        if len(packed) < HINT_HOP.size:
            raise ValueError(f"r: hop {n} truncated")
        node, scid, base_msat, ppm, delta = HINT_HOP.unpack(packed)
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
