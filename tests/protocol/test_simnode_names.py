"""Names and starts in the box, by the cases that are played on a real lightningd as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lightningd.name_cases import CASES
from tests.support.lightningd.stages import Stage


@pytest.mark.parametrize("version", ["v26.06.6", "v25.12.1", "v24.11.2"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_as_lightningd(tmp_path: Path, case: Callable[[Stage], None], version: str) -> None:
    with Stage(tmp_path, version, real=False) as stage:
        case(stage)
