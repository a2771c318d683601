"""From one ended part to what was seen of balances and nodes: a pure function, one table.

    who answers                 channels before him     his next channel        nodes
    the recipient, settled      moved, all of them      -                       all worked
    the recipient, refused      passed, all of them     -                       all worked
    a node on the way:                                                          those before him worked
      channel lacks balance     passed                  refused                 -
      the same, but disabled    passed                  -                       the next one is away
      knows no such peer        passed                  -                       the next one is away
      it is itself broken       passed                  -                       he is broken
      could not read an onion   passed                  -                       he or the next one spoilt it
      anything else             passed                  -                       -
    nobody readable             -                       -                       those on the way share the blame
    us, or no reason heard      -                       -                       -

A refusal is of balance only if the node says so, and not where the policy that it sends along forbids the HTLC.
The first channel is our own: what is there is known and not believed. Channels that are not in the graph
(private ones of route hints) teach the payment itself, by its lessons, and no other.

Times are those of whole ways, see `pay.liquidity.experience`. A recipient may wait for other parts, or for its
owner, so what he answers only says how quick a way can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pay.liquidity.in_flight import Fate, InFlight, Part
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
from pay.payment.attempt import Attempt
from pay.payment.failure import BADONION, NODE, FailCode, Failure, read_details
from pay.payment.states import AttemptStatus
from pay.routing.query import Hop, Route
from pay.units import Scid, fee_msat

if TYPE_CHECKING:
    from pay.network import ChannelGraph

STUCK_S = 120.0
"""Seconds after which a failed part was held by somebody: an honest answer takes some seconds, over Tor a
minute."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A part that is over.

    Parameters
    ----------
    failure
        None if it settled.
    seconds
        From sending it to the answer.
    others
        Our parts that were out at the same time.
    """

    route: Route
    failure: Failure | None
    seconds: float
    others: InFlight


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
    hops, failure = ended.route.hops, ended.failure
    if failure is None:
        reached = len(hops)
    elif failure.erring_index is None or failure.failcode is None:
        return list(_unreadable(hops)) if failure.unreadable else []
    else:
        reached = failure.erring_index
    if not 0 < reached <= len(hops):
        return []
    return [*_channels(ended, places, reached), *_nodes(ended, reached)]


def _channels(ended: Ended, places: Places, reached: int) -> Iterator[Observation]:
    hops, failure, others = ended.route.hops, ended.failure, ended.others
    for before, hop in pairwise(hops[:reached]):
        place = places(before, hop)
        if place is None:
            continue
        channel, amount = hop.scid_dir, hop.amount_msat
        if failure is None:
            spent = others.may_have_spent(place.group, hop.direction)
            yield Moved(channel, place.capacity_msat, amount, spent, place.passing)
        elif (amount := amount - others.may_have_let_pass(place.group, hop.direction)) > 0:
            yield Passed(channel, place.capacity_msat, amount, place.passing)
    if failure is not None and reached < len(hops) and _lacked(hops[reached], failure):
        before, hop = hops[reached - 1 : reached + 1]
        place = places(before, hop)
        if place is not None:
            amount = hop.amount_msat + others.may_have_kept_out(place.group, hop.direction)
            yield Refused(hop.scid_dir, place.capacity_msat, amount, place.refusing)


def _nodes(ended: Ended, reached: int) -> Iterator[Observation]:
    hops, failure = ended.route.hops, ended.failure
    for hop in hops[: reached - 1]:
        yield NodeWorked(hop.node)
    on_the_way = tuple(hop.node for hop in hops[:reached])
    last = reached == len(hops)
    yield Took(on_the_way, ended.seconds, waited=last)
    if failure is None or last:
        return
    if ended.seconds >= STUCK_S:
        yield from (NodeFailed(node, Trouble.STUCK, len(on_the_way)) for node in on_the_way)
    node, following = hops[reached - 1].node, hops[reached].node
    code = failure.failcode
    assert code is not None
    if code & BADONION:
        yield from (NodeFailed(suspect, Trouble.UNREADABLE, 2) for suspect in (node, following))
    elif code & NODE:
        yield NodeFailed(node, Trouble.BROKEN)
    elif reached < len(hops) - 1 and (code == FailCode.UNKNOWN_NEXT_PEER or _disabled(hops[reached], failure)):
        yield NodeFailed(following, Trouble.OFFLINE)


def _unreadable(hops: tuple[Hop, ...]) -> Iterator[Observation]:
    suspects = [hop.node for hop in hops[:-1]]
    yield from (NodeFailed(node, Trouble.UNREADABLE, len(suspects)) for node in suspects)


def _lacked(hop: Hop, failure: Failure) -> bool:
    """Whether the failure says that the channel of `hop` lacked balance."""
    if failure.failcode != FailCode.TEMPORARY_CHANNEL_FAILURE:
        return False
    update = read_details(failure.failcode, failure.raw_message).update
    if update is None or update[0] != hop.scid_dir:
        return True
    policy = update[1]
    return policy.enabled and policy.htlc_min_msat <= hop.amount_msat <= policy.htlc_max_msat


def _disabled(hop: Hop, failure: Failure) -> bool:
    update = read_details(failure.failcode, failure.raw_message).update
    return update is not None and update[0] == hop.scid_dir and not update[1].enabled


def part_of(attempt: Attempt, ended_s: float | None) -> Part | None:
    """An attempt as others must take it into account; None where its route is not known, or it is our own
    channel."""
    if attempt.route is None:
        return None
    fate = Fate.OUT
    if not attempt.live:
        fate = Fate.SETTLED if attempt.status is AttemptStatus.SETTLED else Fate.FAILED
    holds = tuple((hop.scid_dir, hop.amount_msat) for hop in attempt.route.hops[1:])
    return Part(holds, fate, attempt.started_s, ended_s)


def place_in(graph: ChannelGraph, before: Hop, hop: Hop) -> Place | None:
    """The channel of `hop` in the graph, and those beside it; None if it, or its size, is not known there."""
    arc, capacity = graph.arc_number(hop.scid_dir), graph.size_msat(hop.scid)
    if arc is None or capacity is None:
        return None
    into = graph.arcs_into(int(graph.target[arc]))
    between = into[graph.source[into] == graph.source[arc]].tolist()
    known, sizes = graph.capacity_known, graph.capacity_msat
    fits = [a for a in between if a != arc and known[a >> 1] and sizes[a] >= hop.amount_msat]
    group = {a: Scid(int(graph.scids[a >> 1])) for a in between}
    passing = {a: Beside(group[a], int(graph.capacity_msat[a])) for a in fits}
    refusing = tuple(passing[a] for a in fits if _takes(graph, a, before, hop))
    return Place(capacity, frozenset(group.values()), tuple(passing.values()), refusing)


def _takes(graph: ChannelGraph, arc: int, before: Hop, hop: Hop) -> bool:
    """Whether the policy of `arc` allows what was asked of the channel beside it."""
    fee = fee_msat(hop.amount_msat, int(graph.fee_base_msat[arc]), int(graph.fee_ppm[arc]))
    return bool(
        graph.enabled[arc]
        and before.amount_msat - hop.amount_msat >= fee
        and before.delay_blocks - hop.delay_blocks >= graph.cltv_delta[arc]
        and graph.htlc_min_msat[arc] <= hop.amount_msat <= graph.htlc_max_msat[arc]
    )
