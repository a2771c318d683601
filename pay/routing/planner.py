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
from pay.routing.constrained import Labels
from pay.routing.costs import Prices
from pay.routing.explanation import over_limit, why_none
from pay.routing.multi_part import Splitter
from pay.routing.part_sizes import jittered
from pay.routing.problem import Terrain
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
    if query.max_parts > USUAL_CHUNKS and single is None and (counts := _full(terrain, query)):
        many = Splitter(terrain, query, in_flight, searches, counts=counts)
        return many.solve(None), many
    splitter = Splitter(terrain, query, in_flight, searches)
    routes = splitter.solve(single)
    if routes or single or splitter.over or splitter.spent or query.preferences.min_part_msat <= 1:
        return routes, splitter
    # Parts smaller than asked for are better than none.
    crumbs = query.with_parts_of_any_size
    smaller = Splitter(terrain, crumbs, in_flight, splitter.searches, most_msat=splitter.most_msat)
    return smaller.solve(None), smaller


def _full(terrain: Terrain, query: RouteQuery) -> list[int]:
    """Numbers of chunks where so many parts are needed that each is about as large as the widest way takes; none
    where they are not."""
    widest = Reach(terrain).most(query.amount_msat)
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
    terrain: Terrain, query: RouteQuery, found: OverLimit | None
) -> tuple[tuple[Route, ...] | OverLimit | None, bool]:
    """Several routes over many ways at once, or the best plan that breaks a limit; and whether there are none
    better."""
    floor_msat, rounded = least_fee(terrain, query), rounded_msat(query.max_parts, query.max_hops)
    too_dear = found is not None and found.limit is Limit.FEE and query.max_fee_msat < floor_msat - rounded
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
    counts = _counts(terrain, query)
    if terrain is None or not terrain.peers or all(too_much(terrain, asked) for asked in counts):
        return why_none(overlay, terrain, counts[-1])
    found, searches, cut_off = _one(terrain, query)
    if not isinstance(found, Route) and (least := _least(terrain, query, found)) is not None:
        several = counts[-1].max_parts > 1
        if several and (found is None or found.use > least * _NEAR):
            found = _nearest(terrain, counts, in_flight, searches, found)
        if found is not None:
            return over_limit(query, found, proven=not several or found.use <= least)
    spent = searches >= query.max_searches
    if not isinstance(found, Route) and not cut_off and not spent:
        found, spent = _exactly(terrain, query, found)
    most, proven = None, True
    for asked in counts:
        if asked.max_parts == 1 or (found is None and not _possible(terrain, asked)):
            continue
        routes, splitter = _split(terrain, asked, in_flight, searches, found)
        over = splitter.over
        if over is not None and (found is None or (isinstance(found, OverLimit) and _nearer(over, found))):
            found = over
        if routes is None and not isinstance(found, Route):
            spent, proven = spent | splitter.spent, False
            most = most_in_parts(terrain, asked) if splitter.most_msat is None else splitter.most_msat
            if most >= query.amount_msat and thorough and asked.max_parts <= asked.door_parts:
                answer, proven = _program(terrain, asked, found)
                routes, found = (answer, found) if isinstance(answer, tuple) else (None, answer)
                spent = not proven
        if routes:
            return jittered(terrain, asked, routes) if query.preferences.randomness > 0 else routes
        if isinstance(found, Route) or not _more_may_help(asked, found, splitter):
            break
    match found:
        case Route():
            return (found,)
        case OverLimit():
            return over_limit(query, found, proven=proven)
        case None:
            return why_none(overlay, terrain, counts[-1], gave_up=spent, most_msat=most)


def _counts(terrain: Terrain | None, query: RouteQuery) -> list[RouteQuery]:
    """The same question for as few parts as should be, for more, and at last for any number over one channel."""
    slots = sum(channel.free_htlcs for own in terrain.peers.values() for channel in own) if terrain else 0
    most = max(query.max_parts, query.most_parts)
    counts = [replace(query, max_parts=min(query.max_parts, max(slots, 1)), most_parts=most)]
    if min(most, slots) > query.max_parts:
        searches = min(query.max_searches, _MORE_SEARCHES)
        counts.append(replace(counts[0], max_parts=min(most, slots), max_searches=searches))
    if counts[-1].max_parts > query.door_parts:
        counts.append(replace(counts[-1], door_parts=counts[-1].max_parts))
    return counts


def _possible(terrain: Terrain, query: RouteQuery) -> bool:
    """Whether so many parts may carry the amount, as far as a look tells: one is as large as their mean."""
    return not too_much(terrain, query) and Reach(terrain).carries_mean(query.amount_msat, query.max_parts)


def _more_may_help(query: RouteQuery, found: OverLimit | None, splitter: Splitter) -> bool:
    """Whether more parts than these may find what they did not."""
    many = found is None or 2 * len(found.routes) > query.max_parts
    return many and (query.door_parts < query.max_parts) <= splitter.crowded


def _least(terrain: Terrain, query: RouteQuery, found: OverLimit | None) -> float | None:
    """Where no plan in any number of parts keeps the limit that was broken, or that of fees where one part found
    no way: the least that any uses of it. Else None."""
    match Limit.FEE if found is None else found.limit:
        case Limit.FEE:
            fee, rounded = least_fee(terrain, query), ROUNDED_MSAT
            if found is None:  # So there are many parts, and each fee of each is rounded down.
                rounded = rounded_msat(max(query.max_parts, query.most_parts), query.max_hops)
            return fee + ROUNDED_MSAT if query.max_fee_msat + rounded < fee < inf else None
        case Limit.DELAY:
            assert found is not None
            blocks = query.final_cltv + least_blocks(terrain, query, found.use - query.final_cltv)
            return blocks + 0.5 if blocks > query.max_delay + 0.5 else None
        case Limit.HOPS:
            return None


def _nearest(
    terrain: Terrain,
    counts: Sequence[RouteQuery],
    in_flight: Mapping[ScidDir, int],
    searches: int,
    found: OverLimit | None,
) -> OverLimit | None:
    """The plan that breaks its limit least, as far as one look finds, where none keeps it."""
    asked, full = counts[0], list[int]()
    if found is None:
        if not _possible(terrain, asked) and not _possible(terrain, asked := counts[-1]):
            return None
        full = _full(terrain, asked) if asked.max_parts > USUAL_CHUNKS else []
    limit = Limit.FEE if found is None else found.limit
    splitter = Splitter(terrain, asked, in_flight, searches, only=limit, counts=full)
    splitter.solve(None)
    over = splitter.over
    return over if over is not None and (found is None or _nearer(over, found)) else found


def _one(terrain: Terrain, query: RouteQuery) -> tuple[Route | OverLimit | None, int, bool]:
    """The best single route, how many searches that took, and whether no path carries it."""
    usable = terrain.arcs.usable(query.amount_msat)
    search = SinglePath(terrain, query, terrain.arcs.with_noise(usable, query))
    found = search.solve()
    if found is None:
        # Fees add to the amount on the way, so an arc that asks for a little more than the query's may serve.
        wider = terrain.arcs.usable(query.amount_msat, slack_msat=query.max_fee_msat)
        if wider.terms.carries.sum() > usable.terms.carries.sum():
            search = SinglePath(terrain, query, wider, search.searches)
            found = search.solve()
    return found, search.searches, search.cut_off
