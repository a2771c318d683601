"""How often, how long and with which end channels of the recipient are tried that gossip shows as disabled."""

from __future__ import annotations

from dataclasses import replace

from pay.payment.late import LateGossip
from pay.routing.query import NoRoute, NoRouteReason
from tests.support.payments import NOW, line

AWAY = NoRoute(NoRouteReason.RECIPIENT_DISABLED, "away")
ONE = line(1_000, "ad")


def none(parts: int = 1) -> NoRoute:
    return replace(AWAY, late=(ONE,) * parts)


def test_three_parts_one_by_one() -> None:
    late = LateGossip()
    assert [late.left(NOW), late.parts] == [3, 0]
    for sent in (1, 2, 3):
        assert late.take(none(), NOW + sent / 10) == (ONE,)
        assert [late.left(NOW + sent / 10), late.parts] == [3 - sent, sent]
    assert late.take(none(), NOW + 0.4) == ()


def test_two_seconds_from_the_first_one() -> None:
    """However late that one was."""
    late = LateGossip()
    assert late.take(none(), NOW + 50) == (ONE,)
    assert late.take(none(), NOW + 51.999) == (ONE,)
    assert late.left(NOW + 52) == 0
    assert late.take(none(), NOW + 52) == ()


def test_a_plan_of_more_parts_than_are_left() -> None:
    late = LateGossip()
    assert late.take(none(4), NOW) == ()
    assert late.take(none(2), NOW) == (ONE, ONE)
    assert late.take(none(2), NOW) == ()


def test_the_answer_is_the_one_before_the_first() -> None:
    late = LateGossip()
    assert late.take(AWAY, NOW) == ()
    assert late.why is None
    first = none()
    late.take(first, NOW)
    late.take(replace(none(), message="by then something else"), NOW)
    assert late.why is first
