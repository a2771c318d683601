"""Where a part that is out probably is, for people who wait for it.

What is known is our own end: whether its HTLC is in a channel of ours, and how far it has got there. Once our
peer has it, nobody tells where it is, so the rest is a guess that says so: a channel on its way that gossip has
closed or disabled since, or a node at which another part of this payment failed. A recipient that holds what
arrives looks the same as a node that does not answer, and nobody can tell them apart from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pay.host.own_htlcs import OwnHtlc, Step
from pay.payment.attempt import Attempt
from pay.routing.query import Hop
from pay.units import NodeId, ScidDir


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A guess.

    Parameters
    ----------
    hop
        0 is our own channel, i the channel that the i-th node should forward it by, and the number of hops is the
        recipient; None where there is nothing to go by.
    why
        What it is guessed by.
    """

    hop: int | None
    why: str


def htlcs_of(attempts: Iterable[Attempt], htlcs: Iterable[OwnHtlc]) -> dict[int, OwnHtlc]:
    """Which HTLC is of which live part, by partid: the host tells the amount and the channel of each."""
    unclaimed = list(htlcs)
    found: dict[int, OwnHtlc] = {}
    for attempt in attempts:
        first = attempt.route.hops[0].scid if attempt.route is not None else None
        for htlc in unclaimed:
            if htlc.amount_msat == attempt.sent_msat and first in (None, htlc.scid):
                found[attempt.partid] = htlc
                unclaimed.remove(htlc)
                break
    return found


def whereabouts(
    attempt: Attempt, htlc: OwnHtlc | None, closed: frozenset[ScidDir], failed_at: frozenset[NodeId]
) -> Whereabouts:
    """Where a live part probably is.

    Parameters
    ----------
    htlc
        Of the part in our own channel; None where there is none.
    closed
        Channels of others that gossip has as disabled or not at all.
    failed_at
        Nodes at which parts of the same payment failed.
    """
    if htlc is None:
        return Whereabouts(0, "it has not left this node yet, or it has just ended")
    if htlc.closing:
        return Whereabouts(0, "our channel is being closed: the blockchain decides how it ends")
    if not htlc.connected:
        return Whereabouts(
            0, "the first node is not connected: nothing comes back until it is, or until must_resolve"
        )
    match htlc.step:
        case Step.OFFERED:
            return Whereabouts(0, "it is on its way to the first node, which has not confirmed it yet")
        case Step.RETURNING:
            return Whereabouts(0, "the first node is just handing back its outcome")
        case Step.COMMITTED:
            return _beyond(attempt, closed, failed_at)


def _beyond(attempt: Attempt, closed: frozenset[ScidDir], failed_at: frozenset[NodeId]) -> Whereabouts:
    """It has left us."""
    if attempt.route is None:
        return Whereabouts(None, "it has left this node, and its route is not known any more")
    hops = attempt.route.hops
    if len(hops) == 1:
        return Whereabouts(1, "the recipient, which is our peer, has it and has not answered yet")
    for number, hop in enumerate(hops[1:], 1):
        if hop.scid_dir in closed:
            return Whereabouts(number, "probably stuck here: this channel is now disabled or closed in gossip")
    for number, hop in enumerate(hops[:-1], 1):
        if hop.node in failed_at:
            return Whereabouts(number, "probably stuck here: another part of this payment failed at this node")
    return Whereabouts(
        None,
        "past our own channel: who has it, a node on the way or the recipient, cannot be seen",
    )


def nodes_of_failures(attempts: Iterable[Attempt]) -> frozenset[NodeId]:
    """Nodes on the way that failed parts of a payment."""
    found: set[NodeId] = set()
    for attempt in attempts:
        index = attempt.failure.erring_index if attempt.failure is not None else None
        hops: Sequence[Hop] = attempt.route.hops if attempt.route is not None else ()
        if index is not None and 0 < index < len(hops):
            found.add(hops[index - 1].node)
    return frozenset(found)
