"""A client of a `lightning-rpc` socket that hands answers over exactly as they came.

The tests compare answers key by key, and pyln-client converts amounts and hides the members that an error
has beside code, message and data.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: either a result or an error object, whole."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @property
    def code(self) -> int | None:
        """Error code, None for a success."""
        return None if self.error is None else self.error["code"]

    def ok(self) -> dict[str, Any]:
        """The result of a call that must have succeeded."""
        assert self.error is None, self.error
        assert self.result is not None
        return self.result


class RawRpc:
    """Calls methods of the node whose socket is `path`, one connection a call."""

    def __init__(self, path: Path | str, timeout_s: float = PATIENCE_S):
        self.path = Path(path)
        self.timeout_s = timeout_s
        self._ids = itertools.count()

    def call(self, method: str, params: dict[str, Any] | list[Any] | None = None) -> Answer:
        """Send one request and wait for its answer.

        Raises
        ------
        OSError
            Nobody listens, nothing came in time, or the node hung up.
        """
        return self.write(method, json.dumps(params or {}))

    def write(self, method: str, params: str) -> Answer:
        """The same with the text of the parameters, which may be any."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self.timeout_s)
            _connect(connection, self.path)
            return self._ask(connection, method, params)

    @contextmanager
    def connection(self) -> Iterator[Callable[[str, dict[str, Any]], Answer]]:
        """What asks one question after another, waiting without end, over one connection."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            _connect(connection, self.path)
            yield lambda method, params: self._ask(connection, method, json.dumps(params))

    def exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one whole request, of which any member may be any, and return the whole answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self.timeout_s)
            _connect(connection, self.path)
            connection.sendall(json.dumps(request).encode())
            return _read_message(connection)

    def _ask(self, connection: socket.socket, method: str, params: str) -> Answer:
        request_id = f"test:{method}#{next(self._ids)}"
        request = f'{{"jsonrpc": "2.0", "id": "{request_id}", "method": "{method}", "params": {params}}}'
        connection.sendall(request.encode())
        try:
            message = _read_message(connection)
        except TimeoutError:
            raise TimeoutError(f"not in {connection.gettimeout():g} s: the answer of {method}") from None
        assert message["id"] == request_id
        return Answer(message.get("result"), message.get("error"))


def _connect(connection: socket.socket, path: Path) -> None:
    """A socket's address holds about 100 bytes: a longer path is reached through its directory."""
    if len(os.fsencode(path)) < 100:
        connection.connect(str(path))
        return
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def _read_message(connection: socket.socket) -> dict[str, Any]:
    received = b""
    decoder = json.JSONDecoder()
    while True:
        data = connection.recv(1 << 20)
        if not data:
            raise ConnectionError("the node closed the connection before it answered")
        received += data
        if received.rstrip().endswith(b"}"):
            try:
                return decoder.raw_decode(received.decode().lstrip())[0]
            except ValueError:
                continue


def shape(value: Any) -> Any:
    """Keys and JSON types of an answer: objects key by key, arrays by the shapes of their members.

    An array becomes a list of the distinct shapes in it, in the order they first appear.
    """
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        shapes: list[Any] = []
        for inner in value:
            if shape(inner) not in shapes:
                shapes.append(shape(inner))
        return shapes
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return names[type(value)]
