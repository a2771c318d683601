"""What one direction of a channel asks of an HTLC, and the message that says so.

A `channel_update` (BOLT 7) carries the policy of one direction. It reaches us inside the gossip_store and
inside the failure messages of BOLT 4; both are parsed here. Signatures are not verified: the store's were
verified by the host, and one from a failure is only believed for one payment.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pay.units import Scid, ScidDir, format_scid

CHANNEL_UPDATE = 258

_LAYOUT = struct.Struct(">64s32sQIBBHQIIQ")
"""BOLT 7 channel_update after its type: signature, chain_hash, short_channel_id, timestamp, message_flags,
channel_flags, cltv_expiry_delta, htlc_minimum_msat, fee_base_msat, fee_proportional_millionths,
htlc_maximum_msat."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What one direction of a channel asks (BOLT 7, channel_update).

    `htlc_min_msat` and `htlc_max_msat` bound the amount of an HTLC on this channel, without the fee that
    the node at its start takes; `cltv_delta` is in blocks, `timestamp` in seconds.
    """

    fee_base_msat: int
    fee_ppm: int
    cltv_delta: int
    htlc_min_msat: int
    htlc_max_msat: int
    enabled: bool = True
    timestamp: int = 0


def parse_channel_update(message: bytes) -> tuple[ScidDir, Policy]:
    """The direction and its policy out of a raw `channel_update`, with or without the leading type 258.

    Failure messages of BOLT 4 carry it both ways: with the type as the specification says, and without as
    older nodes wrote it. Data behind the known fields is ignored (BOLT 7: it may be extended by TLVs).

    Raises
    ------
    ValueError
        If it is too short to be one, or lacks the htlc_maximum_msat that BOLT 7 requires.
    """
    # A signature may begin like the type; a message without it and of just this length has none.
    typed = len(message) != _LAYOUT.size and message[:2] == CHANNEL_UPDATE.to_bytes(2, "big")
    body = message[2:] if typed else message
    if len(body) < _LAYOUT.size:
        raise ValueError(f"channel_update of {len(message)} bytes, at least {_LAYOUT.size} expected")
    fields = _LAYOUT.unpack_from(body)
    scid, timestamp, message_flags, channel_flags, cltv, low, base, ppm, high = fields[2:]
    if not message_flags & 1:
        raise ValueError(f"channel_update of {format_scid(scid)} without htlc_maximum_msat")
    policy = Policy(base, ppm, cltv, low, high, enabled=not channel_flags & 2, timestamp=timestamp)
    return ScidDir(Scid(scid), channel_flags & 1), policy
