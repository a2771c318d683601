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
from dataclasses import asdict, dataclass
from typing import Any

from pay.node.facade import CallError, Node, PartOrder, Unanswered
from pay.payment.attempt import DEFAULT_USUAL_PARTS, Terms
from pay.payment.events import AdoptedPart
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

_PLAIN = (
    "groupid", "amount_msat", "total_msat", "final_cltv", "max_fee_msat", "fee_limit_words", "max_delay_blocks",
    "deadline_s", "expires_at_s", "created_at_s", "riskfactor", "failure_cost_msat", "failure_cost_ppm",
    "max_parts", "min_part_msat", "max_attempts", "seed", "randomness", "metadata_bytes", "shadow_blocks",
    "shadow_fee_msat", "second_cost_msat", "part_cost_msat", "part_cost_ppm", "usual_parts",
    "parts_option", "attempts_option",
)  # fmt: skip
"""Fields of `Terms` that JSON holds as they are."""

_LATER = {
    "shadow_blocks": 0, "shadow_fee_msat": 0, "second_cost_msat": 0, "part_cost_msat": 10_000, "part_cost_ppm": 0,
    "usual_parts": DEFAULT_USUAL_PARTS, "parts_option": None, "attempts_option": None,
}  # fmt: skip
"""Those that older entries do not have, with what they meant."""

_NUMBERS = frozenset({"deadline_s", "expires_at_s", "created_at_s", "riskfactor", "randomness"})
"""Those that are no whole numbers."""

_TEXTS = {"fee_limit_words": str, "parts_option": str | None, "attempts_option": str | None}


@dataclass(frozen=True, slots=True)
class Entry:
    """One journalled payment; `accepted` are parts that the host is known to have taken."""

    terms: Terms
    order: PartOrder
    accepted: tuple[AdoptedPart, ...] = ()


class Journal:
    """The entries in the datastore."""

    def __init__(self, node: Node):
        self._node = node
        self._new_totals = 0

    async def write(self, entry: Entry) -> bool:
        """Before the first part. False where it could not be written in time."""
        params = {"key": [*_KEY, entry.order.payment_hash], "string": encode(entry), "mode": "create-or-replace"}
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._node.call("datastore", params)
        except (CallError, Unanswered, TimeoutError) as error:
            log.warning("journal_unwritten payment_hash=%s error=%r", entry.order.payment_hash, str(error))
            return False
        return True

    async def remove(self, payment_hash: str) -> None:
        """The payment has ended; what cannot be removed is seen to be over at the next start."""
        await self._delete([*_KEY, payment_hash])

    async def _delete(self, key: list[str]) -> None:
        try:
            await self._node.call("deldatastore", {"key": key})
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
                await self._node.call("datastore", params)
        except (CallError, Unanswered, TimeoutError) as error:
            log.warning("total_unwritten payment_hash=%s error=%r", payment_hash.hex(), str(error))
        self._new_totals += 1
        if self._new_totals >= MOST_TOTALS:
            self._new_totals = 0
            await self.forget_totals()

    async def total(self, payment_hash: bytes) -> int | None:
        """What such a payment came to in msat; None where that is not known."""
        try:
            asking = self._node.patient("listdatastore", {"key": [*_TOTALS, payment_hash.hex()]})
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
                await self._node.call("datastore", params)
        except (CallError, Unanswered, TimeoutError) as error:
            log.warning("earlier_unwritten payment_hash=%s error=%r", payment_hash, str(error))

    async def earlier_groups(self) -> dict[str, int] | None:
        """Groups by payment_hash that were kept so; None where the host does not tell."""
        try:
            asking = self._node.patient("listdatastore", {"key": list(_EARLIER)})
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
            asking = self._node.patient("listdatastore", {"key": list(_TOTALS)})
            stored = (await asyncio.wait_for(asking, READ_TIMEOUT_S))["datastore"]
            by_age = sorted(stored, key=_written_at, reverse=True)
            for old in by_age[MOST_TOTALS:]:
                await self._node.call("deldatastore", {"key": old["key"]})
        except (CallError, Unanswered, TimeoutError, LookupError, TypeError) as error:
            log.warning("totals_unread error=%r", str(error))

    async def read(self, us: NodeId) -> dict[str, Entry | None] | None:
        """All entries by payment_hash, None where one cannot be read; or None, where the host does not tell."""
        try:
            reading = self._node.patient("listdatastore", {"key": list(_KEY)})
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
    terms = entry.terms
    fields: dict[str, Any] = {name: getattr(terms, name) for name in _PLAIN}
    fields["destination"] = terms.destination.hex()
    fields["exclude_nodes"] = sorted(node.hex() for node in terms.exclude_nodes)
    fields["exclude_channels"] = sorted(str(channel) for channel in terms.exclude_channels)
    accepted = [asdict(part) for part in entry.accepted]
    stored = {"version": _VERSION, "terms": fields, "order": asdict(entry.order), "accepted": accepted}
    return json.dumps(stored)


def decode(payment_hash: str, text: str, us: NodeId) -> Entry:
    """The entry in `text`, kept under `payment_hash`. Raises whatever a text that is none brings about."""
    stored = json.loads(text)
    if stored["version"] != _VERSION:
        raise ValueError(f"version {stored['version']}")
    fields, order = _LATER | stored["terms"], PartOrder(**stored["order"])
    plain = {name: _typed(name, fields[name]) for name in _PLAIN}
    same = (order.payment_hash, order.groupid, order.total_msat)
    if len(bytes.fromhex(payment_hash)) != 32:
        raise ValueError("its key is no payment_hash")
    if same != (payment_hash, plain["groupid"], plain["total_msat"]):
        raise ValueError("it contradicts itself")
    terms = Terms(
        payment_hash=bytes.fromhex(order.payment_hash),
        source=us,
        destination=NodeId(bytes.fromhex(fields["destination"])),
        exclude_nodes=frozenset(NodeId(bytes.fromhex(node)) for node in fields["exclude_nodes"]),
        exclude_channels=frozenset(ScidDir.parse(channel) for channel in fields["exclude_channels"]),
        **plain,
    )
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


def _typed(name: str, value: Any) -> Any:
    """A field of `_PLAIN` with the type that `Terms` has it in. Raises TypeError."""
    wanted = _TEXTS.get(name, (int, float) if name in _NUMBERS else int)
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise TypeError(f"{name} is {value!r}")
    return value
