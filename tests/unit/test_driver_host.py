"""A host that does not answer what has to be known before a part; the node is that of test_driver_crash.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pay.errors import PayError
from pay.invoice.recipient import ClearRecipient
from pay.node import driver
from pay.node.announcements import Announcements
from pay.node.facade import PartOrder
from pay.node.orphans import Orphans
from pay.node.running import Waiter
from tests.payment_tools import node, terms
from tests.unit.test_driver_crash import SOON_S, Table, Told


class Mute(Table):
    """It never lists its channels."""

    async def own_channels(self, us: bytes) -> list[Any]:
        return await asyncio.Future()


def test_channels_are_never_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent and nothing can be: the caller is told so after a while, however short retry_for was."""
    monkeypatch.setattr(driver, "CHANNELS_S", 0.05)

    async def story() -> None:
        table: Any = Mute()

        async def nowhere(_: Waiter) -> None:
            raise AssertionError("sent elsewhere")

        paying = driver.Driver(
            table, table, node("us"), nowhere, Announcements(lambda *_: None), lambda _: None, table,
            Orphans(table, 0.0), reconcile_s=SOON_S,
        )  # fmt: skip
        own, caller = terms(expires_at_s=1e12), Told()
        order = PartOrder("00" * 32, 100_000, 1, "lnbc1", None, None, None, None, None)
        waiter = Waiter(None, caller)  # type: ignore[arg-type]
        paying.start(driver.new_running(own, ClearRecipient(node("d"), (), False), order, waiter))
        error = await caller.answer
        assert isinstance(error, PayError) and error.code == -1 and "did not list its channels" in error.message
        assert not table.status and not paying.payments

    asyncio.run(asyncio.wait_for(story(), SOON_S))
