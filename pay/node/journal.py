"""What must be known of a payment after a restart, kept in the host's own datastore from before its first part.

The host's table of parts says what is out, but not what the whole is, nor within which limits it may be completed.
One entry a payment, under `pay/session/<payment_hash>`, gone when the payment ends. An entry that cannot be read
is as good as none: then what is out is watched and nothing is added.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import asdict, dataclass
from typing import Any

from pay.node.facade import CallError, Node, PartOrder, Unanswered
from pay.payment.attempt import Terms
from pay.units import NodeId, ScidDir

log = logging.getLogger("pay")

_KEY = ("pay", "session")
_VERSION = 1
WRITE_TIMEOUT_S = 5.0
"""A datastore slower than this does not hold up a payment: it would then only be watched after a restart."""

_PLAIN = (
    "groupid", "amount_msat", "total_msat", "final_cltv", "max_fee_msat", "fee_limit_words", "max_delay_blocks",
    "deadline_s", "expires_at_s", "created_at_s", "riskfactor", "failure_cost_msat", "max_parts", "min_part_msat",
    "max_attempts", "seed", "randomness", "metadata_bytes",
)  # fmt: skip
"""Fields of `Terms` that JSON holds as they are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journalled payment."""

    terms: Terms
    order: PartOrder


class Journal:
    """The entries in the datastore."""

    def __init__(self, node: Node):
        self._node = node

    async def write(self, entry: Entry) -> bool:
        """Before the first part. False where it could not be written in time."""
        params = {"key": [*_KEY, entry.order.payment_hash], "string": encode(entry), "mode": "create-or-replace"}
        try:
            await asyncio.wait_for(self._node.call("datastore", params), WRITE_TIMEOUT_S)
        except (CallError, Unanswered, TimeoutError) as error:
            log.warning("journal_unwritten payment_hash=%s error=%r", entry.order.payment_hash, str(error))
            return False
        return True

    async def remove(self, payment_hash: str) -> None:
        """The payment has ended; what cannot be removed is seen to be over at the next start."""
        try:
            await self._node.call("deldatastore", {"key": [*_KEY, payment_hash]})
        except CallError as error:
            log.debug("journal_unremoved payment_hash=%s error=%r", payment_hash, str(error))
        except Unanswered as error:
            log.warning("journal_unremoved payment_hash=%s error=%r", payment_hash, str(error))

    async def read(self, us: NodeId) -> dict[str, Entry | None]:
        """All entries by payment_hash; None where one cannot be read."""
        try:
            answer = await self._node.patient("listdatastore", {"key": list(_KEY)})
        except CallError as error:
            log.warning("journal_unread error=%r", str(error))
            return {}
        entries: dict[str, Entry | None] = {}
        for stored in answer.get("datastore", ()):
            payment_hash = str(stored["key"][-1])
            try:
                entries[payment_hash] = decode(stored["string"], us)
            except (KeyError, TypeError, ValueError) as error:
                log.warning("journal_unreadable payment_hash=%s error=%r", payment_hash, error)
                entries[payment_hash] = None
        return entries


def encode(entry: Entry) -> str:
    """As JSON text."""
    terms = entry.terms
    fields: dict[str, Any] = {name: getattr(terms, name) for name in _PLAIN}
    fields["destination"] = terms.destination.hex()
    fields["exclude_nodes"] = sorted(node.hex() for node in terms.exclude_nodes)
    fields["exclude_channels"] = sorted(str(channel) for channel in terms.exclude_channels)
    return json.dumps({"version": _VERSION, "terms": fields, "order": asdict(entry.order)})


def decode(text: str, us: NodeId) -> Entry:
    """The entry in `text`. Raises KeyError, TypeError, ValueError."""
    stored = json.loads(text)
    if stored["version"] != _VERSION:
        raise ValueError(f"version {stored['version']}")
    fields, order = stored["terms"], PartOrder(**stored["order"])
    terms = Terms(
        payment_hash=bytes.fromhex(order.payment_hash),
        source=us,
        destination=NodeId(bytes.fromhex(fields["destination"])),
        exclude_nodes=frozenset(NodeId(bytes.fromhex(node)) for node in fields["exclude_nodes"]),
        exclude_channels=frozenset(ScidDir.parse(channel) for channel in fields["exclude_channels"]),
        **{name: fields[name] for name in _PLAIN},
    )
    return Entry(terms, order)
