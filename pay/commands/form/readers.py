"""Readers of parameters: from a JSON value to what is meant.

Each raises ValueError with words that can follow the parameter's name. Numbers that decide about money are read
exactly (`Decimal`), never through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pay.units import NodeId, Scid, ScidDir, parse_msat, parse_node_id, parse_scid, show

_U32 = (1 << 32) - 1
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_MOST_DIGITS = 40
"""More in a percentage are no precision but work: exact fractions of long numbers take minutes."""


def as_given(value: Any) -> Any:
    """What somebody else reads."""
    return value


def one_of(*words: str) -> Callable[[Any], str]:
    """A reader of one of these words."""
    listed = f"{', '.join(words[:-1])} or {words[-1]}"

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"should be {listed}, not {show(value)}")
        return str(value)

    return read


def invstring(value: Any) -> str:
    """The string of an invoice, whatever is in it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"should be an invoice string, not {show(value)}")
    return value


def positive_msat(value: Any) -> int:
    """An amount of 1 msat or more."""
    amount_msat = parse_msat(value)
    if amount_msat == 0:
        raise ValueError("should be more than 0msat")
    return amount_msat


def text(value: Any) -> str:
    """A text; a number is one too."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"should be a string, not {show(value)}")


def texts(value: Any) -> tuple[str, ...]:
    """An array of texts."""
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(f"should be an array of strings, not {show(value)}")
    return tuple(value)


def decimal(value: Any) -> Decimal:
    """A number of 0 or more, exactly."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"should be a number, not {show(value)}")
    text = str(value)
    # Of all that Decimal reads (infinities, "1_000", other scripts' digits) only what JSON calls a number.
    if _NUMBER.fullmatch(text) is None or len(text) > _MOST_DIGITS:
        raise ValueError(f"should be a number, not {show(value)}")
    number = Decimal(text)
    if number < 0:
        raise ValueError(f"should be a number of 0 or more, not {show(value)}")
    if number > 1_000_000_000 or (number and number.adjusted() < -18):
        raise ValueError(f"should be a number from 0 to 1000000000, not {show(value)}")
    return number


def u32(value: Any) -> int:
    """A whole number of 32 bits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _U32:
        raise ValueError(f"should be a whole number from 0 to {_U32}, not {show(value)}")
    return value


def hash32(value: Any) -> str:
    """32 bytes in hex, in small letters."""
    try:
        if isinstance(value, str) and len(value) == 64 and len(bytes.fromhex(value)) == 32:
            return value.lower()
    except ValueError:
        pass
    raise ValueError(f"should be 32 bytes in hex, not {show(value)}")


def boolean(value: Any) -> bool:
    """True or false, as JSON or as a word."""
    match value:
        case True | "true":
            return True
        case False | "false":
            return False
    raise ValueError(f"should be 'true' or 'false', not {show(value)}")


def exclude(value: Any) -> tuple[frozenset[NodeId], frozenset[ScidDir]]:
    """Nodes and directions of channels that are not to be used, both directions of one without a direction."""
    if not isinstance(value, list):
        raise ValueError(f"should be an array of short_channel_id/direction or node ids, not {show(value)}")
    nodes: set[NodeId] = set()
    channels: set[ScidDir] = set()
    for entry in value:
        if isinstance(entry, str) and "x" not in entry:
            nodes.add(_node_id_in(entry))
        elif isinstance(entry, str) and "/" not in entry:
            scid = _scid_in(entry)
            channels |= {ScidDir(scid, 0), ScidDir(scid, 1)}
        else:
            channels.add(_scid_dir_in(entry))
    return frozenset(nodes), frozenset(channels)


def _node_id_in(entry: str) -> NodeId:
    """A node id in an array, with an error that shows the entry. Raises ValueError."""
    try:
        return parse_node_id(entry)
    except ValueError:
        raise ValueError(f"entry {show(entry)} is neither short_channel_id/direction nor node id") from None


def _scid_in(entry: str) -> Scid:
    try:
        return parse_scid(entry)
    except ValueError as error:
        raise ValueError(f"entry {error}") from None


def _scid_dir_in(entry: Any) -> ScidDir:
    try:
        return ScidDir.parse(entry)
    except ValueError as error:
        raise ValueError(f"entry {error}") from None
