"""The reader of the host's gossip_store: from an open file into the graph, only what was appended since.

The file is read a piece at a time and nothing of its bytes is kept. What is in a piece is applied all at
once, kind by kind; that is the same as record by record, because updates and announcements do not depend on
each other beyond the one that announces the channel, and where a piece both announces and deletes a channel
it is divided.

The host compacts the store now and then: it writes a new file and ends the old one with a record that names
the place up to which both say the same, and the new one's uuid. Who reads the old one to its end goes on in
the new one from there; otherwise – an older host, a file that was replaced while nobody looked – all is read
again, into a new graph. A file is known by its first record and by the last one that was read from it.

Bytes that cannot be a store's are reported once, by an exception; what was read before them stays. Every call
tries that place again, as the host repairs what a failed write left. Signatures are not checked: the host
has.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pay.network import records as wire
from pay.network.graph import ChannelGraph
from pay.network.records import HEADER, Records, Type

PIECE = 2 << 20
"""Bytes read at once: small beside the plugin's memory, large beside the cost of a numpy call."""

_CHANNEL_BYTES = 760
"""Of a store for each channel: two updates, an announcement, an amount. More with node announcements."""

_MARK = 480
"""Bytes of a message that make it unlike others: all of an update, all but the keys of an announcement."""


class GossipStoreError(Exception):
    """The file is not a gossip_store that can be read, or not from some place on."""


class StoreFile(Protocol):
    """What is needed of an open binary file."""

    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(slots=True)
class ReadReport:
    """What one call of `GossipStore.read` did, in numbers of records unless said otherwise."""

    bytes_read: int = 0
    records: int = 0
    channels_added: int = 0
    channels_removed: int = 0
    policies: int = 0
    """Policies written: updates that were newer than what was known."""
    names: int = 0
    """Node announcements taken in."""
    unknown: int = 0
    """Skipped, of a type that is not known here."""
    reloaded: bool = False
    """`GossipStore.graph` is another object than before: the file was a new one and was read from its start."""
    ended: bool = False
    """The host has begun a new file: open the path again."""
    waiting_bytes: int = 0
    """Bytes at the end that are not a whole record yet."""
    problem: str | None = None
    """Why nothing more is read from this file; it was raised before."""


@dataclass(slots=True)
class _Position:
    """How far which file was read."""

    version: int
    first: bytes
    offset: int = 1
    last: int | None = None
    last_mark: bytes = b""
    successor: tuple[int, bytes | None] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _NotTaken:
    """A new file that was not taken in; it is tried again when its size has changed."""

    first: bytes
    size: int
    problem: str


class GossipStore:
    """Keeps a graph up to date with a gossip_store. Not thread-safe.

    Parameters
    ----------
    graph
        To be filled; a new one by default.

    Attributes
    ----------
    graph : ChannelGraph
        Replaced when a new file is read from its start (see `ReadReport.reloaded`): take it from here each time.
    """

    def __init__(self, graph: ChannelGraph | None = None):
        self.graph = ChannelGraph() if graph is None else graph
        self._position: _Position | None = None
        self._not_taken: _NotTaken | None = None

    def read(self, file: StoreFile) -> ReadReport:
        """Takes in what is new in `file`, the store or the one that stands in its place now.

        Raises
        ------
        GossipStoreError
            For an unknown version or for bytes that are no records, once for each such place. The graph keeps
            what was read before; a graph that was read from an earlier file is kept whole.
        OSError
            From the file.
        """
        size = file.seek(0, 2)
        if size < 1 + HEADER:
            return ReadReport(waiting_bytes=size)
        if self._position is not None and _is_same(file, self._position):
            return self._read_on(file, size, self._position)
        version, first, not_taken = _version(file), _mark(file, 1), self._not_taken
        if not_taken is not None and (not_taken.first, not_taken.size) == (first, size):
            return ReadReport(problem=not_taken.problem)
        try:
            report = self._read_new(file, size, version, first)
        except GossipStoreError as error:
            self._not_taken = _NotTaken(first, size, str(error))
            if not_taken is not None and not_taken.problem == str(error):
                return ReadReport(problem=not_taken.problem)
            raise
        self._not_taken = None
        return report

    def _read_on(self, file: StoreFile, size: int, position: _Position) -> ReadReport:
        report, reported = ReadReport(), position.problem
        self._catch_up(file, size, position, self.graph, report)
        if position.problem is not None and position.problem != reported:
            raise GossipStoreError(position.problem)
        return report

    def _read_new(self, file: StoreFile, size: int, version: int, first: bytes) -> ReadReport:
        if version >> 5 != 0:
            raise GossipStoreError(f"gossip_store of unknown version {version >> 5}.{version & 31}")
        old, report = self._position, ReadReport()
        if old is not None and (start := _equal_position(old, first, size)) is not None:
            position = _Position(version, first, offset=start)
            self._catch_up(file, size, position, self.graph, report)
            if position.problem is None:
                self._position = position
                return report
        graph = self.graph if old is None else ChannelGraph()
        position, report = _Position(version, first), ReadReport(reloaded=old is not None)
        self._catch_up(file, size, position, graph, report)
        if position.problem is not None and old is not None:
            raise GossipStoreError(position.problem)
        self.graph, self._position = graph, position
        if position.problem is not None:
            raise GossipStoreError(position.problem)
        return report

    def _catch_up(
        self, file: StoreFile, size: int, position: _Position, graph: ChannelGraph, report: ReadReport
    ) -> None:
        """Reads from `position` to the end, moving it."""
        position.problem = None
        if not graph.n_channels:
            graph.reserve((size - position.offset) // _CHANNEL_BYTES)
        while position.offset < size and position.successor is None:
            file.seek(position.offset)
            data = file.read(min(PIECE, size - position.offset))
            piece = wire.cut(data, position.version & 31, at_end=position.offset + len(data) >= size)
            records = _up_to_end(piece.records, position)
            _apply(graph, records, report)
            report.bytes_read += piece.used
            if piece.last is not None:
                position.last = position.offset + piece.last
                position.last_mark = _mark_in(data[piece.last :])
            position.offset += piece.used
            if piece.problem is not None:
                position.problem = f"gossip_store has {piece.problem} at byte {position.offset}"
                break
            if not piece.used:
                break
        report.problem = position.problem
        report.ended = position.successor is not None
        report.waiting_bytes = max(0, size - position.offset)


def _up_to_end(records: Records, position: _Position) -> Records:
    """The records before the one that ends the file, if it does."""
    ends = records.of(Type.ENDED, 10)
    if not len(ends):
        return records
    position.successor = wire.ended(records.body(int(ends[0])))
    return records.part(0, int(ends[0]))


def _equal_position(old: _Position, first: bytes, size: int) -> int | None:
    """Where to go on in the new file, if the old one named it and was read to its end."""
    if old.successor is None:
        return None
    offset, uuid = old.successor
    return offset if uuid is not None and first == _uuid_mark(uuid) and 1 < offset <= size else None


# -- which file it is ----------------------------------------------------------------------------------------


def _version(file: StoreFile) -> int:
    file.seek(0)
    return file.read(1)[0]


def _mark(file: StoreFile, offset: int) -> bytes:
    file.seek(offset)
    return _mark_in(file.read(HEADER + _MARK))


def _mark_in(data: bytes) -> bytes:
    """The part of the record at the start of `data` that the host never changes, cut to a few bytes."""
    length = int.from_bytes(data[2:4], "big")
    return data[2:4] + data[HEADER : HEADER + min(length, _MARK)]


def _uuid_mark(uuid: bytes) -> bytes:
    message = Type.UUID.to_bytes(2, "big") + uuid
    return len(message).to_bytes(2, "big") + message


def _is_same(file: StoreFile, position: _Position) -> bool:
    if position.version != _version(file) or position.first != _mark(file, 1):
        return False
    return position.last is None or _mark(file, position.last) == position.last_mark


# -- from records to the graph -------------------------------------------------------------------------------


def _apply(graph: ChannelGraph, records: Records, report: ReadReport) -> None:
    if not len(records):
        return
    report.records += len(records)
    report.unknown += records.unknown
    announced = wire.channels(records)
    at, deleted = wire.scids(records, Type.DELETE_CHANNEL)
    # Where a channel is both announced and deleted in here, what was first matters.
    borders = [0, *(at[np.isin(deleted, announced.scid)] + 1).tolist(), len(records)]
    if len(borders) == 2:
        _apply_part(graph, records, announced, report)
        return
    for start, end in pairwise(borders):
        part = records.part(start, end)
        _apply_part(graph, part, wire.channels(part), report)


def _apply_part(graph: ChannelGraph, records: Records, announced: wire.Channels, report: ReadReport) -> None:
    known = graph.n_channels
    since = _announce(graph, announced)
    report.channels_added += graph.n_channels - known
    position, scids, direction, policies = wire.updates(records)
    if len(position):
        channel = graph.find_channels(scids)
        taken = channel >= 0
        # An update before its channel's announcement was meant for an earlier channel that is gone.
        new = channel >= known
        taken[new] = position[new] > since[channel[new] - known]
        arcs = (2 * channel[taken] + direction[taken]).astype(np.int32)
        report.policies += graph.update_arcs(arcs, policies.take(np.flatnonzero(taken)))
    for node, alias, features, timestamp in wire.nodes(records):
        report.names += graph.name_node(node, alias, features, timestamp)
    _, dying = wire.scids(records, Type.CHANNEL_DYING)
    if len(dying):
        graph.mark_dying(dying)
    _, deleted = wire.scids(records, Type.DELETE_CHANNEL)
    if len(deleted):
        report.channels_removed += graph.remove_channels(deleted)


def _announce(graph: ChannelGraph, announced: wire.Channels) -> npt.NDArray[np.intp]:
    """Adds the channels; returns for each new one where it was announced first, intp[new channels]."""
    known = graph.n_channels
    if not len(announced.scid):
        return np.empty(0, np.intp)
    ends = graph.number_nodes(announced.nodes)
    numbers = graph.add_channels(
        announced.scid, ends[::2], ends[1::2], announced.capacity_msat, announced.routable
    )
    if announced.dying.any():
        graph.mark_dying(announced.scid[announced.dying])
    since = np.zeros(graph.n_channels, np.intp)
    since[numbers[::-1]] = announced.position[::-1]
    return since[known:]
