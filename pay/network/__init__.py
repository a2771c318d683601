"""The channel graph as gossip tells it, and what one query adds to it, changes in it or forbids.

The value types need only the standard library and are imported at once; what works on arrays brings numpy and
is imported when first used, because the plugin answers the host's first questions before it can afford that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pay.network.hints import HintHop, OwnChannel, RouteHint
from pay.network.policy import Policy, parse_channel_update

if TYPE_CHECKING:
    from pay.network.extra import NOT_OWN, ExtraArcs
    from pay.network.gossip_store import GossipStore, GossipStoreError, ReadReport
    from pay.network.graph import ByTarget, ChannelGraph, PolicyColumns
    from pay.network.overlay import Overlay

__all__ = [
    "NOT_OWN",
    "ByTarget",
    "ChannelGraph",
    "ExtraArcs",
    "GossipStore",
    "GossipStoreError",
    "HintHop",
    "Overlay",
    "OwnChannel",
    "Policy",
    "PolicyColumns",
    "ReadReport",
    "RouteHint",
    "parse_channel_update",
]

_LAZY = {
    "ByTarget": "graph",
    "ChannelGraph": "graph",
    "GossipStore": "gossip_store",
    "GossipStoreError": "gossip_store",
    "PolicyColumns": "graph",
    "ReadReport": "gossip_store",
    "NOT_OWN": "extra",
    "ExtraArcs": "extra",
    "Overlay": "overlay",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    # Kept, so that this is asked once and not by each plan that imports the name.
    value = globals()[name] = getattr(import_module(f"pay.network.{_LAZY[name]}"), name)
    return value
