"""A part over us ─1─ a ─2─ b ─3─ c ─4─ d, how it failed, and what the payment may still try."""

from __future__ import annotations

from pay.feedback.blame import Kind
from pay.feedback.failure import BADONION, NODE, PERM, UPDATE, Failure
from pay.feedback.restrictions import (
    Circumstances,
    restrict,
)
from pay.network.policy import Policy
from pay.routing.query import Refusals, Restrictions, Route
from pay.units import ScidDir
from tests.support.payments import blamed, line, node, scid

ROUTE = line(100_000, "abcd")
CHANNEL = [ScidDir(scid(i + 1), i % 2) for i in range(4)]
WHOLE = Circumstances(total_msat=100_000)
NOTHING = Restrictions()


def after(failure: Failure, route: Route = ROUTE, known: Restrictions = NOTHING) -> Restrictions:
    """What the payment may still try."""
    return restrict(known, route, blamed(route, failure), WHOLE)


def without(*channels: ScidDir, refusals: dict[str, int] | None = None, **more: object) -> Restrictions:
    counted = {node(name): Refusals(times, 1) for name, times in (refusals or {}).items()}
    return Restrictions(excluded_channels=frozenset(channels), refusals=counted, **more)  # type: ignore[arg-type]


def asleep(*channels: ScidDir, **more: object) -> Restrictions:
    """Left alone for a moment."""
    return without(asleep=frozenset(channels), **more)  # type: ignore[arg-type]


def raw(index: int | None, code: int) -> Failure:
    return Failure(index, code, "", code.to_bytes(2, "big"))


NOT_OWN = asleep(CHANNEL[0])

# code: (a node on the way says it, the recipient says it)
TABLE = {
    NODE | 2: (Kind.NODE_TROUBLE, Kind.NODE_TROUBLE),
    PERM | NODE | 2: (Kind.NODE_TROUBLE, Kind.REFUSED),
    PERM | NODE | 3: (Kind.NODE_TROUBLE, Kind.REFUSED),
    BADONION | PERM | 4: (Kind.ONION_TROUBLE, Kind.REFUSED),
    BADONION | PERM | 5: (Kind.ONION_TROUBLE, Kind.REFUSED),
    BADONION | PERM | 6: (Kind.ONION_TROUBLE, Kind.REFUSED),
    UPDATE | 7: (Kind.LACKS_BALANCE, Kind.REFUSED),
    PERM | 8: (Kind.UNUSABLE, Kind.REFUSED),
    PERM | 9: (Kind.UNUSABLE, Kind.REFUSED),
    PERM | 10: (Kind.AWAY, Kind.REFUSED),
    UPDATE | 11: (Kind.POLICY, Kind.REFUSED),
    UPDATE | 12: (Kind.POLICY, Kind.REFUSED),
    UPDATE | 13: (Kind.POLICY, Kind.REFUSED),
    UPDATE | 14: (Kind.UNUSABLE, Kind.REFUSED),
    # Only the recipient may say that it does not know the payment: a node on the way that does is avoided.
    PERM | 15: (Kind.NONSENSE, Kind.REFUSED),
    PERM | 16: (Kind.NONSENSE, Kind.REFUSED),  # deprecated: incorrect_payment_amount
    17: (Kind.NONSENSE, Kind.REFUSED),  # deprecated: final_expiry_too_soon
    18: (Kind.NONSENSE, Kind.ALTERED),
    19: (Kind.NONSENSE, Kind.ALTERED),
    UPDATE | 20: (Kind.AWAY, Kind.REFUSED),
    21: (Kind.UNUSABLE, Kind.REFUSED),
    PERM | 22: (Kind.UNUSABLE, Kind.REFUSED),
    23: (Kind.NONSENSE, Kind.PARTS_MISSING),
    BADONION | PERM | 24: (Kind.ONION_TROUBLE, Kind.REFUSED),
    0: (Kind.UNUSABLE, Kind.REFUSED),  # no failure code at all
    0x0FFF: (Kind.UNUSABLE, Kind.REFUSED),  # of a future BOLT
    0xFFFF: (Kind.ONION_TROUBLE, Kind.REFUSED),
}

ASKED = Policy(1_000, 0, 40, 1, 10_000_000, timestamp=1)
"""What b asks of channel 3 as the route has it: it is given 1,000 msat and 40 blocks."""
