"""What is to be paid: a decoded invoice and the recipient it names."""

from pay.invoice.invoice import CURRENCIES, GarbledInvoice, HintHop, Invoice, InvoiceKind, normalise
from pay.invoice.recipient import Recipient, recipient_of

__all__ = [
    "CURRENCIES", "GarbledInvoice", "HintHop", "Invoice", "InvoiceKind", "Recipient", "normalise", "recipient_of",
]  # fmt: skip
