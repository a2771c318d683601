"""Peers of our own channels that are away are asked to come back, where a payment could do with them.

lightningd reconnects by itself, but after a pause that grows. A payment that has no way for want of own channels
may have one a second later: then, and only then, the search waits a little, within `retry_for`. A peer that goes
away while a part is handed to it is asked back in the background, for whoever pays next. Once a payment and peer,
and one call a peer at a time: to a peer that does not answer it lasts a minute, and many payments that all wait
for the same ones must not use up the calls that the host takes of us.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from pay.feedback.failure import Failure
from pay.network.hints import OwnChannel
from pay.node.facade import CallError, Node, Unanswered
from pay.node.running import Running
from pay.payment import events as ev
from pay.routing.query import NoRoute, NoRouteReason
from pay.units import NodeId, ScidDir

log = logging.getLogger("pay")

MOST_PEERS = 5
"""At once: those of the channels that have most to spend."""

WAIT_S = 10.0
"""So long a search without a way waits for a peer; one that answers at all does so in less, also behind Tor."""

_LOOK_S = 0.1
"""How often it is looked whether a channel is in use again after its peer has come."""

_NO_MONEY_HERE = (NoRouteReason.NO_OWN_CHANNELS, NoRouteReason.INSUFFICIENT_SPENDABLE)


class Reconnects:
    """Asks peers back.

    Parameters
    ----------
    us
        Our own node.
    """

    def __init__(self, node: Node, us: bytes):
        self._node = node
        self._us = us
        self._calls: dict[NodeId, asyncio.Task[bool]] = {}

    async def helped(self, running: Running, action: ev.FindRoutes, why: NoRoute) -> bool:
        """Whether a channel that was away is back: then it is worth to look for routes again."""
        own = await self._channels()
        peers = [peer for peer in _missed(own, action, why) if peer not in running.called_back]
        calls = [self._call(running, peer) for peer in peers[:MOST_PEERS]]
        until_s = min(time.time() + WAIT_S, running.session.terms.deadline_s)
        if not calls or until_s <= time.time():
            return False
        done, _ = await asyncio.wait(calls, timeout=until_s - time.time())
        if not any(call.result() for call in done):
            return False
        while time.time() < until_s:
            if any(channel.connected and channel.peer in peers for channel in await self._channels()):
                return True
            await asyncio.sleep(_LOOK_S)
        return False

    def after(self, running: Running, partid: int, failure: Failure) -> None:
        """A part has failed: if that was because our peer is away, ask it back."""
        attempt = running.session.attempts.get(partid)
        if attempt is None or attempt.route is None or failure.erring_index != 0:
            return
        peer = attempt.route.hops[0].node
        # "No connection to first peer found", "First peer not ready": no code tells it from other refusals.
        if "first peer" in failure.reason.lower() and peer not in running.called_back:
            self._call(running, peer)

    def _call(self, running: Running, peer: NodeId) -> asyncio.Task[bool]:
        """The call to `peer`; another payment may have made it."""
        running.called_back.add(peer)
        call = self._calls.get(peer)
        if call is None:
            call = self._calls[peer] = asyncio.create_task(self._connect(running, peer))
            call.add_done_callback(lambda _: self._calls.pop(peer, None))
        return call

    async def _connect(self, running: Running, peer: NodeId) -> bool:
        try:
            await self._node.call("connect", {"id": peer.hex()})
        except (CallError, Unanswered) as error:
            log.debug("peer_away %s peer=%s error=%r", running.name, peer.hex(), str(error))
            return False
        log.debug("peer_back %s peer=%s", running.name, peer.hex())
        return True

    async def _channels(self) -> list[OwnChannel]:
        """Empty where the host does not list them: why there is no route is known without."""
        try:
            listed = await asyncio.wait_for(self._node.own_channels(self._us), WAIT_S)
            return [named.channel for named in listed]
        except (CallError, TimeoutError, LookupError, TypeError, ValueError) as error:
            log.debug("channels_unknown error=%r", error)
            return []


def _missed(own: Sequence[OwnChannel], action: ev.FindRoutes, why: NoRoute) -> list[NodeId]:
    """Peers whose channels could make the payment possible, those with most to spend first."""
    query, restrictions = action.query, action.restrictions
    most_parts = max(query.max_parts, query.most_parts)
    away = [
        channel
        for channel in own
        if not channel.connected
        and channel.spendable_msat > 0
        and channel.peer not in restrictions.excluded_nodes
        and ScidDir(channel.scid, channel.direction) not in restrictions.closed_channels
    ]
    if why.reason not in _NO_MONEY_HERE:
        # Others have ways enough; only a recipient that is our peer may have no other one than to us.
        away = [channel for channel in away if channel.peer == query.destination]
    elif most_parts > 1:
        together = sum(channel.spendable_msat for channel in own if channel.connected)
        together += sum(channel.spendable_msat for channel in away)
        away = away if together >= query.amount_msat else []
    if most_parts == 1:
        away = [channel for channel in away if channel.spendable_msat >= query.amount_msat]
    away.sort(key=lambda channel: channel.spendable_msat, reverse=True)
    return list(dict.fromkeys(channel.peer for channel in away))
