"""The `lightning-rpc` socket: requests of any client in, answers, notifications and errors out.

One connection carries any number of requests at once; each is a `Command` that lives until it is
answered, also when its connection is gone by then (as lightningd's commands do: a `sendpay` that was read runs).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pay.sim.lightningd.rpc.address import short_path
from pay.sim.lightningd.rpc.command import Command, Connection
from pay.sim.lightningd.rpc.jsonstream import JsonSplitter, MalformedJson, RpcError

INVALID_REQUEST = -32600


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
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, backlog=1024, **keep)

    def stop_listening(self) -> None:
        """New clients are refused (the file stays, as after a crash)."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def drop_everybody(self) -> None:
        """Nobody is listened to any more, and nothing that is still to be written is."""
        self._closed = True
        self.stop_listening()
        for connection in list(self._connections):
            connection.writer.transport.abort()

    async def close(self) -> None:
        """Drop everybody, answered or not."""
        self.drop_everybody()
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
                await _drained(connection.writer)
                return
            for request in requests:
                self._take(connection, request)
            await _drained(connection.writer)

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
    connection.send({"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": problem}})


async def _drained(writer: asyncio.StreamWriter) -> None:
    """Wait for a slow reader, so that what it does not read does not pile up here."""
    with contextlib.suppress(ConnectionError):
        await writer.drain()
