"""Whether a loop takes turns, asked from beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pay.host.pulse import FRESH_S, WAIT_S, Pulse, PulsingLoop
from tests.support.waiting import PATIENCE_S, until


class Loop:
    """A loop on a thread of its own, that can be made to stand still."""

    def __init__(self) -> None:
        self.loop = PulsingLoop()
        self.pulse = self.loop.pulse
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        until(self.pulse.beats)

    def block(self) -> threading.Event:
        """Let it stand still until the event is set."""
        go_on, stands = threading.Event(), threading.Event()

        def stand() -> None:
            stands.set()
            go_on.wait(PATIENCE_S)

        self.loop.call_soon_threadsafe(stand)
        stands.wait(PATIENCE_S)
        return go_on

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def asked(pulse: Pulse) -> tuple[bool, float]:
    """What it says, and how long that took."""
    began = time.monotonic()
    return pulse.beats(), time.monotonic() - began


def test_a_loop_that_rests_beats(loop: Loop) -> None:
    """However long ago its last turn was."""
    threading.Event().wait(2 * FRESH_S)
    assert loop.pulse.beats()


def test_a_loop_that_is_stuck_is_waited_for_once(loop: Loop) -> None:
    """Whoever comes later in the same standstill is told at once; afterwards it beats again."""
    for _ in range(2):
        go_on = loop.block()
        threading.Event().wait(FRESH_S)
        beats, first_s = asked(loop.pulse)
        assert not beats and first_s >= WAIT_S
        later = [asked(loop.pulse) for _ in range(20)]
        assert not any(beats for beats, _ in later)
        assert min(took_s for _, took_s in later) < WAIT_S / 4
        go_on.set()
        until(loop.pulse.beats)


def test_a_turn_of_many_callbacks_is_no_standstill(loop: Loop) -> None:
    """Each is long after the last turn, and soon after the one before."""
    enough = threading.Event()

    def begin() -> None:
        for _ in range(40):
            loop.loop.call_soon(busy)

    def busy() -> None:
        if not enough.is_set():
            threading.Event().wait(FRESH_S)
            loop.loop.call_soon(int)

    loop.loop.call_soon_threadsafe(begin)
    threading.Event().wait(5 * FRESH_S)
    assert all(loop.pulse.beats() for _ in range(5))
    enough.set()


def test_a_turn_that_comes_while_it_is_waited_for_counts(loop: Loop) -> None:
    go_on = loop.block()
    threading.Event().wait(FRESH_S)
    threading.Timer(WAIT_S / 8, go_on.set).start()
    assert loop.pulse.beats()
