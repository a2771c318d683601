"""What other plugins hear of our payments: ends in the form of the host's own `pay`, parts in that of `xpay`.

    pay_success, pay_failure       once for every payment of ours, when its callers are answered
    pay_part_start, pay_part_end   once for every part of ours, when it is sent and when it has ended
    channel_hint_update            where the refusal of a part of ours says something of a channel

Parts that somebody else sent are his to announce. A part that an earlier run of this plugin sent was announced by
that run; its end, and that of its payment, is announced here, where the journal says that it was ours. So is a
success that came while the plugin was away (again, if it died just between the announcement and the journal).

Fields: doc/schemas/notification/xpay_pay_part_{start,end}.json of the host.

Hints are as those of the host's own `pay`. What was refused less 1 msat may still pass (libplugin-pay.c,
handle_intermediate_failure); a channel that cannot be used at all is told as disabled, with its whole capacity as
the estimate (channel_hint.c, channel_hint_to_json). Of one that gossip does not know, what was tried is taken for
its capacity: listeners keep the largest they hear.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pay.engine.live.running import Running
from pay.errors import PayError
from pay.feedback.blame import Kind, blame
from pay.feedback.failure import Failure
from pay.log_events import EventLog, LogEvent
from pay.payment.attempt import Attempt
from pay.payment.states import AttemptStatus
from pay.payment.verdict import NOT_TAKEN, in_words
from pay.router.planning import Planning
from pay.routing.query import Route
from pay.units import ScidDir, format_scid

log = EventLog("pay")

TOPICS = ("pay_success", "pay_failure", "pay_part_start", "pay_part_end", "channel_hint_update")
"""To be declared in the manifest: the host drops what is not."""

Announce = Callable[[str, dict[str, Any]], None]


class Announcements:
    """Tells the host what it forwards to the plugins that subscribed.

    Parameters
    ----------
    announce
        Emits the fields under a topic.
    """

    def __init__(self, announce: Announce):
        self._announce = announce

    def paid(self, running: Running) -> None:
        if running.order is not None:
            self._announce("pay_success", _payment(running))

    def paid_after_all(self, payment_hash: bytes, bolt11: str) -> None:
        """What was announced as failed has been paid."""
        self._announce("pay_success", {"payment_hash": payment_hash.hex(), "bolt11": bolt11})

    def failed(self, running: Running, error: PayError) -> None:
        if running.order is not None:
            self._announce("pay_failure", {**_payment(running), "error": {"message": error.message}})

    def part_started(self, running: Running, attempt: Attempt) -> None:
        """A part is sent now; one that was found at the host (it is there already) is not."""
        if running.order is None or attempt.status is not AttemptStatus.CREATED:
            return
        self._announce(
            "pay_part_start",
            {
                **_part(running, attempt),
                "total_payment_msat": running.session.terms.asked_msat,
                "attempt_msat": attempt.amount_msat,
                "hops": _hops(attempt.route),
            },
        )

    def part_ended(self, running: Running, attempt: Attempt, seconds: float) -> None:
        """A part has settled or failed, `seconds` after it was sent."""
        if running.order is None:
            return
        fields: dict[str, Any] = {"duration": max(0.0, round(seconds, 6)), **_part(running, attempt)}
        if attempt.status is AttemptStatus.SETTLED:
            self._announce("pay_part_end", {"status": "success", **fields})
        else:
            self._announce("pay_part_end", {"status": "failure", **fields, **_why(attempt.route, attempt.failure)})

    def channel_hint(self, fields: dict[str, Any]) -> None:
        self._announce("channel_hint_update", fields)


def _payment(running: Running) -> dict[str, Any]:
    assert running.order is not None
    return {"payment_hash": running.order.payment_hash, "bolt11": running.order.bolt11}


def _part(running: Running, attempt: Attempt) -> dict[str, Any]:
    """These three name a part."""
    terms = running.session.terms
    return {"payment_hash": terms.payment_hash.hex(), "groupid": terms.groupid, "partid": attempt.partid}


def _hops(route: Route | None) -> list[dict[str, Any]]:
    """Each with what reaches the node that its channel starts from and what the channel is given.

    Our own channel takes no fee; a payment to ourselves has no hop.
    """
    if route is None:
        return []
    reaching = [route.sent_msat] + [hop.amount_msat for hop in route.hops[:-1]]
    return [
        {
            "next_node": hop.node.hex(),
            "short_channel_id": format_scid(hop.scid),
            "direction": hop.direction,
            "channel_in_msat": in_msat,
            "channel_out_msat": hop.amount_msat,
        }
        for hop, in_msat in zip(route.hops, reaching, strict=True)
    ]


def _why(route: Route | None, failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return {"error_message": NOT_TAKEN}
    fields: dict[str, Any] = {}
    if failure.raw_message:
        fields["failed_msg"] = failure.raw_message.hex()
    index = failure.erring_index
    if route is not None and index is not None and index <= len(route.hops):
        if index > 0:
            fields["failed_node_id"] = route.hops[index - 1].node.hex()
        if index < len(route.hops):
            fields["failed_short_channel_id"] = format_scid(route.hops[index].scid)
            fields["failed_direction"] = route.hops[index].direction
    if failure.failcode is not None:
        fields["error_code"] = failure.failcode
    return {**fields, "error_message": in_words(failure)}


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
            log.broken(LogEvent.HINT_UNTOLD, "channel=%s", hint.channel)
            return
        total_msat = max(size_msat or 0, hint.tried_msat)
        self._announcements.channel_hint(
            {
                "timestamp": now_s,
                "scid": str(hint.channel),
                "estimated_capacity_msat": hint.tried_msat - 1 if hint.enabled else total_msat,
                "total_capacity_msat": total_msat,
                "enabled": hint.enabled,
            }
        )


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
