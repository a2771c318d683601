"""From a call and its invoice to the terms of a payment and the order of its parts: where every field comes from.

A share of 60,000 of an invoice of 100,000, so that no two amounts are the same.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pay.engine.preparation import order_for
from pay.host.calls import PartOrder
from pay.invoice import Invoice, InvoiceKind
from pay.invoice.recipient import BlindedRecipient, ClearRecipient, SelfRecipient
from pay.network.hints import HintHop
from pay.payment.settings import PartLimits, Settings, Shadow
from pay.payment.terms import Limits, PayRequest, Terms, shadow_for, terms_for, total_chosen, wakeable_channels
from pay.routing.preferences import Preferences
from pay.units import ScidDir, direction_of
from tests.support.payments import NOW, node, scid

US, D, LSP = node("us"), node("d"), node("lsp")
HINT = HintHop(LSP, scid(5), 0, 0, 40)
INVOICE = Invoice(
    kind=InvoiceKind.BOLT11,
    invstring="lnbc1",
    payment_hash=bytes([1]) * 32,
    payee=D,
    amount_msat=100_000,
    expires_at=int(NOW) + 3600,
    final_cltv=19,
    payment_secret=bytes([2]) * 32,
    payment_metadata=b"meta!",
    features=1 << 17,
    description="coffee",
    description_hash=None,
    hints=((HINT,),),
)
OPEN = replace(INVOICE, amount_msat=None)
PHONE = ClearRecipient(D, INVOICE.hints, multi_part=True)
CALL = PayRequest(
    "lnbc1",
    label="l",
    riskfactor=Decimal("2.5"),
    maxfeepercent=Decimal(30),
    retry_for_s=45,
    maxdelay_blocks=500,
    localinvreqid="77" * 32,
    exclude_nodes=frozenset({node("x")}),
    exclude_channels=frozenset({ScidDir(scid(9), 1)}),
    description="tea",
    partial_msat=60_000,
)
SETTINGS = Settings(
    Preferences(
        failure_cost_msat=31,
        failure_cost_ppm=32,
        part_cost_msat=38,
        part_cost_ppm=39,
        second_cost_msat=37,
        min_part_msat=34,
        randomness=0.36,
    ),
    PartLimits(usual_parts=22, max_parts=33, max_attempts=35, parts_option="parts", attempts_option="attempts"),
    Shadow.FULL,
)


def made(call: PayRequest = CALL, invoice: Invoice = INVOICE, recipient: Any = PHONE) -> Terms:
    return terms_for(call, invoice, recipient, SETTINGS, us=US, groupid=4, now=NOW, seed=6, behind_blocks=7)


def test_every_term() -> None:
    """The fee limit is 30 % of our share: of the rest others pay the fees."""
    assert made() == Terms(
        payment_hash=INVOICE.payment_hash,
        groupid=4,
        source=US,
        destination=D,
        amount_msat=60_000,
        total_msat=100_000,
        final_cltv=19,
        limits=Limits(
            max_fee_msat=18_000,
            fee_limit_words="maxfeepercent 30 % = 18000msat",
            max_delay_blocks=500,
            deadline_s=NOW + 45,
            parts=PartLimits(
                max_parts=33,
                usual_parts=22,
                max_attempts=35,
                parts_option="parts",
                attempts_option="attempts",
            ),
            exclude_nodes=frozenset({node("x")}),
            exclude_channels=frozenset({ScidDir(scid(9), 1)}),
        ),
        preferences=Preferences(
            riskfactor=2.5,
            failure_cost_msat=31,
            failure_cost_ppm=32,
            part_cost_msat=38,
            part_cost_ppm=39,
            second_cost_msat=37,
            min_part_msat=34,
            randomness=0.36,
            seed=6,
        ),
        expires_at_s=int(NOW) + 3600,
        created_at_s=NOW,
        metadata_bytes=5,
        wakeable=frozenset({ScidDir(scid(5), direction_of(LSP, D))}),
        to_self=False,
        behind_blocks=7,
    )


@pytest.mark.parametrize(
    ("invoice_msat", "amount_msat", "partial_msat", "ours", "total"),
    [
        (100_000, None, None, 100_000, 100_000),
        (None, 70_000, None, 70_000, 70_000),
        (100_000, None, 60_000, 60_000, 100_000),
        (None, 70_000, 60_000, 60_000, 70_000),
    ],
)
def test_our_share_and_the_whole(
    invoice_msat: int | None, amount_msat: int | None, partial_msat: int | None, ours: int, total: int
) -> None:
    invoice = replace(INVOICE, amount_msat=invoice_msat)
    found = made(replace(CALL, amount_msat=amount_msat, partial_msat=partial_msat), invoice)
    assert (found.amount_msat, found.total_msat, found.limits.max_fee_msat) == (ours, total, ours * 3 // 10)


def test_who_takes_one_part_only() -> None:
    """Without basic_mpp, and ourselves, whatever options say; nobody is woken up behind one that is no hint's
    last."""
    one = made(recipient=ClearRecipient(D, (), multi_part=False))
    assert (one.limits.parts.max_parts, one.to_self, one.wakeable) == (1, False, frozenset())
    call = made(replace(CALL, one_part=True))
    assert (call.limits.parts.max_parts, call.limits.parts.parts_option) == (1, None), "the caller wants one"
    assert (one.limits.parts.parts_option, one.limits.parts.attempts_option) == (None, "attempts")
    ourselves = made(recipient=SelfRecipient(US))
    assert (ourselves.limits.parts.max_parts, ourselves.to_self, ourselves.wakeable) == (1, True, frozenset())
    assert made(invoice=replace(INVOICE, payment_metadata=None)).metadata_bytes == 0


def test_the_last_channels_of_hints_may_be_asleep() -> None:
    far = HintHop(node("far"), scid(6), 0, 0, 40)
    found = wakeable_channels(ClearRecipient(D, ((far, HINT), (), (far,)), multi_part=True))
    assert found == {ScidDir(scid(5), direction_of(LSP, D)), ScidDir(scid(6), direction_of(node("far"), D))}
    assert wakeable_channels(BlindedRecipient(D)) == frozenset()


def test_every_word_of_the_order() -> None:
    """Each part announces the whole, the shadow fee included, not our share."""
    terms = made().with_shadow(blocks=80, fee_msat=90)
    order = PartOrder(
        payment_hash="01" * 32,
        total_msat=100_090,
        groupid=4,
        bolt11="lnbc1",
        payment_secret="02" * 32,
        payment_metadata=b"meta!".hex(),
        label="l",
        description="tea",
        localinvreqid="77" * 32,
    )
    assert order_for(CALL, INVOICE, terms) == order
    bare = order_for(CALL, replace(INVOICE, payment_secret=None, payment_metadata=None), terms)
    assert bare == replace(order, payment_secret=None, payment_metadata=None)


WHOLE = replace(CALL, partial_msat=None)


@pytest.mark.parametrize(
    ("invoice", "partial_msat", "chosen"),
    [(INVOICE, None, False), (OPEN, None, True), (INVOICE, 60_000, True), (INVOICE, 100_000, True)],
)
def test_more_than_was_asked_only_where_all_of_it_is_ours(
    invoice: Invoice, partial_msat: int | None, chosen: bool
) -> None:
    call = replace(CALL, partial_msat=partial_msat)
    assert total_chosen(call, invoice) is chosen
    assert shadow_for(call, invoice, Shadow.FULL) is (Shadow.DELAY if chosen else Shadow.FULL)
    for wanted in (Shadow.OFF, Shadow.DELAY):
        assert shadow_for(call, invoice, wanted) is wanted
    assert shadow_for(replace(call, use_shadow=False), invoice, Shadow.FULL) is Shadow.OFF
