"""Virtual time: passes only when told to, in order, and the real one runs on a loop."""

from __future__ import annotations

import asyncio

from pay.sim.network.clock import EPOCH_S, RealClock, VirtualClock
from tests.support.waiting import played, soon


def test_calls_are_made_in_time_and_at_equal_times_in_order():
    clock, made = VirtualClock(), []
    clock.call_later(2.0, lambda: made.append("late"))
    clock.call_later(1.0, lambda: made.append("first"))
    clock.call_later(1.0, lambda: made.append("second"))
    clock.advance(1.0)
    assert made == ["first", "second"]
    assert clock.now() == EPOCH_S + 1.0
    clock.run_until_idle()
    assert made == ["first", "second", "late"]
    assert clock.now() == EPOCH_S + 2.0


def test_a_call_can_put_off_another_and_advance_makes_it_if_it_falls_due():
    clock, made = VirtualClock(), []
    clock.call_later(1.0, lambda: clock.call_later(1.0, lambda: made.append(clock.now())))
    clock.advance(5.0)
    assert made == [EPOCH_S + 2.0]
    assert clock.now() == EPOCH_S + 5.0


def test_a_cancelled_call_is_not_made_and_does_not_count_as_due():
    clock, made = VirtualClock(), []
    timer = clock.call_later(60.0, lambda: made.append(1))
    timer.cancel()
    clock.run_until_idle()
    assert made == [] and clock.now() == EPOCH_S


def test_run_until_stops_at_the_condition_or_at_the_limit():
    clock, made = VirtualClock(), []
    for second in range(1, 4):
        clock.call_later(second, lambda s=second: made.append(s))
    assert clock.run_until(lambda: 2 in made)
    assert made == [1, 2]
    assert not clock.run_until(lambda: False, limit_s=0.5)
    assert made == [1, 2]


def test_the_real_clock_calls_from_the_loop():
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        clock, made, called = RealClock(loop), [], asyncio.Event()
        clock.call_later(0.0, lambda: made.append("never")).cancel()
        clock.call_later(0.0, lambda: (made.append("called"), called.set()))
        await soon(called.wait())
        return made

    assert played(main()) == ["called"]
