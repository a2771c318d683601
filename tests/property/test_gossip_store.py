"""Random stores – grown, cut short, corrupted, compacted – against a reader in plain Python.

Six nodes and five channels come, change, are spent, go and come back in random order. What the reader makes of the
bytes must be what the plain reader makes of all records before the first one that is not whole and sound.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pay.network import ChannelGraph, GossipStore, GossipStoreError, Policy, parse_channel_update
from pay.network import gossip_store as reader
from pay.sim.network.encoding import gossip, keys
from pay.sim.network.encoding.crc32c import crc32c
from pay.sim.network.encoding.failures import CHAIN_HASHES
from pay.sim.network.encoding.gossip import MessageType
from pay.sim.network.encoding.store import Flag, StoreVersion, StoreWriter
from pay.units import Scid, ScidDir

REGTEST = CHAIN_HASHES["regtest"]
NODES = [keys.node_id(keys.node_secret(11, n)) for n in range(6)]
SCIDS = [Scid(n << 40 | 1 << 16) for n in (1, 2, 3, 4, 1 << 23)]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["announce", "announce", "update", "update", "update", "name", "spend", "remove", "odd"]),
        st.integers(0, len(SCIDS) - 1),
        st.integers(0, 1 << 10),
    ),
    max_size=40,
)
VERSIONS = st.sampled_from(list(StoreVersion))


def write(writer: StoreWriter, step: tuple[str, int, int], now: int | None = None) -> None:
    """One step of the network's life, at a random time by default; what makes no sense then is left out."""
    kind, which, number = step
    timestamp = number % 5 if now is None else now
    scid = SCIDS[which]
    known = scid in writer._channels
    match kind:
        case "announce" if not known:
            ends = NODES[which], NODES[(which + 1 + number % 5) % 6]
            writer.add_channel(scid, *ends, number * 1000, features=number >> 8 << 3)
        case "update":
            # Of a channel that is not there as well: such an update has to be ignored.
            policy = Policy(number, number + 1, 34, 0, 10_000, enabled=number % 3 > 0, timestamp=timestamp)
            writer.set_policy(ScidDir(scid, number & 1), policy)
        case "name":
            writer.name_node(NODES[which], f"node {number}", 1 << number % 40, timestamp)
        case "spend" if known:
            writer.spend_channel(scid, number)
        case "remove" if known:
            writer.remove_channel(scid)
        case "odd":
            writer.append(struct.pack(">H", 5000 + number), number)
        case _:
            pass


def store_of(steps: list[tuple[str, int, int]], version: StoreVersion) -> StoreWriter:
    writer = StoreWriter(io.BytesIO(), REGTEST, version, uuid=b"\5" * 32)
    for step in steps:
        write(writer, step)
    return writer


# -- the plain reader ----------------------------------------------------------------------------------------

View = tuple[dict[int, Any], dict[bytes, Any]]


def plain(data: bytes) -> View:
    """All channels and names after the whole and sound records of `data`, one record after the other."""
    channels: dict[int, Any] = {}
    names: dict[bytes, Any] = {}
    at = 1
    while at + 12 <= len(data):
        flags, length, crc, timestamp = struct.unpack_from(">HHII", data, at)
        message = data[at + 12 : at + 12 + length]
        if len(message) < length or (data[0] >= 15 and not flags & Flag.COMPLETED):
            break
        after = at + 12 + length
        if not flags & Flag.DELETED:
            if length < 2 or crc32c(message, timestamp) != crc:
                break
            following = data[after + 12 : after + 22]
            announces = gossip.message_type(message) == MessageType.CHANNEL_ANNOUNCEMENT
            if announces and not _whole(data, after):
                break
            _take(channels, names, message, following, bool(flags & Flag.DYING))
        at = after
    return channels, names


def _whole(data: bytes, at: int) -> bool:
    """Whether the record at `at` is there."""
    if at + 12 > len(data):
        return False
    flags, length, crc, timestamp = struct.unpack_from(">HHII", data, at)
    message = data[at + 12 : at + 12 + length]
    complete = data[0] < 15 or flags & Flag.COMPLETED
    return bool(complete and len(message) == length and crc32c(message, timestamp) == crc)


def _take(channels: dict[int, Any], names: dict[bytes, Any], message: bytes, amount: bytes, dying: bool) -> None:
    match gossip.message_type(message):
        case MessageType.CHANNEL_ANNOUNCEMENT:
            scid, lesser, greater = gossip.channel_of(message)
            features = int.from_bytes(message[260 : 260 + int.from_bytes(message[258:260], "big")], "big")
            sat = int.from_bytes(amount[2:10], "big")
            channels.setdefault(
                scid,
                {"ends": (lesser, greater), "msat": sat * 1000 or None, "dying": dying, 0: None, 1: None,
                 "routable": not any(features >> bit & 1 for bit in range(0, 64, 2))},
            )  # fmt: skip
        case MessageType.CHANNEL_UPDATE:
            where, policy = parse_channel_update(message)
            channel = channels.get(where.scid)
            if channel is not None:
                known = channel[where.direction]
                if known is None or policy.timestamp >= known.timestamp:
                    channel[where.direction] = policy
        case MessageType.NODE_ANNOUNCEMENT:
            at = 68 + int.from_bytes(message[66:68], "big")
            node, timestamp = gossip.node_of(message), int.from_bytes(message[at : at + 4], "big")
            if node not in names or timestamp >= names[node][2]:
                alias = message[at + 40 : at + 72].rstrip(b"\0").decode()
                names[node] = alias, int.from_bytes(message[68:at], "big"), timestamp
        case MessageType.CHANNEL_DYING if (scid := int.from_bytes(message[2:10], "big")) in channels:
            channels[scid]["dying"] = True
        case MessageType.DELETE_CHANNEL:
            channels.pop(int.from_bytes(message[2:10], "big"), None)
        case _:
            pass


def agree(graph: ChannelGraph, view: View) -> None:
    """The graph says what the plain reader says, by its look-ups and by its arrays."""
    channels, names = view
    agree_on_channels(graph, channels)
    for node in NODES:
        got_name = graph.alias(node), graph.features(node)
        assert got_name == (names[node][:2] if node in names else (None, None))


def agree_on_channels(graph: ChannelGraph, channels: dict[int, Any]) -> None:
    for scid in SCIDS:
        number, channel = graph.channel_number(scid), channels.get(scid)
        assert (number is None) == (channel is None)
        if channel is None or number is None:
            continue
        assert graph.size_msat(scid) == channel["msat"]
        assert bool(graph.dying[number]) == channel["dying"]
        for direction in (0, 1):
            arc, policy = 2 * number + direction, channel[direction]
            ends = graph.node_id(int(graph.source[arc])), graph.node_id(int(graph.target[arc]))
            assert ends == (channel["ends"] if direction == 0 else channel["ends"][::-1])
            got = graph.policy(ScidDir(scid, direction))
            assert (got is None) == (policy is None)
            assert graph.enabled[arc] == bool(policy and policy.enabled and channel["routable"])
            if got is not None:
                fields = ("fee_base_msat", "fee_ppm", "cltv_delta", "htlc_max_msat", "timestamp")
                assert all(getattr(got, name) == getattr(policy, name) for name in fields)
    live = {number for scid in channels if (number := graph.channel_number(scid)) is not None}
    assert {arc >> 1 for arc in graph.enabled.nonzero()[0].tolist()} <= live


def quietly(read: Callable[[], Any]) -> bool:
    """Runs it; whether it complained."""
    try:
        read()
    except GossipStoreError:
        return True
    return False


# -- properties ----------------------------------------------------------------------------------------------


@given(STEPS, VERSIONS)
@settings(max_examples=100, deadline=None)
def test_a_store_is_read_as_the_plain_reader_reads_it(steps, version):
    data = store_of(steps, version).file.getvalue()
    store = GossipStore()
    store.read(io.BytesIO(data))
    agree(store.graph, plain(data))


@given(STEPS, VERSIONS, st.data())
@settings(max_examples=80, deadline=None)
def test_reading_while_it_grows_ends_with_the_same_graph(steps, version, data):
    """Read now and then while the host writes, in pieces that end anywhere; flags of old records change."""
    writer = StoreWriter(io.BytesIO(), REGTEST, version, uuid=b"\5" * 32)
    store, records = GossipStore(), []
    reader_piece, reader.PIECE = reader.PIECE, data.draw(st.sampled_from([600, 1000, 5000]))
    try:
        for now, step in enumerate(steps):
            write(writer, step, now)
            if data.draw(st.booleans()):
                store.read(writer.file)
        store.read(writer.file)
    finally:
        reader.PIECE = reader_piece
    # The host deletes only what a later record replaces or takes back, so the flags make no difference.
    for _, flags, message, timestamp in writer.records():
        flags = flags & ~(Flag.DELETED | Flag.DYING)
        records.append(struct.pack(">HHII", flags, len(message), crc32c(message, timestamp), timestamp) + message)
    agree(store.graph, plain(bytes([writer.version]) + b"".join(records)))


@given(STEPS.filter(len), VERSIONS, st.data())
@settings(max_examples=100, deadline=None)
def test_a_store_cut_anywhere_is_read_up_to_there_and_on_when_the_rest_comes(steps, version, data):
    """Never an exception; what was read of the cut store is not read again."""
    whole = store_of(steps, version).file.getvalue()
    size = data.draw(st.integers(0, len(whole)))
    store = GossipStore()
    first = store.read(io.BytesIO(whole[:size]))
    agree(store.graph, plain(whole[:size]))
    assert first.bytes_read + first.waiting_bytes in (size, size - 1)
    second = store.read(io.BytesIO(whole))
    agree(store.graph, plain(whole))
    assert second.reloaded or first.bytes_read + second.bytes_read == max(0, len(whole) - 1)


@given(STEPS.filter(len), VERSIONS, st.data())
@settings(max_examples=100, deadline=None)
def test_one_wrong_byte_costs_what_comes_after_it_until_it_is_repaired(steps, version, data):
    """The only exception is ours, and it comes once. Flags and the version are not protected by the checksum."""
    whole = store_of(steps, version).file.getvalue()
    writer = StoreWriter.resume(io.BytesIO(whole), REGTEST)
    free = {0} | {at + n for at, *_ in writer.records() for n in (0, 1)}
    at = data.draw(st.sampled_from([n for n in range(len(whole)) if n not in free] or [0]))
    if at in free:
        return
    bad = bytearray(whole)
    bad[at] ^= data.draw(st.integers(1, 255))
    store = GossipStore()
    quietly(lambda: store.read(io.BytesIO(bad)))
    agree(store.graph, plain(bytes(bad)))
    assert not quietly(lambda: store.read(io.BytesIO(bad)))
    assert not quietly(lambda: store.read(io.BytesIO(whole)))
    agree(store.graph, plain(whole))


@given(st.binary(max_size=3000), st.sampled_from([0x00, 14, 15, 16, 17, 0x20, 0xFF]))
@settings(max_examples=100, deadline=None)
def test_any_bytes_at_all(noise, version):
    """No bytes make the reader fail in another way than by its own exception, or claim a channel."""
    store, file = GossipStore(), io.BytesIO(bytes([version]) + noise)
    quietly(lambda: store.read(file))
    assert not quietly(lambda: store.read(file))
    assert store.graph.n_channels == 0


@given(STEPS, STEPS, VERSIONS, st.booleans())
@settings(max_examples=100, deadline=None)
def test_after_compaction_the_graph_is_that_of_the_new_file(before, after, version, seen_end):
    """Whether the reader goes on from the named place or reads anew."""
    old, store = store_of(before, version), GossipStore()
    store.read(old.file)
    new = old.compact(io.BytesIO(), uuid=b"\6" * 32)
    if seen_end:
        assert store.read(old.file).ended
    for step in after:
        write(new, step, now=10)
    report = store.read(new.file)
    if seen_end and version is StoreVersion.V26_04:
        assert not report.reloaded
    agree_on_channels(store.graph, plain(new.file.getvalue())[0])
