"""Whole networks for the box: generated in any size, or read from a gossip_store, with balances drawn by chance.

What gossip tells – nodes, channels, sizes, policies – is generated after the public network of early 2026, or is
that network. What it does not tell, who owns how much of a channel, is drawn:

- uniform: every split of the channel is as likely as any other; what most literature and CLN assume.
- bimodal: most channels are used up on one side. The density of one side's balance x in a channel of size c is
  proportional to exp(-x/s) + exp((x-c)/s) with the scale s = 300,000 sat, the model and the default of lnd. Small
  channels (c < s) come out nearly uniform, large ones nearly empty on one side.

A generated network is scale-free (Barabási and Albert, Science 286, 1999; in the variant of Moshiri,
1806.10772, that mixes nodes that come with one channel and nodes that come with several): most nodes have one or
two channels, few have very many, on average about three a node, as on the public network. Sizes are log-normal;
fees have a heavy tail and many zeros. Not modelled: geography, services and their customers, balances that
depend on fees or on each other.
"""

from __future__ import annotations

import io
import lzma
import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import networkx as nx
import numpy as np
import numpy.typing as npt

from pay.network import ChannelGraph, GossipStore, Policy
from pay.sim.network.channel import DEFAULT_FEATURES, SimPeer
from pay.sim.network.node_names import node_name
from pay.sim.network.world import World
from pay.units import Scid

Ints = npt.NDArray[np.int64]

BIMODAL_SCALE_MSAT = 300_000_000
"""How fast the bimodal density falls from either end: 300,000 sat, lnd's default."""

MIN_CAPACITY_MSAT = 20_000_000
MAX_CAPACITY_MSAT = 1_000_000_000_000
"""20,000 sat, the least that most nodes open, to 10 bitcoin."""

_LN_CAPACITY_SAT = (14.0, 1.6)
"""Mean and deviation of the logarithm: a median of 1.2 million sat; one in seven above 6 million."""

_BASES_MSAT: Mapping[float, float] = {0: 0.45, 1000: 0.41, 1: 0.05, 100: 0.03, 500: 0.03, 2000: 0.02, 5000: 0.01}
_CLTV_BLOCKS: Mapping[float, float] = {80: 0.40, 40: 0.22, 144: 0.20, 34: 0.12, 18: 0.06}
_HTLC_MIN_MSAT: Mapping[float, float] = {1000: 0.80, 1: 0.15, 100_000: 0.03, 1_000_000: 0.02}
_HTLC_MAX_SHARE = {0.99: 0.60, 0.45: 0.25, 0.10: 0.15}
"""value -> share of directions, near those of the public network."""

_FREE_PPM, _ONE_PPM = 0.10, 0.20
_LN_PPM = (5.5, 1.5)
_MAX_PPM = 10_000
"""A tenth asks no proportional fee, a fifth 1 ppm; of the rest the median is 245, one in twenty above 2,900."""

_DISABLED = 0.02
_PARALLEL = 0.05
"""Share of directions that are disabled, and of channels that have another one beside them."""

_FEW, _MANY, _SHARE_FEW = 1, 6, 0.6
"""A newcomer opens one channel or, in two of five cases, six: three on average."""

_GOSSIP_AGE_S = 10 * 86_400
"""Policies are as old as this at most; nodes repeat them at least every fortnight (BOLT 7)."""


class Balances(StrEnum):
    """How the two sides of a channel share it."""

    UNIFORM = "uniform"
    BIMODAL = "bimodal"


def draw_balances(capacity_msat: Ints, balances: Balances | str, rng: np.random.Generator) -> Ints:
    """The balance of side 0 of every channel, int64[n] for int64[n] capacities, all in msat."""
    u = rng.random(len(capacity_msat))
    match Balances(balances):
        case Balances.UNIFORM:
            share = u
        case Balances.BIMODAL:
            # The inverse of the distribution function of an exponential cut off at c, from a random end.
            size = capacity_msat / BIMODAL_SCALE_MSAT
            near = -np.log1p(u * np.expm1(-size)) / np.maximum(size, 1e-12)
            share = np.where(rng.random(len(u)) < 0.5, near, 1.0 - near)
    result: Ints = np.clip((share * capacity_msat).astype(np.int64), 0, capacity_msat)
    return result


# -- generated -----------------------------------------------------------------------------------------------


def generate(
    world: World, n_nodes: int, seed: int = 0, balances: Balances | str = Balances.UNIFORM
) -> list[SimPeer]:
    """Adds a connected, scale-free network of `n_nodes` nodes to `world` and returns its nodes.

    The same for the same seeds (this one draws the network, the world's the keys).

    Raises
    ------
    ValueError
        For fewer than two nodes.
    """
    if n_nodes < 2:
        raise ValueError(f"a network of {n_nodes} nodes")
    rng = np.random.default_rng(seed)
    taken = len(world.nodes)
    nodes = [world.add_node(node_name(world.seed, taken + n)) for n in range(n_nodes)]
    edges = _edges(n_nodes, seed)
    again = [edge for edge, drawn in zip(edges, rng.random(len(edges)), strict=True) if drawn < _PARALLEL]
    edges += again
    capacity = _capacities(len(edges), rng)
    side_0 = draw_balances(capacity, balances, rng)
    policies = [_policies(world, capacity, rng) for _ in range(2)]
    for at, (a, b) in enumerate(edges):
        world.add_channel(
            nodes[a].id, nodes[b].id, int(capacity[at]), int(side_0[at]),
            policy_ab=policies[0][at], policy_ba=policies[1][at],
        )  # fmt: skip
    return nodes


def _edges(n_nodes: int, seed: int) -> list[tuple[int, int]]:
    many = min(_MANY, n_nodes - 1)
    if many <= _FEW:
        return [(0, 1)]
    graph = nx.dual_barabasi_albert_graph(n_nodes, _FEW, many, _SHARE_FEW, seed=seed)
    return sorted((min(edge), max(edge)) for edge in graph.edges)


def _capacities(n: int, rng: np.random.Generator) -> Ints:
    """Whole satoshi, in msat."""
    sat = np.exp(rng.normal(*_LN_CAPACITY_SAT, n))
    msat: Ints = np.clip(sat.astype(np.int64) * 1000, MIN_CAPACITY_MSAT, MAX_CAPACITY_MSAT)
    return msat


def _policies(world: World, capacity: Ints, rng: np.random.Generator) -> list[Policy]:
    """One policy for each channel of these sizes."""
    n = len(capacity)
    kind = rng.random(n)
    ppm = np.clip(np.exp(rng.normal(*_LN_PPM, n)).astype(np.int64), 1, _MAX_PPM)
    ppm[kind < _FREE_PPM + _ONE_PPM] = 1
    ppm[kind < _FREE_PPM] = 0
    htlc_min = _pick(_HTLC_MIN_MSAT, n, rng).astype(np.int64)
    htlc_max = (capacity * _pick(_HTLC_MAX_SHARE, n, rng)).astype(np.int64) // 1000 * 1000
    age_s = rng.integers(0, _GOSSIP_AGE_S, n)
    columns = (
        _pick(_BASES_MSAT, n, rng).astype(np.int64), ppm, _pick(_CLTV_BLOCKS, n, rng).astype(np.int64), htlc_min,
        htlc_max, rng.random(n) >= _DISABLED, np.maximum(1, int(world.clock.now()) - age_s),
    )  # fmt: skip
    return [Policy(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _pick(shares: Mapping[float, float], n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    values = np.array(list(shares), np.float64)
    weights = np.array(list(shares.values()))
    return rng.choice(values, n, p=weights / weights.sum())


# -- read ----------------------------------------------------------------------------------------------------


def open_store(path: Path) -> BinaryIO:
    """The gossip_store at `path`, which may be compressed by xz; to be closed by the caller.

    Raises
    ------
    OSError, lzma.LZMAError
        If it cannot be read or unpacked.
    """
    with path.open("rb") as file:
        if file.read(6) == b"\xfd7zXZ\0":
            return io.BytesIO(lzma.decompress(path.read_bytes()))
    return path.open("rb")


def read_store(
    world: World, store: BinaryIO | bytes, seed: int = 0, balances: Balances | str = Balances.UNIFORM
) -> list[SimPeer]:
    """Adds the network of a gossip_store to `world` and returns its nodes.

    The nodes' keys are not known; a node without a name is called by the beginning of its id. A direction of
    which nothing is known is disabled, and gossip tells nothing of it. Channels without a known size or that
    are there already are left out.

    Raises
    ------
    GossipStoreError
        If it cannot be read.
    """
    reader = GossipStore()
    reader.read(io.BytesIO(store) if isinstance(store, bytes) else store)
    graph = reader.graph
    first = set(world.nodes)
    for number in range(graph.n_nodes):
        node = graph.node_id(number)
        if node not in first:
            features = graph.features(node)
            world.add_node(
                graph.alias(node) or node.hex()[:10],
                node_id=node,
                features=DEFAULT_FEATURES if features is None else features,
            )
    _add_channels(world, graph, draw_balances(graph.capacity_msat[::2], balances, np.random.default_rng(seed)))
    return [peer for node, peer in world.nodes.items() if node not in first]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Columns of the graph as Python lists, which are quicker to walk."""

    policies: list[Policy]
    known: list[bool]


def _add_channels(world: World, graph: ChannelGraph, balance_0: Ints) -> None:
    rows = _rows(graph)
    ids = [graph.node_id(number) for number in range(graph.n_nodes)]
    channels = zip(
        graph.scids.tolist(), graph.source[::2].tolist(), graph.target[::2].tolist(),
        graph.capacity_msat[::2].tolist(), graph.capacity_known.tolist(), balance_0.tolist(), strict=True,
    )  # fmt: skip
    for number, (scid, a, b, capacity, sized, balance) in enumerate(channels):
        # A closed channel keeps its row and cannot be found any more.
        if not sized or scid in world.channels or graph.channel_number(scid) != number:
            continue
        channel = world.add_channel(
            ids[a], ids[b], capacity, balance, scid=Scid(scid),
            policy_ab=rows.policies[2 * number], policy_ba=rows.policies[2 * number + 1],
        )  # fmt: skip
        for direction in (0, 1):
            if not rows.known[2 * number + direction]:
                channel.gossiped[direction] = None


def _rows(graph: ChannelGraph) -> _Rows:
    columns = (
        graph.fee_base_msat, graph.fee_ppm, graph.cltv_delta, graph.htlc_min_msat, graph.htlc_max_msat,
        graph.enabled, np.maximum(graph.timestamp, 0),
    )  # fmt: skip
    # Equal policies are one object: the public network has half as many different ones as directions.
    distinct: dict[Policy, Policy] = {}
    policies = []
    for row in zip(*(column.tolist() for column in columns), strict=True):
        policy = Policy(*row)
        policies.append(distinct.setdefault(policy, policy))
    return _Rows(policies, (graph.timestamp >= 0).tolist())


# -- ours ----------------------------------------------------------------------------------------------------


def join(
    world: World,
    name: str = "us",
    n_channels: int = 5,
    *,
    seed: int = 0,
    capacity_msat: int = 10_000_000_000,
    our_share: float = 0.6,
    n_unannounced: int = 0,
) -> SimPeer:
    """Adds a node with channels to well-connected ones, as a user of the network would, and returns it.

    Parameters
    ----------
    n_channels
        Each to another node, drawn from the fiftieth of the network that forwards over the most channels (or
        from three times as many as needed, if that is more).
    capacity_msat
        Of each channel: 10 million sat unless given.
    our_share
        Of each channel's capacity, at the start.
    n_unannounced
        How many of the channels are not announced.

    Raises
    ------
    ValueError
        If the network has fewer nodes than that.
    """
    degree = {node: _usable_channels(peer) for node, peer in world.nodes.items()}
    if len(degree) < n_channels:
        raise ValueError(f"{n_channels} channels to different nodes in a network of {len(degree)}")
    best = sorted(degree, key=lambda node: (-degree[node], node))
    peers = random.Random(seed).sample(best[: max(3 * n_channels, len(best) // 50)], n_channels)
    us = world.add_node(name)
    for number, peer in enumerate(peers):
        ours_msat = int(capacity_msat * our_share)
        world.add_channel(us.id, peer, capacity_msat, ours_msat, announced=number >= n_unannounced)
    return us



def _usable_channels(peer: SimPeer) -> int:
    """Over how many of its channels a node forwards."""
    return sum(channel.policies[channel.side(peer.id)].enabled for channel in peer.channels)
