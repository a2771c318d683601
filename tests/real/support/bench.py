"""The real side of the benches that the table of `sendpay` and the conversation stand on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.real.support.network import Node, Regtest
from tests.support.lightningd.sendpay_table import Invoice, Payee
from tests.support.rawrpc import Answer
from tests.support.waiting import until


@dataclass(frozen=True, slots=True)
class Line:
    """The plain node and those it pays to: host ── hub ── far ── end."""

    regtest: Regtest
    host: Node
    hub: Node
    far: Node
    end: Node


class RealBench:
    """host ── hub ── far on regtest, with a witness in each."""

    def __init__(self, line: Line, name: str = "table"):
        self._line = line
        self._name = name
        self._nodes = {Payee.HOST: line.host, Payee.NEAR: line.hub, Payee.FAR: line.far}
        self._labels = itertools.count()

    def call(self, method: str, params: dict[str, Any] | list[Any]) -> Answer:
        return self._line.host.raw.call(method, params)

    def invoice(self, payee: Payee, amount_msat: int | None) -> Invoice:
        label, amount = f"{self._name}-{next(self._labels)}", "any" if amount_msat is None else amount_msat
        made = self._nodes[payee].call("invoice", amount_msat=amount, label=label, description="table")
        return Invoice(payee, made["bolt11"], made["payment_hash"], made["payment_secret"])

    def node_id(self, payee: Payee) -> str:
        return self._nodes[payee].id

    def scid(self, hop: int) -> str:
        ends = ((self._line.host, self._line.hub), (self._line.hub, self._line.far))[hop]
        return ends[0].channel_to(ends[1])["short_channel_id"]

    def hold(self, invoice: Invoice) -> None:
        self._nodes[invoice.payee].call("hold", invoice.payment_hash)

    def release(self, invoice: Invoice, failure: str | None) -> None:
        arguments = [invoice.payment_hash] if failure is None else [invoice.payment_hash, failure]
        self._nodes[invoice.payee].call("release", *arguments)

    def held(self, invoice: Invoice) -> int:
        return self._nodes[invoice.payee].call("held", invoice.payment_hash)["htlcs"]

    def received_msat(self, invoice: Invoice) -> int | None:
        (shown,) = self._nodes[invoice.payee].call("listinvoices", payment_hash=invoice.payment_hash)["invoices"]
        return shown.get("amount_received_msat")

    def notifications(self, topic: str, payment_hash: str) -> list[dict[str, Any]]:
        return self._line.host.notifications(topic, payment_hash)

    def unplug(self) -> None:
        self._line.host.call("disconnect", self._line.hub.id, True)

    def plug(self) -> None:
        self._line.host.peer.connect(self._line.hub.peer)
        self.wait_until(lambda: _reestablished(self._line.host, self._line.hub))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        until(condition, look_s=0.05)


def _reestablished(node: Node, peer: Node) -> bool:
    return node.channel_to(peer)["peer_connected"] and any(
        "Reconnected, and reestablished" in status for status in node.channel_to(peer)["status"]
    )
