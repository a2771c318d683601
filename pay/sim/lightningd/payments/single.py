"""One payment in one part, by the senders that the host brings: cln-xpay and the builtin pay.

They are stand-ins that know the true balances: the cheapest way that would carry all of it, tried once. So they
answer in the forms of the real ones, and teach nothing of how those find their ways.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pay.sim.lightningd.payments.database import Database, Payment
from pay.sim.lightningd.payments.part import PartRequest, RouteHop
from pay.sim.lightningd.payments.sendpay import Payments
from pay.sim.network.encoding.bolt11 import Bolt11
from pay.sim.network.oracle import cheapest_route
from pay.sim.network.world import World
from pay.units import NodeId, direction_of, format_scid

MARGIN_BLOCKS = 2
"""What is added to every expiry, so that a block or two in between do no harm."""
_GROUPIDS = random.Random(0)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be paid, and within which limits."""

    text: str
    invoice: Bolt11
    total_msat: int
    """Of the invoice, or what its payer said."""
    part_msat: int
    """What is paid of it here."""
    maxfee_msat: int
    maxdelay_blocks: int
    label: str | None


class Sends(Protocol):
    """The parts of the node that a sender needs."""

    @property
    def world(self) -> World: ...

    @property
    def us(self) -> NodeId: ...

    @property
    def height(self) -> int: ...

    @property
    def db(self) -> Database: ...

    @property
    def payments(self) -> Payments: ...


class NoWay(Exception):
    """Nothing can be sent within the limits: too dear, too slow, or too much."""

    def __init__(self, kind: str):
        super().__init__(kind)
        self.kind = kind


def way(node: Sends, ask: Ask) -> tuple[RouteHop, ...]:
    """The cheapest one. Raises NoWay."""
    final_cltv = ask.invoice.min_final_cltv_expiry + MARGIN_BLOCKS
    found = cheapest_route(node.world, node.us, ask.invoice.payee, ask.part_msat, final_cltv=final_cltv)
    if found is None:
        raise NoWay("much")
    # A host's delays count from the block after the one that it has seen.
    base = node.height + 1
    hops = tuple(RouteHop(h.scid, h.node, h.amount_msat, h.cltv_expiry - base) for h in found.hops)
    if hops[0].amount_msat - ask.part_msat > ask.maxfee_msat:
        raise NoWay("dear")
    if hops[0].delay_blocks > ask.maxdelay_blocks:
        raise NoWay("slow")
    return hops


def part_of(ask: Ask, route: tuple[RouteHop, ...], groupid: int, partid: int) -> PartRequest:
    """The only part."""
    invoice = ask.invoice
    return PartRequest(
        invoice.payment_hash, groupid, partid, route, ask.part_msat, ask.total_msat, invoice.payment_secret,
        invoice.payment_metadata, ask.label, ask.text, None,
    )  # fmt: skip


def injected(part: PartRequest) -> PartRequest:
    """As cln-xpay sends it: in a group whose number is any of 63 bits."""
    return replace(part, injected=True, groupid=_GROUPIDS.getrandbits(63))


def row_of(node: Sends, part: PartRequest) -> Payment:
    """What the table says of a part that was sent."""
    row = node.db.payment(*part.key)
    assert row is not None
    return row


def hops_json(us: NodeId, route: tuple[RouteHop, ...]) -> list[dict[str, Any]]:
    """The route as cln-xpay tells others of it: what comes into each channel and what goes out of it."""
    starts = [us, *(hop.node for hop in route)]
    comes_in = [route[0].amount_msat, *(hop.amount_msat for hop in route)]
    return [
        {
            "next_node": hop.node.hex(), "short_channel_id": format_scid(hop.scid),
            "direction": direction_of(start, hop.node), "channel_in_msat": in_msat,
            "channel_out_msat": hop.amount_msat,
        }
        for start, in_msat, hop in zip(starts, comes_in, route, strict=False)
    ]  # fmt: skip
