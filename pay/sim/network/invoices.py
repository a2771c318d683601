"""Invoices of simulated recipients, and what a recipient does with the HTLCs that pay them.

HTLCs of one invoice are gathered into a set (BOLT 4, "Basic Multi-Part Payments"): held until they reach the
total that every one of them announces, then settled together, or failed together after a minute. An
invoice is paid once; a held one is settled or refused only on request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from pay.network import RouteHint
from pay.sim.network.bolt11 import Bolt11, encode
from pay.sim.network.clock import Clock, Timer
from pay.sim.network.failures import FailCode, failure
from pay.sim.network.htlc import FinalPayload
from pay.units import NodeId

MPP_TIMEOUT_S = 60.0
"""How long a recipient waits for the rest of a set: BOLT 4 says at least 60 seconds; lightningd waits 70."""

FINAL_CLTV_BLOCKS = {"bitcoin": 18}
"""lightningd's min_final_cltv_expiry_delta by chain: 18 on mainnet (BOLT 11's default too), 10 elsewhere."""

INVOICE_FEATURES = 1 << 8 | 1 << 14 | 1 << 17
"""var_onion and payment_secret required, basic_mpp optional: what lightningd's invoices say."""

_BASIC_MPP = 3 << 16
_METADATA_TLV = 16


CURRENCIES = {"bitcoin": "bc", "testnet": "tb", "testnet4": "tb", "signet": "tbs", "regtest": "bcrt"}
"""chain -> prefix of an invoice behind `ln` (BOLT 11)."""


class InvoiceStatus(Enum):
    """As `listinvoices` words it."""

    UNPAID = "unpaid"
    PAID = "paid"
    EXPIRED = "expired"


class Incoming(Protocol):
    """An HTLC that arrived at its recipient and waits for a verdict."""

    @property
    def htlc_id(self) -> int: ...

    @property
    def cltv_expiry(self) -> int: ...

    @property
    def amount_msat(self) -> int: ...

    def settle(self, preimage: bytes) -> None: ...

    def fail(self, message: bytes) -> None: ...


@dataclass(slots=True, eq=False)
class SimInvoice:
    """An invoice and how far it is paid. `amount_msat` None leaves the amount to the payer."""

    node: NodeId
    amount_msat: int | None
    description: str | None
    description_hash: bytes | None
    preimage: bytes
    payment_hash: bytes
    payment_secret: bytes | None
    created_at: int
    expiry_s: int
    final_cltv: int
    features: int
    metadata: bytes | None = None
    hints: tuple[RouteHint, ...] = ()
    hold: bool = False
    """A complete set is kept until `World.release_invoice` or `World.cancel_invoice`."""
    cancelled: bool = False
    paid_at: int | None = None
    received_msat: int = 0
    """What arrived, 0 until it is paid."""
    parts: list[Incoming] = field(default_factory=list)
    """HTLCs that wait here."""
    encode: Callable[[SimInvoice], str] | None = None
    on_paid: Callable[[], None] | None = None
    """Called when it is, for whoever cannot go by `paid_at`: clocks may be set ahead or back."""
    _text: str | None = None
    _total_msat: int = 0
    _timer: Timer | None = None

    @property
    def bolt11(self) -> str:
        """The invoice as text; encoded and signed when first asked for.

        Raises
        ------
        ValueError
            If the key of its node is not known.
        """
        if self._text is None:
            if self.encode is None:
                raise ValueError("this invoice was made without an encoder")
            self._text = self.encode(self)
        return self._text

    @property
    def expires_at(self) -> int:
        """Seconds since 1970."""
        return self.created_at + self.expiry_s

    @property
    def held_msat(self) -> int:
        """What waits here."""
        return sum(part.amount_msat for part in self.parts)

    @property
    def complete(self) -> bool:
        """Whether the HTLCs that wait reach the total they announce."""
        return bool(self.parts) and self.held_msat >= self._total_msat

    def status(self, now: float) -> InvoiceStatus:
        if self.paid_at is not None:
            return InvoiceStatus.PAID
        return InvoiceStatus.EXPIRED if now > self.expires_at else InvoiceStatus.UNPAID


def bolt11_of(invoice: SimInvoice, chain: str, secret: bytes, payee: NodeId | None = None) -> str:
    """The invoice as text, signed; in the name of `payee` where the key is not the recipient's."""
    fields = Bolt11(
        payment_hash=invoice.payment_hash,
        created_at=invoice.created_at,
        amount_msat=invoice.amount_msat,
        description=invoice.description,
        description_hash=invoice.description_hash,
        payment_secret=invoice.payment_secret,
        currency=CURRENCIES[chain],
        expiry=invoice.expiry_s,
        min_final_cltv_expiry=invoice.final_cltv,
        features=invoice.features,
        payment_metadata=invoice.metadata,
        routes=invoice.hints,
    )
    if payee is not None:
        fields = replace(fields, payee_named=True, payee=payee)
    return encode(fields, secret)


def receive(
    clock: Clock, invoice: SimInvoice, htlc: Incoming, final: FinalPayload, height: int, mpp_timeout_s: float
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
        invoice._total_msat = final.total_msat
    elif final.total_msat != invoice._total_msat:
        # BOLT 4: SHOULD fail the entire HTLC set if `total_msat` is not the same for all HTLCs in the set.
        fail_parts(invoice, lambda _: failure(FailCode.FINAL_INCORRECT_HTLC_AMOUNT, htlc_msat=htlc.amount_msat))
        return
    if invoice.complete:
        _stop_timer(invoice)
        if not invoice.hold:
            settle_parts(clock, invoice)
    elif invoice._timer is None:
        # BOLT 4: SHOULD wait for at least 60 seconds after the initial HTLC.
        invoice._timer = clock.call_later(
            mpp_timeout_s, lambda: fail_parts(invoice, lambda _: failure(FailCode.MPP_TIMEOUT))
        )


def unknown_details(amount_msat: int, height: int) -> bytes:
    """The one refusal that gives nothing away (BOLT 4, incorrect_or_unknown_payment_details)."""
    return failure(FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS, htlc_msat=amount_msat, height=height)


def _refusal(now: float, invoice: SimInvoice, htlc: Incoming, final: FinalPayload, height: int) -> bytes | None:
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


def fail_parts(invoice: SimInvoice, message: Callable[[Incoming], bytes]) -> None:
    """Turn every HTLC of the set away, each with its message; the invoice can still be paid."""
    _stop_timer(invoice)
    for part in _take_parts(invoice):
        part.fail(message(part))


def _take_parts(invoice: SimInvoice) -> Sequence[Incoming]:
    parts, invoice.parts = invoice.parts, []
    return parts


def _stop_timer(invoice: SimInvoice) -> None:
    if invoice._timer is not None:
        invoice._timer.cancel()
        invoice._timer = None
