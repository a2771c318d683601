"""What one payment has learnt: a failure's lessons added to those before, for the next question to the planner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pay.network.policy import Policy
from pay.payment.attempt import Attempt
from pay.payment.events import Lessons
from pay.payment.interpret import (
    CapChannel,
    ExcludeChannel,
    ExcludeNode,
    Lesson,
    NewPolicy,
    SleepingChannel,
)
from pay.units import ScidDir

MOST_NAPS = 5
"""How often whoever is behind a route hint is given another moment to wake up."""


def held_on(live: Iterable[Attempt]) -> dict[ScidDir, int]:
    """What live parts hold on channels of others, msat."""
    held: dict[ScidDir, int] = {}
    for attempt in live:
        for hop in attempt.route.hops[1:] if attempt.route is not None else ():
            held[hop.scid_dir] = held.get(hop.scid_dir, 0) + hop.amount_msat
    return held


def learn(
    known: Lessons,
    lessons: Iterable[Lesson],
    held_msat: Mapping[ScidDir, int],
    asked_with: Mapping[ScidDir, Policy],
) -> Lessons:
    """`known` and `lessons` together; neither is changed.

    A channel that refuses an amount while it holds other parts of ours has less than both together: the planner
    takes what is held from a cap, so a cap is of the whole. A channel that refuses with the policy that the failed
    part was planned with (`asked_with`) would do so for ever: it is left out.
    """
    nodes, channels = set(known.excluded_nodes), set(known.excluded_channels)
    caps, policies = dict(known.caps), dict(known.policies)
    asleep, naps = set(known.asleep), dict(known.naps)
    for lesson in lessons:
        match lesson:
            case CapChannel(channel, amount_msat):
                whole_msat = amount_msat + held_msat.get(channel, 0)
                caps[channel] = min(whole_msat, caps.get(channel, whole_msat))
            case ExcludeChannel(channel):
                channels.add(channel)
            case ExcludeNode(node):
                nodes.add(node)
            case SleepingChannel(channel):
                naps[channel] = naps.get(channel, 0) + 1
                (asleep if naps[channel] <= MOST_NAPS else channels).add(channel)
            case NewPolicy(channel, policy):
                if asked_with.get(channel) == policy:
                    channels.add(channel)
                policies[channel] = policy
    return Lessons(frozenset(nodes), frozenset(channels), caps, policies, frozenset(asleep), naps)
