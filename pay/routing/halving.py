"""Planning after failures: what a channel refused once is not shaved down to, it is halved first.

A channel that refused an amount has less than that, and nothing more is known of it. A planner that only leaves
out the refused amount finds that a little less is almost as cheap and quite possible, and sends that: it loses a
second a time. So a plan first takes at most half of what a refusal left open, as a search in an interval would;
only where there is none, more, and in the end all of it. Measured on mainnet with hidden balances, 2,000,000 sat:
5 failed parts a payment instead of 8.

Nodes may use any of their channels with the next node (BOLT 4, non-strict forwarding): what one of several
parallel channels refused, most likely none of them had. A node that goes by the channel it was told may have it
in the other one, so that is tried when nothing else is left.

A node that refuses on one channel after another is left alone where there is any other way within the limits,
however dear: nothing that it says can be told from a lie, and each try costs a second. It is suspected after a few
refusals in one payment; after the first, if it refused somebody lately and has forwarded nothing since. Where all
ways lead over suspects, the better half of them is tried again, and in the end all. So no belief and no refusal
closes a way, and no single node can keep a payment from the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pay.liquidity.knowledge import NOTHING_KNOWN, Knowledge, NodeCost
from pay.network import ChannelGraph, Overlay
from pay.routing.planner import plan
from pay.routing.query import SUSPECT_AFTER, NoRoute, Refusals, Restrictions, Route, RouteQuery
from pay.units import NodeId, ScidDir

PERCENTS = (50, 75, 90, 100)
"""Of what a refusal left open, in turn, until there is a plan."""

MOST_LOST = 5
"""HTLCs of a payment that one node may cost it, where there is another way."""

KNOWN_REFUSALS = 0.7
"""Refusals to other payments, as they are remembered, after which one to this payment is enough: one, half an hour
ago at most (half-life of an hour), and with nothing forwarded since."""

Caps = Mapping[ScidDir, int]
"""More than so many msat, with what is in flight there already, is known not to pass a channel."""


def plan_cautiously(
    overlay: Overlay,
    restrictions: Restrictions,
    query: RouteQuery,
    in_flight: Mapping[ScidDir, int],
    knowledge: Knowledge = NOTHING_KNOWN,
) -> tuple[Route, ...] | NoRoute:
    """`plan`, with what failed before in mind; arguments and answer as there.

    Parameters
    ----------
    overlay, restrictions
        The overlay has the restrictions.
    """
    found = _plan_below(overlay, restrictions.caps, query, in_flight, knowledge)
    doubted = suspects(restrictions, knowledge)
    if not isinstance(found, NoRoute):
        doubted += [node for node in crowded(found, restrictions) if node not in doubted]
    # Where nothing is found, there is nothing without them either.
    if isinstance(found, NoRoute) or not _meets(found, doubted):
        return found
    for avoided in tiers(doubted):
        closer = overlay.without_nodes(avoided)
        # Where all that is left to try is not enough, half of it is not: one plan says that there is none.
        if not isinstance(plan(closer, query, in_flight, knowledge), NoRoute):
            return _plan_below(closer, restrictions.caps, query, in_flight, knowledge)
    return found


def _plan_below(
    overlay: Overlay, caps: Caps, query: RouteQuery, in_flight: Mapping[ScidDir, int], knowledge: Knowledge
) -> tuple[Route, ...] | NoRoute:
    """A plan well below what was refused, if there is one."""
    if not caps:
        return plan(overlay, query, in_flight, knowledge)
    shared = with_parallel(overlay.graph, caps, in_flight)

    def below(percent: int) -> tuple[Route, ...] | NoRoute:
        return plan(overlay.with_caps(lowered(shared, in_flight, percent)), query, in_flight, knowledge)

    first, *more = PERCENTS
    answer = below(first)
    if not isinstance(answer, NoRoute):
        return answer
    # To say that there is none takes longest, and where all that is left is not enough, no part of it is.
    everything = plan(overlay, query, in_flight, knowledge)
    for percent in more if not isinstance(everything, NoRoute) else ():
        answer = below(percent)
        if not isinstance(answer, NoRoute):
            return answer
    return everything


def _meets(routes: tuple[Route, ...], nodes: Sequence[NodeId]) -> bool:
    """Whether any of the nodes is on the way."""
    return not {hop.node for route in routes for hop in route.hops[:-1]}.isdisjoint(nodes)


def suspects(restrictions: Restrictions, knowledge: Knowledge) -> list[NodeId]:
    """Nodes that refused too often, the one that did so most first; of equals the one that did so last."""
    refusals = restrictions.refusals
    return sorted(
        (node for node in reversed(list(refusals)) if _suspect(refusals[node], knowledge.nodes.get(node))),
        key=lambda node: -refusals[node].times,
    )


def crowded(routes: tuple[Route, ...], restrictions: Restrictions) -> list[NodeId]:
    """Nodes that have refused in this payment and would be given more parts than it can lose on one of them."""
    parts = Counter(node for route in routes for node in {hop.node for hop in route.hops[:-1]})
    return [
        node for node, refused in restrictions.refusals.items() if parts[node] > max(1, MOST_LOST - refused.parts)
    ]


def _suspect(here: Refusals, believed: NodeCost | None) -> bool:
    if here.times >= SUSPECT_AFTER:
        return True
    # What is believed has the refusals of this payment in it.
    return believed is not None and believed.refusals >= here.parts + KNOWN_REFUSALS


def tiers(suspects: Sequence[NodeId]) -> Iterator[Sequence[NodeId]]:
    """Whom to leave out, in turn, until there is a plan: all of them, the worse half, half of that, and so on."""
    while suspects:
        yield suspects
        suspects = suspects[: len(suspects) // 2]


def lowered(caps: Caps, in_flight: Mapping[ScidDir, int], percent: int) -> dict[ScidDir, int]:
    """So much of what each cap leaves beside what is in flight."""
    return {
        channel: held + max(0, cap - held) * percent // 100
        for channel, cap in caps.items()
        for held in (in_flight.get(channel, 0),)
    }


def with_parallel(graph: ChannelGraph, caps: Caps, in_flight: Mapping[ScidDir, int]) -> dict[ScidDir, int]:
    """`caps`, and the same for the channels beside those that have one."""
    result = dict(caps)
    for channel, cap in caps.items():
        arc = graph.arc_number(channel)
        if arc is None:
            continue
        beside = graph.arcs_into(int(graph.target[arc]))
        free = cap - in_flight.get(channel, 0)
        for other in beside[graph.source[beside] == graph.source[arc]].tolist():
            named = graph.scid_dir(other)
            bound = free + in_flight.get(named, 0)
            result[named] = min(bound, result.get(named, bound))
    return result
