"""What is announced and enabled, and must or should not be used: required features, spent fundings."""

from __future__ import annotations

import numpy as np
import pytest

from pay.network import HintHop, Policy
from pay.routing import NoRoute, PlanError, Route, check, plan
from pay.units import ScidDir, direction_of
from tests.support.networks import Net, names, node, query, scid

AMOUNT = 10**6
STRANGE = (1 << 300).to_bytes(38, "big")
KNOWN = (1 << 9).to_bytes(2, "big")


def fork() -> Net:
    """us ─ a ─ d for 1 sat and us ─ b ─ d for 2 sat; channels 3 to a and 4 to b, then 5 and 6."""
    net = Net().own(1, "a", 10**9).own(2, "b", 10**9)
    return net.link(5, "a", "d", ppm=0, base=1_000).link(6, "b", "d", ppm=0, base=2_000)


def demand(net: Net, name: str, features: bytes = STRANGE, timestamp: int = 1) -> Net:
    net.graph.name_node(node(name), name.encode(), features, timestamp)
    return net


def chosen(net: Net, to: str = "d", amount: int = AMOUNT, **overlay: object) -> str | NoRoute:
    in_flight = overlay.pop("in_flight", {})
    routes = plan(net.overlay(to, **overlay), query(to, amount), in_flight)
    return routes if isinstance(routes, NoRoute) else names(routes[0])


def a_to_d() -> ScidDir:
    return ScidDir(scid(5), direction_of(node("a"), node("d")))


def test_no_payment_goes_through_a_node_that_requires_what_we_do_not_know() -> None:
    """Gossip may say so between two plans, and take it back."""
    net = fork()
    assert chosen(net) == "us>a>d"
    assert chosen(demand(net, "a")) == "us>b>d"
    assert chosen(demand(net, "a", KNOWN, timestamp=2)) == "us>a>d"
    net = demand(demand(fork(), "a"), "b")
    assert isinstance(chosen(net), NoRoute)


def test_such_a_node_can_be_paid() -> None:
    """BOLT 7: its invoice says what it requires. Over a peer, and as a peer."""
    net = demand(demand(fork(), "d"), "a")
    assert chosen(net) == "us>b>d"
    assert chosen(net, "a") == "us>a"


def test_nothing_that_a_payment_learns_opens_such_a_node() -> None:
    """A policy learnt from a failure, a cap, something in flight there, a hint that starts there; and the node's
    policy changes in gossip."""
    net = demand(fork(), "a")
    assert chosen(net, policies={a_to_d(): Policy(0, 0, 1, 0, 10**9, timestamp=9)}) == "us>b>d"
    assert chosen(net, caps={a_to_d(): 10**8}) == "us>b>d"
    assert chosen(net, in_flight={a_to_d(): 1_000}) == "us>b>d"
    assert isinstance(chosen(net, "new", hints=[(HintHop(node("a"), scid(9), 0, 0, 0),)]), NoRoute)
    net.graph.set_policy(a_to_d(), Policy(0, 0, 1, 0, 10**9, timestamp=9))
    assert chosen(net) == "us>b>d"


def test_a_plan_through_such_a_node_is_found_out() -> None:
    net = fork()
    routes = plan(net.overlay("d"), query("d", AMOUNT))
    assert not isinstance(routes, NoRoute)
    with pytest.raises(PlanError, match="requires what we do not know"):
        check(demand(net, "a").overlay("d"), query("d", AMOUNT), routes)


def spend(net: Net, *numbers: int) -> Net:
    net.graph.mark_dying(np.array([scid(number) for number in numbers], np.uint64))
    return net


def test_a_channel_whose_funding_was_spent_is_left_for_one_that_costs_a_little_more() -> None:
    """39 sat more at 10 sat a nat: 2 sat are paid, 50 are not; and there may be no other way."""
    net = fork()
    assert chosen(net) == "us>a>d"
    assert chosen(spend(net, 5)) == "us>b>d"
    dear = Net().own(1, "a", 10**9).own(2, "b", 10**9).link(5, "a", "d", ppm=0).link(6, "b", "d", base=50_000)
    assert chosen(spend(dear, 5)) == "us>a>d"
    assert chosen(spend(net, 6)) == "us>a>d"


def test_how_likely_a_spent_channel_is_said_to_be() -> None:
    """One in fifty; what is in flight there says that it forwards."""
    net = spend(Net().own(1, "a", 10**9).link(2, "a", "b", 10**9), 2)
    for in_flight, chance in (({}, 0.02), ({ScidDir(scid(2), direction_of(node("a"), node("b"))): 1_000}, 1.0)):
        routes = plan(net.overlay("b"), query("b", AMOUNT), in_flight)
        assert not isinstance(routes, NoRoute) and isinstance(routes[0], Route)
        assert routes[0].probability == pytest.approx(chance, rel=0.01)
