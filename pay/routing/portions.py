"""How much goes which way, in how many HTLCs: SciPy's linear and integer programs over ways (HiGHS).

Its budget is a number of nodes, not a clock. Odds are linear here, as `ways` has them: so channels are filled to
nine tenths first, and to the brim only where less is not enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from pay.routing.query import RouteQuery
from pay.routing.ways import Way
from pay.units import ScidDir

_NODES = 400
"""Of the integer program's tree, a millisecond each at most."""

_LONGEST_S = 2.0
"""Seconds; a net below that budget: within a node HiGHS has been seen to go round for ever, and all that is
planned after it waits. A program that is cut off has no answer."""

_ROOMY = 4
"""A channel that takes so many times the amount stands in nobody's way; as a row of the program its figure would
be too large beside the others (behind a route hint a channel takes any amount), which HiGHS does not bear."""

_INFEASIBLE = 2
"""SciPy's status."""

_GAP = 0.01
"""What a plan may cost more than the best one."""

_UNSENT = 10.0
"""Price of what is not sent, msat a msat: more than any way costs by a wide margin."""

Floats = NDArray[np.float64]


class Portion(NamedTuple):
    """What arrives by one way, msat, in so many HTLCs."""

    way: Way
    amount_msat: float
    htlcs: int


@dataclass(slots=True)
class Duals:
    """What one more is worth, msat a msat: of fee, and of what passes a channel; `short` is whether not all can be
    sent."""

    fee: float = 0.0
    short: bool = True
    channels: dict[ScidDir, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Channel:
    """Who uses a channel: positions of ways, factors and bases; `ours` is whether it is, `slots` how many HTLCs it
    takes."""

    room_msat: int
    slots: int
    ours: bool
    ways: list[int] = field(default_factory=list)
    factors: list[float] = field(default_factory=list)
    bases: list[float] = field(default_factory=list)


def _channels(ways: Sequence[Way], query: RouteQuery) -> dict[ScidDir, _Channel]:
    channels: dict[ScidDir, _Channel] = {}
    for at, way in enumerate(ways):
        for number, use in enumerate(way.uses):
            slots = way.channel.free_htlcs if not number else query.max_parts
            slots = query.door_parts if number and number == len(way.uses) - 1 else slots
            channel = channels.setdefault(use.named, _Channel(use.room_msat, slots, not number))
            channel.ways.append(at)
            channel.factors.append(use.factor)
            channel.bases.append(use.base_msat)
    for channel in channels.values():
        channel.room_msat = min(channel.room_msat, _ROOMY * query.amount_msat)
    return channels


def _unit(query: RouteQuery) -> float:
    """Amounts are counted in this, msat: the programs' figures are good to a ten millionth."""
    return max(query.amount_msat / 1e6, 1.0)


def duals(ways: Sequence[Way], query: RouteQuery) -> Duals:
    """The dual prices of the linear program over some ways, in which an HTLC is as good as its share of one."""
    unit, channels = _unit(query), _channels(ways, query)
    most = np.array([way.most_msat for way in ways], np.float64)
    fees = np.array([way.fee + way.base_msat / way.most_msat for way in ways])
    rows, limits = [fees, unit / most], [query.max_fee_msat / unit, float(query.max_parts)]
    for channel in channels.values():
        row = np.zeros(len(ways))
        row[channel.ways] = channel.factors + np.array(channel.bases) / most[channel.ways]
        rows.append(row)
        limits.append(channel.room_msat / unit)
    # The last column is what is not sent.
    table = np.column_stack((np.array(rows), np.zeros(len(rows))))
    costs = [way.cost + (way.htlc_cost + query.more_part_msat) / way.most_msat for way in ways] + [_UNSENT]
    whole = np.ones((1, len(ways) + 1))
    found = linprog(costs, table, limits, whole, [query.amount_msat / unit], method="highs")
    if found.x is None:
        return Duals()
    fee, _, *prices = (-found.ineqlin.marginals).tolist()
    short = found.x[-1] > 1e-6 * query.amount_msat / unit
    worth = {named: price for named, price in zip(channels, prices, strict=True) if price > 0}
    return Duals(fee, bool(short), worth)


def portions(ways: Sequence[Way], query: RouteQuery, fill: float, *, frugal: bool = False) -> list[Portion] | None:
    """What goes which way, at the least cost; None where nothing does, and nothing where no way was found in time.

    Parameters
    ----------
    fill
        The share of their room that channels of others may be filled to.
    frugal
        At the least fee instead, whatever is allowed.
    """
    unit, count = _unit(query), len(ways)
    if not count:
        return None
    nothing, ones = np.zeros(count), np.ones(count)
    fees = np.array([way.fee for way in ways]), np.array([way.base_msat for way in ways]) / unit
    amount = query.amount_msat / unit
    # Columns: what arrives by each way, then its HTLCs.
    rows: list[Floats] = [np.hstack((ones, nothing)), np.hstack((nothing, ones)), np.hstack(fees)]
    high = [amount, float(query.max_parts), inf if frugal else query.max_fee_msat / unit]
    for channel in _channels(ways, query).values():
        row = np.zeros(2 * count)
        row[channel.ways] = channel.factors
        row[[count + at for at in channel.ways]] = np.array(channel.bases) / unit
        rows.append(row)
        high.append(channel.room_msat * (1.0 if channel.ours else fill) / unit)
        if channel.slots < query.max_parts:
            row = np.zeros(2 * count)
            row[[count + at for at in channel.ways]] = 1.0
            rows.append(row)
            high.append(float(channel.slots))
    least = [min(max(way.least_msat, query.preferences.min_part_msat), query.amount_msat) / unit for way in ways]
    most = [way.most_msat / unit for way in ways]
    one = np.eye(count)
    table = np.vstack((*rows, np.hstack((one, -np.diag(most))), np.hstack((-one, np.diag(least)))))
    low = np.full(len(table), -inf)
    low[0] = amount
    limits = LinearConstraint(table, low, np.concatenate((high, np.zeros(2 * count))))
    costs = [way.cost for way in ways] + [(way.htlc_cost + query.more_part_msat) / unit for way in ways]
    found = milp(
        np.hstack(fees) if frugal else np.array(costs),
        constraints=limits,
        integrality=np.repeat([0, 1], count),
        bounds=Bounds(0.0, np.repeat([inf, float(query.max_parts)], count)),
        options={
            "node_limit": _NODES,
            "time_limit": _LONGEST_S,
            "mip_rel_gap": 1e-4 if frugal else _GAP,
        },
    )
    if found.x is None:
        return None if found.status == _INFEASIBLE else []
    amounts, htlcs = found.x[:count] * unit, np.rint(found.x[count:]).astype(int)
    return [
        Portion(way, amount, number)
        for way, amount, number in zip(ways, amounts.tolist(), htlcs.tolist(), strict=True)
        if number and amount >= 0.5
    ]
