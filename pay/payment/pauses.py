"""How long a payment pauses before it asks for routes again. Every pause ends at the deadline at the latest."""

from __future__ import annotations

NAP_S = 3.0
"""How long whoever is behind a route hint is given to wake up before it is tried again."""

LOCAL_FAILURES_IN_A_ROW = 10
LOCAL_PAUSE_S = 1.0
"""So many refusals of our own channels in a row come at once; a pause keeps them from being a busy loop."""

BUSY_NAP_FIRST_S, BUSY_NAP_MOST_S = 0.25, 4.0
"""Between looks at routes that are taken by what is in flight: a part that is paid is over in a second, one that a
recipient holds may take a minute."""


def busy_nap_s(nap: int) -> float:
    """Of the pause number `nap` in a row, from 0: twice the one before."""
    return min(BUSY_NAP_FIRST_S * 2.0 ** min(nap, 10), BUSY_NAP_MOST_S)
