"""What lightningd's `decode` answers for a BOLT 11 invoice, key by key and in its order (v26.06).

Not done: BOLT 12 strings, runes and the emergency recovery string, which `decode` reads as well; here they
are unparsable.

Source: lightning-decode(7); tried on v26.06.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

from pyln.proto.bech32 import CHARSET, bech32_hrp_expand, bech32_polymod, convertbits

from pay.errors import Code, PayError
from pay.network import HintHop
from pay.sim.network.encoding.bolt11 import KNOWN_FEATURES, Bolt11, decode
from pay.units import format_scid

_LIKELY_BOLT11 = re.compile(
    r"(ln(bcrt|bc|tbs|tb)|LN(BCRT|BC|TBS|TB))(\d+[munpMUNP]?)?1[^1]*", re.ASCII | re.DOTALL
)
"""What `decode` takes for a BOLT 11 invoice: only then it says what is wrong with it."""

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ADDRESSES = {
    "bc": ("bc", 0, 5), "bcrt": ("bcrt", 111, 196), "tb": ("tb", 111, 196), "tbs": ("tb", 111, 196),
    "ert": ("ert", 91, 75), "ex": ("ex", 57, 39),
}  # fmt: skip
"""currency -> prefix of segwit addresses, version byte of P2PKH, version byte of P2SH."""

_BECH32M = 0x2BC830A3
"""Checksum constant of witness versions above 0 (BIP 350)."""


def decode_answer(
    text: str, known_features: frozenset[int] | None = KNOWN_FEATURES, *, check_signature: bool = True
) -> dict[str, Any]:
    """The object that `decode` answers for this string; the parameters are those of `bolt11.decode`.

    Raises
    ------
    PayError
        -32602 with lightningd's message, for a string that is not a BOLT 11 invoice or is a broken one.
    """
    bare = text[len("lightning:") :] if text.startswith(("lightning:", "LIGHTNING:")) else text
    try:
        return bolt11_json(decode(bare, known_features=known_features, check_signature=check_signature))
    except ValueError as error:
        problem = str(error) if _LIKELY_BOLT11.fullmatch(bare) else "Unparsable string"
    raise PayError(Code.INVALID_PARAMS, f"string: {problem}: invalid token (see logs for details)")


def bolt11_json(invoice: Bolt11) -> dict[str, Any]:
    """The object that `decode` answers for an invoice that is valid."""
    optional = {
        "amount_msat": invoice.amount_msat,
        "description": invoice.description,
        "description_hash": _hex(invoice.description_hash),
        "min_final_cltv_expiry": invoice.min_final_cltv_expiry,
        "payment_secret": _hex(invoice.payment_secret),
        "features": features_hex(invoice.features),
        "payment_metadata": _hex(invoice.payment_metadata),
        "fallbacks": [_fallback(script, invoice.currency) for script in invoice.fallbacks] or None,
        "routes": [[_hop(hop) for hop in hint] for hint in invoice.routes] or None,
        "extra": [{"tag": tag, "data": data} for tag, data in invoice.extra] or None,
    }
    return {
        "type": "bolt11 invoice",
        "currency": invoice.currency,
        "created_at": invoice.created_at,
        "expiry": invoice.expiry,
        "payee": invoice.payee.hex(),
        **{key: value for key, value in optional.items() if value is not None},
        "payment_hash": invoice.payment_hash.hex(),
        "signature": invoice.signature.hex(),
        "valid": True,
    }


def features_hex(features: int) -> str:
    """The bytes that the words of field `9` fill, in hex; no features are an empty string."""
    n_words = -(-features.bit_length() // 5)
    return features.to_bytes(-(-5 * n_words // 8), "big").hex()


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def _hop(hop: HintHop) -> dict[str, Any]:
    return {
        "pubkey": hop.node.hex(),
        "short_channel_id": format_scid(hop.scid),
        "fee_base_msat": hop.fee_base_msat,
        "fee_proportional_millionths": hop.fee_ppm,
        "cltv_expiry_delta": hop.cltv_delta,
    }


def _fallback(script: bytes, currency: str) -> dict[str, Any]:
    """Type and address of an output script; `hex` alone where lightningd has no name for it."""
    prefix, p2pkh, p2sh = _ADDRESSES[currency]
    match len(script), script[0]:
        case 25, 0x76:
            named = {"type": "P2PKH", "addr": _base58(p2pkh, script[3:23])}
        case 23, 0xA9:
            named = {"type": "P2SH", "addr": _base58(p2sh, script[2:22])}
        case 22, 0x00:
            named = {"type": "P2WPKH", "addr": _segwit(prefix, 0, script[2:])}
        case 34, 0x00:
            named = {"type": "P2WSH", "addr": _segwit(prefix, 0, script[2:])}
        case 34, 0x51:
            named = {"type": "P2TR", "addr": _segwit(prefix, 1, script[2:])}
        case _:
            named = {}
    return {**named, "hex": script.hex()}


def _base58(version: int, payload: bytes) -> str:
    data = bytes([version]) + payload
    data += sha256(sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def _segwit(prefix: str, version: int, program: bytes) -> str:
    words = bytes([version, *convertbits(program, 8, 5)])
    constant = _BECH32M if version else 1
    polymod = bech32_polymod(bech32_hrp_expand(prefix) + words + bytes(6)) ^ constant
    words += bytes(polymod >> 5 * (5 - k) & 31 for k in range(6))
    return f"{prefix}1" + "".join(CHARSET[word] for word in words)
