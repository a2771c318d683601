"""What a payment costs on a node that has done much, and beside callers that hang.

A node with half a million HTLCs that are over, and one with none: the plugin is started anew while a part is out,
so that it looks whether that one has an HTLC at all, and takes a first `pay`. Then a hundred calls of `pay` wait
for the approval of a person, and others beside them do not. The network is small: plans are not what is measured.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import tempfile
from pathlib import Path
from typing import Any

from pay.sim.lightningd.daemon import DEFAULT_PLUGIN, Lightningd
from pay.sim.network import networks
from pay.sim.network.channel import SimPeer
from pay.sim.network.clock import RealClock
from pay.sim.network.invoices import SimInvoice
from pay.sim.network.world import World
from tests.bench.many import cpu_s
from tests.bench.setting import Setting
from tests.bench.table import heading, row

HTLCS = 500_000
HANGING = 100
_NODES, _STARTS, _PAYMENTS = 200, 3, 60


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures."""
    return asyncio.run(_run(setting.few(HTLCS, 20_000), setting.few(_PAYMENTS, 10)))


async def _run(htlcs: int, payments: int) -> dict[str, float]:
    heading(f"HTLCs of the host that are over: 0 and {htlcs:,}", "0", "many", "should be")
    without, much = await _started(0), await _started(htlcs)
    row("first pay of a run to its sendpay", f"{without[0]:.0f} ms", f"{much[0]:.0f} ms", "the same")
    row("CPU of the plugin until then", f"{without[1]:.0f} ms", f"{much[1]:.0f} ms", "the same")
    row("listhtlcs that were asked for", "", f"{much[2]:.0f}", "0")
    heading(f"{HANGING} calls that wait for an approval", "alone", "beside", "should be")
    alone, beside = await _hanging(payments)
    row("pay to first sendpay, median", f"{alone:.1f} ms", f"{beside:.1f} ms", "≤ 1.2 times")
    return {
        "crowded_first_ms": much[0],
        "crowded_first_ratio": much[0] / without[0],
        "crowded_cpu_ratio": much[1] / without[1],
        "crowded_listhtlcs": much[2],
        "crowded_hanging_ms": beside,
        "crowded_hanging_ratio": beside / alone,
    }


class _Scene:
    """A small world and the node in it."""

    def __init__(self) -> None:
        self.world = World(RealClock(asyncio.get_running_loop()), seed=1, latency_s=0.0)
        networks.generate(self.world, _NODES, seed=1)
        self.us = networks.join(self.world, n_channels=20, seed=1, capacity_msat=10**12)
        self._payees = [p for p in self.world.nodes.values() if len(p.channels) > 2 and p is not self.us]
        self._made = 0

    def payee(self) -> SimPeer:
        self._made += 1
        return self._payees[self._made * 37 % len(self._payees)]

    def invoice(self, **more: Any) -> SimInvoice:
        return self.world.create_invoice(self.payee().id, 10_000, f"bench {self._made}", **more)

    async def pay(self, node: Lightningd) -> float:
        """Milliseconds from the call to its first part."""
        mark = len(node.recorded)
        await node.call("pay", {"bolt11": self.invoice().bolt11})
        new = list(node.recorded)[mark:]
        asked = next(entry.at_s for entry in new if entry.method == "pay")
        return (next(entry.at_s for entry in new if entry.method == "sendpay") - asked) * 1000


async def _started(htlcs: int) -> tuple[float, float, int]:
    """Of a plugin that finds a part of its last run: ms and CPU (ms) to the first part of a new one; listhtlcs."""
    scene = _Scene()
    with tempfile.TemporaryDirectory() as directory:
        async with Lightningd(scene.world, scene.us.id, Path(directory)) as node:
            for channel in list(scene.world.channels.values())[-1:]:
                node.htlcs.fill(channel, htlcs)
            await _started_once(node, 1)
            held = scene.invoice(hold=True)
            waiting = asyncio.create_task(node.call("pay", {"bolt11": held.bolt11}))
            while not held.parts:
                await asyncio.sleep(0.01)
            first_ms, cpu_ms, mark = [], [], len(node.recorded)
            for number in range(_STARTS):
                os.kill(next(iter(node.plugin_pids)), signal.SIGKILL)
                while node.plugin_pids:
                    await asyncio.sleep(0.01)
                await node.call("plugin", {"subcommand": "start", "plugin": str(DEFAULT_PLUGIN)})
                await _started_once(node, number + 2)
                first_ms.append(await scene.pay(node))
                cpu_ms.append(cpu_s(next(iter(node.plugin_pids))) * 1000)
            asked = sum(entry.method == "listhtlcs" for entry in list(node.recorded)[mark:])
            scene.world.release_invoice(held)
            await asyncio.gather(waiting, return_exceptions=True)
    return statistics.median(first_ms), statistics.median(cpu_ms), asked


async def _started_once(node: Lightningd, times: int) -> None:
    while sum("started version=" in line.text for line in node.lines) < times:
        await asyncio.sleep(0.01)


async def _hanging(payments: int) -> tuple[float, float]:
    """Median ms of payments alone, and beside those that hang: in turns, before, with them and after."""
    scene = _Scene()
    with tempfile.TemporaryDirectory() as directory:
        async with Lightningd(scene.world, scene.us.id, Path(directory)) as node:
            await _started_once(node, 1)
            stuck = {scene.invoice().bolt11 for _ in range(HANGING)}
            for _ in range(20):
                await scene.pay(node)
            alone = [await scene.pay(node) for _ in range(payments)]
            node.faults.hold_if["preapproveinvoice"] = lambda params: params["bolt11"] in stuck
            waiting = [asyncio.create_task(node.call("pay", {"bolt11": text})) for text in stuck]
            while len(node.dispatcher.held) < HANGING:
                await asyncio.sleep(0.01)
            beside = [await scene.pay(node) for _ in range(payments)]
            node.faults.hold_if.clear()
            node.dispatcher.release()
            await asyncio.gather(*waiting, return_exceptions=True)
            alone += [await scene.pay(node) for _ in range(payments)]
    return statistics.median(alone), statistics.median(beside)
