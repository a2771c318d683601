"""What the hook costs: `pay` as a method of our own, and led to us from the builtin's, on the same box.

A call that ends at its parameters is answered by the thread that reads, so that what is measured is the way there.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pay.sim.lightningd.daemon import Lightningd
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network import networks
from pay.sim.network.clock import RealClock
from pay.sim.network.world import World
from tests.bench.many import USUAL_LEVEL
from tests.bench.setting import Setting
from tests.bench.table import heading, row

_CALLS = 2_000
_AT_ONCE = 500
_NODES = 200


@dataclass(frozen=True, slots=True)
class Way:
    """Figures of one way in: of a refused call, of one that nobody hooks, and of many payments at once."""

    refused_ms: float
    other_ms: float
    at_once_s: float
    paid: int


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures."""
    calls = setting.few(_CALLS, 100)
    own, hook = (asyncio.run(_measured(entry, calls)) for entry in ("own", "hook"))
    heading("a call", "own method", "by the hook", "should be")
    row("of pay, to its answer, median ms", f"{own.refused_ms:.2f}", f"{hook.refused_ms:.2f}", "≤ 1 more")
    row("of another command, median ms", f"{own.other_ms:.2f}", f"{hook.other_ms:.2f}", "the same")
    row(f"{_AT_ONCE} payments at once, s", f"{own.at_once_s:.2f}", f"{hook.at_once_s:.2f}", "the same")
    row("of them paid", str(own.paid), str(hook.paid), "all")
    return {
        "door_added_ms": hook.refused_ms - own.refused_ms,
        "door_at_once_ratio": hook.at_once_s / own.at_once_s,
    }


async def _measured(entry: str, calls: int) -> Way:
    world = World(RealClock(asyncio.get_running_loop()), seed=1, latency_s=0.0)
    networks.generate(world, _NODES, seed=1)
    us = networks.join(world, n_channels=20, seed=1, capacity_msat=10**12)
    payees = [peer for peer in world.nodes.values() if len(peer.channels) > 2 and peer is not us]
    with tempfile.TemporaryDirectory() as directory:
        async with Lightningd(
            world, us.id, Path(directory), options=USUAL_LEVEL, builtin_pay=entry == "hook",
            environment={"CLNPAY_ENTRY": entry},
        ) as node:  # fmt: skip
            while not any("started version=" in line.text for line in node.lines):
                await asyncio.sleep(0.01)

            async def took_ms(method: str, params: dict[str, object]) -> float:
                began = time.monotonic()
                try:
                    await node.call(method, params)
                except RpcError as error:
                    assert error.code == -32602, error
                return (time.monotonic() - began) * 1000

            async def pay(number: int) -> bool:
                invoice = world.create_invoice(payees[number * 37 % len(payees)].id, 10_000, f"bench {number}")
                answer = await node.call("pay", {"bolt11": invoice.bolt11})
                return bool(answer["status"] == "complete")

            refused = {"bolt11": "lnbcrt1bench", "maxfee": "nonsense"}
            for _ in range(20):
                await took_ms("pay", refused)
            refused_ms = statistics.median([await took_ms("pay", refused) for _ in range(calls)])
            other_ms = statistics.median([await took_ms("getinfo", {}) for _ in range(calls)])
            for number in range(20):
                await pay(number)
            began = time.monotonic()
            paid = sum(await asyncio.gather(*(pay(number) for number in range(20, 20 + _AT_ONCE))))
            return Way(refused_ms, other_ms, time.monotonic() - began, paid)
