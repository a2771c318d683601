"""Which release of lightningd these tests run against, and which of them it is too old for.

What differs by release has its name in `pay/host/version.py`; a test that stands on such a fact names it.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

import pytest

from pay.host.version import Version


@cache
def host() -> Version:
    """Of the lightningd on the PATH; the newest there can be where there is none, and all is skipped anyway."""
    program = shutil.which("lightningd")
    if program is None:
        return Version.parse(None)
    return Version.parse(subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout)


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
