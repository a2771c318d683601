"""Entries of the journal at the edge of a payment, with the node of test_runner_crash.py."""

from __future__ import annotations

import asyncio
from typing import Any

from pay.engine.live.announcements import Announcements
from pay.engine.live.register import Register
from pay.engine.live.runner import Runner
from pay.engine.live.running import Running
from pay.host.calls import PartOrder
from pay.host.dead_rows import DeadRows
from pay.invoice.recipient import ClearRecipient
from pay.payment.session import PaymentSession
from pay.routing.query import NoRoute, NoRouteReason
from tests.support.engine.runner import RARELY_S, Caller, Table
from tests.support.payments import node, terms
from tests.support.waiting import played, turns


class SlowStore(Table):
    """Its datastore takes what it is given, and is slow to say so for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, int] = {}
        self.gate = asyncio.Event()

    async def write(self, entry: Any) -> None:
        first = not self.kept
        self.kept[entry.order.payment_hash] = entry.order.groupid
        if first:
            await self.gate.wait()

    async def remove(self, name: str) -> None:
        del self.kept[name]

    async def find(self, *_: Any) -> Any:
        if self.gate.is_set():
            return await super().find()
        return NoRoute(NoRouteReason.NO_OWN_CHANNELS, "none")


def test_the_entry_of_the_next_try_is_not_struck_out() -> None:
    """The first fails while its entry is being written, and is over when the second one has written its own."""

    async def story() -> None:
        table: Any = SlowStore()
        runner = Runner(
            table, table, node("us"), Register(), Announcements(lambda *_: None), table, DeadRows(table, 0.0),
            reconcile_s=RARELY_S,
        )  # fmt: skip

        def start(groupid: int) -> Caller:
            own = terms(groupid=groupid, deadline_s=1e12, expires_at_s=1e12)
            order = PartOrder("00" * 32, 100_000, groupid, "lnbc1", None, None, None, None, None)
            running = Running(PaymentSession(own), ClearRecipient(node("d"), (), False), order)
            caller = Caller(running)
            runner.start(running)
            return caller

        await start(1).answer
        table.gate.set()
        start(2)
        await turns(lambda: table.status)
        assert table.kept == {"00" * 32: 2}

    played(story())
