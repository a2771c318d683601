"""Tells the beliefs what became of each part; a payment never waits for it and never hears of it.

What parts that were out together may have done to each other must be known when one of them ends: those that are
out are the live attempts of all payments, and those that ended lately are kept here until no part is left that was
out with them. Of parts that were taken up after a restart nobody knows the route: what they hold is not counted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

from pay.feedback.observations import Ended
from pay.liquidity.in_flight import Fate, InFlight, Part
from pay.node.planning import Planning
from pay.node.running import Running
from pay.payment.attempt import Attempt
from pay.payment.states import AttemptStatus

log = logging.getLogger("pay.liquidity")

_MOST_ENDED = 1_000
"""Ended parts kept at most; a part that hangs for days would keep them all, and one in a thousand hardly
matters."""


def in_flight(payments: Iterable[Running]) -> InFlight:
    """What is out, of all payments."""
    return InFlight(
        tuple(part for running in payments if running.session.attempts for part in _live_parts(running))
    )


class Learning:
    """Watches the ends of parts.

    Parameters
    ----------
    payments
        Those in work; the driver's own table.
    """

    def __init__(self, planning: Planning, payments: Mapping[bytes, Running]):
        self._planning = planning
        self._payments = payments
        self._ended: list[Part] = []
        self._said = False

    def part_ended(self, attempt: Attempt, now_s: float) -> None:
        """`attempt` is over as of now by its payment's clock, and no longer among the live ones."""
        try:
            self._tell(attempt, now_s)
        except Exception:
            if not self._said:
                self._said = True
                log.exception("learning_failed: payments go on without what would have been known")

    def _tell(self, attempt: Attempt, now_s: float) -> None:
        live = in_flight(self._payments.values()).parts
        part = part_of(attempt, now_s)
        if attempt.route is not None:
            others = InFlight((*live, *self._ended)).since(attempt.started_s)
            settled = attempt.status is AttemptStatus.SETTLED
            if settled or attempt.blame is not None:
                blame = None if settled else attempt.blame
                self._planning.learn(Ended(attempt.route, blame, now_s - attempt.started_s, others))
        began_s = min((part.began_s for part in live), default=now_s)
        ended = [*self._ended, *(() if part is None else (part,))]
        self._ended = list(InFlight(tuple(ended)).since(began_s).parts)[-_MOST_ENDED:] if live else []


def part_of(attempt: Attempt, ended_s: float | None) -> Part | None:
    """An attempt as others must take it into account; None where its route is not known, or it is our own
    channel."""
    if attempt.route is None:
        return None
    fate = Fate.OUT
    if not attempt.live:
        fate = Fate.SETTLED if attempt.status is AttemptStatus.SETTLED else Fate.FAILED
    holds = tuple((hop.scid_dir, hop.amount_msat) for hop in attempt.route.hops[1:])
    return Part(holds, fate, attempt.started_s, ended_s)


def _live_parts(running: Running) -> Iterator[Part]:
    """What is out of one payment; a part is read once, since its route stays what it is."""
    for attempt in running.session.live:
        part = running.parts_out.get(attempt.partid)
        if part is None:
            part = part_of(attempt, None)
            if part is None:
                continue
            running.parts_out[attempt.partid] = part
        yield part
