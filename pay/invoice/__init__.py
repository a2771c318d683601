"""What is to be paid: a decoded invoice and the recipient it names."""

from pay.invoice.invoice import CURRENCIES, GarbledInvoice, Invoice, InvoiceKind, normalise
from pay.invoice.recipient import Recipient, recipient_of

__all__ = ["CURRENCIES", "GarbledInvoice", "Invoice", "InvoiceKind", "Recipient", "normalise", "recipient_of"]
