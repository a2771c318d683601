"""The channel graph as gossip tells it, and what one query adds to it, changes in it or forbids."""

from pay.network.hints import HintHop, OwnChannel, RouteHint
from pay.network.policy import Policy, parse_channel_update

__all__ = ["HintHop", "OwnChannel", "Policy", "RouteHint", "parse_channel_update"]
