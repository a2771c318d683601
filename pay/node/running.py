"""A session with what surrounds it at the edge: the order for its parts, and who waits for its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

from pay.errors import PayError
from pay.invoice import Recipient
from pay.node.facade import PartOrder
from pay.payment.events import FindRoutes
from pay.payment.request import PayRequest
from pay.payment.session import PaymentSession


class Caller(Protocol):
    """Who called `pay`, and may have gone away since."""

    def succeed(self, result: dict[str, Any]) -> None: ...
    def fail(self, error: PayError) -> None: ...
    def tell(self, message: str) -> None: ...


@dataclass(slots=True)
class Waiter:
    """One call of `pay` that waits for the end of a payment.

    Parameters
    ----------
    detours
        How often it was sent from a payment of ours to what the host has of the same hash.
    """

    request: PayRequest
    caller: Caller
    detours: int = 0


@dataclass(slots=True)
class Running:
    """One live payment.

    Parameters
    ----------
    order
        What its parts say beside their routes; None where parts of somebody else are watched.
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
    crashed: bool = False

    @property
    def name(self) -> str:
        """As log lines name it."""
        terms = self.session.terms
        return f"payment_hash={terms.payment_hash.hex()} groupid={terms.groupid}"
