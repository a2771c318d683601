"""What goes into the simulated network and what comes out: an HTLC with its route, and its outcome.

The world has no onions: a sender hands over the hops it would have wrapped and gets back what lightningd would
have unwrapped. Indices and blamed channels are counted as lightningd's `sendpay_failure` does: the sender is 0,
the first peer 1; a forwarding node is blamed together with the channel that follows it, the recipient with
the one that leads to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pay.sim.network.encoding.failures import FailCode, wire_name
from pay.units import NodeId, Scid


@dataclass(frozen=True, slots=True)
class WireHop:
    """One HTLC of a route: over `scid` (or an alias of it) to `node`, with this amount and absolute expiry."""

    scid: Scid
    node: NodeId
    amount_msat: int
    cltv_expiry: int
    """Block height at which the HTLC times out."""


@dataclass(frozen=True, slots=True)
class FinalPayload:
    """What the onion says to the recipient (BOLT 4, payment_data and payment_metadata)."""

    payment_secret: bytes | None
    total_msat: int
    metadata: bytes | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The recipient revealed the preimage."""

    preimage: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """A node on the route, or we ourselves (index 0), refused; the reason was readable.

    `message` is the failure message of BOLT 4 (2 bytes code, then its data), empty where we ourselves
    refused; `local_reason` then says why in lightningd's words.
    """

    erring_index: int
    erring_node: NodeId
    erring_scid: Scid | None
    direction: int | None
    failcode: int
    message: bytes
    local_reason: str = ""

    @property
    def text(self) -> str:
        """The `message` of lightningd's `sendpay_failure`."""
        return f"failed: {wire_name(self.failcode)} ({self.local_reason or 'reply from remote'})"


@dataclass(frozen=True, slots=True)
class Unparsable:
    """An error came back that nobody on the route seems to have written; `onionreply` are its bytes."""

    onionreply: bytes

    @property
    def text(self) -> str:
        """The `message` of lightningd's `sendpay_failure`."""
        return "Malformed error reply"


HtlcOutcome: TypeAlias = Settled | Failed | Unparsable


class LocalFailure(Exception):
    """Our own node refuses to offer the HTLC at all: `sendpay` fails with 204 and leaves no row behind.

    lightningd does so in two cases: it finds no such usable channel ("No connection to first peer found",
    unknown_next_peer, no channel named), or the peer is not connected ("First peer not ready").
    Everything else that our own channel refuses comes later, as a `Failed` of index 0.
    """

    def __init__(self, text: str, failcode: FailCode, node: NodeId, scid: Scid | None, direction: int):
        super().__init__(text)
        self.text = text
        """The message of the JSON-RPC error."""
        self.failcode = failcode
        self.erring_node = node
        self.erring_scid = scid
        self.direction = direction
