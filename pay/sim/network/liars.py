"""Nodes that lie: what a node answers an HTLC with, whatever is true of it.

Of a failure message the sender knows nothing but at which place of the route it was written: whoever is there may
answer any code, claim any height, send any channel_update along or none, or write what nobody can read. What it
cannot do is speak from another place. A `Liar` has one lie for each HTLC that it answers, as a list that comes
around again or drawn from a seed without end.

Sources: BOLT 4, "Returning Errors", "Failure Messages".
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import cycle
from typing import TYPE_CHECKING

from pay.network import Policy
from pay.sim.network.channel import SimChannel, SimPeer
from pay.sim.network.failures import BADONION, UPDATE, FailCode, channel_update, failure
from pay.units import Scid

if TYPE_CHECKING:
    from pay.sim.network.world import World

UNREADABLE = None
"""In the place of a code: an answer that nobody on the route seems to have written."""

UNKNOWN_CODES = (0x0001, 0x1063, 0x4063, 0x2063)
"""Codes that no BOLT knows, with the bits of those that it does."""

_MOST_MSAT = (1 << 64) - 1
_MOST_BLOCKS = (1 << 32) - 1


class Place(Enum):
    """Where on the route of an HTLC a node is."""

    FORWARDER = auto()
    LAST_BUT_ONE = auto()
    RECIPIENT = auto()

    @classmethod
    def of(cls, at: int, hops: int) -> Place:
        """Of the node with number `at` (the sender is 0) on a route of so many hops."""
        if at == hops:
            return cls.RECIPIENT
        return cls.LAST_BUT_ONE if at == hops - 1 else cls.FORWARDER


class Claim(Enum):
    """The channel_update that comes along, where the code has room for one (bit UPDATE)."""

    TRUE = auto()
    """Of the next channel, as it is: the HTLC kept to it."""
    ABSENT = auto()
    DEARER = auto()
    """Of the next channel, with one msat more for every lie told before."""
    SLOWER = auto()
    """Of the next channel, with one block more for every lie told before."""
    FOREIGN = auto()
    """Of a channel of other nodes, true, with their signature."""
    GIVEN = auto()
    """Of the next channel, with the policy of the lie."""


@dataclass(frozen=True, slots=True)
class Lie:
    """The answer to one HTLC."""

    code: int | None
    """Of BOLT 4 or not; `UNREADABLE` for noise."""
    claim: Claim = Claim.TRUE
    policy: Policy | None = None
    height: int | None = None
    """Block height that it claims to have seen (incorrect_or_unknown_payment_details); None for the true one."""


class Liar:
    """What one node answers HTLCs with, one after the other.

    Parameters
    ----------
    lies
        In their order; they come around again. None among them: that HTLC is treated honestly.
    places
        Where on a route it lies; elsewhere it behaves, and no lie is used up.
    """

    def __init__(
        self, lies: Sequence[Lie | None] | Iterator[Lie | None], places: Collection[Place] = tuple(Place)
    ):
        self._lies = cycle(lies) if isinstance(lies, Sequence) else lies
        self._places = frozenset(places)
        self.told = 0
        """Lies so far."""

    @classmethod
    def drawn(
        cls,
        seed: int | str,
        *,
        codes: Sequence[int | None] = (*FailCode, *UNKNOWN_CODES, UNREADABLE),
        claims: Sequence[Claim] = tuple(Claim),
        honest: float = 0.0,
        places: Collection[Place] = tuple(Place),
    ) -> Liar:
        """One whose lies are drawn from `seed`, other ones for every HTLC.

        Parameters
        ----------
        honest
            Share of HTLCs that it treats as it should.
        """
        return cls(_drawn(random.Random(f"liar {seed}"), codes, claims, honest), places)

    def next(self, place: Place) -> Lie | None:
        """The answer to the HTLC at hand, None if it is treated honestly."""
        if place not in self._places:
            return None
        lie = next(self._lies)
        self.told += lie is not None
        return lie


def _drawn(
    rng: random.Random, codes: Sequence[int | None], claims: Sequence[Claim], honest: float
) -> Iterator[Lie | None]:
    heights: tuple[Callable[[], int | None], ...] = (
        lambda: None, lambda: 0, lambda: _MOST_BLOCKS, lambda: rng.randrange(2_000),
        lambda: rng.randrange(1 << 32),
    )  # fmt: skip
    while True:
        if rng.random() < honest:
            yield None
        else:
            yield Lie(rng.choice(codes), rng.choice(claims), _any_policy(rng), rng.choice(heights)())


def _any_policy(rng: random.Random) -> Policy:
    """From free to what no payment can bear, from all to nothing of a channel, on or off."""
    return Policy(
        fee_base_msat=rng.choice([0, 1, 1_000, 10**6, _MOST_BLOCKS]),
        fee_ppm=rng.choice([0, 1, 100, 10**5, _MOST_BLOCKS]),
        cltv_delta=rng.choice([0, 1, 6, 40, 2_016, 65_535]),
        htlc_min_msat=rng.choice([0, 1, 10**6, 10**12]),
        htlc_max_msat=rng.choice([0, 1, 10**6, 10**12, _MOST_MSAT]),
        enabled=rng.random() < 0.8,
    )


def told_lie(
    world: World,
    node: SimPeer,
    liar: Liar,
    lie: Lie,
    channel: SimChannel | None,
    scid: Scid,
    incoming_msat: int,
    cltv_expiry: int,
) -> bytes:
    """The failure message of a lie with a readable code.

    Parameters
    ----------
    channel, scid
        The channel that the onion names as the next one, and how it names it; None where there is none.
    incoming_msat, cltv_expiry
        Of the HTLC that is answered.
    """
    assert lie.code is not None
    update = _claimed(world, node, liar, lie, channel, scid) if lie.code & UPDATE else b""
    height = world.height + node.extra_height if lie.height is None else lie.height
    return failure(
        lie.code, htlc_msat=incoming_msat, cltv_expiry=cltv_expiry, height=height, update=update,
        onion_hash=world.noise(32) if lie.code & BADONION else bytes(32),
    )  # fmt: skip


def _claimed(
    world: World, node: SimPeer, liar: Liar, lie: Lie, channel: SimChannel | None, scid: Scid
) -> bytes:
    if lie.claim is Claim.ABSENT:
        return b""
    if lie.claim is Claim.FOREIGN:
        others = [c for c in world.channels.values() if node not in c.nodes and c.announced]
        return world.channel_update(others[liar.told % len(others)], liar.told % 2) if others else b""
    if channel is None:
        return b""
    direction = channel.side(node.id)
    policy = channel.policies[direction]
    match lie.claim:
        case Claim.TRUE:
            return world.channel_update(channel, direction, scid)
        case Claim.DEARER:
            policy = replace(policy, fee_base_msat=policy.fee_base_msat + liar.told)
        case Claim.SLOWER:
            policy = replace(policy, cltv_delta=policy.cltv_delta + liar.told)
        case Claim.GIVEN:
            policy = policy if lie.policy is None else lie.policy
    # Newer than whatever is known of the channel, else nobody need believe it.
    newest = max(int(world.clock.now()), channel.policies[direction].timestamp)
    policy = replace(policy, timestamp=newest + liar.told)
    secret = node.secret if node.has_secret else None
    return channel_update(world.chain, scid, direction, policy, secret=secret, announced=channel.announced)
