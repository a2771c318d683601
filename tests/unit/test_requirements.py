"""What is installed: all of it is named, in one version, with hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

NODE = ROOT / "requirements.txt"
MADE = [NODE, *sorted((ROOT / "requirements").glob("*.txt"))]

PIN = re.compile(r"([\w.-]+)==(\S+)( ; [^#]*?)?((?: +--hash=sha256:[0-9a-f]{64})+)")
"""Name, version, marker, hashes."""


def pinned(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes of each package; nothing else may stand there."""
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.strip().startswith("#"):
            continue
        read = PIN.fullmatch(entry.rstrip())
        assert read is not None, entry
        found[read[1]] = (read[2], read[4].split())
    return found


@pytest.mark.parametrize("path", MADE, ids=lambda path: str(path.relative_to(ROOT)))
def test_all_that_is_asked_for_is_pinned(path: Path) -> None:
    """By the file that is made, as the file says that it is made from."""
    lines = path.with_suffix(".in").read_text(encoding="utf-8").splitlines()
    asked = [line.split("==") for line in lines if line and line[0] not in "#-"]
    assert asked
    made = pinned(path)
    for name, version in asked:
        assert made[name][0] == version


def test_a_package_has_one_version() -> None:
    """Whichever stage brings it."""
    versions: dict[str, tuple[str, list[str]]] = {}
    for path in MADE:
        for name, pin in pinned(path).items():
            assert versions.setdefault(name, pin) == pin, (path, name)


def test_the_node_does_without_what_the_box_and_the_tests_use() -> None:
    node = pinned(NODE)
    assert "networkx" in pinned(ROOT / "requirements" / "box.txt") and "networkx" not in node
    assert not node.keys() & {"pytest", "hypothesis", "mypy", "ruff", "pyln-testing"}
    assert pinned(ROOT / "requirements" / "system.txt").keys() == node.keys() - {"numpy", "scipy"}


def test_no_file_says_where_packages_come_from() -> None:
    """That is pip's own setting, of whoever installs."""
    for path in [*MADE, *(path.with_suffix(".in") for path in MADE)]:
        text = path.read_text(encoding="utf-8")
        assert "://" not in text and "index" not in text
