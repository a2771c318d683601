"""What is believed of the network at one moment, as a planner reads it: columns, and nothing that changes.

Bounds are already relaxed by their age. A channel has two of them for each direction, on what that side could
forward before what we hold there counts as gone. They are not simply each other's complement: both sides of a
channel together can spend the capacity less reserves and commitment fees, so what one side was seen to lack the
other has only in part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pay.liquidity.prior import UNIFORM, Ints, Prior
from pay.units import NodeId, Scid, ScidDir


class NodeCost(NamedTuple):
    """What experience with a node adds to every arc that leads INTO it.

    Parameters
    ----------
    nats
        For a node that was offline or unreliable lately.
    seconds
        That an HTLC through it took more of late than through a usual node; 0 where nothing is known.
    refusals
        How often it refused to forward lately; halved by each HTLC that it forwards.
    """

    nats: float
    seconds: float
    refusals: float = 0.0


class Bounds(NamedTuple):
    """Of one direction, msat: what its side could forward is `low` to `high`, of a channel of `capacity`."""

    low_msat: int
    high_msat: int
    capacity_msat: int


@dataclass(frozen=True, slots=True)
class Knowledge:
    """A read-only view.

    Parameters
    ----------
    scid
        uint64[k], ascending: the channels of which something is believed.
    low_msat, high_msat
        int64[2, k]: row d bounds what the side of direction d could forward; `0 <= low <= high <= capacity`.
    capacity_msat
        int64[k].
    nodes
        Experience with nodes; most have none.
    prior
        What is believed of all other balances, and within the bounds.
    """

    scid: NDArray[np.uint64]
    low_msat: Ints
    high_msat: Ints
    capacity_msat: Ints
    nodes: Mapping[NodeId, NodeCost] = field(default_factory=dict)
    prior: Prior = UNIFORM

    @classmethod
    def about(
        cls,
        channels: Mapping[Scid, tuple[int, int, int]],
        nodes: Mapping[NodeId, NodeCost] | None = None,
        prior: Prior = UNIFORM,
    ) -> Knowledge:
        """Of (capacity, low, high) of direction 0 of some channels, direction 1 as if there were no reserves."""
        scids = sorted(channels)
        table = np.array([channels[scid] for scid in scids], np.int64).reshape(-1, 3)
        capacity, low, high = table.T
        lows, highs = np.stack([low, capacity - high]), np.stack([high, capacity - low])
        return cls(np.array(scids, np.uint64), lows, highs, capacity, nodes or {}, prior)

    def __len__(self) -> int:
        """How many channels something is believed of."""
        return len(self.scid)

    def of(self, channel: ScidDir) -> Bounds | None:
        """What is believed of one direction; None if nothing is."""
        at = int(np.searchsorted(self.scid, np.uint64(channel.scid)))
        if at == len(self.scid) or int(self.scid[at]) != channel.scid:
            return None
        side = channel.direction
        return Bounds(int(self.low_msat[side, at]), int(self.high_msat[side, at]), int(self.capacity_msat[at]))


NOTHING_KNOWN = Knowledge.about({})
"""With the uniform prior."""
