"""Our own node as the simulated network knows it."""

from __future__ import annotations

from dataclasses import dataclass

from pay.sim.network.channel import SimChannel, SimPeer
from pay.sim.network.world import World
from pay.units import NodeId


@dataclass(frozen=True, slots=True)
class OwnNode:
    """The node of `world` that this lightningd runs."""

    world: World
    id: NodeId

    @property
    def peer(self) -> SimPeer:
        """What the network has of it."""
        return self.world.nodes[self.id]

    @property
    def height(self) -> int:
        """Blocks that we have seen."""
        return self.world.state.height_of(self.peer)

    @property
    def channels(self) -> list[SimChannel]:
        return self.peer.channels
