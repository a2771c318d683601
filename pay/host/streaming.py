"""Long answers as JSON, made bit by bit so that nothing else of the loop waits for them.

Python's encoder takes a whole value in one go, and no other thread runs meanwhile. Here a value may have iterators
in it, which stand for arrays: their items are made, encoded and forgotten one after the other, and every few of
them the loop gets its turn.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

TURN_ITEMS = 32
"""Items made in one turn of the loop; an attempt with its route takes a fifth of a millisecond."""


async def encoded(value: Any) -> list[bytes]:
    """The JSON text of a value, in pieces; iterators in it are used up."""
    whole, piece = [], bytearray()
    for number, text in enumerate(_texts(value), 1):
        # What cannot be encoded (half a surrogate pair that a caller escaped) must not cost the answer.
        piece += text.encode("utf-8", "replace")
        if number % TURN_ITEMS == 0:
            whole.append(bytes(piece))
            piece.clear()
            await asyncio.sleep(0)
    return [*whole, bytes(piece)]


def _texts(value: Any) -> Iterator[str]:
    """What is in no iterator, or one item of one, is a text in one go."""
    match value:
        case Iterator():
            comma = "["
            for item in value:
                texts = _texts(item)
                yield comma + next(texts)
                yield from texts
                comma = ","
            yield "[]" if comma == "[" else "]"
        case dict() if _holds(value):
            comma = "{"
            for key, item in value.items():
                yield f"{comma}{json.dumps(key, ensure_ascii=False)}:"
                yield from _texts(item)
                comma = ","
            yield "}"
        case _:
            yield json.dumps(value, ensure_ascii=False)


def _holds(fields: dict[str, Any]) -> bool:
    """Whether an object has an iterator, or one of its objects."""
    return any(isinstance(v, Iterator) or (isinstance(v, dict) and _holds(v)) for v in fields.values())
