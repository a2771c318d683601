"""Starts plugin.py without a host, by any Python, and asks it for its manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.box.host import environment
from tests.support.waiting import PATIENCE_S

GETMANIFEST = {"jsonrpc": "2.0", "id": "m", "method": "getmanifest", "params": {"allow-deprecated-apis": False}}


def ask(
    command: list[str], messages: list[dict[str, Any]] | None = None, cwd: Path | None = None, **env: str
) -> list[dict[str, Any]]:
    """Start a plugin without a host, say something, close its input; what it wrote."""
    text = "".join(json.dumps(message) + "\n\n" for message in messages or [GETMANIFEST])
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=PATIENCE_S, cwd=cwd, env=environment(**env),
        check=False,
    )  # fmt: skip
    written = [json.loads(line) for line in done.stdout.split("\n\n") if line.strip()]
    return [message for message in written if "id" in message]


def disabled(answers: list[dict[str, Any]]) -> str:
    """The reason of a plugin that does not want to run: one line."""
    (answer,) = answers
    assert answer["id"] == "m"
    assert answer["result"].keys() == {"disable"}, answer
    reason: str = answer["result"]["disable"]
    assert "\n" not in reason
    return reason


def bare_python() -> str:
    """An interpreter that has none of our packages."""
    return os.path.realpath(sys.executable)
