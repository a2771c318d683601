"""What lightningd answers is what is recorded of it, which is what the box is held to."""

from __future__ import annotations

import json
import os

import pytest

from tests.real.support.bench import RealBench
from tests.support.lightningd.conversation import RECORDED, RECORDED_VERSION, hold, recorded


def test_lightningd_says_what_is_recorded(bench: RealBench) -> None:
    """With RECORD=1 the record is written anew instead, to be read as a diff."""
    version = bench.call("getinfo", {}).ok()["version"]
    if not version.startswith(RECORDED_VERSION):
        pytest.skip(f"recorded from {RECORDED_VERSION}, this host is {version}")
    heard = hold(bench)
    if os.environ.get("RECORD"):
        RECORDED.write_text(json.dumps(heard, indent=1) + "\n")
    assert heard == recorded()
