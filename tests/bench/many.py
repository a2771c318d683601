"""Many payments at the same time: CPU of the plugin per payment, threads, sockets, and growth over thousands.

On a small network, so that what is measured is the plugin and not its plans.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path

from pay.sim import networks
from pay.sim.clock import RealClock
from pay.sim.jsonstream import RpcError
from pay.sim.node import SimNode
from pay.sim.world import World
from tests.bench.table import heading, row

AT_ONCE = 500
THOUSANDS = 10_000
_NODES = 200
_TICKS = os.sysconf("SC_CLK_TCK")


def run() -> dict[str, float]:
    """Print the table and return its figures."""
    return asyncio.run(_run())


async def _run() -> dict[str, float]:
    world = World(RealClock(asyncio.get_running_loop()), seed=1, latency_s=0.0)
    networks.generate(world, _NODES, seed=1)
    us = networks.join(world, n_channels=20, seed=1, capacity_msat=10**12)
    payees = [peer for peer in world.nodes.values() if len(peer.channels) > 2 and peer is not us]
    with tempfile.TemporaryDirectory() as directory:
        async with SimNode(world, us.id, Path(directory)) as node:
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

            heading(f"{AT_ONCE} payments at once, then {THOUSANDS:,}", "", "", "should be")
            for _ in range(20):
                await pay(10_000)
            spent_s, began = cpu_s(pid), time.monotonic()
            paid = sum(await asyncio.gather(*(pay(10_000) for _ in range(AT_ONCE))))
            once_ms = (cpu_s(pid) - spent_s) * 1000 / AT_ONCE
            seconds = time.monotonic() - began
            row("paid", f"{paid}", "", f"{AT_ONCE}")
            row("CPU of the plugin per payment", f"{once_ms:.1f} ms", "", "≤ 5 ms")
            row("all of them took, the box's own time included", f"{seconds:.1f} s")
            row("threads", f"{_status(pid, 'Threads')}", "", "≤ 5")
            # The first thousand fills what is kept of finished payments.
            for _ in range(1_000 // 50):
                await asyncio.gather(*(pay(1_000) for _ in range(50)))
            before_mb = _status(pid, "VmRSS") / 1024
            for _ in range(THOUSANDS // 50):
                await asyncio.gather(*(pay(1_000) for _ in range(50)))
            growth_mb = _status(pid, "VmRSS") / 1024 - before_mb
            row(f"growth over {THOUSANDS:,} payments", f"{growth_mb:.1f} MB", "", "≤ 20 MB")
    return {"many_cpu_ms": once_ms, "many_growth_mb": growth_mb, "many_paid": paid}


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise KeyError(name)
