"""Gives a payment its shadow route before its first part, once and for all of them.

The walk is on the graph, so it is made on the planner's thread; the fee of a full shadow also asks the planner for
the cheapest route. What goes wrong here costs the payment its shadow, never its answer.
"""

from __future__ import annotations

import asyncio

from pay.engine.live.out import Out
from pay.engine.live.own_channels import OwnChannels, less_ordered
from pay.host.calls import CallError, Host
from pay.invoice import Recipient
from pay.invoice.recipient import BlindedRecipient, ClearRecipient, SelfRecipient
from pay.log_events import EventLog, LogEvent
from pay.network.hints import OwnChannel
from pay.payment.route_query import route_query
from pay.payment.settings import Shadow
from pay.payment.terms import Terms, hints_of
from pay.router.planning import Planning
from pay.routing.query import Restrictions, Situation

log = EventLog("pay")

CHANNELS_S = 5.0
"""So long a payment waits for the host's list of our channels for the sake of its shadow's fee."""


class Shadowing:
    """Terms in, terms with a shadow out."""

    def __init__(self, host: Host, us: bytes, planning: Planning):
        self._own = OwnChannels(host, us)
        self._planning = planning

    async def shadowed(self, terms: Terms, recipient: Recipient, kind: Shadow, out: Out) -> Terms:
        """The terms of a payment to `recipient`, not begun yet; `out` is what others have out."""
        match recipient:
            case SelfRecipient() | BlindedRecipient():
                # Nobody to hide from, and somebody who has hidden himself.
                return terms
            case ClearRecipient():
                pass
        if kind is Shadow.OFF:
            return terms
        try:
            own = await self._channels(out) if kind is Shadow.FULL else None
            held = {} if own is None else out.held()
            limits = terms.limits
            first = Situation(
                route_query(terms, terms.amount_msat, 0, 0, 0),
                own or (),
                Restrictions(excluded_nodes=limits.exclude_nodes, excluded_channels=limits.exclude_channels),
                hints_of(recipient),
                held,
            )
            walked = await self._planning.shadow(first, fee=own is not None)
        except Exception:
            log.broken(LogEvent.SHADOW_FAILED, "payment_hash=%s", terms.payment_hash.hex())
            return terms
        return terms.with_shadow(walked.blocks, walked.fee_msat)

    async def _channels(self, out: Out) -> list[OwnChannel] | None:
        """Ours, as far as they are free; None where the host does not tell in time: then there is no fee."""
        try:
            return less_ordered(await asyncio.wait_for(self._own.listed(), CHANNELS_S), out)
        except (CallError, TimeoutError) as error:
            log.debug(LogEvent.SHADOW_WITHOUT_FEE, "error=%r", str(error) or "no answer in time")
            return None
