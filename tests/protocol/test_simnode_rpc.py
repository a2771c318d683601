"""The socket of the simulated node: framing, refusals, pipelined requests, commands without callers.

Nothing here needs a plugin; the world is us ── hub ── far.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyln.client import LightningRpc
from pyln.client import RpcError as PylnError

from pay.sim.lightningd.harness import Box
from pay.sim.lightningd.rpc.jsonstream import JsonSplitter, MalformedJson, RpcError
from tests.support.box.worlds import invoice_of_far, line_box, part
from tests.support.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with line_box(tmp_path_factory.mktemp("box")) as running:
        yield running


def talk(box: Box, text: bytes, answers: int = 1) -> list[dict[str, Any]]:
    """Send bytes as they are and read that many objects."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(str(box.node.rpc_path))
        connection.sendall(text)
        splitter, found = JsonSplitter(), []
        while len(found) < answers and (data := connection.recv(65536)):
            found += splitter.feed(data)
        return found


def request(method: str, params: Any, request_id: Any = 1, **members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params, **members}).encode()


def test_objects_are_found_by_their_braces() -> None:
    """In whatever pieces they come, with braces and quotes inside strings, and without anything in between."""
    splitter = JsonSplitter()
    stream = b'{"a":"}\\"{"}{"b":[{}]}\n\n  {"c":1}'
    pieces = [splitter.feed(bytes([byte])) for byte in stream]
    assert [value for piece in pieces for value in piece] == [{"a": '}"{'}, {"b": [{}]}, {"c": 1}]


@pytest.mark.parametrize("text", [b"hello", b'{"a":}', b"}", b'{"a" 1}{"b":2}'])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedJson):
        JsonSplitter().feed(text)


def test_malformed_json_is_answered_and_ends_the_connection(box: Box) -> None:
    """As lightningd does: -32600 with a null id, then nothing any more."""
    (answer,) = talk(box, b'{"jsonrpc":"2.0","id":1,,}' + request("getinfo", {}), answers=2)
    assert answer["id"] is None
    assert answer["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (b'{"jsonrpc":"2.0","method":"getinfo","params":{}}', -32600, "No id"),
        (b'{"jsonrpc":"2.0","id":[1],"method":"getinfo","params":{}}', -32600, "Expected string/primitive for id"),
        (b'{"id":1,"method":"getinfo","params":{}}', -32600, 'jsonrpc: "2.0" must be specified in the request'),
        (b'{"jsonrpc":"2.0","id":1,"params":{}}', -32600, "No method"),
        (b'{"jsonrpc":"2.0","id":1,"method":"getinfo"}', -32600, "No params"),
        (b'{"jsonrpc":"2.0","id":1,"method":7,"params":{}}', -32600, "Expected string for method"),
        (request("nonsense", {}), -32601, "Unknown command 'nonsense'"),
        (request("getinfo", 5), -32602, "Expected array or object for params"),
        (request("getinfo", [1, 2]), -32602, "too many parameters: got 2, expected 0"),
        (request("decode", {}), -32602, "missing required parameter: string"),
        (request("delpay", ["00", "failed"]), -32602, "payment_hash: should be a 32 byte hex value: inv"),
        (request("getinfo", {"x": 1}), -32602, "unknown parameter: x, this may be caused by a failure"),
    ],
)
def test_bad_requests_in_lightningds_words(box: Box, text: bytes, code: int, message: str) -> None:
    (answer,) = talk(box, text)
    assert answer["error"]["code"] == code
    assert answer["error"]["message"].startswith(message)


def test_ids_come_back_as_they_were(box: Box) -> None:
    """Numbers, strings and null are all ids."""
    for request_id in (7, "seven", 7.5):
        (answer,) = talk(box, request("getinfo", {}, request_id))
        assert answer["id"] == request_id


def test_one_connection_carries_many_requests_at_once(box: Box) -> None:
    """`waitblockheight` waits while `getinfo`, sent after it on the same connection, is answered."""
    height = box.call("getinfo")["blockheight"]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(str(box.node.rpc_path))
        connection.sendall(request("waitblockheight", [height + 1], "wait") + request("getinfo", {}, "info"))
        splitter = JsonSplitter()
        (first,) = splitter.feed(connection.recv(65536))
        assert first["id"] == "info"
        box.on_world(lambda world: world.mine())
        (second,) = splitter.feed(connection.recv(65536))
        assert second == {"jsonrpc": "2.0", "id": "wait", "result": {"blockheight": height + 1}}


def test_a_sendpay_outlives_its_connection(box: Box) -> None:
    """The caller hangs up as soon as it has written; the payment is made all the same."""
    invoice = invoice_of_far(box)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(box.node.rpc_path))
        connection.sendall(request("sendpay", part(box, invoice, 100_000)))
    box.until(lambda _: invoice.paid_at is not None)
    (row,) = box.until(lambda node: node.db.payments("payment_hash = ?", invoice.payment_hash))
    assert row.partid == 1


def test_the_filter_of_a_request_cuts_the_answer(box: Box) -> None:
    wanted = {"channels": [{"peer_id": True, "updates": {"local": {"fee_base_msat": True}}}]}
    (answer,) = talk(box, request("listpeerchannels", {}, filter=wanted))
    hub = list(box.world.nodes)[1].hex()
    assert answer["result"] == {"channels": [{"peer_id": hub, "updates": {"local": {"fee_base_msat": 1}}}]}


def test_pyln_client_is_a_client(box: Box) -> None:
    """The library that most plugins and wallets use, its errors included."""
    rpc = LightningRpc(str(box.node.rpc_path))
    assert rpc.getinfo()["id"] == box.node.us.hex()
    with pytest.raises(PylnError) as refused:
        rpc.call("waitsendpay", ["00" * 32])
    assert refused.value.error["code"] == 208


def test_check_runs_the_checks_and_nothing_else(box: Box) -> None:
    invoice = invoice_of_far(box)
    good = part(box, invoice, 100_000)
    assert box.call("check", {"command_to_check": "sendpay", **good}) == {"command_to_check": "sendpay"}
    without_secret = {name: value for name, value in good.items() if name != "payment_secret"}
    with pytest.raises(RpcError, match="partid requires payment_secret"):
        box.call("check", {"command_to_check": "sendpay", **without_secret})
    # A null is only nothing where parameters are positions; by name it is a value, and a bad one.
    with pytest.raises(RpcError, match="payment_secret: should be a 32 byte hex value: invalid token 'null'"):
        box.call("check", {"command_to_check": "sendpay", **good, "payment_secret": None})
    assert box.call("listsendpays", {"payment_hash": invoice.payment_hash.hex()}) == {"payments": []}


def test_the_datastore_is_a_tree_with_generations(box: Box) -> None:
    """Values have no children, modes are kept, and a wrong generation is refused."""
    assert box.call("datastore", {"key": ["t", "a"], "string": "x"}) == {
        "key": ["t", "a"], "generation": 0, "hex": "78", "string": "x"
    }  # fmt: skip
    for key, code in ((["t"], 1205), (["t", "a", "b"], 1206), (["t", "a"], 1202)):
        with pytest.raises(RpcError) as refused:
            box.call("datastore", {"key": key, "string": "y"})
        assert refused.value.code == code
    append = {"key": ["t", "a"], "hex": "ff", "mode": "must-append", "generation": 0}
    assert box.call("datastore", append) == {"key": ["t", "a"], "generation": 1, "hex": "78ff"}
    with pytest.raises(RpcError, match="generation is different"):
        box.call("datastore", append)
    assert box.call("listdatastore", ["t"])["datastore"][0]["generation"] == 1
    assert {"key": ["t"]} in box.call("listdatastore")["datastore"]
    assert box.call("deldatastore", [["t", "a"]])["hex"] == "78ff"


def test_help_names_every_command(box: Box) -> None:
    usages = {entry["command"].split()[0]: entry["command"] for entry in box.call("help")["help"]}
    assert usages["setconfig"] == "setconfig config [val] [transient]"
    assert {"sendpay", "listpays", "plugin", "stop", "ping", "listhtlcs"} <= usages.keys()
    assert "pay" not in usages


def test_a_socket_with_a_long_path_works(tmp_path: Path) -> None:
    """Test directories are deep; an address holds 108 bytes."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with line_box(deep) as running:
        assert running.call("getinfo")["alias"] == "us"


def test_many_callers_at_once_are_all_answered(box: Box) -> None:
    """Thirty threads, one connection each."""
    answers: list[str] = []

    def ask() -> None:
        answers.append(box.call("getinfo")["id"])

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert answers == [box.node.us.hex()] * 30
