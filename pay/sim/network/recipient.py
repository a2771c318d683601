"""What a recipient does with the HTLCs that pay its invoices.

HTLCs of one invoice are gathered into a set (BOLT 4, "Basic Multi-Part Payments"): held until they reach the
total that every one of them announces, then settled together, or failed together after a minute. An invoice is
paid once; a held one is settled or refused only on request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pay.sim.network.clock import Clock
from pay.sim.network.encoding.failures import FailCode, failure
from pay.sim.network.htlc import FinalPayload
from pay.sim.network.invoices import ArrivedHtlc, InvoiceStatus, SimInvoice

MPP_TIMEOUT_S = 60.0
"""How long a recipient waits for the rest of a set: BOLT 4 says at least 60 seconds; lightningd waits 70."""

_BASIC_MPP = 3 << 16
_METADATA_TLV = 16


def receive(
    clock: Clock, invoice: SimInvoice, htlc: ArrivedHtlc, final: FinalPayload, height: int, mpp_timeout_s: float
) -> None:
    """What the recipient does with an HTLC for `invoice`: refuse it, keep it, or settle the set it completes.

    `height` is the one the recipient believes in.
    """
    refusal = _refusal(clock.now(), invoice, htlc, final, height)
    if refusal is not None:
        htlc.fail(refusal)
        return
    invoice.parts.append(htlc)
    if len(invoice.parts) == 1:
        invoice.total_msat = final.total_msat
    elif final.total_msat != invoice.total_msat:
        # BOLT 4: SHOULD fail the entire HTLC set if `total_msat` is not the same for all HTLCs in the set.
        fail_parts(invoice, lambda _: failure(FailCode.FINAL_INCORRECT_HTLC_AMOUNT, htlc_msat=htlc.amount_msat))
        return
    if invoice.complete:
        _stop_timer(invoice)
        if not invoice.hold:
            settle_parts(clock, invoice)
    elif invoice.timer is None:
        # BOLT 4: SHOULD wait for at least 60 seconds after the initial HTLC.
        invoice.timer = clock.call_later(
            mpp_timeout_s, lambda: fail_parts(invoice, lambda _: failure(FailCode.MPP_TIMEOUT))
        )


def unknown_details(amount_msat: int, height: int) -> bytes:
    """The one refusal that gives nothing away (BOLT 4, incorrect_or_unknown_payment_details)."""
    return failure(FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS, htlc_msat=amount_msat, height=height)


def _refusal(now: float, invoice: SimInvoice, htlc: ArrivedHtlc, final: FinalPayload, height: int) -> bytes | None:
    """The failure message with which this HTLC is turned away at once, None if it joins the set."""
    refused = unknown_details(htlc.amount_msat, height)
    if payment_problem(now, invoice, invoice.payment_hash, final.total_msat, final.payment_secret) is not None:
        return refused
    if final.metadata != invoice.metadata:
        if invoice.metadata is None:
            return failure(FailCode.INVALID_ONION_PAYLOAD, tlv_type=_METADATA_TLV)
        return refused
    # BOLT 4: MUST return an error if `cltv_expiry` < current height + min_final_cltv_expiry_delta.
    if htlc.cltv_expiry < height + invoice.final_cltv:
        return refused
    # BOLT 4: without basic_mpp, and without a secret, one HTLC must carry it all.
    alone = invoice.payment_secret is None or not invoice.features & _BASIC_MPP
    if alone and (invoice.parts or htlc.amount_msat < final.total_msat):
        return refused
    return None


def payment_problem(
    now: float, invoice: SimInvoice | None, payment_hash: bytes, total_msat: int, payment_secret: bytes | None
) -> str | None:
    """Why a payment of `total_msat` is not what the invoice asks for, in lightningd's words; None if it is."""
    name = payment_hash.hex()
    # BOLT 4: if the payment hash is unknown, MUST fail the HTLC.
    if invoice is None:
        return f"Unknown invoice {name}"
    # BOLT 4: if the payment hash has already been paid, MAY treat the payment hash as unknown.
    if invoice.cancelled or invoice.status(now) is not InvoiceStatus.UNPAID:
        return f"Already paid or expired invoice {name}"
    # BOLT 4: if the `payment_secret` doesn't match, or is required and is not present, MUST fail the HTLC.
    if payment_secret is None and invoice.payment_secret is not None:
        return f"Attempt to pay {name} without secret"
    if payment_secret is not None and payment_secret != invoice.payment_secret:
        return f"Attempt to pay {name} with wrong payment_secret"
    # BOLT 4: "amount paid" is `total_msat`; less than expected MUST fail, more than twice SHOULD.
    expected_msat = invoice.amount_msat
    if expected_msat is not None and total_msat < expected_msat:
        return f"Attempt to pay {name} with amount {total_msat}msat < {expected_msat}msat"
    if expected_msat is not None and total_msat > 2 * expected_msat:
        return f"Attempt to pay {name} with amount {total_msat}msat > {2 * expected_msat}msat"
    return None


def settle_parts(clock: Clock, invoice: SimInvoice) -> None:
    """Reveal the preimage to every HTLC of the set; the invoice is paid."""
    _stop_timer(invoice)
    parts = _take_parts(invoice)
    invoice.paid_at = int(clock.now())
    if invoice.on_paid is not None:
        invoice.on_paid()
    invoice.received_msat = sum(part.amount_msat for part in parts)
    for part in parts:
        part.settle(invoice.preimage)


def fail_parts(invoice: SimInvoice, message: Callable[[ArrivedHtlc], bytes]) -> None:
    """Turn every HTLC of the set away, each with its message; the invoice can still be paid."""
    _stop_timer(invoice)
    for part in _take_parts(invoice):
        part.fail(message(part))


def _take_parts(invoice: SimInvoice) -> Sequence[ArrivedHtlc]:
    parts, invoice.parts = invoice.parts, []
    return parts


def _stop_timer(invoice: SimInvoice) -> None:
    if invoice.timer is not None:
        invoice.timer.cancel()
        invoice.timer = None
