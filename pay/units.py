"""Money, channels and nodes as plain values.

Money is an integer number of millisatoshi everywhere; a channel is its 64-bit short_channel_id
(BOLT 7: 3 bytes block, 3 bytes transaction, 2 bytes output); a node is its 33-byte public key.
No arithmetic in here is done in floats.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, NewType

Scid = NewType("Scid", int)
NodeId = NewType("NodeId", bytes)

MAX_MSAT = 2_100_000_000_000_000_000
"""21 million bitcoin: no amount on this network can be larger."""

_U64 = (1 << 64) - 1
_SCID = re.compile(r"(\d{1,8})x(\d{1,8})x(\d{1,5})", re.ASCII)
_NODE_ID = re.compile(r"0[23][0-9a-fA-F]{64}", re.ASCII)
_AMOUNT = re.compile(r"(\d{1,20})(?:\.(\d{1,11}))?(msat|sat|btc)?", re.ASCII)
_DECIMALS = {None: (0, 0), "msat": (0, 0), "sat": (3, 3), "btc": (11, 11)}
"""unit -> (decimal places allowed, power of ten of one unit in msat)"""


def parse_msat(value: Any) -> int:
    """An amount as callers write it, in msat.

    An integer, or a string: digits alone or with `msat`, `sat` (up to three decimals) or
    `btc` (one to eleven decimals). Source: lightning-pay(7).

    Raises
    ------
    ValueError
        With words that can follow the name of the parameter.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"should be an amount like 1000, 1000msat or 1sat, not {show(value)}")
    if isinstance(value, str):
        match = _AMOUNT.fullmatch(value)
        if match is None:
            raise ValueError(f"should be an amount like 1000, 1000msat or 1sat, not {show(value)}")
        whole, fraction, unit = match[1], match[2] or "", match[3]
        places, power = _DECIMALS[unit]
        if unit == "btc" and not fraction:
            raise ValueError(f"should have 1 to 11 decimals of btc, like 1.0btc, not {show(value)}")
        if len(fraction) > places:
            raise ValueError(f"should have no part of a msat: 3 decimals of sat or 11 of btc, not {show(value)}")
        value = int(whole) * 10**power + int((fraction + "0" * power)[:power] or 0)
    if value < 0:
        raise ValueError(f"should not be negative: {show(value)}")
    if value > MAX_MSAT:
        raise ValueError(f"is more than all bitcoin there are: {show(value)}")
    return int(value)


def show(value: Any, limit: int = 60) -> str:
    """A caller's value in an error message, cut to a readable length."""
    try:
        text = f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    except RecursionError:
        return "..."
    # Plain dots: whatever is not ASCII arrives in the host's log as question marks.
    return text if len(text) <= limit else text[: limit - 3] + "..."


def format_msat(amount_msat: int) -> str:
    """`1234567` as "1,234.567 sat", for people's eyes."""
    whole, rest = divmod(amount_msat, 1000)
    return f"{whole:,}.{rest:03d} sat" if rest else f"{whole:,} sat"


def fee_msat(amount_msat: int, base_msat: int, ppm: int) -> int:
    """What a channel charges for forwarding `amount_msat` (BOLT 7, htlc fee), rounded down."""
    return base_msat + amount_msat * ppm // 1_000_000


def parse_scid(text: Any) -> Scid:
    """`"539268x845x1"` as a number. Raises ValueError."""
    match = _SCID.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"is not a short_channel_id: {show(text)}")
    block, tx, output = (int(group) for group in match.groups())
    if block >= 1 << 24 or tx >= 1 << 24 or output >= 1 << 16:
        raise ValueError(f"is not a short_channel_id: {show(text)}")
    return Scid(block << 40 | tx << 16 | output)


def format_scid(scid: int) -> str:
    """The `BLOCKxTXxOUTPUT` form of a short_channel_id."""
    return f"{scid >> 40}x{scid >> 16 & 0xFFFFFF}x{scid & 0xFFFF}"


def parse_node_id(text: Any) -> NodeId:
    """A compressed public key in hex. Raises ValueError."""
    if not isinstance(text, str) or _NODE_ID.fullmatch(text) is None:
        raise ValueError(f"is not a node id: {show(text)}")
    return NodeId(bytes.fromhex(text))


class ScidDir(NamedTuple):
    """One direction of a channel: 0 is from the node with the lesser id (BOLT 7)."""

    scid: Scid
    direction: int

    @classmethod
    def parse(cls, text: Any) -> ScidDir:
        """`"539268x845x1/0"`. Raises ValueError."""
        scid, slash, direction = text.partition("/") if isinstance(text, str) else ("", "", "")
        if not slash or direction not in ("0", "1"):
            raise ValueError(f"is not a short_channel_id with direction: {show(text)}")
        return cls(parse_scid(scid), int(direction))

    @property
    def reverse(self) -> ScidDir:
        return ScidDir(self.scid, 1 - self.direction)

    def __str__(self) -> str:
        return f"{format_scid(self.scid)}/{self.direction}"


def direction_of(source: bytes, destination: bytes) -> int:
    """The direction bit of a channel as `source` uses it towards `destination` (BOLT 7)."""
    return 0 if source < destination else 1
