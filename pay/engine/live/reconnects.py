"""Peers of our own channels that are away are asked to come back, where a payment says that it misses them.

lightningd reconnects by itself, but after a pause that grows. Whom to ask, and how long to wait for it, is the
payment's matter (`pay.payment.patience`). Here each is called once for all payments that ask at the same time, as
many payments that miss the same ones must not use up the calls that the host takes of us; and two seconds after
a call in vain again, as long as one of them misses it. A peer that announces no address, or another one, is called
where we reached it before. And it is looked whether a channel is in use again, once for all who wait: also where
the call fails at once, as for a peer behind a router that only ever connects to us.

A peer that goes away while a part is handed to it is asked back in the background, for whoever pays next.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from pay.engine.live.own_channels import OwnChannels
from pay.engine.live.running import Running
from pay.feedback.failure import Failure
from pay.host.addresses import Addresses
from pay.host.calls import CallError, Host, Unanswered
from pay.log_events import EventLog, LogEvent
from pay.payment import events as ev
from pay.payment.patience import PEERS_S
from pay.units import NodeId

log = EventLog("pay")

_LOOK_S = 0.2
"""How often it is looked whether a channel is in use again."""

_AGAIN_S = 2.0
"""After a call in vain, until the next one."""

_CALL_S = 5.0
"""So long an answer is waited for. A call that joins the host's own try is not answered when that fails
(lightningd, connect_control.c: connect_failed), but when the next one does; a try that still goes on is joined."""

_NO_KNOWN_ADDRESS, _ALL_ADDRESSES_FAILED = 400, 401


class Reconnects:
    """Asks peers back.

    Parameters
    ----------
    own
        Our channels as the host lists them.
    addresses
        Where we reached our peers.
    back
        Called with a payment when a peer that it misses is connected again.
    """

    def __init__(self, host: Host, own: OwnChannels, addresses: Addresses, back: Callable[[Running], None]):
        self._host = host
        self._own = own
        self._addresses = addresses
        self._back = back
        self._calls: dict[NodeId, asyncio.Task[None]] = {}
        self._again_s: dict[NodeId, float] = {}
        self._missed: dict[Running, ev.AskPeers] = {}
        self._watch: asyncio.Task[None] | None = None

    def ask(self, running: Running, wish: ev.AskPeers) -> None:
        """Do what a payment wishes; the newest wish holds."""
        for peer in wish.peers:
            self._call(running, peer)
        self._missed[running] = wish
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watching())

    async def _watching(self) -> None:
        """Look for those who are missed, as long as anybody misses one."""
        while self._missed:
            connected = await self._connected()
            for running, wish in list(self._missed.items()):
                if not connected.isdisjoint(wish.missed):
                    del self._missed[running]
                    self._back(running)
                elif running.answered or running.clock.now() >= wish.until_s:
                    del self._missed[running]
            self._call_again()
            await asyncio.sleep(_LOOK_S)
        self._again_s.clear()

    def after(self, running: Running, partid: int, failure: Failure) -> None:
        """A part has failed: if that was because our peer is away, ask it back."""
        attempt = running.session.attempts.get(partid)
        if attempt is None or attempt.route is None or failure.erring_index != 0:
            return
        peer = attempt.route.hops[0].node
        # "No connection to first peer found", "First peer not ready": no code tells it from other refusals.
        if "first peer" in failure.reason.lower():
            self._call(running, peer)

    def _call(self, running: Running, peer: NodeId) -> None:
        """Call `peer`, unless this payment has, or another one does so now."""
        if peer in running.called_back:
            return
        running.called_back.add(peer)
        self._begin(running, peer)

    def _call_again(self) -> None:
        """Those that were called in vain a while ago, and are missed by who had them called."""
        now_s = asyncio.get_running_loop().time()
        for running, wish in self._missed.items():
            for peer in running.called_back.intersection(wish.missed):
                if now_s >= self._again_s.get(peer, math.inf):
                    self._begin(running, peer)

    def _begin(self, running: Running, peer: NodeId) -> None:
        if peer not in self._calls:
            self._again_s.pop(peer, None)
            call = self._calls[peer] = asyncio.create_task(self._connect(running, peer))
            call.add_done_callback(lambda _: self._calls.pop(peer, None))

    async def _connect(self, running: Running, peer: NodeId) -> None:
        try:
            async with asyncio.timeout(_CALL_S):
                await self._dial(peer)
        except (CallError, Unanswered, TimeoutError) as error:
            log.debug(
                LogEvent.PEER_AWAY,
                "%s peer=%s error=%r",
                running.name,
                peer.hex(),
                str(error) or "no answer in time",
            )
            if not isinstance(error, CallError) or error.code != _NO_KNOWN_ADDRESS:
                self._again_s[peer] = asyncio.get_running_loop().time() + _AGAIN_S
        else:
            log.debug(LogEvent.PEER_BACK, "%s peer=%s", running.name, peer.hex())

    async def _dial(self, peer: NodeId) -> None:
        """First by what it announces: it may have moved, and its old address may keep us waiting."""
        reached = self._addresses.of(peer)
        try:
            await self._host.call("connect", {"id": peer.hex()})
        except CallError as error:
            if reached is None or error.code not in (_NO_KNOWN_ADDRESS, _ALL_ADDRESSES_FAILED):
                raise
            if str(reached) in error.message:
                raise  # it was among those that failed
            await self._host.call("connect", {"id": peer.hex(), "host": reached.host, "port": reached.port})

    async def _connected(self) -> frozenset[NodeId]:
        """Peers with a channel in use; none where the host does not list them."""
        try:
            listed = await asyncio.wait_for(self._own.listed(), PEERS_S)
        except (CallError, TimeoutError, LookupError, TypeError, ValueError) as error:
            log.debug(LogEvent.CHANNELS_UNKNOWN, "error=%r", error)
            return frozenset()
        return frozenset(each.channel.peer for each in listed if each.channel.connected)
