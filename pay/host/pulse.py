"""Whether an asyncio loop takes turns, seen from another thread without asking it.

A loop asks its selector once in each turn. So the selector knows when the last turn was, and whether the loop
rests, i.e. would begin the next one at once. Somebody who must not wait long can tell a loop that is stuck in one
of its callbacks from one that only has much to do.
"""

from __future__ import annotations

import selectors
import threading
import time
from typing import Any

FRESH_S = 0.02
"""A turn that long ago counts as now: under load turns take milliseconds."""

WAIT_S = 0.08
"""So long a turn is waited for; who asked has waited for us as well, and is to be answered within 0.1 s."""


class Pulse(selectors.DefaultSelector):
    """The selector of a loop: `asyncio.SelectorEventLoop(pulse)`."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = 0
        self._turned_s = time.monotonic()
        self._rests = False
        self._stuck_since = -1
        self._listener: threading.Event | None = None

    def select(self, timeout: float | None = None) -> Any:
        """As the loop asks it, in each turn."""
        self._turns += 1
        self._turned_s = time.monotonic()
        self._rests = True
        if self._listener is not None:
            self._listener.set()
        try:
            return super().select(timeout)
        finally:
            self._rests = False

    def beats(self) -> bool:
        """Whether the loop takes turns; waits for one where the last is long ago, once in each standstill.

        From one other thread.
        """
        if self._rests or time.monotonic() - self._turned_s < FRESH_S:
            return True
        before = self._turns
        if before == self._stuck_since:
            return False
        self._listener = turned = threading.Event()
        try:
            # It may have turned before it could hear of the listener.
            if self._turns != before or turned.wait(WAIT_S):
                return True
        finally:
            self._listener = None
        self._stuck_since = before
        return False
