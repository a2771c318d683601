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
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pay.engine.records.entry import Entry, decode, encode
from pay.host.calls import CallError, Host, Unanswered
from pay.log_events import EventLog, LogEvent
from pay.units import NodeId

log = EventLog("pay")

_KEY = ("pay", "session")
_TOTALS = ("pay", "paid")
_EARLIER = ("pay", "earlier")
MOST_TOTALS = 1_000
"""Totals kept, the newest; a hundred bytes each. Looked through after so many new ones."""

WRITE_TIMEOUT_S = 5.0
"""A datastore slower than this does not hold up a payment: it would then only be watched after a restart."""

READ_TIMEOUT_S = 10.0
"""A datastore that cannot be read holds up all calls of `pay` at start; without it parts are only watched."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run of this plugin had begun: an order of it may still be queued in the host, unseen.

    A command outlives its connection, so a `sendpay` that waits in a slow hook is carried out although we have
    died since. Of which payments that may be, the journal says; where it cannot be read, it may be any. If the
    host was started together with us nothing is queued in it.

    Parameters
    ----------
    groups
        By payment_hash the group that was begun; 0 where the journal has the payment and not the group.
    any_hash
        The journal could not be read.
    queued
        The host runs on, so that an order may be queued in it.
    """

    groups: Mapping[bytes, int] = field(default_factory=dict)
    any_hash: bool = False
    queued: bool = False

    def group(self, payment_hash: bytes) -> int:
        """The host mixes parts of one group only, so the next one comes after this."""
        return self.groups.get(payment_hash, 0)

    def may_come(self, payment_hash: bytes) -> bool:
        """Whether an order of it may come out of the host's queue."""
        return self.queued and (self.any_hash or payment_hash in self.groups)

    @property
    def anything_may_come(self) -> bool:
        return self.queued and (self.any_hash or bool(self.groups))


class Journal:
    """The entries in the datastore."""

    def __init__(self, host: Host):
        self._host = host
        self._new_totals = 0

    async def write(self, entry: Entry) -> bool:
        """Before the first part. False where it could not be written in time."""
        error = await self._put([*_KEY, entry.order.payment_hash], encode(entry))
        if error is not None:
            log.unusual(LogEvent.JOURNAL_UNWRITTEN, "payment_hash=%s error=%r", entry.order.payment_hash, error)
        return error is None

    async def _put(self, key: list[str], text: str) -> str | None:
        """Write or replace; why not, where it could not be done in time."""
        params = {"key": key, "string": text, "mode": "create-or-replace"}
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._host.call("datastore", params)
        except (CallError, Unanswered, TimeoutError) as error:
            return str(error)
        return None

    async def remove(self, payment_hash: str) -> None:
        """The payment has ended; what cannot be removed is seen to be over at the next start."""
        await self._delete([*_KEY, payment_hash])

    async def _delete(self, key: list[str]) -> None:
        try:
            await self._host.call("deldatastore", {"key": key})
        except CallError as error:
            log.debug(LogEvent.JOURNAL_UNREMOVED, "payment_hash=%s error=%r", key[-1], str(error))
        except Unanswered as error:
            log.unusual(LogEvent.JOURNAL_UNREMOVED, "payment_hash=%s error=%r", key[-1], str(error))

    async def keep_total(self, payment_hash: bytes, amount_msat: int, now_s: int) -> None:
        """Of a payment that was made at unix time `now_s`."""
        text = json.dumps({"amount_msat": amount_msat, "at": now_s})
        error = await self._put([*_TOTALS, payment_hash.hex()], text)
        if error is not None:
            log.unusual(LogEvent.TOTAL_UNWRITTEN, "payment_hash=%s error=%r", payment_hash.hex(), error)
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
            log.unusual(LogEvent.TOTAL_UNREAD, "payment_hash=%s error=%r", payment_hash.hex(), str(error))
        return None

    async def keep_earlier(self, payment_hash: str, groupid: int) -> None:
        """That an order of such a group may still come."""
        error = await self._put([*_EARLIER, payment_hash], str(groupid))
        if error is not None:
            log.unusual(LogEvent.EARLIER_UNWRITTEN, "payment_hash=%s error=%r", payment_hash, error)

    async def earlier_groups(self) -> dict[str, int] | None:
        """Groups by payment_hash that were kept so; None where the host does not tell."""
        try:
            asking = self._host.patient("listdatastore", {"key": list(_EARLIER)})
            stored = (await asyncio.wait_for(asking, READ_TIMEOUT_S))["datastore"]
            return {str(found["key"][-1]): _whole_number(found.get("string")) for found in stored}
        except (CallError, TimeoutError, LookupError, TypeError) as error:
            log.unusual(LogEvent.EARLIER_UNREAD, "error=%r", str(error))
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
            log.unusual(LogEvent.TOTALS_UNREAD, "error=%r", str(error))

    async def read(self, us: NodeId) -> dict[str, Entry | None] | None:
        """All entries by payment_hash, None where one cannot be read; or None, where the host does not tell."""
        try:
            reading = self._host.patient("listdatastore", {"key": list(_KEY)})
            stored = (await asyncio.wait_for(reading, READ_TIMEOUT_S))["datastore"]
            return {str(found["key"][-1]): _readable(found, us) for found in stored}
        except (CallError, TimeoutError, LookupError, TypeError) as error:
            log.unusual(LogEvent.JOURNAL_UNREAD, "error=%r: parts that are out are watched, none is added", error)
            return None


def _readable(stored: dict[str, Any], us: NodeId) -> Entry | None:
    try:
        return decode(str(stored["key"][-1]), stored["string"], us)
    except Exception as error:
        # Whatever somebody else left there, or a later version: it is as good as no entry.
        log.unusual(LogEvent.JOURNAL_UNREADABLE, "key=%s error=%r", stored["key"], error)
        return None


def _whole_number(text: Any) -> int:
    """0 where it is none."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20 else 0


def _written_at(stored: dict[str, Any]) -> int:
    try:
        return int(json.loads(stored["string"])["at"])
    except (LookupError, TypeError, ValueError):
        return 0
