"""Policies in failures: who asks more gets another chance, who refuses what it asks is avoided.

The part of 100,000 msat took us ─1─ a ─2─ b ─3─ c ─4─ d (`tests.support.restrictions`).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.feedback.blame import Kind
from pay.feedback.failure import FailCode
from pay.feedback.restrictions import (
    Circumstances,
    restrict,
)
from pay.network.policy import Policy
from pay.routing.query import Refusals
from tests.support.payments import blamed, failed, node, update_bytes
from tests.support.restrictions import ASKED, CHANNEL, ROUTE, after, asleep, without

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
