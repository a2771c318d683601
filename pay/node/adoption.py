"""At start: the parts that an earlier run left out are taken up again, and what may be completed is completed.

Every pending group of the host becomes a payment again before any call of `pay` is served. New parts are added
only where nothing can be in doubt: the journal has the payment with its limits, a part of it is still out, neither
the invoice nor the deadline has passed, and the host itself was restarted, so that no order of the earlier run can
still be queued in it. Everything else is watched to its end.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

from pay.errors import PayError
from pay.invoice import Invoice, recipient_of
from pay.invoice.recipient import ClearRecipient
from pay.node.driver import Driver
from pay.node.facade import CallError, Node
from pay.node.journal import Entry, Journal
from pay.node.past import BeingPaid, past_of
from pay.node.running import Running
from pay.payment.attempt import Terms, watch_terms
from pay.payment.session import PaymentSession
from pay.units import NodeId, parse_node_id

log = logging.getLogger("pay")


class Adoption:
    """Takes up what was left.

    Parameters
    ----------
    host_restarted
        The host was started together with this plugin.
    """

    def __init__(
        self, node: Node, journal: Journal, driver: Driver, us: NodeId, network: str, host_restarted: bool
    ):
        self._node = node
        self._journal = journal
        self._driver = driver
        self._us = us
        self._network = network
        self._host_restarted = host_restarted

    async def run(self) -> None:
        """Adopt everything that is pending; the entries of payments that are over are removed."""
        entries = await self._journal.read(self._us)
        pending = await self._node.certain("listsendpays", {"status": "pending"}, lambda found: found["payments"])
        hashes = dict.fromkeys(str(row["payment_hash"]) for row in pending)
        for payment_hash in hashes:
            try:
                await self._adopt(payment_hash, pending, entries.get(payment_hash))
            except Exception:
                # One row that cannot be understood must not keep the others from being watched.
                log.exception("adoption_failed payment_hash=%s", payment_hash)
        for payment_hash in entries.keys() - hashes.keys():
            await self._journal.remove(payment_hash)

    async def _adopt(self, payment_hash: str, pending: list[dict[str, Any]], entry: Entry | None) -> None:
        rows = await self._node.rows(bytes.fromhex(payment_hash))
        past = past_of(rows)
        if not isinstance(past, BeingPaid):
            return
        first = next(row for row in pending if row["payment_hash"] == payment_hash)
        bolt11 = first.get("bolt11") or first.get("bolt12")
        if entry is not None and entry.terms.groupid == past.groupid:
            partids = [row.partid for row in rows if row.groupid == past.groupid]
            terms = replace(entry.terms, first_partid=max(partids) + 1)
            known = all(row.amount_msat is not None for row in rows)
            recipient = await self._recipient(entry.order.bolt11)
            if known and recipient is not None and self._may_add(terms):
                running = Running(PaymentSession(terms), recipient, entry.order)
                running.created_at_s = past.created_at
                log.info("payment_resumed %s parts=%d", running.name, len(past.parts))
                self._driver.start(running, past.parts)
                return
            amount_msat = terms.amount_msat
        else:
            amount_msat = past.delivered_msat or 0
        destination = parse_node_id(past.destination) if past.destination else NodeId(bytes(33))
        watch = watch_terms(
            bytes.fromhex(payment_hash), past.groupid, self._us, destination, amount_msat, past.created_at
        )
        running = Running(PaymentSession(watch), ClearRecipient(destination, (), False), None)
        running.watched_bolt11 = bolt11
        running.watched_label = first.get("label")
        running.total_known = entry is not None
        self._driver.start(running, past.parts)

    def _may_add(self, terms: Terms) -> bool:
        now = time.time()
        return self._host_restarted and now < terms.deadline_s and now < terms.expires_at_s

    async def _recipient(self, bolt11: str) -> ClearRecipient | None:
        try:
            invoice = Invoice.from_decode(bolt11, await self._node.decode(bolt11), self._network)
        except (CallError, PayError):
            return None
        recipient = recipient_of(invoice, self._us)
        return recipient if isinstance(recipient, ClearRecipient) else None


