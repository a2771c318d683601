"""What makes equal payments take different routes: a price of time that differs from node to node.

A node that undercuts all others by a little would be on every route, and learn of every payment of ours. What
keeps routes from varying is their cost: fees are real money and failures cost real time, so neither is misjudged
here. But what a locked block costs is somebody's opinion (riskfactor, 10 % a year), and it decides about routes as
much as fees do. So this opinion is drawn, for each node and payment: at some nodes blocks are taken to cost next
to nothing, at a few several times their price. On average it is less than the price, since routes go where it
was drawn low: that leaves fees and odds the weight that they had.

Measured on the mainnet snapshot, equal payments of 1,000 to 1,000,000 sat: one bit more of entropy over the nodes
between for a sixth more delay and no more fees; with factors on the whole cost it took 8 % more fees.

Who says that time costs less than usual (riskfactor) leaves less to draw, and nothing at 0. For them something is
drawn on top of fees, as if nodes asked some tenths and some ppm more: many ways are free, and of nothing a share
is nothing. At riskfactor 0 that makes 1.6 bits over the ways of equal payments, as many as at the usual one, for
no more fees; the nats of failure are a third more.

A payment draws the same for each of its plans, and a plan of several parts for each of its rounds: what the last
payments drew is kept.

What it knowingly does not do: vary routes where only one is near the best.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MEAN = 0.5
"""Of the price that is drawn. Below 1 because a route takes the nodes that drew least."""


USUAL_RISKFACTOR = 10.0
"""Percent a year: at this and above, time is drawn alone."""

FEE_SHARE = 0.2
"""Of a fee, what is drawn on top on average at riskfactor 0 and full randomness."""

FEE_PPM = 2
"""And of the amount: 1 sat of 500,000. Measured with 1, 2 and 5: 1.5, 1.6 and 1.9 bits, and 1.15, 1.3 and 1.45
times the nats of failure."""

_FEES = 0xFEE5
"""Of the numbers drawn from a payment's seed, those of fees."""


KEPT = 16
"""Payments whose prices are kept; 70 kB each on the public network."""


@lru_cache(KEPT)
def fee_noise(nodes: int, seed: int, randomness: float, riskfactor: float) -> NDArray[np.float32] | None:
    """How much of that is drawn at each node, float32[nodes], >= 0 and 1 on average at most; None for nothing.

    The array is shared and cannot be written to.
    """
    share = randomness * (1 - riskfactor / USUAL_RISKFACTOR)
    if share <= 0:
        return None
    drawn = np.random.default_rng((_FEES, seed)).standard_exponential(nodes, dtype=np.float32)
    drawn *= np.float32(share)
    drawn.flags.writeable = False
    return drawn


@lru_cache(KEPT)
def noise(nodes: int, seed: int, randomness: float) -> NDArray[np.float32]:
    """The price of a block at each node, as a multiple of what it is, float32[nodes], > 0.

    `randomness`, up to 1, is the share of the price that is drawn, exponentially distributed. What a node draws
    depends on `seed` and its number only, not on how many nodes there are. The array is shared and cannot be
    written to.
    """
    drawn = np.random.default_rng(seed).standard_exponential(nodes, dtype=np.float32)
    drawn *= np.float32(MEAN * randomness)
    drawn += np.float32(1 - min(randomness, 1.0))
    drawn.flags.writeable = False
    return drawn
