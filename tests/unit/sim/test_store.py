"""The gossip_store that the box writes: bytes as lightningd's, read back by pyln-client's Gossmap as the oracle.

The network of these tests is a chain of four channels, A - B - C - D - E, 1 to 4 million satoshi.
"""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from pyln.client.gossmap import Gossmap

from pay.network import Policy, parse_channel_update
from pay.sim.network.encoding import gossip, keys
from pay.sim.network.encoding.crc32c import checksums, crc32c, crc32c_of_rows
from pay.sim.network.encoding.failures import CHAIN_HASHES
from pay.sim.network.encoding.gossip import MessageType
from pay.sim.network.encoding.store import Flag, StoreVersion, StoreWriter
from pay.units import Scid, ScidDir, format_scid

REGTEST = CHAIN_HASHES["regtest"]
NODES = [keys.node_id(keys.node_secret(5, n)) for n in range(5)]
SCIDS = [Scid((100 + n) << 40 | 1 << 16) for n in range(4)]
POLICY = Policy(1, 10, 34, 1, 990_000_000, timestamp=1_700_000_000)


def chain(file, version=StoreVersion.V26_04) -> StoreWriter:
    """Four channels, all policies, then the five nodes."""
    writer = StoreWriter(file, REGTEST, version, uuid=b"\7" * 32)
    for n, scid in enumerate(SCIDS):
        writer.add_channel(scid, NODES[n], NODES[n + 1], (n + 1) * 1_000_000_000)
        for direction in (0, 1):
            writer.set_policy(ScidDir(scid, direction), POLICY)
    for n, node in enumerate(NODES):
        writer.name_node(node, f"{'ABCDE'[n]}-é", 1 << 9 | 1 << 17, 1_700_000_000)
    return writer


def kinds(writer: StoreWriter, *, with_deleted: bool = False) -> list[int]:
    return [
        gossip.message_type(message)
        for _, flags, message, _ in writer.records()
        if with_deleted or not flags & Flag.DELETED
    ]


def test_crc32c_is_castagnoli_s():
    """The check value of the polynomial; started from a timestamp it is the continuation of a checksum."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


def test_a_record_of_mainnet_has_the_checksum_that_we_compute():
    """A channel_update as a node kept it: header and message."""
    header, message = MAINNET_RECORD[:12], MAINNET_RECORD[12:]
    flags, length, crc, timestamp = struct.unpack(">HHII", header)
    assert (flags & Flag.COMPLETED, length) == (Flag.COMPLETED, len(message))
    assert checksums([(message, timestamp)]) == [crc]


def test_many_checksums_at_once_are_the_single_ones():
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 256, (17, 23), np.uint8)
    start = rng.integers(0, 1 << 32, 17, np.uint32)
    expected = [crc32c(row.tobytes(), int(s)) for row, s in zip(rows, start, strict=True)]
    assert crc32c_of_rows(rows, start).tolist() == expected
    mixed = [(b"abc", 1), (b"defg", 2), (b"hij", 3)]
    assert checksums(mixed) == [crc32c(message, timestamp) for message, timestamp in mixed]


def test_channel_update_is_the_one_that_is_parsed():
    policy = Policy(7, 8, 9, 10, 1 << 40, enabled=False, timestamp=11)
    channel = ScidDir(SCIDS[0], 1)
    message = gossip.channel_update(channel, policy, REGTEST)
    assert parse_channel_update(message) == (channel, policy)
    assert gossip.update_of(message) == channel


def test_lengths_are_those_of_bolt_7():
    assert len(gossip.channel_announcement(SCIDS[0], *NODES[:2], REGTEST)) == 432
    assert len(gossip.channel_update(ScidDir(SCIDS[0], 0), POLICY, REGTEST)) == 138
    assert len(gossip.node_announcement(NODES[0], "A", 0)) == 142
    long = gossip.node_announcement(NODES[0], "é" * 30, 0, features=1 << 17)
    assert gossip.node_of(long) == NODES[0]
    assert "é".encode() * 16 in long
    assert "é".encode() * 17 not in long


@pytest.mark.parametrize("version", [StoreVersion.V25_12, StoreVersion.V26_04])
def test_gossmap_reads_what_was_written(tmp_path, version):
    """Nodes, names, capacities and policies come back. (It knows no records without the completed flag.)"""
    path = tmp_path / "gossip_store"
    with path.open("w+b") as file:
        chain(file, version)
    assert path.read_bytes()[0] == version
    read = Gossmap(str(path))
    assert sorted(map(str, read.channels)) == sorted(map(format_scid, SCIDS))
    assert {node.node_id.nodeid for node in read.nodes.values()} == set(NODES)
    assert {node.alias.rstrip("\0") for node in read.nodes.values()} == {f"{c}-é" for c in "ABCDE"}
    for n, scid in enumerate(SCIDS):
        channel = read.get_channel(format_scid(scid))
        ends = sorted(NODES[n : n + 2])
        assert [channel.node1.node_id.nodeid, channel.node2.node_id.nodeid] == ends
        assert channel.satoshis == (n + 1) * 1_000_000
        assert [half.fee_proportional_millionths for half in channel.half_channels] == [10, 10]


def test_what_tells_the_versions_apart():
    """The completed flag came with 15, the uuid with 16."""
    for version in StoreVersion:
        writer = chain(io.BytesIO(), version)
        flags = {flags for _, flags, _, _ in writer.records()}
        assert flags == ({Flag.COMPLETED} if version >= 15 else {0})
        assert kinds(writer).count(MessageType.UUID) == (version >= 16)


def test_single_records_and_many_at_once_are_the_same_bytes():
    one, many = (StoreWriter(io.BytesIO(), REGTEST) for _ in range(2))
    one.add_channel(SCIDS[0], *NODES[:2], 10**9)
    one.set_policy(ScidDir(SCIDS[0], 0), POLICY)
    many.extend([
        *many.channel_records(SCIDS[0], *NODES[:2], 10**9), many.policy_record(ScidDir(SCIDS[0], 0), POLICY)
    ])  # fmt: skip
    assert one.file.getvalue() == many.file.getvalue()


def test_a_newer_policy_replaces_the_older():
    """The new update is appended, and the old one marked where it stands."""
    writer = chain(io.BytesIO())
    before = kinds(writer)
    writer.set_policy(ScidDir(SCIDS[1], 1), POLICY)
    assert kinds(writer, with_deleted=True) == [*before, MessageType.CHANNEL_UPDATE]
    deleted = [message for _, flags, message, _ in writer.records() if flags & Flag.DELETED]
    assert [gossip.update_of(message) for message in deleted] == [ScidDir(SCIDS[1], 1)]


def test_an_incomplete_record_waits():
    """Between the two writes of a record its completed flag is missing."""
    writer = chain(io.BytesIO())
    offset = writer.append(gossip.delete_channel(SCIDS[0]), complete=False)
    assert writer.read(offset)[0] == 0
    writer.complete(offset)
    assert writer.read(offset)[0] == Flag.COMPLETED


def test_a_closed_channel_leaves_a_tombstone_and_takes_a_lonely_node_along(tmp_path):
    """D - E closes: E has no channel any more, D keeps one."""
    path = tmp_path / "gossip_store"
    with path.open("w+b") as file:
        writer = chain(file)
        writer.remove_channel(SCIDS[3])
        live = kinds(writer)
    assert live.count(MessageType.CHANNEL_ANNOUNCEMENT) == live.count(MessageType.CHANNEL_AMOUNT) == 3
    assert live.count(MessageType.CHANNEL_UPDATE) == 6
    assert live.count(MessageType.NODE_ANNOUNCEMENT) == 4
    assert live[-1] == MessageType.DELETE_CHANNEL
    read = Gossmap(str(path))
    assert format_scid(SCIDS[3]) not in map(str, read.channels)
    assert NODES[4] not in {node.node_id.nodeid for node in read.nodes.values()}


def test_a_node_announcement_follows_a_channel_of_its_node():
    """B is named after A - B; when that closes, its name moves behind B - C, which came later."""
    writer = StoreWriter(io.BytesIO(), REGTEST)
    writer.add_channel(SCIDS[0], NODES[0], NODES[1], 10**9)
    writer.name_node(NODES[1], "B", 0, 1_700_000_000)
    writer.add_channel(SCIDS[1], NODES[1], NODES[2], 10**9)
    writer.remove_channel(SCIDS[0])
    assert kinds(writer)[1:] == [
        MessageType.CHANNEL_ANNOUNCEMENT,
        MessageType.CHANNEL_AMOUNT,
        MessageType.DELETE_CHANNEL,
        MessageType.NODE_ANNOUNCEMENT,
    ]


def test_a_spent_channel_is_dying_for_72_blocks():
    """The announcement and both updates are marked, and so is an update that comes later."""
    writer = chain(io.BytesIO())
    writer.spend_channel(SCIDS[2], height=1000)
    writer.set_policy(ScidDir(SCIDS[2], 0), POLICY)
    dying = [gossip.message_type(m) for _, f, m, _ in writer.records() if f & Flag.DYING and not f & Flag.DELETED]
    assert dying == [256, 258, 258]
    records = {gossip.message_type(message): message for _, _, message, _ in writer.records()}
    assert records[MessageType.CHANNEL_DYING] == struct.pack(">HQI", 4106, SCIDS[2], 1072)


def test_a_store_is_gone_on_with(tmp_path):
    """Opened again, the writer knows what is there: the old update is marked when a new one comes."""
    path = tmp_path / "gossip_store"
    with path.open("w+b") as file:
        chain(file)
    with path.open("r+b") as file:
        writer = StoreWriter.resume(file, REGTEST)
        assert writer.uuid == b"\7" * 32
        count = len(kinds(writer))
        writer.set_policy(ScidDir(SCIDS[0], 0), POLICY)
        writer.remove_channel(SCIDS[1])
        assert len(kinds(writer)) == count - 4 + 1


def test_what_is_no_store_is_not_gone_on_with():
    whole = chain(io.BytesIO()).file.getvalue()
    for broken, words in ((b"", "nothing"), (b"\x20" + whole[1:], "20"), (whole[:-1], "cut short")):
        with pytest.raises(ValueError, match=words):
            StoreWriter.resume(io.BytesIO(broken), REGTEST)


@pytest.mark.parametrize("version", list(StoreVersion))
def test_a_new_file_takes_over(version):
    """What is left is in the new file, without tombstones; the old one ends with the place to go on from."""
    old = chain(io.BytesIO(), version)
    old.remove_channel(SCIDS[0])
    old.spend_channel(SCIDS[2], height=1000)
    new = old.compact(io.BytesIO(), uuid=b"\x09" * 32)
    *_, (_, _, message, _) = old.records()
    where = struct.pack(">HQ", MessageType.ENDED, new.length)
    assert message == where + (b"\x09" * 32 if version >= 16 else b"")
    assert new.file.getvalue()[0] == StoreVersion.V26_04
    dropped = (MessageType.UUID, MessageType.DELETE_CHANNEL, MessageType.ENDED)
    expected = [kind for kind in kinds(old) if kind not in dropped]
    assert kinds(new) == [MessageType.UUID, *expected]
    assert sum(bool(flags & Flag.DYING) for _, flags, _, _ in new.records()) == 3
    new.set_policy(ScidDir(SCIDS[2], 0), POLICY)
    assert kinds(new, with_deleted=True).count(MessageType.CHANNEL_UPDATE) == 7


MAINNET_RECORD = bytes.fromhex(
    "2000008afeff3d83000000000102000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000008560000000000000101002200000000000000010000000000002af800000000f3ea2b50"
)
