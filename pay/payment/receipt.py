"""A payment that was made, as every call that means it is told, now and whenever it is made again."""

from __future__ import annotations

from dataclasses import dataclass

from pay.payment.events import Paid
from pay.units import NodeId


@dataclass(frozen=True, slots=True)
class Receipt:
    """Whom was paid what, and when it began.

    Parameters
    ----------
    destination
        None where nothing tells.
    created_at_s
        Unix time of the first part, or of the call where there is none.
    earlier
        It was paid when the call came that is answered with it.
    """

    payment_hash: bytes
    destination: NodeId | None
    created_at_s: int
    paid: Paid
    earlier: bool = False
