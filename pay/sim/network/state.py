"""What is true of a simulated network: its nodes, channels and invoices, its height, and the clock it runs on.

Nothing happens here. HTLCs move through it (`flight`), nodes judge them by it (`forwarding`, `recipient`), and the
`World` drives it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import count

from pay.sim.network.channel import SimChannel, SimPeer
from pay.sim.network.channel_names import ChannelNames
from pay.sim.network.clock import Clock
from pay.sim.network.encoding import keys
from pay.sim.network.encoding.failures import CHAIN_HASHES, Updates
from pay.sim.network.invoices import SimInvoice
from pay.units import NodeId, Scid


class NetworkState:
    """One network. The parameters are those of `World`.

    Attributes
    ----------
    nodes, channels, invoices
        By node id, real short_channel_id, payment_hash.
    names
        Finds channels by the names that their ends give them.
    gossip_listeners
        Called with an announced channel and the direction whose policy is new, None if it was opened or closed.
    """

    def __init__(
        self,
        clock: Clock,
        seed: int,
        chain: str,
        height: int,
        latency_s: float,
        jitter: float,
        non_strict: bool,
        mpp_timeout_s: float,
    ):
        if chain not in CHAIN_HASHES:
            raise ValueError(f"unknown chain {chain!r}: one of {', '.join(CHAIN_HASHES)}")
        self.clock = clock
        self.seed = seed
        self.chain = chain
        self.height = height
        self.latency_s = latency_s
        self.jitter = jitter
        self.non_strict = non_strict
        self.mpp_timeout_s = mpp_timeout_s
        self.nodes: dict[NodeId, SimPeer] = {}
        self.channels: dict[Scid, SimChannel] = {}
        self.invoices: dict[bytes, SimInvoice] = {}
        self.names = ChannelNames(self.channels, seed)
        self.gossip_listeners: list[Callable[[SimChannel, int | None], None]] = []
        self._updates = Updates(chain)
        self._rng = random.Random(seed)
        self._noise_ids = count(1)

    def height_of(self, peer: SimPeer) -> int:
        """The height that this node believes in."""
        return self.height + peer.extra_height

    def find_channel(self, scid: Scid, start: NodeId, *, own: bool = False) -> SimChannel | None:
        """The channel that `start` knows by this scid or alias.

        An unannounced one goes by its real scid only where `own`: in a route that `start` itself begins.
        """
        return self.names.find(scid, start, own)

    def parallel(self, channel: SimChannel) -> Sequence[SimChannel]:
        """All channels between the same two nodes, this one included."""
        return self.names.parallel(channel)

    def close_channel(self, channel: SimChannel) -> None:
        """No HTLC can be added any more; those inside are answered still."""
        channel.closed = True
        self.tell(channel, None)

    def tell(self, channel: SimChannel, direction: int | None) -> None:
        """Gossip, of what is announced; see `gossip_listeners`."""
        if channel.announced:
            for listener in self.gossip_listeners:
                listener(channel, direction)

    def channel_update(self, channel: SimChannel, direction: int, scid: Scid | None = None) -> bytes:
        """The channel_update (138 bytes, with its type) of the true policy, signed if the node's key is known."""
        node = channel.nodes[direction]
        secret = node.secret if node.has_secret else None
        named = channel.scid if scid is None else scid
        return self._updates.get(named, direction, channel.policies[direction], secret, channel.announced)

    def jittered(self, delay_s: float) -> float:
        """A latency with its share of chance."""
        return delay_s * (1.0 + self.jitter * self._rng.random()) if self.jitter else delay_s

    def noise(self, length: int) -> bytes:
        """Bytes that mean nothing, other ones each time."""
        number, blocks = next(self._noise_ids), -(-length // 32)
        return b"".join(keys.derive(self.seed, "noise", number, n) for n in range(blocks))[:length]
