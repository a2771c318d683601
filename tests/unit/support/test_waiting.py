"""Waits of tests: they end, they say what for, and what came is not lost."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest

from tests.support.waiting import NeverCameError, played, result_of, soon, turns, until


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
