"""The demonstration: the real plugin pays invoices on a simulated network, and every answer is judged.

Before each payment the world says what must come of it: whether a route within the limits could carry the amount
over the true balances (which the payer cannot see), or which documented error fits. The demonstration fails if one
answer is not that, or if a balance anywhere does not add up.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import lzma
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pay.network import GossipStoreError
from pay.sim.demo.cases import Case, Cases, NoPayee
from pay.sim.demo.table import Shown, Table, counted
from pay.sim.lightningd.daemon import Lightningd, LightningdDied
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network import networks, oracle
from pay.sim.network.clock import RealClock
from pay.sim.network.world import World
from pay.units import NodeId, format_msat

LATENCY_S = 0.005
"""Of a hop, one way: short, so that the demonstration is."""


class DemoError(Exception):
    """The demonstration cannot go on; says why."""


class Demo:
    """One run of the demonstration on a network of its own."""

    def __init__(self, nodes: int, network: Path | None, amount_msat: int | None, seed: int):
        self._nodes = nodes
        self._network = network
        self._amount_msat = amount_msat
        self._seed = seed
        self._directory = Path(tempfile.mkdtemp(prefix="pay-demo-"))
        self.failed = 0
        self.left_out = 0

    async def run(self) -> int:
        """Print the table; the exit status."""
        try:
            began = time.monotonic()
            self._build()
            async with Lightningd(self.world, self.us.id, self._directory) as self.node:
                spendable_msat = sum(c.spendable_msat(self.us.id) for c in self.us.channels)
                self._table = Table(max(2 * spendable_msat, self._amount_msat or 0))
                print(
                    f"{len(self.world.nodes):,} nodes, {len(self.world.channels):,} channels, "
                    f"we have {len(self.us.channels)} channels and can send "
                    f"{format_msat(spendable_msat)} at most\n"
                )
                await self._plugin_started()
                self._table.head()
                for make in Cases(self.world, self.us, self._seed, self._pay).plan(self._amount_msat):
                    await self._row(make)
            oracle.audit(self.world)
            return self._verdict(time.monotonic() - began)
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _row(self, make: Callable[[], Awaitable[Case]]) -> None:
        try:
            case = await make()
        except NoPayee:
            self.left_out += 1
            return
        await self._show(case)
        if self.node.plugins.owner("pay") is None:
            raise DemoError(f"the plugin has died: {self._last_line()}")

    def _verdict(self, seconds: float) -> int:
        if self.left_out:
            print(f"\n{counted(self.left_out, 'case')} left out: nobody in this network fits")
        if self.failed:
            they = "it" if self.failed == 1 else "they"
            words = f"{counted(self.failed, 'payment')} did not end as the world says {they} must"
            print(f"\n{words}", file=sys.stderr)
            bad = [line for line in self.node.lines if line.level in ("unusual", "broken")]
            print(*bad[-10:], sep="\n", file=sys.stderr)
            return 1
        print(f"\nEvery payment ended as it must, all balances add up ({seconds:.1f} s)")
        return 0

    def _last_line(self) -> str:
        """What the log says of the worst, without its further lines."""
        lines = [line for line in self.node.lines if line.level in ("unusual", "broken")] or self.node.lines
        return str(lines[-1]).splitlines()[0] if lines else "the log is empty"

    def _build(self) -> None:
        chain = "regtest" if self._network is None else "bitcoin"
        self.world = World(RealClock(asyncio.get_running_loop()), seed=self._seed, chain=chain)
        if self._network is None:
            networks.generate(self.world, self._nodes, seed=self._seed)
        else:
            with networks.open_store(self._network) as store:
                networks.read_store(self.world, store, seed=self._seed)
        if not self.world.channels:
            raise DemoError(f"{self._network} has no channels")
        self.us = networks.join(self.world, "us", seed=self._seed)
        for peer in self.world.nodes.values():
            peer.latency_s = LATENCY_S

    async def _plugin_started(self) -> None:
        """Until the plugin has kept cln-xpay from answering in its place."""
        for _ in range(400):
            if any("started version=" in line.text for line in self.node.lines):
                return
            if self.node.plugins.owner("pay") is None:
                break
            await asyncio.sleep(0.05)
        raise DemoError(f"the plugin did not start: {self._last_line()}")

    async def _show(self, case: Case) -> None:
        shown = await self._pay(case)
        right = shown.result == case.expected
        self.failed += not right
        self._table.row(
            [
                case.payee[:22],
                format_msat(case.amount_msat),
                ("paid" if shown.result == "complete" else shown.result) + ("" if right else " !"),
                "" if shown.fee_msat is None else format_msat(shown.fee_msat),
                "" if shown.hops is None else str(shown.hops),
                str(shown.parts or ""),
                str(shown.tries or ""),
                f"{shown.seconds:.2f} s",
            ],
            case.why if right else f"expected {case.expected}: {case.why}",
        )
        if shown.result != "complete":
            print(f"    {shown.words}")
        if self._amount_msat is not None:
            for route in shown.routes:
                print("    " + route)

    async def _pay(self, case: Case) -> Shown:
        before = len(self.node.recorded)
        began = time.monotonic()
        try:
            answer = await self.node.call("pay", case.params)
            shown = Shown("complete", "")
            shown.fee_msat = answer["amount_sent_msat"] - answer["amount_msat"]
            if hashlib.sha256(bytes.fromhex(answer["payment_preimage"])).hexdigest() != answer["payment_hash"]:
                shown = Shown("lie", "the preimage is not of this hash")
        except RpcError as error:
            shown = Shown(str(error.code), error.message)
        shown.seconds = time.monotonic() - began
        sent = [r.params for r in list(self.node.recorded)[before:] if r.method == "sendpay"]
        shown.tries = len(sent)
        if sent:
            rows = await self.node.call("listsendpays", {"payment_hash": sent[0]["payment_hash"]})
            # At the first preimage the rest of the parts is still on its way back.
            paid = {row["partid"] for row in rows["payments"] if row["status"] != "failed"}
            used = [order["route"] for order in sent if order["partid"] in paid] or [sent[-1]["route"]]
            shown.hops = max(len(route) for route in used)
            shown.parts = len(paid)
            shown.routes = [self._route_words(route) for route in used]
        return shown

    def _route_words(self, route: list[dict[str, Any]]) -> str:
        names = [self.world.nodes[NodeId(bytes.fromhex(hop["id"]))].name for hop in route]
        return f"{format_msat(route[-1]['amount_msat']):>16}  us → " + " → ".join(names)


def run(nodes: int, network: Path | None, amount_msat: int | None, seed: int) -> int:
    """Run the demonstration; its exit status is 0 only if every payment ended as it must."""
    logging.disable(logging.WARNING)
    try:
        return asyncio.run(Demo(nodes, network, amount_msat, seed).run())
    except BrokenPipeError:
        raise
    except (DemoError, LightningdDied, GossipStoreError, lzma.LZMAError, OSError, ValueError) as error:
        print(f"The demonstration cannot go on: {error}", file=sys.stderr)
        return 1
