"""Many payments at the same time: CPU of the plugin per payment, threads, sockets, and growth over thousands.

On a small network, so that what is measured is the plugin and not its plans.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pay.sim.lightningd.daemon import Lightningd
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network import networks
from pay.sim.network.clock import RealClock
from pay.sim.network.world import World
from tests.bench.setting import Setting
from tests.bench.table import heading, row

AT_ONCE = (100, 500, 1_000)
USUAL_LEVEL = {"log-level": "info"}
"""What lightningd keeps in its log unless it is told otherwise."""

THOUSANDS = 10_000
_NODES = 200
_TICKS = os.sysconf("SC_CLK_TCK")


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures."""
    few, thousands = (AT_ONCE[:1], 500) if setting.quick else (AT_ONCE, THOUSANDS)
    return asyncio.run(_run(few, thousands))


async def _run(at_once: Sequence[int], thousands: int) -> dict[str, float]:
    world = World(RealClock(asyncio.get_running_loop()), seed=1, latency_s=0.0)
    networks.generate(world, _NODES, seed=1)
    us = networks.join(world, n_channels=20, seed=1, capacity_msat=10**12)
    payees = [peer for peer in world.nodes.values() if len(peer.channels) > 2 and peer is not us]
    with tempfile.TemporaryDirectory() as directory:
        async with Lightningd(world, us.id, Path(directory), options=USUAL_LEVEL) as node:
            while not any("started version=" in line.text for line in node.lines):
                await asyncio.sleep(0.01)
            pid = next(iter(node.plugin_pids))
            number = 0

            async def pay(amount_msat: int) -> bool:
                nonlocal number
                number += 1
                payee = payees[number * 37 % len(payees)]
                invoice = world.create_invoice(payee.id, amount_msat, f"bench {number}")
                with contextlib.suppress(RpcError):
                    return bool((await node.call("pay", {"bolt11": invoice.bolt11}))["status"] == "complete")
                return False

            heading("payments at once", *(f"{count:,}" for count in at_once), "should be")
            for _ in range(20):
                await pay(10_000)
            paid, cpu_ms, took_s = dict[int, int](), dict[int, float](), dict[int, float]()
            for count in at_once:
                spent_s, began = cpu_s(pid), time.monotonic()
                paid[count] = sum(await asyncio.gather(*(pay(10_000) for _ in range(count))))
                cpu_ms[count] = (cpu_s(pid) - spent_s) * 1000 / count
                took_s[count] = time.monotonic() - began
            row("paid", *(f"{paid[count]:,}" for count in at_once), "all")
            row("CPU of the plugin per payment, ms", *(f"{cpu_ms[count]:.1f}" for count in at_once), "≤ 3")
            row("all of them took, the box's own time included, s", *(f"{took_s[count]:.1f}" for count in at_once))
            heading(f"then {thousands:,}", "", "", "should be")
            row("threads", f"{_status(pid, 'Threads')}", "", "≤ 5")
            # The first thousand fills what is kept of finished payments.
            for _ in range(min(1_000, thousands) // 50):
                await asyncio.gather(*(pay(1_000) for _ in range(50)))
            before_mb = _status(pid, "VmRSS") / 1024
            for _ in range(thousands // 50):
                await asyncio.gather(*(pay(1_000) for _ in range(50)))
            growth_mb = _status(pid, "VmRSS") / 1024 - before_mb
            row(f"growth over {thousands:,} payments", f"{growth_mb:.1f} MB", "", "≤ 20 MB")
    figures = {f"cpu_ms_{count}": cpu_ms[count] for count in at_once}
    most = min(500, at_once[-1])
    return figures | {"many_cpu_ms": cpu_ms[most], "many_growth_mb": growth_mb, "many_paid": paid[most]}


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise KeyError(name)
