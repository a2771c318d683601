"""What may soon be otherwise where there is no route, and whether it is the recipient that takes nothing.

There may be routes once what is in flight is over (`busy`), once what is left alone for a moment is tried again
(`resting`), once peers of ours that are away are back (`away`), or already, if gossip is late (`late`). Each is
one more plan, with that obstacle lifted: so nobody waits for what would not help. Whether to wait, and how long,
is the payment's matter.

A recipient that is away, or has no room to receive, refuses any amount on each of its channels, and a large amount
would be cut into ever smaller parts until all of them are used up. As long as nothing of the payment has reached
it, crumbs are not sent once all its channels have refused, and no further part at all once `MOST_AWAY` have said
that it is away, or `MOST_REFUSED` in all have refused. As soon as anything has, none of this holds: then it is
there, and smaller parts may do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from pay.network import NOT_OWN, Overlay
from pay.routing.query import Answer, NoRoute, NoRouteReason, Restrictions, Route, RouteQuery, Situation
from pay.units import NodeId, Scid, ScidDir, format_msat

MOST_AWAY = 10
"""Neighbours of the recipient that may say that it is away while nothing reaches it."""

MOST_REFUSED = 30
"""Channels of the recipient that may refuse for whatever reason while nothing reaches it. Many say "want of money"
of a peer that is away, so one that is away costs as many HTLCs; but of who sells a lot most channels are full. Of
payments to one with room on 1 of 20 channels a limit of 10 gave up half."""

MOST_PEERS = 5
"""That are asked back at once: those over which a plan leads, one plan after the other."""

_MAY_BE_BACK = frozenset(
    {
        NoRouteReason.RECIPIENT_DISABLED,
        NoRouteReason.UNREACHABLE,
        NoRouteReason.EXCLUDED,
        NoRouteReason.INSUFFICIENT_CAPACITY,
        NoRouteReason.BELOW_MINIMUM,
        NoRouteReason.RECIPIENT_REFUSES,
    }
)
"""Reasons that one more channel of the recipient may do away with."""

_OF_THE_RECIPIENT = _MAY_BE_BACK | {NoRouteReason.GAVE_UP}
"""Reasons that may be nothing but the recipient's refusals."""

_WHATEVER_WE_HAVE = frozenset(
    {
        NoRouteReason.RECIPIENT_DISABLED,
        NoRouteReason.UNKNOWN_NODE,
        NoRouteReason.BAD_HINTS,
    }
)
"""Reasons that no channel of ours does away with, but one to the recipient."""

Plan = Callable[[Overlay, Restrictions, RouteQuery, Mapping[ScidDir, int]], Answer]
"""The overlay has the restrictions."""


def refused_everywhere(overlay: Overlay, asked: Situation) -> NoRoute | None:
    """That all of the recipient's channels have refused, or so many (`refused_often`), and nothing has come to it;
    None where there is more to try."""
    known = asked.restrictions
    if known.reached or not known.doors:
        return None
    doors = _doors_of(overlay, asked)
    if refused_often(known) or (doors and doors <= known.doors.keys()):
        return _refused(known, doors)
    return None


def _refused(known: Restrictions, doors: frozenset[ScidDir]) -> NoRoute | None:
    """That those of its open channels that were tried have refused; None where none of them was."""
    refused = [least_msat for channel, least_msat in known.doors.items() if channel in doors]
    if known.reached or not refused:
        return None
    count, least = len(refused), [least_msat for least_msat in refused if least_msat]
    which = f"{count} channels" if count > 1 else "the channel"
    if doors <= known.doors.keys():
        usable = "usable " if known.excluded_channels or known.excluded_nodes else ""
        which = {1: f"the only {usable}channel", 2: f"both {usable}channels"}.get(
            count, f"all {count} {usable}channels"
        )
    words = "refuses" if count == 1 else "refuse"
    words += f" even {format_msat(max(least))}" if least else ""
    words += ": it is probably offline" + (", or cannot receive that now" if least else "")
    return NoRoute(
        NoRouteReason.RECIPIENT_REFUSES, f"{which} to the recipient {words}", doors=count, money=bool(least)
    )


def refused_often(known: Restrictions) -> bool:
    """Whether no further part is to be sent, unless one reaches it after all."""
    away = sum(not least_msat for least_msat in known.doors.values())
    return not known.reached and (away >= MOST_AWAY or len(known.doors) >= MOST_REFUSED)


def stands(answer: Answer, query: RouteQuery) -> bool:
    """Whether an answer holds for a recipient all of whose channels have refused: routes of parts that are no
    crumbs, or a reason that is not the recipient's."""
    if isinstance(answer, NoRoute):
        return answer.reason not in _OF_THE_RECIPIENT
    return len(answer) == 1 or all(route.amount_msat >= query.preferences.min_part_msat for route in answer)


def foretold(none: NoRoute, overlay: Overlay, asked: Situation, plan: Plan) -> NoRoute:
    """`none`, with what may soon be otherwise; `overlay` is that of the plan that found none."""
    query, known, own = asked.query, asked.restrictions, asked.own
    if query.late_parts and none.reason in _MAY_BE_BACK:
        none = replace(none, late=_late(overlay, asked, plan))
    if known.doors and none.reason in _OF_THE_RECIPIENT:
        refused = _refused(known, _doors_of(overlay, asked))
        none = none if refused is None else replace(refused, late=none.late)
    shut = none.reason is NoRouteReason.RECIPIENT_REFUSES
    # Then nothing that is free, awake or back again brings another part to it, but a channel of our own.
    often = shut and refused_often(known)
    if not often and (asked.held or any(channel.live_htlcs for channel in own)):
        idle = overlay.with_own([channel.idle for channel in own])
        free = plan(idle, known, asked.whole or query, {})
        helps = not isinstance(free, NoRoute) and (not shut or stands(free, query))
        none = replace(none, busy=True) if helps else none
    if not often and (known.asleep or known.asleep_nodes):
        awake = _awake(overlay, known)
        overlay = overlay.with_exclusions(awake.closed_nodes, awake.closed_channels)
        asked = replace(asked, restrictions=awake)
        woken = plan(overlay, awake, query, asked.held)
        none = none if isinstance(woken, NoRoute) else replace(none, resting=True)
    away = {channel.peer for channel in own if not channel.connected and channel.spendable_msat > 0}
    away = away & {query.destination} if often else away
    if query.destination in away or (away and none.reason not in _WHATEVER_WE_HAVE):
        none = replace(none, away=_away(overlay, asked, away, plan))
    return none


def _awake(overlay: Overlay, known: Restrictions) -> Restrictions:
    """As after a pause, but for the channels of a recipient that is away, and for those that are being closed."""
    graph, stay = overlay.graph, set() if known.reached else known.asleep & known.doors.keys()
    for channel in known.asleep:
        arc = graph.arc_number(channel)
        if arc is not None and graph.dying[arc >> 1]:
            stay = stay | {channel}
    return replace(known.awake, asleep=frozenset(stay))


def _away(overlay: Overlay, asked: Situation, away: set[NodeId], plan: Plan) -> tuple[NodeId, ...]:
    """Those over whose channels there would be routes if they were connected; of the best plan first."""
    found: list[NodeId] = []
    while away and len(found) < MOST_PEERS:
        own = [replace(c, connected=True) if c.peer in away else c for c in asked.own]
        routes = plan(overlay.with_own(own), asked.restrictions, asked.query, asked.held)
        if isinstance(routes, NoRoute):
            break
        first = {(route.hops[0].scid, route.hops[0].node) for route in routes}
        met = [c.peer for c in asked.own if not c.connected and (c.scid, c.peer) in first]
        if not met:
            break
        found += dict.fromkeys(met)
        away.difference_update(met)
    return tuple(found[:MOST_PEERS])


def _late(overlay: Overlay, asked: Situation, plan: Plan) -> tuple[Route, ...]:
    """Routes if the recipient is back and gossip does not know yet."""
    if not overlay.disabled_into_recipient():
        return ()
    parts = min(asked.query.late_parts, max(asked.query.max_parts, asked.query.most_parts))
    query = replace(asked.query, max_parts=parts, most_parts=0)
    answer = plan(overlay.with_recipient_back(), asked.restrictions, query, asked.held)
    return () if isinstance(answer, NoRoute) else answer


def _doors_of(overlay: Overlay, asked: Situation) -> frozenset[ScidDir]:
    """The recipient's open channels, but for those that a failure or the caller has closed for good; none where
    one of them is our own, of which we know better."""
    known, graph, to = asked.restrictions, overlay.graph, overlay.recipient
    assert to is not None
    if any(channel.peer == asked.query.destination for channel in overlay.own):
        return frozenset()
    doors = set[ScidDir]()
    if to < graph.n_nodes:
        arcs = graph.arcs_into(to)
        channels = arcs >> 1
        is_open = graph.enabled[arcs] & graph.routable[channels] & ~graph.dying[channels]
        gone = {number for node in known.excluded_nodes if (number := overlay.node_number(node)) is not None}
        gone.add(overlay.source)
        doors |= {graph.scid_dir(arc) for arc in arcs[is_open].tolist() if int(graph.source[arc]) not in gone}
    lifted = overlay.without_exclusions()
    for row in np.flatnonzero((lifted.extra.target == lifted.recipient) & (lifted.extra.own == NOT_OWN)):
        doors.add(ScidDir(Scid(int(lifted.extra.scid[row])), int(lifted.extra.direction[row])))
    return frozenset(doors) - known.excluded_channels
