"""What hangs in the box, and what it does not have: signers, hooks, single commands, commands that are missing.

us ── hub ── far
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.lightningd.harness import Box
from pay.sim.lightningd.rpc.address import short_path
from pay.sim.lightningd.rpc.jsonstream import RpcError
from tests.support.box.worlds import invoice_of_far, line_box, part
from tests.support.waiting import PATIENCE_S, result_of

CALLER = """
import json, socket, sys, time
path, request = sys.argv[1:]
client = socket.socket(socket.AF_UNIX)
client.connect(path)
client.sendall(request.encode())
print("sent", flush=True)
time.sleep(60)
"""
"""Sends one request and lives on without reading."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with line_box(tmp_path_factory.mktemp("box")) as box:
        yield box


@pytest.fixture
def box(running: Box) -> Iterator[Box]:
    yield running
    running.node.faults = LightningdFaults()
    running.let_go()


def held(box: Box) -> list[str]:
    return box.until(lambda node: [command.method for command in node.dispatcher.held])


def test_a_signer_that_does_not_answer_for_one_invoice(box: Box) -> None:
    """The other invoice passes; the first one does when the signer is back, and was not approved before."""
    stuck, other = invoice_of_far(box), invoice_of_far(box)
    box.node.faults.hold_if["preapproveinvoice"] = lambda params: params["bolt11"] == stuck.bolt11
    waiting = box.call_soon("preapproveinvoice", {"bolt11": stuck.bolt11})
    assert held(box) == ["preapproveinvoice"]
    assert box.call("preapproveinvoice", {"bolt11": other.bolt11}) == {}
    assert not waiting.done()
    assert box.let_go("preapproveinvoice", lambda params: params["bolt11"] == other.bolt11) == 0
    assert box.let_go("preapproveinvoice") == 1
    assert result_of(waiting) == {}


def test_a_signer_declines_what_it_has_thought_about(box: Box) -> None:
    box.node.faults.hold = {"preapproveinvoice"}
    waiting = box.call_soon("preapproveinvoice", {"bolt11": invoice_of_far(box).bolt11})
    held(box)
    box.node.faults.decline_preapproval = True
    box.let_go()
    with pytest.raises(RpcError, match="invoice was declined"):
        result_of(waiting)


def test_a_hundred_calls_hang_and_the_next_one_does_not(box: Box) -> None:
    box.node.faults.hold = {"preapproveinvoice"}
    waiting = [box.call_soon("preapproveinvoice", {"bolt11": invoice_of_far(box).bolt11}) for _ in range(100)]
    box.until(lambda node: len(node.dispatcher.held) == 100)
    assert box.call("getinfo")["alias"] == "us"
    assert box.let_go() == 100
    assert [result_of(call) for call in waiting] == [{}] * 100


def test_a_sendpay_behind_a_slow_hook_leaves_no_row_and_runs_later(box: Box) -> None:
    invoice = invoice_of_far(box)
    box.node.faults.hold = {"sendpay"}
    waiting = box.call_soon("sendpay", part(box, invoice, 100_000))
    held(box)
    assert box.call("listsendpays", {"payment_hash": invoice.payment_hash.hex()}) == {"payments": []}
    box.let_go("sendpay")
    assert result_of(waiting)["status"] == "pending"
    box.until(lambda _: invoice.paid_at is not None)


def test_a_sendpay_behind_a_slow_hook_outlives_its_caller(box: Box) -> None:
    """The process that sent it is dead, its connection is closed: it is carried out all the same."""
    invoice = invoice_of_far(box)
    box.node.faults.hold = {"sendpay"}
    request = {"jsonrpc": "2.0", "id": 1, "method": "sendpay", "params": part(box, invoice, 100_000)}
    with short_path(box.node.rpc_path) as path:
        caller = subprocess.Popen(
            [sys.executable, "-c", CALLER, path, json.dumps(request)], stdout=subprocess.PIPE, pass_fds=_kept(path)
        )
        held(box)
        os.kill(caller.pid, signal.SIGKILL)
        caller.wait(PATIENCE_S)
        assert caller.stdout is not None
        caller.stdout.close()
    assert invoice.paid_at is None
    box.let_go()
    box.until(lambda _: invoice.paid_at is not None)


def _kept(path: str) -> tuple[int, ...]:
    """A short name of a long path goes through a file descriptor, which the child needs as well."""
    return (int(path.split("/")[4]),) if path.startswith("/proc/self/fd/") else ()


def test_what_hangs_does_not_outlive_the_node(tmp_path: Path) -> None:
    with line_box(tmp_path) as box:
        invoice = invoice_of_far(box)
        box.node.faults.hold = {"sendpay"}
        box.call_soon("sendpay", part(box, invoice, 100_000))
        held(box)
        box.kill()
        box.restart()
        assert box.let_go() == 0
        assert box.call("listsendpays") == {"payments": []}


def test_an_answer_that_was_kept_back_comes_at_last(box: Box) -> None:
    """It was carried out; the answer is the one of then."""
    box.node.faults.hang = {"getinfo"}
    height = box.node.height
    waiting = box.call_soon("getinfo")
    box.until(lambda node: node.recorded[-1].method == "getinfo")
    box.on_world(lambda world: world.mine())
    assert box.let_go("getinfo") == 1
    assert result_of(waiting)["blockheight"] == height


def test_a_host_that_lacks_a_command(box: Box) -> None:
    """`decode` with disable-plugin=offers: as any unknown command, in `help` and `check` as well."""
    assert box.call("help", ["decode"])["help"] == [{"command": "decode string"}]
    offers = "/usr/libexec/c-lightning/plugins/offers"
    assert offers in [plugin["name"] for plugin in box.call("plugin", ["list"])["plugins"]]
    box.node.faults.missing = {"decode"}
    assert offers not in [plugin["name"] for plugin in box.call("plugin", ["list"])["plugins"]]
    for method, params, words in (
        ("decode", ["x"], "Unknown command 'decode'"), ("help", ["decode"], "Unknown command decode"),
        ("check", ["decode", "x"], "Unknown command 'decode'"),
    ):  # fmt: skip
        with pytest.raises(RpcError) as refused:
            box.call(method, params)
        assert (refused.value.code, refused.value.message) == (-32601, words)
    assert box.call("getinfo")["alias"] == "us"


def test_a_host_that_never_lists_its_channels(box: Box) -> None:
    box.node.faults.hold = {"listpeerchannels"}
    waiting = box.call_soon("listpeerchannels")
    held(box)
    box.node.faults.hold = set()
    assert len(box.call("listpeerchannels")["channels"]) == 1
    assert not waiting.done()
    box.node.faults.errors = {"listpeerchannels": (-1, "no channels today")}
    for _ in range(3):
        with pytest.raises(RpcError, match="no channels today"):
            box.call("listpeerchannels")
