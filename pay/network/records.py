"""The records of a gossip_store, cut out of its bytes many at a time.

After one version byte (three bits major, five minor) the file is a sequence of records: a header of 12 bytes
– flags, length, CRC-32C, timestamp, all big-endian – and a message of `length` bytes that begins with its
type. 256 to 258 are BOLT 7's gossip messages as they came from the peers, 41xx are the host's own. The host
appends; of what is written it changes only flags (and, rarely, a timestamp with its checksum).

Minor versions: up to 12 private channels stood in the file (ours only, which the overlay knows better:
skipped); up to 13 a flag marked zombies; from 15 a flag says that a record is written completely; from 16 the
first record is the file's uuid, and the record that ends a file names the uuid of its successor.

Only the walk from record to record is a Python loop (0.3 us each); fields are taken out of all records of a
kind at once. Source: the host's common/gossip_store.h, gossip_store_wire.csv and gossipd/gossip_store.c,
v24.11 to v26.06.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from pay.network.checksum import sound
from pay.network.features import channel_demands_unknown
from pay.network.graph import Flags, Ints, Keys, PolicyColumns
from pay.units import MAX_MSAT

HEADER = 12
"""Bytes before a message."""

COMPLETED_SINCE = 15
ZOMBIES_UNTIL = 13
"""Minor versions."""

_DELETED, _COMPLETED, _ZOMBIE, _DYING = 0x8000, 0x2000, 0x1000, 0x0800

_HEADER = np.dtype([("flags", ">u2"), ("length", ">u2"), ("crc", ">u4"), ("time", ">u4"), ("type", ">u2")])
_UPDATE = np.dtype(
    [("scid", ">u8"), ("timestamp", ">u4"), ("message_flags", "u1"), ("channel_flags", "u1"), ("cltv", ">u2"),
     ("min", ">u8"), ("base", ">u4"), ("ppm", ">u4"), ("max", ">u8")]
)  # fmt: skip
_CHANNEL = np.dtype([("scid", ">u8"), ("node_1", "V33"), ("node_2", "V33")])
_FEATURES = np.dtype([("length", ">u2")])
_AMOUNT = np.dtype([("sat", ">u8")])
_SCID = np.dtype([("scid", ">u8")])

_FEATURES_AT = 2 + 4 * 64
"""channel_announcement: type, four signatures, then the length of the features."""
_UPDATE_AT = 2 + 64 + 32
"""channel_update: type, signature, chain_hash, then short_channel_id."""
_KEYS = 2 * 33
"""channel_announcement: the two bitcoin keys at its end, which nobody needs here."""
_NODE_FEATURES_AT = 2 + 64
"""node_announcement: type, signature, then the length of the features."""


class Type(IntEnum):
    """Messages in a store."""

    CHANNEL_ANNOUNCEMENT = 256
    NODE_ANNOUNCEMENT = 257
    CHANNEL_UPDATE = 258
    CHANNEL_AMOUNT = 4101
    PRIVATE_UPDATE = 4102
    DELETE_CHANNEL = 4103
    PRIVATE_CHANNEL = 4104
    ENDED = 4105
    CHANNEL_DYING = 4106
    UUID = 4107


_KNOWN = np.array([int(kind) for kind in Type], np.int64)


@dataclass(frozen=True, slots=True)
class Records:
    """Live records in the order of the file, columns int64[n].

    `at` is where each message begins in `data`; `flags` are the header's.
    """

    data: bytes
    at: Ints
    length: Ints
    type: Ints
    flags: Ints

    def __len__(self) -> int:
        return len(self.at)

    def part(self, start: int, end: int) -> Records:
        """The records from `start` to before `end`."""
        rows = slice(start, end)
        return Records(self.data, self.at[rows], self.length[rows], self.type[rows], self.flags[rows])

    def of(self, kind: Type, least: int) -> npt.NDArray[np.intp]:
        """Positions of the records of a kind with at least so many bytes; shorter ones are nobody's."""
        return np.flatnonzero((self.type == kind) & (self.length >= least))

    def body(self, position: int) -> bytes:
        """One message, its type included."""
        at = int(self.at[position])
        return self.data[at : at + int(self.length[position])]

    @property
    def unknown(self) -> int:
        """How many are of a type that is not known here."""
        return int(np.count_nonzero(~np.isin(self.type, _KNOWN)))


@dataclass(frozen=True, slots=True)
class Cut:
    """What could be cut out of a piece of the file.

    `used` bytes are done with; `last` is where the last of these records begins (None if there is none);
    `problem` says what is wrong with the bytes after them, None if there are just more of them to come.
    """

    records: Records
    used: int
    last: int | None
    problem: str | None = None


def cut(data: bytes, minor: int, *, at_end: bool) -> Cut:
    """Cuts a piece of a store, which begins at a record, into records, and verifies their checksums.

    A record that is not complete yet, and a channel_announcement whose amount is still missing, is left for the
    next time. `at_end`: the piece reaches to the end of the file.
    """
    starts: list[int] = []
    end = 0
    add = starts.append
    while end + HEADER <= len(data):
        after = end + HEADER + (data[end + 2] << 8 | data[end + 3])
        if after > len(data):
            break
        add(end)
        end = after
    start = np.array(starts, np.int64)
    head = _fields(data, start[start + _HEADER.itemsize <= len(data)], 0, _HEADER)
    n, problem = len(head), None
    length, flags = head["length"].astype(np.int64), head["flags"].astype(np.int64)
    # Nothing but zeros is what an unwritten page of a file looks like.
    unwritten = (flags & _COMPLETED == 0) if minor >= COMPLETED_SINCE else (length == 0) & (head["crc"] == 0)
    n = _first(unwritten, n)
    dead = flags & (_DELETED | (_ZOMBIE if minor <= ZOMBIES_UNTIL else 0)) != 0
    broken = _first((length < 2) & ~dead, n)
    if broken < n:
        n, problem = broken, "a record without a message"
    live = np.flatnonzero(~dead[:n])
    bad = _first_unsound(data, start[live], head[live])
    if bad is not None:
        bad = int(live[bad])
        # Before the completed flag existed, the last record of the file may be one that is being written.
        torn = minor < COMPLETED_SINCE and at_end and bad == len(starts) - 1
        n, problem = bad, None if torn else "a bad checksum"
    kinds = head["type"].astype(np.int64)
    if n and kinds[n - 1] == Type.CHANNEL_ANNOUNCEMENT and not dead[n - 1]:
        n -= 1
    live = live[live < n]
    records = Records(data, start[live] + HEADER, length[live], kinds[live], flags[live])
    used = int(start[n - 1] + HEADER + length[n - 1]) if n else 0
    return Cut(records, used, int(start[n - 1]) if n else None, problem)


def _first_unsound(data: bytes, start: Ints, head: npt.NDArray[np.void]) -> int | None:
    """The first of these records whose checksum is wrong."""
    good = sound(
        np.frombuffer(data, np.uint8), start + HEADER, head["length"].astype(np.int64),
        head["time"].astype(np.uint32), head["crc"].astype(np.uint32),
    )  # fmt: skip
    return None if good.all() else int(np.argmin(good))


def _first(where: Flags, n: int) -> int:
    """The first of the first n rows that is true, else n."""
    hits = np.flatnonzero(where[:n])
    return int(hits[0]) if len(hits) else n


def _fields(data: bytes, at: Ints, offset: int | Ints, layout: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """`layout` read at each of `at + offset`; the caller has seen to it that it is inside."""
    if not len(at):
        return np.empty(0, layout)
    windows = sliding_window_view(np.frombuffer(data, np.uint8), layout.itemsize)
    fields: npt.NDArray[np.void] = windows[at + offset].view(layout)[:, 0]
    return fields


@dataclass(frozen=True, slots=True)
class Channels:
    """Channel announcements of some records, one row each; `position` is the record's."""

    position: npt.NDArray[np.intp]
    scid: Keys
    nodes: list[bytes]
    """2 n ids: the lesser and the greater one of each channel."""
    capacity_msat: Ints
    routable: Flags
    dying: Flags


def channels(records: Records) -> Channels:
    """The announced channels with their amounts (0 where the next record is none)."""
    data = records.data
    position = records.of(Type.CHANNEL_ANNOUNCEMENT, _FEATURES_AT + 2 + 32 + _CHANNEL.itemsize + _KEYS)
    features = _fields(data, records.at[position], _FEATURES_AT, _FEATURES)["length"].astype(np.int64)
    least = _FEATURES_AT + 2 + features + 32 + _CHANNEL.itemsize + _KEYS
    position, features = position[least <= records.length[position]], features[least <= records.length[position]]
    at = records.at[position]
    rows = _fields(data, at, _FEATURES_AT + 2 + features + 32, _CHANNEL)
    capacity = np.zeros(len(position), np.int64)
    follower = np.minimum(position + 1, len(records) - 1)
    has_amount = (records.type[follower] == Type.CHANNEL_AMOUNT) & (records.length[follower] >= 10)
    amounts = _fields(data, records.at[follower[has_amount]], 2, _AMOUNT)["sat"]
    capacity[has_amount] = np.minimum(amounts, MAX_MSAT // 1000).astype(np.int64) * 1000
    routable = np.ones(len(position), np.bool_)
    for row in np.flatnonzero(features):
        begin = int(at[row]) + _FEATURES_AT + 2
        bits = int.from_bytes(data[begin : begin + int(features[row])], "big")
        routable[row] = not channel_demands_unknown(bits)
    nodes = [b""] * (2 * len(rows))
    nodes[::2], nodes[1::2] = rows["node_1"].tolist(), rows["node_2"].tolist()
    dying = records.flags[position] & _DYING != 0
    return Channels(position, rows["scid"].astype(np.uint64), nodes, capacity, routable, dying)


def updates(records: Records) -> tuple[npt.NDArray[np.intp], Keys, Ints, PolicyColumns]:
    """Channel updates: positions, short_channel_ids, directions, policies.

    Those without htlc_maximum_msat, which BOLT 7 has required since 2022, are left out.
    """
    position = records.of(Type.CHANNEL_UPDATE, _UPDATE_AT + _UPDATE.itemsize)
    rows = _fields(records.data, records.at[position], _UPDATE_AT, _UPDATE)
    stated = rows["message_flags"] & 1 != 0
    position, rows = position[stated], rows[stated]
    most = np.uint64(MAX_MSAT)
    policies = PolicyColumns(
        fee_base_msat=rows["base"].astype(np.int64),
        fee_ppm=rows["ppm"].astype(np.int64),
        cltv_delta=rows["cltv"].astype(np.int64),
        htlc_min_msat=np.minimum(rows["min"].astype(np.uint64), most).astype(np.int64),
        htlc_max_msat=np.minimum(rows["max"].astype(np.uint64), most).astype(np.int64),
        enabled=rows["channel_flags"] & 2 == 0,
        timestamp=rows["timestamp"].astype(np.int64),
    )
    return position, rows["scid"].astype(np.uint64), (rows["channel_flags"] & 1).astype(np.int64), policies


def scids(records: Records, kind: Type) -> tuple[npt.NDArray[np.intp], Keys]:
    """Positions and short_channel_ids of the deletion or dying records."""
    position = records.of(kind, 2 + 8)
    rows = _fields(records.data, records.at[position], 2, _SCID)
    return position, rows["scid"].astype(np.uint64)


def nodes(records: Records) -> Iterator[tuple[bytes, bytes, bytes, int]]:
    """Node announcements: id, alias, features, timestamp."""
    for position in records.of(Type.NODE_ANNOUNCEMENT, _NODE_FEATURES_AT + 2 + 4 + 33 + 3 + 32):
        body = records.body(int(position))
        at = _NODE_FEATURES_AT + 2 + int.from_bytes(body[_NODE_FEATURES_AT : _NODE_FEATURES_AT + 2], "big")
        node, alias = body[at + 4 : at + 37], body[at + 40 : at + 72]
        if len(alias) == 32:
            yield node, alias, body[_NODE_FEATURES_AT + 2 : at], int.from_bytes(body[at : at + 4], "big")


def ended(body: bytes) -> tuple[int, bytes | None]:
    """An end record: the place in the next file that equals this one's end, and that file's uuid if it says so."""
    return int.from_bytes(body[2:10], "big"), body[10:42] if len(body) >= 42 else None
