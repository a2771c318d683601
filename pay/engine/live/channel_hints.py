"""Tells other plugins what a refused part says of a channel, as the host's own `pay` does.

What was refused less 1 msat may still pass (libplugin-pay.c, handle_intermediate_failure); a channel that cannot
be used at all is told as disabled, with its whole capacity as the estimate (channel_hint.c, channel_hint_to_json).
Of one that gossip does not know, what was tried is taken for its capacity: listeners keep the largest they hear.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pay.feedback.blame import Kind, blame
from pay.router.planning import Planning
from pay.units import ScidDir

if TYPE_CHECKING:
    from pay.engine.live.announcements import Announcements
    from pay.engine.live.running import Running
    from pay.payment.attempt import Attempt

log = logging.getLogger("pay")


@dataclass(frozen=True, slots=True)
class ChannelHint:
    """What a refusal says of one direction of a channel.

    Parameters
    ----------
    tried_msat
        What was refused.
    enabled
        Less may pass; otherwise nothing does.
    """

    channel: ScidDir
    tried_msat: int
    enabled: bool


class ChannelHints:
    """Announces them, in their order, once the planner has said how large the channel is."""

    def __init__(self, planning: Planning, announcements: Announcements):
        self._planning = planning
        self._announcements = announcements
        self._telling: set[asyncio.Task[None]] = set()

    def part_ended(self, running: Running, attempt: Attempt) -> None:
        """`attempt` of a payment is over; what somebody else sent is his to tell of."""
        hint = hint_of(attempt) if running.order is not None else None
        if hint is not None:
            task = asyncio.create_task(self._tell(hint, int(time.time())))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, hint: ChannelHint, now_s: int) -> None:
        try:
            size_msat = await self._planning.size_msat(hint.channel.scid)
        except Exception:
            log.exception("hint_untold channel=%s", hint.channel)
            return
        total_msat = max(size_msat or 0, hint.tried_msat)
        self._announcements.channel_hint({
            "timestamp": now_s,
            "scid": str(hint.channel),
            "estimated_capacity_msat": hint.tried_msat - 1 if hint.enabled else total_msat,
            "total_capacity_msat": total_msat,
            "enabled": hint.enabled,
        })


def hint_of(attempt: Attempt) -> ChannelHint | None:
    """What the end of a part says of a channel, if a node, or our own host, spoke of one of its own."""
    route, failure = attempt.route, attempt.failure
    if route is None or failure is None or failure.erring_index is None or failure.failcode is None:
        return None
    if failure.erring_index >= len(route.hops):
        return None
    # No height matters here: heights are between the recipient and us.
    said = blame(route, failure, route.hops[-1].node, sent_height=0)
    if said.channel is None or said.kind not in (Kind.LACKS_BALANCE, Kind.AWAY, Kind.UNUSABLE):
        return None
    tried_msat = route.hops[failure.erring_index].amount_msat
    return ChannelHint(said.channel, tried_msat, enabled=said.kind is Kind.LACKS_BALANCE)
