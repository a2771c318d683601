"""What tests share is in `support`: no test is imported, and nothing there knows a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

TESTS = ROOT / "tests"
SOURCES = sorted(TESTS.rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """Every module, and every name that may be one, that is imported anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                start = "." * level + (module or "")
                yield start
                yield from (f"{start}.{alias.name}" for alias in names)


def wrong(source: str) -> list[str]:
    """Imports of tests, or of what pytest alone imports."""
    lasts = {name: name.rpartition(".")[2] for name in imported(source) if name.startswith(("tests", "."))}
    return [name for name, last in lasts.items() if last.startswith("test_") or last == "conftest"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_is_imported(path: Path) -> None:
    assert wrong(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("from tests.unit.test_units import msat", ["tests.unit.test_units"]),
        ("def f():\n    from tests.protocol import test_busy", ["tests.protocol.test_busy"]),
        ("import tests.real.conftest", ["tests.real.conftest"]),
        ("from .test_busy import host", [".test_busy"]),
        ("import pytest, test_of_others", []),
        ("from tests.support.checkout import ROOT", []),
    ],
)  # fmt: skip
def test_the_test_sees_one(source: str, seen: list[str]) -> None:
    assert wrong(source) == seen
