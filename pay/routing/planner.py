"""From a query to a plan: the routes that deliver its amount within its limits, or why there are none.

One path is tried first: for most amounts it is as good as any number. Several are tried where it leaves
something to gain, or where there is none within the limits.

Every plan is verified against its query before it leaves (`check`); one that fails there is an error of this
room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil

from pay.liquidity.knowledge import NOTHING_KNOWN, Knowledge
from pay.network import Overlay
from pay.routing.bounds import ROUNDED_MSAT, least_fee, most_in_parts, too_much
from pay.routing.costs import Prices
from pay.routing.jitter import jittered
from pay.routing.labels import Labels
from pay.routing.query import NoRoute, NoRouteReason, Route, RouteQuery
from pay.routing.reasons import over_limit, why_none
from pay.routing.shadow import lengthened
from pay.routing.single import TIE, Limit, OverLimit, SinglePath
from pay.routing.split import Splitter
from pay.routing.terrain import Terrain
from pay.routing.verify import check
from pay.units import ScidDir

_NOTHING: Mapping[ScidDir, int] = {}

_CONFIRMING = 4
"""Plans made to say what could be sent instead: each is nearer to the most."""


def plan(
    overlay: Overlay,
    query: RouteQuery,
    in_flight: Mapping[ScidDir, int] = _NOTHING,
    knowledge: Knowledge = NOTHING_KNOWN,
) -> tuple[Route, ...] | NoRoute:
    """The best routes for a query.

    Parameters
    ----------
    overlay
        The network as this query sees it; its source and recipient are the query's.
    in_flight
        What we have under way on channels of others, msat.
    knowledge
        What is believed of balances and nodes; it makes ways dearer or cheaper, and closes none.

    Returns
    -------
    Routes that together deliver `query.amount_msat`, or why there are none. The same arguments give the same
    answer.

    Raises
    ------
    ValueError
        If the query cannot be asked: no amount, or we are the recipient.
    PlanError
        If the plan breaks its own query: an error of the planner.
    """
    if query.amount_msat <= 0:
        raise ValueError(f"nothing to deliver: {query.amount_msat} msat")
    if query.source == query.destination:
        raise ValueError("a route leads to another node")
    found = _solve(overlay, query, in_flight, knowledge)
    if isinstance(found, NoRoute):
        return _confirmed(overlay, query, in_flight, knowledge, found)
    routes = lengthened(query, found)
    check(overlay, query, routes)
    return routes


def explain(
    overlay: Overlay,
    query: RouteQuery,
    in_flight: Mapping[ScidDir, int] = _NOTHING,
    knowledge: Knowledge = NOTHING_KNOWN,
) -> NoRoute | None:
    """Why `plan` has no routes; None if it has some. Arguments and exceptions as there."""
    planned = plan(overlay, query, in_flight, knowledge)
    return planned if isinstance(planned, NoRoute) else None


def _nearer(one: OverLimit, other: OverLimit) -> bool:
    return one.limit is other.limit and one.use < other.use


def _exactly(
    terrain: Terrain, query: RouteQuery, found: OverLimit | None
) -> tuple[Route | OverLimit | None, bool]:
    """What prices for limits have missed, if there is something; else the least fee within the other limits. And
    whether it gave up."""
    goal, usable = Prices.of(query), terrain.arcs.usable(query.amount_msat, query.max_fee_msat)
    labels = Labels(terrain, query, usable, goal)
    route = labels.best()
    if route is not None or found is None or found.limit is not Limit.FEE:
        return route or found, labels.spent
    dear = replace(query, max_fee_msat=found.use)
    cheapest = Labels(terrain, dear, usable, Limit.FEE.value.plus(goal, TIE)).best()
    return found if cheapest is None else replace(found, routes=(cheapest,)), labels.spent


def _split(
    terrain: Terrain,
    query: RouteQuery,
    in_flight: Mapping[ScidDir, int],
    searches: int,
    found: Route | OverLimit | None,
) -> tuple[tuple[Route, ...] | None, Splitter]:
    """Several routes, if they are better than the one found, and who looked for them last."""
    single = found if isinstance(found, Route) else None
    splitter = Splitter(terrain, query, in_flight, searches)
    routes = splitter.solve(single)
    if routes or single or splitter.over or splitter.spent or query.min_part_msat <= 1:
        return routes, splitter
    # Parts smaller than asked for are better than none.
    smaller = Splitter(terrain, replace(query, min_part_msat=0), in_flight, splitter.searches)
    return smaller.solve(None), smaller


def _confirmed(
    overlay: Overlay,
    query: RouteQuery,
    in_flight: Mapping[ScidDir, int],
    knowledge: Knowledge,
    none: NoRoute,
) -> NoRoute:
    """The same with what a plan delivers in place of what our own channels hold: fees come off that.

    The fee limit is taken to be a share of the amount, and a tenth of it at most.
    """
    held = none.max_sendable_msat
    if not held or none.reason is not NoRouteReason.INSUFFICIENT_SPENDABLE:
        return none
    allowed, sendable = min(query.max_fee_msat / query.amount_msat, 0.1), 0
    amount = int(held / (1 + allowed))
    for _ in range(_CONFIRMING):
        limit = -(-query.max_fee_msat * amount // query.amount_msat)
        smaller = replace(query, amount_msat=amount, max_fee_msat=limit)
        routes = _solve(overlay, smaller, in_flight, knowledge, thorough=False) if amount else none
        if isinstance(routes, NoRoute):
            break
        sendable, fees = amount, sum(route.fee_msat for route in routes)
        # A little more may go, with fees that grow as it does, and at last by what they were.
        amount = held - ceil(fees * held / (amount + fees))
        if amount - sendable <= sendable >> 14:
            amount = held - fees
        if amount <= sendable:
            break
    return replace(none, max_sendable_msat=sendable, sendable_bound=False) if sendable else none


def _program(
    terrain: Terrain, query: RouteQuery, found: OverLimit | None
) -> tuple[tuple[Route, ...] | OverLimit | None, bool]:
    """Several routes over many ways at once, or the best plan that breaks a limit; and whether there are none
    better."""
    floor_msat = least_fee(terrain, query)
    too_dear = found is not None and found.limit is Limit.FEE and query.max_fee_msat < floor_msat - ROUNDED_MSAT
    if found is not None and too_dear:
        return found, found.use <= floor_msat + ROUNDED_MSAT
    # Imported where it is needed, which is seldom: SciPy's programs take 17 MB and 150 ms.
    from pay.routing.program import Program

    program = Program(terrain, query)
    answer = program.solve()
    if isinstance(answer, tuple):
        return answer, True
    if answer is None or (found is not None and not _nearer(answer, found)):
        answer = found
    if answer is None:
        return None, program.complete
    return answer, answer.limit is Limit.FEE and answer.use <= floor_msat + ROUNDED_MSAT


def _solve(
    overlay: Overlay,
    query: RouteQuery,
    in_flight: Mapping[ScidDir, int],
    knowledge: Knowledge,
    *,
    thorough: bool = True,
) -> tuple[Route, ...] | NoRoute:
    """Routes, or why there are none; `thorough` is whether the last resort is tried."""
    terrain = Terrain.of(overlay, query.destination, in_flight, knowledge)
    if terrain is None or not terrain.peers or too_much(terrain, query):
        return why_none(overlay, terrain, query)
    usable = terrain.arcs.usable(query.amount_msat)
    noisy = terrain.arcs.with_noise(usable, query)
    search = SinglePath(terrain, query, noisy)
    found = search.solve()
    if found is None:
        # Fees add to the amount on the way, so an arc that asks for a little more than the query's may serve.
        wider = terrain.arcs.usable(query.amount_msat, slack_msat=query.max_fee_msat)
        if wider.terms.carries.sum() > usable.terms.carries.sum():
            search = SinglePath(terrain, query, wider, search.searches)
            found = search.solve()
    spent, most, proven = search.searches >= query.max_searches, None, True
    if not isinstance(found, Route) and not search.cut_off and not spent:
        found, spent = _exactly(terrain, query, found)
    if query.max_parts > 1:
        routes, splitter = _split(terrain, query, in_flight, search.searches, found)
        over = splitter.over
        if over is not None and (found is None or (isinstance(found, OverLimit) and _nearer(over, found))):
            found = over
        if routes is None and not isinstance(found, Route):
            most = most_in_parts(terrain, query) if splitter.most_msat is None else splitter.most_msat
            if most >= query.amount_msat and thorough:
                answer, proven = _program(terrain, query, found)
                routes, found = (answer, None) if isinstance(answer, tuple) else (None, answer)
                spent = not proven
        if routes:
            return jittered(terrain, query, routes) if query.randomness > 0 else routes
    match found:
        case Route():
            return (found,)
        case OverLimit():
            return over_limit(query, found, proven=proven)
        case None:
            return why_none(overlay, terrain, query, gave_up=spent, most_msat=most)
