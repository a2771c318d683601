"""Gossip messages as bytes, as lightningd keeps them: those of BOLT 7 and those of its gossip_store.

Signatures and bitcoin keys have the right length and no meaning: whoever reads a store trusts that they were
checked before. The channel_updates that nodes send in failures are signed; they are made elsewhere.

Source: BOLT 7; the host's common/gossip_store_wire.csv.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from pay.network import Policy
from pay.units import NodeId, Scid, ScidDir

_SIGNATURE = bytes(31) + b"\1" + bytes(31) + b"\1"
"""64 bytes that parse as a signature: R = S = 1."""

_GENERATOR = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
"""A valid public key for the funding outputs that do not exist: the curve's generator."""


class MessageType(IntEnum):
    """The first two bytes of a message in a gossip_store."""

    CHANNEL_ANNOUNCEMENT = 256
    NODE_ANNOUNCEMENT = 257
    CHANNEL_UPDATE = 258
    CHANNEL_AMOUNT = 4101
    """Follows its channel_announcement: the funding amount."""
    DELETE_CHANNEL = 4103
    ENDED = 4105
    """Another file stands in this one's place."""
    CHANNEL_DYING = 4106
    UUID = 4107
    """The first record of a file, from version 16 on."""


def channel_announcement(scid: Scid, a: NodeId, b: NodeId, chain_hash: bytes, features: int = 0) -> bytes:
    """430 bytes and the features; the nodes may be given in either order."""
    bits = feature_bytes(features)
    # BOLT 7: node_id_1 is the lexicographically-lesser of the two compressed keys.
    return b"".join((
        struct.pack(">H", MessageType.CHANNEL_ANNOUNCEMENT), 4 * _SIGNATURE, struct.pack(">H", len(bits)), bits,
        chain_hash, struct.pack(">Q", scid), min(a, b), max(a, b), 2 * _GENERATOR,
    ))  # fmt: skip


def channel_update(channel: ScidDir, policy: Policy, chain_hash: bytes) -> bytes:
    """138 bytes."""
    fixed = struct.pack(
        ">QIBBHQIIQ", channel.scid, policy.timestamp, 1, channel.direction | (0 if policy.enabled else 2),
        policy.cltv_delta, policy.htlc_min_msat, policy.fee_base_msat, policy.fee_ppm, policy.htlc_max_msat,
    )  # fmt: skip
    return struct.pack(">H", MessageType.CHANNEL_UPDATE) + _SIGNATURE + chain_hash + fixed


def node_announcement(node: NodeId, alias: str, timestamp: int, features: int = 0) -> bytes:
    """Without addresses; an alias longer than 32 bytes is cut."""
    bits = feature_bytes(features)
    name = alias.encode()[:32].decode(errors="ignore").encode().ljust(32, b"\0")
    head = struct.pack(">H", MessageType.NODE_ANNOUNCEMENT) + _SIGNATURE + struct.pack(">H", len(bits)) + bits
    return head + struct.pack(">I", timestamp) + node + node[:3] + name + struct.pack(">H", 0)


def channel_amount(capacity_msat: int) -> bytes:
    """The funding amount, whole satoshi."""
    return struct.pack(">HQ", MessageType.CHANNEL_AMOUNT, capacity_msat // 1000)


def delete_channel(scid: Scid) -> bytes:
    """The tombstone of a closed channel."""
    return struct.pack(">HQ", MessageType.DELETE_CHANNEL, scid)


def channel_dying(scid: Scid, deadline_height: int) -> bytes:
    """The funding output was spent; at `deadline_height` the channel is forgotten."""
    return struct.pack(">HQI", MessageType.CHANNEL_DYING, scid, deadline_height)


def ended(equivalent_offset: int, uuid: bytes | None) -> bytes:
    """What was read up to here ends at `equivalent_offset` of the new file, which has this uuid."""
    return struct.pack(">HQ", MessageType.ENDED, equivalent_offset) + (uuid or b"")


def uuid_record(uuid: bytes) -> bytes:
    """The 32 bytes that tell one file from another."""
    return struct.pack(">H", MessageType.UUID) + uuid


def feature_bytes(features: int) -> bytes:
    """Feature bits as BOLT 9 writes them: big-endian, as short as possible."""
    return features.to_bytes((features.bit_length() + 7) // 8, "big")


def message_type(message: bytes) -> int:
    return int.from_bytes(message[:2], "big")


def channel_of(message: bytes) -> tuple[Scid, NodeId, NodeId]:
    """The channel and the two nodes of a channel_announcement."""
    at = 260 + int.from_bytes(message[258:260], "big") + 32
    scid, lesser, greater = struct.unpack_from(">Q33s33s", message, at)
    return Scid(scid), NodeId(lesser), NodeId(greater)


def update_of(message: bytes) -> ScidDir:
    """The direction that a channel_update is about."""
    return ScidDir(Scid(int.from_bytes(message[98:106], "big")), message[111] & 1)


def node_of(message: bytes) -> NodeId:
    """The node of a node_announcement."""
    at = 68 + int.from_bytes(message[66:68], "big") + 4
    return NodeId(message[at : at + 33])
