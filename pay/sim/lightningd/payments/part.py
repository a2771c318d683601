"""One part of a payment as `sendpay` is asked for it, its parameters read."""

from __future__ import annotations

from dataclasses import dataclass

from pay.sim.lightningd.payments.wire import PartKey
from pay.units import NodeId, Scid


@dataclass(frozen=True, slots=True)
class RouteHop:
    """One element of `sendpay`'s route."""

    scid: Scid
    node: NodeId
    amount_msat: int
    delay_blocks: int


@dataclass(frozen=True, slots=True)
class PartRequest:
    """A `sendpay`, its parameters read: the last hop's `amount_msat`, and `total_msat` of the whole group."""

    payment_hash: bytes
    groupid: int
    partid: int
    route: tuple[RouteHop, ...]
    amount_msat: int
    total_msat: int
    payment_secret: bytes | None
    metadata: bytes | None
    label: str | None
    invstring: str | None
    description: str | None
    injected: bool = False
    """Whether it comes with an onion that the host cannot read, as `injectpaymentonion` has it: then the host is
    not told the total, and cannot say of a failure who it was or why."""

    @property
    def key(self) -> PartKey:
        return (self.payment_hash, self.groupid, self.partid)
