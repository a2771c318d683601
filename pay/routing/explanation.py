"""Why there is no route, from the nearest obstacle to the farthest, with the figures that help.

Each question is asked of the arcs that remain when one kind of obstacle is lifted; see `reach`.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np

from pay.network import Overlay
from pay.routing.bounds import doors_in, least_fee, most_in_parts, most_through
from pay.routing.constrained import ConstrainedPath
from pay.routing.costs import Prices
from pay.routing.exact import most_own
from pay.routing.figures import about, at_most, in_parts, many, share
from pay.routing.ours import blocked, connected_to, no_more_parts, no_own, only_door, too_small
from pay.routing.problem import Problem
from pay.routing.query import NoRoute, NoRouteReason, Route, RouteQuery
from pay.routing.reach import Reach, largest_into
from pay.routing.single_path import TIE, Limit, OverLimit, SinglePath
from pay.units import MAX_MSAT, fee_msat, format_msat, format_scid

MAX_DELAY = 1 << 16
"""Blocks: more than any route locks funds."""

_OURS_MAY_HELP = frozenset({NoRouteReason.INSUFFICIENT_CAPACITY, NoRouteReason.GAVE_UP})
"""Reasons beside which it is said that a channel of ours with the recipient cannot be used now."""

_ANY_FEE_MSAT = 10**15
"""10,000 BTC: no limit to speak of."""


def over_limit(query: RouteQuery, found: OverLimit, *, proven: bool = True) -> NoRoute:
    """Routes exist, and the best of them break a limit; `proven` is whether there are none better."""
    fee, delay = Limit.FEE.use(found.routes), Limit.DELAY.use(found.routes)
    way = "plan found" if not proven else "route" if len(found.routes) == 1 else "plan"
    if len(found.routes) > 1:
        way += f", in {len(found.routes)} parts,"
    match found.limit:
        case Limit.FEE:
            within = f"within {query.max_delay} blocks " if found.jointly else ""
            reason, message = (
                NoRouteReason.TOO_EXPENSIVE,
                (
                    f"the cheapest {way} {within}costs {format_msat(fee)} ({share(fee, query.amount_msat)}) and "
                    f"at most {format_msat(query.max_fee_msat)} is allowed"
                ),
            )
            if delay > query.max_delay:
                message += f", and it may lock funds for {delay} blocks, more than the {query.max_delay} allowed"
        case Limit.DELAY:
            reason, message = (
                NoRouteReason.TOO_LONG,
                f"the quickest {way} may lock funds for {delay} blocks and at most {query.max_delay} are allowed",
            )
            if fee > query.max_fee_msat:
                allowed = format_msat(query.max_fee_msat)
                message += f", and it costs {format_msat(fee)}, more than the {allowed} allowed"
        case Limit.HOPS:
            over = found.use > query.max_hops
            room = f"at most {query.max_hops} are allowed" if over else "they fit in no onion"
            reason = NoRouteReason.TOO_MANY_HOPS
            message = f"the shortest {way} has {many(found.use, 'hop')} and {room}"
    if reason is not NoRouteReason.TOO_MANY_HOPS:
        # Both, where one alone would only lead to the next refusal.
        raised = ["maxfee or maxfeepercent"] if fee > query.max_fee_msat else []
        raised += ["maxdelay"] if delay > query.max_delay else []
        message += f"; raise {' and '.join(raised)} to pay"
    return NoRoute(reason, message, fee_msat=fee, delay_blocks=delay)


def why_none(
    overlay: Overlay,
    problem: Problem | None,
    query: RouteQuery,
    *,
    gave_up: bool = False,
    most_msat: int | None = None,
) -> NoRoute:
    """No path carries the amount: what stands in the way.

    `most_msat`: what so many parts carry at most, if that is known.
    """
    lifted = overlay.without_exclusions() if overlay.n_excluded else overlay
    everything = Problem.of(lifted, query.destination, {})
    if everything is None or not _known(everything):
        return _unknown(overlay, query)

    if problem is None or not problem.peers:
        return no_own(overlay, everything, query)
    reach = Reach(problem)
    why = (
        _excluded(reach, everything, query)
        or too_small(problem, query)
        or _never(reach, query)
        or only_door(problem, query)
        or _amount(reach, problem, query, most_msat)
    )
    if why is not None and why.reason is not NoRouteReason.BELOW_MINIMUM:
        return _with_ours(why, overlay, query)
    dear = None if gave_up and why is None else _lifted(problem, query)
    why = dear or why or _too_dear(problem, query) or _fees_too_much(problem, query)
    return _with_ours(why or _tried(problem, query, gave_up), overlay, query)


def _with_ours(why: NoRoute, overlay: Overlay, query: RouteQuery) -> NoRoute:
    """`why`, with a channel of ours that would be the shortest way if it could be used."""
    if why.reason not in _OURS_MAY_HELP or not (ours := blocked(overlay, query)) or ours in why.message:
        return why
    return replace(why, message=f"{why.message}; {ours}")


def _tried(problem: Problem, query: RouteQuery, gave_up: bool) -> NoRoute:
    amount, hinted = format_msat(query.amount_msat), _hinted(problem, query)
    dear = f"; the invoice's route hint asks {format_msat(hinted)} for that" if hinted > query.amount_msat else ""
    if gave_up:
        return NoRoute(
            NoRouteReason.GAVE_UP,
            f"no way to send {amount} {in_parts(query)} was found in "
            f"{many(query.max_searches, 'search', 'searches')}; there may be one{dear}",
        )
    most = _most_with_fees(problem, query) if query.max_parts == 1 else 0
    fee = _least_fee(problem, query)
    fees = f"fees of about {format_msat(fee)} or more" if fee else "the fees"
    return NoRoute(
        NoRouteReason.INSUFFICIENT_CAPACITY,
        f"no way to send {amount} {in_parts(query)}: with {fees} on top, channels on the way are too small"
        + (f"; {about(most)} can be sent" if most else "")
        + dear,
        max_sendable_msat=most or None,
    )


def _most_with_fees(problem: Problem, query: RouteQuery) -> int:
    """The largest amount below the query's that one route carries with its fees, to within 1/256 of it; 0 if none
    was found. The fee limit is taken to be a share of the amount."""
    low, high = 0, query.amount_msat
    for _ in range(8):
        middle = (low + high) // 2
        if not middle:
            break
        limit = -(-query.max_fee_msat * middle // query.amount_msat)
        smaller = replace(query, amount_msat=middle, max_fee_msat=limit)
        found = SinglePath(problem, smaller, problem.arcs.usable(middle)).solve()
        low, high = (middle, high) if isinstance(found, Route) else (low, middle)
    return low


def _lifted(problem: Problem, query: RouteQuery) -> NoRoute | None:
    """Fees add to the amount on the way: where that lifts it over all minima, there are routes, too dear ones."""
    dear = replace(query, max_fee_msat=_ANY_FEE_MSAT)
    usable = problem.arcs.usable(query.amount_msat, slack_msat=_ANY_FEE_MSAT)
    cheapest = ConstrainedPath(problem, dear, usable, Limit.FEE.value.plus(Prices.of(query), TIE)).best()
    return None if cheapest is None else over_limit(query, OverLimit(Limit.FEE, (cheapest,)))


def _excluded(reach: Reach, everything: Problem, query: RouteQuery) -> NoRoute | None:
    """Whether there is a way for the amount, but for the exclusions."""
    count, amount, parts = reach.problem.overlay.n_excluded, query.amount_msat, query.max_parts
    if not count or reach.carries_mean(amount, parts) or not Reach(everything).carries_mean(amount, parts):
        return None
    probe, most = _probe(query), None  # None: minima alone forbid it.
    if (part := reach.most(probe)) < probe:
        most = part * parts if parts == 1 else min(part * parts, most_in_parts(reach.problem, query))
    rest = "nothing can be sent without it"
    if most is None or most:
        up_to = "less" if most is None else f"no more than {at_most(most, amount)}"
        rest = f"{up_to} can be sent {in_parts(query)} without it"
    return NoRoute(
        NoRouteReason.EXCLUDED,
        f"every route for {format_msat(amount)} leads through something excluded "
        f"({many(count, 'channel direction')} in all); {rest}",
        max_sendable_msat=most,
        sendable_bound=True,
    )


def _probe(query: RouteQuery) -> int:
    """The least amount of which some path must carry a part, msat."""
    return -(-query.amount_msat // query.max_parts)


def _known(problem: Problem) -> bool:
    """Whether any channel leads to the recipient, of gossip's, of a hint's or of our own."""
    graph, target = problem.overlay.graph, problem.target
    in_graph = target < graph.n_nodes and len(graph.arcs_into(target)) > 0
    return in_graph or target in problem.peers or bool((problem.arcs.extra.target == target).any())


def _unknown(overlay: Overlay, query: RouteQuery) -> NoRoute:
    node, number = query.destination.hex(), len(overlay.hints)
    hints = "route hint" if number == 1 else f"{number} route hints"
    if ours := blocked(overlay, query):
        rest = f"its invoice's {hints} cannot be used" if overlay.hints else "its invoice no route hint"
        return NoRoute(NoRouteReason.OWN_CHANNEL, f"{ours}; it has no public channel that we know of, and {rest}")
    if overlay.hints:
        return NoRoute(
            NoRouteReason.BAD_HINTS,
            f"node {node} has no public channel that we know of, and its {hints} cannot be used; ask for a new "
            f"invoice",
        )
    return NoRoute(
        NoRouteReason.UNKNOWN_NODE,
        f"node {node} has no channel that we know of and the invoice no route hint; its channels may be private, "
        f"or newer than our gossip: ask for an invoice with route hints",
    )


def _never(reach: Reach, query: RouteQuery) -> NoRoute | None:
    """Ways that are closed for any amount."""
    if reach.some_way():
        return None
    problem, overlay, graph = reach.problem, reach.problem.overlay, reach.problem.overlay.graph
    ours = blocked(overlay, query)
    ours = f"{ours}; " if ours else ""
    into = np.flatnonzero((graph.target == problem.target) & (graph.source != overlay.source))
    if not reach.any_way():
        what = "the recipient"
        if overlay.hints and not len(into):
            what = "where the invoice's route hints start"
        reason = NoRouteReason.OWN_CHANNEL if ours else NoRouteReason.UNREACHABLE
        return NoRoute(reason, f"{ours}no{' other' if ours else ''} channels lead from us to {what}")
    hinted = bool((problem.arcs.extra.target == problem.target).any())
    if len(into) and not graph.enabled[into].any() and not hinted:
        strange = np.count_nonzero(~graph.routable[into >> 1])
        more = f" ({strange} of them demand features that we do not know)" if strange else ""
        other = "other " if ours else ""
        each = f"the only {other}known channel of the recipient is" if len(into) == 1 else (
            f"all {len(into):,} {other}known channels of the recipient are"
        )  # fmt: skip
        offline = "" if connected_to(overlay, query) else "; it is probably offline"
        return NoRoute(NoRouteReason.RECIPIENT_DISABLED, f"{ours}{each} disabled towards it{more}{offline}")
    return NoRoute(
        NoRouteReason.UNREACHABLE,
        f"{ours}all {'other ' if ours else ''}ways from us to the recipient lead over channels that are disabled, "
        "or nodes that demand features we do not know",
    )


def _amount(reach: Reach, problem: Problem, query: RouteQuery, most_msat: int | None) -> NoRoute | None:
    """Ways that are closed for this amount."""
    amount, parts = format_msat(query.amount_msat), query.max_parts
    total = most_through(doors_in(problem), parts)
    if query.amount_msat > total and parts > 1:
        which = "of the recipient" + (", ours among them," if problem.target in problem.peers else "")
        return NoRoute(
            NoRouteReason.INSUFFICIENT_CAPACITY,
            f"{amount} is more than the {format_msat(total)} that the open channels {which} can take "
            f"{in_parts(query)}{no_more_parts(problem, query)}",
            max_sendable_msat=total,
            sendable_bound=True,
        )
    if reach.carries_mean(query.amount_msat, parts):
        return None if parts == 1 else _between(problem, query, most_msat)
    probe = _probe(query)
    most = reach.most(probe)
    if most == probe:
        least = reach.least(query.amount_msat)
        room = f"; the least that can be sent is {about(least)}" if least else ""
        return NoRoute(
            NoRouteReason.BELOW_MINIMUM,
            f"{amount} is less than channels on every way to the recipient accept{room}",
        )
    last, largest = largest_into(problem)
    where = "the widest way to the recipient takes"
    if largest == most:
        own = {channel.scid for channel in problem.peers.get(problem.target, ())}
        whose = " and ours" if last in own else ""
        where = f"the largest open channel of the recipient{whose}, {format_scid(last)}, takes"
    each = "" if parts == 1 else " a part"
    return NoRoute(
        NoRouteReason.INSUFFICIENT_CAPACITY,
        f"{amount} is too much {in_parts(query)}: {where} at most {format_msat(most)}{each}"
        f"{no_more_parts(problem, query)}",
        max_sendable_msat=min(most * parts, total),
        sendable_bound=True,
    )


def _between(problem: Problem, query: RouteQuery, most_msat: int | None) -> NoRoute | None:
    """The amount in parts against all that is between us and the recipient."""
    most = most_in_parts(problem, query) if most_msat is None else most_msat
    if most >= query.amount_msat:
        return None
    return NoRoute(
        NoRouteReason.INSUFFICIENT_CAPACITY,
        f"{format_msat(query.amount_msat)} is more than all ways together from us to the recipient can carry "
        f"{in_parts(query)}: at most {at_most(most, query.amount_msat)}"
        f"{no_more_parts(problem, query)}",
        max_sendable_msat=most,
        sendable_bound=True,
    )


def _too_dear(problem: Problem, query: RouteQuery) -> NoRoute | None:
    """Fees of more than the amount itself: they lift it over what channels carry, so no plan shows them, and yet
    they are the reason."""
    fee, amount = _least_fee(problem, query), query.amount_msat
    if fee is None or fee <= max(amount, query.max_fee_msat):
        return None
    advice = "and with them on top channels on the way are too small"
    if 2 * _hinted(problem, query) >= fee:
        advice = "the invoice's route hint asks for it: ask the recipient for an invoice with another one"
    return NoRoute(
        NoRouteReason.TOO_EXPENSIVE,
        f"the fees of every way come to about {format_msat(fee)} or more ({share(fee, amount)}) and at most "
        f"{format_msat(query.max_fee_msat)} is allowed; {advice}",
        fee_msat=fee,
    )


def _least_fee(problem: Problem, query: RouteQuery) -> int | None:
    """What any plan costs at least, four digits of it as it is reckoned in float32; None if there is no way."""
    least = least_fee(problem, query)
    return int(float(f"{least:.4g}")) if least < inf else None


def _hinted(problem: Problem, query: RouteQuery) -> int:
    """What the nodes of the cheapest route hint ask for the amount, fees on fees aside; 0 without hints."""
    fees = (
        sum(fee_msat(query.amount_msat, hop.fee_base_msat, hop.fee_ppm) for hop in hint)
        for hint in problem.overlay.hints
    )
    return min(fees, default=0)


def _fees_too_much(problem: Problem, query: RouteQuery) -> NoRoute | None:
    """The amount alone could be sent, but not with the fees on top."""
    if query.max_parts > 1:
        return None
    roomy = {
        peer: tuple(replace(c, spendable_msat=MAX_MSAT, htlc_max_msat=MAX_MSAT) for c in own)
        for peer, own in problem.peers.items()
    }
    lifted = replace(query, max_fee_msat=MAX_MSAT, max_delay=MAX_DELAY)
    found = SinglePath(replace(problem, peers=roomy), lifted, problem.arcs.usable(query.amount_msat)).solve()
    if not isinstance(found, Route):
        return None
    peer = problem.overlay.node_number(found.hops[0].node)
    assert peer is not None
    channel = max(problem.peers[peer], key=most_own)
    most = most_own(channel)
    largest = max(most_own(other) for own in problem.peers.values() for other in own)
    return NoRoute(
        NoRouteReason.INSUFFICIENT_SPENDABLE,
        f"{format_msat(query.amount_msat)} with fees of {format_msat(found.fee_msat)} on top is more than the "
        f"{format_msat(most)} that our channel {format_scid(channel.scid)} can send in one part now",
        fee_msat=found.fee_msat,
        delay_blocks=found.delay_blocks,
        max_sendable_msat=largest,
        sendable_bound=True,
    )
