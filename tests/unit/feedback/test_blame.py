"""Every failure of BOLT 4, from everybody who can answer: what it says, and what follows from it.

The part of 100,000 msat took

    us ─1─ a ─2─ b ─3─ c ─4─ d

so index 0 is our own channel 1, index 1 is a speaking of channel 2, …, index 3 is c, the last but one, and index 4
is d, the recipient. What the beliefs make of it is in `test_observations`, what several failures come to in
`test_restrictions`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.feedback.blame import HELD_S, Blame, Kind, Speaker, blame
from pay.feedback.failure import BADONION, PERM, UPDATE, FailCode, Failure
from pay.feedback.restrictions import (
    Circumstances,
    restrict,
)
from pay.network.policy import Policy
from pay.routing.query import SUSPECT_AFTER, Restrictions
from tests.support.payments import HEIGHT, blamed, failed, line, node, update_bytes
from tests.support.restrictions import CHANNEL, NOT_OWN, NOTHING, ROUTE, TABLE, WHOLE, after, asleep, raw, without

OTHER_WAY_IN = without(CHANNEL[3], reached=True)


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
