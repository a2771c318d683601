"""Every failure of BOLT 4, from everybody who can answer: what it says, and what follows from it.

The part of 100,000 msat took

    us ─1─ a ─2─ b ─3─ c ─4─ d

so index 0 is our own channel 1, index 1 is a speaking of channel 2, …, index 3 is c, the last but one, and index 4
is d, the recipient. What the beliefs make of it is in `test_observations`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.feedback.blame import CROWD, HELD_S, Blame, Kind, Speaker, blame
from pay.feedback.failure import BADONION, NODE, PERM, UPDATE, FailCode, Failure, describe, read_details
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
from pay.routing.query import SUSPECT_AFTER, Crowd, Edge, Refusals, Restrictions, Route
from pay.units import MAX_MSAT, ScidDir
from tests.support.payments import HEIGHT, blamed, failed, line, message, node, scid, update_bytes

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


NOT_OWN = asleep(CHANNEL[0])
OTHER_WAY_IN = without(CHANNEL[3], reached=True)

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


def raw(index: int | None, code: int) -> Failure:
    return Failure(index, code, "", code.to_bytes(2, "big"))


def on_the_way(kind: Kind, index: int, lasting: bool = False) -> Restrictions:
    """What follows from a message without a policy."""
    speaker, channel, amount = "abcd"[index - 1], CHANNEL[index], ROUTE.hops[index].amount_msat
    last = index == 3
    match kind:
        case Kind.NODE_TROUBLE if lasting:
            return without(refusals={speaker: 1}, excluded_nodes=frozenset({node(speaker)}))
        case Kind.NODE_TROUBLE:
            return without(refusals={speaker: 1}, asleep_nodes=frozenset({node(speaker)}))
        case Kind.LACKS_BALANCE:
            doors = {channel: amount} if last else {}
            return without(refusals={speaker: 1}, caps={channel: amount - 1}, doors=doors)
        case Kind.AWAY:
            return asleep(channel, refusals={speaker: 1}, doors={channel: 0} if last else {})
        case Kind.NONSENSE:
            return without(channel, refusals={speaker: SUSPECT_AFTER})
        case _:
            return without(channel, refusals={speaker: 1})


def test_the_table_has_every_code_we_name() -> None:
    assert set(FailCode) <= set(TABLE)


@pytest.mark.parametrize("code", TABLE, ids=hex)
def test_our_own_channel(code: int) -> None:
    """Whatever our host's reason: not through that channel again, and never the recipient's verdict."""
    said, away = blamed(ROUTE, raw(0, code)), code in (UPDATE | 7, PERM | 10)
    kind = Kind.AWAY if away else Kind.UNUSABLE
    assert said == Blame(Speaker.US, kind, 0, None, CHANNEL[0], node("a"))
    assert said.forwarder is None and after(raw(0, code)) == (NOT_OWN if away else without(CHANNEL[0]))


@pytest.mark.parametrize("index", [1, 2, 3], ids=["first node", "middle", "last but one"])
@pytest.mark.parametrize("code", TABLE, ids=hex)
def test_on_the_way(code: int, index: int) -> None:
    kind = TABLE[code][0]
    speaker = Speaker.LAST_BUT_ONE if index == 3 else Speaker.ON_THE_WAY
    name, neighbour = "abcd"[index - 1 : index + 1]
    said = blamed(ROUTE, raw(index, code))
    lasting = kind is Kind.NODE_TROUBLE and bool(code & PERM)
    assert said == Blame(speaker, kind, index, node(name), CHANNEL[index], node(neighbour), lasting=lasting)
    assert said.forwarder == node(name) and after(raw(index, code)) == on_the_way(kind, index, lasting)


@pytest.mark.parametrize("index", [1, 2, 3], ids=["first node", "middle", "last but one"])
@pytest.mark.parametrize("code", [code for code in TABLE if code & UPDATE and not code & BADONION], ids=hex)
def test_on_the_way_with_a_policy_that_was_kept(code: int, index: int) -> None:
    """It refuses what it asks: that is as good as no policy."""
    kept = Policy(1_000, 0, 40, 1, 10_000_000, timestamp=1)
    failure = failed(index, code, update=update_bytes(CHANNEL[index], kept))
    said = blamed(ROUTE, failure)
    assert (said.kind, said.policy, said.respected) == (TABLE[code][0], kept, True)
    assert after(failure) == on_the_way(said.kind, index)


@pytest.mark.parametrize("index", [1, 2, 3], ids=["first node", "middle", "last but one"])
@pytest.mark.parametrize("code", [code for code in TABLE if code & UPDATE and not code & BADONION], ids=hex)
def test_on_the_way_with_a_policy_that_asks_more(code: int, index: int) -> None:
    """It is believed where the code says that it is about fees, delays and amounts, or balance."""
    more = Policy(1_001, 0, 40, 1, 10_000_000, timestamp=1)
    failure = failed(index, code, update=update_bytes(CHANNEL[index], more))
    said = blamed(ROUTE, failure)
    assert (said.kind, said.policy, said.respected) == (TABLE[code][0], more, False)
    plain = on_the_way(said.kind, index)
    if said.kind in (Kind.POLICY, Kind.LACKS_BALANCE):
        plain = replace(plain, excluded_channels=frozenset(), policies={CHANNEL[index]: more})
    assert after(failure) == plain


@pytest.mark.parametrize("code", TABLE, ids=hex)
def test_the_recipient(code: int) -> None:
    said = blamed(ROUTE, raw(4, code))
    assert said == Blame(Speaker.RECIPIENT, TABLE[code][1], 4, node("d"))
    known = {Kind.REFUSED: without(reached=True), Kind.NODE_TROUBLE: asleep(CHANNEL[3], reached=True)}
    assert after(raw(4, code)) == known.get(said.kind, OTHER_WAY_IN)


@pytest.mark.parametrize("code", TABLE, ids=hex)
def test_a_part_whose_route_is_not_known(code: int) -> None:
    """Only the recipient's own name says who spoke; and nothing can be left out."""
    theirs, others = (Failure(None, code, "", b"", node(name)) for name in "dc")
    kind = Kind.REFUSED if TABLE[code][1] is Kind.ALTERED else TABLE[code][1]
    said = blame(None, theirs, node("d"), HEIGHT)
    assert said == Blame(Speaker.RECIPIENT, kind, None, node("d"))
    assert blame(None, others, node("d"), HEIGHT) == Blame(Speaker.UNKNOWN, Kind.UNHEARD)
    assert restrict(NOTHING, None, said, WHOLE) == NOTHING


@pytest.mark.parametrize("index", [None, -1, 5, 99])
@pytest.mark.parametrize("code", [None, *TABLE], ids=str)
def test_nobody_that_we_know(code: int | None, index: int | None) -> None:
    """Unreadable, or from beyond the recipient: not our channel, nor the last one, maybe the only way in."""
    assert blamed(ROUTE, Failure(index, code)) == Blame(Speaker.UNKNOWN, Kind.UNHEARD)
    assert after(Failure(index, code)) == without(CHANNEL[1], CHANNEL[2])


def test_an_answer_that_cannot_be_read_is_held_against_all_who_may_have_spoilt_it() -> None:
    spoilt = Failure(None, None, unreadable=True)
    assert blamed(ROUTE, spoilt) == Blame(Speaker.UNKNOWN, Kind.UNREADABLE)
    assert after(spoilt) == without(CHANNEL[1], CHANNEL[2], refusals={"a": 1, "b": 1, "c": 1})


@pytest.mark.parametrize(
    ("names", "avoided"), [("d", 0), ("ad", 1), ("abd", 1)], ids=["one hop", "two hops", "three hops"]
)
def test_unreadable_on_short_routes(names: str, avoided: int) -> None:
    """Something is always left out, or the same route would be tried for ever."""
    assert after(Failure(None, None), line(100_000, names)) == without(CHANNEL[avoided])


@pytest.mark.parametrize("index", [1, 2, 3, 4])
def test_an_answer_without_a_code_is_unreadable(index: int) -> None:
    assert blamed(ROUTE, Failure(index, None)) == blamed(ROUTE, Failure(None, None))
    assert after(Failure(index, None)) == after(Failure(None, None))


# --- our own channel ----------------------------------------------------------------------------------------


def test_our_channel_lacks_balance() -> None:
    """ "Capacity exceeded" leaves smaller amounts possible; no peer leaves nothing."""
    code = FailCode.TEMPORARY_CHANNEL_FAILURE
    lacks = Failure(0, code, "Capacity exceeded - HTLC fee: 1")
    assert blamed(ROUTE, lacks).kind is Kind.LACKS_BALANCE
    assert after(lacks) == without(caps={CHANNEL[0]: ROUTE.sent_msat - 1})
    for reason in ("First peer not ready", ""):
        assert after(Failure(0, code, reason)) == NOT_OWN


def test_our_channel_has_no_slot() -> None:
    """One is free in a moment: the channel is left alone so long."""
    busy = Failure(0, FailCode.TEMPORARY_CHANNEL_FAILURE, "WIRE_TEMPORARY_CHANNEL_FAILURE: Too many HTLCs")
    assert blamed(ROUTE, busy).kind is Kind.NO_SLOT
    known = NOTHING
    for _ in range(3):
        known = after(busy, known=known.awake)
    assert known == without(asleep=frozenset({CHANNEL[0]})) and known.closed_channels == {CHANNEL[0]}


# --- the recipient ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "kind"),
    [
        (HEIGHT - 1, Kind.REFUSED),
        (HEIGHT, Kind.REFUSED),
        (HEIGHT + 1, Kind.HEIGHT),
        ((1 << 32) - 1, Kind.HEIGHT),
        (0, Kind.REFUSED),
    ],
)
def test_unknown_payment_and_the_recipients_height(height: int, kind: Kind) -> None:
    """One that was ahead of us when we sent may have refused because our HTLC looked too short to it."""
    said = blamed(ROUTE, failed(4, FailCode.UNKNOWN_PAYMENT, height=height))
    assert (said.speaker, said.kind, said.height) == (Speaker.RECIPIENT, kind, height)


def test_a_recipient_that_held_the_part_has_grown_with_the_chain() -> None:
    """It looked at the height when the HTLC came; two minutes later it refuses for another reason."""
    late = failed(4, FailCode.UNKNOWN_PAYMENT, height=HEIGHT + 3)
    assert blamed(ROUTE, late, out_s=HELD_S - 1).kind is Kind.HEIGHT
    assert blamed(ROUTE, late, out_s=HELD_S).kind is Kind.REFUSED


def test_a_height_from_a_node_on_the_way_means_nothing() -> None:
    lie = failed(3, FailCode.UNKNOWN_PAYMENT, height=HEIGHT + 5)
    assert blamed(ROUTE, lie).height is None
    assert after(lie) == without(CHANNEL[3], refusals={"c": SUSPECT_AFTER})


def test_over_our_own_channel_nobody_tampers() -> None:
    """us ─1─ d. What d got is what we sent; but its troubles of the moment are still of the moment."""
    direct = line(100_000, "d")
    for code in (FailCode.FINAL_INCORRECT_CLTV_EXPIRY, FailCode.FINAL_INCORRECT_HTLC_AMOUNT):
        assert blamed(direct, raw(1, code)).kind is Kind.REFUSED
    assert after(raw(1, FailCode.TEMPORARY_NODE_FAILURE), direct) == asleep(CHANNEL[0], reached=True)
    assert after(raw(1, FailCode.MPP_TIMEOUT), direct) == without(CHANNEL[0], reached=True)


def test_a_part_whose_sisters_did_not_come_had_a_good_way() -> None:
    said = blamed(ROUTE, raw(4, FailCode.MPP_TIMEOUT))
    assert restrict(NOTHING, ROUTE, said, Circumstances(total_msat=100_001)) == without(reached=True)


def test_nobody_else_knows_whether_its_sisters_came() -> None:
    """c says that parts are missing: that is no word for its own way, however small the part is of the whole."""
    said = blamed(ROUTE, raw(3, FailCode.MPP_TIMEOUT))
    known = restrict(NOTHING, ROUTE, said, Circumstances(total_msat=10**9))
    assert known == without(CHANNEL[3], refusals={"c": SUSPECT_AFTER})


# --- several failures ---------------------------------------------------------------------------------------


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
    assert known == without(
        caps={CHANNEL[3]: 99_999}, refusals={"c": 1}, doors={CHANNEL[3]: 100_000}
    )


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


# --- policies in failures -----------------------------------------------------------------------------------

ASKED = Policy(1_000, 0, 40, 1, 10_000_000, timestamp=1)
"""What b asks of channel 3 as the route has it: it is given 1,000 msat and 40 blocks."""

POLICY_CODES = [FailCode.FEE_INSUFFICIENT, FailCode.INCORRECT_CLTV_EXPIRY, FailCode.AMOUNT_BELOW_MINIMUM]

DEMANDS = {
    "a higher base fee": replace(ASKED, fee_base_msat=1_001),
    "a fee by amount": replace(ASKED, fee_ppm=10),
    "a longer delay": replace(ASKED, cltv_delta=41),
    "a higher minimum": replace(ASKED, htlc_min_msat=101_001),
    "a lower maximum": replace(ASKED, htlc_max_msat=100_999),
    "nothing any more": replace(ASKED, enabled=False),
}


@pytest.mark.parametrize("code", POLICY_CODES, ids=lambda code: code.name)
@pytest.mark.parametrize("policy", DEMANDS.values(), ids=DEMANDS)
def test_a_node_that_asks_more_gets_another_chance(policy: Policy, code: FailCode) -> None:
    failure = failed(2, code, update=update_bytes(CHANNEL[2], policy))
    # A lower maximum is one of all that the channel is given: no crowd of small HTLCs on one node's word.
    caps = {CHANNEL[2]: policy.htlc_max_msat} if policy.htlc_max_msat < ASKED.htlc_max_msat else {}
    assert after(failure) == without(policies={CHANNEL[2]: policy}, caps=caps, refusals={"b": 1})


@pytest.mark.parametrize("code", POLICY_CODES, ids=lambda code: code.name)
@pytest.mark.parametrize(
    "policy",
    [ASKED, replace(ASKED, fee_base_msat=0), replace(ASKED, htlc_min_msat=101_000, htlc_max_msat=101_000)],
    ids=["just what it got", "less than it got", "this amount and no other"],
)
def test_a_node_that_refuses_what_it_asks_is_avoided(policy: Policy, code: FailCode) -> None:
    failure = failed(2, code, update=update_bytes(CHANNEL[2], policy))
    assert after(failure) == without(CHANNEL[2], refusals={"b": 1})


def test_nobody_may_change_the_policy_of_another_channel() -> None:
    """b answers with an update of channel 4, or of the other direction of its own: that would let it push
    payments away from others."""
    policy = replace(ASKED, fee_base_msat=4_000_000_000)
    capped = without(caps={CHANNEL[2]: ROUTE.hops[2].amount_msat - 1}, refusals={"b": 1})
    for channel in (CHANNEL[3], CHANNEL[1], CHANNEL[2].reverse, CHANNEL[0]):
        for code in POLICY_CODES:
            failure = failed(2, code, update=update_bytes(channel, policy))
            assert after(failure) == without(CHANNEL[2], refusals={"b": 1})
        failure = failed(2, FailCode.TEMPORARY_CHANNEL_FAILURE, update=update_bytes(channel, policy))
        assert after(failure) == capped


def test_no_balance_and_a_newer_policy_at_once() -> None:
    policy = replace(ASKED, fee_base_msat=2_000)
    failure = failed(2, FailCode.TEMPORARY_CHANNEL_FAILURE, update=update_bytes(CHANNEL[2], policy))
    caps = {CHANNEL[2]: ROUTE.hops[2].amount_msat - 1}
    assert after(failure) == without(caps=caps, policies={CHANNEL[2]: policy}, refusals={"b": 1})


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"htlc_max_msat": 100_999}, Kind.POLICY),
        ({"htlc_min_msat": 101_001}, Kind.POLICY),
        ({"enabled": False}, Kind.AWAY),
    ],
)
def test_a_policy_that_forbids_it_is_no_lack_of_balance(change: dict[str, int], kind: Kind) -> None:
    """There is no code for a maximum, and some nodes have none for a peer that is away."""
    policy = replace(ASKED, **change)
    failure = failed(2, FailCode.TEMPORARY_CHANNEL_FAILURE, update=update_bytes(CHANNEL[2], policy))
    assert blamed(ROUTE, failure).kind is kind
    caps = {CHANNEL[2]: policy.htlc_max_msat} if "htlc_max_msat" in change else {}
    believed = without(policies={CHANNEL[2]: policy}, caps=caps, refusals={"b": 1})
    assert after(failure) == (believed if kind is Kind.POLICY else asleep(CHANNEL[2], refusals={"b": 1}))


@pytest.mark.parametrize("code", [*POLICY_CODES, FailCode.TEMPORARY_CHANNEL_FAILURE], ids=lambda code: code.name)
def test_a_channel_is_asked_once_what_it_asks(code: FailCode) -> None:
    """A msat more each time: the second time the channel is left, whatever was paid the first time."""
    first, second = (replace(ASKED, fee_base_msat=1_000 + more) for more in (1, 2))
    known = after(failed(2, code, update=update_bytes(CHANNEL[2], first)))
    assert known.policies == {CHANNEL[2]: first} and not known.excluded_channels
    said = blamed(ROUTE, failed(2, code, update=update_bytes(CHANNEL[2], second)))
    again = restrict(known, ROUTE, said, Circumstances(planned_with=known))
    assert again.excluded_channels == {CHANNEL[2]} and again.refusals == {node("b"): Refusals(2, 2)}


def test_the_same_news_of_two_parts_that_were_out_together() -> None:
    """Both were planned before; only who was asked for what it asks and refuses again has lied."""
    policy = replace(ASKED, fee_base_msat=2_000)
    failure = failed(2, FailCode.FEE_INSUFFICIENT, update=update_bytes(CHANNEL[2], policy))
    twice = after(failure, known=after(failure))
    assert twice == replace(after(failure), refusals={node("b"): Refusals(1, 2)})
    asked = Circumstances(planned_with=twice)
    again = restrict(twice, ROUTE, blamed(ROUTE, failure), asked)
    assert again.excluded_channels == {CHANNEL[2]} and again.refusals == {node("b"): Refusals(2, 3)}


def test_two_parts_out_together_bring_two_policies() -> None:
    """b asked for 2,000 and, of the sister that was planned together with it, for 3,000: more each time."""
    first, second = (
        failed(2, FailCode.FEE_INSUFFICIENT, update=update_bytes(CHANNEL[2], replace(ASKED, fee_base_msat=msat)))
        for msat in (2_000, 3_000)
    )
    assert after(second, known=after(first)).excluded_channels == {CHANNEL[2]}


# --- reading messages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [c for c in FailCode if c & UPDATE], ids=lambda code: code.name)
def test_every_cut_of_a_message_is_survived(code: FailCode) -> None:
    """What is cut short teaches nothing; whole it gives the update, with and without its type."""
    channel = CHANNEL[2]
    for update in (update_bytes(channel, ASKED), update_bytes(channel, ASKED)[2:]):
        whole = message(code, update=update)
        assert read_details(code, whole).update == (channel, ASKED)
        assert read_details(code, whole).update_bytes == update
        for length in range(len(whole)):
            assert read_details(code, whole[:length]).update is None
            assert blamed(ROUTE, Failure(2, code, "", whole[:length])).policy is None


def test_a_message_of_another_code_is_not_read() -> None:
    whole = message(FailCode.FEE_INSUFFICIENT, update=update_bytes(CHANNEL[2], ASKED))
    assert read_details(FailCode.AMOUNT_BELOW_MINIMUM, whole).update is None
    assert read_details(None, whole).update is None


@pytest.mark.parametrize("length", range(14))
def test_a_short_refusal_has_no_height(length: int) -> None:
    """Old recipients send only the code: that is a refusal, not a wait."""
    short = message(FailCode.UNKNOWN_PAYMENT, height=HEIGHT + 1)[:length]
    assert read_details(FailCode.UNKNOWN_PAYMENT, short).height is None
    assert blamed(ROUTE, Failure(4, FailCode.UNKNOWN_PAYMENT, "", short)).kind is Kind.REFUSED


@pytest.mark.parametrize("code", [None, *TABLE], ids=str)
def test_words_are_not_names(code: int | None) -> None:
    words = describe(code)
    assert words and "_" not in words and "expired" not in words.replace("would have expired", "")
