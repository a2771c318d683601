"""Tells the beliefs what became of each part; a payment never waits for it and never hears of it.

What parts that were out together may have done to each other must be known when one of them ends: those that are
out are the live attempts of all payments, and those that ended lately are kept here until no part is left that was
out with them. Of parts that were taken up after a restart nobody knows the route: what they hold is not counted.
"""

from __future__ import annotations

from collections import deque
from operator import attrgetter

from pay.engine.live.out import Out, part_of
from pay.feedback.observations import Ended
from pay.liquidity.in_flight import InFlight, Part
from pay.log_events import EventLog, LogEvent
from pay.payment.attempt import Attempt
from pay.payment.states import AttemptStatus
from pay.router.planning import Planning

log = EventLog("pay.liquidity")

_MOST_ENDED = 1_000
"""Ended parts kept at most; a part that hangs for days would keep them all, and one in a thousand hardly
matters."""


class Learning:
    """Watches the ends of parts.

    Parameters
    ----------
    out
        What is out, of all payments.
    """

    def __init__(self, planning: Planning, out: Out):
        self._planning = planning
        self._out = out
        self._ended: deque[Part] = deque(maxlen=_MOST_ENDED)
        self._said = False

    def part_ended(self, attempt: Attempt, now_s: float) -> None:
        """`attempt` is over as of now by its payment's clock, and no longer among the live ones."""
        try:
            self._tell(attempt, now_s)
        except Exception:
            if not self._said:
                self._said = True
                log.broken(LogEvent.LEARNING_FAILED, ": payments go on without what would have been known")

    def _tell(self, attempt: Attempt, now_s: float) -> None:
        live, part = self._out.parts, part_of(attempt, now_s)
        if attempt.route is not None:
            settled = attempt.status is AttemptStatus.SETTLED
            if settled or attempt.blame is not None:
                blame = None if settled else attempt.blame
                since = [part for part in self._ended if _ended_s(part) >= attempt.started_s]
                others = InFlight((*live, *since))
                seconds = now_s - attempt.started_s
                self._planning.learn(Ended(attempt.route, blame, seconds, others, attempt.late))
        if not live:
            self._ended.clear()
            return
        if part is not None:
            self._ended.append(part)
        began_s = min(map(_BEGAN, live))
        while self._ended and _ended_s(self._ended[0]) < began_s:
            self._ended.popleft()


_BEGAN = attrgetter("began_s")


def _ended_s(part: Part) -> float:
    assert part.ended_s is not None
    return part.ended_s
