"""Nodes and channels of the simulated network, with what is true of them.

A channel has two balances, one a side, and an HTLC belongs to neither while it is on its way: offered, it leaves
the balance of the side that offers; settled, it joins the other; failed, it returns. So HTLCs that are out
at the same time compete, and the two balances and all HTLCs always add up to the capacity.

What gossip says of a direction may differ from what its node asks: `policies` is the truth, `gossiped` what others
were told. Commitment fees, dust and anchors are not modelled; the reserve is (BOLT 2, 1 % of the capacity).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from pay.network import HintHop, Policy, RouteHint
from pay.sim.network.faults import Faults
from pay.units import NodeId, Scid

MAX_HTLCS = 483
"""HTLCs one side accepts at a time, the most that BOLT 2 allows; lightningd sets 483 as well."""

RESERVE_PPM = 10_000
"""Share of the capacity that a side must keep: 1 %, as BOLT 2 recommends and lightningd asks."""

DEFAULT_FEATURES = 1 << 9 | 1 << 13 | 1 << 14 | 1 << 17
"""Features a node advertises: var_onion, static_remotekey, payment_secret (required), basic_mpp (BOLT 9)."""

KNOWN_FEATURES = (1 << 64) - 1
"""Feature bits that every sender is taken to satisfy; an even bit above is one that it lacks."""


NO_ALIASES = (Scid(0), Scid(0))


def default_policy(capacity_msat: int) -> Policy:
    """What lightningd asks on mainnet unless told otherwise: 1 msat + 10 ppm, 34 blocks, all but the reserve."""
    return Policy(
        fee_base_msat=1, fee_ppm=10, cltv_delta=34, htlc_min_msat=0, htlc_max_msat=capacity_msat * 99 // 100
    )


def lacks_required_feature(features: int) -> bool:
    """Whether `features` has an even bit that senders do not know (BOLT 9: even means required)."""
    unknown = features >> KNOWN_FEATURES.bit_length()
    return bool(unknown & _EVEN) if unknown else False


_EVEN = int("01" * 512, 2)


class Refusal(Enum):
    """Why a side cannot add an HTLC to its channel now."""

    CLOSED = auto()
    DISCONNECTED = auto()
    CAPACITY = auto()
    TOO_MANY_HTLCS = auto()
    BELOW_MINIMUM = auto()


@dataclass(frozen=True, slots=True)
class ChannelHtlc:
    """An HTLC as one channel knows it; `direction` is the one it goes in."""

    htlc_id: int
    direction: int
    amount_msat: int
    cltv_expiry: int
    payment_hash: bytes


class SimPeer:
    """A node: its key, its channels, and how it behaves.

    Attributes
    ----------
    id, name, features
        As gossip tells them; `name` is the alias. `features` is a bit set (bit n is 1 << n).
    latency_s
        Seconds it takes to deal with an HTLC, on top of the channel's own.
    extra_height
        Blocks it is ahead of the world.
    faults
        How it misbehaves, None if it does not; to be set with `World.set_faults`.
    parked
        What it sits on, by HTLC.
    """

    __slots__ = ("_secret", "channels", "extra_height", "faults", "features", "id", "latency_s", "name", "parked")

    def __init__(self, node_id: NodeId, name: str, features: int, latency_s: float, secret: bytes | None):
        self.id = node_id
        self.name = name
        self.features = features
        self.latency_s = latency_s
        self.extra_height = 0
        self.faults: Faults | None = None
        self.channels: list[SimChannel] = []
        self.parked: dict[int, Callable[[], None]] = {}
        self._secret = secret

    @property
    def secret(self) -> bytes:
        """The private key (32 bytes). Raises ValueError for a node that was added by its id alone."""
        if self._secret is None:
            raise ValueError(f"the key of node {self.id.hex()} is not known: it was added by its id")
        return self._secret

    @property
    def has_secret(self) -> bool:
        return self._secret is not None

    @property
    def online(self) -> bool:
        return self.faults is None or not self.faults.offline

    def __repr__(self) -> str:
        return f"SimPeer({self.name}, {self.id.hex()[:8]}…)"


class SimChannel:
    """A channel with two balances.

    Direction and side are the same number: 0 belongs to the lesser node id (BOLT 7).

    Attributes
    ----------
    scid
        The real short_channel_id, also of an unannounced channel (which nobody but its two ends may name).
    nodes, balances_msat, reserves_msat, htlc_limits, live_htlcs
        Pairs, one entry a side. `htlc_limits[d]` is how many HTLCs the node at the end of direction d accepts
        (BOLT 2, max_accepted_htlcs), `live_htlcs[d]` how many are out. A balance counts what the side could spend
        but for its reserve.
    shared_slots
        Whether HTLCs of the other direction take slots as well, as an implementation may count them that looks at
        the whole commitment transaction. lightningd does not (channeld/full_channel.c, since v23.11 at least).
    policies, gossiped
        Pairs, one entry a direction: what is asked, and what gossip says is asked (None: nothing yet).
    aliases
        Pair; `aliases[d]` is what the node at the start of direction d accepts as a name of this channel.
        What lightningd calls the alias `local` of that node. (0, 0) for announced channels.
    faults
        Pair, one entry a direction; None where it behaves.
    htlcs
        What is on its way, by (HTLC, hop of its route).
    """

    __slots__ = (
        "aliases", "announced", "balances_msat", "capacity_msat", "closed", "faults", "features", "gossiped",
        "htlc_limits", "htlcs", "latency_s", "live_htlcs", "nodes", "policies", "reserves_msat", "scid",
        "shared_slots",
    )  # fmt: skip

    def __init__(
        self,
        scid: Scid,
        nodes: tuple[SimPeer, SimPeer],
        capacity_msat: int,
        balance_0_msat: int,
        policies: tuple[Policy, Policy],
        announced: bool,
        aliases: tuple[Scid, Scid],
        latency_s: float,
    ):
        self.scid = scid
        self.nodes = nodes
        self.capacity_msat = capacity_msat
        self.balances_msat = [balance_0_msat, capacity_msat - balance_0_msat]
        reserve = capacity_msat * RESERVE_PPM // 1_000_000
        self.reserves_msat = [reserve, reserve]
        self.policies = list(policies)
        self.gossiped: list[Policy | None] = list(policies)
        self.announced = announced
        self.aliases = aliases
        self.latency_s = latency_s
        self.htlc_limits = [MAX_HTLCS, MAX_HTLCS]
        self.live_htlcs = [0, 0]
        self.shared_slots = False
        self.htlcs: dict[tuple[int, int], ChannelHtlc] = {}
        self.faults: list[Faults | None] = [None, None]
        self.features = 0
        self.closed = False

    def __repr__(self) -> str:
        return f"SimChannel({self.scid >> 40}x{self.scid >> 16 & 0xFFFFFF}x{self.scid & 0xFFFF})"

    def side(self, node: NodeId) -> int:
        """0 or 1: which side `node` is on, and the direction away from it. Raises KeyError for a stranger."""
        if node == self.nodes[0].id:
            return 0
        if node == self.nodes[1].id:
            return 1
        raise KeyError(f"node {node.hex()} is not an end of {self!r}")

    def peer_of(self, node: NodeId) -> SimPeer:
        """The node at the other end."""
        return self.nodes[1 - self.side(node)]

    def balance_msat(self, node: NodeId) -> int:
        """What is on `node`'s side, its reserve included, HTLCs on their way not."""
        return self.balances_msat[self.side(node)]

    def spendable_msat(self, node: NodeId) -> int:
        """What `node` has to send: its balance without the reserve (free HTLC slots are not its matter)."""
        side = self.side(node)
        return max(0, self.balances_msat[side] - self.reserves_msat[side])

    def receivable_msat(self, node: NodeId) -> int:
        """What the peer of `node` has to send."""
        return self.spendable_msat(self.peer_of(node).id)

    def name_for(self, node: NodeId) -> Scid:
        """What `node` calls the channel in its own routes: the real scid if announced, else its local alias."""
        return self.scid if self.announced else self.aliases[self.side(node)]

    def hint_for(self, recipient: NodeId) -> RouteHint:
        """The route hint over this channel that `recipient`, one of its ends, would put into an invoice."""
        direction = 1 - self.side(recipient)
        policy = self.policies[direction]
        scid = self.scid if self.announced else self.aliases[direction]
        start = self.nodes[direction].id
        return (HintHop(start, scid, policy.fee_base_msat, policy.fee_ppm, policy.cltv_delta),)

    def connected(self) -> bool:
        """Whether both ends are there and nothing keeps them apart."""
        return self.nodes[0].online and self.nodes[1].online and not any(f and f.offline for f in self.faults)

    def free_slots(self, direction: int) -> int:
        """HTLCs that can still be added in this direction.

        The end's limit binds (BOLT 2), and the start holds itself to its own as well: so does lightningd, lest a
        commitment transaction get dear to close ("Also *we* should not add more htlc's we configured").
        """
        live = sum(self.live_htlcs) if self.shared_slots else self.live_htlcs[direction]
        return min(self.htlc_limits) - live

    def refusal(self, direction: int, amount_msat: int) -> Refusal | None:
        """Why an HTLC of `amount_msat` cannot be added in `direction` now, None if it can."""
        if self.closed:
            return Refusal.CLOSED
        if not self.connected():
            return Refusal.DISCONNECTED
        if amount_msat <= 0:
            return Refusal.BELOW_MINIMUM
        if self.free_slots(direction) <= 0:
            return Refusal.TOO_MANY_HTLCS
        if self.balances_msat[direction] - amount_msat < self.reserves_msat[direction]:
            return Refusal.CAPACITY
        return None

    def add(self, key: tuple[int, int], htlc: ChannelHtlc) -> None:
        """Put an HTLC on its way; the caller asked `refusal` before."""
        self.balances_msat[htlc.direction] -= htlc.amount_msat
        self.live_htlcs[htlc.direction] += 1
        self.htlcs[key] = htlc

    def remove(self, key: tuple[int, int], settled: bool) -> None:
        """Take an HTLC off: to the receiving side if settled, back to the offering one if not."""
        htlc = self.htlcs.pop(key)
        self.live_htlcs[htlc.direction] -= 1
        self.balances_msat[htlc.direction ^ settled] += htlc.amount_msat
