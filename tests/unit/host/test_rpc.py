"""Calls over the host's socket: what hangs keeps nothing else waiting. The host answers what it likes.

The limits of a method are its own: lightningd itself goes on reading a connection with unanswered commands.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pay.errors import PayError
from pay.host import calls as facade
from pay.host.calls import Host
from pay.host.rpc import MOST_OF_A_METHOD, HostRpc, Unanswered
from tests.support.waiting import played


class Socket:
    """Takes every command and answers those that are not in `hanging`; `asked` counts what has arrived."""

    def __init__(self, hanging: set[str]):
        self.hanging = hanging
        self.asked: Counter[str] = Counter()
        self.held: list[Callable[[], None]] = []
        self._news = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                request = json.loads(await reader.readuntil(b"\n\n"))
            except asyncio.IncompleteReadError:
                break
            method = request["method"]
            said = {"jsonrpc": "2.0", "id": request["id"], "result": {"of": method}}
            answer = json.dumps(said).encode() + b"\n\n"
            self.asked[method] += 1
            if method in self.hanging:
                self.held.append(lambda answer=answer: writer.write(answer))
            else:
                writer.write(answer)
            self._news.set()
        writer.close()

    async def until_asked(self, method: str, times: int) -> None:
        while self.asked[method] < times:
            self._news.clear()
            await self._news.wait()


def on_socket(
    tmp_path: Path, hanging: set[str], story: Callable[[Socket, HostRpc], Coroutine[Any, Any, None]]
) -> None:
    async def tell() -> None:
        host = Socket(hanging)
        path = str(tmp_path / "rpc")
        server = await asyncio.start_unix_server(host.serve, path)
        try:
            await story(host, HostRpc(path))
        finally:
            # Not waited for: since Python 3.12.1 that is until the last connection is closed.
            server.close()

    played(tell())


def test_a_hundred_calls_that_hang_stop_no_other_method(tmp_path: Path) -> None:
    """A hundred peers are asked back and none answers: parts are sent, and their outcomes are looked for."""

    async def story(host: Socket, rpc: HostRpc) -> None:
        calls = [asyncio.create_task(rpc.acall("connect", {})) for _ in range(MOST_OF_A_METHOD + 1)]
        await host.until_asked("connect", MOST_OF_A_METHOD)
        for method in ("sendpay", "listsendpays", "datastore", "listpeerchannels"):
            assert await rpc.acall(method, {}) == {"of": method}
        assert host.asked["connect"] == MOST_OF_A_METHOD, "of one method no more wait than that"
        host.held[0]()
        await host.until_asked("connect", MOST_OF_A_METHOD + 1)
        for call in calls:
            call.cancel()

    on_socket(tmp_path, {"connect"}, story)


def test_approvals_that_hang_leave_others_to_be_asked_for(tmp_path: Path) -> None:
    """A person has a hundred invoices to look at: the next one is shown as well, and approved by a rule."""

    async def story(host: Socket, rpc: HostRpc) -> None:
        node = Host(rpc)
        waiting = [asyncio.create_task(node.preapprove(f"lnbc{n}", 60)) for n in range(MOST_OF_A_METHOD)]
        await host.until_asked("preapproveinvoice", MOST_OF_A_METHOD)
        host.hanging.clear()
        await node.preapprove("lnbc1", 60)
        for call in waiting:
            call.cancel()

    on_socket(tmp_path, {"preapproveinvoice"}, story)


@pytest.mark.parametrize(("least_s", "retry_for_s"), [(0.6, 0.0), (0.1, 0.7)])
def test_a_preapproval_without_an_answer_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least_s: float, retry_for_s: float
) -> None:
    """Nothing is out: -1 in words. The signer was asked once, and its answer afterwards is nobody's."""
    monkeypatch.setattr(facade, "APPROVAL_S", least_s)

    async def story(host: Socket, rpc: HostRpc) -> None:
        node = Host(rpc)
        with pytest.raises(PayError) as refused:
            await node.preapprove("lnbc1", retry_for_s)
        assert refused.value.code == -1
        assert "gave no answer in 1 s" in refused.value.message and "Nothing was sent" in refused.value.message
        assert host.asked == {"preapproveinvoice": 1}
        host.held[0]()
        host.hanging.clear()
        await node.preapprove("lnbc1", retry_for_s)
        assert await rpc.acall("sendpay", {}) == {"of": "sendpay"}

    on_socket(tmp_path, {"preapproveinvoice"}, story)


def test_a_check_without_an_answer_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facade, "APPROVAL_S", 0.1)

    async def story(host: Socket, rpc: HostRpc) -> None:
        with pytest.raises(PayError) as refused:
            await Host(rpc).preapprove("lnbc1", 0, only_check=True)
        assert refused.value.code == -1
        assert host.asked == {"check": 1}

    on_socket(tmp_path, {"check"}, story)


def test_a_call_given_up_frees_its_place(tmp_path: Path) -> None:
    """After their time calls that hang are unanswered, and those that queue behind them have their turn."""

    async def story(host: Socket, rpc: HostRpc) -> None:
        calls = [asyncio.create_task(rpc.acall("connect", {}, timeout_s=0.1)) for _ in range(2 * MOST_OF_A_METHOD)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} == {Unanswered}
        assert host.asked["connect"] == 2 * MOST_OF_A_METHOD
        host.hanging.clear()
        assert await rpc.acall("connect", {}) == {"of": "connect"}

    on_socket(tmp_path, {"connect"}, story)


class Breaking:
    """A connection that ends while a call is written to it: the reader sees it first."""

    def __init__(self, rpc: HostRpc):
        self._rpc = rpc

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        for call in self._rpc._waiting.values():
            call.future.set_exception(ConnectionError("the host closed the connection"))
        raise ConnectionResetError("Connection lost")


def test_a_connection_that_ends_while_it_is_written_to_is_told_once() -> None:
    """The call is unanswered; nothing is left that Python reports as an error that nobody has looked at."""
    reported: list[dict[str, Any]] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        rpc = HostRpc("/nowhere")
        broken: Any = Breaking(rpc)
        rpc._writer = broken
        with pytest.raises(Unanswered, match="Connection lost"):
            await rpc.acall("getinfo", {})
        gc.collect()

    played(story())
    assert reported == []


def test_each_call_has_its_own_time(tmp_path: Path) -> None:
    """A patient one first, then one in a hurry and one between: each is given up when its own time is over."""

    async def story(host: Socket, rpc: HostRpc) -> None:
        ended: list[str] = []

        async def ask(method: str, timeout_s: float) -> None:
            with pytest.raises(Unanswered, match=f"{method}: no answer in time"):
                await rpc.acall(method, {}, timeout_s=timeout_s)
            ended.append(method)

        patient = asyncio.create_task(rpc.acall("connect", {}, timeout_s=60))
        await host.until_asked("connect", 1)
        await asyncio.gather(ask("sendpay", 0.3), ask("decode", 0.05))
        assert ended == ["decode", "sendpay"]
        host.held[0]()
        assert await patient == {"of": "connect"}, "the others' time is none of its"

    on_socket(tmp_path, {"connect", "sendpay", "decode"}, story)
