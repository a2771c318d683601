"""The box's chain of `rpc_command` hooks, by the cases that are played on a real lightningd as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lightningd.chain_cases import CASES, DEATHS
from tests.support.lightningd.stages import Stage

Case = Callable[[Stage], None]


@pytest.mark.parametrize("case", [*CASES, *DEATHS], ids=lambda case: case.__name__)
def test_as_lightningd(tmp_path: Path, case: Case) -> None:
    with Stage(tmp_path, "v26.06.6", real=False) as stage:
        case(stage)
