"""The gossip_store reader on a snapshot of mainnet, beside pyln's Gossmap."""

from __future__ import annotations

import io
import lzma
from pathlib import Path

import numpy as np
import pytest
from pyln.client.gossmap import Gossmap

from pay.network import ChannelGraph, GossipStore, Policy
from pay.network import gossip_store as reader
from pay.sim.network.encoding import keys
from pay.sim.network.encoding.failures import CHAIN_HASHES
from pay.sim.network.encoding.store import StoreWriter
from pay.units import Scid, ScidDir, format_scid
from tests.support.checkout import SNAPSHOT

REGTEST = CHAIN_HASHES["regtest"]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot, unpacked; a generated store of 2,000 channels where there is none."""
    path = tmp_path_factory.mktemp("store") / "gossip_store"
    if SNAPSHOT.exists():
        path.write_bytes(lzma.decompress(SNAPSHOT.read_bytes()))
        return path
    rng = np.random.default_rng(3)
    nodes = [keys.node_id(keys.node_secret(10, n)) for n in range(300)]
    with open(path, "w+b") as file:
        writer = StoreWriter(file, REGTEST)
        for n in range(2000):
            a, b = (nodes[i] for i in rng.choice(300, 2, replace=False))
            scid = Scid(int(rng.integers(1 << 40)) << 16 | n)
            writer.extend(writer.channel_records(scid, a, b, int(rng.integers(1, 1 << 24)) * 1000))
            for direction in (0, 1):
                numbers = [int(x) for x in rng.integers(0, 1 << 16, 5)]
                enabled, timestamp = bool(rng.integers(2)), int(rng.integers(1 << 31))
                policy = Policy(*numbers, enabled, timestamp)
                writer.extend([writer.policy_record(ScidDir(scid, direction), policy)])
    return path


def test_the_snapshot_is_what_gossmap_reads(snapshot: Path) -> None:
    """Every channel, capacity and policy of mainnet in February 2026, beside pyln's reader."""
    store = GossipStore()
    with open(snapshot, "rb") as file:
        store.read(file)
    graph, oracle = store.graph, Gossmap(str(snapshot))
    assert (graph.n_channels, graph.n_nodes) == (len(oracle.channels), len(oracle.nodes))
    for channel in oracle.channels.values():
        scid = Scid(channel.scid.to_int())
        number = graph.channel_number(scid)
        assert number is not None, format_scid(scid)
        assert graph.node_id(graph.source[2 * number]) == channel.node1.node_id.nodeid
        assert graph.node_id(graph.target[2 * number]) == channel.node2.node_id.nodeid
        assert graph.capacity_msat[2 * number] == graph.capacity_msat[2 * number + 1] == channel.satoshis * 1000
        for direction, half in enumerate(channel.half_channels):
            arc = 2 * number + direction
            got = (
                graph.fee_base_msat[arc], graph.fee_ppm[arc], graph.cltv_delta[arc], graph.htlc_min_msat[arc],
                graph.htlc_max_msat[arc], graph.enabled[arc], graph.timestamp[arc],
            )  # fmt: skip
            assert got == (
                half.fee_base_msat, half.fee_proportional_millionths, half.cltv_expiry_delta,
                half.htlc_minimum_msat, half.htlc_maximum_msat, not half.disabled, half.timestamp,
            )  # fmt: skip


def test_the_size_of_a_piece_does_not_matter(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 10 kB, so that the borders fall everywhere, against pieces of the usual size."""
    size = min(snapshot.stat().st_size, 2_000_000)
    data = snapshot.read_bytes()[:size]
    usual, small = GossipStore(), GossipStore()
    usual.read(io.BytesIO(data))
    monkeypatch.setattr(reader, "PIECE", 10_000)
    small.read(io.BytesIO(data))
    assert usual.graph.n_channels > 1000
    same_graph(usual.graph, small.graph)


def test_memory_of_the_graph(snapshot: Path) -> None:
    """Under 25 MB of arrays for mainnet, grouped by destination; here at most 220 bytes a channel."""
    store = GossipStore()
    with open(snapshot, "rb") as file:
        store.read(file)
    store.graph.by_target()
    assert store.graph.nbytes < 25_000_000
    assert store.graph.nbytes < 220 * store.graph.n_channels


def same_graph(one: ChannelGraph, other: ChannelGraph) -> None:
    """All arrays are equal."""
    for name in (
        "source", "target", "fee_base_msat", "fee_ppm", "cltv_delta", "htlc_min_msat", "htlc_max_msat",
        "capacity_msat", "enabled", "timestamp", "scids", "dying",
    ):  # fmt: skip
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
