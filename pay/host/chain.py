"""How many blocks the host has missed that its own `sendpay` does not make up for.

lightningd counts expiries from the newest header that bitcoind had when lightningd last asked (lightningd/pay.c,
get_network_blockheight): that is at its start, and on until bitcoind is in step with its headers. So a node that
catches up after a start needs nothing from us, and what it lacks must not be added twice. One that is left behind
later (a machine that slept, a bitcoind that gives no blocks) counts from where it was: all others have seen more
blocks, and its HTLCs end too soon for them. Then the missing blocks go on top of every expiry.

We are started by lightningd, so what bitcoind has at our start is what the host counts from at least. Where we
were started later, blocks that it had missed before are not known.
"""

from __future__ import annotations

import asyncio
import time

from pay.host.calls import CallError, Host, Unanswered
from pay.host.shared_call import Together
from pay.log_events import EventLog, LogEvent

log = EventLog("pay")

ANSWER_S = 2.0
"""Longer no payment waits for it: without an answer nothing is missing."""

FRESH_S = 10.0
"""So old an answer may be; each costs the host a `bitcoin-cli`."""


class Chain:
    """What bitcoind has against what the host has processed."""

    def __init__(self, host: Host):
        self._host = host
        self._asked = Together(self._headers)
        self._answer: int | None = None
        self._fresh_until_s = 0.0
        self._counted_from: int | None = None
        self._height = 0

    def block_added(self, height: int) -> None:
        """The host is at this block."""
        self._height = max(self._height, height)

    async def begin(self) -> None:
        """Learn, at our start, what the host counts from; how far it is behind a payment asks anew."""
        await self.blocks_behind()
        self._fresh_until_s = 0.0

    async def blocks_behind(self) -> int:
        """Blocks to add to every expiry; the first answer is what the host counts from."""
        if time.monotonic() >= self._fresh_until_s:
            await self._asked.answer()
        return self._missing()

    def known_behind(self) -> int | None:
        """The same without a question, where an answer is young enough."""
        return self._missing() if time.monotonic() < self._fresh_until_s else None

    def likely_behind(self) -> int:
        """The same by the last answer, however old."""
        return self._missing()

    def _missing(self) -> int:
        headers = self._answer
        if headers is None:
            return 0
        if self._counted_from is None:
            self._counted_from = headers
        return max(0, headers - max(self._height, self._counted_from))

    async def _headers(self) -> None:
        """Ask bitcoind, through the host's plugin for it."""
        self._answer = None
        try:
            told = await asyncio.wait_for(self._host.call("getchaininfo", {"last_height": self._height}), ANSWER_S)
            self._answer = int(told["headercount"])
        except (CallError, Unanswered, TimeoutError, LookupError, TypeError, ValueError) as error:
            log.debug(LogEvent.HEADERS_UNKNOWN, "error=%r", error)
        self._fresh_until_s = time.monotonic() + FRESH_S
