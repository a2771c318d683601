"""Waits of tests: they end, they say what for, and what came is not lost."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.source.waits import endless
from tests.support.waiting import NeverCameError, given_by, played, result_of, soon, stays, turns, until


def test_what_comes_is_returned() -> None:
    looks = iter([0, [], 7])
    assert until(lambda: next(looks)) == 7
    later: Future[int] = Future()
    later.set_result(3)
    assert result_of(later) == 3
    assert played(soon(asyncio.sleep(0, "tea"))) == "tea"


def test_a_wait_is_called_by_its_condition() -> None:
    made: list[int] = []
    said = r"^not in 0\.01 s: made and made\[0\] > len\(\"│\"\) \(test_waiting.py:\d+\)$"
    with pytest.raises(NeverCameError, match=said):
        until(lambda: made and made[0] > len("│"), most_s=0.01)
    with pytest.raises(NeverCameError, match=r": made and made != \[1\] \("):
        # fmt: off
        until(lambda: made
              and made != [1], most_s=0.01)
        # fmt: on

    def paid() -> bool:
        return bool(made)

    with pytest.raises(NeverCameError, match=r": paid \(test_waiting.py:\d+\)$"):
        until(paid, most_s=0.01)
    with pytest.raises(NeverCameError, match=r": the second part$"):
        until(paid, "the second part", most_s=0.01)


def test_an_answer_that_does_not_come() -> None:
    with pytest.raises(NeverCameError, match=r": the answer of pay$"):
        result_of(Future(), "the answer of pay", most_s=0.01)


def test_a_read_that_does_not_end() -> None:
    reads, writes = os.pipe()
    try:
        with pytest.raises(NeverCameError, match=r": a line$"):
            given_by(lambda: os.read(reads, 1), "a line", most_s=0.01)
    finally:
        os.close(writes)
        os.close(reads)
    assert given_by(lambda: 7, "a number") == 7
    with pytest.raises(ZeroDivisionError):
        given_by(lambda: 1 // 0, "a number")


def test_what_must_stay_so() -> None:
    looks = iter([1, 1, 0, 1])
    with pytest.raises(AssertionError, match=r"^no longer: quiet$"):
        stays(lambda: next(looks), 60, "quiet")
    assert next(looks) == 1
    began_s = time.monotonic()
    stays(lambda: True, 0.02)
    assert time.monotonic() - began_s >= 0.02


def test_a_timeout_of_what_is_waited_for_is_its_own() -> None:
    """The answer came, and is that somebody else had no patience."""
    failed: Future[int] = Future()
    failed.set_exception(TimeoutError("of the node"))
    with pytest.raises(TimeoutError, match="of the node"):
        result_of(failed)

    async def fails() -> None:
        raise TimeoutError("of the node")

    with pytest.raises(TimeoutError, match="of the node"):
        played(fails())


def test_on_a_loop() -> None:
    async def story() -> None:
        came: list[int] = []
        asyncio.get_running_loop().call_soon(came.append, 1)
        assert await turns(lambda: came) == [1]
        with pytest.raises(NeverCameError, match=r": len\(came\) == 2 \("):
            await turns(lambda: len(came) == 2, most_s=0.01)
        with pytest.raises(NeverCameError, match=r": the nap$"):
            await soon(asyncio.sleep(60), "the nap", most_s=0.01)

    played(story())
    with pytest.raises(NeverCameError, match=r": the end of the story$"):
        played(asyncio.sleep(60), most_s=0.01)


TESTS = sorted(
    path for path in (ROOT / "tests").rglob("*.py") if not {"bench", "plugins", "clock_shim"} & {*path.parts}
)
"""Measurements sleep, and the programs that nodes under test start do what a host has to bear."""


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_sleeps_or_waits_for_ever(path: Path) -> None:
    assert not list(endless(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import time\ntime.sleep(1)", True), ("from time import sleep as nap\nnap(1)", True),
        ("import subprocess\nsubprocess.run(['true'])", True),
        ("from subprocess import check_output\ncheck_output(['true'], text=True)", True),
        ("thread.join()", True), ("process.communicate()", True),
        ("import subprocess\nsubprocess.run(['true'], timeout=5)", False), ("','.join(words)", False),
        ("import subprocess\nsubprocess.run(['true'], **options)", False), ("thread.join(5)", False),
        ("process.communicate(timeout=5)", False), ("import asyncio\nasyncio.sleep(0)", False),
    ],
)  # fmt: skip
def test_the_test_sees_them(source: str, seen: bool) -> None:
    assert bool(list(endless(source))) is seen
