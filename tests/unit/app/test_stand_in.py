"""The plugins that have a name and nothing else: what they say, and that only the end of their input ends them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pay.app.names import NAMES, STAND_INS
from tests.support.checkout import ROOT
from tests.support.manifest import bare_python
from tests.support.waiting import PATIENCE_S

GARBAGE = ["nonsense", "[]", "7", "null", '{"id": 1}', '{"method": "getmanifest"}', '"id"', "[" * 100_000, "\xff"]


def said(name: str, *messages: str) -> list[dict[str, Any]]:
    """Its answers, of a Python that has none of our packages."""
    done = subprocess.run(
        [bare_python(), "-S", str(STAND_INS / f"{name}.py")], input="\n\n".join(messages) + "\n\n",
        capture_output=True, text=True, timeout=PATIENCE_S, cwd="/", check=True,
    )  # fmt: skip
    return [json.loads(text) for text in done.stdout.split("\n\n") if text.strip()]


def request(number: int, method: str) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": {}})


@pytest.mark.parametrize("name", NAMES)
def test_what_it_says(name: str) -> None:
    manifest, init, refused = said(name, request(1, "getmanifest"), request(2, "init"), request(3, name))
    assert [method["name"] for method in manifest["result"]["rpcmethods"]] == [name]
    assert manifest["result"]["dynamic"] is True
    assert manifest["result"]["options"] == []
    assert init["result"] == {}
    assert refused["error"]["code"] == -1
    assert "nothing was sent" in refused["error"]["message"]
    assert [answer["id"] for answer in (manifest, init, refused)] == [1, 2, 3]


@pytest.mark.parametrize("name", NAMES)
def test_garbage_does_not_end_it(name: str) -> None:
    """A node ends where the owner of a command ends at the wrong moment."""
    (answer,) = said(name, *GARBAGE, request(9, name))
    assert answer["id"] == 9


@pytest.mark.parametrize("name", NAMES)
def test_the_host_can_start_it_and_does_not_find_it_by_itself(name: str) -> None:
    """lightningd starts what is executable in its directory of plugins and one level below it."""
    path = STAND_INS / f"{name}.py"
    assert os.access(path, os.X_OK)
    assert len(path.relative_to(ROOT).parts) > 3


@pytest.mark.parametrize("path", sorted(STAND_INS.glob("*.py")), ids=lambda path: path.name)
def test_an_old_python_reads_it(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules <= set(sys.stdlib_module_names)
