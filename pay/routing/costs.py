"""What sending over an arc costs, for all arcs at once.

One objective, in msat: `fee + price of locked time + failure cost * (-ln P)`.

- The fee is BOLT 7's `base + amount * ppm / 1e6`, here in float64: floats only rank, the exact pass decides.
- Time is priced as capital: `amount * cltv_delta * riskfactor / 100 / blocks per year`.
- P is the chance that an arc can forward the amount when nothing is known but its capacity and the balance is
  believed to be uniform over it: `P = (c + 1 - a) / (c + 1)` (Pickhardt & Richter, arXiv:2107.05322, section 2).
  The price of a failure in msat makes the nats comparable with fees: a path is worth taking over a likelier one
  if it saves more than `failure_cost_msat` per nat.

Costs are evaluated at the query's amount on every arc, that is without the fees of the arcs behind it: an error
of second order (fee of the fee), which makes the search an ordinary shortest path.

An arc that cannot carry the amount is left out rather than priced at infinity: on the mainnet snapshot between
10 % and 50 % of the arcs remain, and every later step is faster by that much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pay.routing.query import BLOCKS_PER_YEAR, RouteQuery

HOP_MSAT = 1e-3
"""Price of a hop, msat: keeps weights positive and prefers the shorter of two free paths."""


class Columns(NamedTuple):
    """Policies of arcs, one row an arc; amounts in msat, CLTV deltas in blocks.

    `capacity_msat` is the most that is believed to be on the arc's side: the channel's capacity less what we
    have in flight there, or the amount that is known not to pass, if less.
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    fee_base_msat: NDArray[np.int64]
    fee_ppm: NDArray[np.int64]
    cltv_delta: NDArray[np.int32]
    htlc_min_msat: NDArray[np.int64]
    htlc_max_msat: NDArray[np.int64]
    capacity_msat: NDArray[np.int64]
    enabled: NDArray[np.bool_]


class Prices(NamedTuple):
    """What one unit of each thing costs, in msat: a fee of 1 msat, a block of delay, a nat, a hop."""

    fee: float
    block: float
    nat: float
    hop: float = HOP_MSAT

    @classmethod
    def of(cls, query: RouteQuery) -> Prices:
        """The objective of a query."""
        per_block = query.amount_msat * query.riskfactor / (100 * BLOCKS_PER_YEAR)
        return cls(1.0, per_block, float(query.failure_cost_msat))

    def plus(self, other: Prices, times: float) -> Prices:
        """These prices with `times` the others on top: a Lagrangean relaxation of a limit."""
        return Prices(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Terms:
    """The parts of the objective for m arcs: fee (msat), delay (blocks) and nats, float64[m] each.

    `noise` is float[m] of factors >= 1, or None.
    """

    fee: NDArray[np.float64]
    blocks: NDArray[np.float64]
    nats: NDArray[np.float64]
    noise: NDArray[np.float64] | None = None

    def weights(self, prices: Prices) -> NDArray[np.float64]:
        """The weight of each arc, msat, float64[m], > 0."""
        total = self.fee * prices.fee
        total += self.blocks * prices.block
        total += self.nats * prices.nat
        if self.noise is not None:
            total *= self.noise
        total += prices.hop
        return total


def can_carry(columns: Columns, amount_msat: int, slack_msat: int = 0) -> NDArray[np.bool_]:
    """Whether each arc is open and accepts an HTLC of `amount_msat`, bool[m].

    `slack_msat` lowers the arcs' minima: what fees may yet add to the amount further up a route.
    """
    carries = columns.htlc_min_msat <= amount_msat + slack_msat
    carries &= columns.enabled
    carries &= columns.htlc_max_msat >= amount_msat
    carries &= columns.capacity_msat >= amount_msat
    return carries


def terms(columns: Columns, arcs: NDArray[np.int32], amount_msat: int) -> Terms:
    """The cost of sending `amount_msat` over each of `arcs` (row numbers, all of which can carry it)."""
    fee = columns.fee_ppm[arcs] * np.float64(amount_msat * 1e-6)
    fee += columns.fee_base_msat[arcs]
    blocks = columns.cltv_delta[arcs].astype(np.float64)
    room = columns.capacity_msat[arcs] + 1.0
    nats = -np.log((room - amount_msat) / room)
    return Terms(fee, blocks, nats.astype(np.float64, copy=False))
