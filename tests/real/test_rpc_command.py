"""The chain of `rpc_command` hooks on the lightningd of the PATH: the cases that the box is tested by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.support.release import version
from tests.support.lightningd.chain_cases import CASES, DEATHS
from tests.support.lightningd.stages import Stage

Case = Callable[[Stage], None]


@pytest.mark.parametrize("case", [*CASES, *DEATHS], ids=lambda case: case.__name__)
def test_on_a_real_node(tmp_path: Path, case: Case) -> None:
    with Stage(tmp_path, version(), real=True) as stage:
        case(stage)
