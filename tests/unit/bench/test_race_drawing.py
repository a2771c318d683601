"""Who races is drawn from a seed: hubs of all sizes, payees that can take the amount, the same every time."""

from __future__ import annotations

import hashlib

import numpy as np

from pay.network import Policy
from pay.sim.network.encoding.bolt11 import decode
from pay.sim.network.encoding.keys import node_id
from tests.bench.race.drawing import Hub, Order, Topology, draw_hubs, draw_orders, topology
from tests.bench.race.hub import make_invoice
from tests.bench.race.snapshot import node_secret
from tests.support.networks import SAT, Net, node

MANY = {number: number % 300 for number in range(6_000)}
"""Twenty nodes of each number of channels up to 299."""


def test_hubs_are_of_all_sizes() -> None:
    """One in each stratum of the logarithm: 5 to 10.5, to 22.0, to 45.7, to 95.6, to 200."""
    hubs = draw_hubs(MANY, 5, seed=1)
    assert [MANY[hub.number] for hub in hubs] == [hub.channels for hub in hubs]
    ends = [5, 10.5, 22.0, 45.7, 95.7, 200]
    assert all(low <= hub.channels <= high for hub, low, high in zip(hubs, ends, ends[1:], strict=False))


def test_the_same_seed_draws_the_same_hubs() -> None:
    assert draw_hubs(MANY, 10, seed=1) == draw_hubs(MANY, 10, seed=1) != draw_hubs(MANY, 10, seed=2)


def test_a_stratum_that_nobody_is_in() -> None:
    """5 to 31.6 and 31.6 to 200 channels, but nobody has more than 20: the nearest who is left is taken."""
    assert draw_hubs({1: 6, 2: 20, 3: 300, 4: 2}, 2, seed=1) == [Hub(1, 6), Hub(2, 20)]
    assert draw_hubs({1: 6}, 3, seed=1) == [Hub(1, 6)]


def test_payees_stay_for_larger_amounts_where_they_can() -> None:
    """Node 7 is the hub. Of nodes 0 to 9 all can take 1,000 msat and the even ones 2,000."""
    able = {1_000: range(10), 2_000: range(0, 10, 2)}
    orders = draw_orders(able, hub=7, payees=9, seed=1)
    assert [order.index for order in orders] == list(range(14))
    payees = {msat: {o.payee for o in orders if o.amount_msat == msat} for msat in able}
    assert payees == {1_000: set(range(10)) - {7}, 2_000: {0, 2, 4, 6, 8}}
    few = draw_orders(able, hub=7, payees=2, seed=1)
    assert len(few) == 4
    assert draw_orders(able, hub=7, payees=2, seed=1) == few
    drawn = [draw_orders(able, hub=7, payees=2, seed=seed) for seed in range(10)]
    assert len({tuple(orders) for orders in drawn}) > 5


def test_who_can_take_an_amount() -> None:
    """Three open channels into it, which together take the amount twice."""
    nodes = Topology(
        channels=np.array([9, 9, 9]), into=np.array([3, 2, 3]), room_msat=np.array([2_000, 9_000, 1_999])
    )
    assert nodes.able(1_000) == [0]


def test_an_invoice_that_the_simulated_network_can_settle() -> None:
    """Signed by node 300 of the snapshot, with the preimage that begins with the order's number."""
    invoice = make_invoice(Order(255, payee=300, amount_msat=5_000))
    said = decode(invoice.bolt11)
    assert said.payee == node_id(node_secret(300))
    assert node_secret(300)[:3] == b"\x2c\x01\x00" and len(node_secret(300)) == 32
    assert said.amount_msat == 5_000
    assert said.payment_hash == hashlib.sha256(b"\xff" + bytes(31)).digest() == bytes.fromhex(invoice.payment_hash)


def test_what_gossip_tells_of_each_node() -> None:
    """a ══ b ── c, and c ┄ a, shut from c on: into a, numbered 2, are two channels of 500 and 300 sat."""
    shut = Policy(0, 100, 40, 1, 900 * SAT, False, timestamp=1)
    net = Net().link(1, "a", "b", 500 * SAT).link(2, "b", "a", 900 * SAT, high=300 * SAT)
    net.link(3, "b", "c", 700 * SAT).link(4, "a", "c", 900 * SAT, back=shut)
    told = topology(net.graph, [node("c"), node("b"), node("a")])
    assert told.channels.tolist() == [1, 3, 2]
    assert told.into.tolist() == [2, 3, 2]
    assert told.room_msat.tolist() == [1_600 * SAT, 1_500 * SAT, 800 * SAT]
