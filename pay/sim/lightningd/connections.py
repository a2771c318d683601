"""Connections to our peers, as the host tells plugins of them: all listen at the same address."""

from __future__ import annotations

from typing import Any, NamedTuple

from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.lightningd.own_node import OwnNode


class Listens(NamedTuple):
    host: str
    port: int


LISTENS = Listens("127.0.0.1", 9735)
_DIALS_FROM = 38012
"""The port of who has dialled us; nobody listens there."""


def connection(faults: LightningdFaults, peer_id: bytes) -> dict[str, Any]:
    """Who has dialled whom, and where."""
    dialled_us = peer_id in faults.callers
    port = _DIALS_FROM if dialled_us else LISTENS.port
    return {
        "id": peer_id.hex(),
        "direction": "in" if dialled_us else "out",
        "address": {"type": "ipv4", "address": LISTENS.host, "port": port},
    }


def connected_peers(own: OwnNode) -> list[bytes]:
    """Whom a host is connected to once its plugins are up."""
    return list(dict.fromkeys(c.peer_of(own.id).id for c in own.channels if c.connected()))
