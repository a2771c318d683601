"""The host's messages, as callers may have made them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from pyln.client.plugin import Request

from pay.host.framing import MessageReader, Unreadable
from pay.host.host_plugin import HostPlugin

# Python 3.14 reads some 80,000 levels on a stack of 8 MB, those before it a thousand.
DEEP = "[" * 200_000 + "]" * 200_000
DIGITS = "1" * 5_000


def call(params: str, method: str = "pay", ident: str = '"cln:pay#7"') -> bytes:
    return f'{{"jsonrpc":"2.0","id":{ident},"method":"{method}","params":{params}}}\n\n'.encode()


def fed(message: bytes, size: int) -> list[Any]:
    incoming = MessageReader()
    return [got for at in range(0, len(message), size) for got in incoming.feed(message[at : at + size])]


STRANGE = {
    "empty lines": '{"a":\n\n1,\n\n\n"b":[\n\n]}',
    "brackets in strings": '["}]\\"{",\n\n"[\\\\"]',
    "many lines": "[" + ",\n".join(["1"] * 1_000) + "]",
    "another's id": '{"id":"cln:other#1"}',
}


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
@pytest.mark.parametrize("name", STRANGE)
def test_messages_are_read_as_they_were_written(name: str, size: int) -> None:
    read = fed(call("[]") + b"\n\n" + call(STRANGE[name]) + call("{}"), size)
    assert [message["params"] for message in read] == [[], json.loads(STRANGE[name]), {}]


HARD = {
    "deep": DEEP,
    "deep, with an empty line": DEEP[:20_000] + "\n\n" + DEEP[20_000:],
    "digits": f"[{DIGITS}]",
    "a comma too many": "[\n\n1,]",
    "an empty line in a string": '["\n\n]"]',
    "a null byte": '["\x00"]',
}


@pytest.mark.parametrize("name", HARD)
def test_what_cannot_be_read_has_a_sender(name: str) -> None:
    """The id of the message, not one that stands in its params, before or after."""
    params = HARD[name]
    for message in (
        call(params),
        f'{{"params":[{{"id":"x","method":"y"}},"id",{params}],"id":"cln:pay#7","method":"pay","id":5}}\n\n'.encode(),
    ):
        unread, after = fed(message + call("{}"), 1 << 16)
        assert isinstance(unread, Unreadable) and unread.size == len(message) - 2
        assert unread.fields == {"id": "cln:pay#7", "method": "pay"}
        assert after["params"] == {}


def test_a_message_without_id() -> None:
    (unread,) = fed(b'{"method":"block_added","params":' + DEEP.encode() + b"}\n\n", 1_000)
    assert unread.fields == {"method": "block_added"}


def test_a_request_is_answered_once() -> None:
    wire = Wire()
    request = Request(wire.plugin, 7, "pay", {}, background=True)
    wire.plugin.succeed(request, {"status": "complete"})
    with pytest.raises(ValueError, match="request 7 was answered before"):
        wire.plugin.succeed(request, {"status": "failed"})
    written = wire.plugin.stdout.buffer.getvalue()
    assert json.loads(written) == {"jsonrpc": "2.0", "id": 7, "result": {"status": "complete"}}


def test_a_log_line_is_said_once() -> None:
    """Each line of a text is one message, and has its text and its level in one place."""
    wire = Wire()
    wire.plugin.log("one\ntwo", level="debug")
    written = wire.plugin.stdout.buffer.getvalue().split(b"\n\n")
    assert [json.loads(line)["params"] for line in filter(None, written)] == [
        {"level": "debug", "message": "one"}, {"level": "debug", "message": "two"},
    ]  # fmt: skip


class Wire:
    """A plugin, and what it writes."""

    def __init__(self) -> None:
        self.plugin = HostPlugin()
        self.plugin.stdout = io.TextIOWrapper(io.BytesIO(), write_through=True)
        self.plugin.add_raw_method("pay", lambda request: request.set_result({"got": request.params}), "", "")
        self.plugin.add_command_hook(lambda called: called["to"], ["xpay"], [])

    def answers(self, written: bytes, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        monkeypatch.setenv("LIGHTNINGD_PLUGIN", "1")
        self.plugin.stdin = io.TextIOWrapper(io.BytesIO(written))
        self.plugin.run()
        lines = self.plugin.stdout.buffer.getvalue().split(b"\n\n")
        return [answer for answer in map(json.loads, filter(None, lines)) if "id" in answer]


ODD: list[Any] = [
    None, [], 7, "pay", {}, {"rpc_command": None}, {"rpc_command": []}, {"rpc_command": {"method": "xpay"}},
    {"rpc_command": {"to": "pay"}}, {"rpc_command": {"to": "pay", "id": 1}},
    {"rpc_command": {"to": None, "id": 1}}, {"rpc_command": {"to": "pay", "params": []}}, {"other": 1},
]  # fmt: skip


@pytest.mark.parametrize("params", ODD, ids=json.dumps)
def test_a_hook_with_an_odd_question_is_told_to_go_on(params: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an error: the node would end; and there is one answer."""
    (answer,) = Wire().answers(call(json.dumps(params), "rpc_command"), monkeypatch)
    assert answer == {"jsonrpc": "2.0", "id": "cln:pay#7", "result": {"result": "continue"}}


def test_a_hooked_call_goes_on_to_our_method_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the caller's id, his filter and whatever else he says."""
    called = {
        "to": "own",
        "id": [1],
        "method": "xpay",
        "params": {"a": "1.10"},
        "filter": {"x": True},
        "odd": 2**70,
    }
    (answer,) = Wire().answers(call(json.dumps({"rpc_command": called}), "rpc_command"), monkeypatch)
    assert answer["result"] == {"replace": {**called, "method": "own", "jsonrpc": "2.0"}}


def test_a_hooked_call_nested_as_deep_as_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read may be too deep to be written again: the answer is to go on, at every depth."""
    answers = []
    for depth in (*range(100, 2_000, 50), 5_000, 20_000):
        params = f'{{"rpc_command":{{"to":"own","id":1,"params":{"[" * depth + "]" * depth}}}}}'
        (answer,) = Wire().answers(call(params, "rpc_command"), monkeypatch)
        answers.append(next(iter(answer["result"])))
    assert set(answers) == {"replace", "result"} and answers == sorted(answers)


def test_the_plugin_answers_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller's nesting neither ends the plugin nor leaves him without an answer; a hook is told to go on."""
    bad = [call(DEEP), call(f"[{DIGITS}]", ident="3"), call(DEEP, "check"), call(DEEP, "rpc_command")]
    *refused, hooked, paid = Wire().answers(b"".join(bad) + call("[\n\n1]"), monkeypatch)
    assert [answer["error"]["code"] for answer in refused] == [-32602] * 3
    assert [answer["id"] for answer in refused] == ["cln:pay#7", 3, "cln:pay#7"]
    assert "digits" in refused[1]["error"]["message"]
    assert hooked["result"] == {"result": "continue"} and paid["result"] == {"got": [1]}
