"""What our own channels still have: as the host says, less what live attempts have ordered and it has not yet
taken.

Derived from the live attempts of all payments each time it is asked for, so nothing can leak.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pay.node.facade import NamedChannel, Node
from pay.node.running import Running
from pay.node.together import Together
from pay.payment.states import AttemptStatus
from pay.units import Scid


class OwnChannels:
    """Our channels as they are now; questions that come together share one answer of the host."""

    def __init__(self, node: Node, us: bytes):
        self._listed = Together(lambda: node.own_channels(us))

    async def now(self, payments: Iterable[Running]) -> list[NamedChannel]:
        """With what `payments` have ordered and the host has not yet taken from a channel. Raises CallError."""
        own = await self._listed.answer()
        held = _unsent(payments)
        return [_less(named, held.get(named.channel.scid, 0)) for named in own]


def _unsent(payments: Iterable[Running]) -> dict[Scid, int]:
    held: dict[Scid, int] = {}
    for running in payments:
        for attempt in running.session.live:
            if attempt.status is AttemptStatus.CREATED and attempt.route is not None:
                scid = attempt.route.hops[0].scid
                held[scid] = held.get(scid, 0) + attempt.sent_msat
    return held


def _less(named: NamedChannel, held_msat: int) -> NamedChannel:
    if not held_msat:
        return named
    channel = named.channel
    return replace(named, channel=replace(channel, spendable_msat=max(0, channel.spendable_msat - held_msat)))
