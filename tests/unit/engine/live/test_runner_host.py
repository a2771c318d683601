"""A host that does not answer what has to be known before a part; the node is that of test_runner_crash.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pay.engine.live import routes
from pay.engine.live.announcements import Announcements
from pay.engine.live.register import Register
from pay.engine.live.runner import Runner
from pay.engine.live.running import Running
from pay.host.calls import PartOrder
from pay.host.dead_rows import DeadRows
from pay.invoice.recipient import ClearRecipient
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from tests.support.engine.runner import RARELY_S, Caller, Table
from tests.support.payments import node, terms
from tests.support.waiting import played


class Mute(Table):
    """It never lists its channels."""

    async def own_channels(self, us: bytes) -> list[Any]:
        return await asyncio.Future()


def test_channels_are_never_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent and nothing can be: the caller is told so after a while, however short retry_for was."""
    monkeypatch.setattr(routes, "CHANNELS_S", 0.05)

    async def story() -> None:
        table: Any = Mute()
        register = Register()
        running_all = Runner(
            table, table, node("us"), register, Announcements(lambda *_: None), table,
            DeadRows(table, 0.0), reconcile_s=RARELY_S,
        )  # fmt: skip
        own = terms(expires_at_s=1e12)
        order = PartOrder("00" * 32, 100_000, 1, "lnbc1", None, None, None, None, None)
        running = Running(PaymentSession(own), ClearRecipient(node("d"), (), False), order)
        caller = Caller(running)
        running_all.start(running)
        answer = await caller.answer
        assert isinstance(answer, ev.NotPaid) and answer.error.code == -1
        assert "did not list its channels" in answer.error.message
        assert not table.status and not register.live

    played(story())
