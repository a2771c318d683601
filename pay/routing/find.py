"""From what a payment may use, has learnt and asks to routes: the one door to the planner.

The network is what gossip, the host and an invoice say of it (`overlay`), the plan minds what failed before
(`halving`), and "no route" says what may soon be otherwise (`prospects`): what is in flight ends, what holds our
money and our HTLC slots, our own parts and what we forward; so do parts of ours that hold the channels of others.
What is known of channels from failures stays known: they would refuse then as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from pay.liquidity.knowledge import NOTHING_KNOWN, Knowledge
from pay.network import ChannelGraph, Overlay
from pay.routing.halving import plan_cautiously
from pay.routing.planner import plan
from pay.routing.prospects import foretold, refused_everywhere, refused_often, stands
from pay.routing.query import Answer, NoRoute, Restrictions, RouteQuery, Situation
from pay.routing.shadow import Walk, shadow_fee_msat, walk
from pay.units import MAX_MSAT, NodeId, ScidDir

PHONE_PARTS = 6
"""Parts at the same time to a recipient of whom gossip has no channel, unless there is no way in so few: it is a
phone behind one channel, and wallets take as few HTLCs there (Phoenix)."""

Planner = Callable[[Overlay, Restrictions, RouteQuery, Mapping[ScidDir, int], Knowledge], Answer]
"""`plan_cautiously` or what stands in for it; the overlay has the restrictions."""


def find(
    graph: ChannelGraph,
    asked: Situation,
    knowledge: Knowledge = NOTHING_KNOWN,
    planner: Planner = plan_cautiously,
) -> Answer:
    """Routes, each checked against its query, or why there are none. Exceptions are those of `plan`."""
    query, own, restrictions = asked.query, asked.own, asked.restrictions
    overlay = Overlay(
        graph,
        query.source,
        own,
        recipient=query.destination,
        hints=asked.hints,
        excluded_nodes=restrictions.closed_nodes,
        excluded_channels=restrictions.closed_channels,
        policies=restrictions.policies,
        caps=restrictions.caps,
        sizes={channel: edge.size_msat for channel, edge in restrictions.edges.items()},
    )
    plan_on = partial(_planned, planner, knowledge)
    shut = refused_everywhere(overlay, asked)
    if shut is not None and refused_often(restrictions):
        return foretold(shut, overlay, asked, plan_on)
    answer = _answer(overlay, asked, knowledge, planner)
    if isinstance(answer, NoRoute) and query.fresh_parts > query.max_parts:
        # Whoever has refused a part gets no crumbs of it: a recipient that is away would get a hundred.
        fresh = replace(query, most_parts=query.fresh_parts)
        untried = overlay.without_channels(restrictions.caps)
        more = planner(untried, replace(restrictions, caps={}), fresh, asked.held, knowledge)
        answer = answer if isinstance(more, NoRoute) else more
    if isinstance(answer, NoRoute) and restrictions.full:
        more = _over_full(overlay, asked, knowledge, planner)
        answer = answer if isinstance(more, NoRoute) else more
    if shut is not None and not stands(answer, query):
        answer = shut
    return foretold(answer, overlay, asked, plan_on) if isinstance(answer, NoRoute) else answer


def _over_full(overlay: Overlay, asked: Situation, knowledge: Knowledge, planner: Planner) -> Answer:
    """Where there is nothing else: in smaller parts over last channels that may lack money, not slots."""
    known, caps = asked.restrictions, dict(asked.restrictions.caps)
    for channel in known.full:
        caps[channel] = min(known.crowds[channel].cap_msat, caps.get(channel, MAX_MSAT))
    known = replace(known, full=frozenset(), caps=caps)
    opened = overlay.with_exclusions(known.closed_nodes, known.closed_channels).with_caps(caps)
    return _answer(opened, replace(asked, restrictions=known), knowledge, planner)


def _planned(
    planner: Planner,
    knowledge: Knowledge,
    overlay: Overlay,
    restrictions: Restrictions,
    query: RouteQuery,
    held: Mapping[ScidDir, int],
) -> Answer:
    return planner(overlay, restrictions, query, held, knowledge)


def _answer(overlay: Overlay, asked: Situation, knowledge: Knowledge, planner: Planner) -> Answer:
    """In few parts if gossip does not know the recipient; in as many as may be if there is no way so."""
    query, out = asked.query, asked.whole.max_parts - asked.query.max_parts if asked.whole else 0
    few = max(1, PHONE_PARTS - out)
    if query.max_parts > few and not _listed(overlay.graph, query.destination):
        fewer = replace(query, max_parts=few, most_parts=0)
        answer = planner(overlay, asked.restrictions, fewer, asked.held, knowledge)
        if not isinstance(answer, NoRoute):
            return answer
    return planner(overlay, asked.restrictions, query, asked.held, knowledge)


def _listed(graph: ChannelGraph, node: NodeId) -> bool:
    """Whether gossip knows channels to a node, open or not."""
    number = graph.node_number(node)
    return number is not None and len(graph.arcs_into(number)) > 0


def find_plainly(graph: ChannelGraph, asked: Situation) -> Answer:
    """The same without beliefs, chance and halving: within the same limits, by less of our own code."""
    return find(graph, asked, planner=_plainly)


def shadow(graph: ChannelGraph, asked: Situation, knowledge: Knowledge = NOTHING_KNOWN, *, fee: bool) -> Walk:
    """What a shadow route adds to a payment that has not begun.

    Parameters
    ----------
    fee
        Whether the recipient may be given more than it asks for; else there are blocks only.
    """
    query = asked.query
    room = query.max_delay - query.final_cltv
    walked = walk(graph, query.destination, query.amount_msat, room, query.preferences.seed)
    if not fee or not walked.fee_msat:
        return Walk(walked.blocks, 0)
    cheap = replace(query.preferences, failure_cost_msat=0, failure_cost_ppm=0, riskfactor=0.0, randomness=0.0)
    frugal = replace(query, preferences=cheap, late_parts=0)
    cheapest = find(graph, replace(asked, query=frugal), knowledge)
    if isinstance(cheapest, NoRoute) or all(len(route.hops) == 1 for route in cheapest):
        return Walk(walked.blocks, 0)
    fees = sum(route.fee_msat for route in cheapest)
    most = shadow_fee_msat(walked.fee_msat, query.amount_msat, fees, query.max_fee_msat, query.preferences.seed)
    return Walk(walked.blocks, most)


def _plainly(
    overlay: Overlay,
    _restrictions: Restrictions,
    query: RouteQuery,
    in_flight: Mapping[ScidDir, int],
    _knowledge: Knowledge,
) -> Answer:
    return plan(overlay, replace(query, preferences=replace(query.preferences, randomness=0.0)), in_flight)
