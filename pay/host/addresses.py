"""Where we reached our peers, for those that announce no address.

The host finds a peer by its id only where gossip names an address (lightningd, connectd.c: connect_to_peer), not
at the one over which it was connected before: it keeps that for its own redialling, and shows it to nobody. It
tells it with each new connection, so where we were started later than the host, it is known from the next one on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pay.units import NodeId, parse_node_id

MOST = 10_000
"""Addresses that are kept, a few hundred bytes each; a node dials others than its peers with channels as well, a
few a day."""

_HOST_FIELD = {
    "ipv4": "address", "ipv6": "address", "torv3": "address", "dns": "address", "unresolved": "name",
}  # fmt: skip
"""By the type of an address: what `connect` takes as `host`. Local sockets and websockets are left alone."""


@dataclass(frozen=True, slots=True)
class Address:
    """As lightningd's `connect` takes it."""

    host: str
    port: int

    def __str__(self) -> str:
        """As lightningd writes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Addresses:
    """The addresses at which we dialled peers with success, the last of each."""

    def __init__(self) -> None:
        self._of: dict[NodeId, Address] = {}

    def connected(self, fields: dict[str, Any]) -> None:
        """Note a connection; `fields` are those of the host's notification `connect`.

        Where the peer has dialled us, its port is one that nobody listens at; an earlier address of it stays.
        """
        told = fields.get("address")
        if fields.get("direction") != "out" or not isinstance(told, dict):
            return
        host, port = told.get(_HOST_FIELD.get(str(told.get("type")), "")), told.get("port")
        if isinstance(host, str) and isinstance(port, int) and 0 < port < 1 << 16:
            peer = parse_node_id(str(fields.get("id")))
            self._of.pop(peer, None)
            self._of[peer] = Address(host, port)
            if len(self._of) > MOST:
                del self._of[next(iter(self._of))]

    def of(self, peer: NodeId) -> Address | None:
        return self._of.get(peer)
