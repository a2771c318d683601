"""Worlds for a person to play with: a network, generated or read, and a node of one's own in the midst of it.

The node has a handful of channels to well-connected nodes, most of the money on its own side, and one of them is
not announced.
"""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

from pay.network import Policy
from pay.sim.network.channel import SimPeer, default_policy
from pay.sim.network.clock import Clock
from pay.sim.network.networks import Balances, generate, open_store, read_store
from pay.sim.network.world import World
from pay.units import NodeId

OWN_CHANNELS = 6
OWN_CAPACITY_MSAT = 20_000_000_000
"""0.2 bitcoin a channel: enough that our own channels are seldom what stands in the way."""

OWN_SHARE = 0.8
_MIN_PEER_CHANNELS = 3


def make_world(
    clock: Clock,
    *,
    nodes: int = 500,
    network: Path | None = None,
    seed: int = 1,
    balances: Balances | str = Balances.UNIFORM,
    latency_s: float = 0.02,
) -> tuple[World, NodeId]:
    """A world and our node in it.

    Parameters
    ----------
    nodes
        Size of the network, where it is generated.
    network
        A gossip_store, plain or xz, to be read instead: a mainnet then, with invoices of mainnet.
    seed
        Of everything drawn: the same world for the same seed.

    Raises
    ------
    OSError, GossipStoreError
        If `network` cannot be read.
    ValueError
        If there are no nodes in it.
    """
    chain = "regtest" if network is None else "bitcoin"
    world = World(clock, seed, chain, height=1000 if network is None else 900_000, latency_s=latency_s)
    if network is None:
        generate(world, nodes, seed, balances)
    else:
        with closing(open_store(network)) as store:
            read_store(world, store, seed, balances)
    if not world.channels:
        raise ValueError(f"{network} has no channels")
    return world, _join(world, seed).id


def _join(world: World, seed: int = 1, name: str = "box") -> SimPeer:
    """Adds our node with its channels to a world that has nodes."""
    rng = random.Random(seed)
    peers = [peer for peer in world.nodes.values() if len(peer.channels) >= _MIN_PEER_CHANNELS]
    peers = sorted(peers or world.nodes.values(), key=lambda peer: peer.id)
    us = world.add_node(name)
    chosen = _weighted(peers, min(OWN_CHANNELS, len(peers)), rng)
    policy = default_policy(OWN_CAPACITY_MSAT)
    for number, peer in enumerate(chosen):
        world.add_channel(
            us.id, peer.id, OWN_CAPACITY_MSAT, int(OWN_CAPACITY_MSAT * OWN_SHARE),
            policy_ab=_now(policy, world), policy_ba=_now(policy, world), announced=number != 1,
        )  # fmt: skip
    return us


def _now(policy: Policy, world: World) -> Policy:
    return Policy(
        policy.fee_base_msat, policy.fee_ppm, policy.cltv_delta, policy.htlc_min_msat, policy.htlc_max_msat,
        timestamp=int(world.clock.now()),
    )  # fmt: skip


def _weighted(peers: list[SimPeer], count: int, rng: random.Random) -> list[SimPeer]:
    """Some of them, well-connected ones more likely, none twice."""
    chosen: list[SimPeer] = []
    while len(chosen) < count:
        peer = rng.choices(peers, [len(p.channels) for p in peers])[0]
        if peer not in chosen:
            chosen.append(peer)
    return chosen
