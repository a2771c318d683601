"""The table of `sendpay` against the real lightningd: if this fails, the box imitates something else."""

from __future__ import annotations

import pytest

from tests.real.support.bench import RealBench
from tests.support.lightningd.sendpay_cases import CASES
from tests.support.lightningd.sendpay_table import Case, run


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_answer(case: Case, bench: RealBench) -> None:
    """One line of the table."""
    run(case, bench)
