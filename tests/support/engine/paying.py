"""A call of `pay` with a host that is a table of rows; `sendpay` is what the test makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from pay.commands import xpay
from pay.commands.pay import parse_request
from pay.engine.doubt import Doubt
from pay.engine.hosts_xpay import HostsXpay
from pay.engine.live.announcements import Announcements
from pay.engine.live.register import Register
from pay.engine.live.runner import Runner
from pay.engine.open_calls import OpenCall
from pay.engine.paying import Paying
from pay.engine.preparation import Preparation
from pay.host.calls import CallError, PartOrder, SendpayRow, SendpayStatus
from pay.host.dead_rows import DeadRows
from pay.host.version import HostInfo, Version
from pay.invoice.invoice import Invoice, InvoiceKind
from pay.payment.receipt import Receipt
from pay.payment.settings import Settings
from pay.payment.terms import Terms
from tests.support.payments import NOW, PREIMAGE, line, node
from tests.support.waiting import played, turns

AMOUNT_MSAT = 100_000
HASH = bytes([7] * 32)
RARELY_S = 3600.0
"""Between two looks at the host's table that nothing else asks for: none in a test."""

INVOICE = Invoice(
    InvoiceKind.BOLT11, "lnbc1", HASH, node("d"), AMOUNT_MSAT, 10**12, 18, bytes(32), None, 1 << 14, "tea", None,
    hints=(),
)  # fmt: skip


class Host:
    """lightningd, with its plugins and our planner: all that a call asks."""

    def __init__(self) -> None:
        self.rows_of: list[SendpayRow] = []
        self.orders: list[PartOrder] = []
        self.refuse: CallError | None = None
        self.trouble: Exception | None = None
        self.plan: Any = (line(AMOUNT_MSAT, "ad", fee_msat=0),)

    def row(
        self, status: SendpayStatus, groupid: int = 1, partid: int = 1, amount_msat: int = AMOUNT_MSAT
    ) -> None:
        preimage = PREIMAGE if status is SendpayStatus.COMPLETE else None
        destination = node("d").hex()
        row = SendpayRow(groupid, partid, status, amount_msat, amount_msat, int(NOW), destination, preimage)
        self.rows_of = [r for r in self.rows_of if (r.groupid, r.partid) != (groupid, partid)] + [row]

    async def decode(self, invstring: str, network: str) -> Invoice:
        return INVOICE

    async def preapprove(self, invstring: str, retry_for_s: float, only_check: bool = False) -> None: ...

    async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
        return list(self.rows_of)

    async def own_channels(self, us: bytes) -> list[Any]:
        return []

    async def sendpay(self, order: PartOrder, partid: int, route: Any) -> dict[str, Any]:
        self.orders.append(order)
        if self.refuse is not None:
            raise self.refuse
        self.row(SendpayStatus.PENDING, order.groupid, partid, route.sent_msat)
        return {"status": "pending", "groupid": order.groupid, "amount_sent_msat": route.sent_msat}

    async def find(self, *_: Any) -> Any:
        return self.plan

    async def shadowed(self, terms: Terms, *_: Any) -> Terms:
        if self.trouble is not None:
            raise self.trouble
        return terms

    def known_behind(self) -> int | None:
        return 0

    def likely_behind(self) -> int:
        return 0

    def learn(self, ended: Any) -> None: ...

    async def size_msat(self, scid: Any) -> int | None:
        return None

    async def write(self, entry: Any) -> None: ...

    async def remove(self, name: str) -> None: ...

    async def total(self, payment_hash: bytes) -> int | None:
        return None


class Scene:
    """With `version` the host has an `xpay` of that release."""

    def __init__(self, host: Host | None = None, version: Version | None = None) -> None:
        self.host = host = Host() if host is None else host
        fake: Any = host
        self.register = Register()
        self.heard: list[tuple[str, dict[str, Any]]] = []
        told = Announcements(lambda topic, fields: self.heard.append((topic, fields)))
        self.runner = Runner(fake, fake, node("us"), self.register, told, fake, DeadRows(fake, 0.0), RARELY_S)
        us = node("us")
        self.paying = Paying(
            fake, HostInfo(us, "regtest", True), self.register, self.runner, fake, DeadRows(fake, 0.0),
            Preparation(fake, us, self.register, fake, fake, Settings), Doubt(fake, self.register, 0.02), 0.02,
            None if version is None else HostsXpay(fake, version),
        )  # fmt: skip
        self.told: list[str] = []

    def tell(self, message: str, level: str = "info") -> None:
        self.told.append(message)

    def call(self, **params: Any) -> asyncio.Task[Receipt]:
        return asyncio.create_task(
            self.paying.pay(OpenCall(parse_request({"bolt11": "lnbc1", **params}), self.tell))
        )

    def xpay(self, **params: Any) -> asyncio.Task[Receipt]:
        request = xpay.parse_request({"invstring": "lnbc1", **params})
        return asyncio.create_task(self.paying.pay(OpenCall(request, self.tell)))

    async def until(self, holds: Callable[[], Any]) -> None:
        await turns(holds)

    def settles(self, groupid: int = 1, partid: int = 1, amount_msat: int = AMOUNT_MSAT) -> None:
        self.host.row(SendpayStatus.COMPLETE, groupid, partid, amount_msat)
        self.runner.sendpay_success({
            "payment_hash": HASH.hex(), "groupid": groupid, "partid": partid, "payment_preimage": PREIMAGE.hex(),
            "created_at": int(NOW),
        })  # fmt: skip

    def fails(self, failcode: int, erring_index: int = 2, groupid: int = 1, partid: int = 1) -> None:
        self.host.row(SendpayStatus.FAILED, groupid, partid)
        self.runner.sendpay_failure({
            "code": 204, "message": "failed",
            "data": {"payment_hash": HASH.hex(), "groupid": groupid, "partid": partid,
                     "erring_index": erring_index, "failcode": failcode},
        })  # fmt: skip


def play(story: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def playing() -> None:
        await story(Scene())

    played(playing())
