"""What outlives the node's process: HTLCs that its peers know of, and their outcomes until somebody asks.

A node that dies leaves its HTLCs in the network. When it is back its peers tell it what became of them; until then
the outcome is kept here. There is one wire for each node of a world, whoever runs the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from pay.sim.network.htlc import FinalPayload, HtlcOutcome, WireHop
from pay.sim.network.world import World
from pay.units import NodeId

PartKey = tuple[bytes, int, int]
"""(payment_hash, groupid, partid): which row of the payments table an HTLC belongs to."""


class Wire:
    """The HTLCs that one node has offered."""

    def __init__(self, world: World, us: NodeId):
        self._world = world
        self._us = us
        self._listener: Callable[[PartKey, HtlcOutcome], None] | None = None
        self._kept: list[tuple[PartKey, HtlcOutcome]] = []
        self.pending: set[PartKey] = set()
        """HTLCs that exist and have no outcome yet."""

    def offer(self, key: PartKey, hops: Sequence[WireHop], final: FinalPayload) -> None:
        """Put an HTLC into the network. Raises LocalFailure."""
        self._world.send(self._us, hops, key[0], final, lambda outcome: self._done(key, outcome))
        self.pending.add(key)

    def attach(self, listener: Callable[[PartKey, HtlcOutcome], None]) -> None:
        """The node runs: it hears what it missed, then everything as it happens."""
        self._listener = listener
        kept, self._kept = self._kept, []
        for key, outcome in kept:
            self._done(key, outcome)

    def detach(self) -> None:
        """The node is gone."""
        self._listener = None

    def _done(self, key: PartKey, outcome: HtlcOutcome) -> None:
        if self._listener is None:
            self._kept.append((key, outcome))
        else:
            self.pending.discard(key)
            self._listener(key, outcome)


_WIRES: WeakKeyDictionary[World, dict[NodeId, Wire]] = WeakKeyDictionary()


def wire_of(world: World, us: NodeId) -> Wire:
    """The wire of a node, the same one for every process that is this node."""
    wires = _WIRES.setdefault(world, {})
    if us not in wires:
        wires[us] = Wire(world, us)
    return wires[us]
