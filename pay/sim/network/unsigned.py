"""Invoices of nodes that were read from a gossip_store: their keys are not known, so nobody can sign for them.

The box signs with a key of its own and names the payee in the invoice (BOLT 11, field n), and its own host takes
just these texts without a check of the signature. To any other reader such an invoice is what it is: badly signed.
"""

from __future__ import annotations

from pay.sim.network.encoding import keys
from pay.sim.network.encoding.bolt11 import canonical, decode
from pay.sim.network.invoices import SimInvoice, bolt11_of
from pay.sim.network.state import NetworkState


def encode(state: NetworkState, invoice: SimInvoice) -> str:
    """The text of an invoice of this network."""
    node = state.nodes[invoice.node]
    if node.has_secret:
        return bolt11_of(invoice, state.chain, node.secret)
    return bolt11_of(invoice, state.chain, keys.derive(state.seed, "unkeyed", 0), node.id)


def needs_signature(state: NetworkState, text: str) -> bool:
    """Whether the signature of an invoice must be good; not where the box itself had no key to sign it with."""
    try:
        invoice = state.invoices.get(decode(text, check_signature=False).payment_hash)
    except ValueError:
        return True
    return invoice is None or state.nodes[invoice.node].has_secret or invoice.bolt11 != canonical(text)
