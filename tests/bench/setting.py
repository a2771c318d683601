"""What the benches of graph and planner measure on: a gossip_store, its graph, a world on it, and we in it.

The store is the public network's as it was recorded, or a generated one of the same size. Who owns how much of a
channel is drawn with a fixed seed. Built once a run and shared.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from pay.network import ChannelGraph, GossipStore
from pay.routing import RouteQuery
from pay.sim import networks
from pay.sim.channel import SimPeer
from pay.sim.clock import VirtualClock
from pay.sim.world import World
from pay.sim.world_store import write_store
from pay.units import NodeId

SAT = 1_000
GENERATED_NODES = 17_000
"""About as many as the public network announces."""

SMALL_CHANNELS = 5
LARGE_CHANNELS = 100
"""Of the two nodes that pay: a user's, and a service's."""


@dataclass
class Setting:
    """One network.

    Parameters
    ----------
    network
        A gossip_store, packed or not; None for a generated one.
    directory
        For the unpacked store.
    """

    network: Path | None
    directory: Path
    nodes: int = GENERATED_NODES
    _worlds: dict[str, World] = field(default_factory=dict)

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


def query(us: NodeId, payee: NodeId, amount_msat: int, **changes: object) -> RouteQuery:
    """The question that `pay` asks with its defaults, but for the fee: 5 % at most, so that there is an answer."""
    fields: dict[str, object] = {
        "final_cltv": 18, "max_fee_msat": max(5_000, amount_msat // 20), "max_delay": 2016, **changes,
    }  # fmt: skip
    return RouteQuery(us, payee, amount_msat, **fields)  # type: ignore[arg-type]
