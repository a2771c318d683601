"""The last guard of a session, asked directly: each line of it is what stands between a bug above and money.

The session keeps within all of this by itself, so that no story of a payment comes here. Of 100,000 msat, 40,000
have settled (fee 400), 30,000 are out (fee 300); at most 1,000 msat of fees, of which a shadow takes 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pay.errors import Code, PayError
from pay.payment import events as ev
from pay.payment.attempt import Attempt
from pay.payment.invariants import SessionError, check
from pay.payment.ledger import Ledger
from pay.payment.route_query import route_query
from pay.payment.states import AttemptStatus
from pay.payment.terms import Terms
from pay.routing.query import Restrictions
from tests.support.payments import NOW, PREIMAGE, line, terms

PAYMENT: Terms = terms(99_900, total_msat=999_900, max_fee_msat=1_000).with_shadow(blocks=0, fee_msat=100)
PAID = ev.Paid(PREIMAGE, 99_900, 70_700, 2, True)
NOT_PAID = ev.NotPaid(PayError(Code.OTHER, "no"))
ELSEWHERE = ev.Elsewhere("in progress")
ASK = ev.FindRoutes(1, route_query(PAYMENT, 30_000, 700, 1, 2), Restrictions())
SEND = ev.SendAttempt(3, line(30_000, "ad"))


def ledger(terms: Terms = PAYMENT, settled_fee_msat: int = 400, out_msat: int = 30_000) -> Ledger:
    made = Ledger(terms)
    made.attempts[1] = Attempt(1, None, 40_000, 40_000 + settled_fee_msat, AttemptStatus.SETTLED, NOW)
    if out_msat:
        made.attempts[2] = Attempt(2, None, out_msat, out_msat + 300, AttemptStatus.INFLIGHT, NOW)
    return made


def holds(
    *actions: ev.Action,
    payment: Terms = PAYMENT,
    parts: Ledger | None = None,
    result: ev.Result | None = None,
    requested_msat: int = 0,
    decided: bool = False,
) -> bool:
    try:
        check(payment, parts or ledger(payment), result, requested_msat, decided, actions)
    except SessionError:
        return False
    return True


# --- the sums ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("requested_msat", "fits"), [(0, True), (30_000, True), (30_001, False)])
def test_delivered_in_flight_and_requested_are_the_amount(requested_msat: int, fits: bool) -> None:
    """The amount is our share, not the ten times as much that every part announces."""
    assert holds(requested_msat=requested_msat) is fits


@pytest.mark.parametrize(("out_msat", "fits"), [(60_000, True), (60_001, False)])
def test_what_is_out_counts_by_itself(out_msat: int, fits: bool) -> None:
    assert holds(parts=ledger(out_msat=out_msat)) is fits


@pytest.mark.parametrize(("settled_fee_msat", "fits"), [(600, True), (601, False)])
def test_the_shadow_fee_is_within_the_limit(settled_fee_msat: int, fits: bool) -> None:
    """600 + 300 of parts and 100 of the shadow are the 1,000 that are allowed; a msat more is not."""
    assert holds(parts=ledger(settled_fee_msat=settled_fee_msat)) is fits


def test_a_preimage_must_reach_the_callers_whatever_the_sums_say() -> None:
    """A part that was reported failed has settled beside its retry; the same of parts that somebody else sends."""
    too_much = ledger(settled_fee_msat=5_000, out_msat=70_000)
    assert holds(parts=too_much, result=PAID)
    assert holds(parts=too_much, payment=replace(PAYMENT, watched=True))
    assert not holds(parts=too_much)
    assert not holds(parts=too_much, result=NOT_PAID)


# --- what it says to do -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [ASK, SEND], ids=["question", "part"])
def test_nothing_is_asked_or_sent_after_the_end(action: ev.Action) -> None:
    assert holds(action)
    for result in (PAID, NOT_PAID, ELSEWHERE):
        assert not holds(action, result=result)
    assert not holds(action, decided=True)


@pytest.mark.parametrize(
    ("amount_msat", "max_fee_msat", "fits"),
    [(1, 0, True), (0, 0, False), (0, 5, False), (-1, 5, False), (1, -1, False), (30_000, 0, True)],
)
def test_a_question_is_for_something_and_leaves_a_fee_of_nothing_at_least(
    amount_msat: int, max_fee_msat: int, fits: bool
) -> None:
    query = replace(ASK.query, amount_msat=amount_msat, max_fee_msat=max_fee_msat)
    assert holds(replace(ASK, query=query)) is fits


@pytest.mark.parametrize(("behind_blocks", "delay", "fits"), [
    (0, 2_016, True), (0, 2_017, False), (100, 2_116, True), (100, 2_117, False),
])  # fmt: skip
def test_no_part_is_out_longer_than_maxdelay(behind_blocks: int, delay: int, fits: bool) -> None:
    """Blocks that our node lacks are no wait for anybody."""
    payment = replace(PAYMENT, behind_blocks=behind_blocks)
    assert holds(ev.SendAttempt(3, line(30_000, "d", final_cltv=delay)), payment=payment) is fits


def test_a_part_to_ourselves_has_no_route_to_check() -> None:
    assert holds(ev.SendAttempt(0, None))


@pytest.mark.parametrize("error", [NOT_PAID, ELSEWHERE], ids=["not paid", "elsewhere"])
def test_no_error_while_a_part_is_out(error: ev.Result) -> None:
    nothing_out = ledger(out_msat=0)
    assert not holds(ev.Finish(error), result=error)
    assert holds(ev.Finish(error), parts=nothing_out, result=error)
    assert holds(ev.Finish(PAID), result=PAID)


def test_every_action_is_looked_at() -> None:
    harmless: Sequence[ev.Action] = (ev.WakeAt(NOW), ev.WaitHeight(1), ev.Notify("a part failed"))
    assert holds(*harmless)
    assert not holds(*harmless, SEND, decided=True)
