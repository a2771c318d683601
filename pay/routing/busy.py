"""Says of "no route" whether it is so only because of what is in flight just now.

What holds our money and our HTLC slots, our own parts and what we forward, ends; so do parts of ours that hold the
channels of others. Where there would be routes if nothing were out, it is worth to wait and to ask again. What is
known of channels from failures stays known: they would refuse then as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pay.network.hints import OwnChannel
from pay.routing.query import NoRoute, Route, RouteQuery
from pay.units import ScidDir

Plan = Callable[[RouteQuery, Sequence[OwnChannel], Mapping[ScidDir, int]], "tuple[Route, ...] | NoRoute"]


def plan_or_busy(
    plan: Plan,
    query: RouteQuery,
    whole: RouteQuery | None,
    own: Sequence[OwnChannel],
    in_flight: Mapping[ScidDir, int],
) -> tuple[Route, ...] | NoRoute:
    """Routes for `query`, or why there are none.

    Parameters
    ----------
    plan
        Answers a question with these own channels and so much held by our parts on others' channels.
    whole
        The question for all of the payment, where parts of it are out: what they hold is not free for the rest
        unless they fail, and then all of it has to be sent.
    """
    answer = plan(query, own, in_flight)
    if not isinstance(answer, NoRoute) or not (in_flight or any(channel.live_htlcs for channel in own)):
        return answer
    free = plan(whole or query, [channel.idle for channel in own], {})
    return answer if isinstance(free, NoRoute) else replace(answer, busy=True)
