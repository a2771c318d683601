"""What one payment has learnt: a failure's lessons added to those before, for the next question to the planner."""

from __future__ import annotations

from collections.abc import Iterable

from pay.payment.events import Lessons
from pay.payment.interpret import (
    CapChannel,
    ExcludeChannel,
    ExcludeNode,
    Lesson,
    NewPolicy,
    SleepingChannel,
)

MOST_NAPS = 5
"""How often whoever is behind a route hint is given another moment to wake up."""


def learn(known: Lessons, lessons: Iterable[Lesson]) -> Lessons:
    """`known` and `lessons` together; neither is changed.

    A channel that refuses with the policy that it was asked with before would do so for ever: it is left out.
    """
    nodes, channels = set(known.excluded_nodes), set(known.excluded_channels)
    caps, policies = dict(known.caps), dict(known.policies)
    asleep, naps = set(known.asleep), dict(known.naps)
    for lesson in lessons:
        match lesson:
            case CapChannel(channel, amount_msat):
                caps[channel] = min(amount_msat, caps.get(channel, amount_msat))
            case ExcludeChannel(channel):
                channels.add(channel)
            case ExcludeNode(node):
                nodes.add(node)
            case SleepingChannel(channel):
                naps[channel] = naps.get(channel, 0) + 1
                (asleep if naps[channel] <= MOST_NAPS else channels).add(channel)
            case NewPolicy(channel, policy):
                if policies.get(channel) == policy:
                    channels.add(channel)
                policies[channel] = policy
    return Lessons(frozenset(nodes), frozenset(channels), caps, policies, frozenset(asleep), naps)
