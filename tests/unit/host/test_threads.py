"""What goes from one thread to another: in order, with one waking, and none kept waiting by one that fails."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable

import pytest

from pay.host.threads import Aside, Mailbox
from tests.support.waiting import PATIENCE_S, played, soon


class _Loop(asyncio.SelectorEventLoop):
    """Counts how often it is woken."""

    woken = 0

    def call_soon_threadsafe(self, *args: object, **kwargs: object) -> asyncio.Handle:  # type: ignore[override]
        self.woken += 1
        return super().call_soon_threadsafe(*args, **kwargs)  # type: ignore[arg-type]


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(asyncio.sleep(0))


def test_many_calls_wake_the_loop_once_and_are_done_in_order() -> None:
    """A hundred from another thread while the loop is busy; the one after its look wakes it again."""
    loop, done = _Loop(), list[int]()
    mailbox = Mailbox(loop)

    def put(numbers: range) -> None:
        for number in numbers:
            mailbox.put(lambda number=number: done.append(number))  # type: ignore[misc]

    thread = threading.Thread(target=put, args=(range(100),))
    thread.start()
    thread.join(PATIENCE_S)
    assert (loop.woken, done) == (1, [])
    _turn(loop)
    assert done == list(range(100))
    put(range(100, 101))
    _turn(loop)
    assert (loop.woken, done) == (2, list(range(101)))
    loop.close()


def test_what_a_call_puts_in_is_done_as_well(caplog: pytest.LogCaptureFixture) -> None:
    """And one that fails is said, and keeps nobody from his turn."""
    loop, done = _Loop(), list[str]()
    mailbox = Mailbox(loop)
    mailbox.put(lambda: mailbox.put(lambda: done.append("from within")))
    mailbox.put(lambda: 1 // 0)
    mailbox.put(lambda: done.append("after the failure"))
    _turn(loop)
    _turn(loop)
    assert done == ["after the failure", "from within"]
    assert "handler_failed" in caplog.text
    loop.close()


def test_aside_does_things_in_order_and_answers_those_who_ask(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        aside, seen = Aside("beside"), list[str]()
        aside.tell(lambda: seen.append(threading.current_thread().name))
        aside.tell(lambda: seen[5])
        assert await aside.ask(lambda: (*seen, "asked")) == ("beside", "asked")
        with pytest.raises(ZeroDivisionError):
            await aside.ask(lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            # Which no future takes.
            await soon(aside.ask(lambda: next(iter(()))))
        assert await aside.ask(lambda: 7) == 7

    played(scene())
    assert "IndexError" in caplog.text  # of what was told, nobody else hears


def test_what_nobody_waits_for_any_more_is_not_done() -> None:
    async def scene() -> None:
        aside, may_go_on, done = Aside("beside"), threading.Event(), list[str]()
        aside.tell(may_go_on.wait)
        asked = asyncio.ensure_future(aside.ask(lambda: done.append("asked in vain")))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        may_go_on.set()
        await aside.ask(lambda: done.append("asked after it"))
        assert done == ["asked after it"]

    played(scene())


def test_the_thread_ends_with_its_last_user() -> None:
    ended: Callable[[], bool] = lambda: not any(t.name == "forgotten" for t in threading.enumerate())  # noqa: E731
    aside = Aside("forgotten")
    thread = next(t for t in threading.enumerate() if t.name == "forgotten")
    assert not ended()
    del aside
    gc.collect()
    thread.join(PATIENCE_S)
    assert ended()
