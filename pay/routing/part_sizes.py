"""Parts of odd sizes: random amounts moved between pairs of parts of one plan.

A plan's parts are cut from equal chunks, so a part tells what the whole is, or that others of its size belong to
it. Near the best plan the price of a little more on one way and a little less on another hardly differs, so what
is moved costs next to nothing; a move that costs more, or that a channel or a limit does not take, is halved, or
left.

What it knowingly does not do: hide how many parts there are, or their sum from a node that sees them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pay.routing.costs import Prices
from pay.routing.exact import Load, Traced, Tracer
from pay.routing.problem import Problem
from pay.routing.query import Route, RouteQuery
from pay.routing.single_path import broken_by, worth

SHARE = 0.1
"""Of the smaller part of a pair, the most that is moved: about a chunk of most parts, so that sizes overlap."""

DEARER = 0.005
"""What a move may add to the cost of its pair, as a share of it: 1 sat where a plan costs 200."""

_TRIES = 3

_STREAM = 0x71773
"""Of the numbers drawn from a payment's seed, those that are used here."""


def varied_sizes(problem: Problem, query: RouteQuery, routes: Sequence[Route]) -> tuple[Route, ...]:
    """The same ways delivering the same in all, each part a little more or less; a single part stays as it is."""
    parts = list(routes)
    if len(parts) < 2:
        return tuple(parts)
    rng = np.random.default_rng((_STREAM, query.preferences.seed, query.amount_msat))
    order = rng.permutation(len(parts)).tolist()
    pairs = list(zip(order[::2], order[1::2], strict=False))
    if len(parts) % 2:
        pairs.append((order[-1], order[0]))
    load, prices = Load.of(parts), Prices.of(query)
    least = min(part.amount_msat for part in parts)
    usable = problem.arcs.usable(max(least - int(least * SHARE), 1), slack_msat=query.amount_msat)
    for one, other in pairs:
        most = int(min(parts[one].amount_msat, parts[other].amount_msat) * SHARE)
        move = int(rng.integers(-most, most + 1))
        rest = load.without(parts[one]).without(parts[other])
        for _ in range(_TRIES):
            tracer = Tracer(problem, usable, query, prices, load=Load(rest.msat.copy(), rest.htlcs.copy()))
            moved = _moved(tracer, (parts[one], parts[other]), move)
            changed = parts.copy()
            if moved is not None:
                changed[one], changed[other] = moved
                if not broken_by(query, changed):
                    parts, load = changed, Load.of(changed)
                    break
            move //= 2
    return tuple(parts)


def _moved(tracer: Tracer, pair: tuple[Route, Route], move_msat: int) -> tuple[Route, Route] | None:
    """The pair with so much moved from the second to the first; None where that does not fit or costs too much.

    `tracer` has the load of the other parts.
    """
    problem, query, prices = tracer.problem, tracer.query, tracer.prices
    traced: list[Route] = []
    for route, more in zip(pair, (move_msat, -move_msat), strict=True):
        amount = route.amount_msat + more
        if amount < min(query.preferences.min_part_msat, route.amount_msat) or amount <= 0:
            return None
        path = [problem.overlay.node_number(hop.node) for hop in route.hops]
        part = tracer.trace([node for node in path if node is not None], amount)
        if not isinstance(part, Traced):
            return None
        tracer.load.add(part.route)
        traced.append(part.route)
    before, after = (sum(_cost(query, route, prices) for route in two) for two in (pair, traced))
    return (traced[0], traced[1]) if after <= before * (1 + DEARER) else None


def _cost(query: RouteQuery, route: Route, prices: Prices) -> float:
    """Of one part, time priced by the amount that it locks, msat."""
    return worth(route, prices._replace(block=prices.block * route.amount_msat / query.amount_msat))
