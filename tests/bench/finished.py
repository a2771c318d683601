"""What finished payments keep in memory, and what `paystatus` of all of them costs the loop.

A thousand payments of a hundred attempts each, up to thirty at a time, by routes of six hops: they are told their
story event by event, as the runner does it, and end in the register. The loop is measured by its turns: the
longest that one lasted is the longest that any other payment had to wait.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import threading
import time
from collections.abc import Iterable
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

from pyln.client.plugin import Request

from pay.app.application import answer_at_length
from pay.commands import paystatus
from pay.commands.form.command import Context
from pay.engine.live.register import Register
from pay.engine.live.running import Running
from pay.feedback.failure import FailCode, Failure
from pay.host.calls import PartOrder
from pay.host.host_plugin import HostPlugin
from pay.invoice.recipient import ClearRecipient
from pay.network.policy import Policy
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from pay.payment.settings import PartLimits
from pay.payment.standing import PaymentFailed, standing_of
from pay.payment.terms import Limits, Terms
from pay.routing.preferences import Preferences
from pay.routing.query import Hop, Route
from pay.units import NodeId, Scid, ScidDir
from tests.bench.setting import Setting
from tests.bench.table import heading, row
from tests.support.commands import context, silent
from tests.support.payments import failed, update_bytes

PAYMENTS, ATTEMPTS, PARTS, HOPS = 1_000, 100, 30, 6
_AMOUNT_MSAT = 300_000_000
_NODES = [NodeId(b"\x02" + random.Random(n).randbytes(32)) for n in range(17_000)]
_HEIGHT = 800_000


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures."""
    return asyncio.run(_run(setting.few(PAYMENTS, 100)))


async def _run(payments: int) -> dict[str, float]:
    draw, register = random.Random(1), Register()
    for number in range(payments):
        payment(register, number, draw)
    kept_mb = _kept_bytes(register) / 1e6
    heading(f"{payments:,} finished payments of {ATTEMPTS} attempts", "", "", "should be")
    row("kept", f"{kept_mb:.1f} MB", "", "≤ 20 MB")
    asked = context(_Host(), register)
    turns = _Turns()
    began = time.perf_counter()
    size = await _answered(asked)
    seconds = time.perf_counter() - began
    await turns.stop()
    row("a bare paystatus answers", f"{size / 1e6:.1f} MB")
    row("takes", f"{seconds:.2f} s")
    row("and holds the loop for at most", f"{turns.longest_s * 1000:.0f} ms", "", "≤ 50 ms")
    row("of that, with work of its own", f"{turns.busiest_s * 1000:.0f} ms")
    return {
        "finished_kept_mb": kept_mb,
        "finished_answer_mb": size / 1e6,
        "finished_hold_ms": turns.longest_s * 1000,
        "finished_hold_cpu_ms": turns.busiest_s * 1000,
        "finished_answer_s": seconds,
    }


async def _answered(asked: Context) -> int:
    """Bytes of the whole answer, made and written as the plugin does it, to a host that reads on."""
    reads, writes = os.pipe()
    size = 0

    def read() -> None:
        nonlocal size
        while chunk := os.read(reads, 1 << 16):
            size += len(chunk)

    host = threading.Thread(target=read)
    host.start()
    with open(writes, "w", encoding="utf-8") as stdout:
        plugin = HostPlugin()
        plugin.stdout = stdout
        request = Request(plugin, "1", "paystatus", {})
        await answer_at_length(plugin, request, await paystatus.answer(None, asked, silent))
    await asyncio.to_thread(host.join)
    os.close(reads)
    return size


def _kept_bytes(register: Register) -> int:
    """Of all objects that only the register holds: nodes are the graph's, and types and numbers everybody's."""
    gc.collect()
    seen = {id(node) for node in _NODES}
    size, todo = 0, [register]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType | Enum):
            continue
        seen.add(id(one))
        size += sys.getsizeof(one)
        todo += gc.get_referents(one)
    return size


class _Turns:
    """Watches how long the loop's turns are, by the clock and in CPU of the loop's thread."""

    def __init__(self) -> None:
        self.longest_s = self.busiest_s = 0.0
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            began_s, began_cpu_s = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0)
            self.longest_s = max(self.longest_s, time.perf_counter() - began_s)
            self.busiest_s = max(self.busiest_s, time.thread_time() - began_cpu_s)

    async def stop(self) -> None:
        """A turn that lasts is counted too."""
        await asyncio.sleep(0)
        self._task.cancel()


class _Host:
    """Stands in for the node, which has no rows, and the planner, which has a name for each node."""

    async def patient(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"payments": []}

    async def aliases(self, nodes: Iterable[NodeId]) -> dict[NodeId, str]:
        # The planner looks on a thread of its own.
        return await asyncio.to_thread(lambda: {node: f"node {node[1:6].hex()}" for node in nodes})


def payment(register: Register, number: int, draw: random.Random, attempts: int = ATTEMPTS) -> None:
    """Live through one payment and put it among the finished: every other one is paid with its last attempt."""
    payment_hash = draw.randbytes(32)
    now = time.time()
    terms = Terms(
        payment_hash=payment_hash, groupid=1, source=NodeId(b"\x03" + bytes(32)), destination=draw.choice(_NODES),
        amount_msat=_AMOUNT_MSAT, total_msat=_AMOUNT_MSAT, final_cltv=18,
        limits=Limits(
            _AMOUNT_MSAT // 100, f"maxfee {_AMOUNT_MSAT // 100}msat", 2016, now + 3600,
            PartLimits(max_parts=PARTS, max_attempts=attempts),
        ),
        preferences=Preferences(min_part_msat=0, randomness=0.0, seed=number),
        expires_at_s=now + 7200, created_at_s=now,
    )  # fmt: skip
    order = PartOrder(
        payment_hash.hex(), _AMOUNT_MSAT, 1, f"lnbc{draw.randbytes(200).hex()}", draw.randbytes(32).hex(), None,
        f"label {number}", f"what number {number} was for", None,
    )  # fmt: skip
    running = Running(PaymentSession(terms), ClearRecipient(terms.destination, (), False), order)
    register.start(running)
    _live(running, draw, attempts, paid=number % 2 == 0)
    register.end(running)


def _live(running: Running, draw: random.Random, attempts: int, paid: bool) -> None:
    session, terms = running.session, running.session.terms
    todo: list[ev.Event | ev.FindRoutes] = [ev.Started()]
    while todo:
        event = todo.pop(0)
        if isinstance(event, ev.FindRoutes):
            if event.query_id != session.queries:
                continue
            query = event.query
            event = ev.RoutesFound(event.query_id, _routes(query.amount_msat, query.max_parts, draw))
        for action in session.handle(event, terms.created_at_s + 1):
            match action:
                case ev.FindRoutes():
                    todo.append(action)
                case ev.SendAttempt(partid, route):
                    assert route is not None
                    last = len(session.attempts) >= attempts
                    todo.append(ev.AttemptAccepted(partid))
                    if last and paid:
                        todo.append(ev.AttemptSettled(partid, draw.randbytes(32)))
                    else:
                        todo.append(ev.AttemptFailed(partid, _failure(route, draw), _HEIGHT))
                case ev.Finish(ev.NotPaid(error)):
                    # As the runner answers: with how it stood.
                    running.answer(ev.NotPaid(PaymentFailed(error, standing_of(session))))
                case ev.Finish(result):
                    running.answer(result)
                case ev.WakeAt() | ev.WaitHeight() | ev.Notify():
                    pass
        running.new_times(_HEIGHT)


def _routes(amount_msat: int, most: int, draw: random.Random) -> tuple[Route, ...]:
    return tuple(_route(amount_msat // most + (amount_msat % most if n == 0 else 0), draw) for n in range(most))


def _route(amount_msat: int, draw: random.Random) -> Route:
    """Six channels; of each node's fee a few msat."""
    left = range(HOPS - 1, -1, -1)
    return Route(
        tuple(
            Hop(
                Scid(draw.randrange(500_000, 900_000) << 40 | draw.randrange(3_000) << 16 | draw.randrange(4)),
                draw.randrange(2),
                draw.choice(_NODES),
                amount_msat + 1_000 * n,
                18 + 40 * n + draw.randrange(9),
            )
            for n in left
        ),
        draw.random(),
        draw.random(),
    )


def _failure(route: Route, draw: random.Random) -> Failure:
    """A node on the way lacks balance, and says so with its policy."""
    index = draw.randrange(1, HOPS - 1)
    hop = route.hops[index]
    policy = Policy(1_000, draw.randrange(5_000), 40, 1, 10**9, timestamp=int(time.time()))
    update = update_bytes(ScidDir(hop.scid, hop.direction), policy)
    return failed(index, FailCode.TEMPORARY_CHANNEL_FAILURE, "temporary_channel_failure", update=update)
