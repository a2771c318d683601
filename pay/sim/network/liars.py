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
from dataclasses import dataclass
from enum import Enum, auto
from itertools import cycle

from pay.network import Policy
from pay.sim.network.encoding.failures import FailCode

UNREADABLE = None
"""In the place of a code: an answer that nobody on the route seems to have written."""

UNKNOWN_CODES = (0x0001, 0x1063, 0x4063, 0x2063)
"""Codes that no BOLT knows, with the bits of those that it does."""

_MOST_MSAT = (1 << 64) - 1
_MOST_BLOCKS = (1 << 32) - 1


class Role(Enum):
    """What a node is on the route of an HTLC."""

    FORWARDER = auto()
    LAST_BUT_ONE = auto()
    RECIPIENT = auto()

    @classmethod
    def of(cls, at: int, hops: int) -> Role:
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
    roles
        In which it lies; in others it behaves, and no lie is used up.
    """

    def __init__(self, lies: Sequence[Lie | None] | Iterator[Lie | None], roles: Collection[Role] = tuple(Role)):
        self._lies = cycle(lies) if isinstance(lies, Sequence) else lies
        self._roles = frozenset(roles)
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
        roles: Collection[Role] = tuple(Role),
    ) -> Liar:
        """One whose lies are drawn from `seed`, other ones for every HTLC.

        Parameters
        ----------
        honest
            Share of HTLCs that it treats as it should.
        """
        return cls(_drawn(random.Random(f"liar {seed}"), codes, claims, honest), roles)

    def next(self, role: Role) -> Lie | None:
        """The answer to the HTLC at hand, None if it is treated honestly."""
        if role not in self._roles:
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
