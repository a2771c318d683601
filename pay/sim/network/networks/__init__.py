"""Whole networks for the box, generated in any size or read from a gossip_store, with a node of one's own."""

from pay.sim.network.networks.balances import BIMODAL_SCALE_MSAT, Balances, draw_balances
from pay.sim.network.networks.from_store import open_store, read_store
from pay.sim.network.networks.generated import MAX_CAPACITY_MSAT, MIN_CAPACITY_MSAT, generate, node_name
from pay.sim.network.networks.joined import join

__all__ = [
    "BIMODAL_SCALE_MSAT",
    "MAX_CAPACITY_MSAT",
    "MIN_CAPACITY_MSAT",
    "Balances",
    "draw_balances",
    "generate",
    "join",
    "node_name",
    "open_store",
    "read_store",
]
