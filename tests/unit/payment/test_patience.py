"""The table of patience: each of its rows, and that every combination of signs has one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pytest

from pay.payment.patience import (
    PAUSES,
    PEERS_S,
    TABLE,
    WORDS,
    AwaitParts,
    Decision,
    End,
    GiveUp,
    Outlook,
    Pause,
    PauseForPeers,
    PlanAnew,
    Sign,
    TryLate,
    Wait,
    after_failure,
    decide,
    is_limited,
    waiting,
)
from tests.support.payments import node

NO_ROUTE = GiveUp(End.NO_ROUTE)
REFUSED = (Sign.REFUSED,)
USED_UP = tuple((wait, pauses.times) for wait, pauses in PAUSES.items() if pauses.times is not None)


def with_signs(*signs: Sign, left_s: float = 60.0, naps: tuple[tuple[Wait, int], ...] = ()) -> Decision:
    return decide(Outlook(frozenset(signs), left_s, naps))


@pytest.mark.parametrize(
    ("signs", "then"),
    [
        ((), NO_ROUTE),
        ((Sign.STARTING,), Pause(3.0, Wait.START)),
        ((Sign.BUSY,), Pause(0.25, Wait.BUSY)),
        ((Sign.CROWDED,), NO_ROUTE),
        ((Sign.CROWDED, Sign.PARTS_OUT), AwaitParts()),
        ((Sign.CROWDED, Sign.PARTS_OUT, Sign.BUSY), Pause(0.25, Wait.BUSY)),
        ((Sign.PARTS_OUT,), NO_ROUTE),
        ((Sign.LATE,), TryLate()),
        ((Sign.LATE, Sign.RESTING), TryLate()),
        ((Sign.RESTING,), Pause(0.5, Wait.TROUBLE)),
        (REFUSED, Pause(0.5, Wait.NEIGHBOURS)),
        ((*REFUSED, Sign.MANY), NO_ROUTE),
        ((*REFUSED, Sign.MONEY), NO_ROUTE),
        ((*REFUSED, Sign.RESTING, Sign.MONEY), Pause(0.5, Wait.TROUBLE)),
        ((*REFUSED, Sign.LATE), TryLate()),
        ((*REFUSED, Sign.PHONE), Pause(1.0, Wait.PHONE)),
        ((*REFUSED, Sign.PHONE, Sign.MANY), Pause(1.0, Wait.PHONE)),
        ((*REFUSED, Sign.PHONE, Sign.MONEY), Pause(1.0, Wait.PHONE_OR_MONEY)),
        ((*REFUSED, Sign.PARTS_OUT, Sign.MONEY), Pause(2.0, Wait.AT_THE_DOOR)),
        ((Sign.PHONE,), NO_ROUTE),
    ],
)
def test_the_rows(signs: tuple[Sign, ...], then: Decision) -> None:
    assert with_signs(*signs) == then


@pytest.mark.parametrize(
    ("signs", "wait", "seconds"),
    [
        ((Sign.STARTING,), Wait.START, [3] * 8),
        ((Sign.BUSY,), Wait.BUSY, [0.25, 0.5, 1, 2, 4, 4, 4, 4]),
        ((Sign.RESTING,), Wait.TROUBLE, [0.5, 1, 2, 4, 8, 16, 16, 16]),
        ((*REFUSED, Sign.PHONE), Wait.PHONE, [1, 2, 4, 8, 16, 16, 16, 16]),
        ((*REFUSED, Sign.PHONE, Sign.MONEY), Wait.PHONE_OR_MONEY, [1, 2, 4]),
        (REFUSED, Wait.NEIGHBOURS, [0.5, 1, 2]),
        ((*REFUSED, Sign.PARTS_OUT), Wait.AT_THE_DOOR, [2]),
    ],
)
def test_pauses_grow_and_some_are_few(signs: tuple[Sign, ...], wait: Wait, seconds: list[float]) -> None:
    """After the last one of a kind the next row that fits is taken."""
    for made, expected in enumerate(seconds):
        assert with_signs(*signs, naps=((wait, made),)) == Pause(expected, wait)
    if len(seconds) < 8:
        then = with_signs(*signs, naps=((wait, len(seconds)),))
        # The next row for a recipient that refuses while parts are out is that of one or two neighbours.
        assert then == (Pause(0.5, Wait.NEIGHBOURS) if wait is Wait.AT_THE_DOOR else NO_ROUTE)


def test_balances_of_others_are_not_waited_for() -> None:
    """Want of money on every public way, in whatever other circumstances of the recipient: the end, at once."""
    for others in ((), (Sign.MANY,), (Sign.CROWDED,), (Sign.CROWDED, Sign.MANY)):
        assert with_signs(*REFUSED, Sign.MONEY, *others) == NO_ROUTE


def test_time_is_up() -> None:
    """What would be waited for is said; what needs no time is as it was."""
    assert with_signs(Sign.BUSY, left_s=0.0) == GiveUp(End.TIME, Wait.BUSY)
    assert with_signs(Sign.RESTING, left_s=-1.0) == GiveUp(End.TIME, Wait.TROUBLE)
    assert with_signs(left_s=0.0) == NO_ROUTE
    assert with_signs(Sign.RESTING, left_s=0.3) == Pause(0.3, Wait.TROUBLE)


def test_peers_that_are_away() -> None:
    """Where it would be the end, they are asked and waited for; a pause is not made longer by them."""
    p, q = node("p"), node("q")

    def missing(*signs: Sign, left_s: float = 60.0, asks: bool = True, wait_s: float = PEERS_S) -> Decision:
        return decide(Outlook(frozenset(signs), left_s, (), (p, q) if asks else (), wait_s))

    assert missing() == PauseForPeers((p, q), 10.0, Wait.PEERS)
    assert missing(left_s=4.0) == PauseForPeers((p, q), 4.0, Wait.PEERS)
    assert missing(asks=False, wait_s=7.0) == PauseForPeers((), 7.0, Wait.PEERS), "asked before"
    assert missing(wait_s=0.0) == missing(left_s=0.0) == NO_ROUTE
    assert missing(Sign.BUSY) == PauseForPeers((p, q), 0.25, Wait.BUSY)
    assert missing(Sign.BUSY, asks=False) == Pause(0.25, Wait.BUSY)
    assert missing(*REFUSED, Sign.MONEY) == PauseForPeers((p, q), 10.0, Wait.PEERS)
    assert missing(Sign.LATE) == TryLate()


def every_outlook() -> Iterator[Outlook]:
    for count in range(len(Sign) + 1):
        for signs in combinations(Sign, count):
            for naps in ((), USED_UP):
                for left_s in (60.0, 0.1, 0.0):
                    for peers_s in (0.0, PEERS_S):
                        yield Outlook(frozenset(signs), left_s, naps, (node("p"),) if peers_s else (), peers_s)


def test_every_combination_is_decided() -> None:
    """No wait beyond the deadline, none without an end, no end where something of our own comes back."""
    seen = set()
    for of in every_outlook():
        then = decide(of)
        seen.add(type(then))
        match then:
            case Pause(seconds) | PauseForPeers(_, seconds):
                assert 0 < seconds <= of.left_s
                assert seconds <= 16
            case AwaitParts():
                assert Sign.PARTS_OUT in of.signs
            case TryLate():
                assert Sign.LATE in of.signs
            case GiveUp(End.NO_ROUTE):
                assert not of.signs & {Sign.STARTING, Sign.BUSY, Sign.RESTING}
                assert not of.peers_s or not of.left_s
            case GiveUp(End.TIME, what_for):
                assert of.left_s == 0 and what_for is not None
    assert seen == {Pause, PauseForPeers, AwaitParts, TryLate, GiveUp}


def test_every_row_is_somebodys() -> None:
    """None is behind others that together take all of its own."""

    def first(signs: frozenset[Sign]) -> int:
        return next(at for at, (needs, lacks, _) in enumerate(TABLE) if needs <= signs and not lacks & signs)

    assert {first(of.signs) for of in every_outlook()} == set(range(len(TABLE)))


def test_a_part_has_failed() -> None:
    """Ten refusals of our own channels in a row make a pause, longer each time; all else is planned anew."""
    assert after_failure(0, 0, crowded=False) == after_failure(9, 0, crowded=False) == PlanAnew()
    assert after_failure(0, 0, crowded=True) == PlanAnew(fewer=True)
    assert [after_failure(10, naps, crowded=False) for naps in range(5)] == [
        Pause(seconds, Wait.OWN_CHANNELS) for seconds in (1.0, 2.0, 4.0, 8.0, 8.0)
    ]


@pytest.mark.parametrize("wait", Wait)
def test_words(wait: Wait) -> None:
    """Each wait has some, and only one that goes on until then says so."""
    told = waiting(Pause(0.5, wait))
    assert WORDS[wait] in told and "in 0.5 s" in told
    assert ("retry_for" in told) is not is_limited(wait)
    assert is_limited(wait) is (wait is Wait.PEERS or wait in dict(USED_UP))
