"""What came back when a part failed, as plain data, and the reader of BOLT 4 failure messages.

The host decrypts the onion and tells which node of the route answered; the failure message itself it hands on
as hex. From that come the two things that decide what happens next: the `channel_update` of the channel that
refused and the block height of the recipient. Names of failures stay out of what is shown to callers (some
refund on reading one); `describe` gives words for them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from pay.network.policy import Policy, parse_channel_update
from pay.units import ScidDir

BADONION = 0x8000
PERM = 0x4000
NODE = 0x2000
UPDATE = 0x1000


class FailCode(IntEnum):
    """Failure codes of BOLT 4, "Failure Messages"."""

    TEMPORARY_NODE_FAILURE = NODE | 2
    PERMANENT_NODE_FAILURE = PERM | NODE | 2
    REQUIRED_NODE_FEATURE_MISSING = PERM | NODE | 3
    TEMPORARY_CHANNEL_FAILURE = UPDATE | 7
    PERMANENT_CHANNEL_FAILURE = PERM | 8
    REQUIRED_CHANNEL_FEATURE_MISSING = PERM | 9
    UNKNOWN_NEXT_PEER = PERM | 10
    AMOUNT_BELOW_MINIMUM = UPDATE | 11
    FEE_INSUFFICIENT = UPDATE | 12
    INCORRECT_CLTV_EXPIRY = UPDATE | 13
    EXPIRY_TOO_SOON = UPDATE | 14
    UNKNOWN_PAYMENT = PERM | 15
    """incorrect_or_unknown_payment_details"""
    FINAL_INCORRECT_CLTV_EXPIRY = 18
    FINAL_INCORRECT_HTLC_AMOUNT = 19
    CHANNEL_DISABLED = UPDATE | 20
    EXPIRY_TOO_FAR = 21
    INVALID_ONION_PAYLOAD = PERM | 22
    MPP_TIMEOUT = 23
    INVALID_ONION_BLINDING = BADONION | PERM | 24


UNKNOWN_TO_IT = "it does not know this payment (any more), or its amount or delay is not right"
"""BOLT 4 has one code for all of that."""

_WORDS = {
    FailCode.TEMPORARY_NODE_FAILURE: "the node failed for now",
    FailCode.PERMANENT_NODE_FAILURE: "the node failed for good",
    FailCode.REQUIRED_NODE_FEATURE_MISSING: "the node wants a feature that we lack",
    FailCode.TEMPORARY_CHANNEL_FAILURE: "the channel cannot forward it now (no balance, or its peer is away)",
    FailCode.PERMANENT_CHANNEL_FAILURE: "the channel failed for good",
    FailCode.REQUIRED_CHANNEL_FEATURE_MISSING: "the channel wants a feature that we lack",
    FailCode.UNKNOWN_NEXT_PEER: "the node knows no such next channel or its peer is away",
    FailCode.AMOUNT_BELOW_MINIMUM: "the amount was below the channel's minimum",
    FailCode.FEE_INSUFFICIENT: "the fee was below what the channel asks now",
    FailCode.INCORRECT_CLTV_EXPIRY: "the delay was below what the channel asks now",
    FailCode.EXPIRY_TOO_SOON: "the HTLC would have expired too soon",
    FailCode.UNKNOWN_PAYMENT: f"the recipient refuses: {UNKNOWN_TO_IT}",
    FailCode.FINAL_INCORRECT_CLTV_EXPIRY: "the last delay did not arrive as it was sent",
    FailCode.FINAL_INCORRECT_HTLC_AMOUNT: "the last amount did not arrive as it was sent",
    FailCode.CHANNEL_DISABLED: "the channel is disabled",
    FailCode.EXPIRY_TOO_FAR: "the HTLC would have expired too late",
    FailCode.INVALID_ONION_PAYLOAD: "the node could not read its part of the onion",
    FailCode.MPP_TIMEOUT: "the other parts did not reach the recipient in time",
    FailCode.INVALID_ONION_BLINDING: "a node of the blinded path refused",
}


_BEFORE_UPDATE: dict[int, int] = {
    FailCode.AMOUNT_BELOW_MINIMUM: 8,
    FailCode.FEE_INSUFFICIENT: 8,
    FailCode.INCORRECT_CLTV_EXPIRY: 4,
    FailCode.CHANNEL_DISABLED: 2,
}
"""BOLT 4: bytes between the failure code and [u16:len][len*byte:channel_update]."""


def describe(failcode: int | None) -> str:
    """A failure code in words, without its name in the specification."""
    if failcode is None:
        return "the answer could not be read"
    try:
        return _WORDS[FailCode(failcode)]
    except ValueError:
        return "an onion could not be read" if failcode & BADONION else f"failure {failcode}"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed part, as the host reports it.

    Parameters
    ----------
    erring_index
        0 is us, i the node behind the i-th hop; None where the answer could not be read, or where all that
        is known is that the part failed.
    failcode
        BOLT 4, or None.
    erring_node
        Who answered, where the host says so: all there is to go by where the route is not known.
    reason
        The host's own words; for a failure of our own channel they are all there is.
    raw_message
        The failure message of the erring node, decrypted; may be empty.
    unreadable
        An answer came that nobody of the route seems to have written.
    """

    erring_index: int | None
    failcode: int | None
    reason: str = ""
    raw_message: bytes = b""
    erring_node: bytes | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """The fields of a failure message that decide something."""

    update: tuple[ScidDir, Policy] | None = None
    update_bytes: bytes | None = None
    height: int | None = None


def read_details(failcode: int | None, raw: bytes) -> FailureDetails:
    """Read `raw`, a failure message of BOLT 4 with its code; what cannot be read is left out."""
    if failcode is None or len(raw) < 2 or int.from_bytes(raw[:2], "big") != failcode:
        return FailureDetails()
    data = raw[2:]
    if failcode == FailCode.UNKNOWN_PAYMENT:
        # BOLT 4: [u64:htlc_msat][u32:height]
        return FailureDetails(height=struct.unpack_from(">QI", data)[1] if len(data) >= 12 else None)
    if not failcode & UPDATE or failcode & BADONION:
        return FailureDetails()
    skip = _BEFORE_UPDATE.get(failcode, 0)
    length = int.from_bytes(data[skip : skip + 2], "big")
    update = data[skip + 2 : skip + 2 + length]
    if not length or len(update) < length:
        return FailureDetails()
    try:
        return FailureDetails(update=parse_channel_update(update), update_bytes=update)
    except ValueError:
        return FailureDetails()
