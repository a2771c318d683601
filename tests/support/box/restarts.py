"""The plugin or the node dies and comes back: the world of box/host.py, or `narrow` where a payment is split."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from pay.sim.network.invoices import SimInvoice
from tests.support.box.host import SAT, Host
from tests.support.box.narrow import SPLIT_MSAT
from tests.support.checkout import PLUGIN
from tests.support.waiting import until

FAST = {"pay-dev-reconcile-ms": 300}
OPTIONS: dict[str, Any] = {"developer": True, "options": {**FAST, "xpay-handle-pay": False}}
AMOUNT_MSAT = 100_000 * SAT
KEY = ["pay", "session"]


def kill_plugin(host: Host) -> None:
    """The plugin dies, the node lives on without it."""
    os.kill(host.pid, signal.SIGKILL)
    host.until(lambda: not host.node.plugin_pids)


def left_in_a_hook(host: Host) -> SimInvoice:
    """The plugin has died with its one part in a slow hook of the node's: it is in nobody's table."""
    made = host.invoice()
    with host.faults(hold={"sendpay"}):
        host.pay_soon(made)
        host.until(lambda: host.node.dispatcher.held)
        kill_plugin(host)
    return made


def start_plugin(host: Host, wait: bool = True) -> None:
    mark = host.log_mark()
    host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN), **FAST}).ok()
    if wait:
        host.log("started version=", mark)


def restart_node(host: Host, change: Callable[[], Any] = lambda: None, wait: bool = True) -> None:
    """The node dies with its plugin; `change` happens before both come back."""
    host.box.kill()
    change()
    mark = host.log_mark()
    host.box.restart()
    if wait:
        host.log("started version=", mark)


def journal(host: Host) -> list[dict[str, Any]]:
    return host.call("listdatastore", {"key": KEY}).ok()["datastore"]


def write_entry(host: Host, made: SimInvoice, text: str) -> None:
    params = {"key": [*KEY, made.payment_hash.hex()], "string": text, "mode": "create-or-replace"}
    host.call("datastore", params).ok()


def over(host: Host) -> None:
    """Nothing is in work and nothing written down any more."""

    def done() -> bool:
        shown = host.call("paystatus").ok()["pay"]
        return not journal(host) and all(entry["session_status"] in ("Success", "Failed") for entry in shown)

    until(done)


def split_with_a_part_missing(host: Host) -> SimInvoice:
    """4,000,000 sat in two parts: one waits at far, the other one has failed, and nothing replaces it yet."""
    made = host.invoice(amount_msat=SPLIT_MSAT)
    host.world(lambda world: world.set_channel_faults(host.channel("hub", "far"), host.id("hub"), None))
    mark = host.log_mark()
    host.node.faults.only_plugin = True
    with host.misbehaving("hub", fail_code=0x2000 | 2):
        pending = host.pay_soon(made, retry_for=600)
        # No answer to its next question: it stays between two attempts.
        host.log("SendAttempt partid=2", mark)
        host.node.faults.ignore = {"listpeerchannels"}
        host.until(lambda: len(made.parts) == 1)
        host.log("FindRoutes query=2", mark)
    assert not pending.answered
    return made
