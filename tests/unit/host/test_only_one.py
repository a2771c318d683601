"""One of us a host: who has the name, and that it is free again however he ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pay.host.only_one import Claim, Other
from tests.support.checkout import ROOT
from tests.support.waiting import PATIENCE_S, given_by

HOST = 4711

HOLDER = f"""
import sys
from pay.host.only_one import Claim
claim = Claim({HOST}, sys.argv[1])
print(claim.take(), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holder(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has taken the name."""
    command = [sys.executable, "-c", HOLDER, str(directory)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert given_by(process.stdout.readline, "the name is taken") == "None\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_the_second_hears_who_is_first_even_if_he_sleeps(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        os.kill(first.pid, signal.SIGSTOP)
        assert Claim(HOST, str(tmp_path)).take() == Other(first.pid)
        first.kill()
        again = Claim(HOST, str(tmp_path))
        assert again.take() is None
        again.give_up()


def test_another_node_has_another_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    claims = [Claim(HOST, str(tmp_path)), Claim(HOST, str(tmp_path / "other")), Claim(HOST + 1, str(tmp_path))]
    assert [claim.take() for claim in claims] == [None] * 3
    for claim in claims:
        claim.give_up()


def test_a_directory_that_is_gone_is_no_reason_to_fail(tmp_path: Path) -> None:
    claim = Claim(HOST, str(tmp_path / "gone"))
    assert claim.take() is None
    claim.give_up()
