"""What refuses a call of `pay`, and what of it holds against a payment of the same hash: each check by itself.

Callers book these errors as "surely unpaid", so a check that is too strict is as wrong as one that is missing. The
invoice is of d, for 100,000 msat unless it says otherwise, and expires an hour after NOW.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pay.commands.form.errors import error_data
from pay.engine.checks import (
    amount_of_known,
    amount_paid_before,
    check_invoice,
    check_joins,
    check_limits,
    check_request,
    check_watches,
    chosen_msat,
)
from pay.engine.live.register import Known
from pay.engine.live.running import Running
from pay.engine.records.paid_before import BeingPaid, PaidBefore
from pay.errors import Code, PayError
from pay.invoice import Invoice, InvoiceKind, recipient_of
from pay.invoice.recipient import ClearRecipient
from pay.payment import events as ev
from pay.payment.receipt import Receipt
from pay.payment.session import PaymentSession
from pay.payment.terms import PayRequest, Terms, watch_terms
from tests.support.invoices import EXPIRES, INVOICE, OPEN, US, D
from tests.support.payments import NOW, PREIMAGE, node, terms


def request(**fields: Any) -> PayRequest:
    return PayRequest("lnbc1", **fields)


def refusal(check: Callable[..., Any], *given: Any) -> tuple[int, str] | None:
    """Code and words; None where the check lets it pass."""
    try:
        check(*given)
    except PayError as error:
        return error.code, error.message
    return None


def code(check: Callable[..., Any], *given: Any) -> int | None:
    found = refusal(check, *given)
    return None if found is None else found[0]


# --- before the past is looked at --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("invoice", "fields", "words"),
    [
        (INVOICE, {}, None),
        (OPEN, {}, None),
        (OPEN, {"amount_msat": 5}, None),
        (INVOICE, {"amount_msat": 100_000}, "amount_msat: unnecessary, the invoice asks for 100000msat"),
        (INVOICE, {"partial_msat": 100_000}, None),
        (INVOICE, {"partial_msat": 100_001}, "partial_msat must be less or equal to total amount 100000msat"),
        (OPEN, {"amount_msat": 70, "partial_msat": 70}, None),
        (
            OPEN,
            {"amount_msat": 70, "partial_msat": 71},
            "partial_msat must be less or equal to total amount 70msat",
        ),
        # Without an amount the call is refused for that, later.
        (OPEN, {"partial_msat": 10**9}, None),
        (replace(INVOICE, payee=US), {}, None),
        (
            replace(INVOICE, payee=US),
            {"partial_msat": 1},
            "partial_msat: not supported for a payment to ourselves",
        ),
        (INVOICE, {"description": "tea"}, None),
        (replace(INVOICE, description_hash=hashlib.sha256(b"tea").digest()), {}, None),
        (replace(INVOICE, description_hash=hashlib.sha256(b"tea").digest()), {"description": "tea"}, None),
        (
            replace(INVOICE, description_hash=hashlib.sha256(b"tea").digest()),
            {"description": "coffee"},
            "description: does not match description hash",
        ),
    ],
)
def test_what_the_invoice_itself_refutes(invoice: Invoice, fields: dict[str, Any], words: str | None) -> None:
    found = refusal(check_request, request(**fields), invoice, US)
    if words is None:
        assert found is None
    else:
        assert found is not None and found[0] == Code.INVALID_PARAMS and found[1].startswith(words)


@pytest.mark.parametrize("fields", [{}, {"amount_msat": 5}])
def test_an_invoice_for_nothing(fields: dict[str, Any]) -> None:
    """With an amount or without one it is refused alike: no advice leads into the other refusal."""
    nothing = replace(INVOICE, amount_msat=0)
    with pytest.raises(PayError, match="ask the recipient for one with an amount") as error:
        check_request(request(**fields), nothing, US)
        check_invoice(request(**fields), nothing, EXPIRES)
    assert error.value.code == Code.INVALID_PARAMS


# --- after it: what the invoice requires, and time ---------------------------------------------------------------


def test_the_second_of_the_expiry_is_still_good() -> None:
    assert code(check_invoice, request(), INVOICE, EXPIRES) is None
    with pytest.raises(PayError) as error:
        check_invoice(request(), INVOICE, EXPIRES + 1)
    assert (error.value.code, error_data(error.value)) == (
        Code.INVOICE_EXPIRED,
        {"now": EXPIRES + 1, "expiry": EXPIRES},
    )
    assert error.value.message.startswith("Invoice expired 1 s ago")


@pytest.mark.parametrize(
    ("invoice", "fields", "words"),
    [
        (OPEN, {}, "missing required parameter: amount_msat"),
        (OPEN, {"amount_msat": 1}, None),
        (replace(INVOICE, amount_msat=1), {}, None),
        (replace(INVOICE, amount_msat=0), {}, "bolt11: the invoice asks for 0msat"),
        (replace(INVOICE, features=1 << 50), {}, "bolt11: the invoice requires feature bit 50"),
        (replace(INVOICE, payment_secret=None), {}, "bolt11: the invoice has no payment_secret"),
    ],
)
def test_what_can_be_paid_at_all(invoice: Invoice, fields: dict[str, Any], words: str | None) -> None:
    found = refusal(check_invoice, request(**fields), invoice, int(NOW))
    if words is None:
        assert found is None
    else:
        assert found is not None and found[0] == Code.INVALID_PARAMS and found[1].startswith(words)


def limits(invoice: Invoice, **fields: Any) -> tuple[int, str] | None:
    return refusal(check_limits, request(**fields), invoice, recipient_of(invoice, US), US)


def test_limits_that_no_route_can_keep() -> None:
    """Said before a route is looked for; what is exactly at the limit is tried."""
    assert limits(INVOICE) is None
    assert limits(INVOICE, maxdelay_blocks=18) is None
    assert limits(INVOICE, maxdelay_blocks=17) == (
        Code.ROUTE_TOO_EXPENSIVE,
        "The recipient alone needs 18 blocks, but maxdelay is 17: raise it",
    )
    assert limits(replace(INVOICE, payee=US), maxdelay_blocks=17) is None, "nothing is locked on the way to us"
    assert limits(INVOICE, exclude_nodes=frozenset({D})) == (Code.ROUTE_NOT_FOUND, "Payee is manually excluded")
    ourselves = limits(INVOICE, exclude_nodes=frozenset({US}))
    assert ourselves == (Code.ROUTE_NOT_FOUND, "Our own node is manually excluded")
    assert limits(INVOICE, exclude_nodes=frozenset({node("x")})) is None
    blinded = limits(replace(INVOICE, kind=InvoiceKind.BOLT12))
    assert blinded is not None and blinded[0] == Code.OTHER and "use `xpay`" in blinded[1]


# --- against a payment of the same hash --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("invoice", "fields", "msat"),
    [
        (INVOICE, {}, None),
        (OPEN, {}, None),
        (OPEN, {"amount_msat": 70_000}, 70_000),
        (INVOICE, {"partial_msat": 60_000}, 60_000),
        # A share that is the whole is no choice, whatever the words.
        (INVOICE, {"partial_msat": 100_000}, None),
        (OPEN, {"amount_msat": 70_000, "partial_msat": 60_000}, 60_000),
        (OPEN, {"amount_msat": 70_000, "partial_msat": 70_000}, 70_000),
    ],
)
def test_the_amount_that_the_caller_chose(invoice: Invoice, fields: dict[str, Any], msat: int | None) -> None:
    assert chosen_msat(request(**fields), invoice) == msat


def live(payment: Terms, *parts: ev.FoundPart, total_known: bool = True) -> Running:
    """In work, with these parts out."""
    session = PaymentSession(payment)
    session.handle(ev.Started(parts), NOW)
    return Running(session, ClearRecipient(D, (), False), None, total_known=total_known)


JOINED = "This payment_hash is being paid with 100000msat, not with {}msat"


@pytest.mark.parametrize(
    ("invoice", "fields", "msat"),
    [
        (INVOICE, {}, None),
        (OPEN, {"amount_msat": 100_000}, None),
        (OPEN, {}, None),
        (OPEN, {"amount_msat": 100_001}, 100_001),
        (OPEN, {"amount_msat": 99_999}, 99_999),
        (INVOICE, {"partial_msat": 60_000}, 60_000),
        (replace(INVOICE, amount_msat=200_000), {"partial_msat": 100_000}, None),
        (replace(INVOICE, amount_msat=200_000), {}, 200_000),
    ],
)
def test_joining_a_payment_of_ours(invoice: Invoice, fields: dict[str, Any], msat: int | None) -> None:
    """It comes to 100,000 for sure, the shadow fee on top is nothing that callers know."""
    running = live(terms(100_000).with_shadow(blocks=0, fee_msat=500), ev.FoundPart(1, 40_000, 40_100))
    wanted = None if msat is None else (Code.ALREADY_USED, JOINED.format(msat))
    assert refusal(check_joins, request(**fields), invoice, running) == wanted


@pytest.mark.parametrize(("chosen", "other"), [(59_999, True), (60_000, False), (100_000, False)])
def test_joining_parts_whose_total_nobody_knows(chosen: int, other: bool) -> None:
    """40,000 have settled, 20,000 are out: a payment of less it cannot be, of more it can."""
    watched = watch_terms(bytes(32), 1, US, D, 0, NOW)
    parts = (ev.FoundPart(1, 40_000, 40_000), ev.FoundPart(2, 20_000, 20_000))
    running = live(watched, *parts, total_known=False)
    running.session.handle(ev.AttemptSettled(1, PREIMAGE), NOW)
    wanted = (Code.ALREADY_USED, f"This payment_hash is being paid with 60000msat, not with {chosen}msat")
    found = refusal(check_joins, request(amount_msat=chosen), OPEN, running)
    assert found == (wanted if other else None)
    assert refusal(check_joins, request(), INVOICE, running) is None, "an amount of the invoice's is no choice"


def test_joining_with_an_invoice_of_another_payee() -> None:
    found = refusal(check_joins, request(), replace(INVOICE, payee=node("e")), live(terms(100_000)))
    assert found is not None and found[0] == Code.ALREADY_USED
    assert found[1].startswith(
        f"This payment_hash is being paid to {D.hex()}: this invoice is of {node('e').hex()}"
    )
    zero = type(D)(b"\x02" + bytes(31) + b"\x01")
    assert code(check_joins, request(), INVOICE, live(terms(100_000, destination=zero))) == Code.ALREADY_USED
    nobody = live(watch_terms(bytes(32), 1, US, type(D)(bytes(33)), 0, NOW), total_known=False)
    assert refusal(check_joins, request(), INVOICE, nobody) is None, "whom it pays is not known"


@pytest.mark.parametrize(
    ("delivered_msat", "chosen", "other"),
    [(60_000, 59_999, True), (60_000, 60_000, False), (60_000, 70_000, False), (None, 1, False)],
)
def test_watching_what_somebody_else_sends(delivered_msat: int | None, chosen: int, other: bool) -> None:
    record = BeingPaid(7, (), delivered_msat, int(NOW), D.hex())
    wanted = (Code.ALREADY_USED, f"This payment_hash is being paid with 60000msat, not with {chosen}msat")
    assert refusal(check_watches, request(amount_msat=chosen), OPEN, record) == (wanted if other else None)
    assert refusal(check_watches, request(), INVOICE, record) is None
    other_payee = replace(record, destination=node("e").hex())
    assert code(check_watches, request(), INVOICE, other_payee) == Code.ALREADY_USED
    assert refusal(check_watches, request(), INVOICE, replace(record, destination=None)) is None


def known(amount_msat: int, whole: bool = True, destination: bytes | None = D) -> Known:
    paid = ev.Paid(PREIMAGE, amount_msat, amount_msat + 10, 1, False)
    payee = None if destination is None else type(D)(destination)
    return Known(Receipt(bytes(32), payee, int(NOW), paid), whole, frozenset({1}))


def test_paid_in_this_run() -> None:
    """With another amount it was another payment, if all of it was ours; else the call's amount is answered."""
    assert amount_of_known(request(), INVOICE, known(100_000)) == 100_000
    assert amount_of_known(request(amount_msat=70_000), OPEN, known(70_000)) == 70_000
    assert amount_of_known(request(), OPEN, known(70_000)) == 70_000
    assert amount_of_known(request(amount_msat=80_000), OPEN, known(70_000, whole=False)) == 70_000
    assert amount_of_known(request(), INVOICE, known(60_000)) == 100_000, "ours was a share of it"
    found = refusal(amount_of_known, request(amount_msat=80_000), OPEN, known(70_000))
    assert found == (Code.ALREADY_USED, "This payment_hash was already paid with 70000msat, not with 80000msat")
    another = refusal(amount_of_known, request(), INVOICE, known(100_000, destination=node("e")))
    assert another is not None and another[0] == Code.ALREADY_USED
    assert another[1].startswith(f"This payment_hash was already paid to {node('e').hex()}: this invoice is of")
    zero = b"\x02" + bytes(31) + b"\x01"
    assert code(amount_of_known, request(), INVOICE, known(100_000, destination=zero)) == Code.ALREADY_USED
    assert amount_of_known(request(), INVOICE, known(100_000, destination=None)) == 100_000


PAST = PaidBefore(
    preimage=PREIMAGE,
    delivered_msat=60_000,
    sent_msat=60_600,
    parts=1,
    created_at=int(NOW),
    destination=D.hex(),
    partids=frozenset({1}),
    pending=False,
    failed_late_msat=0,
)


@pytest.mark.parametrize(
    ("invoice", "chosen", "record", "total_msat", "amount_msat"),
    [
        (INVOICE, None, PAST, None, 100_000),
        (OPEN, 60_000, PAST, None, 60_000),
        (OPEN, None, PAST, None, 60_000),
        (OPEN, None, PAST, 90_000, 90_000),
        (OPEN, None, replace(PAST, delivered_msat=None), None, 0),
        (OPEN, 50_000, replace(PAST, delivered_msat=None), None, 50_000),
        (OPEN, 90_000, PAST, 90_000, 90_000),
        # The journal knows better than a row that is left alone.
        (OPEN, 60_000, PAST, 90_000, "with 90000msat, not with 60000msat"),
        # It may have been of more than its row shows: what is known is said.
        (OPEN, 70_000, PAST, None, 60_000),
        (OPEN, 50_000, PAST, None, "with 60000msat, not with 50000msat"),
        (OPEN, 70_000, replace(PAST, partids=frozenset({0})), None, "with 60000msat, not with 70000msat"),
        (INVOICE, None, replace(PAST, destination=node("e").hex()), None, f"to {node('e').hex()}: this invoice"),
        (INVOICE, None, replace(PAST, destination=None), None, 100_000),
    ],
)
def test_paid_before_as_the_host_has_it(
    invoice: Invoice, chosen: int | None, record: PaidBefore, total_msat: int | None, amount_msat: int | str
) -> None:
    call = request(amount_msat=chosen)
    if isinstance(amount_msat, int):
        assert amount_paid_before(call, invoice, record, total_msat) == amount_msat
    else:
        found = refusal(amount_paid_before, call, invoice, record, total_msat)
        assert found is not None and found[0] == Code.ALREADY_USED
        assert found[1].startswith(f"This payment_hash was already paid {amount_msat}")
