"""The box's cln-xpay and builtin pay, by the cases that are played on a real lightningd as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box.line import BoxLine
from tests.support.lightningd.sender_cases import CASES, Case

VERSIONS = {"v26.06.6": (26, 6), "v25.12.1": (25, 12), "v24.11.2": (24, 11)}


@pytest.fixture(scope="module", params=VERSIONS)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoxLine]:
    directory = tmp_path_factory.mktemp("box")
    line = BoxLine(Path(directory), version=request.param, builtin_pay=True, allow_deprecated=True)
    yield line
    line.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_as_lightningd(case: Case, bench: BoxLine) -> None:
    case(bench, VERSIONS[bench.node.version])
