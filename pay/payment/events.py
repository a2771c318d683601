"""What a session is told (events) and what it says to do (actions): plain values, nothing else goes in or out.

A session never reads a clock, draws a number or calls anybody. An event carries what happened, `handle` gets
the time with it, and the actions that come back are for the driver to carry out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pay.errors import PayError
from pay.feedback.failure import Failure
from pay.routing.query import NoRoute, Restrictions, Route, RouteQuery
from pay.units import NodeId

# --- events -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FoundPart:
    """A part found pending at the host that no session of this run sent; `sent_at_s` is 0 where not known."""

    partid: int
    amount_msat: int
    sent_msat: int
    sent_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Started:
    """First event of every session.

    Parameters
    ----------
    found
        Empty for a new payment; else the parts to watch. Whether others are added is a matter of the terms.
    """

    found: tuple[FoundPart, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutesFound:
    query_id: int
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class NoRouteFound:
    query_id: int
    why: NoRoute


@dataclass(frozen=True, slots=True)
class AttemptAccepted:
    """The host has the part in its table."""

    partid: int


@dataclass(frozen=True, slots=True)
class AttemptSettled:
    partid: int
    preimage: bytes


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """`sent_height` is the block we were at when the part was sent: what its CLTVs were counted from."""

    partid: int
    failure: Failure
    sent_height: int


@dataclass(frozen=True, slots=True)
class HashTaken:
    """This hash is being paid, or was paid, by another group.

    `partid` is that of a part which the host refused for it, so that it was not sent; None where this was heard
    otherwise.
    """

    partid: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time that a `WakeAt` asked for has come."""


@dataclass(frozen=True, slots=True)
class PeersBack:
    """One of the peers that an `AskPeers` named is connected again."""


@dataclass(frozen=True, slots=True)
class HeightReached:
    height: int


@dataclass(frozen=True, slots=True)
class Crashed:
    """An error of ours ended the session, and the host's table has shown what became of it.

    Parameters
    ----------
    result
        What those who wait are answered.
    settled
        Partids that settled, once nothing is out any more; None as long as something is, and it is paid.
    """

    result: Paid | NotPaid
    settled: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """No new parts, whatever happens: the payment ends with this error once nothing is out."""

    error: PayError


Event = (
    Started
    | RoutesFound
    | NoRouteFound
    | AttemptAccepted
    | AttemptSettled
    | AttemptFailed
    | HashTaken
    | TimerFired
    | PeersBack
    | HeightReached
    | Cancelled
    | Crashed
)

# --- actions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FindRoutes:
    """Answer with `RoutesFound` or `NoRouteFound`.

    Parameters
    ----------
    whole
        The question if the parts that are out were not: for what they deliver as well. None where none is out.
    """

    query_id: int
    query: RouteQuery
    restrictions: Restrictions
    whole: RouteQuery | None = None


@dataclass(frozen=True, slots=True)
class SendAttempt:
    """One `sendpay`. `route` is None for a payment to ourselves."""

    partid: int
    route: Route | None


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Tell `TimerFired` at this unix time in seconds."""

    at_s: float


@dataclass(frozen=True, slots=True)
class AskPeers:
    """Ask peers of ours that are away to connect, and tell `PeersBack` once one of them is there, by itself or
    not.

    Parameters
    ----------
    peers
        To be asked; none of them was before.
    missed
        To be watched for: those and others that were asked before.
    until_s
        Unix time in seconds at which nobody waits for them any more.
    """

    peers: tuple[NodeId, ...]
    missed: tuple[NodeId, ...]
    until_s: float


@dataclass(frozen=True, slots=True)
class WaitHeight:
    """Tell `HeightReached` once the chain is this high."""

    height: int


@dataclass(frozen=True, slots=True)
class Notify:
    """Words for the callers that wait."""

    message: str


@dataclass(frozen=True, slots=True)
class Paid:
    """The answer is a success.

    Parameters
    ----------
    sent_msat
        Settled and still pending parts, with their fees.
    parts, failed_parts
        Attempts in all, and those of them that failed.
    incomplete
        Parts are still pending at the host.
    """

    preimage: bytes
    amount_msat: int
    sent_msat: int
    parts: int
    incomplete: bool
    failed_parts: int = 0


@dataclass(frozen=True, slots=True)
class NotPaid:
    """The answer is this error; nothing of ours is out."""

    error: PayError


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The host has another group for this hash: the answer is whatever becomes of that."""

    reason: str


Result = Paid | NotPaid | Elsewhere


@dataclass(frozen=True, slots=True)
class Finish:
    """Answer everybody who waits. Exactly one in the life of a session."""

    result: Result


Action = FindRoutes | SendAttempt | WakeAt | AskPeers | WaitHeight | Notify | Finish


def brief(value: Event | Action) -> str:
    """An event or action by its name, with the figures that matter."""
    name = type(value).__name__
    match value:
        case RoutesFound(_, routes):
            return f"{name} routes={len(routes)} fee_msat={sum(route.fee_msat for route in routes)}"
        case NoRouteFound(_, why):
            return f"{name} reason={why.reason.value}"
        case AttemptFailed(partid, failure, _):
            return f"{name} partid={partid} erring_index={failure.erring_index} failcode={failure.failcode}"
        case AttemptAccepted(partid) | SendAttempt(partid, _) | AttemptSettled(partid, _):
            return f"{name} partid={partid}"
        case FindRoutes(query_id, query, _):
            return f"{name} query={query_id} amount_msat={query.amount_msat} max_fee_msat={query.max_fee_msat}"
        case AskPeers(peers, missed, _):
            return f"{name} asked={_nodes(peers)} missed={_nodes(missed)}"
        case Notify(message):
            return f"{name} message={message!r}"
        case _:
            return name


def _nodes(nodes: Iterable[NodeId]) -> str:
    return ",".join(node.hex() for node in nodes) or "none"
