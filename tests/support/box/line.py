"""host ── hub ── far in the box, with the same witness plugin as the real nodes: the table's other side.

The box lives on an asyncio loop in a thread of its own, so that tests call it as they call a real node.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from pay.network import Policy
from pay.sim.lightningd.daemon import Lightningd
from pay.sim.network.clock import RealClock
from pay.sim.network.faults import Faults
from pay.sim.network.invoices import SimInvoice
from pay.sim.network.recipient import fail_parts
from pay.sim.network.world import World
from pay.units import format_scid
from tests.support.lightningd.sendpay_table import Invoice, Payee
from tests.support.plugins import WITNESS
from tests.support.rawrpc import Answer, RawRpc
from tests.support.waiting import PATIENCE_S, result_of, until

CAPACITY_MSAT = 1_000_000_000
T = TypeVar("T")


class BoxLine:
    """A running `Lightningd` with its world; a `Bench` of the table of `sendpay`."""

    def __init__(self, directory: Path, **options: Any):
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.node = self._do(lambda: self._build(directory))
        self._wait(self.node.start())
        self.rpc = RawRpc(self.node.rpc_path)

    def _build(self, directory: Path) -> Lightningd:
        """What the real line has: its policies in regtest, ten HTLCs at most in a channel."""
        self.world = World(RealClock(self._loop), seed=1, latency_s=0.0)
        names = {Payee.HOST: "host", Payee.NEAR: "hub", Payee.FAR: "far"}
        self._ids = {payee: self.world.add_node(name).id for payee, name in names.items()}
        self._channels = []
        policy = Policy(
            fee_base_msat=1, fee_ppm=10, cltv_delta=6, htlc_min_msat=0, htlc_max_msat=CAPACITY_MSAT * 99 // 100
        )
        for start, end in ((Payee.HOST, Payee.NEAR), (Payee.NEAR, Payee.FAR)):
            channel = self.world.add_channel(
                self._ids[start], self._ids[end], CAPACITY_MSAT, CAPACITY_MSAT, policy_ab=policy, policy_ba=policy
            )
            channel.htlc_limits = [10, 10]
            self._channels.append(channel)
        host = self._ids[Payee.HOST]
        return Lightningd(self.world, host, directory, plugin=WITNESS, developer=True, **self._options)

    def stop(self) -> None:
        """End the node and its thread."""
        self._wait(self.node.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the node's thread has not ended"
        self._loop.close()

    def call(self, method: str, params: dict[str, Any] | list[Any]) -> Answer:
        return self.rpc.call(method, params)

    def invoice(self, payee: Payee, amount_msat: int | None) -> Invoice:
        if payee is Payee.HOST:
            label = f"table-{time.monotonic_ns()}"
            amount = "any" if amount_msat is None else amount_msat
            made = self.call("invoice", {"amount_msat": amount, "label": label, "description": "table"}).ok()
            return Invoice(payee, made["bolt11"], made["payment_hash"], made["payment_secret"])
        sim = self._do(lambda: self.world.create_invoice(self._ids[payee], amount_msat, "table"))
        assert sim.payment_secret is not None
        return Invoice(payee, sim.bolt11, sim.payment_hash.hex(), sim.payment_secret.hex())

    def node_id(self, payee: Payee) -> str:
        return self._ids[payee].hex()

    def scid(self, hop: int) -> str:
        return format_scid(self._channels[hop].scid)

    def hold(self, invoice: Invoice) -> None:
        self._do(lambda: setattr(self._sim(invoice), "hold", True))

    def release(self, invoice: Invoice, failure: str | None) -> None:
        sim = self._sim(invoice)
        if failure is None:
            self._do(lambda: self.world.release_invoice(sim))
        else:
            self._do(lambda: fail_parts(sim, lambda _: bytes.fromhex(failure)))

    def held(self, invoice: Invoice) -> int:
        return self._do(lambda: len(self._sim(invoice).parts))

    def received_msat(self, invoice: Invoice) -> int | None:
        if invoice.payee is Payee.HOST:
            (shown,) = self.call("listinvoices", {"payment_hash": invoice.payment_hash}).ok()["invoices"]
            return shown.get("amount_received_msat")
        return self._do(lambda: self._sim(invoice).received_msat or None)

    def notifications(self, topic: str, payment_hash: str) -> list[dict[str, Any]]:
        file = self.node.directory / "notifications.jsonl"
        messages = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [m["params"] for m in messages if m["method"] == topic and payment_hash in json.dumps(m)]

    def unplug(self) -> None:
        self._do(lambda: self.world.set_faults(self._ids[Payee.NEAR], Faults(offline=True)))

    def plug(self) -> None:
        self._do(lambda: self.world.set_faults(self._ids[Payee.NEAR], None))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Look again and again; in between the box runs."""
        until(condition)

    def _sim(self, invoice: Invoice) -> SimInvoice:
        return self.world.invoices[bytes.fromhex(invoice.payment_hash)]

    def _do(self, what: Callable[[], T]) -> T:
        """Run a function on the box's thread."""

        async def run() -> T:
            return what()

        return self._wait(run())

    def _wait(self, what: Coroutine[Any, Any, T]) -> T:
        return result_of(asyncio.run_coroutine_threadsafe(what, self._loop), "the box")
