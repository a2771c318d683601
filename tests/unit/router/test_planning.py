"""The planner's thread: what an error of ours in a plan comes to, and when it learns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pay.feedback.observations import Ended
from pay.liquidity.in_flight import InFlight
from pay.liquidity.knowledge import Knowledge
from pay.network.hints import OwnChannel
from pay.payment.route_query import route_query
from pay.router.planning import Planning
from pay.router.scorer import Remembering, Scorer
from pay.routing.query import Answer, NoRoute, Restrictions, Situation
from pay.units import Scid, ScidDir, direction_of
from tests.support.payments import line, node, terms
from tests.support.values import varied
from tests.support.waiting import played, turns

US, PEER = node("us"), node("peer")
AMOUNT = 50_000_000


def _channel(number: int, alias: int = 0) -> OwnChannel:
    """It is called by its number in routes, and by its alias as well."""
    side = direction_of(US, PEER)
    size, names = 10 * AMOUNT, frozenset({Scid(number), Scid(alias or number)})
    return OwnChannel(
        Scid(number), side, PEER, size, 0, 1, size, 483, 0, connected=True, announced=False, names=names
    )


async def _routes(tmp_path: Path, restrictions: Restrictions) -> Answer:
    memory = Scorer(lambda: Remembering(86_400.0, 21_600.0, "reserved"))
    planning = Planning(str(tmp_path / "gossip_store"), memory)
    asked = varied(terms(AMOUNT), source=US, destination=PEER, randomness=0.85)
    own = [_channel(1, alias=77), _channel(2)]
    return await planning.find(Situation(route_query(asked, AMOUNT, 0, 0, 0), own, restrictions))


def test_a_plan_that_breaks_is_made_again_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """us == peer: two channels, of which one is excluded, by another name than routes use.

    Without the second try the payment would end with an internal error; it keeps to what the payment has learnt.
    """

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("a bound of nothing")

    monkeypatch.setattr(Scorer, "knowledge", lambda _: Broken())
    side = direction_of(US, PEER)
    restrictions = Restrictions(excluded_channels=frozenset({ScidDir(Scid(77), side)}))
    with caplog.at_level(logging.ERROR):
        found = played(_routes(tmp_path, restrictions))
    assert not isinstance(found, NoRoute)
    assert [[hop.scid for hop in route.hops] for route in found] == [[2]]
    assert "a bound of nothing" in caplog.text, "it is an error of ours all the same"


@pytest.mark.parametrize(("live", "busy"), [(483, True), (0, False)])
def test_no_route_says_whether_it_is_busy(tmp_path: Path, live: int, busy: bool) -> None:
    """us ── peer: all HTLC slots are taken, or there is no money on our side and nothing is out."""
    full = replace(_channel(1), live_htlcs=live, spendable_msat=AMOUNT if live else 0)

    async def ask() -> Answer:
        asked = varied(terms(AMOUNT), source=US, destination=PEER)
        planning = Planning(str(tmp_path / "gossip_store"), Scorer(lambda: Remembering(1.0, 1.0, "reserved")))
        return await planning.find(Situation(route_query(asked, AMOUNT, 0, 0, 0), [full]))

    found = played(ask())
    assert isinstance(found, NoRoute) and found.busy is busy


class Diary(Scorer):
    """What the planner's thread does with the memory, in order."""

    def __init__(self) -> None:
        super().__init__(lambda: Remembering(86_400.0, 21_600.0, "reserved"))
        self.did: list[Any] = []

    def learn(self, ended: Iterable[Any], graph: Any, now_s: float) -> None:
        self.did.append([part.seconds for part in ended])

    def knowledge(self) -> Knowledge:
        self.did.append("plan")
        return super().knowledge()


def _ended(seconds: float) -> Ended:
    return Ended(line(AMOUNT, "ab"), None, seconds, InFlight())


@pytest.mark.parametrize("who", ["plan", "look"])
def test_what_parts_have_shown_is_known_to_the_next_who_asks(tmp_path: Path, who: str) -> None:
    """A plan, or a look at the beliefs: without a wait, and in the order in which the parts ended."""

    async def asked() -> list[Any]:
        diary = Diary()
        planning = Planning(str(tmp_path / "gossip_store"), diary)
        for seconds in (1.0, 2.0):
            planning.learn(_ended(seconds))
        if who == "plan":
            query = route_query(replace(terms(AMOUNT), source=US, destination=PEER), AMOUNT, 0, 0, 0)
            await planning.find(Situation(query, [_channel(1)], Restrictions()))
        else:
            await planning.with_memory(lambda _beliefs, _graph: diary.did.append("look"))
        return diary.did

    assert played(asked()) == [[1.0, 2.0], who]


def test_it_is_learnt_together_where_nobody_asks(tmp_path: Path) -> None:
    async def learnt() -> list[Any]:
        diary = Diary()
        planning = Planning(str(tmp_path / "gossip_store"), diary)
        for seconds in (1.0, 2.0, 3.0):
            planning.learn(_ended(seconds))
            await asyncio.sleep(0)
        await turns(lambda: diary.did)
        return diary.did

    assert played(learnt()) == [[1.0, 2.0, 3.0]]
