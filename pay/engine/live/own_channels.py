"""What our own channels still have: as the host says, less what live attempts hold that it does not show yet.

A part is among a channel's HTLCs only once the channel has taken it. Before, its `sendpay` may be queued, and also
after the answer, which says that there is a row, the HTLC is on its way to the channel (lightningd adds it in
rcvd_htlc_reply). So each live attempt counts, its money and its HTLC slot, but for those that the host shows.

What is live is kept in one place (`out`), what of it a list shows is worked out for each list: nothing can leak.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pay.engine.live.out import Out
from pay.host.calls import Host, ListedChannel
from pay.host.shared_call import Together
from pay.network.hints import OwnChannel
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

    def __init__(self, host: Host, us: bytes):
        self._listed = Together(lambda: host.own_channels(us))
        self.turn = asyncio.Lock()

    async def listed(self) -> list[ListedChannel]:
        """As the host says. Raises CallError."""
        return await self._listed.answer()


def less_ordered(listed: Sequence[ListedChannel], out: Out) -> list[OwnChannel]:
    """Channels as listed, less what live attempts hold that is not among their HTLCs.

    The list may be older than an attempt: what it does not show is held.
    """
    return [_less(each.channel, *_unseen(each, out)) for each in listed]


def _unseen(listed: ListedChannel, out: Out) -> tuple[int, int]:
    """What live attempts over a channel hold that its HTLCs do not show: msat, and how many they are."""
    ordered = out.over(listed.channel.names)
    if not ordered:
        return 0, 0
    shown = Counter(listed.sent)
    msat = htlcs = 0
    for htlc, parts in ordered.items():
        for running, partid in parts[shown.get(htlc, 0) :]:
            attempt = out.attempt(running, partid)
            if attempt.status is AttemptStatus.CREATED or running.clock.now() < attempt.started_s + COMMIT_S:
                msat += attempt.sent_msat
                htlcs += 1
    return msat, htlcs


def _less(channel: OwnChannel, msat: int, htlcs: int) -> OwnChannel:
    if not htlcs:
        return channel
    return replace(
        channel,
        spendable_msat=max(0, channel.spendable_msat - msat),
        outgoing_msat=channel.outgoing_msat + min(msat, channel.spendable_msat),
        live_htlcs=channel.live_htlcs + htlcs,
    )
