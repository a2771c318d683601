"""The plugin and its host: started on a running node, and who answers `pay` where cln-xpay would."""

from __future__ import annotations

from tests.real.bench import Line
from tests.real.conftest import PLUGIN, WITH_PLUGIN, Shop
from tests.real.network import Node
from tests.real.test_pay import invoice, pay, wait_until

XPAY = "xpay-handle-pay"


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


def test_xpay_is_kept_off_when_it_comes_back_otherwise(shop: Shop) -> None:
    """cln-xpay is started with its option on: the plugin notices that a plugin was started."""
    path = xpay_path(shop.payer)
    shop.payer.call("plugin", "stop", path)
    shop.payer.raw.call("plugin", {"subcommand": "start", "plugin": path, "xpay-handle-pay": True}).ok()
    wait_until(lambda: not handled_by_xpay(shop.payer))
    assert answered_by_us(shop.payer, shop.line.hub)


def test_xpay_is_left_alone_on_request(line: Line) -> None:
    (node,) = line.regtest.start({**WITH_PLUGIN, "pay-allow-xpay": "true"})
    node.peer.daemon.wait_for_log(r"plugin-plugin\.py: .*xpay.*pay-allow-xpay")
    assert handled_by_xpay(node)


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
