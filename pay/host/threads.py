"""Work that goes from one thread to another: many pieces with one waking.

To wake a thread costs as much as most of what it is woken for, on either side. So who hands something over wakes
the other one only if nobody has since that one last looked; and of work whose result nobody waits for none comes
back.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from pay.log_events import EventLog, LogEvent

log = EventLog("pay")

T = TypeVar("T")


class Mailbox:
    """Calls for a loop, from any thread, done in their order."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._calls: deque[Callable[[], object]] = deque()
        self._woken = False

    def put(self, call: Callable[[], object]) -> None:
        self._calls.append(call)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._empty)

    def _empty(self) -> None:
        # Before the look: what is put in from now on wakes the loop again.
        self._woken = False
        for _ in range(len(self._calls)):
            call = self._calls.popleft()
            try:
                call()
            except Exception:
                log.broken(LogEvent.HANDLER_FAILED)


class Aside:
    """One thread beside a loop that does what it is given, in its order; it ends when nobody has this any more."""

    def __init__(self, name: str):
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._results: Mailbox | None = None
        threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True).start()
        weakref.finalize(self, self._jobs.put, None)

    def tell(self, work: Callable[[], object]) -> None:
        """Have it done; nobody hears of it but the log, if it fails."""
        self._jobs.put(partial(_told, work))

    async def ask(self, work: Callable[[], T]) -> T:
        """Its result. Raises what it raises."""
        loop = asyncio.get_running_loop()
        if self._results is None:
            self._results = Mailbox(loop)
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(partial(_asked, work, future, self._results))
        return await future


def _work(jobs: SimpleQueue[Callable[[], object] | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        # Else the last one, and all that it has, stays until the next.
        del job


def _told(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        log.broken(LogEvent.TASK_FAILED)


def _asked(work: Callable[[], Any], future: asyncio.Future[Any], results: Mailbox) -> None:
    if future.cancelled():
        return
    try:
        settle = partial(future.set_result, work())
    except StopIteration as error:
        # The one exception that no future takes: whoever asks would wait for ever.
        settle = partial(future.set_exception, RuntimeError(f"work of another thread raised {error!r}"))
    except BaseException as error:
        settle = partial(future.set_exception, error)
    results.put(lambda: future.done() or settle())
