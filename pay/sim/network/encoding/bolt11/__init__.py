"""BOLT 11 invoices, written and read.

An invoice is a bech32 string of a human readable part (`ln`, the currency, the amount), a timestamp, tagged fields
and a recoverable signature. `decode` and `encode` with the same key give the same string back.
"""

from pay.sim.network.encoding.bolt11.fields import (
    CURRENCIES,
    DEFAULT_EXPIRY_S,
    DEFAULT_FINAL_CLTV_BLOCKS,
    FIELD_ORDER,
    KNOWN_FEATURES,
    NOBODY,
    Bolt11,
    canonical,
)
from pay.sim.network.encoding.bolt11.reading import decode
from pay.sim.network.encoding.bolt11.writing import encode

__all__ = [
    "CURRENCIES",
    "DEFAULT_EXPIRY_S",
    "DEFAULT_FINAL_CLTV_BLOCKS",
    "FIELD_ORDER",
    "KNOWN_FEATURES",
    "NOBODY",
    "Bolt11",
    "canonical",
    "decode",
    "encode",
]
