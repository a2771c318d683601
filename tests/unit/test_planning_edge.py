"""The planner's thread: what an error of ours in a plan comes to."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pay.routing.caution as caution
from pay.invoice.recipient import ClearRecipient
from pay.network.hints import OwnChannel
from pay.node.facade import NamedChannel
from pay.node.memory import Memory, Remembering
from pay.node.planning import Planning
from pay.payment.events import FindRoutes
from pay.payment.question import question
from pay.routing.query import NoRoute, Restrictions, Route
from pay.units import Scid, ScidDir, direction_of
from tests.payment_tools import node, terms

US, PEER = node("us"), node("peer")
AMOUNT = 50_000_000


def _channel(number: int) -> NamedChannel:
    side = direction_of(US, PEER)
    size = 10 * AMOUNT
    own = OwnChannel(Scid(number), side, PEER, size, 0, 1, size, 483, 0, connected=True, announced=False)
    return NamedChannel(own, frozenset({number}))


async def _routes(tmp_path: Path, restrictions: Restrictions) -> tuple[Route, ...] | NoRoute:
    memory = Memory(lambda: Remembering(86_400.0, 21_600.0, "reserved"))
    planning = Planning(str(tmp_path / "gossip_store"), memory)
    asked = replace(terms(AMOUNT), source=US, destination=PEER, randomness=0.85)
    action = FindRoutes(1, question(asked, AMOUNT, 0, 0, 0), restrictions)
    return await planning.find(action, ClearRecipient(PEER, (), True), [_channel(1), _channel(2)], {})


def test_a_plan_that_breaks_is_made_again_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """us == peer: two channels, of which one is excluded.

    Without the second try the payment would end with an internal error; it keeps to what the payment has learnt.
    """

    def broken(*_: Any) -> None:
        raise RuntimeError("a bound of nothing")

    monkeypatch.setattr(caution, "plan_cautiously", broken)
    side = direction_of(US, PEER)
    restrictions = Restrictions(excluded_channels=frozenset({ScidDir(Scid(1), side)}))
    with caplog.at_level(logging.ERROR):
        found = asyncio.run(_routes(tmp_path, restrictions))
    assert not isinstance(found, NoRoute)
    assert [[hop.scid for hop in route.hops] for route in found] == [[2]]
    assert "a bound of nothing" in caplog.text, "it is an error of ours all the same"


@pytest.mark.parametrize(("live", "busy"), [(483, True), (0, False)])
def test_no_route_says_whether_it_is_busy(tmp_path: Path, live: int, busy: bool) -> None:
    """us ── peer: all HTLC slots are taken, or there is no money on our side and nothing is out."""
    full = replace(_channel(1).channel, live_htlcs=live, spendable_msat=AMOUNT if live else 0)

    async def ask() -> tuple[Route, ...] | NoRoute:
        asked = replace(terms(AMOUNT), source=US, destination=PEER)
        action = FindRoutes(1, question(asked, AMOUNT, 0, 0, 0), Restrictions())
        planning = Planning(str(tmp_path / "gossip_store"), Memory(lambda: Remembering(1.0, 1.0, "reserved")))
        named = NamedChannel(full, frozenset({1}))
        return await planning.find(action, ClearRecipient(PEER, (), True), [named], {})

    found = asyncio.run(ask())
    assert isinstance(found, NoRoute) and found.busy is busy
