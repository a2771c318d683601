"""What survives a stop and a kill of the simulated node: the table, the HTLCs, and rows that have none.

us ── hub ── far
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pay.network import GossipStore
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network.world import World
from tests.support.box.worlds import executable, invoice_of_far, line_box, part, topics
from tests.support.plugins import ECHO
from tests.support.waiting import result_of


def rows(box: Any, invoice: Any) -> list[dict[str, Any]]:
    answer = box.call("listsendpays", {"payment_hash": invoice.payment_hash.hex()})
    found: list[dict[str, Any]] = answer["payments"]
    return found


def test_the_table_survives_a_restart(tmp_path: Path) -> None:
    """An identical repeat is still answered with the row, its number is still used up."""
    with line_box(tmp_path) as box:
        invoice = invoice_of_far(box)
        sent = part(box, invoice, 100_000)
        box.call("sendpay", sent)
        box.call("waitsendpay", {"payment_hash": sent["payment_hash"], "partid": 1, "groupid": 1})
        before = rows(box, invoice)
        box.stop()
        box.restart()
        assert rows(box, invoice) == before
        assert box.call("sendpay", sent)["status"] == "complete"
        assert box.call("listpays")["pays"][0]["preimage"] == invoice.preimage.hex()


def test_an_htlc_survives_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while far holds the invoice; far pays out meanwhile; the node hears of it when it is back."""
    monkeypatch.setenv("ECHO_MANIFEST", json.dumps({"subscriptions": ["sendpay_success"]}))
    with line_box(tmp_path, plugin=ECHO) as box:
        invoice = invoice_of_far(box, hold=True)
        box.call("sendpay", part(box, invoice, 100_000))
        box.until(lambda _: invoice.parts)
        assert box.kill() == []
        with pytest.raises(OSError):
            box.call("getinfo")
        box.on_world(lambda world: world.release_invoice(invoice))
        box.until(lambda node: node.world.in_flight == 0)
        box.restart()
        (row,) = rows(box, invoice)
        assert (row["status"], row["payment_preimage"]) == ("complete", invoice.preimage.hex())
        box.until(lambda _: topics(box, "sendpay_success"))


def test_an_htlc_that_is_still_out_after_a_restart(tmp_path: Path) -> None:
    """The row is pending and listhtlcs has its HTLC; waitsendpay waits for it."""
    with line_box(tmp_path) as box:
        invoice = invoice_of_far(box, hold=True)
        box.call("sendpay", part(box, invoice, 100_000))
        box.until(lambda _: invoice.parts)
        box.kill()
        box.restart()
        (htlc,) = box.call("listhtlcs")["htlcs"]
        assert (htlc["direction"], htlc["amount_msat"]) == ("out", 100_002)
        waiting = box.call_soon("waitsendpay", [invoice.payment_hash.hex(), 10, 1])
        box.on_world(lambda world: world.cancel_invoice(invoice))
        with pytest.raises(RpcError) as failed:
            result_of(waiting)
        assert failed.value.code == 203


def test_a_row_without_an_htlc_is_pending_for_ever(tmp_path: Path) -> None:
    """Killed between sendpay and the commitment: nothing anywhere, 200 for a new group, delpay refuses."""
    with line_box(tmp_path) as box:
        invoice = invoice_of_far(box)
        sent = part(box, invoice, 100_000)
        box.node.faults.no_commitment = True
        box.call("sendpay", sent)
        box.kill()
        box.node.faults.no_commitment = False
        box.restart()
        (row,) = rows(box, invoice)
        assert row["status"] == "pending"
        assert box.call("listhtlcs") == {"htlcs": []}
        assert box.call("listpeerchannels")["channels"][0]["htlcs"] == []
        assert box.call("sendpay", sent)["status"] == "pending"
        for method, params, code in (
            ("sendpay", {**sent, "groupid": 2}, 200),
            ("delpay", [invoice.payment_hash.hex(), "pending"], -32602),
            ("delpay", [invoice.payment_hash.hex(), "failed"], 208),
            ("waitsendpay", [invoice.payment_hash.hex(), 0, 1], 200),
        ):
            with pytest.raises(RpcError) as refused:
                box.call(method, params)
            assert refused.value.code == code
        assert invoice.paid_at is None


def test_nothing_of_an_earlier_life_acts_in_the_next(tmp_path: Path) -> None:
    """A command that was late when the node died is not carried out by the node that comes after it."""
    with line_box(tmp_path) as box:
        invoice = invoice_of_far(box)
        box.node.faults.delay_s["sendpay"] = 0.05
        dropped = box.call_soon("sendpay", part(box, invoice, 100_000))
        box.until(lambda node: any(r.method == "sendpay" for r in node.recorded))
        box.kill()
        box.restart()
        with pytest.raises(ConnectionError):
            result_of(dropped)
        box.node.faults.delay_s = {"getinfo": 0.1}
        box.call("getinfo")
        assert rows(box, invoice) == []


def test_a_plugin_notices_that_the_node_is_gone(tmp_path: Path) -> None:
    """Its pipes break."""
    with line_box(tmp_path, plugin=ECHO) as box:
        assert len(box.node.plugins.all) == 1
        # It ends at once, but a busy machine may let it wait for its turn.
        assert box.kill(grace_s=30.0) == []


def test_a_plugin_that_does_not_notice(tmp_path: Path) -> None:
    """It is reported and ended."""
    deaf = """
import contextlib, json, sys, time
# A node that is gone while it answers is not noticed either.
with contextlib.suppress(OSError):
    for line in sys.stdin:
        if line.strip():
            asked = json.loads(line)
            result = {"options": [], "rpcmethods": [], "dynamic": True} if asked["method"] == "getmanifest" else {}
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}) + "\\n", flush=True)
            if asked["method"] == "init":
                break
while True:
    time.sleep(1)
"""
    program = executable(tmp_path / "deaf", deaf)
    with line_box(tmp_path, plugin=program) as box:
        assert len(box.node.plugins.all) == 1
        assert box.kill(grace_s=0.1) == ["deaf"]


def test_a_stop_tells_the_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_MANIFEST", json.dumps({"subscriptions": ["shutdown"]}))
    with line_box(tmp_path, plugin=ECHO) as box:
        assert box.call("stop") == {"result": "Shutdown complete"}
        box.run(box.node.stopped())
    (shutdown,) = topics(box, "shutdown")
    assert shutdown["params"] == {"shutdown": {}}


def test_the_gossip_store_is_a_real_one(tmp_path: Path) -> None:
    """Readable at start, kept up while the node runs, new after a restart."""

    def policies(world: World) -> list[int]:
        with (box.node.directory / "gossip_store").open("rb") as file:
            store = GossipStore()
            store.read(file)
        graph = store.graph
        assert {graph.node_id(n) for n in range(graph.n_nodes)} == set(world.nodes)
        return sorted(graph.fee_ppm.tolist())

    with line_box(tmp_path) as box:
        assert box.on_world(policies) == [10, 10, 10, 10]
        hub = list(box.world.nodes)[1]

        def dearer(world: World) -> None:
            channel = world.nodes[hub].channels[1]
            policy = channel.policies[channel.side(hub)]
            world.set_policy(channel, hub, type(policy)(1, 77, 6, 0, 10**9))

        box.on_world(dearer)
        assert box.on_world(policies) == [10, 10, 10, 77]
        box.kill()
        box.restart()
        assert box.on_world(policies) == [10, 10, 10, 77]


def test_invoices_of_our_own_are_remembered(tmp_path: Path) -> None:
    """Also that they were paid, here by ourselves."""
    with line_box(tmp_path) as box:
        made = box.call("invoice", [5000, "shop", "a thing"])
        self_payment = {
            "route": [], "payment_hash": made["payment_hash"], "payment_secret": made["payment_secret"],
            "amount_msat": 5000,
        }  # fmt: skip
        assert box.call("sendpay", self_payment)["status"] == "complete"
        box.stop()
        box.restart()
        (shown,) = box.call("listinvoices", ["shop"])["invoices"]
        assert (shown["status"], shown["amount_received_msat"]) == ("paid", 5000)
        with pytest.raises(RpcError, match="Duplicate label"):
            box.call("invoice", [5000, "shop", "another"])
