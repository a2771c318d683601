"""A gossip_store written as lightningd writes it, byte for byte, alive or at rest.

The file is one version byte and then records: flags, length, checksum and timestamp, then a gossip message.
It only grows. What is outdated is marked deleted where it stands; a closed channel gets a tombstone as well. A
record counts once its completed flag is set, which is done by a second write. From time to time lightningd
writes what is left to a new file, puts it in the old one's place and closes the old with an end record.

Versions 0 to 16 share the first three bits, the major version. Of those that matter: 14 was written by v24.08
to v25.09, 15 (the completed flag) by v25.12, 16 (the uuid) by v26.04 and v26.06.

Source: the host's gossipd/gossip_store.c and gossipd/gossmap_manage.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum, IntFlag
from itertools import islice
from typing import BinaryIO

from pay.network import Policy
from pay.sim.network.encoding import gossip
from pay.sim.network.encoding.crc32c import checksums, crc32c
from pay.sim.network.encoding.gossip import MessageType
from pay.units import NodeId, Scid, ScidDir

DYING_BLOCKS = 72
"""How long a channel is remembered after its funding output was spent (BOLT 7: a delay of at least 72 blocks,
so that a splice does not interrupt it)."""

_CHUNK = 8192
"""Records that are written at once, a few megabytes."""

_HEADER = struct.Struct(">HHII")


class StoreVersion(IntEnum):
    """The first byte of the file, by the releases that write it."""

    V24_08 = 14
    V25_12 = 15
    V26_04 = 16


class Flag(IntFlag):
    """The flags of a record."""

    DELETED = 0x8000
    COMPLETED = 0x2000
    """From version 15 on; before, a record is there or cut short."""
    DYING = 0x0800


def _arc(channel: ScidDir) -> int:
    """A direction as one number: half a million of them are remembered for a large network."""
    return channel.scid << 1 | channel.direction


class StoreWriter:
    """Writes a new gossip_store, or goes on with one (`resume`).

    Parameters
    ----------
    file
        Opened for reading and writing in binary; everything is flushed at once, for there are readers.
    chain_hash
        32 bytes, as in the messages.
    version
        What lightningd release to be.
    uuid
        32 bytes, the file's own; written from version 16 on.
    """

    def __init__(
        self,
        file: BinaryIO,
        chain_hash: bytes,
        version: StoreVersion = StoreVersion.V26_04,
        uuid: bytes = bytes(32),
    ):
        self._attach(file, chain_hash, version)
        self.uuid = uuid
        file.write(bytes([version]))
        self.length = 1
        if version >= StoreVersion.V26_04:
            self.append(gossip.uuid_record(uuid))

    @classmethod
    def resume(cls, file: BinaryIO, chain_hash: bytes) -> StoreWriter:
        """Goes on at the end of a store that is complete. Raises ValueError if it is none, or cut short."""
        file.seek(0)
        version = file.read(1)
        if not version or version[0] not in list(StoreVersion):
            raise ValueError(f"not a gossip_store of a known version: it begins with {version.hex() or 'nothing'}")
        writer = cls.__new__(cls)
        writer._attach(file, chain_hash, StoreVersion(version[0]))
        writer.uuid = bytes(32)
        writer.length = 1
        for offset, flags, message, _ in writer.records():
            if not flags & Flag.DELETED:
                writer._note(offset, message)
            writer.length = offset + _HEADER.size + len(message)
        if file.seek(0, 2) != writer.length:
            raise ValueError(f"the gossip_store is cut short at {writer.length}")
        return writer

    def _attach(self, file: BinaryIO, chain_hash: bytes, version: StoreVersion) -> None:
        self.file = file
        self.chain_hash = chain_hash
        self.version = version
        self._channels: dict[Scid, int] = {}
        self._updates: dict[int, int] = {}
        self._announcements: dict[NodeId, int] = {}
        self._ends: dict[NodeId, set[Scid]] = {}

    # -- records -------------------------------------------------------------------------------------------

    def append(self, message: bytes, timestamp: int = 0, *, complete: bool = True) -> int:
        """Adds a record and returns where it begins. An incomplete one waits for `complete`."""
        offset = self.length
        header = _HEADER.pack(0, len(message), crc32c(message, timestamp), timestamp)
        self.file.seek(offset)
        self.file.write(header + message)
        self.length += len(header) + len(message)
        self._note(offset, message)
        if complete:
            self.complete(offset)
        return offset

    def complete(self, offset: int) -> None:
        """Lets the record that begins at `offset` count."""
        if self.version >= StoreVersion.V25_12:
            self.mark(offset, Flag.COMPLETED)
        self.file.flush()

    def extend(self, records: Iterable[tuple[bytes, int]]) -> None:
        """Adds many (message, timestamp) at once, complete."""
        records = iter(records)
        while chunk := list(islice(records, _CHUNK)):
            self._extend(chunk)

    def _extend(self, records: Sequence[tuple[bytes, int]]) -> None:
        flags = Flag.COMPLETED if self.version >= StoreVersion.V25_12 else 0
        parts = []
        start = self.length
        for (message, timestamp), crc in zip(records, checksums(records), strict=True):
            self._note(self.length, message)
            parts += [_HEADER.pack(flags, len(message), crc, timestamp), message]
            self.length += _HEADER.size + len(message)
        self.file.seek(start)
        self.file.write(b"".join(parts))
        self.file.flush()

    def mark(self, offset: int, flag: Flag) -> None:
        """Sets a flag of the record that begins at `offset`."""
        self.file.seek(offset)
        (flags,) = struct.unpack(">H", self.file.read(2))
        self.file.seek(offset)
        self.file.write(struct.pack(">H", flags | flag))
        self.file.flush()

    def read(self, offset: int) -> tuple[int, bytes, int]:
        """Flags, message and timestamp of the record that begins at `offset`."""
        self.file.seek(offset)
        flags, length, _, timestamp = _HEADER.unpack(self.file.read(_HEADER.size))
        return flags, self.file.read(length), timestamp

    def records(self) -> Iterator[tuple[int, int, bytes, int]]:
        """Offset, flags, message and timestamp of every record that is whole, from the first on."""
        offset = 1
        self.file.seek(offset)
        while len(header := self.file.read(_HEADER.size)) == _HEADER.size:
            flags, length, _, timestamp = _HEADER.unpack(header)
            message = self.file.read(length)
            if len(message) < length:
                return
            yield offset, flags, message, timestamp
            offset += _HEADER.size + length
            self.file.seek(offset)

    def _note(self, offset: int, message: bytes) -> None:
        """Remembers where the live record of a channel, direction or node stands."""
        match gossip.message_type(message):
            case MessageType.CHANNEL_ANNOUNCEMENT:
                scid, *ends = gossip.channel_of(message)
                self._channels[scid] = offset
                for node in ends:
                    self._ends.setdefault(node, set()).add(scid)
            case MessageType.CHANNEL_UPDATE:
                self._updates[_arc(gossip.update_of(message))] = offset
            case MessageType.NODE_ANNOUNCEMENT:
                self._announcements[gossip.node_of(message)] = offset
            case MessageType.UUID:
                self.uuid = message[2:]
            case _:
                pass

    # -- gossip --------------------------------------------------------------------------------------------

    def add_channel(self, scid: Scid, a: NodeId, b: NodeId, capacity_msat: int, features: int = 0) -> None:
        """A channel is announced."""
        self.extend(self.channel_records(scid, a, b, capacity_msat, features))

    def channel_records(
        self, scid: Scid, a: NodeId, b: NodeId, capacity_msat: int, features: int = 0
    ) -> list[tuple[bytes, int]]:
        """The two records of a new channel, for `extend`."""
        announcement = gossip.channel_announcement(scid, a, b, self.chain_hash, features)
        return [(announcement, 0), (gossip.channel_amount(capacity_msat), 0)]

    def set_policy(self, channel: ScidDir, policy: Policy) -> None:
        """A channel_update comes in; the one before is marked deleted."""
        before = self._updates.get(_arc(channel))
        offset = self.append(gossip.channel_update(channel, policy, self.chain_hash), policy.timestamp)
        announcement = self._channels.get(channel.scid)
        if announcement is not None and self.read(announcement)[0] & Flag.DYING:
            self.mark(offset, Flag.DYING)
        if before is not None:
            self.mark(before, Flag.DELETED)

    def policy_record(self, channel: ScidDir, policy: Policy) -> tuple[bytes, int]:
        """The record of a direction's first channel_update, for `extend`."""
        return gossip.channel_update(channel, policy, self.chain_hash), policy.timestamp

    def name_node(self, node: NodeId, alias: str, features: int, timestamp: int) -> None:
        """A node_announcement comes in; the one before is marked deleted."""
        before = self._announcements.get(node)
        self.append(*self.name_record(node, alias, features, timestamp))
        if before is not None:
            self.mark(before, Flag.DELETED)

    def name_record(self, node: NodeId, alias: str, features: int, timestamp: int) -> tuple[bytes, int]:
        """The record of a first node_announcement, for `extend`; it belongs behind a channel of the node."""
        return gossip.node_announcement(node, alias, timestamp, features), timestamp

    def has_channel(self, scid: Scid) -> bool:
        return scid in self._channels

    def has_named(self, node: NodeId) -> bool:
        return node in self._announcements

    def spend_channel(self, scid: Scid, height: int) -> None:
        """The funding output was spent at `height`: the channel is dying. Raises KeyError if unknown."""
        announcement = self._channels[scid]
        self.append(gossip.channel_dying(scid, height + DYING_BLOCKS))
        self.mark(announcement, Flag.DYING)
        for direction in (0, 1):
            if (update := self._updates.get(_arc(ScidDir(scid, direction)))) is not None:
                self.mark(update, Flag.DYING)

    def remove_channel(self, scid: Scid) -> None:
        """The channel is forgotten, and a node whose last it was. Raises KeyError if unknown."""
        offset = self._channels.pop(scid)
        self.append(gossip.delete_channel(scid))
        _, announcement, _ = self.read(offset)
        self.mark(offset, Flag.DELETED)
        self.mark(offset + _HEADER.size + len(announcement), Flag.DELETED)
        for direction in (0, 1):
            if (update := self._updates.pop(_arc(ScidDir(scid, direction)), None)) is not None:
                self.mark(update, Flag.DELETED)
        for node in gossip.channel_of(announcement)[1:]:
            self._leave(node, scid)

    def _leave(self, node: NodeId, scid: Scid) -> None:
        """A node without channels is ignored (BOLT 7), and an announcement stands behind a channel of its node."""
        left = self._ends[node]
        left.discard(scid)
        offset = self._announcements.get(node)
        if offset is None:
            return
        if not left:
            del self._announcements[node]
            self.mark(offset, Flag.DELETED)
        elif min(self._channels[other] for other in left) > offset:
            _, message, timestamp = self.read(offset)
            self.mark(offset, Flag.DELETED)
            self.append(message, timestamp)

    # -- a new file ----------------------------------------------------------------------------------------

    def compact(self, file: BinaryIO, uuid: bytes = bytes(32)) -> StoreWriter:
        """Writes what is left to a new file of the newest version and closes this one with an end record.

        The caller puts the new file in this one's place; lightningd does so just before the end record.
        """
        successor = StoreWriter(file, self.chain_hash, uuid=uuid)
        dropped = (MessageType.DELETE_CHANNEL, MessageType.UUID)
        left = [
            (flags, message, timestamp)
            for _, flags, message, timestamp in self.records()
            if not flags & Flag.DELETED and gossip.message_type(message) not in dropped
        ]
        start = successor.length
        successor.extend((message, timestamp) for _, message, timestamp in left)
        for flags, message, _ in left:
            if flags & Flag.DYING:
                successor.mark(start, Flag.DYING)
            start += _HEADER.size + len(message)
        knows_uuids = self.version >= StoreVersion.V26_04
        self.append(gossip.ended(successor.length, uuid if knows_uuids else None))
        return successor
