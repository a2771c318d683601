"""Which release of lightningd these tests run against, and which of them it is too old for.

What differs by release has its name in `pay/host/version.py`; a test that stands on such a fact names it.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

import pytest

from pay.host.version import Version
from tests.support.waiting import PATIENCE_S


@cache
def version() -> str:
    """What the lightningd on the PATH calls itself; nothing where there is none, and all is skipped anyway."""
    program = shutil.which("lightningd")
    if program is None:
        return ""
    command = [program, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return done.stdout.strip()


@cache
def host() -> Version:
    """The same as a value; the newest there can be where there is none."""
    return Version.parse(version() or None)


def since(release: tuple[int, int], fact: str) -> pytest.MarkDecorator:
    """Skips a test on hosts before a release.

    Parameters
    ----------
    fact
        What that release brought, as a sentence goes on after "before v25.02 there is no".
    """
    return pytest.mark.skipif(
        not host().since(release),
        reason=f"{host()}: before {Version(*release)} there is no {fact}",
    )
