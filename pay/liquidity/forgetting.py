"""How beliefs fade: by half in each half-life, from the day they are made, without a cliff.

A bound moves towards ignorance: what a side is believed to have at least, and what it is believed to lack at
least, both towards 0. The order of two such facts never changes while they fade at the same rate, so the stronger
of them can be chosen at any time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pay.liquidity.prior import Floats, Ints

DEFAULT_FAILURE_S = 86_400.0
"""One day: a stale refusal hides a way that may be the best, one that is forgotten costs a failed part. How fast
balances move nobody knows; where others pay 0.3 to 30 times an hour through a channel, this loses 0.15 nats of
foresight at its worst, half a day 0.26 and three days 0.29 (`make bench`, "fading"). Senders that also keep
histograms forget bounds sooner."""

DEFAULT_SUCCESS_S = 6 * 3_600.0
"""Six hours: others use what was seen to be there, and a stale success costs one failed part, which then teaches.
It hardly matters: 0.005 nats at its worst."""

DEFAULT_NODE_S = 3_600.0
"""One hour: a node that was restarted, or whose operator noticed, is used again the same day."""


@dataclass(frozen=True, slots=True)
class HalfLives:
    """Seconds, above 0, in which half of it is forgotten: refusals, successes, experience with nodes."""

    failure_s: float = DEFAULT_FAILURE_S
    success_s: float = DEFAULT_SUCCESS_S
    node_s: float = DEFAULT_NODE_S


def faded(value: float, at_s: float, now_s: float, half_life_s: float) -> float:
    """What is left of one value. What is dated later than now is as of now."""
    age_s = max(0.0, now_s - at_s)
    return float(value * 2.0 ** (-age_s / half_life_s)) if value else 0.0


def faded_columns(value: Ints, at_s: Floats, now_s: float | Floats, half_life_s: Floats) -> Ints:
    """What is left of amounts, rounded down; shapes that broadcast."""
    left = at_s - now_s
    left /= half_life_s
    np.minimum(left, 0.0, out=left)
    np.exp2(left, out=left)
    left *= value
    result: Ints = left.astype(np.int64)
    return np.minimum(result, value)


def strength(value: Ints, at_s: Floats, half_life_s: Floats) -> NDArray[np.float64]:
    """Which of two facts is the stronger, at any time: the one with the more; -inf for nothing."""
    with np.errstate(divide="ignore"):
        result: Floats = np.log2(value.astype(np.float64))
    result += at_s / half_life_s
    return result
