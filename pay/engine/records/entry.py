"""The journal's entry of one payment as text and back: its terms, the order for its parts, what the host took.

An entry that cannot be read is as good as none: then what is out is watched and nothing is added.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pay.host.calls import PartOrder
from pay.payment.events import FoundPart
from pay.payment.terms import Terms
from pay.units import NodeId, ScidDir

_VERSION = 1
_FOUND_ANEW = frozenset({
    "payment_hash", "source", "first_partid", "wakeable", "patient_until_s", "to_self", "watched", "behind_blocks",
})  # fmt: skip
"""Fields of `Terms` that a start finds anew, or that no payment with an entry has. All others are kept, with those
of its limits and preferences, under their own names and all on one level."""

_MEANT = {"part_cost_msat": 10_000, "part_cost_ppm": 0, "usual_parts": 30}
"""What it meant that an older entry lacks a field, where its default is another one now or may be. Everything else
that an entry lacks is as its default has it."""


_FORMS: dict[Any, Callable[[Any], Any]] = {
    NodeId: lambda text: NodeId(bytes.fromhex(text)),
    frozenset[NodeId]: lambda texts: frozenset(NodeId(bytes.fromhex(text)) for text in texts),
    frozenset[ScidDir]: lambda texts: frozenset(map(ScidDir.parse, texts)),
}
"""How fields are read that JSON does not hold as they are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journalled payment; `accepted` are parts that the host is known to have taken."""

    terms: Terms
    order: PartOrder
    accepted: tuple[FoundPart, ...] = ()


def encode(entry: Entry) -> str:
    """As JSON text."""
    accepted = [asdict(part) for part in entry.accepted]
    kept, order = _kept(entry.terms), asdict(entry.order)
    return json.dumps({"version": _VERSION, "terms": kept, "order": order, "accepted": accepted})


def decode(payment_hash: str, text: str, us: NodeId) -> Entry:
    """The entry in `text`, kept under `payment_hash`. Raises whatever a text that is none brings about."""
    stored = json.loads(text)
    if stored["version"] != _VERSION:
        raise ValueError(f"version {stored['version']}")
    if len(bytes.fromhex(payment_hash)) != 32:
        raise ValueError("its key is no payment_hash")
    order = PartOrder(**stored["order"])
    terms: Terms = _read(Terms, _MEANT | stored["terms"], payment_hash=bytes.fromhex(payment_hash), source=us)
    same = (order.payment_hash, order.groupid, order.total_msat)
    if same != (payment_hash, terms.groupid, terms.total_msat):
        raise ValueError("it contradicts itself")
    if not 0 < terms.amount_msat <= terms.total_msat:
        raise ValueError(f"{terms.amount_msat} of {terms.total_msat} msat")
    if not 0 <= terms.shadow_fee_msat < terms.amount_msat or terms.shadow_blocks < 0:
        raise ValueError(f"a shadow of {terms.shadow_fee_msat} msat and {terms.shadow_blocks} blocks")
    # Older entries do not have it.
    accepted = tuple(_accepted(part) for part in stored.get("accepted", ()))
    return Entry(terms, order, accepted)


def _accepted(stored: dict[str, Any]) -> FoundPart:
    numbers = (stored["partid"], stored["amount_msat"], stored["sent_msat"])
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError(f"a part {stored!r}")
    return FoundPart(*numbers, float(stored["sent_at_s"]))


@cache
def _kinds(of: Any) -> dict[str, Any]:
    """The types of the fields that are kept, of `Terms` or of a value among them."""
    kinds = get_type_hints(of)
    return {field.name: kinds[field.name] for field in fields(of) if field.name not in _FOUND_ANEW}


def _kept(value: Any) -> dict[str, Any]:
    """All fields of it that are kept, those of values in it among them, as JSON has them."""
    kept: dict[str, Any] = {}
    of: Any = type(value)
    for name, kind in _kinds(of).items():
        inner = getattr(value, name)
        kept |= _kept(inner) if is_dataclass(kind) else {name: _as_json(inner)}
    return kept


def _read(of: Any, kept: dict[str, Any], **known: Any) -> Any:
    """The value back, with what is `known` of it without the entry. Raises whatever is no field brings about."""
    values = known
    for name, kind in _kinds(of).items():
        if is_dataclass(kind):
            values[name] = _read(kind, kept)
        elif name in kept:
            values[name] = _FORMS[kind](kept[name]) if kind in _FORMS else _typed(name, kind, kept[name])
    return of(**values)


def _as_json(value: Any) -> Any:
    match value:
        case frozenset():
            return sorted(_as_json(one) for one in value)
        case ScidDir():
            return str(value)
        case bytes():
            return value.hex()
        case _:
            return value


def _typed(name: str, kind: Any, value: Any) -> Any:
    """A field that JSON holds as it is. Raises TypeError where it is of another type."""
    wanted = (int, float) if kind is float else kind
    if (isinstance(value, bool) and kind is not bool) or not isinstance(value, wanted):
        raise TypeError(f"{name} is {value!r}")
    return value
