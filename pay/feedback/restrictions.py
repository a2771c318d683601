"""What one payment may still try: the blame in a failure added to the restrictions before it.

One failure costs a channel, a node that is itself out of order, or the trust in a speaker, and never more: what a
node says of others is believed of its own channel to them only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pay.feedback.blame import CROWD, Blame, Kind, Speaker
from pay.routing.query import SUSPECT_AFTER, Crowd, Edge, Hop, Refusals, Restrictions, Route
from pay.units import MAX_MSAT, NodeId, ScidDir

_NOTHING = Restrictions()

MOST_HALVINGS = 2
"""How often parts over a route hint are made half as large, as if there were several channels behind it. What
still does not pass then is want of money."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Of a part that failed.

    Parameters
    ----------
    held_msat
        What live parts of the payment hold on channels of others, see `held_on`.
    planned_with
        The restrictions that it was planned with: of parts that are out together each may bring the same news.
    parts_on
        How many live parts of the payment those are.
    wakeable
        The last channels of route hints: whoever is behind one may be asleep, and it stands for all channels
        between the same two (BOLT 4, non-strict forwarding).
    several
        The payment may be in parts.
    total_msat
        Of the whole payment: a part of less waits for others.
    """

    held_msat: Mapping[ScidDir, int] = field(default_factory=dict)
    parts_on: Mapping[ScidDir, int] = field(default_factory=dict)
    planned_with: Restrictions = _NOTHING
    wakeable: frozenset[ScidDir] = frozenset()
    several: bool = False
    total_msat: int = 0


def held_on(routes: Iterable[Route | None]) -> dict[ScidDir, int]:
    """What parts that are out hold on channels of others, msat.

    A part that was taken up at the start has no known route, and counts nowhere. A cap is then of what was refused
    without what that part may hold; the planner takes from it what it knows to be held, which lacks the same part.
    So just as much is left to try as if it had been counted. Once that part is over, the cap is too low by what it
    held, if it went the same way: a detour for one payment. Guessed too high, it would be the same refusal again.
    """
    held: dict[ScidDir, int] = {}
    for route in routes:
        for hop in route.hops[1:] if route is not None else ():
            held[hop.scid_dir] = held.get(hop.scid_dir, 0) + hop.amount_msat
    return held


def parts_on(routes: Iterable[Route | None]) -> dict[ScidDir, int]:
    """How many parts that are out are on each last channel."""
    return dict(Counter(route.hops[-1].scid_dir for route in routes if route is not None))


def restrict(known: Restrictions, route: Route | None, blame: Blame, of: Circumstances) -> Restrictions:
    """`known` and what follows from `blame` of the part that took `route`; neither is changed."""
    if route is None:
        return known
    if blame.speaker is Speaker.RECIPIENT:
        return replace(_way_in(known, route, blame, of), reached=True)
    if blame.channel is None:
        return _avoid_unknown(known, route.hops, blame)
    counted = _refused_by(known, blame, blame.channel, of)
    return _channel(_door(counted, route, blame), route, blame, blame.channel, of)


def _channel(known: Restrictions, route: Route, blame: Blame, channel: ScidDir, of: Circumstances) -> Restrictions:
    """Of the channel or node that did not forward it."""
    match blame.kind:
        case Kind.LACKS_BALANCE:
            less = _less(known, route, blame, channel, of)
            return _newer_policy(less, route, blame, channel, of) if blame.respected is False else less
        case Kind.NO_SLOT | Kind.AWAY:
            return replace(known, asleep=known.asleep | {channel})
        case Kind.POLICY:
            return _newer_policy(known, route, blame, channel, of)
        case Kind.NODE_TROUBLE if not blame.lasting:
            assert blame.node is not None
            return replace(known, asleep_nodes=known.asleep_nodes | {blame.node})
        case Kind.NODE_TROUBLE:
            assert blame.node is not None
            return replace(known, excluded_nodes=known.excluded_nodes | {blame.node})
        case Kind.UNUSABLE | Kind.ONION_TROUBLE | Kind.NONSENSE:
            return _without(known, channel)
        case Kind.HEIGHT | Kind.PARTS_MISSING | Kind.ALTERED | Kind.REFUSED | Kind.UNREADABLE | Kind.UNHEARD:
            raise ValueError(f"{blame.kind} is said of no channel")


def woken(known: Restrictions, *, phones: frozenset[ScidDir] = frozenset()) -> Restrictions:
    """What holds after a pause.

    Parameters
    ----------
    phones
        Last channels of hints, if it was for somebody to wake up: what was refused asleep is no lack of balance,
        and is asked for once more, in one part.
    """
    awake = replace(known.awake, doors={})
    if known.reached or not phones:
        return awake
    edges = {channel: Edge(MAX_MSAT, MOST_HALVINGS) for channel in known.edges}
    caps = {channel: cap for channel, cap in known.caps.items() if channel not in phones}
    return replace(awake, edges=edges, caps=caps)


def crowded(known: Restrictions, on: Mapping[ScidDir, int]) -> Restrictions:
    """With the channels that are full of parts of ours now, of which there are so many `on` each."""
    full = frozenset(channel for channel, most in known.crowds.items() if on.get(channel, 0) >= most.parts)
    return replace(known, full=full) if full else known


def _less(known: Restrictions, route: Route, blame: Blame, channel: ScidDir, of: Circumstances) -> Restrictions:
    """The channel did not take that much, or no further HTLC."""
    assert blame.index is not None
    amount_msat, last = route.hops[blame.index].amount_msat, blame.speaker is Speaker.LAST_BUT_ONE
    beside = of.parts_on.get(channel, 0)
    # The planner takes what is held from a cap, so a cap is of the whole.
    whole_msat = amount_msat - 1 + of.held_msat.get(channel, 0)
    if last and beside >= CROWD:
        before = known.crowds.get(channel, Crowd(beside, whole_msat))
        crowd = Crowd(min(beside, before.parts), min(whole_msat, before.cap_msat))
        return replace(known, crowds={**known.crowds, channel: crowd})
    if _is_edge(blame, channel, of):
        edge = known.edges.get(channel, Edge(amount_msat, 0))
        if amount_msat > edge.size_msat and of.planned_with.edges.get(channel) != edge:
            # It was planned before the news.
            return known
        if edge.halvings < MOST_HALVINGS and 1 < amount_msat <= edge.size_msat:
            smaller = Edge((amount_msat + 1) // 2, edge.halvings + 1)
            return replace(known, edges={**known.edges, channel: smaller})
    return replace(known, caps={**known.caps, channel: min(whole_msat, known.caps.get(channel, whole_msat))})


def _is_edge(blame: Blame, channel: ScidDir, of: Circumstances) -> bool:
    """Whether it may stand for several channels, and the payment may use them."""
    return blame.speaker is Speaker.LAST_BUT_ONE and of.several and channel in of.wakeable


def _door(known: Restrictions, route: Route, blame: Blame) -> Restrictions:
    """With what the recipient's own channel has refused, as long as nothing has reached it."""
    if blame.speaker is not Speaker.LAST_BUT_ONE or blame.kind not in (Kind.LACKS_BALANCE, Kind.AWAY):
        return known
    channel = route.hops[-1].scid_dir
    least_msat = route.amount_msat if blame.kind is Kind.LACKS_BALANCE else 0
    least_msat = min(least_msat, known.doors.get(channel, least_msat))
    return replace(known, doors={**known.doors, channel: least_msat})


def _newer_policy(
    known: Restrictions, route: Route, blame: Blame, channel: ScidDir, of: Circumstances
) -> Restrictions:
    """By the policy that came along; a channel is asked once what it asks, and whoever asks more again is left.

    The largest HTLC that it now takes is a cap of all that it is given: many small ones in its place would put the
    whole payment on the word of one node. Behind a hint there may be several such channels.
    """
    if blame.policy is None or blame.respected:
        return _without(known, channel)
    believed = known.policies.get(channel)
    if believed is None:
        assert blame.index is not None
        asked = replace(known, policies={**known.policies, channel: blame.policy})
        amount_msat, most_msat = route.hops[blame.index].amount_msat, blame.policy.htlc_max_msat
        if most_msat >= amount_msat:
            return asked
        if _is_edge(blame, channel, of) and most_msat << MOST_HALVINGS >= amount_msat:
            smaller = Edge(min(most_msat, (amount_msat + 1) // 2), 1)
            return replace(asked, edges={channel: smaller, **known.edges})
        most_msat += of.held_msat.get(channel, 0)
        return replace(asked, caps={**known.caps, channel: min(most_msat, known.caps.get(channel, most_msat))})
    # A part that was planned before the news may well bring it a second time.
    told_twice = blame.policy == believed and of.planned_with.policies.get(channel) != believed
    return known if told_twice else _without(known, channel)


def _refused_by(known: Restrictions, blame: Blame, channel: ScidDir, of: Circumstances) -> Restrictions:
    """With the refusal counted against the node that spoke, whatever it said of its neighbour."""
    node = blame.forwarder
    if node is None or (blame.kind is Kind.AWAY and channel in of.wakeable):
        return known
    # Who speaks for the recipient is no node to try again while there is another.
    times = SUSPECT_AFTER if blame.kind is Kind.NONSENSE else 1
    if _known_of(known, channel) != _known_of(of.planned_with, channel):
        # Another part that was out with this one has told already.
        times = 0
    return replace(known, refusals=_more(known.refusals, node, times))


def _way_in(known: Restrictions, route: Route, blame: Blame, of: Circumstances) -> Restrictions:
    """The recipient spoke: nobody on the way refused, and another last channel may do."""
    others_missing = blame.kind is Kind.PARTS_MISSING and route.amount_msat < of.total_msat
    if blame.kind in (Kind.HEIGHT, Kind.REFUSED) or others_missing:
        return known
    last = route.hops[-1].scid_dir
    if blame.kind is Kind.NODE_TROUBLE:
        return replace(known, asleep=known.asleep | {last})
    return _without(known, last)


def _avoid_unknown(known: Restrictions, hops: tuple[Hop, ...], blame: Blame) -> Restrictions:
    """Who failed is unknown: leave out what lies between our peer and the last channel, where there is any.

    The first channel is ours, and the recipient may have only one way in, so these two go last. An answer that
    somebody has spoilt is held against all who may have done so.
    """
    between = hops[1:-1] or hops[-1:]
    refusals = known.refusals
    for hop in hops[:-1] if blame.kind is Kind.UNREADABLE else ():
        refusals = _more(refusals, hop.node)
    return replace(_without(known, *(hop.scid_dir for hop in between)), refusals=refusals)


def _without(known: Restrictions, *channels: ScidDir) -> Restrictions:
    return replace(known, excluded_channels=known.excluded_channels.union(channels))


def _known_of(restrictions: Restrictions, channel: ScidDir) -> tuple[object, ...]:
    closed = channel in restrictions.closed_channels
    return closed, restrictions.caps.get(channel), restrictions.policies.get(channel)


def _more(refusals: Mapping[NodeId, Refusals], node: NodeId, times: int = 1) -> dict[NodeId, Refusals]:
    known = refusals.get(node, Refusals(0, 0))
    return {**refusals, node: Refusals(known.times + times, known.parts + 1)}
