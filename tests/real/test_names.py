"""Names and starts on the lightningd of the PATH: the cases that the box is tested by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.support.release import version
from tests.support.lightningd.name_cases import CASES
from tests.support.lightningd.stages import Stage


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_on_a_real_node(tmp_path: Path, case: Callable[[Stage], None]) -> None:
    with Stage(tmp_path, version(), real=True) as stage:
        case(stage)
