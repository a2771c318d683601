"""Whether an asyncio loop gets on, seen from another thread without asking it.

A loop asks its selector once in each turn, and whatever it does in a turn schedules what comes next. So it can be
seen when it last did anything, and whether it rests, i.e. would begin at once. Somebody who must not wait long can
tell a loop that is stuck in one of its callbacks from one that only has much to do.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple, Unpack

_Ts = TypeVarTuple("_Ts")

FRESH_S = 0.02
"""A step that long ago counts as now: under load they take milliseconds."""

WAIT_S = 0.08
"""So long one is waited for; who asked has waited for us as well, and is to be answered within 0.1 s."""


class Pulse:
    """Of one loop; told by the loop, asked from one other thread."""

    def __init__(self) -> None:
        self.rests = False
        self._steps = 0
        self._stepped_s = time.monotonic()
        self._stuck_since = -1
        self._listener: threading.Event | None = None

    def step(self) -> None:
        """The loop has done something."""
        self._steps += 1
        self._stepped_s = time.monotonic()
        if self._listener is not None:
            self._listener.set()

    def beats(self) -> bool:
        """Whether the loop gets on; waits for a step where the last is long ago, once in each standstill."""
        if self.rests or time.monotonic() - self._stepped_s < FRESH_S:
            return True
        before = self._steps
        if before == self._stuck_since:
            return False
        self._listener = stepped = threading.Event()
        # It may have gone on before it could hear of the listener.
        if self._steps == before:
            stepped.wait(WAIT_S)
        self._listener = None
        if self._steps != before:
            return True
        self._stuck_since = before
        return False


class _Selector(selectors.DefaultSelector):
    def __init__(self, pulse: Pulse) -> None:
        super().__init__()
        self._pulse = pulse

    def select(self, timeout: float | None = None) -> Any:
        self._pulse.step()
        self._pulse.rests = True
        try:
            return super().select(timeout)
        finally:
            self._pulse.rests = False


class PulsingLoop(asyncio.SelectorEventLoop):
    """A loop with a pulse."""

    def __init__(self) -> None:
        self.pulse = Pulse()
        super().__init__(_Selector(self.pulse))

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Also a step: a turn with hundreds of callbacks takes long, and is no standstill."""
        self.pulse.step()
        return super().call_soon(callback, *args, context=context)
