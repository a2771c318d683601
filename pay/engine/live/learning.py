"""Tells the beliefs what became of each part; a payment never waits for it and never hears of it.

What parts that were out together may have done to each other must be known when one of them ends: those that are
out are the live attempts of all payments, and those that ended lately are kept here until no part is left that was
out with them. So are parts of other plugins of the node, as far as they tell. Of parts that were taken up after a
restart nobody knows the route: what they hold is not counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from pay.engine.live.others import Others, Over
from pay.engine.live.out import Out, part_of
from pay.feedback.observations import Ended
from pay.liquidity.in_flight import Fate, InFlight, Part
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
    others
        What other plugins have told of theirs.
    """

    def __init__(self, planning: Planning, out: Out, others: Others | None = None):
        self._planning = planning
        self._out = out
        self._others = Others() if others is None else others
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

    def hear(self, topic: str, by: str, fields: Mapping[str, Any], now_s: float) -> None:
        """Another plugin tells of a part of its own; what cannot be read costs nothing but what it would teach."""
        try:
            if topic == "pay_part_start":
                self._others.started(by, fields, now_s)
            elif (over := self._others.ended(by, fields, now_s)) is not None:
                sent = over.sent
                log.debug(
                    LogEvent.OTHERS_PART_ENDED,
                    "%s partid=%d by=%s settled=%s taught=%s",
                    sent.group,
                    sent.key[2],
                    by,
                    over.settled,
                    over.told,
                )
                self._others_part_ended(over, now_s)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.debug(LogEvent.OTHERS_PART_UNREADABLE, "by=%s topic=%s error=%r", by, topic, error)

    def _others_part_ended(self, over: Over, now_s: float) -> None:
        live, sent = self._live(now_s), over.sent
        if over.told:
            others = self._out_with(live, sent.began_s)
            self._planning.learn(Ended(sent.route, over.blame, over.seconds, others))
        self._keep(live, sent.part(Fate.SETTLED if over.settled else Fate.FAILED, now_s))

    def _live(self, now_s: float) -> Sequence[Part]:
        return (*self._out.parts, *self._others.out(now_s))

    def _out_with(self, live: Sequence[Part], began_s: float) -> InFlight:
        return InFlight((*live, *(part for part in self._ended if _ended_s(part) >= began_s)))

    def _tell(self, attempt: Attempt, now_s: float) -> None:
        live = self._live(now_s)
        if attempt.route is not None:
            settled = attempt.status is AttemptStatus.SETTLED
            if settled or attempt.blame is not None:
                blame = None if settled else attempt.blame
                others = self._out_with(live, attempt.started_s)
                seconds = now_s - attempt.started_s
                self._planning.learn(Ended(attempt.route, blame, seconds, others, attempt.late))
        self._keep(live, part_of(attempt, now_s))

    def _keep(self, live: Sequence[Part], part: Part | None) -> None:
        """What has ended, as long as anything is out that was out with it."""
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
