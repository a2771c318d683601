"""What the edge tells the beliefs: plain values, one for each thing that was seen.

Beliefs know no graph, so an observation of a channel brings along its capacity and the channels beside it: between
the same two nodes, over which a forwarding node may have sent instead (BOLT 4, "Non-strict Forwarding"). Whoever
makes observations leaves out those that could not have carried the amount.

Amounts are of what a side could forward, before what we held there ourselves counts as gone. Answers of parts that
were out together can arrive in another order than things happened in; what may follow from that is already in the
amounts (see `in_flight`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from pay.units import NodeId, Scid, ScidDir


class Beside(NamedTuple):
    """A channel between the same two nodes; directions are the same."""

    scid: Scid
    capacity_msat: int


@dataclass(frozen=True, slots=True)
class Passed:
    """At least `amount_msat` was there: on this channel, or if there are others beside it, on one of them.

    `forwarder` is the node whose channel it is, here and below; None if nobody minds.
    """

    channel: ScidDir
    capacity_msat: int
    amount_msat: int
    beside: tuple[Beside, ...] = ()
    forwarder: NodeId | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Less than `amount_msat` was there, on this channel and on each of those beside it."""

    channel: ScidDir
    capacity_msat: int
    amount_msat: int
    beside: tuple[Beside, ...] = ()
    forwarder: NodeId | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """`amount_msat` is now on the other side for good: of this channel, or of one of those beside it.

    Up to `spent_msat` of it may be back already.
    """

    channel: ScidDir
    capacity_msat: int
    amount_msat: int
    spent_msat: int = 0
    beside: tuple[Beside, ...] = ()
    forwarder: NodeId | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One of our own channels, whose balances we know: what we and what the peer could forward."""

    channel: ScidDir
    capacity_msat: int
    spendable_msat: int
    receivable_msat: int


class Trouble(Enum):
    """What was wrong with a node."""

    OFFLINE = "offline"
    """It is away, or its neighbour says so of it and made that up."""
    BROKEN = "broken"
    """It says itself that it cannot forward."""
    UNREADABLE = "unreadable"
    """An answer could not be read, and it is one of those who may have spoilt it."""
    REFUSES = "refuses"
    """It did not forward, whatever it says: its channel may be empty, or it does not want to."""
    LIES = "lies"
    """It said what only the recipient can know."""
    STUCK = "stuck"
    """An HTLC was out for minutes, and it is one of those who may have held it."""


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """`suspects` is among how many nodes the blame is shared."""

    node: NodeId
    trouble: Trouble
    suspects: int = 1


@dataclass(frozen=True, slots=True)
class NodeWorked:
    """It forwarded or took an HTLC."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Took:
    """An HTLC was at these nodes and the answer back after so many seconds.

    `waited`: the last of them may have waited for something else (other parts, its owner), so it took at most
    that.
    """

    nodes: tuple[NodeId, ...]
    seconds: float
    waited: bool = False


Observation: TypeAlias = Passed | Refused | Moved | Seen | NodeFailed | NodeWorked | Took
