"""Calls of `pay` without an answer, from their first moment: what they wait for, and of which payments they are.

A payment is in the register once it begins. Before that its invoice is read and the host's table looked at, and
after a failure somebody else may still have something out: the host has no row then, or only failed ones, and who
asks for the payment would book it as failed. So what a call waits for an answer of is pending.

Who waits in front of a terminal hears within two seconds what for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from pay.engine.live.in_work import InWork
from pay.engine.live.running import FIRST_S, TELL_S, Tell
from pay.invoice import Invoice, normalise
from pay.payment.terms import PayRequest

READ_S = 2.0
"""So long somebody who asks for payments is kept waiting because invoices of calls are still being read."""


@dataclass(slots=True, eq=False)
class OpenCall:
    """One call.

    Attributes
    ----------
    names
        Where it can be found from its first moment, by its invoice and, once that is read, by its hash.
    waits_for
        In words; empty once it waits with a payment, which tells of itself.
    invoice
        Once it is read.
    """

    request: PayRequest
    tell: Tell
    names: InWork = field(default_factory=InWork)
    waits_for: str = "the plugin to start"
    invoice: Invoice | None = field(init=False, default=None)
    began_s: float = field(init=False, default_factory=time.time)
    _began: float = field(init=False, default_factory=time.monotonic)
    _read: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.names.unread += 1
        self.names.enter(normalise(self.request.invstring))

    def is_of(self, invoice: Invoice) -> None:
        """Its invoice is read."""
        if self.invoice is None:
            self.names.unread -= 1
            self.names.enter(invoice.payment_hash.hex())
            self.invoice = invoice
        self._read.set()

    def ended(self) -> None:
        """It has its answer."""
        self.names.leave(normalise(self.request.invstring))
        if self.invoice is None:
            self.names.unread -= 1
        else:
            self.names.leave(self.invoice.payment_hash.hex())
        self._read.set()

    async def read(self) -> None:
        """Wait until its invoice is read, or that has failed."""
        await self._read.wait()

    def say(self) -> None:
        """Tell the caller what is waited for."""
        if self.waits_for:
            self.tell(f"Waiting after {time.monotonic() - self._began:.0f} s: for {self.waits_for}")


class OpenCalls:
    """All that are open; their names are in `names`."""

    def __init__(self, names: InWork | None = None) -> None:
        self.names = InWork() if names is None else names
        self._open: dict[OpenCall, None] = {}

    @contextmanager
    def open(self, request: PayRequest, tell: Tell) -> Iterator[OpenCall]:
        """A call, until it has its answer."""
        call = OpenCall(request, tell, self.names)
        telling = asyncio.get_running_loop().call_later(FIRST_S, self._say, call)
        self._open[call] = None
        try:
            yield call
        finally:
            del self._open[call]
            call.ended()
            telling.cancel()

    def _say(self, call: OpenCall) -> None:
        if call in self._open:
            call.say()
            asyncio.get_running_loop().call_later(TELL_S, self._say, call)

    async def all_read(self) -> None:
        """Wait until it is known which payments the calls of now are of; not for long."""
        unread = [call for call in self._open if call.invoice is None]
        if unread:
            with suppress(TimeoutError):
                async with asyncio.timeout(READ_S):
                    for call in unread:
                        await call.read()

    def known(self) -> list[tuple[OpenCall, Invoice]]:
        """Those whose invoices are read, oldest first."""
        return [(call, call.invoice) for call in self._open if call.invoice is not None]
