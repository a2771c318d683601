"""What refuses a call of `pay`, in the order that keeps answers true.

    before the past of its hash is looked at    parameters that the invoice itself refutes: a wrong call stays one,
                                                also of an invoice that is paid
    with that past                              another amount or another recipient than that of the payment: 201,
                                                where it is certain
    after it                                    what the invoice requires, time, and the caller's limits

Callers book these errors as "surely unpaid". So what depends on time and limits is said only of an invoice that is
not paid and has nothing out: an expired one that was paid is a success.
"""

from __future__ import annotations

from pay.engine.live.register import Known
from pay.engine.live.running import Running
from pay.engine.records.paid_before import BeingPaid, PaidBefore
from pay.errors import Code, Expired, Hindered, PayError, TooSlow, invalid_param
from pay.invoice import Invoice, Recipient
from pay.invoice.recipient import BlindedRecipient, ClearRecipient, SelfRecipient
from pay.payment.terms import PayRequest
from pay.routing.query import NoRouteReason
from pay.units import NodeId

_EXCLUDED = Hindered(NoRouteReason.EXCLUDED)


def check_request(request: PayRequest, invoice: Invoice, us: NodeId) -> None:
    """What the parameters say against what the invoice says. Raises -32602."""
    if invoice.amount_msat == 0 and request.amount_msat is not None:
        raise _for_nothing()
    if invoice.amount_msat is not None and request.amount_msat is not None:
        raise invalid_param(
            "amount_msat", f"unnecessary, the invoice asks for {invoice.amount_msat}msat: leave it out"
        )
    amount = invoice.amount_msat if invoice.amount_msat is not None else request.amount_msat
    if request.partial_msat is not None:
        if amount is not None and request.partial_msat > amount:
            # The builtin's words, which callers look for.
            problem = f"partial_msat must be less or equal to total amount {amount}msat"
            raise PayError(Code.INVALID_PARAMS, problem)
        if invoice.payee == us:
            raise invalid_param("partial_msat", "not supported for a payment to ourselves")
    if request.description is not None and not invoice.describe_hash_matches(request.description):
        raise invalid_param("description", "does not match description hash of the invoice")


def check_invoice(request: PayRequest, invoice: Invoice, now: int) -> None:
    """Whether the invoice can be paid at unix time `now`. Raises -32602, 207."""
    invoice.check_payable()
    amount = invoice.amount_msat if invoice.amount_msat is not None else request.amount_msat
    if amount is None:
        raise PayError(Code.INVALID_PARAMS, "missing required parameter: amount_msat (the invoice has none)")
    if amount == 0:
        raise _for_nothing()
    if now > invoice.expires_at:
        raise PayError(
            Code.INVOICE_EXPIRED,
            f"Invoice expired {now - invoice.expires_at} s ago: ask the recipient for a new one",
            Expired(now, invoice.expires_at),
        )


def _for_nothing() -> PayError:
    """Of an invoice for 0: neither with an amount nor without one can a call of it be right."""
    return invalid_param(
        "bolt11",
        "the invoice asks for 0msat, which cannot be sent, nor anything else for it: ask the recipient for one "
        "with an amount, or for any amount",
    )


class BlindedPaths(PayError):
    """A recipient who is reached only by what the node itself can do."""


def check_begins(request: PayRequest) -> None:
    """Whether a payment may begin as the call asks, where there is none to join. Raises -32602."""
    if request.layers:
        raise invalid_param(
            "layers",
            "no payment of this invoice is in work, and one of this plugin cannot respect layers: call again, and "
            "the node's own command takes it",
        )


def check_limits(request: PayRequest, invoice: Invoice, recipient: Recipient, us: NodeId) -> None:
    """What can be seen to fail before a route is looked for. Raises -1, 205, 206."""
    if invoice.payee in request.exclude_nodes:
        raise PayError(Code.ROUTE_NOT_FOUND, "Payee is manually excluded", _EXCLUDED)
    if us in request.exclude_nodes:
        raise PayError(Code.ROUTE_NOT_FOUND, "Our own node is manually excluded", _EXCLUDED)
    match recipient:
        case BlindedRecipient():
            raise BlindedPaths(
                Code.OTHER, "BOLT 12 invoices have blinded paths, which this sender cannot use yet: use `xpay`"
            )
        case ClearRecipient():
            if invoice.final_cltv > request.maxdelay_blocks:
                raise PayError(
                    Code.ROUTE_TOO_EXPENSIVE,
                    f"The recipient alone needs {invoice.final_cltv} blocks, but maxdelay is "
                    f"{request.maxdelay_blocks}: raise it",
                    TooSlow(invoice.final_cltv, request.maxdelay_blocks),
                )
        case SelfRecipient():
            pass


# --- against a payment of the same hash -------------------------------------------------------------------


def chosen_msat(request: PayRequest, invoice: Invoice) -> int | None:
    """The amount that the caller chose; None where it is the invoice's, or not said."""
    if request.partial_msat is not None and request.partial_msat != invoice.amount_msat:
        return request.partial_msat
    return request.amount_msat if invoice.amount_msat is None else None


def check_joins(request: PayRequest, invoice: Invoice, running: Running) -> None:
    """Whether the call means the payment in work. Raises 201 where it certainly does not."""
    session, chosen = running.session, chosen_msat(request, invoice)
    terms = session.terms
    what = "is being paid"
    _check_payee(invoice, terms.destination.hex() if any(terms.destination) else None, what)
    if running.total_known:
        amount = chosen if chosen is not None else invoice.amount_msat
        if amount is not None and amount != terms.asked_msat:
            raise _another_amount(what, terms.asked_msat, amount)
    elif chosen is not None and session.in_flight_msat + session.delivered_msat > chosen:
        raise _another_amount(what, session.in_flight_msat + session.delivered_msat, chosen)


def check_watches(request: PayRequest, invoice: Invoice, record: BeingPaid) -> None:
    """Whether the call can mean the parts that are out, whose total nobody here knows. Raises 201."""
    chosen = chosen_msat(request, invoice)
    _check_payee(invoice, record.destination, "is being paid")
    if chosen is not None and record.delivered_msat is not None and record.delivered_msat > chosen:
        raise _another_amount("is being paid", record.delivered_msat, chosen)


def amount_of_known(request: PayRequest, invoice: Invoice, known: Known) -> int:
    """The amount to answer with for a payment that this run has seen paid. Raises 201."""
    chosen, paid_msat = chosen_msat(request, invoice), known.receipt.paid.amount_msat
    destination = known.receipt.destination
    _check_payee(invoice, None if destination is None else destination.hex(), "was already paid")
    if chosen is None:
        return invoice.amount_msat or paid_msat
    if known.whole and chosen != paid_msat:
        raise _another_amount("was already paid", paid_msat, chosen)
    return paid_msat


def amount_paid_before(request: PayRequest, invoice: Invoice, record: PaidBefore, total_msat: int | None) -> int:
    """The same for one of which the host's rows tell; `total_msat` is what the journal has kept of it."""
    chosen = chosen_msat(request, invoice)
    _check_payee(invoice, record.destination, "was already paid")
    if chosen is not None and record.certainly_not(chosen, total_msat):
        raise _another_amount("was already paid", total_msat or record.delivered_msat, chosen)
    if chosen is not None and total_msat is None:
        # It cannot be said that it was another amount, nor that it was this one.
        return record.delivered_msat or chosen
    return chosen or invoice.amount_msat or total_msat or record.delivered_msat or 0


def _check_payee(invoice: Invoice, destination: str | None, what: str) -> None:
    if destination is not None and destination != invoice.payee.hex():
        raise PayError(
            Code.ALREADY_USED,
            f"This payment_hash {what} to {destination}: this invoice is of {invoice.payee.hex()}",
        )


def _another_amount(what: str, known_msat: int | None, amount_msat: int) -> PayError:
    return PayError(
        Code.ALREADY_USED, f"This payment_hash {what} with {known_msat}msat, not with {amount_msat}msat"
    )
