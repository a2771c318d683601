"""Every failure of BOLT 4, from everybody who can answer, and what follows from it.

The part of 100,000 msat took

    us ─1─ a ─2─ b ─3─ c ─4─ d

so index 0 is our own channel 1, index 1 is a speaking of channel 2, …, index 4 is d, the recipient.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.network.policy import Policy
from pay.payment.failure import BADONION, NODE, PERM, UPDATE, FailCode, Failure, describe, read_details
from pay.payment.interpret import CapChannel, ExcludeChannel, ExcludeNode, NewPolicy, Outcome, interpret
from pay.units import ScidDir
from tests.payment_tools import HEIGHT, failed, line, message, node, scid, update_bytes

ROUTE = line(100_000, "abcd")
CHANNEL = [ScidDir(scid(i + 1), i % 2) for i in range(4)]

NOT_OWN = Outcome((ExcludeChannel(CHANNEL[0]),))
OVER = Outcome(refused=True)
OTHER_WAY_IN = Outcome((ExcludeChannel(CHANNEL[3]),))
NOT_CHANNEL, NOT_NODE, LESS = "not through that channel", "not through that node", "less through that channel"

# code: (a node on the way says it, the recipient says it)
TABLE = {
    NODE | 2: (NOT_NODE, OTHER_WAY_IN),
    PERM | NODE | 2: (NOT_NODE, OVER),
    PERM | NODE | 3: (NOT_NODE, OVER),
    BADONION | PERM | 4: (NOT_CHANNEL, OVER),
    BADONION | PERM | 5: (NOT_CHANNEL, OVER),
    BADONION | PERM | 6: (NOT_CHANNEL, OVER),
    UPDATE | 7: (LESS, OVER),
    PERM | 8: (NOT_CHANNEL, OVER),
    PERM | 9: (NOT_CHANNEL, OVER),
    PERM | 10: (NOT_CHANNEL, OVER),
    UPDATE | 11: (NOT_CHANNEL, OVER),
    UPDATE | 12: (NOT_CHANNEL, OVER),
    UPDATE | 13: (NOT_CHANNEL, OVER),
    UPDATE | 14: (NOT_CHANNEL, OVER),
    # Only the recipient may say that it does not know the payment: a node on the way that does is avoided.
    PERM | 15: (NOT_CHANNEL, OVER),
    PERM | 16: (NOT_CHANNEL, OVER),  # deprecated: incorrect_payment_amount
    17: (NOT_CHANNEL, OVER),  # deprecated: final_expiry_too_soon
    18: (NOT_CHANNEL, OTHER_WAY_IN),
    19: (NOT_CHANNEL, OTHER_WAY_IN),
    UPDATE | 20: (NOT_CHANNEL, OVER),
    21: (NOT_CHANNEL, OVER),
    PERM | 22: (NOT_CHANNEL, OVER),
    23: (NOT_CHANNEL, OTHER_WAY_IN),
    BADONION | PERM | 24: (NOT_CHANNEL, OVER),
    0: (NOT_CHANNEL, OVER),  # no failure code at all
    0x0FFF: (NOT_CHANNEL, OVER),  # of a future BOLT
    0xFFFF: (NOT_CHANNEL, OVER),
}


def raw(index: int | None, code: int) -> Failure:
    return Failure(index, code, "", code.to_bytes(2, "big"))


def test_the_table_has_every_code_we_name() -> None:
    assert set(FailCode) <= set(TABLE)


@pytest.mark.parametrize("code", TABLE, ids=hex)
def test_our_own_channel(code: int) -> None:
    """Whatever our host's reason: not through that channel again, and never the recipient's verdict."""
    assert interpret(ROUTE, raw(0, code), HEIGHT) == NOT_OWN


@pytest.mark.parametrize("index", [1, 2, 3], ids=["first node", "middle", "last before the recipient"])
@pytest.mark.parametrize("code", TABLE, ids=hex)
def test_on_the_way(code: int, index: int) -> None:
    lessons = {
        NOT_NODE: ExcludeNode(node("abcd"[index - 1])),
        NOT_CHANNEL: ExcludeChannel(CHANNEL[index]),
        LESS: CapChannel(CHANNEL[index], ROUTE.hops[index].amount_msat - 1),
    }
    assert interpret(ROUTE, raw(index, code), HEIGHT) == Outcome((lessons[TABLE[code][0]],))


@pytest.mark.parametrize("code", TABLE, ids=hex)
def test_the_recipient(code: int) -> None:
    assert interpret(ROUTE, raw(4, code), HEIGHT) == TABLE[code][1]


@pytest.mark.parametrize("index", [None, 5, 99])
@pytest.mark.parametrize("code", [None, *TABLE], ids=str)
def test_nobody_that_we_know(code: int | None, index: int | None) -> None:
    """Unreadable, or from beyond the recipient: not our channel, nor the last one, maybe the only way in."""
    outcome = interpret(ROUTE, Failure(index, code), HEIGHT)
    assert outcome == Outcome((ExcludeChannel(CHANNEL[1]), ExcludeChannel(CHANNEL[2])))


@pytest.mark.parametrize(
    ("names", "avoided"), [("d", 0), ("ad", 1), ("abd", 1)], ids=["one hop", "two hops", "three hops"]
)
def test_unreadable_on_short_routes(names: str, avoided: int) -> None:
    """Something is always left out, or the same route would be tried for ever."""
    outcome = interpret(line(100_000, names), Failure(None, None), HEIGHT)
    assert outcome == Outcome((ExcludeChannel(CHANNEL[avoided]),))


@pytest.mark.parametrize("index", [1, 2, 3, 4])
def test_an_answer_without_a_code_is_unreadable(index: int) -> None:
    assert interpret(ROUTE, Failure(index, None), HEIGHT) == interpret(ROUTE, Failure(None, None), HEIGHT)


# --- our own channel ----------------------------------------------------------------------------------------


def test_our_channel_lacks_balance() -> None:
    """ "Capacity exceeded" leaves smaller amounts possible; no free slot and no peer leave nothing."""
    code = FailCode.TEMPORARY_CHANNEL_FAILURE
    assert interpret(ROUTE, Failure(0, code, "Capacity exceeded - HTLC fee: 1"), HEIGHT) == Outcome(
        (CapChannel(CHANNEL[0], ROUTE.sent_msat - 1),)
    )
    for reason in ("Too many HTLCs", "First peer not ready", ""):
        assert interpret(ROUTE, Failure(0, code, reason), HEIGHT) == NOT_OWN


# --- the recipient ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        (HEIGHT - 1, OVER),
        (HEIGHT, OVER),
        (HEIGHT + 1, Outcome(wait_for_height=HEIGHT + 1)),
        ((1 << 32) - 1, Outcome(wait_for_height=(1 << 32) - 1)),
        (0, OVER),
    ],
)
def test_unknown_payment_and_the_recipients_height(height: int, expected: Outcome) -> None:
    """One that is ahead of us may have refused because our HTLC looked too short to it."""
    assert interpret(ROUTE, failed(4, FailCode.UNKNOWN_PAYMENT, height=height), HEIGHT) == expected


def test_a_height_from_a_node_on_the_way_means_nothing() -> None:
    outcome = interpret(ROUTE, failed(3, FailCode.UNKNOWN_PAYMENT, height=HEIGHT + 5), HEIGHT)
    assert outcome == OTHER_WAY_IN


def test_over_our_own_channel_nobody_tampers() -> None:
    """us ─1─ d. What d got is what we sent; but its troubles of the moment are still of the moment."""
    direct = line(100_000, "d")
    for code in (FailCode.FINAL_INCORRECT_CLTV_EXPIRY, FailCode.FINAL_INCORRECT_HTLC_AMOUNT):
        assert interpret(direct, raw(1, code), HEIGHT) == OVER
    for code in (FailCode.TEMPORARY_NODE_FAILURE, FailCode.MPP_TIMEOUT):
        assert interpret(direct, raw(1, code), HEIGHT) == NOT_OWN


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
    assert interpret(ROUTE, failure, HEIGHT) == Outcome((NewPolicy(CHANNEL[2], policy),))


@pytest.mark.parametrize("code", POLICY_CODES, ids=lambda code: code.name)
@pytest.mark.parametrize(
    "policy",
    [ASKED, replace(ASKED, fee_base_msat=0), replace(ASKED, htlc_min_msat=101_000, htlc_max_msat=101_000)],
    ids=["just what it got", "less than it got", "this amount and no other"],
)
def test_a_node_that_refuses_what_it_asks_is_avoided(policy: Policy, code: FailCode) -> None:
    failure = failed(2, code, update=update_bytes(CHANNEL[2], policy))
    assert interpret(ROUTE, failure, HEIGHT) == Outcome((ExcludeChannel(CHANNEL[2]),))


def test_nobody_may_change_the_policy_of_another_channel() -> None:
    """b answers with an update of channel 4, or of the other direction of its own: that would let it push
    payments away from others."""
    policy = replace(ASKED, fee_base_msat=4_000_000_000)
    cap = CapChannel(CHANNEL[2], ROUTE.hops[2].amount_msat - 1)
    for channel in (CHANNEL[3], CHANNEL[1], CHANNEL[2].reverse, CHANNEL[0]):
        for code in POLICY_CODES:
            failure = failed(2, code, update=update_bytes(channel, policy))
            assert interpret(ROUTE, failure, HEIGHT) == Outcome((ExcludeChannel(CHANNEL[2]),))
        failure = failed(2, FailCode.TEMPORARY_CHANNEL_FAILURE, update=update_bytes(channel, policy))
        assert interpret(ROUTE, failure, HEIGHT) == Outcome((cap,))


def test_no_balance_and_a_newer_policy_at_once() -> None:
    policy = replace(ASKED, fee_base_msat=2_000)
    failure = failed(2, FailCode.TEMPORARY_CHANNEL_FAILURE, update=update_bytes(CHANNEL[2], policy))
    cap = CapChannel(CHANNEL[2], ROUTE.hops[2].amount_msat - 1)
    assert interpret(ROUTE, failure, HEIGHT) == Outcome((cap, NewPolicy(CHANNEL[2], policy)))


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
            interpret(ROUTE, Failure(2, code, "", whole[:length]), HEIGHT)


def test_a_message_of_another_code_is_not_read() -> None:
    whole = message(FailCode.FEE_INSUFFICIENT, update=update_bytes(CHANNEL[2], ASKED))
    assert read_details(FailCode.AMOUNT_BELOW_MINIMUM, whole).update is None
    assert read_details(None, whole).update is None


@pytest.mark.parametrize("length", range(14))
def test_a_short_refusal_has_no_height(length: int) -> None:
    """Old recipients send only the code: that is a refusal, not a wait."""
    short = message(FailCode.UNKNOWN_PAYMENT, height=HEIGHT + 1)[:length]
    assert read_details(FailCode.UNKNOWN_PAYMENT, short).height is None
    assert interpret(ROUTE, Failure(4, FailCode.UNKNOWN_PAYMENT, "", short), HEIGHT) == OVER


@pytest.mark.parametrize("code", [None, *TABLE], ids=str)
def test_words_are_not_names(code: int | None) -> None:
    words = describe(code)
    assert words and "_" not in words and "expired" not in words.replace("would have expired", "")
