"""Which parts of a plan go at once, and which wait until those before them had time to fail.

A node that forwards nothing, by intent or because its channels have run empty, fails all parts that go over it,
and a plan may have thirty of them. So of a plan no more than a handful go through any node on the way from which
nothing was heard yet, the largest first. The others wait for as long as a failure usually takes: no news is the
only sign that parts have passed. Then they follow, all of them. Whatever fails meanwhile, they are planned anew
together with what failed. After a pause, for who said that it is in trouble or that its peer is away, one part
goes alone: so each look costs one HTLC, however many parts the payment has.

Measured on mainnet with hidden balances, 1,000,000 and 5,000,000 sat: no dearer and no slower, and 15 in a hundred
HTLCs less where balances are bimodal (docs/measurements.md). Waiting for channels as well saves more there and
nothing where balances are uniform, and makes the slowest payments slower.

What it knowingly does not do: prove anything. A node that keeps HTLCs for longer than that and fails them then
gets the rest as well; it is known to be slow afterwards. And what earlier payments have shown is not asked for: a
node on the way that is known to be good costs a payment of many parts half a second for each hop to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pay.payment.attempt import Attempt
from pay.routing.query import Route
from pay.units import NodeId

MOST_UNHEARD = 5
"""Parts at a time through one node that has neither forwarded a part of this payment nor kept quiet for long
enough: what one node may cost a payment (`pay.routing.halving.MOST_LOST`). With 3 a few HTLCs less are lost where
balances are bimodal, and payments in four or five parts, which are common, would wait as well."""

HOP_S = 0.5
"""Seconds that news from one hop further away take, forth and back: two commitments with a node half the globe
away. With 0.75 as many parts failed, and payments took 0.4 s longer (where one at a time went over a channel)."""

HELD_S = 30.0
"""A part that has been out for so long lets no other part wait: the recipient gives up the first one after 60 s
(BOLT 4, mpp_timeout)."""


class Staging:
    """The parts of the plan that wait.

    Attributes
    ----------
    routes
        Theirs; none where all were sent.
    until_s
        When to look at them again; it has a meaning where there are some.
    """

    def __init__(self) -> None:
        self.routes: tuple[Route, ...] = ()
        self.until_s = 0.0

    def __bool__(self) -> bool:
        return bool(self.routes)

    def drop(self) -> None:
        """None waits: what they deliver is planned anew, or not at all."""
        self.routes = ()

    def stage(
        self,
        routes: tuple[Route, ...],
        attempts: Iterable[Attempt],
        now: float,
        last_s: float,
        *,
        scout: bool = False,
    ) -> tuple[Route, ...]:
        """Those that go now, in their order; the others wait.

        Parameters
        ----------
        attempts
            All parts of the payment so far.
        last_s
            All are sent where they would have to wait until this time or longer.
        scout
            The largest goes alone: those who refused before are asked again.
        """
        attempts = list(attempts)
        heard = _heard(attempts, now)
        unheard: dict[NodeId, list[float]] = {}
        out = [part for part in attempts if part.live]
        for part in out:
            _count(unheard, part.route, part.started_s)
        going, until = set[int](), []
        for number in sorted(range(len(routes)), key=lambda number: -routes[number].amount_msat):
            if scout and going:
                until.append(now + HOP_S * max(len(routes[first].hops) for first in going))
                continue
            nodes = [node for node, _ in _on_the_way(routes[number]) if node not in heard]
            full = [min(unheard[node]) for node in nodes if len(unheard.get(node, ())) >= MOST_UNHEARD]
            if full:
                until.append(max(full))
            else:
                going.add(number)
                _count(unheard, routes[number], now)
        self.until_s = min(until, default=now)
        held = any(now - part.started_s >= HELD_S for part in out)
        if held or self.until_s >= last_s:
            going = set(range(len(routes)))
        self.routes = tuple(route for number, route in enumerate(routes) if number not in going)
        return tuple(route for number, route in enumerate(routes) if number in going)


def _on_the_way(route: Route) -> Iterator[tuple[NodeId, float]]:
    """Each node between us and the recipient, and how many seconds its news take."""
    for place, hop in enumerate(route.hops[:-1], 1):
        yield hop.node, place * HOP_S


def _count(unheard: dict[NodeId, list[float]], route: Route | None, started_s: float) -> None:
    """A part with each node on its way, and the time after which no news of it are good news."""
    for node, seconds in _on_the_way(route) if route is not None else ():
        unheard.setdefault(node, []).append(started_s + seconds)


def _heard(attempts: Sequence[Attempt], now: float) -> set[NodeId]:
    """Nodes that have forwarded a part, or have had one for long enough."""
    heard = set[NodeId]()
    for part in attempts:
        if part.route is None:
            continue
        if part.live:
            heard |= {node for node, seconds in _on_the_way(part.route) if part.started_s + seconds <= now}
        elif part.blame is not None and part.blame.index is not None:
            # Whoever speaks, those before it have forwarded.
            heard |= {hop.node for hop in part.route.hops[: max(0, part.blame.index - 1)]}
    return heard
