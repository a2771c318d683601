"""Worlds in which a payment is split, and amounts that are."""

from __future__ import annotations

from pay.sim.network.clock import RealClock
from pay.sim.network.world import World
from pay.units import NodeId
from tests.support.box.host import CAPACITY_MSAT, CHEAP, DEAR, SAT

THIRD_MSAT = 300_000 * SAT
THIRDS_MSAT = 700_000 * SAT
SPLIT_MSAT = 4_000_000 * SAT


def thirds(clock: RealClock) -> tuple[World, NodeId]:
    """us ══ hub ── far and us ── alt ── far, our three channels 300,000 sat each: 700,000 sat need three parts."""
    world = World(clock, seed=1, latency_s=0.0)
    ids = {name: world.add_node(name).id for name in ("us", "hub", "alt", "far")}
    for middle, policy in (("hub", CHEAP), ("hub", CHEAP), ("alt", DEAR)):
        world.add_channel(ids["us"], ids[middle], THIRD_MSAT, THIRD_MSAT, policy_ab=policy, policy_ba=policy)
    for middle, policy in (("hub", CHEAP), ("alt", DEAR)):
        far = ids["far"]
        world.add_channel(ids[middle], far, CAPACITY_MSAT, CAPACITY_MSAT, policy_ab=policy, policy_ba=policy)
    return world, ids["us"]


def narrow(clock: RealClock) -> tuple[World, NodeId]:
    """us ── hub ── far and us ── alt ── far, 3,000,000 sat each, all on our side: 4,000,000 sat need two parts."""
    world = World(clock, seed=1, latency_s=0.0)
    ids = {name: world.add_node(name).id for name in ("us", "hub", "alt", "far")}
    for middle, policy in (("hub", CHEAP), ("alt", DEAR)):
        for start, end in (("us", middle), (middle, "far")):
            amount_msat = 3_000_000 * SAT
            world.add_channel(ids[start], ids[end], amount_msat, amount_msat, policy_ab=policy, policy_ba=policy)
    return world, ids["us"]
