"""What one ended part shows of balances and nodes, for everybody's beliefs: from its route, the blame and times.

    who speaks                  channels before it      its next channel        nodes
    the recipient, settled      moved, all of them      -                       all worked
    the recipient, refused      passed, all of them     -                       all worked
    a node on the way:                                                          those before it worked
      LACKS_BALANCE             passed                  refused; none of the    it refuses
                                                        recipient's that holds
                                                        others of ours
      AWAY                      passed                  -                       it refuses; or the next is away
      ONION_TROUBLE             passed                  -                       it refuses; or the next spoilt it
      NODE_TROUBLE              passed                  -                       it is broken
      NONSENSE                  passed                  -                       it lies
      anything else             passed                  -                       it refuses
    nobody, UNREADABLE          -                       -                       those on the way share the blame
    us, or nobody               -                       -                       -

What a node says of its neighbour it may have made up: so the names of both are lowered by the same, and that of
the speaker once more for the refusal. That the recipient is away is no reason to avoid it, as every way ends
there, so then the refusal alone remains. A refusal weighs little: an honest node has empty channels, and what it
forwards makes up for them (see `pay.liquidity.experience`).

The first channel is our own: what is there is known and not believed. Channels that are not in the graph
(private ones of route hints) teach the payment itself, by its restrictions, and no other.

Times are those of whole ways, see `pay.liquidity.experience`. A recipient may wait for other parts, or for its
owner, so what it answers only says how quick a way can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from pay.feedback.blame import CROWD, Blame, Kind, Speaker
from pay.liquidity.in_flight import InFlight
from pay.liquidity.observation import (
    Beside,
    Moved,
    NodeFailed,
    NodeWorked,
    Observation,
    Passed,
    Refused,
    Took,
    Trouble,
)
from pay.routing.query import Hop, Route
from pay.units import NodeId, Scid

STUCK_S = 120.0
"""Seconds after which a failed part was held by somebody: an honest answer takes some seconds, over Tor a
minute."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A part that is over.

    Parameters
    ----------
    blame
        None if it settled.
    seconds
        From sending it to the answer.
    others
        Our parts that were out at the same time.
    late
        It went over a channel of the recipient that gossip shows as disabled: that the node before it refuses says
        nothing against that node.
    """

    route: Route
    blame: Blame | None
    seconds: float
    others: InFlight
    late: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A channel of a route in the graph.

    Parameters
    ----------
    group
        All channels between the same two nodes, itself included.
    passing, refusing
        Those beside it over which the HTLC may have gone instead; and those of them that would have taken it,
        as far as gossip says.
    """

    capacity_msat: int
    group: frozenset[Scid]
    passing: tuple[Beside, ...] = ()
    refusing: tuple[Beside, ...] = ()


Places = Callable[[Hop, Hop], Place | None]
"""Of a hop, behind another: where the graph has it, if it does."""


def observations(ended: Ended, places: Places) -> list[Observation]:
    """What `ended` shows, in the order to be learnt."""
    hops, blame = ended.route.hops, ended.blame
    if blame is not None and blame.kind is Kind.UNREADABLE:
        return [NodeFailed(hop.node, Trouble.UNREADABLE, len(hops) - 1) for hop in hops[:-1]]
    reached = len(hops) if blame is None else blame.index
    if not reached:
        return []
    return [*_channels(ended, places, reached), *_nodes(ended, reached)]


def _channels(ended: Ended, places: Places, reached: int) -> Iterator[Observation]:
    hops, blame, others = ended.route.hops, ended.blame, ended.others
    for before, hop in pairwise(hops[:reached]):
        place = places(before, hop)
        if place is None:
            continue
        channel, amount = hop.scid_dir, hop.amount_msat
        if blame is None:
            spent = others.may_have_spent(place.group, hop.direction)
            yield Moved(channel, place.capacity_msat, amount, spent, place.passing, before.node)
        elif (amount := amount - others.may_have_let_pass(place.group, hop.direction)) > 0:
            yield Passed(channel, place.capacity_msat, amount, place.passing, before.node)
    if blame is not None and blame.kind is Kind.LACKS_BALANCE:
        before, hop = hops[reached - 1 : reached + 1]
        place = places(before, hop)
        # A channel into the recipient that holds others of ours has no slot, and nothing shows of its balance.
        least = CROWD if blame.speaker is Speaker.LAST_BUT_ONE else inf
        if place is not None and others.parts_on(place.group, hop.direction) < least:
            amount = hop.amount_msat + others.may_have_kept_out(place.group, hop.direction)
            yield Refused(hop.scid_dir, place.capacity_msat, amount, place.refusing, before.node)


def _nodes(ended: Ended, reached: int) -> Iterator[Observation]:
    hops, blame = ended.route.hops, ended.blame
    for hop in hops[: reached - 1]:
        yield NodeWorked(hop.node)
    on_the_way = tuple(hop.node for hop in hops[:reached])
    yield Took(on_the_way, ended.seconds, waited=reached == len(hops))
    if blame is None or blame.forwarder is None or (ended.late and blame.speaker is Speaker.LAST_BUT_ONE):
        return
    if ended.seconds >= STUCK_S:
        yield from (NodeFailed(node, Trouble.STUCK, len(on_the_way)) for node in on_the_way)
    yield from _of_speaker(blame, blame.forwarder)


def _of_speaker(blame: Blame, speaker: NodeId) -> Iterator[NodeFailed]:
    """What a refusal costs who speaks, and whom it names."""
    assert blame.neighbour is not None
    match blame.kind:
        case Kind.NODE_TROUBLE:
            yield NodeFailed(speaker, Trouble.BROKEN)
        case Kind.NONSENSE:
            yield NodeFailed(speaker, Trouble.LIES)
        case Kind.ONION_TROUBLE:
            yield NodeFailed(speaker, Trouble.REFUSES)
            yield from (NodeFailed(node, Trouble.UNREADABLE, 2) for node in (speaker, blame.neighbour))
        case Kind.AWAY if blame.speaker is not Speaker.LAST_BUT_ONE:
            yield NodeFailed(speaker, Trouble.REFUSES)
            yield from (NodeFailed(node, Trouble.OFFLINE, 2) for node in (speaker, blame.neighbour))
        case (
            Kind.AWAY | Kind.LACKS_BALANCE | Kind.NO_SLOT | Kind.POLICY | Kind.UNUSABLE | Kind.HEIGHT
            | Kind.PARTS_MISSING | Kind.ALTERED | Kind.REFUSED | Kind.UNREADABLE | Kind.UNHEARD
        ):  # fmt: skip
            yield NodeFailed(speaker, Trouble.REFUSES)
