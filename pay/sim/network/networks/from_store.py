"""Networks read from a gossip_store: what gossip tells is that network's, the balances are drawn."""

from __future__ import annotations

import io
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pay.network import ChannelGraph, GossipStore, Policy
from pay.sim.network.channel import DEFAULT_FEATURES, SimPeer
from pay.sim.network.networks.balances import Balances, Ints, draw_balances
from pay.sim.network.world import World
from pay.units import Scid


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
