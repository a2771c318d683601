"""Networks generated in any size, after the public network of early 2026, and the names of their nodes.

A generated network is scale-free (Barabási and Albert, Science 286, 1999; in the variant of Moshiri,
1806.10772, that mixes nodes that come with one channel and nodes that come with several): most nodes have one or
two channels, few have very many, on average about three a node, as on the public network. Sizes are log-normal;
fees have a heavy tail and many zeros. Not modelled: geography, services and their customers, balances that
depend on fees or on each other.
"""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx
import numpy as np
import numpy.typing as npt

from pay.network import Policy
from pay.sim.network.channel import SimPeer
from pay.sim.network.networks.balances import Balances, Ints, draw_balances
from pay.sim.network.world import World

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

_ADJECTIVES = """
amber autumn bold brave bright calm clever copper crimson dusty early fair gentle golden green happy icy
ivory jolly keen kind late lively lucky merry misty noble olive patient proud quick quiet rapid rusty
scarlet silent silver sleepy solar steady sunny swift tidy velvet violet warm wild wise
"""
_NOUNS = """
acorn badger beacon beaver birch bison brook canyon castle cedar cobra comet coral crane delta dolphin eagle
ember falcon fern finch fjord forest fox glacier harbor hawk heron island jackal kestrel lagoon lantern lark
lynx maple meadow meteor otter owl panda pebble pine puma quartz raven river robin salmon sparrow spruce
summit thistle tiger tulip walrus willow wolf
"""
_FIRST, _SECOND = (tuple(words.split()) for words in (_ADJECTIVES, _NOUNS))

_STRIDE = 1_009
"""A prime that divides neither list's length: all pairs come before one comes again, in no order that shows."""


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


def node_name(seed: int, number: int) -> str:
    """The name of the `number`-th node of a network; different for different numbers."""
    pairs = len(_FIRST) * len(_SECOND)
    pair = (number * _STRIDE + seed * 7_919) % pairs
    name = f"{_FIRST[pair % len(_FIRST)]}-{_SECOND[pair // len(_FIRST)]}"
    return name if number < pairs else f"{name}-{number // pairs + 1}"
