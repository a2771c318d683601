"""Which feature bits (BOLT 9) forbid to route through what requires them.

An even bit is required of everybody who has to do with a node or a channel. BOLT 7, node_announcement: "if
features field contains unknown even bits: [...] Unless paying a BOLT 11 invoice which does not have the same
bit(s) set, MUST NOT attempt to send payments *to* the node. MUST NOT route a payment *through* the node."
channel_announcement: "if there is an unknown even bit set in the features field: MUST NOT attempt to route
messages through the channel."

So such a node is a recipient still: what an invoice requires, and that it does not, is read there.
"""

from __future__ import annotations

_OF_NODES = (0, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 34, 36, 38, 42, 44, 46, 48, 50, 60, 62)
"""What BOLT 9 lists up to option_splice: how a node treats its peers, or what every sender does anyway."""

_KNOWN = sum(1 << bit for bit in _OF_NODES)


def node_demands_unknown(features: int) -> bool:
    """Whether a node's features keep payments from going through it."""
    return _demands(features & ~_KNOWN)


def channel_demands_unknown(features: int) -> bool:
    """Whether a channel's features keep payments off it; no even bit of a channel is defined."""
    return _demands(features)


def _demands(features: int) -> bool:
    return any(features >> bit & 1 for bit in range(0, features.bit_length(), 2))
