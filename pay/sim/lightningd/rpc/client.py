"""The other end of the socket: one command, as any client would give it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pay.sim.lightningd.rpc.address import short_path
from pay.sim.lightningd.rpc.jsonstream import JsonSplitter, RpcError, encode


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
        called = encode(_request(method, {} if params is None else params, "call"))
        # As lightning-cli does it: a hook may keep the one, and let the other pass.
        writer.write(called if notify is None else encode(_request("notifications", {"enable": True}, "enable")))
        splitter = JsonSplitter()
        while data := await reader.read(1 << 16):
            for message in splitter.feed(data):
                if "method" in message:
                    if notify is not None:
                        notify(message)
                elif message.get("id") == "enable":
                    writer.write(called)
                else:
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
