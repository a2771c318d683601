"""Entries of the journal at the edge of a payment, with the node of test_driver_crash.py."""

from __future__ import annotations

import asyncio
from typing import Any

from pay.invoice.recipient import ClearRecipient
from pay.node.announcements import Announcements
from pay.node.driver import Driver, new_running
from pay.node.facade import PartOrder
from pay.node.orphans import Orphans
from pay.node.running import Waiter
from pay.routing.query import NoRoute, NoRouteReason
from tests.payment_tools import node, terms
from tests.unit.test_driver_crash import SOON_S, Table, Told


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

        async def nowhere(_: Waiter) -> None:
            raise AssertionError("sent elsewhere")

        driver = Driver(
            table, table, node("us"), nowhere, Announcements(lambda *_: None), lambda _: None, table,
            Orphans(table, 0.0), reconcile_s=SOON_S,
        )  # fmt: skip

        def start(groupid: int) -> Told:
            own, caller = terms(groupid=groupid, deadline_s=1e12, expires_at_s=1e12), Told()
            order = PartOrder("00" * 32, 100_000, groupid, "lnbc1", None, None, None, None, None)
            waiter = Waiter(None, caller)  # type: ignore[arg-type]
            driver.start(new_running(own, ClearRecipient(node("d"), (), False), order, waiter))
            return caller

        await start(1).answer
        table.gate.set()
        start(2)
        while not table.status:
            await asyncio.sleep(0)
        assert table.kept == {"00" * 32: 2}

    asyncio.run(asyncio.wait_for(story(), SOON_S))
