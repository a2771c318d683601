"""A payment never waits long for its shadow: what cannot be had in time is left out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pay.engine import shadowing
from pay.engine.live.out import Out
from pay.engine.shadowing import Shadowing
from pay.invoice.recipient import ClearRecipient
from pay.payment.settings import Shadow
from pay.routing.query import Situation
from pay.routing.shadow import Walk
from tests.support.payments import node, terms
from tests.support.waiting import played, soon


class Host:
    """It never lists its channels; the planner has a walk for whoever asks."""

    def __init__(self) -> None:
        self.asked_for_fee: list[bool] = []

    async def own_channels(self, us: bytes) -> list[Any]:
        return await asyncio.Future()

    async def shadow(self, asked: Situation, fee: bool) -> Walk:
        self.asked_for_fee.append(fee)
        return Walk(40, 0)


@pytest.mark.parametrize(("kind", "walks"), [(Shadow.FULL, 1), (Shadow.DELAY, 1), (Shadow.OFF, 0)])
def test_channels_are_never_listed(monkeypatch: pytest.MonkeyPatch, kind: Shadow, walks: int) -> None:
    """The fee of a full shadow needs them: the payment goes on with blocks alone."""
    monkeypatch.setattr(shadowing, "CHANNELS_S", 0.01)
    host: Any = Host()

    async def story() -> None:
        made = Shadowing(host, node("us"), host).shadowed(
            terms(), ClearRecipient(node("d"), (), True), kind, Out()
        )
        shadowed = await soon(made)
        assert (shadowed.shadow_blocks, shadowed.shadow_fee_msat) == (40 * walks, 0)

    played(story())
    assert host.asked_for_fee == [False] * walks
