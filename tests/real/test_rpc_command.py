"""The chain of `rpc_command` hooks on the lightningd of the PATH: the cases that the box is tested by."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support.lightningd.chain_cases import CASES, DEATHS
from tests.support.lightningd.stages import Stage
from tests.support.waiting import PATIENCE_S

Case = Callable[[Stage], None]


@cache
def version() -> str:
    """Of the lightningd that is started."""
    command = ["lightningd", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("case", [*CASES, *DEATHS], ids=lambda case: case.__name__)
def test_on_a_real_node(tmp_path: Path, case: Case) -> None:
    with Stage(tmp_path, version(), real=True) as stage:
        case(stage)
