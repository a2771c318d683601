"""What several failures come to together: refusals, caps, hints that sleep, parts that were out at once.

The part of 100,000 msat took us ─1─ a ─2─ b ─3─ c ─4─ d (`tests.support.restrictions`).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.feedback.blame import CROWD, Kind
from pay.feedback.failure import PERM, UPDATE, FailCode, Failure
from pay.feedback.restrictions import (
    MOST_HALVINGS,
    Circumstances,
    crowded,
    held_on,
    parts_on,
    restrict,
    woken,
)
from pay.network.policy import Policy
from pay.routing.query import SUSPECT_AFTER, Crowd, Edge, Refusals
from pay.units import MAX_MSAT, ScidDir
from tests.support.payments import blamed, failed, line, node, scid, update_bytes
from tests.support.restrictions import CHANNEL, NOT_OWN, NOTHING, ROUTE, WHOLE, after, asleep, raw, without


def test_every_refusal_counts_whatever_it_says() -> None:
    """b refuses with another code each time, and says that the recipient does not know the payment."""
    known = NOTHING
    for code, times in ((PERM | 10, 1), (UPDATE | 7, 2), (PERM | 8, 3), (PERM | 15, 3 + SUSPECT_AFTER)):
        known = restrict(known, ROUTE, blamed(ROUTE, raw(2, code)), Circumstances(planned_with=known))
        assert known.refusals[node("b")].times == times
    assert known.refusals == {node("b"): Refusals(3 + SUSPECT_AFTER, 4)}
    for code in (UPDATE | 7, 23):
        assert after(raw(4, code)).refusals == after(raw(0, code)).refusals == {}


def test_parts_that_were_refused_together_are_one_refusal() -> None:
    """Three parts over one channel, one over another one of the same node: it was asked about two channels."""
    other = replace(ROUTE, hops=(*ROUTE.hops[:2], replace(ROUTE.hops[2], scid=scid(33)), ROUTE.hops[3]))
    known = NOTHING
    for route in (ROUTE, ROUTE, ROUTE, other):
        for code in (FailCode.TEMPORARY_CHANNEL_FAILURE, FailCode.UNKNOWN_NEXT_PEER):
            known = after(raw(2, code), route, known)
    assert known.refusals == {node("b"): Refusals(2, 8)}


def test_whoever_is_behind_a_hint_may_sleep() -> None:
    """Away is away for a moment, however often. That is no refusal."""
    of = Circumstances(wakeable=frozenset({CHANNEL[3]}))
    said, known = blamed(ROUTE, raw(3, FailCode.UNKNOWN_NEXT_PEER)), NOTHING
    for _ in range(3):
        known = restrict(known.awake, ROUTE, said, of)
        assert known == asleep(CHANNEL[3], doors={CHANNEL[3]: 0})


def test_a_cap_is_of_all_that_is_on_the_channel() -> None:
    """101,000 were refused while 30,000 of ours were there: less than both together is there."""
    said = blamed(ROUTE, raw(2, FailCode.TEMPORARY_CHANNEL_FAILURE))
    held = held_on([line(30_000, "abcd", fee_msat=0), None])
    known = restrict(NOTHING, ROUTE, said, Circumstances(held))
    assert known.caps == {CHANNEL[2]: 101_000 + 30_000 - 1}
    assert restrict(known, ROUTE, said, Circumstances()).caps == {CHANNEL[2]: 101_000 - 1}
    assert restrict(restrict(NOTHING, ROUTE, said, Circumstances()), ROUTE, said, Circumstances(held)).caps == {
        CHANNEL[2]: 101_000 - 1
    }


def test_what_parts_hold_is_on_channels_of_others() -> None:
    """Two go by b, one by way of our own channel 1 alone; the first channel of each is our own."""
    routes = [line(30_000, "abd", fee_msat=100), None, line(5_000, "ab", fee_msat=0), line(7_000, "a")]
    assert held_on(routes) == {CHANNEL[1]: 30_100 + 5_000, CHANNEL[2]: 30_000}
    assert held_on([]) == {}


def test_the_first_channel_of_ours_is_no_hint() -> None:
    """We say ourselves that our peer is away, which is the recipient behind our own channel: no nap for it."""
    route = line(100_000, "d")
    of = Circumstances(wakeable=frozenset({CHANNEL[0]}))
    said = blamed(route, Failure(0, FailCode.UNKNOWN_NEXT_PEER, ""))
    assert restrict(NOTHING, route, said, of) == NOT_OWN


def test_two_hints_sleep_at_once() -> None:
    other = ScidDir(scid(44), 0)
    of = Circumstances(wakeable=frozenset({CHANNEL[3], other}))
    said = blamed(ROUTE, raw(3, FailCode.UNKNOWN_NEXT_PEER))
    known = restrict(asleep(other), ROUTE, said, of)
    assert known == asleep(other, CHANNEL[3], doors={CHANNEL[3]: 0})


NO_MONEY = blamed(ROUTE, raw(3, FailCode.TEMPORARY_CHANNEL_FAILURE))
HINTED = frozenset({CHANNEL[3]})


def test_a_part_that_was_planned_in_spite_of_the_news_is_not_sent_again() -> None:
    """Whatever made it so large: what is refused a second time is a cap."""
    of = Circumstances(wakeable=HINTED, several=True)
    known = restrict(NOTHING, ROUTE, NO_MONEY, of)
    again = restrict(known, ROUTE, NO_MONEY, replace(of, planned_with=known))
    assert again.caps == {CHANNEL[3]: 99_999}


def test_a_hint_that_refuses_otherwise_than_by_sleep() -> None:
    """c has no balance for it in one part, and there may not be several: a refusal like any other node's."""
    known = restrict(NOTHING, ROUTE, NO_MONEY, Circumstances(wakeable=HINTED))
    assert known == without(caps={CHANNEL[3]: 99_999}, refusals={"c": 1}, doors={CHANNEL[3]: 100_000})


def test_a_hint_may_be_several_channels() -> None:
    """In parts half as large, and those in halves again; what is refused then is a lack of balance. A part that
    was planned before such news brings none."""
    of, known = Circumstances(wakeable=HINTED, several=True), NOTHING
    steps = ((100_001, 50_001, 1), (100_001, 50_001, 1), (50_001, 25_001, 2), (50_000, 25_001, 2))
    for amount, size, halvings in steps:
        known = restrict(known, line(amount, "abcd"), NO_MONEY, of)
        assert known.edges == {CHANNEL[3]: Edge(size, halvings)} and not known.caps
    assert halvings == MOST_HALVINGS
    known = restrict(known, line(25_000, "abcd"), NO_MONEY, replace(of, held_msat={CHANNEL[3]: 50_000}))
    assert known.caps == {CHANNEL[3]: 74_999}
    assert restrict(NOTHING, ROUTE, NO_MONEY, replace(of, wakeable=frozenset())).caps, "gossip names each channel"


def test_the_maximum_of_a_hint_is_one_of_its_channels() -> None:
    """Two halves or HTLCs of 30,000, but no crumbs of 20,000: those would put the payment on one node's word."""
    of = Circumstances(wakeable=HINTED, several=True)
    for most_msat, edges, caps in (
        (70_000, {CHANNEL[3]: Edge(50_000, 1)}, {}),
        (30_000, {CHANNEL[3]: Edge(30_000, 1)}, {}),
        (20_000, {}, {CHANNEL[3]: 20_000}),
    ):
        policy = Policy(0, 0, 40, 1, most_msat, timestamp=1)
        said = blamed(
            ROUTE, failed(3, FailCode.TEMPORARY_CHANNEL_FAILURE, update=update_bytes(CHANNEL[3], policy))
        )
        known = restrict(NOTHING, ROUTE, said, of)
        assert (known.policies, known.edges, known.caps) == ({CHANNEL[3]: policy}, edges, caps)
        assert not known.doors, "it may well be there"


def test_a_phone_is_asked_once_more_in_one_part() -> None:
    """After a pause: what it refused asleep is no lack of balance, unless something has reached it."""
    of = Circumstances(wakeable=HINTED, several=True)
    known = without(caps={CHANNEL[3]: 1, CHANNEL[2]: 2}, doors={CHANNEL[3]: 5})
    known = restrict(replace(known, edges={CHANNEL[3]: Edge(100_000, 0)}), ROUTE, NO_MONEY, of)
    again = woken(known, phones=HINTED)
    assert again.caps == {CHANNEL[2]: 2} and not again.doors
    assert again.edges == {CHANNEL[3]: Edge(MAX_MSAT, MOST_HALVINGS)}
    assert restrict(again, ROUTE, NO_MONEY, of).caps == {CHANNEL[2]: 2, CHANNEL[3]: 99_999}
    for pause in (woken(replace(known, reached=True), phones=HINTED), woken(known)):
        assert (pause.caps, pause.edges) == (known.caps, known.edges)


def test_a_channel_that_holds_others_has_no_slot() -> None:
    """One part more than those that are on it is refused: so many it takes, until one of them is back."""
    crowd, held = {CHANNEL[3]: CROWD}, {CHANNEL[3]: 70_000}
    known = restrict(NOTHING, ROUTE, NO_MONEY, Circumstances(parts_on=crowd, held_msat=held))
    assert known.crowds == {CHANNEL[3]: Crowd(CROWD, 169_999)} and not known.caps
    more = Circumstances(parts_on={CHANNEL[3]: CROWD + 1}, held_msat={CHANNEL[3]: 69_000})
    assert restrict(known, ROUTE, NO_MONEY, more).crowds == {CHANNEL[3]: Crowd(CROWD, 168_999)}
    assert crowded(known, crowd).closed_channels == {CHANNEL[3]}
    assert crowded(known, {CHANNEL[3]: CROWD - 1}) == known
    assert restrict(NOTHING, ROUTE, NO_MONEY, Circumstances(parts_on={CHANNEL[3]: CROWD - 1})).caps
    middle = blamed(ROUTE, raw(2, FailCode.TEMPORARY_CHANNEL_FAILURE))
    assert restrict(NOTHING, ROUTE, middle, Circumstances(parts_on={CHANNEL[2]: 99})).caps, "not the recipient's"
    assert parts_on([ROUTE, None, ROUTE]) == {CHANNEL[3]: 2}


def test_the_recipient_is_out_of_order_whoever_else_pays() -> None:
    """A part of less than the whole: only where others are missing is its way in a good one."""
    said = blamed(ROUTE, raw(4, FailCode.TEMPORARY_NODE_FAILURE))
    assert restrict(NOTHING, ROUTE, said, Circumstances(total_msat=10**9)) == asleep(CHANNEL[3], reached=True)


def test_what_is_said_of_no_channel() -> None:
    said = replace(blamed(ROUTE, raw(2, FailCode.TEMPORARY_CHANNEL_FAILURE)), kind=Kind.HEIGHT)
    with pytest.raises(ValueError, match="HEIGHT is said of no channel"):
        restrict(NOTHING, ROUTE, said, WHOLE)
