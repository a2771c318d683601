"""Blocks that the host's sendpay does not make up for: bitcoind's headers, less what the host counts from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from pay.host import chain
from pay.host.calls import CallError, Host, Unanswered
from pay.host.chain import Chain
from pay.payment.route_query import route_query
from tests.support.payments import terms
from tests.support.waiting import played

Story = Callable[[Chain, "FakeHost"], Coroutine[Any, Any, None]]


class FakeHost:
    """bitcoind has `headers`; an exception or a future in their place is its answer."""

    def __init__(self) -> None:
        self.headers: Any = 1_000
        self.asked: list[dict[str, Any]] = []

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert method == "getchaininfo"
        self.asked.append(params)
        await asyncio.sleep(0)
        if isinstance(self.headers, Exception):
            raise self.headers
        if isinstance(self.headers, asyncio.Future):
            await self.headers
        return {"chain": "main", "headercount": self.headers, "blockcount": 5, "ibd": False}


def at_height(height: int, story: Story) -> None:
    async def tell() -> None:
        host = FakeHost()
        looking = Chain(cast(Host, host))
        looking.block_added(height)
        await story(looking, host)

    played(tell())


@pytest.fixture
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question is asked."""
    monkeypatch.setattr(chain, "FRESH_S", 0.0)


@pytest.mark.usefixtures("always_fresh")
def test_what_it_lacks_at_its_start_the_host_adds_itself() -> None:
    """100 blocks short at the start, and while it catches up: lightningd counts from the headers of its start."""

    async def story(looking: Chain, host: FakeHost) -> None:
        assert await looking.blocks_behind() == 0
        looking.block_added(950)
        assert await looking.blocks_behind() == 0
        host.headers = 1_003
        assert await looking.blocks_behind() == 3, "what came since it does not know of"
        looking.block_added(1_002)
        assert await looking.blocks_behind() == 1
        looking.block_added(1_003)
        assert await looking.blocks_behind() == 0

    at_height(900, story)


@pytest.mark.usefixtures("always_fresh")
def test_left_behind_later() -> None:
    """In step at the start; then bitcoind has 100 more, and the host none of them."""

    async def story(looking: Chain, host: FakeHost) -> None:
        assert await looking.blocks_behind() == 0
        host.headers = 1_100
        assert await looking.blocks_behind() == 100
        host.headers = 990
        assert await looking.blocks_behind() == 0, "a bitcoind that is behind adds nothing, and takes nothing off"

    at_height(1_000, story)


@pytest.mark.usefixtures("always_fresh")
@pytest.mark.parametrize(
    "answer", [CallError("getchaininfo", {"code": -32601}), Unanswered("gone"), None, "many"], ids=repr
)
def test_no_answer_is_nothing_missing(answer: Any) -> None:
    async def story(looking: Chain, host: FakeHost) -> None:
        assert await looking.blocks_behind() == 0
        host.headers = answer
        assert await looking.blocks_behind() == 0
        host.headers = 1_100
        assert await looking.blocks_behind() == 100

    at_height(1_000, story)


def test_a_bitcoind_that_hangs_delays_a_payment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no longer than a moment."""
    monkeypatch.setattr(chain, "ANSWER_S", 0.05)

    async def story(looking: Chain, host: FakeHost) -> None:
        host.headers = asyncio.get_running_loop().create_future()
        assert await asyncio.gather(*(looking.blocks_behind() for _ in range(40))) == [0] * 40
        assert await looking.blocks_behind() == 0
        assert host.asked == [{"last_height": 1_000}]

    at_height(1_000, story)


def test_payments_share_an_answer() -> None:
    async def story(looking: Chain, host: FakeHost) -> None:
        await looking.blocks_behind()
        host.headers = 1_100
        assert await looking.blocks_behind() == 0, "for some seconds the old one does"
        assert len(host.asked) == 1

    at_height(1_000, story)


def test_missing_blocks_are_on_top_of_delay_and_limit() -> None:
    """Who is 100 blocks behind locks nobody's funds for longer: there is as much room as without."""
    plain, behind = (route_query(terms(behind_blocks=blocks), 100_000, 0, 0, 0) for blocks in (0, 100))
    assert (behind.final_cltv, behind.max_delay) == (plain.final_cltv + 100, plain.max_delay + 100)


def test_the_first_payment_asks_anew() -> None:
    """What bitcoind had at our start says what the host counts from, not how far it is behind by then."""

    async def story(looking: Chain, host: FakeHost) -> None:
        await looking.begin()
        host.headers = 1_100
        assert await looking.blocks_behind() == 100
        assert len(host.asked) == 2

    at_height(1_000, story)
