"""Where tests look for what is not in the checkout."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.checkout import ROOT
from tests.support.waiting import PATIENCE_S


def test_the_snapshot_that_is_named() -> None:
    """By the environment, and then no other."""
    code = "from tests.support.checkout import SNAPSHOT; print(SNAPSHOT)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "CLNPAY_SNAPSHOT": "/no/such.xz"},
        capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    assert run.stdout == "/no/such.xz\n"
