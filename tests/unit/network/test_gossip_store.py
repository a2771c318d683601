"""The gossip_store reader on stores written record by record.

The small network is a chain A - B - C - D of three channels, 1 to 3 million satoshi.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from pay.network import GossipStore, GossipStoreError, Policy
from pay.sim.network.encoding import gossip, keys
from pay.sim.network.encoding.crc32c import crc32c
from pay.sim.network.encoding.failures import CHAIN_HASHES
from pay.sim.network.encoding.store import Flag, StoreVersion, StoreWriter
from pay.units import Scid, ScidDir

REGTEST = CHAIN_HASHES["regtest"]
A, B, C, D = (keys.node_id(keys.node_secret(9, n)) for n in range(4))
SCIDS = [Scid((100 + n) << 40 | 7 << 16 | 1) for n in range(3)]
POLICY = Policy(1000, 10, 34, 1, 990_000_000, timestamp=1_700_000_000)


def chain(version: StoreVersion = StoreVersion.V26_04, uuid: bytes = b"\1" * 32) -> StoreWriter:
    """The chain with all policies; the nodes are named a, b, c, d."""
    writer = StoreWriter(io.BytesIO(), REGTEST, version, uuid)
    for n, ends in enumerate(((A, B), (B, C), (C, D))):
        writer.add_channel(SCIDS[n], *ends, (n + 1) * 1_000_000_000)
        for direction in (0, 1):
            writer.set_policy(ScidDir(SCIDS[n], direction), POLICY)
    for name, node in zip("abcd", (A, B, C, D), strict=True):
        writer.name_node(node, name, 1 << 9 | 1 << 17, 1_700_000_000)
    return writer


def later(**changes: object) -> Policy:
    """The chain's policy, a day younger."""
    values = {name: getattr(POLICY, name) for name in POLICY.__slots__}
    return Policy(**values | {"timestamp": POLICY.timestamp + 86_400} | changes)


def append_raw(file: io.BytesIO, message: bytes, flags: int = Flag.COMPLETED, crc: int | None = None) -> None:
    file.seek(0, 2)
    file.write(struct.pack(">HHII", flags, len(message), crc32c(message, 5) if crc is None else crc, 5) + message)


@pytest.mark.parametrize("version", list(StoreVersion))
def test_a_store_of_any_supported_release_is_read(version: StoreVersion) -> None:
    """14 has no completed flag, 15 has, 16 begins with its uuid: the channels are the same."""
    store = GossipStore()
    report = store.read(chain(version).file)
    graph = store.graph
    assert (report.channels_added, report.policies, report.names, report.waiting_bytes) == (3, 6, 4, 0)
    assert (graph.n_channels, graph.n_nodes) == (3, 4)
    assert graph.policy(ScidDir(SCIDS[1], 1)) == POLICY
    assert graph.size_msat(SCIDS[2]) == 3_000_000_000
    assert (graph.alias(C), graph.features(C)) == ("c", 1 << 9 | 1 << 17)
    ends = {graph.node_id(int(graph.source[2])), graph.node_id(int(graph.target[2]))}
    assert ends == {B, C}
    assert graph.node_id(int(graph.source[2])) == min(B, C)


def test_only_what_was_appended_is_read_again() -> None:
    """A new policy is written in its place, and the array that a planner holds shows it."""
    writer, store = chain(), GossipStore()
    store.read(writer.file)
    graph, enabled = store.graph, store.graph.enabled
    writer.set_policy(ScidDir(SCIDS[0], 0), later(fee_ppm=99, enabled=False))
    report = store.read(writer.file)
    assert (report.records, report.policies, report.bytes_read) == (1, 1, 12 + 138)
    assert store.graph is graph
    assert graph.enabled is enabled
    assert not enabled[0]
    assert graph.policy(ScidDir(SCIDS[0], 0)) == later(fee_ppm=99, enabled=False)
    assert store.read(writer.file).records == 0


def test_the_newest_update_wins_not_the_last() -> None:
    """An older update that comes in late changes nothing; one of the same second as the known one does."""
    writer, store = chain(), GossipStore()
    where = ScidDir(SCIDS[1], 0)
    writer.extend([
        (gossip.channel_update(where, later(fee_ppm=5), REGTEST), 0),
        (gossip.channel_update(where, POLICY, REGTEST), 0),
    ])  # fmt: skip
    store.read(writer.file)
    assert store.graph.policy(where) == later(fee_ppm=5)
    writer.extend([(gossip.channel_update(where, POLICY, REGTEST), 0)])
    assert store.read(writer.file).policies == 0
    writer.extend([(gossip.channel_update(where, later(fee_ppm=6), REGTEST), 0)])
    assert store.read(writer.file).policies == 1


def test_a_closed_channel_is_gone_and_may_come_back() -> None:
    """Spent: dying. Forgotten: unknown. Announced again in the same breath: there, without a policy."""
    writer, store = chain(), GossipStore()
    store.read(writer.file)
    writer.spend_channel(SCIDS[1], 500)
    store.read(writer.file)
    assert store.graph.dying.tolist() == [False, True, False]
    assert store.graph.enabled.all()
    writer.remove_channel(SCIDS[1])
    writer.remove_channel(SCIDS[0])
    writer.add_channel(SCIDS[0], A, B, 5_000_000_000)
    report = store.read(writer.file)
    graph = store.graph
    assert (report.channels_removed, report.channels_added) == (2, 1)
    assert graph.channel_number(SCIDS[1]) is None
    assert graph.policy(ScidDir(SCIDS[1], 0)) is None
    assert graph.size_msat(SCIDS[0]) == 5_000_000_000
    assert graph.policy(ScidDir(SCIDS[0], 0)) is None
    assert np.flatnonzero(graph.enabled).tolist() == [4, 5]


def test_deleted_and_dying_flags_of_a_store_read_from_its_start() -> None:
    writer = chain()
    writer.spend_channel(SCIDS[2], 500)
    writer.remove_channel(SCIDS[0])
    store = GossipStore()
    store.read(writer.file)
    assert store.graph.channel_number(SCIDS[0]) is None
    assert store.graph.scids.tolist() == SCIDS[1:]
    assert store.graph.dying.tolist() == [False, True]


def test_the_dying_flag_alone_is_enough() -> None:
    """Compacted stores keep the flag on the announcement whatever became of the record."""
    writer = chain()
    writer.mark(writer._channels[SCIDS[1]], Flag.DYING)
    store = GossipStore()
    store.read(writer.file)
    assert store.graph.dying.tolist() == [False, True, False]


@pytest.mark.parametrize("kept", [1, 13, 300, 443, 444, 460, 465])
def test_a_record_cut_short_is_waited_for(kept: int) -> None:
    """The file ends within a fourth channel's announcement (444 bytes with its header) or amount (22 bytes)."""
    writer, store = chain(), GossipStore()
    known = writer.length
    writer.add_channel(Scid(1 << 40), A, D, 7_000_000)
    whole = writer.file.getvalue()
    assert len(whole) == known + 444 + 22
    report = store.read(io.BytesIO(whole[: known + kept]))
    assert (report.channels_added, report.waiting_bytes) == (3, kept)
    report = store.read(io.BytesIO(whole))
    assert (report.channels_added, report.waiting_bytes) == (1, 0)
    assert store.graph.size_msat(1 << 40) == 7_000_000


def test_a_record_without_its_completed_flag_is_waited_for() -> None:
    writer, store = chain(), GossipStore()
    store.read(writer.file)
    update = gossip.channel_update(ScidDir(SCIDS[0], 0), later(fee_ppm=3), REGTEST)
    offset = writer.append(update, 5, complete=False)
    assert store.read(writer.file).waiting_bytes == 12 + 138
    writer.complete(offset)
    assert store.read(writer.file).policies == 1


def test_before_the_completed_flag_a_torn_last_record_is_waited_for() -> None:
    """Version 14: the header is there, the message's pages are still zero, then they are written."""
    writer, store = chain(StoreVersion.V24_08), GossipStore()
    whole = chain(StoreVersion.V24_08)
    whole.set_policy(ScidDir(SCIDS[0], 0), later(fee_ppm=3))
    size = writer.length
    torn = whole.file.getvalue()[: size + 12] + bytes(138)
    assert store.read(io.BytesIO(torn)).waiting_bytes == 150
    assert store.read(io.BytesIO(writer.file.getvalue() + bytes(40))).waiting_bytes == 40
    assert store.read(whole.file).policies == 1


def test_the_successor_is_read_from_where_the_old_file_ended() -> None:
    """Compacted: the end record names offset and uuid, so what was read already is not read again."""
    old, store = chain(), GossipStore()
    old.remove_channel(SCIDS[2])
    store.read(old.file)
    graph = store.graph
    new = old.compact(io.BytesIO(), uuid=b"\2" * 32)
    new.set_policy(ScidDir(SCIDS[0], 1), later(fee_ppm=42))
    assert store.read(old.file).ended
    assert store.read(old.file).ended
    report = store.read(new.file)
    assert (report.records, report.reloaded, report.ended) == (1, False, False)
    assert store.graph is graph
    assert graph.policy(ScidDir(SCIDS[0], 1)) == later(fee_ppm=42)


@pytest.mark.parametrize("version", list(StoreVersion))
def test_a_file_that_stands_in_its_place_is_read_from_the_start(version: StoreVersion) -> None:
    """The end was not seen, or names no uuid: a new graph, and the old one stays as it was for whoever plans."""
    old, store = chain(version), GossipStore()
    store.read(old.file)
    before = store.graph
    old.remove_channel(SCIDS[2])
    new = old.compact(io.BytesIO(), uuid=b"\2" * 32)
    if version is not StoreVersion.V26_04:
        assert store.read(old.file).ended
        before = store.graph
    report = store.read(new.file)
    assert report.reloaded
    assert store.graph is not before
    assert (before.n_channels, store.graph.n_channels) == (3, 2)


def test_a_file_of_the_same_beginning_is_told_apart_by_what_was_read_last() -> None:
    """Version 14 has no uuid: a shorter file with the same first channel is another file."""
    store = GossipStore()
    store.read(chain(StoreVersion.V24_08).file)
    other = StoreWriter(io.BytesIO(), REGTEST, StoreVersion.V24_08)
    other.add_channel(SCIDS[0], A, B, 1_000_000_000)
    assert store.read(other.file).reloaded
    assert store.graph.n_channels == 1


def test_an_unknown_version_is_reported_once_and_the_graph_kept() -> None:
    store = GossipStore()
    store.read(chain().file)
    alien = io.BytesIO(b"\x21" + bytes(200))
    with pytest.raises(GossipStoreError, match=r"unknown version 1\.1"):
        store.read(alien)
    assert "unknown version" in str(store.read(alien).problem)
    alien = io.BytesIO(b"\x21" + bytes(300))
    assert "unknown version" in str(store.read(alien).problem)
    assert store.graph.n_channels == 3
    newer = chain(uuid=b"\3" * 32).file
    newer.getbuffer()[0] = 17
    assert store.read(newer).reloaded


def test_garbage_is_reported_once_what_was_before_it_stays_and_a_repair_is_noticed() -> None:
    writer, store = chain(), GossipStore()
    store.read(writer.file)
    size = writer.length
    writer.set_policy(ScidDir(SCIDS[0], 0), later(fee_ppm=3))
    writer.set_policy(ScidDir(SCIDS[0], 1), later(fee_ppm=4))
    good = writer.file.getvalue()
    bad = bytearray(good)
    bad[size + 100] ^= 1
    with pytest.raises(GossipStoreError, match=f"bad checksum at byte {size}"):
        store.read(io.BytesIO(bad))
    assert store.graph.n_channels == 3
    assert store.graph.policy(ScidDir(SCIDS[0], 1)) == POLICY
    report = store.read(io.BytesIO(bad + b"more"))
    assert "bad checksum" in str(report.problem)
    report = store.read(io.BytesIO(good))
    assert (report.policies, report.problem) == (2, None)


def test_a_new_file_with_garbage_does_not_replace_a_good_graph() -> None:
    store = GossipStore()
    store.read(chain().file)
    graph = store.graph
    bad = bytearray(chain(uuid=b"\2" * 32).file.getvalue())
    bad[700] ^= 1
    with pytest.raises(GossipStoreError):
        store.read(io.BytesIO(bad))
    assert store.read(io.BytesIO(bad)).problem is not None
    assert store.graph is graph
    bad[700] ^= 1
    assert store.read(io.BytesIO(bad + bytes(1))).reloaded


def test_records_that_concern_nobody_are_skipped() -> None:
    """A type from the future, private channels of the past, messages too short or too long for what they say."""
    writer, store = chain(), GossipStore()
    file = writer.file
    update = gossip.channel_update(ScidDir(SCIDS[0], 0), later(fee_ppm=3), REGTEST)
    append_raw(file, struct.pack(">H", 4999) + b"news")
    append_raw(file, struct.pack(">HQH", 4104, 5, 4) + b"anno")
    append_raw(file, struct.pack(">HH", 4102, 4) + b"upda")
    append_raw(file, update[:100])
    append_raw(file, gossip.delete_channel(SCIDS[0])[:6])
    announcement = bytearray(gossip.channel_announcement(Scid(5), A, B, REGTEST))
    announcement[258:260] = b"\xff\xff"
    append_raw(file, bytes(announcement))
    append_raw(file, gossip.channel_amount(1000))
    named = bytearray(gossip.node_announcement(A, "x", 1_800_000_000))
    named[66:68] = b"\xff\xff"
    append_raw(file, bytes(named))
    without_maximum = bytearray(update)
    without_maximum[110] = 0
    append_raw(file, bytes(without_maximum))
    report = store.read(file)
    assert (report.unknown, report.waiting_bytes, report.problem) == (1, 0, None)
    assert (store.graph.n_channels, store.graph.alias(A)) == (3, "a")
    assert store.graph.policy(ScidDir(SCIDS[0], 0)) == POLICY


def test_a_channel_that_demands_features_is_never_enabled() -> None:
    """BOLT 7: an unknown even bit forbids to route through it; an odd one does not."""
    writer, store = chain(), GossipStore()
    for scid, features in ((Scid(11), 1 << 20), (Scid(12), 1 << 21)):
        writer.add_channel(scid, A, D, 1_000_000, features)
        writer.set_policy(ScidDir(scid, 0), POLICY)
    store.read(writer.file)
    assert [p.enabled for n in (11, 12) if (p := store.graph.policy(ScidDir(Scid(n), 0)))] == [False, True]


def test_a_node_that_demands_features_is_known_by_its_newest_announcement() -> None:
    """Bit 7 is optional, 6 is known, 62 (splice) as well; nobody knows 64, nor 1000."""
    writer, store = chain(), GossipStore()

    def demanding(**bits: int) -> set[bytes]:
        for name, bit in bits.items():
            node = {"a": A, "b": B, "c": C, "d": D}[name]
            writer.name_node(node, name, 1 << bit, 1_700_000_000 + len(writer.file.getvalue()))
        store.read(writer.file)
        return {store.graph.node_id(number) for number in store.graph.demanding}

    assert demanding() == set()
    assert demanding(a=7, b=6, c=62, d=64) == {D}
    assert demanding(b=1000, d=65) == {B}
    changes = store.graph.changes
    assert demanding(b=1000) == {B} and store.graph.changes == changes
    assert demanding(b=9) == set() and store.graph.changes > changes
    assert all(store.graph.enabled)


def test_absurd_amounts_fit() -> None:
    """2^64 - 1 in every field is read as all bitcoin there are, not as a negative number."""
    writer, store = chain(), GossipStore()
    absurd = Policy(2**32 - 1, 2**32 - 1, 2**16 - 1, 2**64 - 1, 2**64 - 1, timestamp=2**32 - 1)
    writer.extend([(gossip.channel_update(ScidDir(SCIDS[0], 0), absurd, REGTEST), 0)])
    scid = Scid(2**64 - 1)
    writer.extend([
        (gossip.channel_announcement(scid, A, D, REGTEST), 0), (struct.pack(">HQ", 4101, 2**64 - 1), 0)
    ])  # fmt: skip
    store.read(writer.file)
    got = store.graph.policy(ScidDir(SCIDS[0], 0))
    assert got is not None
    assert (got.fee_base_msat, got.fee_ppm, got.cltv_delta) == (2**32 - 1, 2**32 - 1, 2**16 - 1)
    assert got.htlc_min_msat == got.htlc_max_msat == store.graph.size_msat(scid) == 2_100_000_000_000_000_000
    assert store.graph.scid_dir(7) == ScidDir(scid, 1)


def test_an_unknown_amount_is_taken_from_the_policy() -> None:
    writer, store = StoreWriter(io.BytesIO(), REGTEST), GossipStore()
    writer.add_channel(SCIDS[0], A, B, 0)
    writer.set_policy(ScidDir(SCIDS[0], 1), POLICY)
    store.read(writer.file)
    assert store.graph.size_msat(SCIDS[0]) is None
    assert store.graph.capacity_msat.tolist() == [0, 990_000_000]


def test_nothing_to_read_yet() -> None:
    """An empty file, then the version, then the uuid, then channels: no exception, no channel lost."""
    whole, store = chain().file.getvalue(), GossipStore()
    for size in (0, 1, 12, 13, 46, 47):
        store.read(io.BytesIO(whole[:size]))
        assert store.graph.n_channels == 0
    store.read(io.BytesIO(whole))
    assert store.graph.n_channels == 3


def test_a_buffered_file_shows_what_was_appended(tmp_path: Path) -> None:
    """Python's buffer may hold the bytes of before the completed flag was set."""
    path = tmp_path / "gossip_store"
    with open(path, "w+b") as out, open(path, "rb") as opened:
        writer, store = StoreWriter(out, REGTEST), GossipStore()
        offset = writer.append(gossip.channel_announcement(SCIDS[0], A, B, REGTEST), complete=False)
        writer.append(gossip.channel_amount(1_000_000))
        out.flush()
        assert store.read(opened).channels_added == 0
        writer.complete(offset)
        assert store.read(opened).channels_added == 1
