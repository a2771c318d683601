"""An invoice as the host's `decode` gives it, checked and typed.

The host verifies checksum, signature and the fields' encodings; what is checked here is what it leaves
to the payer: that this is an invoice at all, for our network, payable with what we know of (BOLT 11,
"A reader: MUST fail the payment if the feature bits contain an even unknown bit").
BOLT 12 invoices are recognised, with what a look at their past needs; paying them needs blinded paths.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pay.errors import invalid_param
from pay.invoice.unreadable import ASK, UNPARSABLE, unreadable
from pay.network.hints import HintHop, RouteHint
from pay.units import NodeId, parse_node_id, parse_scid

CURRENCIES = {
    "bitcoin": "bc",
    "testnet": "tb",
    "testnet4": "tb",
    "signet": "tbs",
    "regtest": "bcrt",
    "liquid": "ex",
    "liquid-regtest": "ert",
}
"""The host's name of a network -> the prefix of its invoices after `ln` (BOLT 11)."""

BOLT12_RELATIVE_EXPIRY_S = 7200
"""BOLT 12: an invoice without invoice_relative_expiry is good for two hours."""

_KNOWN_FEATURES = frozenset({8, 14, 16, 24, 48})
"""Even bits that a payer of ours serves: var_onion, payment_secret, basic_mpp, route_blinding and
payment_metadata (BOLT 9)."""


class GarbledInvoice(ValueError):
    """The host's `decode` left something out or wrote what cannot be: an answer that is none."""


class InvoiceKind(Enum):
    BOLT11 = "bolt11"
    BOLT12 = "bolt12"


@dataclass(frozen=True, slots=True)
class Invoice:
    """What the payer must know of an invoice.

    Parameters
    ----------
    invstring
        Lower case, without `lightning:`.
    amount_msat
        None where the payer chooses.
    expires_at
        Unix time in seconds.
    features
        Feature bits as an integer, bit 0 the least significant.
    final_cltv
        min_final_cltv_expiry in blocks.
    """

    kind: InvoiceKind
    invstring: str
    payment_hash: bytes
    payee: NodeId
    amount_msat: int | None
    expires_at: int
    final_cltv: int
    payment_secret: bytes | None
    payment_metadata: bytes | None
    features: int
    description: str | None
    description_hash: bytes | None
    hints: tuple[RouteHint, ...]

    @classmethod
    def from_decode(cls, invstring: str, decoded: dict[str, Any], network: str) -> Invoice:
        """Read the answer of the host's `decode`.

        Raises
        ------
        PayError
            -32602, where it is nothing that can be paid or not for `network`.
        GarbledInvoice
            The answer lacks what every answer has; that says nothing of the invoice.
        """
        kind, valid = decoded.get("type"), decoded.get("valid")
        if kind is None or valid is None:
            raise GarbledInvoice("it has no `type` or no `valid`")
        if kind == "bolt12 offer":
            raise invalid_param("bolt11", "this is an offer, not an invoice: `fetchinvoice` gets one for it")
        if kind not in ("bolt11 invoice", "bolt12 invoice"):
            words = f"this is a {kind}, not an invoice: {ASK}"
            if kind == "rune":
                # Almost any letters are one to the host.
                words = unreadable(invstring, UNPARSABLE, CURRENCIES.get(network))
            raise invalid_param("bolt11", words)
        if valid is not True:
            warnings = [str(value) for key, value in decoded.items() if key.startswith("warning")]
            words = "; ".join(["the invoice is not valid", *warnings])
            raise invalid_param("bolt11", f"{words}: {ASK}")
        try:
            if kind == "bolt12 invoice":
                return _bolt12(invstring, decoded)
            return _bolt11(invstring, decoded, network)
        except (KeyError, TypeError, ValueError) as error:
            raise GarbledInvoice(f"left out or garbled: {error!r}") from error

    def describe_hash_matches(self, description: str) -> bool:
        """Whether `description` is what the invoice commits to by its hash; True where it has none."""
        if self.description_hash is None:
            return True
        # JSON can carry half a surrogate pair, which has no UTF-8: it matches nothing.
        return hashlib.sha256(description.encode(errors="surrogatepass")).digest() == self.description_hash

    def check_payable(self) -> None:
        """Whether we could pay it at all; asked only after its past, as others may have paid it.

        Raises
        ------
        PayError
            -32602, if it requires what we do not know.
        """
        if self.kind is InvoiceKind.BOLT12:
            return
        _refuse_unknown_features(self.features)
        if self.payment_secret is None:
            # Without it neither the host sends a part nor may the recipient accept it (BOLT 4).
            raise invalid_param("bolt11", "the invoice has no payment_secret: ask the recipient for one with it")

    @property
    def multi_part(self) -> bool:
        """The recipient takes several parts: basic_mpp, bit 16 or 17 (BOLT 9)."""
        return bool(self.features >> 16 & 0b11)


def normalise(invstring: str) -> str:
    """Lower case, without white space around it and without a `lightning:` prefix (BOLT 11)."""
    text = invstring.strip().lower()
    return text.removeprefix("lightning:").removeprefix("//")


def _bolt11(invstring: str, decoded: dict[str, Any], network: str) -> Invoice:
    currency, ours = decoded["currency"], CURRENCIES.get(network)
    if currency != ours:
        raise invalid_param(
            "bolt11",
            f"the invoice is for another network (ln{currency}); ours is {network}: ask for one of ours",
        )
    features = int(decoded.get("features") or "0", 16)
    return Invoice(
        kind=InvoiceKind.BOLT11,
        invstring=invstring,
        payment_hash=bytes.fromhex(decoded["payment_hash"]),
        payee=parse_node_id(decoded["payee"]),
        amount_msat=None if decoded.get("amount_msat") is None else int(decoded["amount_msat"]),
        expires_at=int(decoded["created_at"]) + int(decoded["expiry"]),
        final_cltv=int(decoded["min_final_cltv_expiry"]),
        payment_secret=_optional_bytes(decoded, "payment_secret"),
        payment_metadata=_optional_bytes(decoded, "payment_metadata"),
        features=features,
        description=decoded.get("description"),
        description_hash=_optional_bytes(decoded, "description_hash"),
        hints=tuple(tuple(_hint_hop(hop) for hop in route) for route in decoded.get("routes", ())),
    )


def _bolt12(invstring: str, decoded: dict[str, Any]) -> Invoice:
    expiry = decoded.get("invoice_relative_expiry", BOLT12_RELATIVE_EXPIRY_S)
    payee = decoded.get("invoice_node_id") or decoded.get("offer_issuer_id")
    return Invoice(
        kind=InvoiceKind.BOLT12,
        invstring=invstring,
        payment_hash=bytes.fromhex(decoded["invoice_payment_hash"]),
        payee=parse_node_id(payee),
        amount_msat=int(decoded["invoice_amount_msat"]),
        expires_at=int(decoded["invoice_created_at"]) + int(expiry),
        final_cltv=0,
        payment_secret=None,
        payment_metadata=None,
        features=int(decoded.get("invoice_features") or "0", 16),
        description=decoded.get("offer_description"),
        description_hash=None,
        hints=(),
    )


def _refuse_unknown_features(features: int) -> None:
    bits = (bit for bit in range(0, features.bit_length(), 2) if features >> bit & 1)
    unknown = [bit for bit in bits if bit not in _KNOWN_FEATURES]
    if unknown:
        raise invalid_param(
            "bolt11",
            f"the invoice requires feature bit {unknown[0]}, which this payer does not know: ask the recipient "
            "for one without it",
        )


def _hint_hop(hop: dict[str, Any]) -> HintHop:
    return HintHop(
        node=parse_node_id(hop["pubkey"]),
        scid=parse_scid(hop["short_channel_id"]),
        fee_base_msat=int(hop["fee_base_msat"]),
        fee_ppm=int(hop["fee_proportional_millionths"]),
        cltv_delta=int(hop["cltv_expiry_delta"]),
    )


def _optional_bytes(decoded: dict[str, Any], key: str) -> bytes | None:
    text = decoded.get(key)
    return None if text is None else bytes.fromhex(text)
