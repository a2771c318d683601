"""The one formula for the chance that an arc forwards an amount, for many arcs and for one.

`x` is the balance on the arc's side, as it is before what we hold on the arc counts as gone. Believed is
`low <= x <= high`, and within that what the prior says:

    P_bounds(y) = P(x >= y | low <= x <= high)      1 up to low, 0 above high
    P(y)        = (1 - DOUBT) * P_bounds(y) + DOUBT * P_prior(x >= y)

The second line is for beliefs that are wrong: others pay too, and a node may refuse for reasons of its own. So
what is believed never makes a payee unreachable; it is only the last that is tried. Where `h` is held already, the
chance that `a` more pass is conditional on that: `P(h + a) / P(h)`.

With nothing known (`low` 0, `high` c) and the uniform prior this is `(c - h + 1 - a) / (c - h + 1)`.
"""

from __future__ import annotations

import numpy as np

from pay.liquidity.prior import Floats, Ints, Prior, within

DOUBT = 0.05
"""Share of beliefs that are taken to be wrong, at any age. An amount that is believed not to pass costs 3 nats
more than if nothing were known (30 sat for a small payment): more than most detours, less than having no way at
all. One that is believed to pass is not quite free: 0.05 nats where the prior gives it no chance."""


def chance(
    prior: Prior, amount_msat: Ints | int, held_msat: Ints, low_msat: Ints, high_msat: Ints, capacity_msat: Ints
) -> Floats:
    """The chance that `amount_msat` more pass each arc, float64[k]; int64[k] each, `amount_msat` may be one.

    Bounds beyond 0 and the capacity count as these; 0 where no more can pass whatever is believed.
    """
    with_more = _passes(prior, held_msat + amount_msat, low_msat, high_msat, capacity_msat)
    if not held_msat.any():
        return with_more
    before = _passes(prior, held_msat, low_msat, high_msat, capacity_msat)
    return np.divide(with_more, before, out=np.zeros_like(with_more), where=before > 0)


def chance_of(
    prior: Prior, amount_msat: int, held_msat: int, low_msat: int, high_msat: int, capacity_msat: int
) -> float:
    """`chance` of one arc."""
    with_more = _passes_one(prior, held_msat + amount_msat, low_msat, high_msat, capacity_msat)
    if not held_msat:
        return with_more
    before = _passes_one(prior, held_msat, low_msat, high_msat, capacity_msat)
    return with_more / before if before > 0 else 0.0


def _passes(prior: Prior, amount: Ints, low: Ints, high: Ints, capacity: Ints) -> Floats:
    """P(amount) of the head of this file."""
    low = within(low, 0, capacity)
    high = within(high, low, capacity)
    above = prior.mass(np.maximum(amount, low), high, capacity)
    all_of_it = prior.mass(low, high, capacity)
    return (1 - DOUBT) * (above / all_of_it) + DOUBT * prior.survival(amount, capacity)


def _passes_one(prior: Prior, amount: int, low: int, high: int, capacity: int) -> float:
    low = min(max(low, 0), capacity)
    high = min(max(high, low), capacity)
    above = prior.mass_of(max(amount, low), high, capacity)
    all_of_it = prior.mass_of(low, high, capacity)
    return (1 - DOUBT) * (above / all_of_it) + DOUBT * prior.survival_of(amount, capacity)
