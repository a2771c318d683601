"""The table of the demonstration, whatever is paid."""

from __future__ import annotations

import pytest

from pay.sim.demo.table import Table
from pay.units import MAX_MSAT, format_msat


@pytest.mark.parametrize("amount_msat", [1, 50_000_000, MAX_MSAT])
def test_columns_stay_below_their_names(amount_msat: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Those behind the amount begin where the head says."""
    table = Table(amount_msat)
    table.head()
    table.row(["a", format_msat(amount_msat), "paid", "1 sat", "3", "1", "1", "0.01 s"], "why")
    head, row = capsys.readouterr().out.splitlines()
    assert row.index("paid") == head.index("result") and row.endswith("why")
    assert row.index(" 0.01 s") + len(" 0.01 s") == len(head)
