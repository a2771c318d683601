"""The box answers with lightningd's keys, types, codes and words; `tests/real` holds lightningd to this record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.box.line import BoxLine
from tests.support.lightningd.conversation import hold, recorded


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The conversation is held once."""
    line = BoxLine(Path(tmp_path_factory.mktemp("box")))
    yield hold(line)
    line.stop()


@pytest.mark.parametrize("question", recorded())
def test_the_box_answers_as_lightningd_did(question: str, heard: dict[str, Any]) -> None:
    assert heard[question] == recorded()[question]


def test_nothing_was_asked_that_lightningd_was_not(heard: dict[str, Any]) -> None:
    assert heard.keys() == recorded().keys()
