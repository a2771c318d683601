"""Which pending rows have an HTLC: asked of our channels as they are now, once for all who ask together."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

from pay.node.facade import Node, Row, RowStatus
from pay.node.orphans import Orphans

HOST_STARTED_S = 1_000.0


class Table:
    """A node with one pending row a hash, all from before its start, and with channels as given."""

    def __init__(self, channels: list[dict[str, Any]]):
        self.channels = channels
        self.asked: Counter[str] = Counter()

    async def patient(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert (method, params) == ("listpeerchannels", {}), "nothing that grows with the past"
        self.asked[method] += 1
        await asyncio.sleep(0)
        return {"channels": self.channels}

    async def rows(self, payment_hash: bytes) -> list[Row]:
        return [Row(1, 1, RowStatus.PENDING, 1000, 1001, int(HOST_STARTED_S) - 10, None, None)]


def _orphans(table: Table) -> Orphans:
    """All of these rows were pending when we started."""
    orphans = Orphans(cast(Node, table), HOST_STARTED_S)
    orphans.found_at_start(
        {"payment_hash": _hash(number).hex(), "groupid": 1, "partid": 1} for number in range(1, 101)
    )
    return orphans


def _htlc(payment_hash: bytes, amount_msat: int = 1001, direction: str = "out") -> dict[str, Any]:
    return {"payment_hash": payment_hash.hex(), "amount_msat": amount_msat, "direction": direction}


def _hash(number: int) -> bytes:
    return bytes([number]) * 32


async def _stuck(orphans: Orphans, table: Table, payment_hash: bytes) -> frozenset[int]:
    return await orphans.among(payment_hash, await table.rows(payment_hash))


def test_an_htlc_in_whatever_state_of_its_channel_is_out() -> None:
    """1 on a channel in use, 2 on one on chain, 3 on its way in only, 4 of another amount, 5 nowhere."""
    table = Table([
        {"state": "CHANNELD_NORMAL", "htlcs": [_htlc(_hash(1)), _htlc(_hash(3), direction="in")]},
        {"state": "ONCHAIN", "htlcs": [_htlc(_hash(2)), _htlc(_hash(4), 1002)]},
        {"state": "DUALOPEND_OPEN_INIT"},
    ])
    orphans = _orphans(table)

    async def story() -> list[frozenset[int]]:
        return [await _stuck(orphans, table, _hash(number)) for number in range(1, 6)]

    out, stuck = frozenset[int](), frozenset({1})
    assert asyncio.run(story()) == [out, out, stuck, stuck, stuck]


def test_payments_that_look_together_ask_once() -> None:
    """A hundred payments look every half a minute; one after the first answer asks anew."""
    table = Table([{"state": "CHANNELD_NORMAL", "htlcs": [_htlc(_hash(1))]}])
    orphans = _orphans(table)

    async def story() -> None:
        found = await asyncio.gather(*(_stuck(orphans, table, _hash(number)) for number in range(1, 101)))
        assert found == [frozenset(), *[frozenset({1})] * 99]
        assert table.asked == {"listpeerchannels": 1}
        await _stuck(orphans, table, _hash(1))
        assert table.asked == {"listpeerchannels": 2}

    asyncio.run(story())


def test_one_who_goes_away_leaves_the_answer_to_the_others() -> None:
    table = Table([])
    orphans = _orphans(table)

    async def story() -> None:
        first, second = (asyncio.create_task(_stuck(orphans, table, _hash(number))) for number in (1, 2))
        async with asyncio.timeout(10):
            while not table.asked:
                await asyncio.sleep(0)
        first.cancel()
        assert await second == {1}
        assert table.asked == {"listpeerchannels": 1}

    asyncio.run(story())


def test_a_host_that_does_not_tell_makes_no_orphans() -> None:
    table = Table([{"state": "CHANNELD_NORMAL", "htlcs": [{"direction": "out"}]}])
    orphans = _orphans(table)
    assert asyncio.run(_stuck(orphans, table, _hash(1))) == frozenset()


def test_a_row_that_came_after_our_start_is_none() -> None:
    """The clock was ahead at boot and has been set right: its date is from before the host's start."""
    table = Table([])
    orphans = Orphans(cast(Node, table), HOST_STARTED_S)
    assert asyncio.run(_stuck(orphans, table, _hash(1))) == frozenset()
    assert not table.asked
