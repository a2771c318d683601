"""What sending over an arc costs, for all arcs at once.

One objective, in msat: `fee + price of locked time + failure cost * (-ln P)`.

- The fee is BOLT 7's `base + amount * ppm / 1e6`, here in float32: floats only rank, the exact pass decides.
- Time is priced as capital: `amount * cltv_delta * riskfactor / 100 / blocks per year`.
- P is the chance that an arc can forward the amount when nothing is known but its capacity: what the prior says,
  of a uniform one `P = (c + 1 - a) / (c + 1)` (Pickhardt & Richter, arXiv:2107.05322). Where more is known, see
  `arc_beliefs`. A price in msat makes nats comparable with fees: a path is preferred to a likelier one if it saves
  more than `nat_msat` per nat.
- Seconds are what HTLCs through a node took of late, for those who pay for speed.

Costs are evaluated at the query's amount on every arc, that is without the fees of the arcs behind it: an error
of second order (fee of the fee), which makes the search an ordinary shortest path.

An arc that cannot carry the amount weighs infinity. It stays where it is, because picking the others out of eight
columns takes longer than computing what nobody needs; only who searches often picks them out (see `Usable.tight`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pay.liquidity.prior import UNIFORM, Prior
from pay.network import ChannelGraph
from pay.routing.query import BLOCKS_PER_YEAR, RouteQuery

_WIDE_MSAT = 10**15
"""A channel of which a msat is nothing."""

HOP_MSAT = 1e-3
"""Price of a hop, msat: keeps weights positive and prefers the shorter of two free paths."""


class ArcRows(NamedTuple):
    """Arcs as the search sees them, one row an arc.

    What only ranks is float32 (a rounding of 6e-8, less than the fee of a fee); what decides is int64.

    Attributes
    ----------
    source, target
        Node numbers.
    fee_base_msat, fee_ppm, cltv_delta
        As in `Policy`.
    room_msat
        One more than the most that is believed to be on the arc's side: the channel's capacity less what we
        have in flight there, or the amount that is known not to pass, if less.
    least_msat, most_msat
        The HTLCs that it takes; -1 at most if it is closed.
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    fee_base_msat: NDArray[np.float32]
    fee_ppm: NDArray[np.float32]
    cltv_delta: NDArray[np.float32]
    room_msat: NDArray[np.int64]
    least_msat: NDArray[np.int64]
    most_msat: NDArray[np.int64]

    @classmethod
    def of(cls, columns: ChannelGraph | Columns, rows: NDArray[np.integer] | slice = slice(None)) -> ArcRows:
        """Some arcs of the graph, or of what an overlay adds, in the order of `rows`."""
        most = np.minimum(columns.htlc_max_msat[rows], columns.capacity_msat[rows])
        most[~columns.enabled[rows]] = -1
        return cls(
            columns.source[rows],
            columns.target[rows],
            columns.fee_base_msat[rows].astype(np.float32),
            columns.fee_ppm[rows].astype(np.float32),
            columns.cltv_delta[rows].astype(np.float32),
            columns.capacity_msat[rows] + 1,
            columns.htlc_min_msat[rows],
            most,
        )


class Columns(NamedTuple):
    """The exact policies of arcs, as `ChannelGraph` has them; msat and blocks."""

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
    """What one unit of each thing costs, in msat: a fee of 1 msat, a block of delay, a nat, a hop, a second."""

    fee: float
    block: float
    nat: float
    hop: float = HOP_MSAT
    second: float = 0.0

    @classmethod
    def of(cls, query: RouteQuery) -> Prices:
        """The objective of a query."""
        prefer = query.preferences
        per_block = query.amount_msat * prefer.riskfactor / (100 * BLOCKS_PER_YEAR)
        return cls(1.0, per_block, float(query.nat_msat), second=float(prefer.second_cost_msat))

    def plus(self, other: Prices, times: float) -> Prices:
        """These prices with `times` the others on top: a Lagrangean relaxation of a limit."""
        return Prices(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


COLUMNS = Columns._fields


@dataclass(frozen=True, slots=True)
class ArcCosts:
    """The parts of the objective for m arcs: fee (msat), delay (blocks) and nats, float32[m] each.

    `carries` bool[m] says which can carry the amount; of the others the figures mean nothing. `noise` is
    float32[m], what a block is taken to cost as a multiple of its price, `drawn_fee` float32[m] what is drawn on
    top of a fee, msat, `seconds` float32[m] what is known of latency; None where there is none.
    """

    fee: NDArray[np.float32]
    blocks: NDArray[np.float32]
    nats: NDArray[np.float32]
    carries: NDArray[np.bool_]
    noise: NDArray[np.float32] | None = None
    seconds: NDArray[np.float32] | None = None
    drawn_fee: NDArray[np.float32] | None = None

    def weights(self, prices: Prices) -> NDArray[np.float64]:
        """The weight of each arc, msat, float64[m], > 0; infinite where the amount is not carried."""
        total = self.fee * np.float32(prices.fee)
        if self.drawn_fee is not None:
            total += self.drawn_fee * np.float32(prices.fee)
        blocks = self.blocks * np.float32(prices.block)
        if self.noise is not None:
            blocks *= self.noise
        total += blocks
        total += self.nats * np.float32(prices.nat)
        if self.seconds is not None:
            total += self.seconds * np.float32(prices.second)
        with np.errstate(divide="ignore"):
            weights: NDArray[np.float64] = prices.hop / self.carries
        weights += total
        return weights

    def take(self, rows: NDArray[np.intp]) -> ArcCosts:
        """Some of the rows."""
        noise = None if self.noise is None else self.noise[rows]
        seconds = None if self.seconds is None else self.seconds[rows]
        fees = None if self.drawn_fee is None else self.drawn_fee[rows]
        mine = self.fee[rows], self.blocks[rows], self.nats[rows], self.carries[rows]
        return ArcCosts(*mine, noise, seconds, fees)


def can_carry(rows: ArcRows, amount_msat: int, slack_msat: int = 0) -> NDArray[np.bool_]:
    """Whether each arc is open and accepts an HTLC of `amount_msat`, bool[m].

    `slack_msat` lowers the arcs' minima: what fees may yet add to the amount further up a route.
    """
    carries = rows.most_msat >= amount_msat
    carries &= rows.least_msat <= amount_msat + slack_msat
    return carries


def arc_costs(
    rows: ArcRows, amount_msat: int, base_share: float = 1.0, slack_msat: int = 0, prior: Prior = UNIFORM
) -> ArcCosts:
    """The cost of sending `amount_msat` over each of the rows; for `slack_msat` see `can_carry`.

    `base_share` of the base fee, and of what the least amount risks, is paid by this amount, the rest by others of
    the same HTLC.
    """
    fee = rows.fee_ppm * np.float32(amount_msat * 1e-6)
    fee += rows.fee_base_msat if base_share >= 1 else rows.fee_base_msat * np.float32(base_share)
    # Subtracted as integers: where the amount is nearly all there is, the difference of two float32 means nothing.
    nats = (rows.room_msat - amount_msat).astype(np.float32)
    np.maximum(nats, np.float32(1.0), out=nats)
    nats /= rows.room_msat.astype(np.float32)
    if prior is not UNIFORM:
        nats = prior.survival_of_shares(nats)
    np.log(nats, out=nats)
    np.negative(nats, out=nats)
    if base_share < 1:
        nats += np.float32((1 - base_share) * log(prior.survival_of(1, _WIDE_MSAT)))
    return ArcCosts(fee, rows.cltv_delta, nats, can_carry(rows, amount_msat, slack_msat))
