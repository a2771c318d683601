"""The race's figures: intervals, chains of HTLCs, and the lines that are printed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bench.race.points import points
from tests.bench.race.record import Crossing, Memory, Part, Payment, Results, common, load
from tests.bench.race.statistics import bootstrap, mean, quantile, wilson
from tests.bench.race.table import comparisons, tables
from tests.bench.race.watch import Ends, rounds

PAID = Payment("pay", 1, 5, 10, 100_000_000, 1, Memory.RESET, 0, True, 1, 0, 10_000, 0.5, 1)
"""100,000 sat over hub 1 to node 10, for 100 ppm."""

UNPAID = replace(PAID, paid=False, htlcs=4, failed=4, fee_msat=None, seconds=60.0, code=210, message="no")


FAR = Part(1, 0.5, True, 10.0, 11.5, (Crossing("1x1x0", 0, 12, "02"), Crossing("2x1x0", 1, 10, "03")), 1, 4103)


def test_a_share_and_where_it_lies() -> None:
    """Newcombe (1998), table I: 81 of 263 is 0.2553 to 0.3662, 0 of 20 is 0 to 0.1611."""
    share = wilson(81, 263)
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)
    none = wilson(0, 20)
    assert (none.value, round(none.low, 4), round(none.high, 4)) == (0.0, 0.0, 0.1611)
    assert math.isnan(wilson(0, 0).value)


def test_rows_of_a_hub_are_drawn_together() -> None:
    """Four hubs that differ and ten equal payments over each: as uncertain as four payments, not as forty."""
    values = np.repeat([[1.0], [2.0], [3.0], [4.0]], 10, axis=0)
    hubs = [number // 10 for number in range(40)]
    together = bootstrap(values, hubs, mean)
    alone = bootstrap(values, list(range(40)), mean)
    assert together.value == alone.value == 2.5
    assert together.low < 1.7 and together.high > 3.3
    assert alone.low > 2.0 and alone.high < 3.0
    assert together == bootstrap(values, hubs, mean)


def test_one_hub_alone() -> None:
    """Its payments are drawn."""
    interval = bootstrap(np.array([[0.0], [1.0], [0.0], [1.0]]), [7] * 4, mean)
    assert (interval.low, interval.value, interval.high) == (0.0, 0.5, 1.0)


def test_nothing_has_no_figures() -> None:
    assert math.isnan(bootstrap(np.empty((0, 1)), [], mean).value)
    assert math.isnan(quantile([], 0.5))


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([], 0),
        ([(1, 1)], 1),
        ([(1, 3), (2, 3), (3, 3)], 1),
        ([(1, 1), (2, 2), (3, 3)], 3),
        # 1 and 2 go out; 2 fails, 3 follows it; 1 fails, 4 follows it; both settle.
        ([(2, 2), (1, 3), (3, 4), (4, 4)], 2),
        # 1 and 2 go out; 1 fails, 3 replaces it and fails, 4 replaces that one; 2 is out all the time.
        ([(1, 2), (3, 3), (2, 4), (4, 4)], 3),
    ],
)
def test_which_htlcs_followed_one_another(rows: list[tuple[int, int]], count: int) -> None:
    assert rounds(rows) == count


def test_ends_that_are_heard_of_together() -> None:
    ends = Ends()
    ends.heard(2, created=5)
    ends.heard(6, created=9)
    assert [ends.created_before(number) for number in (1, 2, 3, 6, 7)] == [5, 5, 9, 9, None]


def test_only_what_all_have_paid_is_compared() -> None:
    other = replace(PAID, payee=11)
    payments = [
        PAID, replace(PAID, sender="ours", fee_msat=8_000),
        other, replace(UNPAID, sender="ours", payee=11),
        replace(PAID, payee=12), replace(PAID, sender="ours", mode=Memory.KEPT),
    ]  # fmt: skip
    assert common(payments, ["pay", "ours"]) == [[PAID, replace(PAID, sender="ours", fee_msat=8_000)]]


def test_the_lines_of_a_race() -> None:
    """Two payees: both pay the first, we for 80 ppm after a failure; only `pay` pays the second."""
    ours = replace(PAID, sender="ours", htlcs=2, failed=1, rounds=2, fee_msat=8_000, seconds=0.9)
    payments = [PAID, ours, replace(PAID, payee=11), replace(UNPAID, sender="ours", payee=11, seconds=2.5)]
    lines = list(tables(payments, ["pay", "ours"]))
    assert lines[:7] == [
        "memory reset",
        "",
        "| 100,000 sat: 2 asked, 1 paid by all | paid | first try | HTLCs | failed | fee, ppm | p50 s | p95 s "
        "| rounds | cannot, s |",
        "|---|---|---|---|---|---|---|---|---|---|",
        "| pay | 2/2 (34–100 %) | 1/1 (21–100 %) | 1.00 (1.00 to 1.00) | 0.00 (0.00 to 0.00) "
        "| 100 (100 to 100) | 0.50 | 0.50 | 1.00 | – (0) |",
        "| ours | 1/2 (9–91 %) | 0/1 (0–79 %) | 2.00 (2.00 to 2.00) | 1.00 (1.00 to 1.00) "
        "| 80 (80 to 80) | 0.90 | 0.90 | 2.00 | 2.5 (1) |",
        "ours beside pay: fees × 0.80 (0.80 to 0.80), first try -100.0 (-100.0 to -100.0) points",
    ]
    assert "hub 1, 5 channels" not in "\n".join(lines)
    by_hub = list(tables(payments, ["pay", "ours"], by_hub=True))
    assert any(line.startswith("| hub 1, 5 channels: 2 asked, 1 paid by all") for line in by_hub)


def test_a_race_as_points() -> None:
    """Senders of one series are told apart by their labels; only what all have paid counts."""
    dear = replace(PAID, sender="ours-price/30", htlcs=2, failed=1, fee_msat=8_000)
    payments = [PAID, dear, replace(PAID, payee=11), replace(UNPAID, sender="ours-price/30", payee=11)]
    half = (wilson(1, 1).high - wilson(1, 1).low) / 2
    drawn = [("pay", "", 100.0, 1.0, half), ("ours-price", "30", 80.0, 0.0, half)]
    expected = [(panel, *point) for panel in ("100,000 sat", "all amounts") for point in drawn]
    assert list(points(payments, ["pay", "ours-price/30"])) == expected
    kept = [replace(payment, mode=Memory.KEPT) for payment in payments]
    assert next(points(kept, ["pay"]))[0] == "100,000 sat, memory kept"


def test_ours_and_its_variants_are_one_series() -> None:
    """So the picture joins them; `oursel` is somebody else."""
    names = ["pay", "ours", "ours-dear", "ours-price/30", "oursel"]
    found = points([replace(PAID, sender=name) for name in names], names)
    assert [point[1:3] for point in found if point[0] == "all amounts"] == [
        ("pay", ""), ("ours", "default"), ("ours", "dear"), ("ours-price", "30"), ("oursel", ""),
    ]  # fmt: skip


def test_nothing_that_all_have_paid() -> None:
    assert list(comparisons([], ["pay", "ours"])) == []


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = Results({"date": "today", "senders": {"pay": {}}}, [PAID, UNPAID], ["hub 3: gone"])
    with_parts = replace(PAID, sender="ours", mode=Memory.KEPT, parts=(FAR, Part(2, None, False)))
    results.payments.append(with_parts)
    results.capacity_msat["2x1x0"] = 5_000
    results.save(tmp_path / "new" / "race.json")
    assert load(tmp_path / "new" / "race.json") == results
