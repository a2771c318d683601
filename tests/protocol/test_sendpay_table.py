"""The table of `sendpay` against the box; `tests/real` runs the same against lightningd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box.line import BoxLine
from tests.support.lightningd.sendpay_cases import CASES
from tests.support.lightningd.sendpay_table import Case, run


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoxLine]:
    line = BoxLine(Path(tmp_path_factory.mktemp("box")))
    yield line
    line.stop()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_answer(case: Case, bench: BoxLine) -> None:
    """One line of the table."""
    run(case, bench)
