"""A node with the real `plugin.py` on a small simulated network, and what tests ask of it.

     ┌── hub ──┐            every channel 10,000,000 sat; ours are all on our side
us ──┤         ├── far      by the hub: 1 sat + 0.01 %, 40 blocks a hop
     └── alt ──┘            by alt: 3 sat + 0.05 %, 80 blocks a hop
       hub ···· phone       not announced
       island               without a channel
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pay.network import Policy
from pay.sim.lightningd.daemon import Lightningd
from pay.sim.lightningd.dispatch import Recorded
from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.lightningd.harness import Box, wording
from pay.sim.lightningd.other_sender import OtherSender
from pay.sim.lightningd.payments.database import Database, Payment, Status
from pay.sim.network.channel import SimChannel
from pay.sim.network.clock import RealClock
from pay.sim.network.encoding.failures import FailCode, failure
from pay.sim.network.faults import Faults
from pay.sim.network.invoices import SimInvoice
from pay.sim.network.recipient import fail_parts
from pay.sim.network.world import World
from pay.units import NodeId, format_scid
from tests.support.rawrpc import Answer, RawRpc
from tests.support.schemas import check_answer
from tests.support.waiting import PATIENCE_S, result_of

SAT = 1000
CAPACITY_MSAT = 10_000_000 * SAT
CHEAP = Policy(fee_base_msat=1000, fee_ppm=100, cltv_delta=40, htlc_min_msat=1000, htlc_max_msat=9_900_000 * SAT)
DEAR = Policy(fee_base_msat=3000, fee_ppm=500, cltv_delta=80, htlc_min_msat=1000, htlc_max_msat=9_900_000 * SAT)
T = TypeVar("T")

UNKNOWN_DETAILS = 0x4000 | 15
TEMPORARY_CHANNEL_FAILURE = 0x1000 | 7


def build(clock: RealClock) -> tuple[World, NodeId]:
    """The world of the picture above."""
    world = World(clock, seed=1, latency_s=0.0)
    ids = {name: world.add_node(name).id for name in ("us", "hub", "alt", "far", "phone", "island")}
    for middle, policy in (("hub", CHEAP), ("alt", DEAR)):
        for start, end in (("us", middle), (middle, "far")):
            world.add_channel(
                ids[start], ids[end], CAPACITY_MSAT, CAPACITY_MSAT, policy_ab=policy, policy_ba=policy
            )
    world.add_channel(
        ids["hub"], ids["phone"], CAPACITY_MSAT, CAPACITY_MSAT, policy_ab=CHEAP, policy_ba=CHEAP, announced=False
    )
    return world, ids["us"]


@dataclass(frozen=True, slots=True)
class Pending:
    """A call of `pay` that has not been answered when it was made."""

    future: Future[Answer]

    def answer(self) -> Answer:
        return result_of(self.future, "the answer of pay")

    @property
    def answered(self) -> bool:
        return self.future.done()


class Other:
    """An `OtherSender`, called from the test's thread."""

    def __init__(self, host: Host, sender: OtherSender):
        self._host = host
        self._sender = sender

    def send(self, part_msat: int | None = None, works: bool = True) -> dict[str, Any]:
        """One part. Raises RpcError, e.g. 200 while ours is out."""
        return self._host.box.run(self._sender.send(part_msat, works))

    def outcome(self) -> str:
        """How the last part ended."""
        return self._host.box.run(self._sender.outcome())


class Host:
    """A running node with the plugin.

    Parameters
    ----------
    options
        As for `Lightningd`.
    wait
        Whether to wait until the plugin has started: from then on it is certain who answers `pay`.
    """

    def __init__(
        self,
        directory: Path,
        build: Callable[[RealClock], tuple[World, NodeId]] = build,
        wait: bool = True,
        prepare: Callable[[Lightningd], None] | None = None,
        **options: Any,
    ):
        self.box = Box(build, directory, **options)
        if prepare is not None:
            prepare(self.box.node)
        try:
            self.box.start()
        except BaseException:
            self.box.close()
            raise
        self.node = self.box.node
        self.rpc = RawRpc(self.node.rpc_path, timeout_s=PATIENCE_S)
        self._threads = ThreadPoolExecutor(max_workers=64)
        self._directory = os.open(self.node.rpc_path.parent, os.O_RDONLY)
        if wait:
            self.log("started version=")

    def close(self) -> None:
        self.box.close()
        os.close(self._directory)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- calling ------------------------------------------------------------------------------------------

    def call(self, method: str, params: Any = None) -> Answer:
        """Any command; an answer of one of ours must be as its schema says."""
        answer = self.rpc.call(method, params)
        check_answer(method, params, answer)
        return answer

    def pay(self, invoice: SimInvoice | str, **params: Any) -> Answer:
        return self.call("pay", {"bolt11": _text(invoice), **params})

    def soon(self, method: str, params: Any = None) -> Pending:
        return Pending(self._threads.submit(self.call, method, params))

    def pay_soon(self, invoice: SimInvoice | str, **params: Any) -> Pending:
        return self.soon("pay", {"bolt11": _text(invoice), **params})

    def pay_held(self, invoice: SimInvoice, **params: Any) -> Pending:
        """Pay, and wait until the recipient holds the money."""
        pending = self.pay_soon(invoice, **params)
        self.until(lambda: pending.answered or invoice.parts)
        assert not pending.answered, pending.answer()
        return pending

    # --- the world ----------------------------------------------------------------------------------------

    def world(self, act: Callable[[World], T]) -> T:
        return self.box.on_world(act)

    def id(self, name: str) -> NodeId:
        return next(peer.id for peer in self.box.world.nodes.values() if peer.name == name)

    def channel(self, start: str, end: str) -> SimChannel:
        ends = {self.id(start), self.id(end)}
        return next(c for c in self.box.world.channels.values() if {n.id for n in c.nodes} == ends)

    def scid(self, start: str, end: str) -> str:
        return format_scid(self.channel(start, end).scid)

    def invoice(self, payee: str = "far", amount_msat: int | None = 100_000 * SAT, **more: Any) -> SimInvoice:
        words = {"description": "test", **more}
        return self.world(lambda world: world.create_invoice(self.id(payee), amount_msat, **words))

    def release(self, invoice: SimInvoice) -> None:
        self.world(lambda world: world.release_invoice(invoice))

    def cancel(self, invoice: SimInvoice) -> None:
        self.world(lambda world: world.cancel_invoice(invoice))

    def give_back(self, invoice: SimInvoice) -> None:
        """The recipient fails what it holds, and would take it again: another way may be tried."""
        message = failure(FailCode.TEMPORARY_NODE_FAILURE)
        self.world(lambda _: fail_parts(invoice, lambda _: message))

    @contextmanager
    def faults(self, **faults: Any) -> Iterator[LightningdFaults]:
        """Misbehaviour of the host for a while; only the plugin meets it."""
        for name, value in {"only_plugin": True, **faults}.items():
            setattr(self.node.faults, name, value)
        try:
            yield self.node.faults
        finally:
            fresh = LightningdFaults()
            for name in ("only_plugin", *faults):
                setattr(self.node.faults, name, getattr(fresh, name))

    @contextmanager
    def misbehaving(self, name: str, **faults: Any) -> Iterator[None]:
        """A node of the world that errs for a while."""
        self.world(lambda world: world.set_faults(self.id(name), Faults(**faults)))
        try:
            yield
        finally:
            self.world(lambda world: world.set_faults(self.id(name), None))

    @contextmanager
    def option(self, name: str, value: Any) -> Iterator[None]:
        """An option of the plugin with another value for a while."""
        before = self.call("listconfigs", {"config": name}).ok()["configs"][name]
        self.call("setconfig", {"config": name, "val": value}).ok()
        try:
            yield
        finally:
            old = next(value for key, value in before.items() if key.startswith("value_"))
            self.call("setconfig", {"config": name, "val": old}).ok()

    # --- by hand, as another sender would ------------------------------------------------------------------

    def other_sender(self, invoice: SimInvoice, **more: Any) -> Other:
        """Somebody else on this node who pays `invoice`, part after part."""
        return Other(self, OtherSender(self.node, invoice, **more))

    def let_go(self, method: str | None = None, fits: Callable[[Any], bool] | None = None) -> int:
        """Carry out what waits because of `faults(hold=...)`, answer what was kept back; how many it was."""
        return self.box.let_go(method, fits)

    def send_by_hand(self, invoice: SimInvoice, amount_msat: int | None = None, **more: Any) -> dict[str, Any]:
        """A part of `invoice` over the hub, from somebody else than the plugin."""
        total_msat = amount_msat or invoice.amount_msat or 0
        part_msat = more.pop("part_msat", total_msat)
        fee_msat = 1000 + part_msat // 10_000
        route = [
            {"id": self.id("hub").hex(), "channel": self.scid("us", "hub"), "delay": 60,
             "amount_msat": part_msat + fee_msat},
            {"id": self.id("far").hex(), "channel": self.scid("hub", "far"), "delay": 20,
             "amount_msat": part_msat},
        ]  # fmt: skip
        assert invoice.payment_secret is not None
        params = {
            "route": route, "payment_hash": invoice.payment_hash.hex(), "amount_msat": total_msat, "partid": 1,
            "payment_secret": invoice.payment_secret.hex(), "bolt11": invoice.bolt11, "groupid": 7, **more,
        }  # fmt: skip
        return self.call("sendpay", params).ok()

    # --- looking ------------------------------------------------------------------------------------------

    def rows(self, invoice: SimInvoice) -> list[dict[str, Any]]:
        return self.call("listsendpays", {"payment_hash": invoice.payment_hash.hex()}).ok()["payments"]

    def settled(self, invoice: SimInvoice) -> None:
        """Wait until the host knows that it is paid."""
        table = self.node.db
        self.until(
            lambda: any(
                row.status is Status.COMPLETE for row in table.payments("payment_hash = ?", invoice.payment_hash)
            )
        )

    @property
    def directory(self) -> str:
        """A short way to the directory of the socket, for programs that cannot open a long path."""
        return f"/proc/self/fd/{self._directory}"

    def node_rows(self, invoice: SimInvoice) -> list[Payment]:
        """The rows in the database, whether the node runs or not."""
        table = Database(self.node.directory / "lightningd.sqlite3")
        try:
            return table.payments("payment_hash = ?", invoice.payment_hash)
        finally:
            table.close()

    def mark(self) -> int:
        """A place in the record of commands."""
        return len(self.node.recorded)

    def recorded(self, mark: int = 0) -> list[Recorded]:
        """What the plugin has called since `mark`, in order."""
        pids = self.node.plugin_pids
        return [entry for entry in list(self.node.recorded)[mark:] if entry.peer_pid in pids]

    def methods(self, mark: int = 0) -> list[str]:
        """Their names; without the end of a journal entry, which may come after the answer, and the look at the
        chain, which is at most every ten seconds."""
        beside = ("deldatastore", "getchaininfo")
        return [entry.method for entry in self.recorded(mark) if entry.method not in beside]

    def sendpays(self, mark: int = 0) -> list[dict[str, Any]]:
        return [entry.params for entry in self.recorded(mark) if entry.method == "sendpay"]

    def until(self, holds: Callable[[], Any], what: str = "", timeout_s: float = PATIENCE_S) -> Any:
        """Wait until `holds()` is true, asked on the node's thread, and return what it gave."""
        return self.box.until(lambda _: holds(), timeout_s, what or wording(holds))

    def log_mark(self) -> int:
        return len(self.node.lines)

    def lines(self, text: str, mark: int = 0) -> list[str]:
        return [str(line) for line in list(self.node.lines)[mark:] if text in line.text]

    def log(self, text: str, mark: int = 0, timeout_s: float = PATIENCE_S) -> str:
        """Wait for a line of the log."""
        return self.until(lambda: self.lines(text, mark), f"a line of the log with {text!r}", timeout_s)[0]

    @property
    def pid(self) -> int:
        """Of the plugin."""
        (pid,) = self.node.plugin_pids
        return pid

    @property
    def threads(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("Threads:")).split()[1])

    @property
    def sockets(self) -> int:
        """Connections of the plugin to the node, as the node has them."""
        return sum(connection.peer_pid == self.pid for connection in self.node._server._connections)


@contextmanager
def hosting(directory: Path, **options: Any) -> Iterator[Host]:
    """A host for the length of a `with`; at its end its books must add up and nothing may be broken."""
    host = Host(directory, **options)
    try:
        yield host
        ours = [line for line in host.node.lines if line.source != "plugin-echo.py"]
        broken = [str(line) for line in ours if line.level in ("broken", "stderr")]
        assert not broken, "a line of level broken means a bug to the host's operators:\n" + "\n".join(broken)
        tasks = host.lines("handler_failed") + host.lines("Traceback")
        assert not tasks, tasks
    finally:
        host.close()


def environment(**more: str) -> dict[str, str]:
    """What lightningd gives a plugin."""
    return {**os.environ, "LIGHTNINGD_PLUGIN": "1", "LIGHTNINGD_VERSION": "v26.06.6", **more}


def _text(invoice: SimInvoice | str) -> str:
    return invoice if isinstance(invoice, str) else invoice.bolt11
