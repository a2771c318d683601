"""Invoices of simulated recipients: what they ask, how far they are paid, and their text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from pay.network import RouteHint
from pay.sim.network.clock import Timer
from pay.sim.network.encoding.bolt11 import CURRENCIES, Bolt11, encode
from pay.units import NodeId

FINAL_CLTV_BLOCKS = {"bitcoin": 18}
"""lightningd's min_final_cltv_expiry_delta by chain: 18 on mainnet (BOLT 11's default too), 10 elsewhere."""

INVOICE_FEATURES = 1 << 8 | 1 << 14 | 1 << 17
"""var_onion and payment_secret required, basic_mpp optional: what lightningd's invoices say."""


class InvoiceStatus(Enum):
    """As `listinvoices` words it."""

    UNPAID = "unpaid"
    PAID = "paid"
    EXPIRED = "expired"


class ArrivedHtlc(Protocol):
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
    parts: list[ArrivedHtlc] = field(default_factory=list)
    """HTLCs that wait here."""
    encode: Callable[[SimInvoice], str] | None = None
    on_paid: Callable[[], None] | None = None
    """Called when it is, for whoever cannot go by `paid_at`: clocks may be set ahead or back."""
    total_msat: int = 0
    """What the HTLCs that wait here announce to be the whole."""
    timer: Timer | None = None
    """Runs while some of them are missing."""
    _text: str | None = None

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
        return bool(self.parts) and self.held_msat >= self.total_msat

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
