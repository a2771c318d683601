"""The race over one hub: every sender, one after another, pays the same invoices in the same order."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pay.sim.network.encoding.bolt11 import Bolt11, encode
from tests.bench.race.drawing import Hub, Order
from tests.bench.race.network import Failed, Network, Node, Ways, channel_state
from tests.bench.race.record import Memory, Payment
from tests.bench.race.senders import FEATURES, Limits, Sender, clear, settled_rows
from tests.bench.race.snapshot import node_secret
from tests.bench.race.tree import Tree
from tests.bench.race.watch import Watch
from tests.support.rawrpc import Answer

EXPIRY_S = 7 * 86_400
HELD_S = 90
"""Parts that wait for the rest are refused after 60."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """What is paid: the same for all senders."""

    order: Order
    bolt11: str
    payment_hash: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is raced over one hub.

    Parameters
    ----------
    seed
        Of balances; in the record of each payment.
    keep
        Leave the directory with the nodes and their logs.
    """

    hub: Hub
    orders: Sequence[Order]
    senders: Sequence[Sender]
    modes: Sequence[Memory]
    limits: Limits
    ways: Ways
    seed: int
    keep: bool = False


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


class HubRace:
    """One hub's race, which may be stopped from another thread."""

    def __init__(self, plan: Plan, tree: Tree, store: Path, done: Callable[[Payment], None]):
        self._plan = plan
        self._tree = tree
        self._store = store
        self._done = done
        self._stopped = threading.Event()
        self._directory = Path(tempfile.gettempdir())
        self._network: Network | None = None

    def stop(self) -> None:
        """End it now, with all its processes."""
        self._stopped.set()
        if self._network is not None:
            self._network.kill()

    def run(self) -> str | None:
        """Race to the end.

        Returns
        -------
        str or None
            Why it ended before that.
        """
        self._directory = Path(tempfile.mkdtemp(prefix=f"race-{self._plan.hub.number}-"))
        try:
            self._race()
        except (Failed, OSError, AssertionError) as reason:
            return None if self._stopped.is_set() else self._why(reason)
        except Stopped:
            return None
        finally:
            if self._network is not None:
                self._network.kill()
            if not self._plan.keep:
                shutil.rmtree(self._directory, ignore_errors=True)
        return None

    def _race(self) -> None:
        self._check()
        self._network = Network(self._tree, self._directory, self._store, self._plan.ways)
        node = self._network.start()
        watch = Watch(node)
        invoices = [make_invoice(order) for order in self._plan.orders]
        for mode in self._plan.modes:
            for sender in self._plan.senders:
                sender.enter(node)
                for invoice in invoices:
                    self._check()
                    self._done(self._pay(node, watch, sender, invoice, mode))
                    if channel_state(node) != "CHANNELD_NORMAL":
                        raise Failed(f"channeld_fakenet has ended under {sender.name}")
                    if mode is Memory.RESET:
                        sender.forget(node)
                for invoice in invoices:
                    clear(node, invoice.payment_hash)

    def _pay(self, node: Node, watch: Watch, sender: Sender, invoice: Invoice, mode: Memory) -> Payment:
        order = invoice.order
        began = time.monotonic()
        try:
            answer = sender.pay(node, invoice.bolt11, order.amount_msat, self._plan.limits)
        except TimeoutError:
            answer = Answer(error={"code": None, "message": "there was no answer"})
        seconds = time.monotonic() - began
        rows = settled_rows(node, invoice.payment_hash, HELD_S)
        return Payment(
            sender=sender.name, hub=self._plan.hub.number, hub_channels=self._plan.hub.channels, payee=order.payee,
            amount_msat=order.amount_msat, seed=self._plan.seed, mode=mode, order=order.index,
            paid=answer.error is None,
            htlcs=len(rows), failed=sum(row["status"] != "complete" for row in rows),
            fee_msat=None if answer.result is None else fee_of(answer.result, order.amount_msat),
            seconds=round(seconds, 4), rounds=watch.rounds(rows),
            code=answer.code, message="" if answer.error is None else str(answer.error.get("message")),
            parts=sender.parts(node, invoice.bolt11),
        )  # fmt: skip

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Stopped

    def _why(self, reason: Exception) -> str:
        hub = self._plan.hub
        return f"hub {hub.number} ({hub.channels} channels): {type(reason).__name__}: {reason}"


def make_invoice(order: Order) -> Invoice:
    """Of a made-up recipient, with one of the preimages that channeld_fakenet tries."""
    preimage = bytes([order.index]) + bytes(31)
    payment_hash = hashlib.sha256(preimage).digest()
    said = Bolt11(
        payment_hash, int(time.time()), order.amount_msat, description=f"order {order.index}",
        payment_secret=hashlib.sha256(payment_hash).digest(), features=FEATURES, expiry=EXPIRY_S,
    )  # fmt: skip
    return Invoice(order, encode(said, node_secret(order.payee)), payment_hash.hex())


def fee_of(result: dict[str, Any], amount_msat: int) -> int:
    """What left us beyond the invoice's amount: all that the payee got beyond it is a fee to us."""
    return int(result["amount_sent_msat"]) - amount_msat
