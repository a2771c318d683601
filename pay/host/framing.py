"""What the host writes to us, cut into messages and read; also what a caller made hard to read.

lightningd ends each message with an empty line, but hands on a command's parameters as the caller wrote them: with
empty lines of their own, on a hundred thousand lines, nested as deep as anybody likes, or with numbers of as many
digits. So a piece that is no whole message goes on after the empty line, and of a message that Python does not
read at least its id is found: whoever sent it would else wait for ever. Each byte is looked at a few times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_END = b"\n\n"
_MARKS = re.compile(rb'\\.|["{}\[\]]', re.DOTALL)
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_VALUE = re.compile(rb'\s*:\s*("(?:[^"\\]|\\.){0,1000}"|-?\d{1,20})', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A whole message that Python cannot read: why not, its size, and what it is an answer to or a call of."""

    error: Exception
    size: int
    fields: dict[str, Any]


class MessageReader:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._begun: list[bytes] = []
        self._depth = 0
        self._quoted = False

    def feed(self, chunk: bytes) -> Iterator[Any]:
        """The messages that end in `chunk`, as JSON values or `Unreadable`."""
        self._buffer += chunk
        while (end := self._buffer.find(_END, self._scanned)) >= 0:
            piece = bytes(self._buffer[:end])
            del self._buffer[: end + len(_END)]
            self._scanned = 0
            if self._begun or piece.strip():
                yield from self._read(piece)
        self._scanned = max(0, len(self._buffer) - 1)

    def _read(self, piece: bytes) -> Iterator[Any]:
        if not self._begun:
            try:
                yield json.loads(piece)
                return
            except (ValueError, RecursionError):
                pass
        self._begun.append(piece)
        self._follow(piece)
        if self._quoted or self._depth > 0:
            return
        message = _END.join(self._begun)
        self._begun, self._depth = [], 0
        try:
            yield json.loads(message)
        except (ValueError, RecursionError) as error:
            yield Unreadable(error, len(message), _outline(message))

    def _follow(self, piece: bytes) -> None:
        """Whether we are inside a string, and inside how many brackets, after `piece`."""
        for found in _MARKS.finditer(piece):
            mark = found[0]
            if mark == b'"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth += (mark in b"{[") - (mark in b"}]")


def _outline(message: bytes) -> dict[str, Any]:
    """`id` and `method` of a message, the first of each that is not inside of something else."""
    fields: dict[str, Any] = {}
    depth = 0
    for found in _TOKENS.finditer(message):
        token = found[0]
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        elif depth == 1 and token in (b'"id"', b'"method"') and (value := _VALUE.match(message, found.end())):
            fields.setdefault(token[1:-1].decode(), json.loads(value[1]))
    return fields
