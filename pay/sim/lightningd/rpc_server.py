"""The `lightning-rpc` socket: requests of any client in, answers, notifications and errors out.

One connection carries any number of requests at once; each is a `Command` that lives until it is
answered, also when its connection is gone by then (as lightningd's commands do: a `sendpay` that was read runs).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pay.sim.lightningd.jsonstream import SEPARATOR, JsonSplitter, MalformedJson, RpcError, encode

INVALID_REQUEST = -32600


class Connection:
    """One client."""

    def __init__(self, writer: asyncio.StreamWriter):
        self.writer = writer
        self.notifications = False
        self.peer_pid = _peer_pid(writer)
        """Process at the other end, 0 where the system does not say."""

    def send(self, message: dict[str, Any]) -> None:
        self.send_raw(encode(message))

    def send_raw(self, data: bytes) -> None:
        """A client that went away is no error: its command goes on without it."""
        if not self.writer.is_closing():
            with contextlib.suppress(ConnectionError, RuntimeError):
                self.writer.write(data)

    def close(self) -> None:
        if not self.writer.is_closing():
            self.writer.close()


class Command:
    """One request, to be answered once.

    Attributes
    ----------
    request
        The whole request object, which is what a plugin that owns the method gets.
    check_only
        Whether `check` asks if the command would go through; then nothing may be changed.
    """

    def __init__(self, connection: Connection | None, request: dict[str, Any]):
        self.connection = connection
        self.request = request
        self.id = request.get("id")
        self.method = str(request.get("method"))
        self.check_only = False
        self.wants_notifications = connection is not None and connection.notifications
        self.answered = False
        self.silenced: Callable[[Command, bytes], bool] | None = None

    @property
    def params(self) -> Any:
        return self.request.get("params")

    @property
    def id_prefix(self) -> str:
        """How the ids of requests that are made on behalf of this one begin."""
        return str(self.id)

    def succeed(self, result: dict[str, Any]) -> None:
        answer_filter = self.request.get("filter")
        if isinstance(answer_filter, dict):
            result = apply_filter(result, answer_filter)
        self.answer({"jsonrpc": "2.0", "id": self.id, "result": result})

    def succeed_raw(self, result: bytes) -> None:
        """As `succeed`, of a result that is JSON already."""
        if isinstance(self.request.get("filter"), dict):
            self.succeed(json.loads(result))
        else:
            head = f'{{"jsonrpc":"2.0","id":{json.dumps(self.id)},"result":'.encode()
            self._send(head + result + b"}" + SEPARATOR)

    def fail(self, error: RpcError) -> None:
        self.answer({"jsonrpc": "2.0", "id": self.id, "error": error.to_json()})

    def answer(self, message: dict[str, Any]) -> None:
        """Send a whole answer, as a plugin wrote it, with the caller's id."""
        self._send(encode({**message, "id": self.id}))

    def _send(self, answer: bytes) -> None:
        if self.answered:
            return
        self.answered = True
        if self.silenced is not None and self.silenced(self, answer):
            return
        if self.connection is not None:
            self.connection.send_raw(answer)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """A `message` or `progress` to the caller, if it enabled notifications before this request."""
        if self.connection is not None and self.wants_notifications and not self.answered:
            self.connection.send(
                {"jsonrpc": "2.0", "method": method, "params": {**params, "id": self.id}}
            )


def apply_filter(value: Any, wanted: Any) -> Any:
    """What of an answer the request's `filter` asks for."""
    if wanted is True:
        return value
    if isinstance(wanted, list) and isinstance(value, list):
        return [apply_filter(item, wanted[0]) for item in value]
    if isinstance(wanted, dict) and isinstance(value, dict):
        return {key: apply_filter(value[key], inner) for key, inner in wanted.items() if key in value}
    return value


class RpcServer:
    """Accepts clients at a path and hands every well-formed request to `dispatch`."""

    def __init__(self, path: Path, dispatch: Callable[[Command], None]):
        self.path = path
        self._dispatch = dispatch
        self._server: asyncio.Server | None = None
        self._closed = False
        self._connections: set[Connection] = set()
        self._readers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket file left behind by a process that died is replaced, none is removed at the end."""
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_path(self.path) as path:
            listener.bind(path)
        self.path.chmod(0o600)
        listener.listen(1024)
        # From Python 3.13 on asyncio would remove the file, which lightningd leaves behind.
        keep: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        self._server = await asyncio.start_unix_server(
            self._accept, sock=listener, backlog=1024, **keep
        )

    def stop_listening(self) -> None:
        """New clients are refused (the file stays, as after a crash)."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        """Drop everybody, answered or not."""
        self._closed = True
        self.stop_listening()
        for connection in list(self._connections):
            connection.writer.transport.abort()
        for reader in list(self._readers):
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            # It was under way when everybody was dropped.
            writer.transport.abort()
            return
        connection = Connection(writer)
        self._connections.add(connection)
        task = asyncio.current_task()
        assert task is not None
        self._readers.add(task)
        try:
            await self._read(connection, reader)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._readers.discard(task)
            self._connections.discard(connection)
            connection.close()

    async def _read(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        splitter = JsonSplitter()
        while data := await reader.read(1 << 16):
            try:
                requests = splitter.feed(data)
            except MalformedJson as bad:
                _refuse(connection, f"Failed to parse RPC JSON response '{bad}'")
                await writer_drained(connection.writer)
                return
            for request in requests:
                self._take(connection, request)
            await writer_drained(connection.writer)

    def _take(self, connection: Connection, request: Any) -> None:
        problem = _malformed(request)
        if problem is not None:
            _refuse(connection, problem)
            return
        command = Command(connection, request)
        if "method" not in request or "params" not in request:
            command.fail(RpcError(INVALID_REQUEST, "No params" if "method" in request else "No method"))
        elif not isinstance(request["method"], str):
            command.fail(RpcError(INVALID_REQUEST, "Expected string for method"))
        else:
            self._dispatch(command)


def _malformed(request: Any) -> str | None:
    if not isinstance(request, dict):
        return "Expected {} for json command"
    if "id" not in request:
        return "No id"
    if isinstance(request["id"], list | dict):
        return "Expected string/primitive for id"
    if request.get("jsonrpc") != "2.0":
        return 'jsonrpc: "2.0" must be specified in the request'
    return None


def _refuse(connection: Connection, problem: str) -> None:
    connection.send(
        {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": problem}}
    )


async def writer_drained(writer: asyncio.StreamWriter) -> None:
    """Wait for a slow reader, so that what it does not read does not pile up here."""
    with contextlib.suppress(ConnectionError):
        await writer.drain()


def _peer_pid(writer: asyncio.StreamWriter) -> int:
    peer = writer.get_extra_info("socket")
    if peer is None or not hasattr(socket, "SO_PEERCRED"):
        return 0
    pid, _, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


class short_path:
    """A name of a socket's path that fits into the 108 bytes of an address (Linux: through its directory)."""

    def __init__(self, path: Path):
        self._path = path
        self._directory = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) < 100:
            return str(self._path)
        self._directory = os.open(self._path.parent, os.O_RDONLY)
        return f"/proc/self/fd/{self._directory}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._directory >= 0:
            os.close(self._directory)


async def open_client(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a `lightning-rpc`, however long its path."""
    with short_path(path) as name:
        return await asyncio.open_unix_connection(name, limit=1 << 26)


Notify = Callable[[dict[str, Any]], None]


async def call(path: Path, method: str, params: Any, notify: Notify | None = None) -> dict[str, Any]:
    """One command over a connection of its own.

    Parameters
    ----------
    notify
        Called with every `message` and `progress` (whole notification objects).

    Raises
    ------
    RpcError
        The error that was answered.
    ConnectionError
        Nobody listens, or the node went away before the answer.
    """
    reader, writer = await open_client(path)
    try:
        if notify is not None:
            writer.write(encode(_request("notifications", {"enable": True}, "enable")))
        writer.write(encode(_request(method, {} if params is None else params, "call")))
        splitter = JsonSplitter()
        while data := await reader.read(1 << 16):
            for message in splitter.feed(data):
                if "method" in message:
                    if notify is not None:
                        notify(message)
                elif message.get("id") != "enable":
                    return _result(message)
        raise ConnectionError("the node closed the connection before it answered")
    finally:
        writer.close()


def _request(method: str, params: Any, request_id: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def _result(message: dict[str, Any]) -> dict[str, Any]:
    if "error" in message:
        error = message["error"]
        raise FlatError(error)
    result: dict[str, Any] = message["result"]
    return result


class FlatError(RpcError):
    """An error as it was received, with every member it had, also those beside code, message and data."""

    def __init__(self, error: dict[str, Any]):
        super().__init__(int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
        self.error = error


Handler = Callable[[Command], dict[str, Any] | Awaitable[dict[str, Any]] | None]
