"""Start-up, memory, and the time that the plugin adds to a payment: the real process against the box.

The box is Python as well and shares the machine, so its own answers are part of what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from pay.sim.lightningd.daemon import DEFAULT_PLUGIN, DEFAULT_VERSION, Lightningd
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network import networks
from pay.sim.network.clock import RealClock
from pay.sim.network.world import World
from tests.bench.many import USUAL_LEVEL
from tests.bench.setting import Setting
from tests.bench.table import heading, row, spread

_SPAWNS = 9
_WARM_UP, _PAYMENTS = 20, 200
_TICKS = os.sysconf("SC_CLK_TCK")


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures."""
    heading("the plugin", "median", "p99", "should be")
    manifest_s = [_manifest_s() for _ in range(setting.few(_SPAWNS, 3))]
    spread("spawn to manifest", manifest_s, "s", "≤ 0.5 s", 2)
    first_s, rss_mb, peak_mb, added_ms, threads = asyncio.run(_node(setting.network, setting.few(_PAYMENTS, 30)))
    row("spawn to first payment possible", f"{first_s:.2f} s", "", "≤ 2 s")
    row("resident after start and payments", f"{rss_mb:.0f} MB", "", "≤ 130 MB")
    row("resident at most", f"{peak_mb:.0f} MB", "", "")
    row("threads", str(threads), "", "")
    spread("pay to first sendpay, warm", added_ms, "ms", "≤ 5 ms")
    return {
        "manifest_s": statistics.median(manifest_s),
        "first_payment_s": first_s,
        "rss_mb": rss_mb,
        "peak_mb": peak_mb,
        "added_ms_p50": statistics.median(added_ms),
        "first_sendpay_ms": statistics.median(added_ms),
    }


def _manifest_s() -> float:
    environment = {**os.environ, "LIGHTNINGD_PLUGIN": "1", "LIGHTNINGD_VERSION": DEFAULT_VERSION}
    ask = {"jsonrpc": "2.0", "id": "1", "method": "getmanifest", "params": {"allow-deprecated-apis": False}}
    began = time.monotonic()
    with subprocess.Popen(
        [DEFAULT_PLUGIN], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(ask).encode() + b"\n\n")
        child.stdin.flush()
        while b'"rpcmethods"' not in child.stdout.readline():
            pass
        seconds = time.monotonic() - began
        child.kill()
    return seconds


async def _node(network: Path | None, payments: int) -> tuple[float, float, float, list[float], int]:
    loop = asyncio.get_running_loop()
    world = World(RealClock(loop), seed=1, chain="bitcoin", latency_s=0.0)
    if network is None:
        networks.generate(world, 17_000, seed=1)
    else:
        with networks.open_store(network) as store:
            networks.read_store(world, store, seed=1)
    us = networks.join(world, seed=1)
    payees = [peer for peer in world.nodes.values() if len(peer.channels) > 2 and peer is not us]
    with tempfile.TemporaryDirectory() as directory:
        async with Lightningd(world, us.id, Path(directory), options=USUAL_LEVEL) as node:
            await _said(node, "started version=")
            pid = next(iter(node.plugin_pids))

            async def pay(number: int) -> float | None:
                """Milliseconds from the call to its first part; None where it needed none."""
                invoice = world.create_invoice(payees[number * 37 % len(payees)].id, 1_000_000, f"bench {number}")
                mark = len(node.recorded)
                with contextlib.suppress(RpcError):
                    await node.call("pay", {"bolt11": invoice.bolt11})
                new = list(node.recorded)[mark:]
                asked = next(entry.at_s for entry in new if entry.method == "pay")
                sent = next((entry.at_s for entry in new if entry.method == "sendpay"), None)
                return None if sent is None else (sent - asked) * 1000

            await pay(0)
            first = next(entry.at_s for entry in node.recorded if entry.method == "sendpay")
            first_s = first - _spawned_s(pid)
            for number in range(1, _WARM_UP):
                await pay(number)
            added = [await pay(number) for number in range(_WARM_UP, _WARM_UP + payments)]
            status = _status(pid)
        return (
            first_s,
            status["VmRSS"] / 1024,
            status["VmHWM"] / 1024,
            [ms for ms in added if ms is not None],
            status["Threads"],
        )


async def _said(node: Lightningd, text: str) -> None:
    for _ in range(2000):
        if any(text in line.text for line in node.lines):
            return
        await asyncio.sleep(0.005)
    raise RuntimeError("the plugin did not start")


def _spawned_s(pid: int) -> float:
    """When a process was started, on the clock of time.monotonic(), to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / _TICKS


def _status(pid: int) -> dict[str, int]:
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {key: int(value.split()[0]) for key, value in lines if key in ("VmRSS", "VmHWM", "Threads")}
