"""The facts about channels as columns, sorted by short_channel_id; bounded, and what says least is forgotten
first.

Four amounts of a channel, each with its time:

    row 0, 1   LOW   what the side of direction 0, 1 has at least        (something passed)
    row 2, 3   LACK  what the side of direction 0, 1 lacks at least      (something was refused)

Lacking is counted from the capacity: of a side that has less than a, `capacity - a + 1` is missing. So 0 is
ignorance in every row, fading is towards 0, and of two facts of the same kind the larger is the stronger.

Facts contradict each other where both sides have too much, or one side has more than it does not lack. Then
somebody else paid in between, and the newer one holds. Whether two facts contradict is decided as of the newer
one, so it does not change while they fade; and the older one is kept but does not count, so that the union of
two tables is the same in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pay.liquidity.forgetting import HalfLives, faded_columns, strength
from pay.liquidity.prior import Floats, Ints
from pay.units import Scid

MOST_CHANNELS = 20_000
"""Two megabytes; a plan reads them in a millisecond. More than a busy node passes in a week."""

_KEEP = MOST_CHANNELS * 19 // 20
"""What is left when there are too many: not every further channel costs a look at all of them."""

_NEXT_TO_NOTHING = 1e-4
"""In capacities: what changes no chance by more than that."""

LOW, LACK = 0, 2

_CONTRADICTING = ((0, 1), (0, 2), (1, 3))
"""Facts that together cannot be more than the capacity."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of k channels: scid uint64[k] ascending, capacity int64[k], value int64[4, k], at_s float64[4,
    k]."""

    scid: NDArray[np.uint64]
    capacity_msat: Ints
    value_msat: Ints
    at_s: Floats

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Table:
        return Table(self.scid[rows], self.capacity_msat[rows], self.value_msat[:, rows], self.at_s[:, rows])


EMPTY = Table(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros((4, 0), np.int64), np.zeros((4, 0)))


_FEES_MSAT = 5_000_000

Amounts = TypeVar("Amounts", int, Ints)


def reserved_by_one(capacity_msat: Amounts) -> Amounts:
    """The most that one side cannot forward of what it has: 1 % of reserve (BOLT 2), and 5,000 sat.

    The latter are the fees of a commitment with some HTLCs at 10 sat/vB and its two anchors. Where fees are higher
    a belief is wrong by that much, which doubt and fading allow for.
    """
    return capacity_msat // 100 + (1 + _FEES_MSAT)


def reserved(capacity_msat: Amounts) -> Amounts:
    """The most of a channel that neither side can forward; only its opener pays the fees."""
    return 2 * reserved_by_one(capacity_msat) - _FEES_MSAT


def half_lives_column(half_lives: HalfLives) -> Floats:
    """float64[4, 1], by row."""
    success, failure = half_lives.success_s, half_lives.failure_s
    return np.array([[success], [success], [failure], [failure]])


def holding(table: Table, half_life_s: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """The values that count, 0 for those that a newer one contradicts; and where refusals speak for the other
    side.

    Shapes int64[4, k], bool[k]. Two refusals that cannot both be for lack of balance say nothing of the other
    side, but each still counts for its own.
    """
    value = table.value_msat.copy()
    for one, other in _CONTRADICTING:
        late = np.maximum(table.at_s[one], table.at_s[other])
        both = faded_columns(value[one], table.at_s[one], late, half_life_s[one])
        both = both + faded_columns(value[other], table.at_s[other], late, half_life_s[other])
        wrong = both > table.capacity_msat
        older = table.at_s[one] < table.at_s[other]
        value[one, wrong & older] = 0
        value[other, wrong & ~older] = 0
    late = np.maximum(table.at_s[2], table.at_s[3])
    missing = faded_columns(value[2], table.at_s[2], late, half_life_s[2])
    missing = missing + faded_columns(value[3], table.at_s[3], late, half_life_s[3])
    return value, missing <= table.capacity_msat + reserved(table.capacity_msat)


def agreeing(table: Table, half_life_s: Floats) -> Table:
    """Facts that all hold, as others can read them: none at odds with another but for its age.

    Of 600,000 sat seen yesterday 150,000 may be left when 200,000 are refused: both hold, but "at least 600,000"
    does not go with "below 200,000" until it is faded to the time of that. How it fades on is the same.
    """
    value, at_s = table.value_msat.copy(), table.at_s.copy()
    for pair in _CONTRADICTING:
        late = np.maximum(*(at_s[fact] for fact in pair))
        odd = value[pair[0]] + value[pair[1]] > table.capacity_msat
        for fact in pair:
            left = faded_columns(value[fact], at_s[fact], late, half_life_s[fact])
            value[fact] = np.where(odd, left, value[fact])
            at_s[fact] = np.where(odd, late, at_s[fact])
    return Table(table.scid, table.capacity_msat, value, at_s)


def bounds(table: Table, value: Ints, speaks: NDArray[np.bool_], now_s: float, half_life_s: Floats) -> Ints:
    """Bounds of both sides at `now_s`, int64[4, k]: low 0, low 1, high 0, high 1. `value`, `speaks`: `holding`."""
    left = faded_columns(value, table.at_s, now_s, half_life_s)
    low, lack = left[:2], left[2:]
    # Both sides together have at most the capacity, and at least that less what is reserved.
    high = table.capacity_msat - np.maximum(lack, low[::-1])
    other = np.where(speaks, lack[::-1] - reserved(table.capacity_msat), 0)
    np.maximum(low, np.minimum(other, high), out=low)
    np.minimum(low, high, out=low)
    return np.concatenate((low, high))


def grown(table: Table, capacities: Mapping[Scid, int]) -> Table:
    """With rows for these channels; one whose capacity is another now starts anew. The same table if it has
    them."""
    scids = np.array(sorted(capacities), np.uint64)
    sizes = np.array([capacities[Scid(scid)] for scid in scids.tolist()], np.int64)
    at, known = find(table, scids)
    rows = at[known]
    other = table.capacity_msat[rows] != sizes[known]
    if other.any():
        table = Table(table.scid, table.capacity_msat.copy(), table.value_msat.copy(), table.at_s.copy())
        table.capacity_msat[rows] = sizes[known]
        table.value_msat[:, rows[other]] = 0
    if known.all():
        return table
    at, new = at[~known], ~known
    return Table(
        np.insert(table.scid, at, scids[new]),
        np.insert(table.capacity_msat, at, sizes[new]),
        np.insert(table.value_msat, at, 0, axis=1),
        np.insert(table.at_s, at, 0.0, axis=1),
    )


def find(table: Table, scids: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each channel is or would be, and whether it is there."""
    at = np.searchsorted(table.scid, scids)
    if not len(table.scid):
        return at, np.zeros(len(scids), np.bool_)
    return at, table.scid[np.minimum(at, len(table.scid) - 1)] == scids


def union(one: Table, other: Table, half_life_s: Floats) -> Table:
    """Of each fact the stronger; commutative, associative and idempotent.

    Of a channel with two capacities the larger holds, with its facts.
    """
    scid = np.union1d(one.scid, other.scid)
    spread = [_spread(table, scid) for table in (one, other)]
    capacity = np.maximum(spread[0].capacity_msat, spread[1].capacity_msat)
    for table in spread:
        table.value_msat[:, table.capacity_msat != capacity] = 0
    strengths = [strength(table.value_msat, table.at_s, half_life_s) for table in spread]
    # A tie is decided by the newer, then by the larger, so that it does not matter which of them is the other.
    (value, at_s), (value_2, at_2) = ((table.value_msat, table.at_s) for table in spread)
    newer = (at_s > at_2) | ((at_s == at_2) & (value >= value_2))
    first = (strengths[0] > strengths[1]) | ((strengths[0] == strengths[1]) & newer)
    value, at_s = np.where(first, value, value_2), np.where(first, at_s, at_2)
    return Table(scid, capacity, value, np.where(value > 0, at_s, 0.0))


def shrunk(table: Table, now_s: float, half_life_s: Floats) -> Table:
    """At most `MOST_CHANNELS`; those that say least go first."""
    if len(table.scid) <= MOST_CHANNELS:
        return table
    keep = np.sort(np.argsort(_said(table, now_s, half_life_s), kind="stable")[-_KEEP:])
    return table.take(keep)


def tidied(table: Table, now_s: float, half_life_s: Floats) -> Table:
    """Without the channels of which next to nothing is left; the same table if there are none."""
    keep = _said(table, now_s, half_life_s) >= _NEXT_TO_NOTHING
    return table if keep.all() else table.take(keep)


def _said(table: Table, now_s: float, half_life_s: Floats) -> Floats:
    """How much is known of each channel, in capacities, 0 to 4."""
    left = faded_columns(table.value_msat, table.at_s, now_s, half_life_s)
    said: Floats = left.sum(axis=0) / np.maximum(table.capacity_msat, 1)
    return said


def dated_until(table: Table, now_s: float) -> Table:
    """The same with no fact dated later than `now_s`."""
    return Table(table.scid, table.capacity_msat, table.value_msat, np.minimum(table.at_s, now_s))


def table_of(rows: Iterable[tuple[int, int, tuple[int, ...], tuple[float, ...]]]) -> Table:
    """Of (scid, capacity, four values, their four times), in any order, each channel once."""
    ordered = sorted(rows)
    if not ordered:
        return EMPTY
    scids, sizes, values, times = zip(*ordered, strict=True)
    return Table(
        np.array(scids, np.uint64),
        np.array(sizes, np.int64),
        np.array(values, np.int64).T.copy(),
        np.array(times, np.float64).T.copy(),
    )


def _spread(table: Table, scid: NDArray[np.uint64]) -> Table:
    """The same with rows for all of `scid`, which has all of its own."""
    at = np.searchsorted(scid, table.scid)
    capacity, times = np.zeros(len(scid), np.int64), np.zeros((4, len(scid)))
    value = np.zeros((4, len(scid)), np.int64)
    capacity[at], value[:, at], times[:, at] = table.capacity_msat, table.value_msat, table.at_s
    return Table(scid, capacity, value, times)
