"""Who is planned around after refusals, and when it is not."""

from __future__ import annotations

import pytest

from pay.liquidity.knowledge import Knowledge, NodeCost
from pay.routing.halving import KNOWN_REFUSALS, suspects, tiers
from pay.routing.query import SUSPECT_AFTER, Refusals, Restrictions
from tests.support.payments import node


def suspected(refusals: dict[str, tuple[int, int]], believed: dict[str, float] | None = None) -> str:
    """By name, the worst first; `refusals` are times and parts of this payment, as they came."""
    costs = {node(name): NodeCost(0.1, 0.0, count) for name, count in (believed or {}).items()}
    known = Knowledge.about({}, costs)
    here = Restrictions(refusals={node(name): Refusals(*counts) for name, counts in refusals.items()})
    return "".join(chr(found[1]) for found in suspects(here, known))


def test_three_times_and_the_worst_is_the_first() -> None:
    enough = SUSPECT_AFTER
    assert suspected({"a": (enough - 1, 30), "b": (enough, enough), "c": (enough + 2, 9)}) == "cb"


def test_of_equals_the_one_that_began_last() -> None:
    """What is near to us is on many ways and needed the most, and refused first."""
    assert suspected(dict.fromkeys("abc", (3, 3))) == "cba"


@pytest.mark.parametrize(
    ("here", "believed", "doubted"),
    [
        ((1, 1), 1.0, False),  # it is this one that is believed
        ((1, 1), 2.0, True),
        ((1, 1), 1.0 + KNOWN_REFUSALS, True),
        ((1, 1), 1.0 + KNOWN_REFUSALS - 0.01, False),  # long ago, or something was forwarded since
        ((1, 8), 8.0, False),  # eight parts at once
        ((1, 8), 9.0, True),
        ((2, 2), 2.5, False),
    ],
)
def test_who_refused_others_lately_is_asked_once(here: tuple[int, int], believed: float, doubted: bool) -> None:
    assert suspected({"a": here}, {"a": believed}) == ("a" if doubted else "")


def test_nobody_is_doubted_for_what_others_were_refused() -> None:
    """A belief has its price. Only who refuses this payment as well is planned around."""
    assert suspected({}, {"a": 10.0}) == ""


def test_fewer_and_fewer_are_left_out() -> None:
    names = [node(name) for name in "edcba"]
    assert [len(left_out) for left_out in tiers(names)] == [5, 2, 1]
    assert list(tiers(names))[1] == names[:2] and list(tiers([])) == []
