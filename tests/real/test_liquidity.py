"""What payments learn on real nodes, and that a restart does not forget it: payer ── middle ── payee.

All of both channels is on the left at first. The bounds are held against what the two ends of the second channel
say that they could send themselves: real reserves, commitment fees and anchors lie between the two.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.real.support.network import Node, Regtest
from tests.real.support.paying import invoice, pay, wait_until
from tests.real.support.shop import WITH_PLUGIN

SAT = 1_000
_OPTIONS = {**WITH_PLUGIN, "xpay-handle-pay": "false", "pay-dev-liquidity-ms": 200}


@pytest.fixture(scope="module")
def line(regtest: Regtest) -> tuple[Node, Node, Node]:
    payer, middle, payee = regtest.start(_OPTIONS, {}, {})
    regtest.open_channels((payer, middle), (middle, payee))
    regtest.wait_for_channels(payer, 2)
    return payer, middle, payee


def believed(line: tuple[Node, Node, Node]) -> dict[str, Any]:
    """Of the second channel: what is shown of each direction, by the node at its start."""
    payer, middle, payee = line
    scid = middle.channel_to(payee)["short_channel_id"]
    (channel,) = payer.call("payliquidity", short_channel_id=scid)["channels"]
    return {direction["source"]: direction for direction in channel["directions"]}


def bounds_hold(line: tuple[Node, Node, Node]) -> None:
    _, middle, payee = line
    wait_until(lambda: not middle.channel_to(payee)["htlcs"] and not payee.channel_to(middle)["htlcs"])
    shown = believed(line)
    for node, other in ((middle, payee), (payee, middle)):
        spendable = node.channel_to(other)["spendable_msat"]
        bounds = shown[node.id]
        assert bounds["low_msat"] <= spendable <= bounds["high_msat"], (bounds, spendable)


def test_what_payments_teach_is_true_and_outlives_the_node(line: tuple[Node, Node, Node]) -> None:
    payer, middle, payee = line
    assert pay(payer, bolt11=invoice(payee, 300_000 * SAT)["bolt11"]).ok()["status"] == "complete"
    bounds_hold(line)
    # Somebody else pays, which nobody tells the payer.
    middle.call("xpay", invoice(payee, 500_000 * SAT)["bolt11"])
    refused = pay(payer, bolt11=invoice(payee, 400_000 * SAT)["bolt11"], retry_for=1)
    assert refused.code in (205, 210)
    bounds_hold(line)
    before = believed(line)[middle.id]
    assert before["high_msat"] < 401_000 * SAT

    exported = payer.call("payliquidity", "export")

    def kept() -> bool:
        stored = payer.call("listdatastore", ["pay", "liquidity"])["datastore"]
        return exported["channels"] == [c for entry in stored for c in json.loads(entry["string"])["channels"]]

    wait_until(kept)
    payer.peer.daemon.kill()
    payer.peer.start()
    wait_until(lambda: payer.raw.call("payliquidity", {"limit": 1}).error is None)
    after = believed(line)[middle.id]
    assert before["high_msat"] <= after["high_msat"] < 410_000 * SAT, "a little has faded meanwhile"

    assert payer.call("payliquidity", "reset")["channels_forgotten"] == len(exported["channels"])
    assert payer.call("payliquidity")["channels"] == []
    taken = payer.call("payliquidity", "merge", exported)
    assert taken["channels_taken"] == len(exported["channels"])
    exported["channels"][0]["capacity_msat"] += 1
    wrong = payer.raw.call("payliquidity", ["import", exported])
    assert wrong.code == -32602 and "data.channels[0]" in str(wrong.error)
    assert believed(line)[middle.id]["high_msat"] < 410_000 * SAT
