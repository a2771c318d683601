"""The newest page of a long table of parts, found without reading the table."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pay.commands.archive import PAGE_ROWS, Archive
from pay.host.calls import Host
from tests.support.waiting import played

START_S = 1_700_000_000.0


class Table:
    """The host's, with rows at these indices; each is a payment of its own unless two share a hash."""

    def __init__(self, hashes: dict[int, str], created_at: int = int(START_S) - 60):
        self.rows = [_row(index, text, created_at) for index, text in hashes.items()]
        self.calls: list[dict[str, Any]] = []

    async def patient(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert method == "listsendpays" and params["index"] == "created" and params["limit"] <= PAGE_ROWS
        self.calls.append(params)
        found = [row for row in self.rows if row["created_index"] >= params["start"]]
        return {"payments": found[: params["limit"]]}

    def newest(
        self,
        known: list[tuple[str, int]] | None = None,
        most: int = 1000,
        ended: tuple[str, ...] = (),
        rows: int = 0,
    ) -> list[str]:
        archive = Archive(cast(Host, self), START_S)
        return [entry["payment_hash"] for entry in played(archive.newest(known or [], most, ended, rows))]


def _row(index: int, payment_hash: str, created_at: int) -> dict[str, Any]:
    return {
        "created_index": index, "payment_hash": payment_hash, "groupid": 1, "partid": index, "status": "complete",
        "created_at": created_at, "completed_at": created_at + 1, "amount_msat": 1000, "amount_sent_msat": 1001,
        "payment_preimage": "00" * 32,
    }  # fmt: skip


@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 8, 9])
def test_short_tables(length: int) -> None:
    hashes = {n: f"h{n}" for n in range(1, length + 1)}
    assert Table(hashes).newest() == list(hashes.values())


def test_a_long_table_with_holes() -> None:
    """100,000 rows, most of them deleted since: some forty short questions and one page."""
    table = Table({n: f"h{n}" for n in range(3, 100_000, 7)})
    newest = table.newest()
    # The page begins at 97,999; of its first payment, 98,003, parts might be on the page before.
    assert newest == [f"h{n}" for n in range(98_010, 100_000, 7)]
    assert len(table.calls) < 40


def test_a_payment_cut_by_the_page() -> None:
    """Parts of it may be on the page before: half of a payment is not shown as one."""
    hashes = {n: f"h{n}" for n in range(1, PAGE_ROWS + 11)}
    hashes[10] = hashes[11] = "cut"
    table = Table(hashes)
    newest = table.newest(most=PAGE_ROWS)
    assert "cut" not in newest and newest[0] == "h12" and newest[-1] == f"h{PAGE_ROWS + 10}"


def test_what_is_known_and_what_is_new() -> None:
    """Ours of this run are known better; what somebody else began after our start is not ours to list."""
    table = Table({1: "a", 2: "b", 3: "b", 4: "c"})
    assert table.newest() == ["a", "b", "c"]
    assert table.newest(known=[("b", 1)]) == ["a", "c"]
    assert table.newest(most=2) == ["b", "c"]
    assert table.newest(most=0) == []
    assert Table({1: "later"}, int(START_S) + 1).newest() == []


def test_ours_of_this_run_that_is_not_kept_any_more() -> None:
    """Of what began after our start, only what is known to be a payment of ours."""
    table = Table({1: "ours", 2: "later", 3: "kept"}, int(START_S) + 1)
    assert table.newest(known=[("kept", 1)], ended=("ours", "kept")) == ["ours"]


def test_rows_of_what_is_known_take_no_place() -> None:
    """Two pages of rows of one payment that is kept, and before them others: those are what is looked for."""
    hashes = {n: f"h{n}" if n <= PAGE_ROWS else "kept" for n in range(1, 3 * PAGE_ROWS + 1)}
    table = Table(hashes)
    assert table.newest(known=[("kept", 1)]) == []
    newest = table.newest(known=[("kept", 1)], rows=2 * PAGE_ROWS)
    assert newest == [f"h{n}" for n in range(PAGE_ROWS - 999, PAGE_ROWS + 1)]
