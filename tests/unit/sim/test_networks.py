"""Networks for the box: generated ones have the shape they should, stores go in and come out unharmed.

The stores here are written by the box itself; that it writes as lightningd does is told elsewhere.
"""

from __future__ import annotations

import io
import lzma
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from pay.network import GossipStore, Policy
from pay.sim.network.clock import VirtualClock
from pay.sim.network.encoding.gossip import MessageType, message_type
from pay.sim.network.encoding.store import Flag, StoreVersion, StoreWriter
from pay.sim.network.networks import (
    BIMODAL_SCALE_MSAT,
    MAX_CAPACITY_MSAT,
    MIN_CAPACITY_MSAT,
    Balances,
    draw_balances,
    generate,
    join,
    node_name,
    open_store,
    read_store,
)
from pay.sim.network.world import World
from pay.sim.network.world_store import keep_up, write_store
from pay.units import ScidDir


def world(n_nodes: int = 0, seed: int = 1, balances: str = "uniform") -> World:
    made = World(VirtualClock(), seed=seed)
    if n_nodes:
        generate(made, n_nodes, seed, balances)
    return made


def graph_of(made: World) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(made.nodes)
    graph.add_edges_from((channel.nodes[0].id, channel.nodes[1].id) for channel in made.channels.values())
    return graph


def picture(made: World) -> list[tuple]:
    """Everything of a world's channels that should be the same for the same seed."""
    return [
        (scid, channel.nodes[0].id, channel.nodes[1].id, *channel.balances_msat, *channel.policies)
        for scid, channel in made.channels.items()
    ]


# -- generated -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_nodes", [2, 3, 7, 40, 500])
def test_any_size_is_connected(n_nodes):
    """Everybody can be reached from everybody, however small the network."""
    made = world(n_nodes)
    assert len(made.nodes) == n_nodes
    assert nx.is_connected(graph_of(made))
    assert len({peer.name for peer in made.nodes.values()}) == n_nodes


def test_one_node_is_no_network():
    with pytest.raises(ValueError, match="a network of 1 nodes"):
        generate(world(), 1)


def test_the_same_seed_makes_the_same_world():
    assert picture(world(60)) == picture(world(60))
    assert picture(world(60)) != picture(world(60, seed=2))
    assert picture(world(60)) != picture(world(60, balances="bimodal"))


def test_few_nodes_have_most_channels():
    """Scale-free: half the nodes have at most 3 channels, the largest tens of times as many; 3 for each node."""
    made = world(2000)
    degrees = np.sort([len(peer.channels) for peer in made.nodes.values()])
    assert degrees[1000] <= 3
    assert degrees[-1] > 30 * degrees[1000]
    assert 0.2 < np.mean(degrees == 1) < 0.5
    assert 5 < degrees.mean() < 7
    tenth = degrees[-200:].sum() / degrees.sum()
    assert tenth > 0.4
    parallel = len(made.channels) - graph_of(made).number_of_edges()
    assert 0.02 < parallel / len(made.channels) < 0.08


def test_sizes_and_policies_look_like_the_public_network():
    """Log-normal sizes, heavy-tailed fees with many zeros, the usual deltas, few directions disabled."""
    made = world(2000)
    channels = list(made.channels.values())
    policies = [policy for channel in channels for policy in channel.policies]
    sizes = np.array([channel.capacity_msat for channel in channels])
    assert sizes.min() >= MIN_CAPACITY_MSAT
    assert sizes.max() <= MAX_CAPACITY_MSAT
    assert (sizes % 1000 == 0).all()
    inner = np.log(sizes[(sizes > MIN_CAPACITY_MSAT) & (sizes < MAX_CAPACITY_MSAT)])
    assert abs(np.mean(inner) - np.median(inner)) < 0.15
    ppm = np.array([policy.fee_ppm for policy in policies])
    assert 0.07 < np.mean(ppm == 0) < 0.13
    assert np.percentile(ppm, 99) > 20 * np.median(ppm[ppm > 0])
    assert 0.4 < np.mean([policy.fee_base_msat == 0 for policy in policies]) < 0.5
    assert {policy.cltv_delta for policy in policies} == {18, 34, 40, 80, 144}
    assert 0.01 < np.mean([not policy.enabled for policy in policies]) < 0.03
    below = [p.htlc_max_msat < c.capacity_msat // 2 for c in channels for p in c.policies]
    assert 0.3 < np.mean(below) < 0.5
    assert all(p.htlc_max_msat < c.capacity_msat for c in channels for p in c.policies)
    now = made.clock.now()
    assert all(now - 15 * 86_400 < policy.timestamp <= now for policy in policies)


def test_names_do_not_come_again():
    names = [node_name(3, number) for number in range(10_000)]
    assert len(set(names)) == len(names)


# -- balances ------------------------------------------------------------------------------------------------


def test_uniform_balances_are_uniform():
    capacity = np.full(20_000, 10_000_000_000)
    share = draw_balances(capacity, Balances.UNIFORM, np.random.default_rng(1)) / capacity
    assert np.abs(np.histogram(share, 10, (0, 1))[0] / 2000 - 1).max() < 0.1


def test_bimodal_balances_follow_their_density():
    """Against the density itself, exp(-x/s) + exp((x-c)/s), for a channel of ten scales; symmetric."""
    size = 10 * BIMODAL_SCALE_MSAT
    capacity = np.full(40_000, size)
    drawn = draw_balances(capacity, "bimodal", np.random.default_rng(1))
    counted, edges = np.histogram(drawn, 20, (0, size))
    middle = (edges[:-1] + edges[1:]) / 2
    density = np.exp(-middle / BIMODAL_SCALE_MSAT) + np.exp((middle - size) / BIMODAL_SCALE_MSAT)
    expected = density / density.sum() * len(drawn)
    large = expected > 200
    assert np.abs(counted[large] / expected[large] - 1).max() < 0.12
    assert abs(drawn.mean() / size - 0.5) < 0.01
    assert np.mean((drawn > 0.3 * size) & (drawn < 0.7 * size)) < 0.06


def test_small_channels_are_nearly_uniform_even_so():
    """A tenth of the scale leaves no room for two modes; and nothing is drawn outside the channel."""
    capacity = np.full(20_000, BIMODAL_SCALE_MSAT // 10)
    share = draw_balances(capacity, "bimodal", np.random.default_rng(1)) / capacity
    assert np.abs(np.histogram(share, 5, (0, 1))[0] / 4000 - 1).max() < 0.1
    edge = draw_balances(np.array([0, 1, 2, MAX_CAPACITY_MSAT]), "bimodal", np.random.default_rng(1))
    assert (edge >= 0).all()
    assert (edge <= [0, 1, 2, MAX_CAPACITY_MSAT]).all()


def test_another_word_for_balances_is_refused():
    with pytest.raises(ValueError, match="trimodal"):
        draw_balances(np.array([1]), "trimodal", np.random.default_rng(1))


# -- stores --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", list(StoreVersion))
def test_a_world_goes_through_a_store(version):
    """What is announced comes back as it was: nodes, names, features, sizes, policies. Balances are drawn anew."""
    made = world(80)
    hidden = made.add_channel(*list(made.nodes)[:2], 10**9, announced=False)
    closed = list(made.channels.values())[3]
    made.close_channel(closed)
    stale = list(made.channels.values())[5]
    made.set_policy(stale, stale.nodes[0].id, replace(stale.policies[0], fee_ppm=9_999), gossip=False)
    unheard = list(made.channels.values())[7]
    unheard.gossiped[1] = None
    file = io.BytesIO()
    write_store(made, file, version)

    read = World(VirtualClock())
    nodes = read_store(read, file, seed=4)
    assert [peer.id for peer in nodes] == list(read.nodes)
    announced = {peer.id for peer in made.nodes.values() if set(peer.channels) - {hidden, closed}}
    assert set(read.nodes) == announced
    for peer in nodes:
        original = made.nodes[peer.id]
        assert (peer.name, peer.features, peer.has_secret) == (original.name, original.features, False)
    assert set(read.channels) == set(made.channels) - {hidden.scid, closed.scid}
    for scid, channel in read.channels.items():
        original = made.channels[scid]
        assert channel.capacity_msat == original.capacity_msat == sum(channel.balances_msat)
        assert channel.gossiped == original.gossiped
    assert read.channels[stale.scid].policies[0].fee_ppm != 9_999
    assert not read.channels[unheard.scid].policies[1].enabled
    again = World(VirtualClock())
    read_store(again, file.getvalue(), seed=4)
    assert picture(again) == picture(read)


def test_a_store_may_be_compressed(tmp_path):
    file = io.BytesIO()
    write_store(world(10), file)
    plain, packed = tmp_path / "gossip_store", tmp_path / "gossip_store.xz"
    plain.write_bytes(file.getvalue())
    packed.write_bytes(lzma.compress(file.getvalue()))
    for path in (plain, packed):
        with open_store(path) as store:
            assert store.read() == file.getvalue()


def test_a_store_is_kept_up():
    """A policy changes, a channel opens to a new node, another closes and is forgotten 72 blocks later."""
    made = world(20)
    file = io.BytesIO()
    writer = write_store(made, file)
    keep_up(made, writer)
    reader = GossipStore()
    reader.read(file)

    first, second, *_ = made.channels.values()
    made.set_policy(first, first.nodes[1].id, Policy(1, 2, 3, 4, 5))
    newcomer = made.add_node("newcomer")
    opened = made.add_channel(newcomer.id, first.nodes[0].id, 10**9)
    made.add_channel(newcomer.id, first.nodes[1].id, 10**9, announced=False)
    made.close_channel(second)
    made.close_channel(second)
    reader.read(file)
    graph = reader.graph
    assert graph.policy(ScidDir(first.scid, 1)) == first.policies[1]
    assert graph.policy(ScidDir(opened.scid, 0)) == opened.policies[0]
    assert graph.alias(newcomer.id) == "newcomer"
    assert len(made.channels) == graph.n_channels + 1
    dying = [message_type(message) for _, flags, message, _ in writer.records() if flags & Flag.DYING]
    assert dying == [MessageType.CHANNEL_ANNOUNCEMENT, MessageType.CHANNEL_UPDATE, MessageType.CHANNEL_UPDATE]

    made.mine(71)
    reader.read(file)
    assert graph.channel_number(second.scid) is not None
    made.mine(1)
    reader.read(file)
    assert graph.channel_number(second.scid) is None


def test_somebody_else_s_store_is_gone_on_with():
    """A store is read into a world, our node joins, and its channels are appended to the very same bytes."""
    file = io.BytesIO()
    write_store(world(30), file)
    length = len(file.getvalue())
    made = World(VirtualClock())
    read_store(made, file)
    writer = StoreWriter.resume(file, bytes(32))
    keep_up(made, writer)
    us = join(made, "us", 3)
    assert len(file.getvalue()) > length
    reader = GossipStore()
    reader.read(file)
    assert reader.graph.n_channels == len(made.channels)
    assert reader.graph.alias(us.id) == "us"


# -- ours ----------------------------------------------------------------------------------------------------


def test_we_join_where_many_meet():
    """Five channels to different nodes, all among the best connected fifteen; 60 % of each is ours."""
    made = world(500)
    degrees = sorted((len(peer.channels) for peer in made.nodes.values()), reverse=True)
    us = join(made, "us", 5, seed=3, n_unannounced=2)
    peers = {channel.peer_of(us.id) for channel in us.channels}
    assert len(peers) == 5
    assert min(len(peer.channels) for peer in peers) > degrees[20]
    assert [channel.balance_msat(us.id) for channel in us.channels] == [6_000_000_000] * 5
    assert [channel.announced for channel in us.channels] == [False, False, True, True, True]
    other = join(world(500), "us", 5, seed=3)
    assert {channel.peer_of(other.id).id for channel in other.channels} == {peer.id for peer in peers}


def test_nobody_joins_a_network_that_is_too_small():
    with pytest.raises(ValueError, match="4 channels to different nodes in a network of 3"):
        join(world(3), n_channels=4)
