"""What is believed of a channel's balance before anything is known of it but the capacity.

Two shapes, and mixtures of them. The share of the balance on one side, from 0 to 1:

    uniform  |#########################|      bimodal  |##                     ##|
                                                       |####                 ####|

*Uniform* is what an arc costs in Pickhardt & Richter (arXiv:2107.05322). *Bimodal* has the density
`exp(-x/s) + exp(-(c-x)/s)`: most channels are used one way and have run empty on one side. lnd's estimator of that
name has it, with a scale `s` of 300,000 sat for every channel; LDK, whose model was fitted to probes of mainnet,
takes half of it uniform and half concentrated at the ends, at a mean distance of 5 % of the capacity, for every
size. We follow LDK in that the scale is a share of the capacity: what a channel is used for grows with its
size, a scale of its own in satoshi would call every small channel uniform and every large one either full or
empty – and with a share `exp(-c/s)` is a constant, which leaves one exponential for each arc of a plan.

Not all of a balance can be forwarded: each side keeps a reserve, 1 % of the capacity with most (BOLT 2). What a
side can forward is therefore nothing with the chance that its balance is within the reserve – one that is used up
is – and else the rest, stretched to the capacity so that no amount that fits the channel is ruled out. It is also
what makes every further channel of a way cost something, however small the amount.

What it knowingly does not do: know commitment fees (some thousand sat of a side cannot be spent), or that balances
of the same node have anything to do with each other.

Balances are whole msat from 0 to c: `n = c + 1` values, each `a` standing for the interval from a to a + 1. So
`P(balance >= a)` is exact for the uniform prior, and no belief has a width of nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


def within(value: Ints, least: Ints | int, most: Ints) -> Ints:
    """`np.clip`, which takes three times as long on as few as are known."""
    result: Ints = np.minimum(np.maximum(value, least), most)
    return result


@dataclass(frozen=True, slots=True)
class Prior:
    """A distribution of balances; the same for both sides of a channel.

    Parameters
    ----------
    name
        As options and exports call it.
    uniform
        Share of the uniform part, 0 to 1; the rest is bimodal.
    reserve
        Share of the capacity that cannot be forwarded.
    scale
        Mean distance of the bimodal part from the nearer end, in capacities. Less than 1/30 would leave the
        middle of a channel with a chance that float64 takes for none.
    """

    name: str
    uniform: float
    scale: float
    reserve: float = 0.0

    def survival(self, amount_msat: Ints, capacity_msat: Ints) -> Floats:
        """P(balance >= amount) of many channels. int64[k] each (or shapes that broadcast), float64[k]."""
        count = capacity_msat + 1
        # Subtracted as integers: where the amount is nearly all there is, a difference of floats means little.
        share: Floats = within(count - amount_msat, 0, count) / count
        share = np.where(np.asarray(amount_msat) > 0, share * (1 - self.reserve), share)
        if self.uniform == 1:
            return share
        end = math.exp(-1 / self.scale)
        raised = np.expm1(share / self.scale)
        bimodal: Floats = (end * raised + raised / (1 + raised)) / (2 * (1 - end))
        return self.uniform * share + (1 - self.uniform) * bimodal

    def survival_of_shares(self, share: NDArray[np.float32]) -> NDArray[np.float32]:
        """`survival` of an amount where figures only rank, in half the time, float32[k].

        `share` is 1 less the amount's share of each capacity; it is written over. Nothing is said to be less
        likely than 1e-7: float32 knows no better.
        """
        share *= np.float32(1 - self.reserve)
        if self.uniform == 1:
            return share
        end = math.exp(-1 / self.scale)
        # exp(-(share of the amount) / scale), and its reverse from the other end.
        near = np.exp((share - 1) * np.float32(1 / self.scale))
        bimodal = near - np.float32(end) / near
        bimodal += np.float32(1 - end)
        bimodal *= np.float32((1 - self.uniform) / (2 * (1 - end)))
        share *= np.float32(self.uniform)
        share += bimodal
        return np.maximum(share, np.float32(1e-7), out=share)

    def survival_of(self, amount_msat: int, capacity_msat: int) -> float:
        """`survival` of one channel."""
        count = capacity_msat + 1
        share = min(max(count - amount_msat, 0), count) / count
        share *= 1 - self.reserve if amount_msat > 0 else 1
        if self.uniform == 1:
            return share
        end = math.exp(-1 / self.scale)
        raised = math.expm1(share / self.scale)
        bimodal = (end * raised + raised / (1 + raised)) / (2 * (1 - end))
        return self.uniform * share + (1 - self.uniform) * bimodal

    def mass(self, first_msat: Ints, last_msat: Ints, capacity_msat: Ints) -> Floats:
        """P(first <= balance <= last) of many channels; 0 where first is above last. Shapes as in `survival`.

        The difference of two survivals, but exact where they are nearly the same.
        """
        count = capacity_msat + 1
        low = within(first_msat, 0, count)
        high = within(last_msat + 1, low, count)
        width: Floats = (high - low) / count * (1 - self.reserve)
        width = np.where((low > 0) | (high == 0), width, width + self.reserve)
        if self.uniform == 1:
            return width
        end = math.exp(-1 / self.scale)
        above = (count - high) / count * (1 - self.reserve)
        ends = np.exp((1 - above - width) * (-1 / self.scale)) + np.exp(above * (-1 / self.scale))
        bimodal: Floats = -np.expm1(width * (-1 / self.scale)) * ends / (2 * (1 - end))
        return self.uniform * width + (1 - self.uniform) * bimodal

    def mass_of(self, first_msat: int, last_msat: int, capacity_msat: int) -> float:
        """`mass` of one channel."""
        count = capacity_msat + 1
        low = min(max(first_msat, 0), count)
        high = min(max(last_msat + 1, low), count)
        width = (high - low) / count * (1 - self.reserve)
        width += 0 if low or not high else self.reserve
        if self.uniform == 1:
            return width
        end = math.exp(-1 / self.scale)
        above = (count - high) / count * (1 - self.reserve)
        ends = math.exp((1 - above - width) * (-1 / self.scale)) + math.exp(above * (-1 / self.scale))
        bimodal = -math.expm1(width * (-1 / self.scale)) * ends / (2 * (1 - end))
        return self.uniform * width + (1 - self.uniform) * bimodal


UNIFORM = Prior("uniform", 1.0, 1.0)
"""Every balance is as likely as any other."""

RESERVE = 0.01
"""BOLT 2, `channel_reserve_satoshis`: "SHOULD set to 1%"; what lightningd, lnd and eclair ask."""

BIMODAL = Prior("bimodal", 0.0, 0.1, RESERVE)
"""The nearer end is a tenth of the capacity away on average: of lnd's 300,000 sat in a channel of 3,000,000 sat,
about the median of mainnet."""

MIXED = Prior("mixed", 0.8, 0.05, RESERVE)
"""Four fifths uniform, the rest at the ends. LDK has half of each, 128 * (1/256 + 9 * (x - 1/2)**8), which makes
ways dearer by more than it saves in failures."""

RESERVED = Prior("reserved", 1.0, 1.0, RESERVE)
"""Uniform, but for the reserve: a way of many channels is less likely than its amounts alone say."""

DEFAULT_PRIOR = RESERVED
"""Beside the uniform prior it lost nothing where balances are uniform, and where they are bimodal small payments
failed a third as often. Those with more at the ends were dearer, whatever the balances, by as much as they saved
or more (tests.bench, and other seeds)."""

PRIORS = {prior.name: prior for prior in (RESERVED, UNIFORM, BIMODAL, MIXED)}
"""By name."""
