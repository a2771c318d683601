"""Connections to our peers, as the host tells plugins of them: all listen at the same address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pay.sim.lightningd.node import SimNode


class Listens(NamedTuple):
    host: str
    port: int


LISTENS = Listens("127.0.0.1", 9735)
_DIALS_FROM = 38012
"""The port of who has dialled us; nobody listens there."""


def connection(node: SimNode, peer_id: bytes) -> dict[str, Any]:
    """Who has dialled whom, and where."""
    dialled_us = peer_id in node.faults.callers
    port = _DIALS_FROM if dialled_us else LISTENS.port
    return {
        "id": peer_id.hex(),
        "direction": "in" if dialled_us else "out",
        "address": {"type": "ipv4", "address": LISTENS.host, "port": port},
    }


def tell_connected(node: SimNode, peer_id: bytes) -> None:
    """The notification `connect`."""
    node.notify("connect", connection(node, peer_id))


def tell_all_connected(node: SimNode) -> None:
    """A host connects to its peers once its plugins are up."""
    for peer_id in dict.fromkeys(c.peer_of(node.us).id for c in node.own_channels() if c.connected()):
        tell_connected(node, peer_id)
