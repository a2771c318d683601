"""Our own channels as what stands in the way: they are known for certain, so they are looked at and named first.

A channel with the recipient, or with a node that the invoice's route hints start from, may be the only way there
is. Where it cannot be used just now that is the reason, whatever else is true of the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pay.network import Overlay, OwnChannel
from pay.routing.bounds import door_out, doors_in, doors_out, most_in_parts, most_through
from pay.routing.exact import most_own
from pay.routing.figures import in_parts, many
from pay.routing.problem import Problem
from pay.routing.query import NoRoute, NoRouteReason, RouteQuery
from pay.units import format_msat, format_scid

MANY = 1_000
"""Parts: more than any option allows."""

RECIPIENT, ENTRY = "the recipient", "the start of the invoice's route hint"


def no_more_parts(problem: Problem, query: RouteQuery) -> str:
    """Which option forbids more parts, where more of them may do."""
    if query.parts_option is None or query.max_parts < query.most_parts:
        return ""
    amount, many_more = query.amount_msat, replace(query, max_parts=MANY)
    ends = min(most_through(doors_out(problem), MANY), most_through(doors_in(problem), MANY))
    if ends < amount or most_in_parts(problem, many_more) < amount:
        return ""
    return f"; {query.parts_option} allows no more parts"


def blocked(overlay: Overlay, query: RouteQuery) -> str:
    """The channels of ours to the recipient, or to where a hint starts, that cannot be used now; empty if none."""
    named = []
    for peers, whom in (({query.destination}, RECIPIENT), (overlay.entries - {query.destination}, ENTRY)):
        channels = [channel for channel in overlay.idle if channel.peer in peers]
        if channels:
            named.append(_standing(channels, query, f"channel {{}} with {whom}", f"channels with {whom}"))
    return "; ".join(named)


def connected_to(overlay: Overlay, query: RouteQuery) -> bool:
    """Whether the recipient is our peer, and is there."""
    own = (*overlay.own, *overlay.idle)
    return any(channel.peer == query.destination and channel.connected for channel in own)


def no_own(overlay: Overlay, everything: Problem, query: RouteQuery) -> NoRoute:
    """No channel of ours can send anything."""
    if everything.peers:
        return NoRoute(
            NoRouteReason.EXCLUDED,
            "all of our channels that can send, or their peers, are excluded; nothing can be sent without them",
        )
    if not overlay.idle:
        return NoRoute(
            NoRouteReason.NO_OWN_CHANNELS, "we have no open channel: open one to pay", max_sendable_msat=0
        )
    words = _standing(overlay.idle, query, "only channel, {},", "channels")
    if len(overlay.idle) > 1 and (named := blocked(overlay, query)):
        words += f" ({named})"
    return NoRoute(NoRouteReason.NO_OWN_CHANNELS, words, max_sendable_msat=0)


def too_small(problem: Problem, query: RouteQuery) -> NoRoute | None:
    """The amount against our own channels."""
    own = [channel for channels in problem.peers.values() for channel in channels]
    largest, parts = max(own, key=most_own), query.max_parts
    most = most_own(largest) if parts == 1 else most_through(doors_out(problem), parts)
    amount = format_msat(query.amount_msat)
    if query.amount_msat > most:
        if len(own) == 1:
            what = f"our only usable channel, {format_scid(largest.scid)},"
        elif parts == 1:
            what = f"the largest of our {len(own)} usable channels, {format_scid(largest.scid)},"
        else:
            what = f"our {len(own)} usable channels"
        return _more_than(problem, query, most, what)
    least = min(channel.htlc_min_msat for channel in own)
    if query.amount_msat < least:
        return NoRoute(
            NoRouteReason.BELOW_MINIMUM,
            f"{amount} is less than the {format_msat(least)} that our channels send at least",
        )
    return None


def only_door(problem: Problem, query: RouteQuery) -> NoRoute | None:
    """The amount against our own channels with the recipient, where no other open one of it is known."""
    doors = problem.peers.get(problem.target, ())
    theirs = doors_in(problem)[len(doors) :]
    if not doors or any(door.htlc_msat > 0 and door.total_msat > 0 for door in theirs):
        return None
    most = most_through(map(door_out, doors), query.max_parts)
    if query.amount_msat <= most:
        return None
    what = f"our channel {format_scid(doors[0].scid)} with the recipient, its only open one that we know of,"
    if len(doors) > 1:
        what = f"our {len(doors)} channels with the recipient, its only open ones that we know of,"
    return _more_than(problem, query, most, what)


def _more_than(problem: Problem, query: RouteQuery, most_msat: int, what: str) -> NoRoute:
    """The amount is more than some channels of ours can send."""
    overlay = problem.overlay
    away = _held(channel for channel in overlay.idle if not channel.connected)
    more = f"; {format_msat(away)} more is in channels that are not connected" if away > 0 else ""
    out = sum(channel.outgoing_msat for channel in (*overlay.own, *overlay.idle))
    more += f"; {format_msat(out)} is in flight" if out else ""
    return NoRoute(
        NoRouteReason.INSUFFICIENT_SPENDABLE,
        f"{format_msat(query.amount_msat)} is more than the {format_msat(most_msat)} that {what} can send now "
        f"{in_parts(query)}{more}{no_more_parts(problem, query)}",
        max_sendable_msat=most_msat,
        sendable_bound=True,
    )


def _standing(channels: Sequence[OwnChannel], query: RouteQuery, one: str, several: str) -> str:
    """Why these channels of ours cannot be used now."""
    if len(channels) == 1:
        (channel,) = channels
        return f"our {one.format(format_scid(channel.scid))} {_state(channel, query)}"
    away = [channel for channel in channels if not channel.connected]
    empty = [channel for channel in channels if channel.connected and channel.spendable_msat <= 0]
    counts = (
        (len(away), f"not connected, with {format_msat(_held(away))} in {'it' if len(away) == 1 else 'them'}"),
        (len(empty), "without anything to spend"),
        (len(channels) - len(away) - len(empty), "full of HTLCs"),
    )
    out = sum(channel.outgoing_msat for channel in channels)
    why = "; ".join(f"{number} {what}" for number, what in counts if number)
    why += f"; {format_msat(out)} is in flight" if out else ""
    return f"none of our {many(len(channels), several.removesuffix('s'), several)} can send now: {why}"


def _state(channel: OwnChannel, query: RouteQuery) -> str:
    if not channel.connected:
        held_msat = max(channel.spendable_msat, 0)
        less = f", less than {format_msat(query.amount_msat)}" if held_msat < query.amount_msat else ""
        return f"is not connected and holds {format_msat(held_msat)}{less}"
    out = f"; {format_msat(channel.outgoing_msat)} of it is in flight" if channel.outgoing_msat else ""
    if channel.spendable_msat <= 0:
        return f"has nothing to spend now{out}"
    return f"is full of HTLCs, {channel.live_htlcs} of {channel.max_htlcs}{out}"


def _held(channels: Iterable[OwnChannel]) -> int:
    return sum(max(channel.spendable_msat, 0) for channel in channels)
