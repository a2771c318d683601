"""All that tests wait for: each wait has an end, and names what it waited for when that does not come.

Patience is long, because a machine under load is no failure; looks are frequent, because a test that passes should
not be slower for it. Where no other name is given, a wait is called by its condition, as it is written.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from pay.sim.lightningd.harness import PATIENCE_S, wording

T = TypeVar("T")

__all__ = ["PATIENCE_S", "NeverCameError", "given_by", "played", "result_of", "soon", "stays", "turns", "until"]

LOOK_S = 0.005


class NeverCameError(AssertionError):
    """What a test waited for did not come."""

    def __init__(self, what: str, most_s: float):
        super().__init__(f"not in {most_s:g} s: {what}")


def until(condition: Callable[[], T], what: str = "", *, most_s: float = PATIENCE_S, look_s: float = LOOK_S) -> T:
    """Look every `look_s` seconds until `condition` is true; what it gave then."""
    end_s = time.monotonic() + most_s
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > end_s:
            raise NeverCameError(what or wording(condition), most_s)
        pause.wait(look_s)
    return value


def stays(condition: Callable[[], object], for_s: float, what: str = "") -> None:
    """See that `condition` is true, and still is when so many seconds are over."""
    end_s = time.monotonic() + for_s
    pause = threading.Event()
    while True:
        over = time.monotonic() > end_s
        if not condition():
            raise AssertionError(f"no longer: {what or wording(condition)}")
        if over:
            return
        pause.wait(LOOK_S)


def given_by(work: Callable[[], T], what: str, *, most_s: float = PATIENCE_S) -> T:
    """What a call gives that nothing can interrupt, as the read of a pipe; raises what it raises.

    If it does not come, its thread is left behind, and goes with the process.
    """
    future: Future[T] = Future()

    def working() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=working, name=what, daemon=True).start()
    return result_of(future, what, most_s=most_s)


def result_of(future: Future[T], what: str = "the answer", *, most_s: float = PATIENCE_S) -> T:
    """What comes of something beside the test; raises what that raised."""
    try:
        return future.result(most_s)
    except TimeoutError:
        if future.done():
            raise
        raise NeverCameError(what, most_s) from None


async def turns(condition: Callable[[], T], what: str = "", *, most_s: float = PATIENCE_S) -> T:
    """Let the other tasks of the loop run, turn by turn, until `condition` is true; what it gave then."""
    end_s = time.monotonic() + most_s
    while not (value := condition()):
        if time.monotonic() > end_s:
            raise NeverCameError(what or wording(condition), most_s)
        await asyncio.sleep(0)
    return value


async def soon(awaitable: Awaitable[T], what: str = "the end of a task", *, most_s: float = PATIENCE_S) -> T:
    """What it gives; raises what it raised."""
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait({task}, timeout=most_s)
    if not done:
        task.cancel()
        raise NeverCameError(what, most_s)
    return task.result()


def played(story: Coroutine[Any, Any, T], most_s: float = PATIENCE_S) -> T:
    """A story told on a loop of its own, to its end."""
    return asyncio.run(soon(story, "the end of the story", most_s=most_s))
