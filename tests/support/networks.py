"""Small networks written as text, and a plain-Python reference of what the planner does with arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pay.liquidity.chance import DOUBT
from pay.liquidity.knowledge import NOTHING_KNOWN, Bounds, Knowledge, NodeCost
from pay.network import ChannelGraph, Overlay, OwnChannel, Policy
from pay.network.graph import policy_columns
from pay.routing import Hop, NoRoute, Preferences, Route, RouteQuery, check, plan
from pay.units import NodeId, Scid, ScidDir, direction_of, fee_msat
from tests.support.values import varied

SAT = 1_000
US = "us"

PLAIN = Preferences(failure_cost_ppm=0, part_cost_ppm=0, min_part_msat=0, randomness=0.0)
"""Prices that are the same for every amount, parts of any size, and nothing drawn."""


def node(name: str) -> NodeId:
    """A made-up node id that sorts as its name does."""
    return NodeId(b"\x02" + name.encode().ljust(32, b"."))


def scid(number: int) -> Scid:
    return Scid(number << 40 | 1 << 16)


@dataclass
class Net:
    """A network in the making: `link` for channels of others, `own` for ours. Amounts in msat."""

    graph: ChannelGraph = field(default_factory=ChannelGraph)
    ours: list[OwnChannel] = field(default_factory=list)
    policies: dict[ScidDir, tuple[str, str, Policy, int]] = field(default_factory=dict)

    def link(
        self,
        number: int,
        a: str,
        b: str,
        capacity_msat: int = 10_000_000 * SAT,
        *,
        base: int = 0,
        ppm: int = 100,
        cltv: int = 40,
        low: int = 1,
        high: int | None = None,
        enabled: bool = True,
        back: Policy | None = None,
    ) -> Net:
        """A channel whose two directions ask the same, unless `back` says what b asks towards a."""
        channel = self.graph.add_channel(scid(number), node(a), node(b), capacity_msat)
        policy = Policy(base, ppm, cltv, low, capacity_msat if high is None else high, enabled, timestamp=1)
        forth = direction_of(node(a), node(b))
        both = {forth: (a, b, policy), 1 - forth: (b, a, back or policy)}
        for direction, (start, end, asked) in both.items():
            self.policies[ScidDir(scid(number), direction)] = start, end, asked, capacity_msat
        arcs = np.array([2 * channel + direction for direction in both], np.int32)
        self.graph.update_arcs(arcs, policy_columns(asked for _, _, asked in both.values()))
        return self

    def own(self, number: int, peer: str, spendable_msat: int, **changes: Any) -> Net:
        channel = OwnChannel(
            scid(number), direction_of(node(US), node(peer)), node(peer), spendable_msat, 0, 1, spendable_msat,
            max_htlcs=30, live_htlcs=0, connected=True, announced=True,
        )  # fmt: skip
        self.ours.append(replace(channel, **changes))
        return self

    def overlay(self, to: str, **changes: Any) -> Overlay:
        return Overlay(self.graph, node(US), self.ours, recipient=node(to), **changes)


def query(to: str, amount_msat: int, **changes: object) -> RouteQuery:
    """A query without limits to speak of; `changes` of preferences by their names."""
    plain = RouteQuery(node(US), node(to), amount_msat, 18, 10**15, max_delay=100_000, preferences=PLAIN)
    return varied(plain, **changes)


def names(route: Route) -> str:
    """`"us>a>b"`."""
    return ">".join([US] + [hop.node[1:].decode().rstrip(".") for hop in route.hops])


def arc_cost(asked: RouteQuery, policy: Policy, capacity_msat: int, known: Bounds | None = None) -> float:
    """The objective of one arc at the query's amount, from its definition."""
    amount = asked.amount_msat
    fee = policy.fee_base_msat + amount * policy.fee_ppm / 1e6
    time = amount * policy.cltv_delta * asked.preferences.riskfactor / 100 / 52_596
    chance = (capacity_msat + 1 - amount) / (capacity_msat + 1)
    if known is not None:
        within = (known.high_msat + 1 - amount) / (known.high_msat + 1 - known.low_msat)
        chance = (1 - DOUBT) * min(max(within, 0.0), 1.0) + DOUBT * chance
    return fee + time - asked.nat_msat * math.log(chance)


def all_routes(net: Net, asked: RouteQuery, to: str) -> Iterator[Route]:
    """Every simple path that carries the exact amounts, each parallel channel its own; no other limits."""
    into: dict[str, list[tuple[ScidDir, str, Policy, int]]] = {}
    for named, (start, end, policy, capacity) in net.policies.items():
        into.setdefault(end, []).append((named, start, policy, capacity))

    def back(
        at: str, seen: frozenset[str], hops: tuple[Hop, ...], amount: int, delay: int, chance: float
    ) -> Iterator[Route]:
        for channel in net.ours:
            if channel.peer == node(at) and fits(channel, amount):
                first = Hop(channel.scid, channel.direction, channel.peer, amount, delay)
                yield Route((first, *hops), chance)
        for named, start, policy, capacity in into.get(at, []):
            most = min(policy.htlc_max_msat, capacity)
            if start in seen or start == US or not policy.enabled or not policy.htlc_min_msat <= amount <= most:
                continue
            hop = Hop(named.scid, named.direction, node(at), amount, delay)
            yield from back(
                start, seen | {start}, (hop, *hops),
                amount + fee_msat(amount, policy.fee_base_msat, policy.fee_ppm), delay + policy.cltv_delta,
                chance * (capacity + 1 - amount) / (capacity + 1),
            )  # fmt: skip

    yield from back(to, frozenset({to}), (), asked.amount_msat, asked.final_cltv, 1.0)


def fits(channel: OwnChannel, amount_msat: int) -> bool:
    most = min(channel.spendable_msat, channel.htlc_max_msat)
    return channel.usable and channel.free_htlcs > 0 and channel.htlc_min_msat <= amount_msat <= most


def path_cost(net: Net, asked: RouteQuery, route: Route, knowledge: Knowledge = NOTHING_KNOWN) -> float:
    """The objective of a route's nodes at the query's amount, the best of parallel channels between each
    two."""
    total = 0.0
    for hop in route.hops[:-1]:
        cost = knowledge.nodes.get(hop.node, NodeCost(0.0, 0.0))
        total += asked.nat_msat * cost.nats + asked.preferences.second_cost_msat * cost.seconds
    for before, hop in zip(route.hops, route.hops[1:], strict=False):
        total += min(
            arc_cost(asked, policy, capacity, knowledge.of(named))
            for named, (start, end, policy, capacity) in net.policies.items()
            if (node(start), node(end)) == (before.node, hop.node)
            and policy.enabled
            and policy.htlc_min_msat <= asked.amount_msat <= min(policy.htlc_max_msat, capacity)
        )
    return total


def by_name(routes: Iterable[Route]) -> Mapping[str, Route]:
    return {names(route): route for route in routes}


def planned(net: Net, asked: RouteQuery, **overlay: Any) -> tuple[Route, ...]:
    """The routes of a plan, the largest first."""
    to = asked.destination[1:].decode().rstrip(".")
    routes = plan(net.overlay(to, **overlay), asked)
    assert not isinstance(routes, NoRoute), routes.message
    check(net.overlay(to, **overlay), asked, routes)
    return tuple(sorted(routes, key=lambda route: -route.amount_msat))


def refused(net: Net, asked: RouteQuery) -> NoRoute:
    none = plan(net.overlay(asked.destination[1:].decode().rstrip(".")), asked)
    assert isinstance(none, NoRoute)
    return none
