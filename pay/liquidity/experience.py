"""Experience with nodes: who was away, broken, unreadable or stuck lately, and how long HTLCs take through whom.

Trouble is counted in nats, which a planner adds to what leads into the node: a node of 2 nats is used where the
next best way costs 20 sat more. It fades, and each HTLC that the node forwards halves it.

A refusal is the least of it: an honest node has empty channels, and the belief of the channel has its own price.
So one refusal is nearly free, a node that refuses on many channels and forwards nothing is dear, and one that
forwards every other HTLC never costs more than two refusals. They are also counted: a plan leaves a node that is
known to refuse sooner (`pay.routing.halving`). The count is of this run's own payments and is not handed on.

Nobody says how long a node took: only the time of a whole way is known. What is more than expected of it is laid
on its nodes in equal shares, what is less is taken from them where there is something to take; nodes that are on
many slow ways and on no quick one stand out after some payments (the method of Kaczmarz). What is kept is the
excess over a usual node, so a node of which nothing is known is no better and no worse than one that is usual.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pay.liquidity.forgetting import faded
from pay.liquidity.knowledge import NodeCost
from pay.liquidity.observation import NodeFailed, NodeWorked, Took, Trouble
from pay.units import NodeId

MOST_NODES = 1_000
"""Nodes in trouble or slow at a time; the one with the least of it is forgotten first."""

NATS = {
    Trouble.OFFLINE: 2.0,
    Trouble.BROKEN: 2.0,
    Trouble.UNREADABLE: 2.0,
    Trouble.LIES: 2.0,
    Trouble.REFUSES: 0.1,
    Trouble.STUCK: 4.0,
}
"""Of one failure, shared by the suspects. Twice the price of a route that fails e times as often, as most nodes
are back within the hour; a stuck HTLC locks money for hours. A refusal costs 2 sat of a payment of 100,000 sat."""

_REFUSALS = (Trouble.REFUSES, Trouble.BROKEN, Trouble.LIES)
"""What a node says itself when it does not forward."""

MOST_REFUSALS = 10.0
"""Counted of one node; more would only take longer to be made up for."""

MOST_NATS = 6.0
"""As one that fails 399 times of 400: no further failure says more, and it is forgotten in hours, not days."""

USUAL_S = 0.5
"""Seconds of an HTLC through a usual node, forth and back: two commitments with a node half the globe away."""

MOST_S = 60.0
"""Excess of one node in seconds; who is slower is stuck."""

_STEP = 0.3
"""Share of a surprise that is believed: the weight of the newest in the moving average."""

_NATS_WORTH, _SECONDS_WORTH = 0.02, 0.02
"""Less than this is not worth a row in a plan."""


@dataclass(frozen=True, slots=True)
class NodeBelief:
    """Of one node: nats of trouble and seconds of excess, each as of a unix time in seconds."""

    node: NodeId
    nats: float = 0.0
    nats_at_s: float = 0.0
    seconds: float = 0.0
    seconds_at_s: float = 0.0


class Experience:
    """With all nodes.

    Parameters
    ----------
    half_life_s
        In which half of it is forgotten.
    """

    def __init__(self, half_life_s: float):
        self.half_life_s = half_life_s
        self._nodes: dict[NodeId, NodeBelief] = {}
        self._refusals: dict[NodeId, tuple[float, float]] = {}

    def learn(self, seen: NodeFailed | NodeWorked | Took, now_s: float) -> None:
        match seen:
            case NodeFailed(node, trouble, suspects):
                nats = self._nats(node, now_s) + NATS[trouble] / max(1, suspects)
                self._put_nats(node, min(nats, MOST_NATS), now_s)
                if trouble in _REFUSALS:
                    self._refusals[node] = (min(self._refused(node, now_s) + 1, MOST_REFUSALS), now_s)
            case NodeWorked(node):
                if node in self._refusals:
                    self._refusals[node] = (self._refused(node, now_s) / 2, now_s)
                if node in self._nodes:
                    self._put_nats(node, self._nats(node, now_s) / 2, now_s)
            case Took():
                self._took(seen, now_s)
        self._forget_least(now_s)

    def costs(self, now_s: float) -> dict[NodeId, NodeCost]:
        """What arcs into each node cost more, of those where it matters."""
        costs = {}
        for node in self._nodes:
            nats, seconds = self._nats(node, now_s), self._seconds(node, now_s)
            if nats > _NATS_WORTH or seconds > _SECONDS_WORTH:
                costs[node] = NodeCost(nats, seconds, self._refused(node, now_s))
        return costs

    def beliefs(self) -> tuple[NodeBelief, ...]:
        """By node id."""
        return tuple(self._nodes[node] for node in sorted(self._nodes))

    def merge(self, others: Iterable[NodeBelief], now_s: float) -> None:
        """Of each the stronger, nothing of it dated later than now."""
        for other in others:
            other = replace(
                other, nats_at_s=min(other.nats_at_s, now_s), seconds_at_s=min(other.seconds_at_s, now_s)
            )
            known = self._nodes.get(other.node, NodeBelief(other.node))
            if self._later(other.nats, other.nats_at_s, known.nats, known.nats_at_s):
                known = replace(known, nats=other.nats, nats_at_s=other.nats_at_s)
            if self._later(other.seconds, other.seconds_at_s, known.seconds, known.seconds_at_s):
                known = replace(known, seconds=other.seconds, seconds_at_s=other.seconds_at_s)
            self._nodes[other.node] = known
        self._forget_least(now_s)

    def _took(self, seen: Took, now_s: float) -> None:
        if not seen.nodes:
            return
        excess = {node: self._seconds(node, now_s) for node in seen.nodes}
        surprise = seen.seconds - USUAL_S * len(excess) - sum(excess.values())
        if surprise > 0 and seen.waited:
            return
        for node, seconds in excess.items():
            # More is shared equally, less as they have it: none gets below the usual.
            share = 1 / len(excess) if surprise > 0 else seconds / max(sum(excess.values()), 1e-9)
            changed = min(max(seconds + _STEP * surprise * share, 0.0), MOST_S)
            if changed > _SECONDS_WORTH or node in self._nodes:
                known = self._nodes.get(node, NodeBelief(node))
                self._nodes[node] = replace(known, seconds=changed, seconds_at_s=now_s)

    def _nats(self, node: NodeId, now_s: float) -> float:
        known = self._nodes.get(node)
        return 0.0 if known is None else faded(known.nats, known.nats_at_s, now_s, self.half_life_s)

    def _seconds(self, node: NodeId, now_s: float) -> float:
        known = self._nodes.get(node)
        return 0.0 if known is None else faded(known.seconds, known.seconds_at_s, now_s, self.half_life_s)

    def _refused(self, node: NodeId, now_s: float) -> float:
        return faded(*self._refusals.get(node, (0.0, 0.0)), now_s, self.half_life_s)

    def _put_nats(self, node: NodeId, nats: float, now_s: float) -> None:
        known = self._nodes.get(node, NodeBelief(node))
        self._nodes[node] = replace(known, nats=nats, nats_at_s=now_s)

    def _later(self, value: float, at_s: float, known: float, known_at_s: float) -> bool:
        """Whether the first is the stronger."""
        late_s = max(at_s, known_at_s)
        one, other = (faded(*fact, late_s, self.half_life_s) for fact in ((value, at_s), (known, known_at_s)))
        return (one, at_s, value) > (other, known_at_s, known)

    def _forget_least(self, now_s: float) -> None:
        if len(self._nodes) <= MOST_NODES:
            return
        worth = {node: self._nats(node, now_s) + self._seconds(node, now_s) for node in self._nodes}
        for node in sorted(worth, key=worth.__getitem__)[: len(worth) - MOST_NODES * 19 // 20]:
            del self._nodes[node]
            self._refusals.pop(node, None)
