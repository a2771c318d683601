"""A session with what surrounds it at the edge: the order for its parts, and who waits for its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

from pay.errors import PayError
from pay.invoice import Recipient
from pay.liquidity.in_flight import Part
from pay.node.facade import PartOrder
from pay.payment.events import FindRoutes
from pay.payment.request import PayRequest
from pay.payment.session import PaymentSession
from pay.payment.status import PartTimes
from pay.units import NodeId


class Caller(Protocol):
    """Who called `pay`, and may have gone away since."""

    def succeed(self, result: dict[str, Any]) -> None: ...
    def fail(self, error: PayError) -> None: ...
    def tell(self, message: str, level: str = "info") -> None: ...


@dataclass(slots=True)
class Waiter:
    """One call of `pay` that waits for the end of a payment.

    Parameters
    ----------
    detours
        How often it was sent from a payment of ours to what the host has of the same hash.
    verdict
        How the parts of another sender ended that it waited for: its answer, if nothing of the hash is left.
    """

    request: PayRequest
    caller: Caller
    detours: int = 0
    verdict: PayError | None = None


@dataclass(slots=True)
class Running:
    """One live payment.

    Parameters
    ----------
    order
        What its parts say beside their routes; None where parts of somebody else are watched, or of a run of ours
        of which no journal is left.
    watched_bolt11, watched_label, total_known
        Of parts without an order: what their rows say, and whether we know what they will come to.
    times
        By partid: when a part was sent and ended, and at which block.
    in_journal
        There is, or soon will be, an entry of it in the journal.
    parts_out
        By partid: what live parts hold, as far as somebody has asked.
    called_back
        Peers that were away and have been asked to come back for it.
    created_at_s
        Unix time of the host's first row of it, as every later look at the payment shows it.
    announced
        Its end was told: to its callers, and to other plugins.
    """

    session: PaymentSession
    recipient: Recipient
    order: PartOrder | None
    waiters: list[Waiter] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    sending: set[asyncio.Task[None]] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None
    height_wanted: int | None = None
    question: FindRoutes | None = None
    times: dict[int, PartTimes] = field(default_factory=dict)
    crashed: bool = False
    journalled: asyncio.Task[None] | None = None
    in_journal: bool = False
    parts_out: dict[int, Part] = field(default_factory=dict)
    called_back: set[NodeId] = field(default_factory=set)
    watched_bolt11: str | None = None
    watched_label: str | None = None
    total_known: bool = True
    created_at_s: int | None = None
    announced: bool = False

    def sent_height(self, partid: int) -> int:
        """The block that we were at when a part was sent; 0 where there is no such part."""
        times = self.times.get(partid)
        return 0 if times is None else times.sent_height

    def take_waiters(self) -> list[Waiter]:
        """Those who wait, to be answered now."""
        waiters, self.waiters = self.waiters, []
        return waiters

    def saw_row(self, fields: dict[str, Any]) -> None:
        """Take in a row of a part of ours, from whatever message it came."""
        if "created_at" in fields:
            self.was_begun(int(fields["created_at"]))

    def was_begun(self, created_at_s: int) -> None:
        """The host dates a row of it so."""
        self.created_at_s = min(created_at_s, self.created_at_s or created_at_s)

    @property
    def bolt11(self) -> str | None:
        return self.order.bolt11 if self.order is not None else self.watched_bolt11

    @property
    def label(self) -> str | None:
        return self.order.label if self.order is not None else self.watched_label

    @property
    def name(self) -> str:
        """As log lines name it."""
        terms = self.session.terms
        return f"payment_hash={terms.payment_hash.hex()} groupid={terms.groupid}"
