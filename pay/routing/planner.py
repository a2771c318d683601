"""From a query to a plan: the routes that deliver its amount within its limits, or why there are none.

One path is tried first: for most amounts it is as good as any number. Several are tried where it leaves
something to gain, or where there is none within the limits.

Every plan is verified against its query before it leaves (`check`); one that fails there is an error of this
room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, inf

from pay.liquidity.knowledge import NOTHING_KNOWN, Knowledge
from pay.network import Overlay
from pay.routing.bounds import (
    ROUNDED_MSAT,
    door_out,
    least_blocks,
    least_fee,
    most_in_parts,
    most_through,
    rounded_msat,
    too_much,
)
from pay.routing.constrained import ConstrainedPath
from pay.routing.costs import Prices
from pay.routing.explanation import over_limit, why_none
from pay.routing.multi_part import MultiPart
from pay.routing.part_sizes import varied_sizes
from pay.routing.problem import Problem
from pay.routing.query import NoRoute, NoRouteReason, Route, RouteQuery
from pay.routing.reach import Reach
from pay.routing.shadow import lengthened
from pay.routing.single_path import TIE, Limit, OverLimit, SinglePath
from pay.routing.verify import check
from pay.units import ScidDir

_NOTHING: Mapping[ScidDir, int] = {}

_MORE_SEARCHES = 60
"""Of a plan of more parts than usual, some 2 ms each: whoever is told that there is none does not wait long."""

_NEAR = 1.02
"""A route that uses so many times the least of a limit that any could is as good an answer as a plan that takes
long."""

USUAL_CHUNKS = 24
"""Where more parts are needed, each of them is a chunk."""

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
    problem: Problem, query: RouteQuery, found: OverLimit | None
) -> tuple[Route | OverLimit | None, bool]:
    """What prices for limits have missed, if there is something; else the least fee within the other limits. And
    whether it gave up."""
    goal, usable = Prices.of(query), problem.arcs.usable(query.amount_msat, query.max_fee_msat)
    constrained = ConstrainedPath(problem, query, usable, goal)
    route = constrained.best()
    if route is not None or found is None or found.limit is not Limit.FEE:
        return route or found, constrained.spent
    dear = replace(query, max_fee_msat=found.use)
    cheapest = ConstrainedPath(problem, dear, usable, Limit.FEE.value.plus(goal, TIE)).best()
    return found if cheapest is None else replace(found, routes=(cheapest,)), constrained.spent


def _in_parts(
    problem: Problem,
    query: RouteQuery,
    in_flight: Mapping[ScidDir, int],
    searches: int,
    found: Route | OverLimit | None,
) -> tuple[tuple[Route, ...] | None, MultiPart]:
    """Several routes, if they are better than the one found, and who looked for them last."""
    single = found if isinstance(found, Route) else None
    if query.max_parts > USUAL_CHUNKS and single is None and (counts := _full(problem, query)):
        many = MultiPart(problem, query, in_flight, searches, counts=counts)
        return many.solve(None), many
    multi_part = MultiPart(problem, query, in_flight, searches)
    routes = multi_part.solve(single)
    if routes or single or multi_part.over or multi_part.spent or query.preferences.min_part_msat <= 1:
        return routes, multi_part
    # Parts smaller than asked for are better than none.
    crumbs = query.with_parts_of_any_size
    smaller = MultiPart(problem, crumbs, in_flight, multi_part.searches, most_msat=multi_part.most_msat)
    return smaller.solve(None), smaller


def _full(problem: Problem, query: RouteQuery) -> list[int]:
    """Numbers of chunks where so many parts are needed that each is about as large as the widest way takes; none
    where they are not."""
    widest = Reach(problem).most(query.amount_msat)
    least = -(-query.amount_msat * 1_001 // (1_000 * widest)) if widest else query.max_parts + 1
    if not USUAL_CHUNKS < least <= query.max_parts:
        return []
    return [least, (least + query.max_parts) // 2, query.max_parts]


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
    if most_through(map(door_out, overlay.own), query.max_parts) < held:
        # Such a plan takes long, and this is no answer to wait for.
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
    problem: Problem, query: RouteQuery, found: OverLimit | None
) -> tuple[tuple[Route, ...] | OverLimit | None, bool]:
    """Several routes over many ways at once, or the best plan that breaks a limit; and whether there are none
    better."""
    floor_msat, rounded = least_fee(problem, query), rounded_msat(query.max_parts, query.max_hops)
    too_dear = found is not None and found.limit is Limit.FEE and query.max_fee_msat < floor_msat - rounded
    if found is not None and too_dear:
        return found, found.use <= floor_msat + ROUNDED_MSAT
    # Imported where it is needed, which is seldom: SciPy's programs take 17 MB and 150 ms.
    from pay.routing.program import Program

    program = Program(problem, query)
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
    problem = Problem.of(overlay, query.destination, in_flight, knowledge)
    counts = _counts(problem, query)
    if problem is None or not problem.peers or all(too_much(problem, asked) for asked in counts):
        return why_none(overlay, problem, counts[-1])
    found, searches, cut_off = _one(problem, query)
    if not isinstance(found, Route) and (least := _least(problem, query, found)) is not None:
        several = counts[-1].max_parts > 1
        if several and (found is None or found.use > least * _NEAR):
            found = _nearest(problem, counts, in_flight, searches, found)
        if found is not None:
            return over_limit(query, found, proven=not several or found.use <= least)
    spent = searches >= query.max_searches
    if not isinstance(found, Route) and not cut_off and not spent:
        found, spent = _exactly(problem, query, found)
    most, proven = None, True
    for asked in counts:
        if asked.max_parts == 1 or (found is None and not _possible(problem, asked)):
            continue
        routes, multi_part = _in_parts(problem, asked, in_flight, searches, found)
        over = multi_part.over
        if over is not None and (found is None or (isinstance(found, OverLimit) and _nearer(over, found))):
            found = over
        if routes is None and not isinstance(found, Route):
            spent, proven = spent | multi_part.spent, False
            most = most_in_parts(problem, asked) if multi_part.most_msat is None else multi_part.most_msat
            if most >= query.amount_msat and thorough and asked.max_parts <= asked.door_parts:
                answer, proven = _program(problem, asked, found)
                routes, found = (answer, found) if isinstance(answer, tuple) else (None, answer)
                spent = not proven
        if routes:
            return varied_sizes(problem, asked, routes) if query.preferences.randomness > 0 else routes
        if isinstance(found, Route) or not _more_may_help(asked, found, multi_part):
            break
    match found:
        case Route():
            return (found,)
        case OverLimit():
            return over_limit(query, found, proven=proven)
        case None:
            return why_none(overlay, problem, counts[-1], gave_up=spent, most_msat=most)


def _counts(problem: Problem | None, query: RouteQuery) -> list[RouteQuery]:
    """The same question for as few parts as should be, for more, and at last for any number over one channel."""
    slots = sum(channel.free_htlcs for own in problem.peers.values() for channel in own) if problem else 0
    most = max(query.max_parts, query.most_parts)
    counts = [replace(query, max_parts=min(query.max_parts, max(slots, 1)), most_parts=most)]
    if min(most, slots) > query.max_parts:
        searches = min(query.max_searches, _MORE_SEARCHES)
        counts.append(replace(counts[0], max_parts=min(most, slots), max_searches=searches))
    if counts[-1].max_parts > query.door_parts:
        counts.append(replace(counts[-1], door_parts=counts[-1].max_parts))
    return counts


def _possible(problem: Problem, query: RouteQuery) -> bool:
    """Whether so many parts may carry the amount, as far as a look tells: one is as large as their mean."""
    return not too_much(problem, query) and Reach(problem).carries_mean(query.amount_msat, query.max_parts)


def _more_may_help(query: RouteQuery, found: OverLimit | None, multi_part: MultiPart) -> bool:
    """Whether more parts than these may find what they did not."""
    many = found is None or 2 * len(found.routes) > query.max_parts
    return many and (query.door_parts < query.max_parts) <= multi_part.crowded


def _least(problem: Problem, query: RouteQuery, found: OverLimit | None) -> float | None:
    """Where no plan in any number of parts keeps the limit that was broken, or that of fees where one part found
    no way: the least that any uses of it. Else None."""
    match Limit.FEE if found is None else found.limit:
        case Limit.FEE:
            fee, rounded = least_fee(problem, query), ROUNDED_MSAT
            if found is None:  # So there are many parts, and each fee of each is rounded down.
                rounded = rounded_msat(max(query.max_parts, query.most_parts), query.max_hops)
            return fee + ROUNDED_MSAT if query.max_fee_msat + rounded < fee < inf else None
        case Limit.DELAY:
            assert found is not None
            blocks = query.final_cltv + least_blocks(problem, query, found.use - query.final_cltv)
            return blocks + 0.5 if blocks > query.max_delay + 0.5 else None
        case Limit.HOPS:
            return None


def _nearest(
    problem: Problem,
    counts: Sequence[RouteQuery],
    in_flight: Mapping[ScidDir, int],
    searches: int,
    found: OverLimit | None,
) -> OverLimit | None:
    """The plan that breaks its limit least, as far as one look finds, where none keeps it."""
    asked, full = counts[0], list[int]()
    if found is None:
        if not _possible(problem, asked) and not _possible(problem, asked := counts[-1]):
            return None
        full = _full(problem, asked) if asked.max_parts > USUAL_CHUNKS else []
    limit = Limit.FEE if found is None else found.limit
    multi_part = MultiPart(problem, asked, in_flight, searches, only=limit, counts=full)
    multi_part.solve(None)
    over = multi_part.over
    return over if over is not None and (found is None or _nearer(over, found)) else found


def _one(problem: Problem, query: RouteQuery) -> tuple[Route | OverLimit | None, int, bool]:
    """The best single route, how many searches that took, and whether no path carries it."""
    usable = problem.arcs.usable(query.amount_msat)
    search = SinglePath(problem, query, problem.arcs.with_noise(usable, query))
    found = search.solve()
    if found is None:
        # Fees add to the amount on the way, so an arc that asks for a little more than the query's may serve.
        wider = problem.arcs.usable(query.amount_msat, slack_msat=query.max_fee_msat)
        if wider.costs.carries.sum() > usable.costs.carries.sum():
            search = SinglePath(problem, query, wider, search.searches)
            found = search.solve()
    return found, search.searches, search.cut_off
