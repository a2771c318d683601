"""What an operator does and reads on a real node: options and their values, the next start, the terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from typing import Any

import pytest

from pay.host.version import SETCONFIG_FILE_SINCE, TRANSIENT_SINCE
from tests.real.support.bench import Line
from tests.real.support.network import Node
from tests.real.support.paying import begin, invoice, pay, wait_until
from tests.real.support.release import host, since
from tests.real.support.shop import WITH_PLUGIN, Shop
from tests.support.checkout import PLUGIN
from tests.support.plugins import GATE
from tests.support.waiting import PATIENCE_S, given_by, result_of

BAD = {"pay-max-parts": 0, "pay-randomness": 500, "pay-shadow": "maybe", "pay-failure-cost": "5 sats"}
USED = {"pay-max-parts": 100, "pay-randomness": 85, "pay-shadow": "delay", "pay-failure-cost": "10000msat"}


def value(node: Node, name: str) -> Any:
    shown = node.call("listconfigs", config=name)["configs"][name]
    return next(value for member, value in shown.items() if member.startswith("value_"))


@pytest.fixture(scope="module")
def alone(line: Line) -> Node:
    """A node with the builtin, which is stopped and started as lightningd alone."""
    (node,) = line.regtest.start({})
    (builtin,) = [p["name"] for p in node.call("plugin", "list")["plugins"] if p["name"].endswith("/pay")]
    node.call("plugin", "stop", builtin)
    return node


def start_by_hand(node: Node, **options: Any) -> None:
    for plugin in node.call("plugin", "list")["plugins"]:
        if plugin["name"].endswith("/pay"):
            node.call("plugin", "stop", plugin["name"])
    node.raw.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN), **options}).ok()
    node.peer.daemon.wait_for_log(r"plugin-plugin\.py: started")


def test_a_configuration_with_bad_values(line: Line) -> None:
    """The node is up, uses the defaults, shows them, and says so in lines that operators look for."""
    (node,) = line.regtest.start({**WITH_PLUGIN, **BAD, "pay-part-cost": "5sat"})
    for name, used in USED.items():
        wait_until(lambda n=name: node.peer.daemon.is_in_log(rf"UNUSUAL.*option_refused name={n} ") is not None)
        if host().since(TRANSIENT_SINCE):
            # An older host would write the value into its configuration.
            wait_until(lambda n=name, u=used: value(node, n) == u)
    assert value(node, "pay-part-cost") == "5sat"
    assert pay(node, invoice(line.far)["bolt11"]).code == 205


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_on_the_command_line(name: str, alone: Node) -> None:
    for plugin in alone.call("plugin", "list")["plugins"]:
        assert plugin["name"] != str(PLUGIN)
    refused = alone.raw.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN), name: BAD[name]})
    assert refused.error is not None and f"{name} should be" in refused.error["message"]


@since(TRANSIENT_SINCE, "option that is set for this run alone")
def test_set_for_a_run_stop_and_start(alone: Node) -> None:
    """As in docs/options.md: with `true` at the end nothing is written down, and the node comes up without us."""
    start_by_hand(alone)
    alone.call("setconfig", "pay-min-part", "5sat", True)
    assert value(alone, "pay-min-part") == "5sat"
    refused = alone.raw.call("setconfig", ["pay-min-part", "5 sats", True])
    assert refused.code == -32602 and refused.error is not None
    assert "pay-min-part should be an amount" in refused.error["message"]
    alone.peer.restart()
    assert alone.call("getinfo")["id"] == alone.id


def test_set_for_good_stop_and_start(alone: Node) -> None:
    """Without it the node would not come up; the log says at once which line of which file to remove."""
    start_by_hand(alone)
    alone.call("setconfig", "pay-min-part", "5sat")
    name = "config.setconfig" if host().since(SETCONFIG_FILE_SINCE) else "config"
    alone.peer.daemon.wait_for_log(
        rf"UNUSUAL.*option_outlasts_plugin name=pay-min-part written=.*/regtest/{name}:2"
    )
    alone.peer.stop()
    alone.peer.daemon.start(wait_for_initialized=False, stderr_redir=True)
    assert alone.peer.daemon.proc.wait(PATIENCE_S) != 0
    assert alone.peer.daemon.is_in_stderr("pay-min-part=5sat: unknown option")
    file = alone.directory / name
    lines = file.read_text().splitlines()
    assert lines[1] == "pay-min-part=5sat"
    file.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    alone.peer.daemon.start()
    wait_until(lambda: alone.raw.call("getinfo", {}).error is None)


@pytest.fixture(scope="module")
def gated(line: Line) -> Node:
    """A node with a channel to far, on which commands can be kept back."""
    (node,) = line.regtest.start({**WITH_PLUGIN, "plugin": [str(PLUGIN), str(GATE)]})
    line.regtest.open_channels((node, line.far), announce=False)
    return node


@pytest.mark.parametrize("method", ["listsendpays", "preapproveinvoice", "sendpay"])
def test_a_payment_is_pending_from_its_call_on(method: str, gated: Node, line: Line) -> None:
    """lightningd has no row of it at any of these moments; cln-xpay shows nothing then, which reads as failed."""
    made = invoice(line.far)

    def listed() -> list[str]:
        return [pay["status"] for pay in gated.call("listpays", payment_hash=made["payment_hash"])["pays"]]

    assert listed() == []
    gated.call("shut", method, 1)
    answer = begin(gated, made["bolt11"])
    wait_until(lambda: gated.call("waiting", method)["calls"] == 1)
    assert listed() == ["pending"]
    gated.call("open", method)
    result_of(answer).ok()
    assert listed() == ["complete"]


def test_the_terminal_says_something_soon(shop: Shop) -> None:
    """A payment that the payee holds: two seconds later lightning-cli has printed where it stands."""
    payer, far = shop.payer, shop.line.far
    made = invoice(far)
    far.call("hold", made["payment_hash"])
    cli = ["lightning-cli", f"--lightning-dir={payer.peer.daemon.lightning_dir}", "--network=regtest"]
    terminal, shown = pty.openpty()
    running = subprocess.Popen([*cli, "pay", made["bolt11"]], stdout=shown)
    try:
        os.close(shown)
        line = given_by(lambda: os.read(terminal, 1000), "a line on the terminal").decode()
        assert re.match(r"# Waiting after [23] s: 1 part is out", line), line
        far.call("release", made["payment_hash"])
        assert running.wait(PATIENCE_S) == 0
    finally:
        running.kill()
        running.wait(PATIENCE_S)
        os.close(terminal)
