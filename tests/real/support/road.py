"""A road of nodes whose first one, or its plugin, is killed and started again: payer ── middle ── payee."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.real.support.network import Node
from tests.real.support.paying import invoice, wait_until
from tests.real.support.shop import WITH_PLUGIN
from tests.support.checkout import PLUGIN

PLUGIN_OPTIONS = {"pay-dev-reconcile-ms": 1000}
OPTIONS = {**WITH_PLUGIN, "xpay-handle-pay": "false", **PLUGIN_OPTIONS}
"""Of the payer."""


@dataclass(frozen=True, slots=True)
class Road:
    """The nodes, and how the first one dies."""

    payer: Node
    middle: Node
    payee: Node

    @property
    def scids(self) -> tuple[str, str]:
        """Of the channels from the payer to the middle node, and from there."""
        pairs = ((self.payer, self.middle), (self.middle, self.payee))
        first, second = (source.channel_to(target)["short_channel_id"] for source, target in pairs)
        return first, second

    @property
    def lines(self) -> int:
        self.payer.peer.daemon.logs_catchup()
        return len(self.payer.peer.daemon.logs)

    def seen(self, text: str, mark: int) -> bool:
        """Whether a line of the payer's log has it, from `mark` on."""
        self.payer.peer.daemon.logs_catchup()
        return any(text in line for line in self.payer.peer.daemon.logs[mark:])

    def hold(self, **more: Any) -> dict[str, Any]:
        """An invoice whose HTLCs the payee keeps."""
        return self.hold_at(self.payee, **more)

    def hold_at(self, node: Node, **more: Any) -> dict[str, Any]:
        """The same of another node."""
        made = invoice(node, **more)
        node.call("hold", made["payment_hash"])
        return made

    def kill_node(self, change: Callable[[], Any] = lambda: None) -> None:
        """kill -9, and start again; `change` happens in between."""
        self.payer.peer.daemon.kill()
        change()
        mark = self.lines
        self.payer.peer.start()
        wait_until(lambda: self.seen("started version=", mark))

    def kill_plugin(self, change: Callable[[], Any] = lambda: None, **more: Any) -> None:
        """kill -9 of the plugin alone, and start it again, with these options beside the usual ones; `change`
        happens in between."""
        self.payer.peer.daemon.logs_catchup()
        starts = [line for line in self.payer.peer.daemon.logs if "plugin-manager: started(" in line]
        ours = [line for line in starts if line.endswith("/plugin.py")]
        os.kill(int(ours[-1].split("started(")[1].split(")")[0]), signal.SIGKILL)
        wait_until(lambda: not self._listed())
        change()
        mark = self.lines
        start = {"subcommand": "start", "plugin": str(PLUGIN), **PLUGIN_OPTIONS, **more}
        self.payer.raw.call("plugin", start).ok()
        wait_until(lambda: self.seen("started version=", mark))

    def _listed(self) -> bool:
        return any(plugin["name"] == str(PLUGIN) for plugin in self.payer.call("plugin", "list")["plugins"])

    def journal(self) -> list[Any]:
        return self.payer.call("listdatastore", key=["pay", "session"])["datastore"]

    def working(self) -> list[Any]:
        shown = self.payer.call("paystatus")["pay"]
        return [entry for entry in shown if entry["session_status"] in ("Created", "Inflight")]

    def over(self) -> None:
        wait_until(lambda: not self.journal() and not self.working())
