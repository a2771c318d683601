"""What our own channels still have: as the host says, less what live attempts hold that it does not show yet.

A part is among a channel's HTLCs only once the channel has taken it. Before, its `sendpay` may be queued, and also
after the answer, which says that there is a row, the HTLC is on its way to the channel (lightningd adds it in
rcvd_htlc_reply). So each live attempt counts, its money and its HTLC slot, but for those that the host shows.

Derived from the live attempts of all payments each time it is asked for, so nothing can leak.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pay.network.hints import OwnChannel
from pay.node.facade import ListedChannel, Node
from pay.node.running import Running
from pay.node.together import Together
from pay.payment.attempt import Attempt
from pay.payment.states import AttemptStatus

COMMIT_S = 30.0
"""A part with a row has its HTLC after so long, or none at all: lightningd gives a channel 30 s to commit it."""


class OwnChannels:
    """Our channels as they are now; questions that come together share one answer of the host.

    Attributes
    ----------
    turn
        One plan after the other: what one has ordered is held for the next.
    """

    def __init__(self, node: Node, us: bytes):
        self._listed = Together(lambda: node.own_channels(us))
        self.turn = asyncio.Lock()

    async def listed(self) -> list[ListedChannel]:
        """As the host says. Raises CallError."""
        return await self._listed.answer()


def less_ordered(listed: Sequence[ListedChannel], payments: Iterable[Running]) -> list[OwnChannel]:
    """Channels as listed, less what live attempts hold that is not among their HTLCs.

    The list may be older than an attempt: what it does not show is held.
    """
    by_name = {name: at for at, each in enumerate(listed) for name in each.channel.names}
    shown = [Counter(each.sent) for each in listed]
    msat, htlcs = [0] * len(listed), [0] * len(listed)
    for running, attempt in _live(payments):
        at = by_name.get(attempt.route.hops[0].scid) if attempt.route is not None else None
        if at is None:
            continue
        htlc = running.session.terms.payment_hash, attempt.sent_msat
        if shown[at][htlc]:
            shown[at][htlc] -= 1
        elif attempt.status is AttemptStatus.CREATED or running.clock.now() < attempt.started_s + COMMIT_S:
            msat[at] += attempt.sent_msat
            htlcs[at] += 1
    return [_less(each.channel, msat[at], htlcs[at]) for at, each in enumerate(listed)]


def _live(payments: Iterable[Running]) -> Iterable[tuple[Running, Attempt]]:
    for running in payments:
        # Of hundreds at once most wait for their first plan, and each plan looks through all of them.
        if running.session.attempts:
            for attempt in running.session.live:
                yield running, attempt


def _less(channel: OwnChannel, msat: int, htlcs: int) -> OwnChannel:
    if not htlcs:
        return channel
    return replace(
        channel,
        spendable_msat=max(0, channel.spendable_msat - msat),
        outgoing_msat=channel.outgoing_msat + min(msat, channel.spendable_msat),
        live_htlcs=channel.live_htlcs + htlcs,
    )
