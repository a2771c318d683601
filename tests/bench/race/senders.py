"""Those who race: how each is put in charge of the node, asked to pay, and made to forget.

| sender | what it remembers | how it forgets |
|---|---|---|
| `pay` | channel hints, in its process | its plugin is started anew |
| `xpay` | what is known of channels, in askrene's layer `xpay` | `askrene-age` of all of it |
| ours | bounds of channels, troubles of nodes | `payliquidity reset` |

All of each is forgotten. A plugin that was started reads the gossip at its first call; that is one to a node that
nobody knows, whose time does not count.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pay.sim.network.encoding.bolt11 import Bolt11, encode
from tests.bench.race.network import Node
from tests.bench.race.record import Crossing, Part
from tests.support.checkout import PLUGIN
from tests.support.rawrpc import Answer

BUILTIN = "pay"
XPAY_LAYER = "xpay"
NOBODYS_SECRET = b"\x02" * 32
FEATURES = 1 << 8 | 1 << 14 | 1 << 17
"""var_onion_optin, payment_secret, basic_mpp (BOLT 9): what nearly every recipient's invoice says."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What every call says; None leaves each sender its own default.

    Parameters
    ----------
    retry_for_s
        Seconds.
    max_fee_percent
        Of the amount.
    """

    retry_for_s: int | None = None
    max_fee_percent: float | None = None


class Sender(Protocol):
    """One of those who race."""

    @property
    def name(self) -> str:
        """As the table calls it."""

    def enter(self, node: Node) -> None:
        """Take charge of the node, knowing nothing."""

    def forget(self, node: Node) -> None:
        """Know nothing again."""

    def pay(self, node: Node, bolt11: str, amount_msat: int, limits: Limits) -> Answer:
        """Pay this invoice with these limits."""

    def parts(self, node: Node, bolt11: str) -> tuple[Part, ...]:
        """What it said of its HTLCs, where it says anything."""


@dataclass(frozen=True, slots=True)
class Pay:
    """The builtin."""

    name: str = "pay"

    def enter(self, node: Node) -> None:
        stop_senders(node)
        start_builtin(node)
        node.ask("pay", bolt11=nobodys_invoice())

    def forget(self, node: Node) -> None:
        self.enter(node)

    def pay(self, node: Node, bolt11: str, amount_msat: int, limits: Limits) -> Answer:
        return node.ask("pay", bolt11=bolt11, **_as_pay(limits))

    def parts(self, node: Node, bolt11: str) -> tuple[Part, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Xpay:
    """The builtin's successor."""

    name: str = "xpay"

    def enter(self, node: Node) -> None:
        node.ask("xpay", invstring=nobodys_invoice())
        self.forget(node)

    def forget(self, node: Node) -> None:
        layers = [layer["layer"] for layer in node.call("askrene-listlayers")["layers"]]
        if XPAY_LAYER in layers:
            node.call("askrene-age", layer=XPAY_LAYER, cutoff=int(time.time()) + 1_000_000)

    def pay(self, node: Node, bolt11: str, amount_msat: int, limits: Limits) -> Answer:
        params: dict[str, Any] = {"invstring": bolt11}
        if limits.retry_for_s is not None:
            params["retry_for"] = limits.retry_for_s
        if limits.max_fee_percent is not None:
            params["maxfee"] = int(amount_msat * limits.max_fee_percent / 100)
        return node.ask("xpay", **params)

    def parts(self, node: Node, bolt11: str) -> tuple[Part, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Ours:
    """The plugin of this checkout.

    Parameters
    ----------
    options
        That it is started with.
    """

    name: str = "ours"
    options: dict[str, str] = field(default_factory=dict)
    plugin: Path = PLUGIN

    def enter(self, node: Node) -> None:
        stop_senders(node)
        node.call("plugin", subcommand="start", plugin=str(self.plugin), **self.options)
        node.ask("pay", bolt11=nobodys_invoice())
        self.forget(node)

    def forget(self, node: Node) -> None:
        node.call("payliquidity", subcommand="reset")

    def pay(self, node: Node, bolt11: str, amount_msat: int, limits: Limits) -> Answer:
        return node.ask("pay", bolt11=bolt11, **_as_pay(limits))

    def parts(self, node: Node, bolt11: str) -> tuple[Part, ...]:
        shown = node.call("paystatus", bolt11=bolt11)["pay"]
        return parts_of(shown[-1]["attempts"], node.call("getinfo")["id"]) if shown else ()


def parts_of(attempts: list[dict[str, Any]], us: str) -> tuple[Part, ...]:
    """Of the attempts of our `paystatus`; those that never left us say nothing."""
    return tuple(
        _part(attempt, us)
        for attempt in attempts
        if "success" in attempt or "erring_index" in _failure_data(attempt)
    )


def _part(attempt: dict[str, Any], us: str) -> Part:
    failure = _failure_data(attempt)
    route = attempt["route"]
    forwarders = [us, *(hop["id"] for hop in route)]
    return Part(
        attempt["amount_msat"],
        attempt.get("probability"),
        _arrived(attempt),
        _unix_s(attempt["start_time"]),
        _unix_s(attempt["end_time"]),
        tuple(
            Crossing(hop["channel"], hop["direction"], hop["amount_msat"], forwarder)
            for hop, forwarder in zip(route, forwarders, strict=False)
        ),
        failure.get("erring_index"),
        failure.get("failcode"),
    )


def _unix_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _arrived(attempt: dict[str, Any]) -> bool:
    return "success" in attempt or _failure_data(attempt)["erring_index"] == len(attempt["route"])


def _failure_data(attempt: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = attempt.get("failure", {}).get("data", {})
    return data


def _as_pay(limits: Limits) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if limits.retry_for_s is not None:
        params["retry_for"] = limits.retry_for_s
    if limits.max_fee_percent is not None:
        params["maxfeepercent"] = limits.max_fee_percent
        params["exemptfee"] = 0
    return params


def stop_senders(node: Node) -> None:
    """Nobody owns `pay` after this."""
    for path in _plugins(node):
        if Path(path).name in (BUILTIN, PLUGIN.name):
            node.call("plugin", subcommand="stop", plugin=path)


def start_builtin(node: Node) -> None:
    """The builtin pay stands where its neighbours do."""
    neighbour = next(path for path in _plugins(node) if Path(path).name == "cln-xpay")
    node.call("plugin", subcommand="start", plugin=str(Path(neighbour).with_name(BUILTIN)))


def _plugins(node: Node) -> list[str]:
    return [plugin["name"] for plugin in node.call("plugin", subcommand="list")["plugins"]]


def nobodys_invoice() -> str:
    """Of a node that is not in the network, never the same: nothing is sent for it."""
    payment_hash = secrets.token_bytes(32)
    said = Bolt11(
        payment_hash, int(time.time()), 1_000_000, description="", payment_secret=bytes(32), features=FEATURES
    )
    return encode(said, NOBODYS_SECRET)


def settled_rows(node: Node, payment_hash: str, patience_s: float) -> list[dict[str, Any]]:
    """Rows of a payment once none is pending, or as they stand when that takes too long."""
    end = time.monotonic() + patience_s
    while True:
        rows: list[dict[str, Any]] = node.call("listsendpays", payment_hash=payment_hash)["payments"]
        if time.monotonic() > end or all(row["status"] != "pending" for row in rows):
            return rows
        time.sleep(0.02)


def clear(node: Node, payment_hash: str) -> None:
    """The node has never heard of this payment: the next sender gets the same invoice."""
    for status in ("failed", "complete"):
        node.ask("delpay", payment_hash=payment_hash, status=status)


def read_variant(text: str) -> tuple[str, dict[str, str]]:
    """Name and options of `NAME:option=value,option=value`.

    Raises
    ------
    ValueError
        It is not of this form.
    """
    name, colon, rest = text.partition(":")
    pairs = [pair.partition("=") for pair in rest.split(",") if pair]
    if not name or not colon or not all(key and equals for key, equals, _ in pairs):
        raise ValueError(f"{text!r} is not NAME:option=value,option=value")
    return name, {key: value for key, _, value in pairs}
