"""The plugin and its host: started on a running node, and who answers `pay` where cln-xpay would."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from pay.host.version import TRANSIENT_SINCE, XPAY_TAKES_PAY_SINCE
from tests.real.support.bench import Line
from tests.real.support.network import Node
from tests.real.support.paying import begin, held, invoice, pay, rows, wait_until
from tests.real.support.release import since
from tests.real.support.shop import WITH_PLUGIN, Shop
from tests.support.checkout import PLUGIN
from tests.support.waiting import result_of

XPAY = "xpay-handle-pay"
SWITCHED_OFF = since(TRANSIENT_SINCE, "option that a plugin may set for this run alone")


def handled_by_xpay(node: Node) -> bool:
    return node.call("listconfigs", config=XPAY)["configs"][XPAY]["value_bool"]


def xpay_path(node: Node) -> str:
    (path,) = [p["name"] for p in node.call("plugin", "list")["plugins"] if p["name"].endswith("/cln-xpay")]
    return path


def answered_by_us(node: Node, recipient: Node) -> bool:
    """One positional parameter is what xpay takes over; only our plugin says anything of this hash in the log."""
    made = invoice(recipient)
    pay(node, made["bolt11"]).ok()
    return node.peer.daemon.is_in_log(rf"plugin-plugin\.py: .*{made['payment_hash']}") is not None


@since(XPAY_TAKES_PAY_SINCE, "`pay` by cln-xpay unless the operator asks for it")
def test_xpay_is_kept_off(shop: Shop) -> None:
    """At the start, with a line in the log that says so."""
    assert shop.payer.peer.daemon.is_in_log(r"INFO .*plugin-plugin\.py: .*xpay-handle-pay") is not None
    assert not handled_by_xpay(shop.payer)
    assert answered_by_us(shop.payer, shop.line.hub)


def test_xpay_is_kept_off_when_it_comes_back(shop: Shop) -> None:
    """cln-xpay is stopped and started: the host hands it what was set before."""
    path = xpay_path(shop.payer)
    shop.payer.call("plugin", "stop", path)
    shop.payer.call("plugin", "start", path)
    assert not handled_by_xpay(shop.payer)
    assert answered_by_us(shop.payer, shop.line.hub)


@SWITCHED_OFF
def test_xpay_is_kept_off_when_it_comes_back_otherwise(shop: Shop) -> None:
    """cln-xpay is started with its option on: the plugin notices that a plugin was started."""
    path = xpay_path(shop.payer)
    shop.payer.call("plugin", "stop", path)
    shop.payer.raw.call("plugin", {"subcommand": "start", "plugin": path, "xpay-handle-pay": True}).ok()
    wait_until(lambda: not handled_by_xpay(shop.payer))
    assert answered_by_us(shop.payer, shop.line.hub)


def test_xpay_is_left_alone_on_request(line: Line) -> None:
    (node,) = line.regtest.start({**WITH_PLUGIN, "pay-allow-xpay": "true", XPAY: "true"})
    wait_until(lambda: node.peer.daemon.is_in_log(r"plugin-plugin\.py: .*xpay.*pay-allow-xpay") is not None)
    assert handled_by_xpay(node)


def test_asks_for_nothing_that_this_host_does_not_have(shop: Shop) -> None:
    """Its operator would read of it at every start."""
    assert shop.payer.peer.daemon.is_in_log(r"plugin-plugin\.py: started") is not None
    assert shop.payer.peer.daemon.is_in_log(r"plugin-plugin\.py: .*not a known notification") is None


def test_started_on_a_running_node(line: Line) -> None:
    """The builtin is stopped, ours is started, and the other way round."""
    host = line.host
    (builtin,) = [p["name"] for p in host.call("plugin", "list")["plugins"] if p["name"].endswith("/pay")]
    host.call("plugin", "stop", builtin)
    host.call("plugin", "start", str(PLUGIN))
    try:
        host.peer.daemon.wait_for_log(r"plugin-plugin\.py: started")
        assert answered_by_us(host, line.far)
    finally:
        host.call("plugin", "stop", str(PLUGIN))
    host.call("plugin", "start", builtin)
    assert host.call("help", command="pay")["help"]


def test_where_it_cannot_run(line: Line, tmp_path: Path) -> None:
    """A copy without the packages it needs: the operator reads what to do, and the node runs on."""
    copy = tmp_path / "plugin.py"
    shutil.copy(PLUGIN, copy)
    refused = line.host.raw.call("plugin", {"subcommand": "start", "plugin": str(copy)})
    assert refused.error is not None
    assert f"make -C '{tmp_path}' install" in refused.error["message"]
    assert line.host.call("getinfo")["id"] == line.host.id


def test_the_plugin_dies_with_a_part_out(shop: Shop) -> None:
    """The node runs on; the plugin is started again, and asked again it waits for that part."""
    far, payer, made = shop.line.far, shop.payer, invoice(shop.line.far)
    far.call("hold", made["payment_hash"])
    orphaned = begin(payer, made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    os.kill(pid_of_plugin(payer), signal.SIGKILL)
    assert result_of(orphaned).error is not None
    wait_until(lambda: pay(payer, made["bolt11"]).code == -32601)
    payer.call("plugin", "start", str(PLUGIN))
    answer = begin(payer, made["bolt11"])
    payer.peer.daemon.wait_for_log(f"payment_attached payment_hash={made['payment_hash']}|watched=True")
    far.call("release", made["payment_hash"])
    assert result_of(answer).ok()["payment_hash"] == made["payment_hash"]
    assert [row["status"] for row in rows(payer, made)] == ["complete"]


def pid_of_plugin(node: Node) -> int:
    """From lightningd's log, the last start."""
    node.peer.daemon.logs_catchup()
    starts = [line for line in node.peer.daemon.logs if "plugin-manager: started(" in line]
    ours = [line for line in starts if line.endswith("/plugin.py")]
    return int(ours[-1].split("started(")[1].split(")")[0])


@SWITCHED_OFF
def test_an_option_is_changed_at_run_time(shop: Shop) -> None:
    changed = shop.payer.call("setconfig", config="pay-failure-cost", val=5, transient=True)
    assert changed["config"]["value_str"] == "5"
    refused = shop.payer.raw.call("setconfig", {"config": "pay-failure-cost", "val": -1, "transient": True})
    assert refused.error is not None
    pay(shop.payer, invoice(shop.line.far)["bolt11"]).ok()


def test_what_a_caller_writes_does_not_end_the_plugin(shop: Shop) -> None:
    """lightningd hands on his JSON as it is: nested too deep for Python, too many digits, empty lines."""
    made = invoice(shop.line.far)["bolt11"]
    for command in ("pay", "payliquidity"):
        for params in ("[" * 5_000 + "]" * 5_000, f"[{'1' * 5_000}]"):
            assert shop.payer.raw.write(command, params).code == -32602
    pid = pid_of_plugin(shop.payer)
    shop.payer.raw.write("pay", f'\n\n[\n\n"{made}"\n\n]\n').ok()
    assert pid_of_plugin(shop.payer) == pid


def test_options_of_the_start(line: Line) -> None:
    """The builtin's flag is still understood; without channels a payment is refused with its reason."""
    (node,) = line.regtest.start({**WITH_PLUGIN, "disable-mpp": None, "pay-failure-cost": 0})
    refused = pay(node, bolt11=invoice(line.far)["bolt11"])
    assert refused.code == 205
    assert refused.error["data"]["reason"]
