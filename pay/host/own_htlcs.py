"""HTLCs that we offered, as rows of the host's list of our channels tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from pay.units import Scid


class Step(Enum):
    """How far an HTLC that we offered has got in our own channel."""

    OFFERED = "offered"
    """Our peer may not act on it yet."""
    COMMITTED = "committed"
    """Our peer has it for certain (BOLT 2: both sides have revoked what was before)."""
    RETURNING = "returning"
    """Its outcome is arriving."""


STEPS: Mapping[str, Step] = {
    "SENT_ADD_HTLC": Step.OFFERED,
    "SENT_ADD_COMMIT": Step.OFFERED,
    "RCVD_ADD_REVOCATION": Step.OFFERED,
    "RCVD_ADD_ACK_COMMIT": Step.OFFERED,
    "SENT_ADD_ACK_REVOCATION": Step.COMMITTED,
    "RCVD_REMOVE_HTLC": Step.RETURNING,
    "RCVD_REMOVE_COMMIT": Step.RETURNING,
    "SENT_REMOVE_REVOCATION": Step.RETURNING,
    "SENT_REMOVE_ACK_COMMIT": Step.RETURNING,
}
"""The host's names of the states of an HTLC that we offered, but for the last one: then it is over."""


@dataclass(frozen=True, slots=True)
class OwnHtlc:
    """One HTLC that goes out of us.

    Parameters
    ----------
    expiry
        Block at which it times out.
    connected, closing
        Of its channel: whether the peer is there, and whether it is on its way to the chain.
    """

    payment_hash: bytes
    scid: Scid
    amount_msat: int
    expiry: int
    step: Step
    connected: bool = True
    closing: bool = False
