"""What an invoice says, as a value, and the words that stand for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pay.network import RouteHint
from pay.units import NodeId

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

MSAT_PER_BTC = 100_000_000_000
TENTHS = {"": 10 * MSAT_PER_BTC, "m": 1_000_000_000, "u": 1_000_000, "n": 1_000, "p": 1}
"""multiplier -> tenths of a msat in one unit; from the largest to the smallest."""

HINT_HOP = struct.Struct(">33sQIIH")

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


def canonical(text: str) -> str:
    """Without `lightning:` and in lower case, as an invoice is stored."""
    return text[text.startswith(("lightning:", "LIGHTNING:")) * len("lightning:") :].lower()
