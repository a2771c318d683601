"""What the benches of graph and planner measure on: a gossip_store, its graph, a world on it, and we in it.

The store is the public network's as it was recorded, or a generated one of the same size. Who owns how much of a
channel is drawn with a fixed seed. Built once a run and shared.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pay.liquidity.knowledge import Knowledge
from pay.liquidity.prior import DEFAULT_PRIOR
from pay.network import ChannelGraph, GossipStore
from pay.payment.route_query import route_query
from pay.payment.terms import Limits, Terms
from pay.routing import Preferences, RouteQuery
from pay.sim.network import networks
from pay.sim.network.channel import SimPeer
from pay.sim.network.clock import VirtualClock
from pay.sim.network.world import World
from pay.sim.network.world_store import write_store
from pay.units import NodeId, Scid
from tests.support.networks import PLAIN
from tests.support.values import varied

SAT = 1_000
USUAL = Preferences()
"""As the options come."""

GENERATED_NODES = 17_000
"""About as many as the public network announces."""

SMALL_CHANNELS = 5
LARGE_CHANNELS = 100
"""Of the two nodes that pay: a user's, and a service's."""

KNOWN_CHANNELS = 500
"""Of which something is believed, where a plan is made with memory."""


@dataclass
class Setting:
    """One network.

    Parameters
    ----------
    network
        A gossip_store, packed or not; None for a generated one.
    directory
        For the unpacked store.
    nodes
        Of a generated network.
    quick
        Few samples of everything: whether it works and of which order it is, no figures to keep.
    """

    network: Path | None
    directory: Path
    nodes: int = GENERATED_NODES
    quick: bool = False
    _worlds: dict[str, World] = field(default_factory=dict)

    def few(self, full: int, quick: int) -> int:
        """So many samples."""
        return quick if self.quick else full

    @cached_property
    def store(self) -> Path:
        """The gossip_store on disk, not packed."""
        path = self.directory / f"gossip_store_{self.nodes}"
        with path.open("w+b") as file:
            if self.network is None:
                world = World(VirtualClock(), seed=1, chain="bitcoin")
                networks.generate(world, self.nodes, seed=1)
                write_store(world, file)
            else:
                with networks.open_store(self.network) as packed:
                    shutil.copyfileobj(packed, file, 1 << 20)
        return path

    @cached_property
    def graph(self) -> ChannelGraph:
        return read_graph(self.store)

    def world(self, balances: str = "uniform", seed: int = 1) -> World:
        """The network with balances, and two nodes of ours in it: `small` and `large`."""
        name = f"{balances} {seed}"
        if name not in self._worlds:
            world = World(VirtualClock(), seed=seed, chain="bitcoin", latency_s=0.0)
            with self.store.open("rb") as file:
                networks.read_store(world, file, seed=seed, balances=balances)
            networks.join(world, "large", LARGE_CHANNELS, seed=seed)
            networks.join(world, "small", SMALL_CHANNELS, seed=seed)
            self._worlds[name] = world
        return self._worlds[name]

    def payees(self, count: int, amount_msat: int, seed: int = 1) -> list[NodeId]:
        """Nodes that such an amount may be sent to, drawn without favour.

        They have three open channels or more, which together take it, for all that gossip tells.
        """
        graph = self.graph
        into = graph.target[graph.enabled]
        most = np.minimum(graph.htlc_max_msat, graph.capacity_msat)[graph.enabled]
        channels = np.bincount(into, minlength=graph.n_nodes)
        able = np.flatnonzero((channels >= 3) & (np.bincount(into, most, graph.n_nodes) >= amount_msat)).tolist()
        return [graph.node_id(number) for number in random.Random(seed).sample(able, min(count, len(able)))]


def ours(world: World, name: str = "small") -> SimPeer:
    """Our node of this name."""
    return next(peer for peer in reversed(world.nodes.values()) if peer.name == name)


def read_graph(path: Path) -> ChannelGraph:
    store = GossipStore()
    with path.open("rb", buffering=0) as file:
        store.read(file)
    store.graph.by_target()
    return store.graph


def remembered(graph: ChannelGraph, channels: int = KNOWN_CHANNELS, seed: int = 1) -> Knowledge:
    """What some hundreds of payments leave behind: bounds on channels of large nodes, half of them from above."""
    degree = np.bincount(graph.target, minlength=graph.n_nodes)
    between = np.minimum(degree[graph.source[::2]], degree[graph.target[::2]])
    largest = np.argsort(between, kind="stable")[::-1][: 4 * channels].tolist()
    draw, known = random.Random(seed), dict[Scid, tuple[int, int, int]]()
    for channel in draw.sample(largest, min(channels, len(largest))):
        size = int(graph.capacity_msat[2 * channel])
        bound = draw.randrange(size + 1)
        known[Scid(int(graph.scids[channel]))] = (size, 0, bound) if draw.random() < 0.5 else (size, bound, size)
    return Knowledge.about(known, prior=DEFAULT_PRIOR)


def default_query(us: NodeId, payee: NodeId, amount_msat: int, seed: int) -> RouteQuery:
    """The first question of a payment with all options as they come, but for the fee: as in `query`."""
    terms = Terms(
        payment_hash=bytes(32), groupid=1, source=us, destination=payee, amount_msat=amount_msat,
        total_msat=amount_msat, final_cltv=18,
        limits=Limits(max(5_000, amount_msat // 20), "", max_delay_blocks=2016, deadline_s=0.0),
        preferences=replace(USUAL, seed=seed), expires_at_s=0.0, created_at_s=0.0,
    )  # fmt: skip
    return route_query(terms, amount_msat, 0, 0, 0)


def query(us: NodeId, payee: NodeId, amount_msat: int, **changes: object) -> RouteQuery:
    """A question for parts of any size at prices that are the same for every amount, and nothing drawn.

    The fee may be 5 %, so that there is an answer. `changes` are of the preferences as well.
    """
    plain = RouteQuery(us, payee, amount_msat, 18, max(5_000, amount_msat // 20), 2016, preferences=PLAIN)
    return varied(plain, **changes)
