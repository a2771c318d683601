"""What the tests of learning share: the world of box/host.py, with the channel from the hub to far drained."""

from __future__ import annotations

import json
from typing import Any

from tests.support.box.host import SAT, Host

AMOUNT_MSAT = 100_000 * SAT
OPTIONS: dict[str, Any] = {
    "developer": True,
    "options": {"pay-dev-liquidity-ms": 50, "pay-shadow": "off", "pay-randomness": 0},
}
KEY = ["pay", "liquidity"]


def drain(host: Host, start: str, left_msat: int = 0) -> None:
    """Leave so much to spend on the side of `start` in its channel with far."""
    channel = host.channel(start, "far")
    side = channel.side(host.id(start))
    left_msat += channel.reserves_msat[side]

    def act(_world: Any) -> None:
        channel.balances_msat[side] = left_msat
        channel.balances_msat[1 - side] = channel.capacity_msat - left_msat

    host.world(act)


def tries(host: Host, amount_msat: int = AMOUNT_MSAT) -> list[str]:
    """Pay: over whom each part was sent."""
    mark = host.mark()
    host.pay(host.invoice(amount_msat=amount_msat)).ok()
    names = {host.id(name).hex(): name for name in ("hub", "alt")}
    return [names[sent["route"][0]["id"]] for sent in host.sendpays(mark)]


def liquidity(host: Host, *params: Any, **named: Any) -> dict[str, Any]:
    answer = host.call("payliquidity", named or list(params)).ok()
    assert isinstance(answer, dict)
    return answer


def of(host: Host, start: str) -> dict[str, Any]:
    """What is shown of the direction towards far, on the side of `start`."""
    shown = liquidity(host, short_channel_id=host.scid(start, "far"))["channels"]
    (channel,) = shown
    (direction,) = [d for d in channel["directions"] if d["source"] == host.id(start).hex()]
    return {**channel, **direction}


def stored(host: Host) -> dict[str, Any]:
    """The pieces in the datastore, by name."""
    found = host.call("listdatastore", {"key": KEY}).ok()["datastore"]
    return {entry["key"][-1]: json.loads(entry["string"]) for entry in found}


def kept(host: Host) -> bool:
    """Whether the datastore has all that is exported."""
    exported = liquidity(host, "export")
    pieces = stored(host).values()
    channels = {c["short_channel_id"]: c for piece in pieces for c in piece["channels"]}
    return channels == {c["short_channel_id"]: c for c in exported["channels"]}
