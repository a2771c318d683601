"""Where peers were reached, as lightningd's notification `connect` says (json_add_address_internal)."""

from __future__ import annotations

from typing import Any

import pytest

from pay.host import addresses
from pay.host.addresses import Address, Addresses
from tests.support.payments import node

FRIEND = node("f")
ONION = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"


def connected(address: Any, direction: str = "out", peer: bytes = FRIEND) -> dict[str, Any]:
    return {"id": peer.hex(), "direction": direction, "address": address}


def ipv4(port: int) -> dict[str, Any]:
    return {"type": "ipv4", "address": "127.0.0.1", "port": port}


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        (ipv4(9736), Address("127.0.0.1", 9736)),
        ({"type": "ipv6", "address": "::1", "port": 9735}, Address("::1", 9735)),
        ({"type": "torv3", "address": ONION, "port": 9735}, Address(ONION, 9735)),
        ({"type": "dns", "address": "ln.example.com", "port": 9735}, Address("ln.example.com", 9735)),
        ({"type": "unresolved", "name": "ln.example.com", "port": 9735}, Address("ln.example.com", 9735)),
        ({"type": "websocket", "subtype": "ipv4", "address": "127.0.0.1", "port": 9735}, None),
        ({"type": "local socket", "socket": "/tmp/ln"}, None),
        ({"type": "ipv4", "address": "127.0.0.1", "port": 0}, None),
        ({"type": "ipv4", "address": "127.0.0.1"}, None),
        ({"type": "carrier pigeon", "address": "loft"}, None),
        (None, None),
    ],
)
def test_what_connect_takes(told: Any, taken: Address | None) -> None:
    known = Addresses()
    known.connected(connected(told))
    assert known.of(FRIEND) == taken


@pytest.mark.parametrize(
    ("address", "written"),
    [
        (Address("127.0.0.1", 9), "127.0.0.1:9"),
        (Address("::1", 9), "[::1]:9"),
        (Address(ONION, 9), f"{ONION}:9"),
    ],
)  # fmt: skip
def test_as_lightningd_writes_it(address: Address, written: str) -> None:
    """By that it is seen that an address is among those that `connect` has tried."""
    assert str(address) == written


def test_a_peer_that_dials_us_is_still_where_we_dialled_it() -> None:
    known = Addresses()
    known.connected(connected(ipv4(9736)))
    known.connected(connected(ipv4(38012), "in"))
    assert known.of(FRIEND) == Address("127.0.0.1", 9736)


def test_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A, B, A again, C: of two, A and C."""
    monkeypatch.setattr(addresses, "MOST", 2)
    known = Addresses()
    for port, name in enumerate("abac", 1):
        known.connected(connected(ipv4(port), peer=node(name)))
    assert [known.of(node(name)) for name in "abc"] == [Address("127.0.0.1", 3), None, Address("127.0.0.1", 4)]
