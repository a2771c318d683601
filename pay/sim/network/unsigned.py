"""Invoices of nodes that were read from a gossip_store: their keys are not known, so nobody can sign for them.

The box signs with a key of its own and names the payee in the invoice (BOLT 11, field n), and its own host takes
just these texts without a check of the signature. To any other reader such an invoice is what it is: badly signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pay.sim.network import keys
from pay.sim.network.bolt11 import canonical, decode
from pay.sim.network.invoices import SimInvoice, bolt11_of

if TYPE_CHECKING:
    from pay.sim.network.world import World


def encode(world: World, invoice: SimInvoice) -> str:
    """The text of an invoice of this world."""
    node = world.nodes[invoice.node]
    if node.has_secret:
        return bolt11_of(invoice, world.chain, node.secret)
    return bolt11_of(invoice, world.chain, keys.derive(world.seed, "unkeyed", 0), node.id)


def needs_signature(world: World, text: str) -> bool:
    """Whether the signature of an invoice must be good; not where the box itself had no key to sign it with."""
    try:
        invoice = world.invoices.get(decode(text, check_signature=False).payment_hash)
    except ValueError:
        return True
    return invoice is None or world.nodes[invoice.node].has_secret or invoice.bolt11 != canonical(text)
