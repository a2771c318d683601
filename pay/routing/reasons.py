"""Why there is no route, from the nearest obstacle to the farthest, with the figures that help.

Each question is asked of the arcs that remain when one kind of obstacle is lifted; see `reach`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pay.network import Overlay
from pay.routing.bounds import doors_in, doors_out, most_in_parts, most_through
from pay.routing.costs import Prices
from pay.routing.exact import most_own
from pay.routing.labels import Labels
from pay.routing.query import NoRoute, NoRouteReason, Route, RouteQuery
from pay.routing.reach import Reach, largest_into
from pay.routing.single import TIE, Limit, OverLimit, SinglePath
from pay.routing.terrain import Terrain
from pay.units import MAX_MSAT, format_msat, format_scid

MAX_DELAY = 1 << 16
"""Blocks: more than any route locks funds."""

MANY = 1_000
"""Parts: more than any option allows."""

_ANY_FEE_MSAT = 10**15
"""10,000 BTC: no limit to speak of."""


def over_limit(query: RouteQuery, found: OverLimit, *, proven: bool = True) -> NoRoute:
    """Routes exist, and the best of them break a limit; `proven` is whether there are none better."""
    fee, delay = Limit.FEE.use(found.routes), Limit.DELAY.use(found.routes)
    percent = 100 * fee / query.amount_msat
    way = "plan found" if not proven else "route" if len(found.routes) == 1 else "plan"
    if len(found.routes) > 1:
        way += f", in {len(found.routes)} parts,"
    match found.limit:
        case Limit.FEE:
            within = f"within {query.max_delay} blocks " if found.jointly else ""
            reason, message = (
                NoRouteReason.TOO_EXPENSIVE,
                (
                    f"the cheapest {way} {within}costs {format_msat(fee)} ({percent:.4g} %) and at most "
                    f"{format_msat(query.max_fee_msat)} is allowed; raise maxfee or maxfeepercent to pay"
                ),
            )
        case Limit.DELAY:
            reason, message = (
                NoRouteReason.TOO_LONG,
                (
                    f"the quickest {way} may lock funds for {delay} blocks and at most {query.max_delay} are "
                    f"allowed; raise maxdelay to pay"
                ),
            )
        case Limit.HOPS:
            over = found.use > query.max_hops
            room = f"at most {query.max_hops} are allowed" if over else "they fit in no onion"
            reason = NoRouteReason.TOO_MANY_HOPS
            message = f"the shortest {way} has {many(found.use, 'hop')} and {room}"
    return NoRoute(reason, message, fee_msat=fee, delay_blocks=delay)


def why_none(
    overlay: Overlay,
    terrain: Terrain | None,
    query: RouteQuery,
    *,
    gave_up: bool = False,
    most_msat: int | None = None,
) -> NoRoute:
    """No path carries the amount: what stands in the way.

    `most_msat`: what so many parts carry at most, if that is known.
    """
    lifted = overlay.without_exclusions() if overlay.n_excluded else overlay
    everything = Terrain.of(lifted, query.destination, {})
    if everything is None or not _known(everything):
        return _unknown(overlay, query)
    if terrain is None or not terrain.peers:
        return _no_own(overlay, everything)
    reach = Reach(terrain)
    why = (
        _excluded(reach, everything, query)
        or _own_too_small(terrain, query)
        or _never(reach, terrain, query)
        or _amount(reach, terrain, query, most_msat)
    )
    if why is not None and why.reason is not NoRouteReason.BELOW_MINIMUM:
        return why
    dear = None if gave_up and why is None else _lifted(terrain, query)
    return dear or why or _fees_too_much(terrain, query) or _tried(terrain, query, gave_up)


def many(number: int, thing: str, plural: str = "") -> str:
    """`1 channel`, `1,000 channels`."""
    return f"{number:,} {thing if number == 1 else plural or thing + 's'}"


def _about(amount_msat: int) -> str:
    """An estimate: four digits of it."""
    digits = 10 ** max(0, len(str(amount_msat)) - 4)
    return f"about {format_msat(amount_msat // digits * digits)}"


def _at_most(bound_msat: int, below_msat: int) -> str:
    """A bound in words, never less than it is; all digits where four would be as much as what was asked for."""
    digits = 10 ** max(0, len(str(bound_msat)) - 4)
    rounded = -(-bound_msat // digits) * digits
    return format_msat(rounded if rounded < below_msat else bound_msat)


def _in_parts(query: RouteQuery) -> str:
    if query.max_parts == 1:
        return "in one part"
    full = query.max_parts < query.most_parts
    return f"in {query.max_parts} parts" + (", for so many HTLCs our channels have room" if full else "")


def _no_more_parts(terrain: Terrain, query: RouteQuery) -> str:
    """Which option forbids more parts, where more of them may do."""
    if query.parts_option is None or query.max_parts < query.most_parts:
        return ""
    amount, many_more = query.amount_msat, replace(query, max_parts=MANY)
    ends = min(most_through(doors_out(terrain), MANY), most_through(doors_in(terrain), MANY))
    if ends < amount or most_in_parts(terrain, many_more) < amount:
        return ""
    return f"; {query.parts_option} allows no more parts"


def _tried(terrain: Terrain, query: RouteQuery, gave_up: bool) -> NoRoute:
    amount = format_msat(query.amount_msat)
    if gave_up:
        return NoRoute(
            NoRouteReason.GAVE_UP,
            f"no way to send {amount} {_in_parts(query)} was found in "
            f"{many(query.max_searches, 'search', 'searches')}; there may be one",
        )
    most = _most_with_fees(terrain, query) if query.max_parts == 1 else 0
    return NoRoute(
        NoRouteReason.INSUFFICIENT_CAPACITY,
        f"no way to send {amount} {_in_parts(query)}: with the fees on top, channels on the way are too small"
        + (f"; {_about(most)} can be sent" if most else ""),
        max_sendable_msat=most or None,
    )


def _most_with_fees(terrain: Terrain, query: RouteQuery) -> int:
    """The largest amount below the query's that one route carries with its fees, to within 1/256 of it; 0 if none
    was found."""
    lifted = replace(query, max_fee_msat=MAX_MSAT, max_delay=MAX_DELAY)
    low, high = 0, query.amount_msat
    for _ in range(8):
        middle = (low + high) // 2
        if not middle:
            break
        found = SinglePath(terrain, replace(lifted, amount_msat=middle), terrain.arcs.usable(middle)).solve()
        low, high = (middle, high) if isinstance(found, Route) else (low, middle)
    return low


def _lifted(terrain: Terrain, query: RouteQuery) -> NoRoute | None:
    """Fees add to the amount on the way: where that lifts it over all minima, there are routes, too dear ones."""
    dear = replace(query, max_fee_msat=_ANY_FEE_MSAT)
    usable = terrain.arcs.usable(query.amount_msat, slack_msat=_ANY_FEE_MSAT)
    cheapest = Labels(terrain, dear, usable, Limit.FEE.value.plus(Prices.of(query), TIE)).best()
    return None if cheapest is None else over_limit(query, OverLimit(Limit.FEE, (cheapest,)))


def _excluded(reach: Reach, everything: Terrain, query: RouteQuery) -> NoRoute | None:
    """Whether there is a way for the amount, but for the exclusions."""
    count, amount, parts = reach.terrain.overlay.n_excluded, query.amount_msat, query.max_parts
    if not count or reach.carries_mean(amount, parts) or not Reach(everything).carries_mean(amount, parts):
        return None
    probe, most = _probe(query), None  # None: minima alone forbid it.
    if (part := reach.most(probe)) < probe:
        most = part * parts if parts == 1 else min(part * parts, most_in_parts(reach.terrain, query))
    rest = "nothing can be sent without it"
    if most is None or most:
        up_to = "less" if most is None else f"no more than {_at_most(most, amount)}"
        rest = f"{up_to} can be sent {_in_parts(query)} without it"
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


def _known(terrain: Terrain) -> bool:
    """Whether any channel leads to the recipient, of gossip's, of a hint's or of our own."""
    graph, target = terrain.overlay.graph, terrain.target
    in_graph = target < graph.n_nodes and len(graph.arcs_into(target)) > 0
    return in_graph or target in terrain.peers or bool((terrain.arcs.extra.target == target).any())


def _unknown(overlay: Overlay, query: RouteQuery) -> NoRoute:
    node = query.destination.hex()
    if overlay.n_hints:
        hints = many(overlay.n_hints, "route hint")
        return NoRoute(
            NoRouteReason.BAD_HINTS,
            f"node {node} has no public channel that we know of, and its {hints} cannot be used; ask for a new "
            f"invoice",
        )
    return NoRoute(
        NoRouteReason.UNKNOWN_NODE,
        f"node {node} has no channel that we know of and the invoice no route hint; its channels may be private, "
        f"or newer than our gossip",
    )


def _no_own(overlay: Overlay, everything: Terrain) -> NoRoute:
    if everything.peers:
        return NoRoute(NoRouteReason.EXCLUDED, "all of our channels that can send, or their peers, are excluded")
    idle = overlay.idle
    away = [channel for channel in idle if not channel.connected]
    empty = [channel for channel in idle if channel.connected and channel.spendable_msat <= 0]
    held = sum(channel.spendable_msat for channel in away)
    counts = (
        (len(away), f"not connected, with {format_msat(held)} in them"),
        (len(empty), "without anything to spend"),
        (len(idle) - len(away) - len(empty), "full of HTLCs"),
    )
    why = "; ".join(f"{number} {what}" for number, what in counts if number)
    words = f"none of our {many(len(idle), 'channel')} can send now: {why}" if idle else "we have no open channel"
    return NoRoute(NoRouteReason.NO_OWN_CHANNELS, words, max_sendable_msat=0)


def _own_too_small(terrain: Terrain, query: RouteQuery) -> NoRoute | None:
    """The amount against our own channels."""
    own = [channel for channels in terrain.peers.values() for channel in channels]
    largest, parts = max(own, key=most_own), query.max_parts
    most = most_own(largest) if parts == 1 else most_through(doors_out(terrain), parts)
    amount = format_msat(query.amount_msat)
    if query.amount_msat > most:
        if len(own) == 1:
            what = f"our only usable channel, {format_scid(largest.scid)},"
        elif parts == 1:
            what = f"the largest of our {len(own)} usable channels, {format_scid(largest.scid)},"
        else:
            what = f"our {len(own)} usable channels"
        idle = sum(channel.spendable_msat for channel in terrain.overlay.idle if not channel.connected)
        more = f"; {format_msat(idle)} more is in channels that are not connected" if idle > 0 else ""
        more += _no_more_parts(terrain, query)
        return NoRoute(
            NoRouteReason.INSUFFICIENT_SPENDABLE,
            f"{amount} is more than the {format_msat(most)} that {what} can send now {_in_parts(query)}{more}",
            max_sendable_msat=most,
            sendable_bound=True,
        )
    least = min(channel.htlc_min_msat for channel in own)
    if query.amount_msat < least:
        return NoRoute(
            NoRouteReason.BELOW_MINIMUM,
            f"{amount} is less than the {format_msat(least)} that our channels send at least",
        )
    return None


def _never(reach: Reach, terrain: Terrain, query: RouteQuery) -> NoRoute | None:
    """Ways that are closed for any amount."""
    if reach.some_way():
        return None
    arcs, graph, hints = terrain.arcs, terrain.overlay.graph, terrain.overlay.n_hints
    into = np.flatnonzero(graph.target == terrain.target)
    if not reach.any_way():
        what = "the recipient"
        if hints and not len(into):
            what = f"the start of the invoice's {many(hints, 'route hint')}"
        return NoRoute(NoRouteReason.UNREACHABLE, f"no channels lead from us to {what}")
    hinted = bool((arcs.extra.target == terrain.target).any())
    if len(into) and not graph.enabled[into].any() and not hinted:
        strange = np.count_nonzero(~graph.routable[into >> 1])
        more = f" ({strange} of them demand features that we do not know)" if strange else ""
        each = "the only known channel of the recipient is" if len(into) == 1 else (
            f"all {len(into):,} known channels of the recipient are"
        )  # fmt: skip
        return NoRoute(
            NoRouteReason.RECIPIENT_DISABLED, f"{each} disabled towards it{more}; it is probably offline"
        )
    return NoRoute(
        NoRouteReason.UNREACHABLE,
        "all ways from us to the recipient lead over channels that are disabled, or nodes that demand features "
        "we do not know",
    )


def _amount(reach: Reach, terrain: Terrain, query: RouteQuery, most_msat: int | None) -> NoRoute | None:
    """Ways that are closed for this amount."""
    amount, parts = format_msat(query.amount_msat), query.max_parts
    total = most_through(doors_in(terrain), parts)
    if query.amount_msat > total and parts > 1:
        return NoRoute(
            NoRouteReason.INSUFFICIENT_CAPACITY,
            f"{amount} is more than the {format_msat(total)} that the open channels of the recipient can take "
            f"{_in_parts(query)}{_no_more_parts(terrain, query)}",
            max_sendable_msat=total,
            sendable_bound=True,
        )
    if reach.carries_mean(query.amount_msat, parts):
        return None if parts == 1 else _between(terrain, query, most_msat)
    probe = _probe(query)
    most = reach.most(probe)
    if most == probe:
        least = reach.least(query.amount_msat)
        room = f"; the least that can be sent is {_about(least)}" if least else ""
        return NoRoute(
            NoRouteReason.BELOW_MINIMUM,
            f"{amount} is less than channels on every way to the recipient accept{room}",
        )
    last, largest = largest_into(terrain)
    where = "the widest way to the recipient takes"
    if largest == most:
        where = f"the largest open channel of the recipient, {format_scid(last)}, takes"
    each = "" if parts == 1 else " a part"
    return NoRoute(
        NoRouteReason.INSUFFICIENT_CAPACITY,
        f"{amount} is too much {_in_parts(query)}: {where} at most {format_msat(most)}{each}"
        f"{_no_more_parts(terrain, query)}",
        max_sendable_msat=min(most * parts, total),
        sendable_bound=True,
    )


def _between(terrain: Terrain, query: RouteQuery, most_msat: int | None) -> NoRoute | None:
    """The amount in parts against all that is between us and the recipient."""
    most = most_in_parts(terrain, query) if most_msat is None else most_msat
    if most >= query.amount_msat:
        return None
    return NoRoute(
        NoRouteReason.INSUFFICIENT_CAPACITY,
        f"{format_msat(query.amount_msat)} is more than all ways together from us to the recipient can carry "
        f"{_in_parts(query)}: at most {_at_most(most, query.amount_msat)}"
        f"{_no_more_parts(terrain, query)}",
        max_sendable_msat=most,
        sendable_bound=True,
    )


def _fees_too_much(terrain: Terrain, query: RouteQuery) -> NoRoute | None:
    """The amount alone could be sent, but not with the fees on top."""
    if query.max_parts > 1:
        return None
    roomy = {
        peer: tuple(replace(c, spendable_msat=MAX_MSAT, htlc_max_msat=MAX_MSAT) for c in own)
        for peer, own in terrain.peers.items()
    }
    lifted = replace(query, max_fee_msat=MAX_MSAT, max_delay=MAX_DELAY)
    found = SinglePath(replace(terrain, peers=roomy), lifted, terrain.arcs.usable(query.amount_msat)).solve()
    if not isinstance(found, Route):
        return None
    peer = terrain.overlay.node_number(found.hops[0].node)
    assert peer is not None
    channel = max(terrain.peers[peer], key=most_own)
    most = most_own(channel)
    largest = max(most_own(other) for own in terrain.peers.values() for other in own)
    return NoRoute(
        NoRouteReason.INSUFFICIENT_SPENDABLE,
        f"{format_msat(query.amount_msat)} with fees of {format_msat(found.fee_msat)} on top is more than the "
        f"{format_msat(most)} that our channel {format_scid(channel.scid)} can send in one part now",
        fee_msat=found.fee_msat,
        delay_blocks=found.delay_blocks,
        max_sendable_msat=largest,
        sendable_bound=True,
    )
