"""When and at which height a part was sent: what the edge knows of it beside the session."""

from __future__ import annotations

from dataclasses import dataclass

from pay.payment.attempt import Attempt


@dataclass(frozen=True, slots=True)
class PartTimes:
    """Of one part.

    Parameters
    ----------
    ended_s
        Unix time; None while it is out.
    sent_height
        Block at which it was sent; 0 where unknown.
    outcome_lost
        The host deleted what it knew of it before that was heard of.
    """

    started_s: float
    ended_s: float | None
    sent_height: int
    outcome_lost: bool = False


def latest_block(attempt: Attempt, times: PartTimes | None) -> int | None:
    """By which a part that was sent at a known height has ended."""
    if attempt.route is None or times is None or not times.sent_height:
        return None
    return times.sent_height + attempt.route.delay_blocks + 1
