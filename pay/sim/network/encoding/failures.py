"""The failure messages of BOLT 4 as bytes, and the channel_update that some of them carry.

Source: BOLT 4, "Failure Messages"; BOLT 7, "The channel_update Message". A failure with the UPDATE bit may leave
its channel_update out (length zero); nodes that hide it do. A signature is real where the node's key is known, and
has only the shape of one otherwise (a node read from somebody else's gossip).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from hashlib import sha256

from pay.network import Policy
from pay.sim.network.encoding import gossip, keys
from pay.units import Scid, ScidDir

BADONION = 0x8000
PERM = 0x4000
NODE = 0x2000
UPDATE = 0x1000

CHAIN_HASHES = {
    "bitcoin": bytes.fromhex("6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000"),
    "testnet": bytes.fromhex("43497fd7f826957108f4a30fd9cec3aeba79972084e90ead01ea330900000000"),
    "testnet4": bytes.fromhex("43f08bdab050e35b567c864b91f47f50ae725ae2de53bcfbbaf284da00000000"),
    "signet": bytes.fromhex("f61eee3b63a380a477a063af32b2bbc97c9ff9f01f2c4225e973988108000000"),
    "regtest": bytes.fromhex("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f"),
}
"""chain -> chain_hash as it stands in messages (BOLT 0)."""

_SIGNED_FROM = 2 + 64
_MESSAGE_FLAGS = _SIGNED_FROM + 32 + 8 + 4
_DONT_FORWARD = 2
"""Offsets in, and a message flag of, a channel_update (BOLT 7)."""


class FailCode(IntEnum):
    """Failure codes of BOLT 4."""

    TEMPORARY_NODE_FAILURE = NODE | 2
    PERMANENT_NODE_FAILURE = PERM | NODE | 2
    REQUIRED_NODE_FEATURE_MISSING = PERM | NODE | 3
    INVALID_ONION_VERSION = BADONION | PERM | 4
    INVALID_ONION_HMAC = BADONION | PERM | 5
    INVALID_ONION_KEY = BADONION | PERM | 6
    TEMPORARY_CHANNEL_FAILURE = UPDATE | 7
    PERMANENT_CHANNEL_FAILURE = PERM | 8
    REQUIRED_CHANNEL_FEATURE_MISSING = PERM | 9
    UNKNOWN_NEXT_PEER = PERM | 10
    AMOUNT_BELOW_MINIMUM = UPDATE | 11
    FEE_INSUFFICIENT = UPDATE | 12
    INCORRECT_CLTV_EXPIRY = UPDATE | 13
    EXPIRY_TOO_SOON = UPDATE | 14
    INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS = PERM | 15
    FINAL_INCORRECT_CLTV_EXPIRY = 18
    FINAL_INCORRECT_HTLC_AMOUNT = 19
    CHANNEL_DISABLED = UPDATE | 20
    EXPIRY_TOO_FAR = 21
    INVALID_ONION_PAYLOAD = PERM | 22
    MPP_TIMEOUT = 23
    INVALID_ONION_BLINDING = BADONION | PERM | 24


def wire_name(failcode: int) -> str:
    """lightningd's `failcodename`, e.g. `WIRE_FEE_INSUFFICIENT`; "UNKNOWN n" (then it leaves the field out)."""
    try:
        return "WIRE_" + FailCode(failcode).name
    except ValueError:
        return f"UNKNOWN {failcode}"


def failure(
    code: int,
    *,
    htlc_msat: int = 0,
    cltv_expiry: int = 0,
    height: int = 0,
    update: bytes = b"",
    onion_hash: bytes = bytes(32),
    tlv_type: int = 0,
) -> bytes:
    """A failure message: the code, then the data that BOLT 4 prescribes for it out of what is given.

    Codes that BOLT 4 does not know, or that carry no data, are the bare two bytes. `update` is a whole
    channel_update with its type, or empty.
    """
    data = struct.pack(">H", code)
    if code & BADONION:
        return data + onion_hash
    match code:
        case FailCode.AMOUNT_BELOW_MINIMUM | FailCode.FEE_INSUFFICIENT:
            data += struct.pack(">Q", htlc_msat)
        case FailCode.INCORRECT_CLTV_EXPIRY | FailCode.FINAL_INCORRECT_CLTV_EXPIRY:
            data += struct.pack(">I", cltv_expiry)
        case FailCode.CHANNEL_DISABLED:
            data += bytes(2)
        case FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS:
            data += struct.pack(">QI", htlc_msat, height)
        case FailCode.FINAL_INCORRECT_HTLC_AMOUNT:
            data += struct.pack(">Q", htlc_msat)
        case FailCode.INVALID_ONION_PAYLOAD:
            data += struct.pack(">BH", tlv_type, 0)
        case _:
            pass
    return data + struct.pack(">H", len(update)) + update if code & UPDATE else data


def channel_update(
    chain: str, scid: Scid, direction: int, policy: Policy, *, secret: bytes | None, announced: bool = True
) -> bytes:
    """A whole channel_update with its type 258, signed by `secret` (138 bytes).

    Without a secret the signature is made with a key of nobody: well formed, not valid.
    """
    message = bytearray(gossip.channel_update(ScidDir(scid, direction), policy, CHAIN_HASHES[chain]))
    if not announced:
        message[_MESSAGE_FLAGS] |= _DONT_FORWARD
    body = bytes(message[_SIGNED_FROM:])
    digest = sha256(sha256(body).digest()).digest()
    return bytes(message[:2]) + keys.sign(secret or sha256(b"nobody").digest(), digest) + body


class Updates:
    """The channel_updates of one chain, each signed when it is first asked for and kept."""

    __slots__ = ("_chain", "_kept")

    def __init__(self, chain: str):
        self._chain = chain
        self._kept: dict[tuple[Scid, int, Policy], bytes] = {}

    def get(self, scid: Scid, direction: int, policy: Policy, secret: bytes | None, announced: bool) -> bytes:
        """As `channel_update`."""
        key = (scid, direction, policy)
        update = self._kept.get(key)
        if update is None:
            update = channel_update(self._chain, scid, direction, policy, secret=secret, announced=announced)
            self._kept[key] = update
        return update
