"""What must be known of a payment after a restart, kept in the host's own datastore from before its first part.

The host's table of parts says what is out, but not what the whole is, nor within which limits it may be completed.
One entry a payment, under `pay/session/<payment_hash>`, gone when the payment ends. An entry that cannot be read
is as good as none: then what is out is watched and nothing is added.

Of a payment whose amount its caller chose (an invoice without one, a share) that is kept once it was made, under
`pay/paid/<payment_hash>`: where rows are deleted, or failed after the preimage came, it would else look like a
payment of less.

While an order of an earlier run may still be queued in the host, `pay/earlier/<payment_hash>` has its group: yet
another run may follow within that time.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from pay.host.calls import CallError, Host, PartOrder, Unanswered
from pay.payment.events import AdoptedPart
from pay.payment.terms import Terms
from pay.units import NodeId, ScidDir

log = logging.getLogger("pay")

_KEY = ("pay", "session")
_TOTALS = ("pay", "paid")
_EARLIER = ("pay", "earlier")
MOST_TOTALS = 1_000
"""Totals kept, the newest; a hundred bytes each. Looked through after so many new ones."""

_VERSION = 1
WRITE_TIMEOUT_S = 5.0
"""A datastore slower than this does not hold up a payment: it would then only be watched after a restart."""

READ_TIMEOUT_S = 10.0
"""A datastore that cannot be read holds up all calls of `pay` at start; without it parts are only watched."""

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
    accepted: tuple[AdoptedPart, ...] = ()


class Journal:
    """The entries in the datastore."""

    def __init__(self, host: Host):
        self._host = host
        self._new_totals = 0

    async def write(self, entry: Entry) -> bool:
        """Before the first part. False where it could not be written in time."""
        params = {"key": [*_KEY, entry.order.payment_hash], "string": encode(entry), "mode": "create-or-replace"}
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._host.call("datastore", params)
        except (CallError, Unanswered, TimeoutError) as error:
            log.warning("journal_unwritten payment_hash=%s error=%r", entry.order.payment_hash, str(error))
            return False
        return True

    async def remove(self, payment_hash: str) -> None:
        """The payment has ended; what cannot be removed is seen to be over at the next start."""
        await self._delete([*_KEY, payment_hash])

    async def _delete(self, key: list[str]) -> None:
        try:
            await self._host.call("deldatastore", {"key": key})
        except CallError as error:
            log.debug("journal_unremoved payment_hash=%s error=%r", key[-1], str(error))
        except Unanswered as error:
            log.warning("journal_unremoved payment_hash=%s error=%r", key[-1], str(error))

    async def keep_total(self, payment_hash: bytes, amount_msat: int, now_s: int) -> None:
        """Of a payment that was made at unix time `now_s`."""
        text = json.dumps({"amount_msat": amount_msat, "at": now_s})
        params = {"key": [*_TOTALS, payment_hash.hex()], "string": text, "mode": "create-or-replace"}
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._host.call("datastore", params)
        except (CallError, Unanswered, TimeoutError) as error:
            log.warning("total_unwritten payment_hash=%s error=%r", payment_hash.hex(), str(error))
        self._new_totals += 1
        if self._new_totals >= MOST_TOTALS:
            self._new_totals = 0
            await self.forget_totals()

    async def total(self, payment_hash: bytes) -> int | None:
        """What such a payment came to in msat; None where that is not known."""
        try:
            asking = self._host.patient("listdatastore", {"key": [*_TOTALS, payment_hash.hex()]})
            for stored in (await asyncio.wait_for(asking, READ_TIMEOUT_S))["datastore"]:
                return int(json.loads(stored["string"])["amount_msat"])
        except (CallError, TimeoutError, LookupError, TypeError, ValueError) as error:
            log.warning("total_unread payment_hash=%s error=%r", payment_hash.hex(), str(error))
        return None

    async def keep_earlier(self, payment_hash: str, groupid: int) -> None:
        """That an order of such a group may still come."""
        params = {"key": [*_EARLIER, payment_hash], "string": str(groupid), "mode": "create-or-replace"}
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._host.call("datastore", params)
        except (CallError, Unanswered, TimeoutError) as error:
            log.warning("earlier_unwritten payment_hash=%s error=%r", payment_hash, str(error))

    async def earlier_groups(self) -> dict[str, int] | None:
        """Groups by payment_hash that were kept so; None where the host does not tell."""
        try:
            asking = self._host.patient("listdatastore", {"key": list(_EARLIER)})
            stored = (await asyncio.wait_for(asking, READ_TIMEOUT_S))["datastore"]
            return {str(found["key"][-1]): _whole_number(found.get("string")) for found in stored}
        except (CallError, TimeoutError, LookupError, TypeError) as error:
            log.warning("earlier_unread error=%r", str(error))
            return None

    async def forget_earlier(self, payment_hash: str) -> None:
        await self._delete([*_EARLIER, payment_hash])

    async def forget_totals(self) -> None:
        """Keep the newest only."""
        try:
            asking = self._host.patient("listdatastore", {"key": list(_TOTALS)})
            stored = (await asyncio.wait_for(asking, READ_TIMEOUT_S))["datastore"]
            by_age = sorted(stored, key=_written_at, reverse=True)
            for old in by_age[MOST_TOTALS:]:
                await self._host.call("deldatastore", {"key": old["key"]})
        except (CallError, Unanswered, TimeoutError, LookupError, TypeError) as error:
            log.warning("totals_unread error=%r", str(error))

    async def read(self, us: NodeId) -> dict[str, Entry | None] | None:
        """All entries by payment_hash, None where one cannot be read; or None, where the host does not tell."""
        try:
            reading = self._host.patient("listdatastore", {"key": list(_KEY)})
            stored = (await asyncio.wait_for(reading, READ_TIMEOUT_S))["datastore"]
            return {str(found["key"][-1]): _readable(found, us) for found in stored}
        except (CallError, TimeoutError, LookupError, TypeError) as error:
            log.warning("journal_unread error=%r: parts that are out are watched, none is added", error)
            return None


def _readable(stored: dict[str, Any], us: NodeId) -> Entry | None:
    try:
        return decode(str(stored["key"][-1]), stored["string"], us)
    except Exception as error:
        # Whatever somebody else left there, or a later version: it is as good as no entry.
        log.warning("journal_unreadable key=%s error=%r", stored["key"], error)
        return None


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


def _accepted(stored: dict[str, Any]) -> AdoptedPart:
    numbers = (stored["partid"], stored["amount_msat"], stored["sent_msat"])
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError(f"a part {stored!r}")
    return AdoptedPart(*numbers, float(stored["sent_at_s"]))


def _whole_number(text: Any) -> int:
    """0 where it is none."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20 else 0


def _written_at(stored: dict[str, Any]) -> int:
    try:
        return int(json.loads(stored["string"])["at"])
    except (LookupError, TypeError, ValueError):
        return 0


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
