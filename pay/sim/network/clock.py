"""The time a simulated network runs on: virtual, moved by hand, or real, over an asyncio loop.

Everything that takes time in the world (an HTLC on its way, a set of parts that times out) is a call put off with
`call_later`. On a `VirtualClock` a test runs an hour in a millisecond and always in the same order; on a
`RealClock` the same world serves a process that pays through it. Clocks do not keep threads apart: a
world is used from the one thread that drives its clock.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Protocol

EPOCH_S = 1_700_000_000.0
"""Where virtual time starts, in seconds since 1970: late enough for invoices and gossip to look alive."""


class Timer(Protocol):
    """A call that was put off."""

    def cancel(self) -> None:
        """The call is not made any more; without effect when it was already made."""


class Clock(Protocol):
    """What the world needs of time."""

    def now(self) -> float:
        """Seconds since 1970."""

    def call_later(self, delay_s: float, fn: Callable[[], object]) -> Timer:
        """Call `fn` once, `delay_s` seconds from now; never from within this call."""


class VirtualTimer:
    """A put-off call on a `VirtualClock`."""

    __slots__ = ("fn",)

    def __init__(self, fn: Callable[[], object]):
        self.fn: Callable[[], object] | None = fn

    def cancel(self) -> None:
        self.fn = None


class VirtualClock:
    """Time that passes only when told to; calls due at the same instant are made in the order they were put off.

    Parameters
    ----------
    start_s
        What `now()` says at first, in seconds since 1970.
    """

    __slots__ = ("_calls", "_count", "_now_s")

    def __init__(self, start_s: float = EPOCH_S):
        self._now_s = start_s
        self._count = 0
        self._calls: list[tuple[float, int, VirtualTimer]] = []

    def now(self) -> float:
        return self._now_s

    def call_later(self, delay_s: float, fn: Callable[[], object]) -> VirtualTimer:
        timer = VirtualTimer(fn)
        self._count += 1
        heapq.heappush(self._calls, (self._now_s + max(delay_s, 0.0), self._count, timer))
        return timer

    def next_due_s(self) -> float | None:
        """When the next call is due, None if none is."""
        while self._calls and self._calls[0][2].fn is None:
            heapq.heappop(self._calls)
        return self._calls[0][0] if self._calls else None

    def step(self) -> bool:
        """Go to the next call that is due and make it; False if there is none."""
        while self._calls:
            due_s, _, timer = heapq.heappop(self._calls)
            if timer.fn is None:
                continue
            fn, timer.fn = timer.fn, None
            self._now_s = max(self._now_s, due_s)
            fn()
            return True
        return False

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, making every call that falls due, also those put off meanwhile."""
        until_s = self._now_s + seconds
        while (due_s := self.next_due_s()) is not None and due_s <= until_s:
            self.step()
        self._now_s = max(self._now_s, until_s)

    def run_until_idle(self) -> None:
        """Let time pass until nothing is due any more."""
        while self.step():
            pass

    def run_until(self, done: Callable[[], bool], limit_s: float = 86_400.0) -> bool:
        """Let time pass until `done()`; False if nothing is due any more, or only after `limit_s`, before that."""
        until_s = self._now_s + limit_s
        while not done():
            due_s = self.next_due_s()
            if due_s is None or due_s > until_s:
                return False
            self.step()
        return True


class RealClock:
    """The time of day, over an asyncio loop; to be used on the thread of that loop.

    It may be set ahead or back, as happens to clocks; calls that were put off come when they would have.
    """

    __slots__ = ("_loop", "_offset_s")

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._offset_s = 0.0

    def now(self) -> float:
        return time.time() + self._offset_s

    def step(self, seconds: float) -> None:
        """Set it ahead, or back where `seconds` is below 0."""
        self._offset_s += seconds

    def call_later(self, delay_s: float, fn: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_later(max(delay_s, 0.0), fn)
