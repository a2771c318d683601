"""A node of one's own in the midst of a network."""

from __future__ import annotations

import random

from pay.sim.network.channel import SimPeer
from pay.sim.network.world import World


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
