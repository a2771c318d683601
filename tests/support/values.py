"""Values within values, varied by the names of their fields alone."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

_Value = TypeVar("_Value")


def varied(value: _Value, **changes: Any) -> _Value:
    """The same with other fields: its own, and those of values in it, as limits and preferences are in terms."""
    of: Any = value
    mine = {field.name: changes.pop(field.name) for field in fields(of) if field.name in changes}
    for field in fields(of):
        inner = getattr(of, field.name)
        within = {name: changes.pop(name) for name in _names(inner) if name in changes}
        if within:
            mine[field.name] = varied(mine.get(field.name, inner), **within)
    if changes:
        raise TypeError(f"{type(value).__name__} has no {', '.join(changes)}")
    return replace(of, **mine)


def _names(value: Any) -> set[str]:
    """Of all its fields, and of those of values in it."""
    if not is_dataclass(value):
        return set()
    own = {field.name for field in fields(value)}
    return own.union(*(_names(getattr(value, name)) for name in own))
