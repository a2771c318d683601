"""From the string of a call to its invoice, by the host's `decode`."""

from __future__ import annotations

import asyncio
import hashlib

from pay.engine.records.paid_before import BeingPaid, PaidBefore, Unpaid, record_of
from pay.errors import Code, PayError, invalid_param
from pay.host.calls import METHOD_NOT_FOUND, CallError, Host
from pay.invoice import CURRENCIES, Invoice, normalise
from pay.invoice.unreadable import unreadable
from pay.payment.receipt import Receipt
from pay.units import parse_node_id

LOOK_S = 5.0


class DecodeMissing(Exception):
    """The host has no command `decode`: it is of its plugin `offers`, which can be disabled."""

    def __init__(self, invstring: str):
        super().__init__("The node has no command `decode` to read invoices (is its plugin `offers` disabled?)")
        self.invstring = invstring


async def read_invoice(host: Host, text: str, network: str) -> Invoice:
    """The invoice in `text`, for our own `network`.

    Raises
    ------
    PayError
        -32602, where it is nothing that can be paid.
    DecodeMissing
        Where the host reads no invoice.
    """
    invstring = normalise(text)
    try:
        return await host.decode(invstring, network)
    except CallError as error:
        if error.code == METHOD_NOT_FOUND:
            raise DecodeMissing(invstring) from error
        problem = unreadable(invstring, _host_words(error.message), CURRENCIES.get(network))
        raise invalid_param("bolt11", problem) from error


async def record_without_decode(host: Host, missing: DecodeMissing) -> Receipt | None:
    """The payment of the invoice, if the host's own table has it; None where nothing is out and nothing was paid.

    As long as parts are out it waits.

    Raises
    ------
    PayError
        -1, where the text is no invoice.
    """
    waited = False
    while True:
        try:
            record = record_of(await host.rows_of_invoice(missing.invstring))
        except CallError as error:
            raise PayError(Code.OTHER, f"{missing}, and nothing can be paid: {error.message}") from error
        match record:
            case Unpaid():
                return None
            case PaidBefore():
                destination = None if record.destination is None else parse_node_id(record.destination)
                paid = record.paid(record.delivered_msat or 0)
                payment_hash = hashlib.sha256(record.preimage).digest()
                return Receipt(payment_hash, destination, record.created_at, paid, earlier=not waited)
            case BeingPaid():
                waited = True
                await asyncio.sleep(LOOK_S)


def _host_words(message: str) -> str:
    """What the host says of a string that it cannot decode, without its own parameter's name and the string."""
    return message.removeprefix("string: ").split(": invalid token")[0]
