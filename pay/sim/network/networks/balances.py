"""Who owns how much of a channel, drawn by chance, because gossip does not tell it.

- uniform: every split of the channel is as likely as any other; what most literature and CLN assume.
- bimodal: most channels are used up on one side. The density of one side's balance x in a channel of size c is
  proportional to exp(-x/s) + exp((x-c)/s) with the scale s = 300,000 sat, the model and the default of lnd. Small
  channels (c < s) come out nearly uniform, large ones nearly empty on one side.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

BIMODAL_SCALE_MSAT = 300_000_000
"""How fast the bimodal density falls from either end: 300,000 sat, lnd's default."""


class Balances(StrEnum):
    """How the two sides of a channel share it."""

    UNIFORM = "uniform"
    BIMODAL = "bimodal"


def draw_balances(capacity_msat: Ints, balances: Balances | str, rng: np.random.Generator) -> Ints:
    """The balance of side 0 of every channel, int64[n] for int64[n] capacities, all in msat."""
    u = rng.random(len(capacity_msat))
    match Balances(balances):
        case Balances.UNIFORM:
            share = u
        case Balances.BIMODAL:
            # The inverse of the distribution function of an exponential cut off at c, from a random end.
            size = capacity_msat / BIMODAL_SCALE_MSAT
            near = -np.log1p(u * np.expm1(-size)) / np.maximum(size, 1e-12)
            share = np.where(rng.random(len(u)) < 0.5, near, 1.0 - near)
    result: Ints = np.clip((share * capacity_msat).astype(np.int64), 0, capacity_msat)
    return result
