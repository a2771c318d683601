"""Intervals and figures of the race's table; plain functions of numbers.

Intervals are of 95 %: Wilson's for shares, the bootstrap's percentiles for means and ratios. Senders are compared
on the same invoices, so what is drawn again is whole questions, with all that all senders made of them; they are
drawn hub by hub: payments over one hub have much in common, and the next hub is what one wants to know about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z = 1.959964
"""Of 95 % of a normal distribution."""

DRAWS = 2_000
SEED = 1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and where it probably lies."""

    value: float
    low: float
    high: float


def wilson(count: int, of: int) -> Interval:
    """Share with its interval (Wilson 1927); 0 of 0 is anything.

    Examples
    --------
    >>> wilson(0, 0)
    Interval(value=nan, low=0.0, high=1.0)
    """
    if of == 0:
        return Interval(math.nan, 0.0, 1.0)
    share = count / of
    spread = Z * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    middle = share + Z * Z / (2 * of)
    scale = 1 + Z * Z / of
    return Interval(share, max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


Figure = Callable[[Floats, Floats], Floats]
"""From sums of the columns, shape (draws, columns), and numbers of rows, shape (draws,), to one figure a draw."""


def bootstrap(values: Floats, clusters: Sequence[int], figure: Figure) -> Interval:
    """A figure of rows, and between which values it lies when the clusters are drawn again.

    Parameters
    ----------
    values
        float64, shape (rows, columns); what `figure` takes the sums of.
    clusters
        Of each row; rows of one cluster are drawn together. One cluster alone: its rows are drawn instead.
    """
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    _, group = np.unique(np.asarray(clusters), return_inverse=True)
    if not group.any():
        group = np.arange(len(values))
    sums = np.array([np.bincount(group, column) for column in values.T]).T
    counts = np.bincount(group).astype(np.float64)
    picked = np.random.default_rng(SEED).integers(len(counts), size=(DRAWS, len(counts)))
    drawn = figure(sums[picked].sum(axis=1), counts[picked].sum(axis=1))
    whole = figure(values.sum(axis=0, keepdims=True), np.array([float(len(values))]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(float(whole[0]), float(low), float(high))


def mean(sums: Floats, counts: Floats) -> Floats:
    """Of the first column."""
    return sums[:, 0] / counts


def ratio(sums: Floats, counts: Floats) -> Floats:
    """Of the first column's sum to the second's; nan to nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], math.nan)


def difference(sums: Floats, counts: Floats) -> Floats:
    """Of the columns' means."""
    return (sums[:, 0] - sums[:, 1]) / counts


def quantile(values: Sequence[float], share: float) -> float:
    """nan of nothing."""
    return float(np.quantile(values, share)) if len(values) else math.nan
