"""Peers of our own channels that are away are asked to come back, where a payment says that it misses them.

lightningd reconnects by itself, but after a pause that grows. Whom to ask, and how long to wait for it, is the
payment's matter (`pay.payment.patience`). Here each is called once for all payments that ask at the same time, as
a call to a peer that does not answer lasts a minute, and many payments that miss the same ones must not use up the
calls that the host takes of us. And it is looked whether a channel is in use again, once for all who wait: also
where the call fails at once, as for a peer behind a router that only ever connects to us.

A peer that goes away while a part is handed to it is asked back in the background, for whoever pays next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pay.feedback.failure import Failure
from pay.node.facade import CallError, Node, Unanswered
from pay.node.holdings import OwnChannels
from pay.node.running import Running
from pay.payment import events as ev
from pay.payment.patience import PEERS_S
from pay.units import NodeId

log = logging.getLogger("pay")

_LOOK_S = 0.2
"""How often it is looked whether a channel is in use again."""


class Reconnects:
    """Asks peers back.

    Parameters
    ----------
    own
        Our channels as the host lists them.
    back
        Called with a payment when a peer that it misses is connected again.
    """

    def __init__(self, node: Node, own: OwnChannels, back: Callable[[Running], None]):
        self._node = node
        self._own = own
        self._back = back
        self._calls: dict[NodeId, asyncio.Task[None]] = {}
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
            await asyncio.sleep(_LOOK_S)

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
        if peer not in self._calls:
            call = self._calls[peer] = asyncio.create_task(self._connect(running, peer))
            call.add_done_callback(lambda _: self._calls.pop(peer, None))

    async def _connect(self, running: Running, peer: NodeId) -> None:
        try:
            await self._node.call("connect", {"id": peer.hex()})
        except (CallError, Unanswered) as error:
            log.debug("peer_away %s peer=%s error=%r", running.name, peer.hex(), str(error))
        else:
            log.debug("peer_back %s peer=%s", running.name, peer.hex())

    async def _connected(self) -> frozenset[NodeId]:
        """Peers with a channel in use; none where the host does not list them."""
        try:
            listed = await asyncio.wait_for(self._own.listed(), PEERS_S)
        except (CallError, TimeoutError, LookupError, TypeError, ValueError) as error:
            log.debug("channels_unknown error=%r", error)
            return frozenset()
        return frozenset(each.channel.peer for each in listed if each.channel.connected)
