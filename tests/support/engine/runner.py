"""The runner with a host of a few rows, on the loop of the test."""

from __future__ import annotations

import asyncio
from typing import Any

from pay.engine.live.announcements import Announcements
from pay.engine.live.register import Register
from pay.engine.live.runner import Runner
from pay.engine.live.running import Running
from pay.host.calls import PartOrder, SendpayRow, SendpayStatus
from pay.host.dead_rows import DeadRows
from pay.invoice.recipient import ClearRecipient
from pay.payment.session import PaymentSession
from pay.payment.terms import Terms
from tests.support.payments import NOW, PREIMAGE, line, node, terms
from tests.support.waiting import soon, turns

RARELY_S = 3600.0
"""Between two looks at the host's table that nothing else asks for: none in a test."""


class Caller:
    """Who called `pay` and waits for the end."""

    def __init__(self, running: Running) -> None:
        self.told: list[str] = []
        running.listeners.append(self.tell)
        self.answer = asyncio.create_task(running.outcome(self.tell))

    def tell(self, message: str, level: str = "info") -> None:
        self.told.append(message)


class Table:
    """The node: what is sent is pending until the test says what became of it."""

    def __init__(self) -> None:
        self.status: dict[bytes, SendpayStatus | None] = {}
        self.looks = 0
        self.looked = asyncio.Event()

    async def own_channels(self, us: bytes) -> list[Any]:
        return []

    async def sendpay(self, order: PartOrder, partid: int, route: Any) -> dict[str, Any]:
        self.status[bytes.fromhex(order.payment_hash)] = SendpayStatus.PENDING
        return {"status": "pending", "groupid": 1, "amount_sent_msat": 103_000}

    async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
        self.looks += 1
        self.looked.set()
        status = self.status.get(payment_hash)
        if status is None:
            return []
        preimage = PREIMAGE if status is SendpayStatus.COMPLETE else None
        return [SendpayRow(1, 1, status, 100_000, 103_000, int(NOW), node("d").hex(), preimage)]

    async def looks_again(self) -> None:
        """Wait for three more looks at the table."""
        for _ in range(3):
            self.looked.clear()
            await soon(self.looked.wait())

    async def write(self, entry: Any) -> None: ...

    async def remove(self, name: str) -> None: ...

    async def find(self, *_: Any) -> tuple[Any, ...]:
        return (line(100_000),)


class Scene:
    """A driver with its node, and what other plugins heard."""

    def __init__(self) -> None:
        self.table = Table()
        self.heard: list[str] = []
        self.register = Register()
        table: Any = self.table
        self.runner = Runner(
            table, table, node("us"), self.register, Announcements(lambda topic, _: self.heard.append(topic)),
            table, DeadRows(table, 0.0), reconcile_s=RARELY_S,
        )  # fmt: skip

    async def out(self, payment_hash: bytes) -> tuple[Running, Caller]:
        """A payment with its one part out."""
        own: Terms = terms(payment_hash=payment_hash, deadline_s=1e12, expires_at_s=1e12)
        order = PartOrder(payment_hash.hex(), 100_000, 1, "lnbc1", None, None, None, None, None)
        running = Running(PaymentSession(own), ClearRecipient(node("d"), (), False), order)
        caller = Caller(running)
        self.runner.start(running)
        await turns(lambda: running.session.live and not running.sending)
        return running, caller

    def fails(self, payment_hash: bytes) -> None:
        self.runner.sendpay_failure({
            "code": 204, "message": "failed",
            "data": {"payment_hash": payment_hash.hex(), "groupid": 1, "partid": 1, "erring_index": 1,
                     "failcode": 0x2002},
        })  # fmt: skip
