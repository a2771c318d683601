"""Who receives, and how the last hop must be addressed: a sum type of what an invoice can name."""

from __future__ import annotations

from dataclasses import dataclass

from pay.invoice.invoice import Invoice, InvoiceKind
from pay.network.hints import RouteHint
from pay.units import NodeId


@dataclass(frozen=True, slots=True)
class ClearRecipient:
    """A node known by its id, reached over the graph or over route hints."""

    node: NodeId
    hints: tuple[RouteHint, ...]
    multi_part: bool


@dataclass(frozen=True, slots=True)
class BlindedRecipient:
    """Reached over blinded paths only (BOLT 12)."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class SelfRecipient:
    """Our own invoice: the host settles it without a route."""

    node: NodeId


Recipient = ClearRecipient | BlindedRecipient | SelfRecipient


def recipient_of(invoice: Invoice, us: NodeId) -> Recipient:
    """The recipient of `invoice`, seen from `us`."""
    if invoice.payee == us:
        return SelfRecipient(us)
    if invoice.kind is InvoiceKind.BOLT12:
        return BlindedRecipient(invoice.payee)
    return ClearRecipient(invoice.payee, invoice.hints, invoice.multi_part)
