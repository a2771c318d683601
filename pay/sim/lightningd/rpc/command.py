"""A request that came in, and the connection that it came from."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable
from typing import Any

from pay.sim.lightningd.rpc.jsonstream import SEPARATOR, RpcError, encode


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

    def replace(self, request: dict[str, Any]) -> None:
        """Be another request, with the caller's id."""
        self.request = {**request, "id": self.id}
        self.method = str(self.request.get("method"))

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
            self.connection.send({"jsonrpc": "2.0", "method": method, "params": {**params, "id": self.id}})


def apply_filter(value: Any, wanted: Any) -> Any:
    """What of an answer the request's `filter` asks for."""
    if wanted is True:
        return value
    if isinstance(wanted, list) and isinstance(value, list):
        return [apply_filter(item, wanted[0]) for item in value]
    if isinstance(wanted, dict) and isinstance(value, dict):
        return {key: apply_filter(value[key], inner) for key, inner in wanted.items() if key in value}
    return value


def _peer_pid(writer: asyncio.StreamWriter) -> int:
    peer = writer.get_extra_info("socket")
    if peer is None or not hasattr(socket, "SO_PEERCRED"):
        return 0
    pid, _, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)
