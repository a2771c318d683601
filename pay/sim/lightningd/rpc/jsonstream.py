"""Concatenated JSON objects out of a byte stream, and the errors that travel in them.

lightningd's sockets and pipes carry one JSON object after another. Writers end each with two
newlines; readers must not rely on it, so objects are found by their braces.
"""

from __future__ import annotations

import json
import re
from typing import Any

_MARKS = re.compile(rb'["\\{}\[\]]')
SEPARATOR = b"\n\n"


class MalformedJson(Exception):
    """The stream holds something that is not a JSON object."""


class RpcError(Exception):
    """A JSON-RPC error answer.

    Parameters
    ----------
    code
        As in lightningd's common/jsonrpc_errors.h.
    message
        In lightningd's words where lightningd has the same case.
    data
        Present in the answer only where lightningd gives it.
    """

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.data = data

    def to_json(self) -> dict[str, Any]:
        """The `error` member."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


class JsonSplitter:
    """Feeds on bytes, gives whole JSON values; keeps the unfinished rest."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> list[Any]:
        """The objects completed by `data`.

        Raises
        ------
        MalformedJson
            With the offending text; the stream cannot be used any further.
        """
        self._buffer += data
        complete: list[Any] = []
        while (end := self._find_end()) is not None:
            text = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._scanned = 0
            try:
                complete.append(json.loads(text))
            except ValueError as error:
                raise MalformedJson(text.decode(errors="replace")) from error
        return complete

    def _find_end(self) -> int | None:
        """Where the first value ends: behind the brace that closes its first one."""
        position = self._scanned
        if self._depth == 0 and not self._in_string:
            stripped = self._buffer.lstrip()
            if stripped and not stripped.startswith((b"{", b"[")):
                raise MalformedJson(self._buffer.decode(errors="replace"))
        while (match := _MARKS.search(self._buffer, position)) is not None:
            mark, position = match.group(), match.end()
            if mark == b"\\":
                if position >= len(self._buffer):
                    self._scanned = match.start()
                    return None
                position += 1
            elif mark == b'"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if mark in b"{[" else -1
                if self._depth <= 0:
                    self._depth = 0
                    return position
        self._scanned = len(self._buffer)
        return None


def encode(message: dict[str, Any]) -> bytes:
    """One message as it goes over the wire."""
    return json.dumps(message, separators=(",", ":")).encode() + SEPARATOR
