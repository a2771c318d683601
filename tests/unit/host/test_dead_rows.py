"""Which pending rows have an HTLC: asked of our channels as they are now, once for all who ask together."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from pay.host import dead_rows as module
from pay.host.calls import Host, SendpayRow, SendpayStatus
from pay.host.dead_rows import DOUBT_S, DeadRows, host_started_s
from tests.support.waiting import played, turns

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

    async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
        return [SendpayRow(1, 1, SendpayStatus.PENDING, 1000, 1001, int(HOST_STARTED_S) - 10, None, None)]


def _orphans(table: Table) -> DeadRows:
    """All of these rows were pending when we started."""
    orphans = DeadRows(cast(Host, table), HOST_STARTED_S)
    orphans.found_at_start(
        {"payment_hash": _hash(number).hex(), "groupid": 1, "partid": 1} for number in range(1, 101)
    )
    return orphans


def _htlc(payment_hash: bytes, amount_msat: int = 1001, direction: str = "out") -> dict[str, Any]:
    return {"payment_hash": payment_hash.hex(), "amount_msat": amount_msat, "direction": direction}


def _hash(number: int) -> bytes:
    return bytes([number]) * 32


async def _stuck(orphans: DeadRows, table: Table, payment_hash: bytes) -> frozenset[int]:
    return await orphans.among(payment_hash, await table.rows(payment_hash))


def test_an_htlc_in_whatever_state_of_its_channel_is_out() -> None:
    """1 on a channel in use, 2 on one on chain, 3 on its way in only, 4 of another amount, 5 nowhere."""
    table = Table(
        [
            {"state": "CHANNELD_NORMAL", "htlcs": [_htlc(_hash(1)), _htlc(_hash(3), direction="in")]},
            {"state": "ONCHAIN", "htlcs": [_htlc(_hash(2)), _htlc(_hash(4), 1002)]},
            {"state": "DUALOPEND_OPEN_INIT"},
        ]
    )
    orphans = _orphans(table)

    async def story() -> list[frozenset[int]]:
        return [await _stuck(orphans, table, _hash(number)) for number in range(1, 6)]

    out, stuck = frozenset[int](), frozenset({1})
    assert played(story()) == [out, out, stuck, stuck, stuck]


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

    played(story())


def test_one_who_goes_away_leaves_the_answer_to_the_others() -> None:
    table = Table([])
    orphans = _orphans(table)

    async def story() -> None:
        first, second = (asyncio.create_task(_stuck(orphans, table, _hash(number))) for number in (1, 2))
        await turns(lambda: table.asked)
        first.cancel()
        assert await second == {1}
        assert table.asked == {"listpeerchannels": 1}

    played(story())


def test_a_host_that_does_not_tell_makes_no_orphans() -> None:
    table = Table([{"state": "CHANNELD_NORMAL", "htlcs": [{"direction": "out"}]}])
    orphans = _orphans(table)
    assert played(_stuck(orphans, table, _hash(1))) == frozenset()


def test_a_row_that_came_after_our_start_is_none() -> None:
    """The clock was ahead at boot and has been set right: its date is from before the host's start."""
    table = Table([])
    orphans = DeadRows(cast(Host, table), HOST_STARTED_S)
    assert played(_stuck(orphans, table, _hash(1))) == frozenset()
    assert not table.asked


# --- what is old -------------------------------------------------------------------------------------------------

P, C, F = SendpayStatus.PENDING, SendpayStatus.COMPLETE, SendpayStatus.FAILED
OLD = int(HOST_STARTED_S) - 10
HASH = bytes([7]) * 32


class Clock:
    """Both clocks of this machine, as the test sets them."""

    def __init__(self) -> None:
        self.wall_s, self.steady_s = 5_000.0, 100.0

    def time(self) -> float:
        return self.wall_s

    def monotonic(self) -> float:
        return self.steady_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Rows(Table):
    """Rows of one hash; nothing of it is on our channels but `out`."""

    def __init__(self, *rows: SendpayRow, out: Sequence[int] = ()):
        super().__init__([{"htlcs": [_htlc(HASH, msat) for msat in out]}])
        self.table = list(rows)

    async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
        return self.table


def _row(partid: int = 4, created_at: int = OLD, status: SendpayStatus = P, groupid: int = 9) -> SendpayRow:
    return SendpayRow(groupid, partid, status, 1_000 * partid, 1_001 * partid, created_at, None, None)


def _found(orphans: DeadRows, *rows: SendpayRow) -> DeadRows:
    orphans.found_at_start(
        [{"payment_hash": HASH.hex(), "groupid": row.groupid, "partid": row.partid} for row in rows]
    )
    return orphans


def _among(table: Rows, *, started_s: float = HOST_STARTED_S, together: bool = False) -> set[int]:
    """All rows were pending at our start, and are looked at as they are."""
    orphans = _found(DeadRows(cast(Host, table), started_s, together), *table.table)
    return set(played(orphans.among(HASH, table.table)))


def test_pending_from_before_the_start_and_without_an_htlc(clock: Clock) -> None:
    """Of five parts the second has its HTLC, the third and fourth are over, the last came after the start."""
    table = Rows(
        _row(4), _row(5), _row(6, status=F), _row(7, status=C), _row(8, created_at=OLD + 11), out=[5 * 1_001]
    )
    assert _among(table) == {4}
    assert _among(table, started_s=0.0) == set(), "when the host was started is not known"


def test_two_of_one_amount_and_one_htlc(clock: Clock) -> None:
    """Which of them is out is not known, so neither is called an orphan."""
    table = Rows(_row(4), replace(_row(5), sent_msat=4 * 1_001), out=[4 * 1_001])
    assert _among(table) == set()


@pytest.mark.parametrize(("created_at", "old"), [(999, True), (1_000, True), (1_001, False)])
def test_dates_of_whole_seconds(clock: Clock, created_at: int, old: bool) -> None:
    """The host was started in the second of 1000."""
    assert _among(Rows(_row(created_at=created_at)), started_s=1_000.9) == ({4} if old else set())
    assert _among(Rows(_row(created_at=created_at)), started_s=1_000.0) == ({4} if old else set())


@pytest.mark.parametrize(("wall_s", "old"), [(1_031.0, False), (1_031.1, True)])
def test_of_the_second_of_the_start_nothing_is_certain_at_first(clock: Clock, wall_s: float, old: bool) -> None:
    """Its HTLC may be yet to come, for half a minute after that second has ended."""
    clock.wall_s = wall_s
    assert DOUBT_S == 30.0
    assert _among(Rows(_row(created_at=1_000)), started_s=1_000.9) == ({4} if old else set())
    clock.wall_s = 1_001.0
    assert _among(Rows(_row(created_at=999)), started_s=1_000.9) == {4}


@pytest.mark.parametrize(("later_s", "old"), [(0.0, False), (29.9, False), (30.0, True)])
def test_together_with_the_host_dates_do_not_matter(clock: Clock, later_s: float, old: bool) -> None:
    """The clock was ahead when it was made: what was pending at our start is older than the host all the same."""
    table = Rows(_row(created_at=9_000))
    orphans = _found(DeadRows(cast(Host, table), HOST_STARTED_S, together=True), *table.table)
    alone = _found(DeadRows(cast(Host, table), HOST_STARTED_S), *table.table)
    clock.steady_s += later_s
    assert played(orphans.among(HASH, table.table)) == ({4} if old else set())
    assert played(alone.among(HASH, table.table)) == set()


def test_the_doubt_can_be_shortened(clock: Clock) -> None:
    table = Rows(_row(created_at=9_000))
    orphans = _found(DeadRows(cast(Host, table), HOST_STARTED_S, together=True, doubt_s=2.0), *table.table)
    assert played(orphans.among(HASH, table.table)) == set()
    clock.steady_s += 2.0
    assert played(orphans.among(HASH, table.table)) == {4}


def test_only_the_very_part_that_was_found(clock: Clock) -> None:
    """Group and number; nothing is asked of channels for the others. What names neither is part 0 of group 0."""
    table = Rows(_row(4))
    for other in (_row(4, groupid=4), _row(9), _row(5, groupid=9)):
        orphans = _found(DeadRows(cast(Host, table), HOST_STARTED_S), other)
        assert played(orphans.among(HASH, table.table)) == set()
    assert not table.asked
    bare = Rows(_row(0, groupid=0))
    orphans = DeadRows(cast(Host, bare), HOST_STARTED_S)
    orphans.found_at_start([{"payment_hash": HASH.hex()}])
    assert played(orphans.among(HASH, bare.table)) == {0}


@pytest.mark.parametrize("now", [[], [_row(4, status=C)], [_row(4, status=F)], [_row(4, groupid=8)]])
def test_it_ended_between_the_two_looks(clock: Clock, now: list[SendpayRow]) -> None:
    """Its HTLC was over by the look at the channels: then its outcome is in the table by now."""
    table = Rows(_row(4))
    orphans = _found(DeadRows(cast(Host, table), HOST_STARTED_S), *table.table)
    before, table.table = table.table, now
    assert played(orphans.among(HASH, before)) == set()
    table.table = [_row(4), _row(5)]
    assert played(orphans.among(HASH, before)) == {4}, "part 5 was not found at our start"


def test_how_many_htlcs_of_an_amount_are_out() -> None:
    table = Rows(out=[5, 5, 6])
    orphans = DeadRows(cast(Host, table), 0.0)
    assert played(orphans.amounts_out(HASH)) == Counter({5: 2, 6: 1})
    assert played(orphans.amounts_out(bytes(32))) == Counter()


# --- when the host was started -----------------------------------------------------------------------------------


def test_when_our_parent_was_started(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name may have blanks and brackets; the 22nd field of stat, proc(5), is in ticks since the boot."""
    stat = "71 (a ) b (c) S " + " ".join(str(number) for number in range(4, 22)) + " 300 23 24"
    files = {f"/proc/{os.getppid()}/stat": stat, "/proc/uptime": "1000.25 7.5"}
    monkeypatch.setattr(Path, "read_text", lambda self: files[str(self)])
    monkeypatch.setattr(os, "sysconf", {"SC_CLK_TCK": 100}.__getitem__)
    assert host_started_s(9_999.0) == 5_000.0 - 1_000.25 + 3.0
    assert host_started_s(4_000.0) == 4_000.0, "never after ourselves"


@pytest.mark.parametrize("text", ["", "71 (lightningd) S 4", "71 (lightningd) S " + "x " * 30])
def test_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: text)
    assert host_started_s(9_999.0) == 0.0
