"""Misbehaviour of the simulated node on request: every fault does what it says, and nothing else.

us ── hub ── far
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.lightningd.harness import Box
from pay.sim.lightningd.rpc.jsonstream import MalformedJson, RpcError
from pay.sim.network.faults import Faults
from tests.support.box.worlds import invoice_of_far, line_box, part, told, topics
from tests.support.plugins import ECHO

SUBSCRIBED = {"subscriptions": ["sendpay_success", "block_added"]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    os.environ["ECHO_MANIFEST"] = json.dumps(SUBSCRIBED)
    with line_box(tmp_path_factory.mktemp("box"), plugin=ECHO) as box:
        yield box
    del os.environ["ECHO_MANIFEST"]


@pytest.fixture
def box(running: Box) -> Iterator[Box]:
    yield running
    running.node.faults = LightningdFaults()


def test_an_rpc_that_hangs_was_carried_out(box: Box) -> None:
    invoice = invoice_of_far(box)
    box.node.faults.hang.add("sendpay")
    never = box.call_soon("sendpay", part(box, invoice, 100_000))
    box.until(lambda _: invoice.paid_at is not None)
    assert not never.done()
    assert box.call("getinfo")["alias"] == "us"


def test_an_rpc_that_is_ignored_was_not(box: Box) -> None:
    invoice = invoice_of_far(box)
    box.node.faults.ignore.add("sendpay")
    never = box.call_soon("sendpay", part(box, invoice, 100_000))
    box.until(lambda node: node.recorded[-1].method == "sendpay")
    assert box.call("listsendpays", {"payment_hash": invoice.payment_hash.hex()}) == {"payments": []}
    assert not never.done()


def test_an_rpc_that_errs(box: Box) -> None:
    box.node.faults.errors["decode"] = (-1, "no today")
    with pytest.raises(RpcError, match="no today"):
        box.call("decode", ["x"])
    box.node.faults.errors = {"*": (-2, "nothing works")}
    with pytest.raises(RpcError, match="nothing works"):
        box.call("getinfo")


def test_an_answer_that_is_no_json(box: Box) -> None:
    box.node.faults.garbage.add("getinfo")
    with pytest.raises(MalformedJson):
        box.call("getinfo")


def test_a_connection_that_is_closed_instead_of_answered(box: Box) -> None:
    invoice = invoice_of_far(box)
    box.node.faults.hang_up.add("sendpay")
    with pytest.raises(ConnectionError):
        box.call("sendpay", part(box, invoice, 100_000))
    box.until(lambda _: invoice.paid_at is not None)


def test_connections_are_refused_and_accepted_again(box: Box) -> None:
    """The file is there all the time, as with a process that died."""
    box.run(box.node.refuse_connections())
    assert box.node.rpc_path.is_socket()
    with pytest.raises(ConnectionRefusedError):
        box.call("getinfo")
    box.run(box.node.accept_connections())
    assert box.call("getinfo")["alias"] == "us"


def test_faults_can_spare_everybody_but_the_plugins(box: Box) -> None:
    """The test's own calls go through; those that come from a plugin's process would not."""
    box.node.faults.only_plugin = True
    box.node.faults.errors["*"] = (-1, "only for plugins")
    assert box.call("getinfo")["alias"] == "us"
    assert box.node.recorded[-1].peer_pid == os.getpid()
    assert os.getpid() not in box.node.plugin_pids


@pytest.mark.parametrize(("fault", "times"), [("drop", 0), ("double", 2)])
def test_notifications_dropped_and_doubled(box: Box, fault: str, times: int) -> None:
    getattr(box.node.faults, fault).add("block_added")
    height = box.on_world(lambda world: (world.mine(), world.height)[1])
    # `echo` is answered after whatever was sent before it.
    box.call("echo")
    heard = [m for m in topics(box, "block_added") if m["params"]["block_added"]["height"] == height]
    assert len(heard) == times


def test_a_late_notification_comes_after_the_next_answer(box: Box) -> None:
    box.node.faults.late_s["block_added"] = 0.1
    height = box.on_world(lambda world: (world.mine(), world.height)[1])
    box.call("echo", {"marker": height})
    box.until(lambda _: [m for m in topics(box, "block_added") if m["params"]["block_added"]["height"] == height])
    order = [m["method"] for m in told(box) if m["method"] in ("echo", "block_added")]
    assert order[-2:] == ["echo", "block_added"]


def test_an_outcome_can_come_before_the_answer_of_its_sendpay(box: Box) -> None:
    """The notification is out, the row is complete, and the answer says still pending."""
    invoice = invoice_of_far(box)
    box.node.faults.early_outcomes = True
    answer = box.call("sendpay", part(box, invoice, 100_000))
    assert answer["status"] == "pending"
    box.call("echo")
    paid = [m["params"]["sendpay_success"]["payment_hash"] for m in topics(box, "sendpay_success")]
    assert invoice.payment_hash.hex() in paid


def test_a_declined_preapproval(box: Box) -> None:
    invoice = invoice_of_far(box)
    assert box.call("preapproveinvoice", [invoice.bolt11]) == {}
    box.node.faults.decline_preapproval = True
    for method in ("preapproveinvoice", "check"):
        params = {"bolt11": invoice.bolt11}
        with pytest.raises(RpcError, match="invoice was declined") as refused:
            box.call(method, params if method != "check" else {"command_to_check": "preapproveinvoice", **params})
        assert refused.value.code == 213


def test_a_commitment_that_takes_its_time(box: Box) -> None:
    """The row is there, the HTLC is not yet."""
    invoice = invoice_of_far(box, hold=True)
    box.node.faults.commitment_delay_s = 0.05
    assert box.call("sendpay", part(box, invoice, 100_000))["status"] == "pending"
    assert invoice.parts == []
    box.until(lambda _: invoice.parts)
    box.on_world(lambda world: world.release_invoice(invoice))
    box.call("waitsendpay", [invoice.payment_hash.hex(), 10, 1])


def test_a_peer_that_goes_away_before_the_commitment(box: Box) -> None:
    """The row fails with an index of 0: our own channel is to blame."""
    invoice = invoice_of_far(box)
    hub = list(box.world.nodes)[1]
    box.node.faults.commitment_delay_s = 0.05
    box.call("sendpay", part(box, invoice, 100_000))
    box.on_world(lambda world: world.set_faults(hub, Faults(offline=True)))
    with pytest.raises(RpcError) as failed:
        box.call("waitsendpay", [invoice.payment_hash.hex(), 10, 1])
    box.on_world(lambda world: world.set_faults(hub, None))
    assert failed.value.code == 204
    assert failed.value.data is not None
    assert failed.value.data["erring_index"] == 0


def test_the_log_is_kept(box: Box) -> None:
    file = box.node.directory / "log"
    assert Path(file).read_text().splitlines()[-1] == str(box.node.lines[-1]).splitlines()[-1]
