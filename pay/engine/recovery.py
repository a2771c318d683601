"""At start: the parts that an earlier run left out are taken up again, and what may be completed is completed.

Every pending group of the host becomes a payment again before any call of `pay` is served. New parts are added
only where nothing can be in doubt: the journal has the payment with its limits, a part of it is still out, neither
the invoice nor the deadline has passed, each part has its HTLC, and the host itself was restarted, so that no
order of the earlier run can still be queued in it. Everything else is watched to its end.

A part that the host took, as the journal knows, and of which it has no row any more, has ended as nobody knows
what: it is watched like one whose row is deleted while we run.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pay.engine.live.register import Register
from pay.engine.live.runner import Runner
from pay.engine.live.running import Running, Source
from pay.engine.records.entry import Entry
from pay.engine.records.journal import Earlier, Journal
from pay.engine.records.paid_before import BeingPaid, PaidBefore, record_of
from pay.errors import PayError
from pay.host.calls import CallError, Host, PartOrder, SendpayRow, SendpayStatus
from pay.host.dead_rows import DeadRows
from pay.invoice import recipient_of
from pay.invoice.recipient import ClearRecipient
from pay.log_events import EventLog, LogEvent
from pay.payment.events import FoundPart
from pay.payment.session import PaymentSession
from pay.payment.terms import Terms, wakeable_channels, watch_terms
from pay.units import NodeId, parse_node_id

log = EventLog("pay")


RECONNECT_S = 30.0
"""How long the peers of a host that has just started are given to connect before "no route" is believed."""


class Recovery:
    """Takes up what was left.

    Parameters
    ----------
    host_restarted
        The host was started together with this plugin.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        register: Register,
        runner: Runner,
        dead_rows: DeadRows,
        us: NodeId,
        network: str,
        host_restarted: bool,
    ):
        self._host = host
        self._journal = journal
        self._register = register
        self._runner = runner
        self._dead_rows = dead_rows
        self._us = us
        self._network = network
        self._host_restarted = host_restarted
        self._kept: set[str] = set()

    async def run(self) -> Earlier:
        """Take up everything that is pending; the entries of payments that are over are removed.

        Returns
        -------
        Earlier
            What the earlier run had begun and not ended.
        """
        read, kept = await asyncio.gather(self._journal.read(self._us), self._journal.earlier_groups())
        entries = read or {}
        begun = {name: 0 if entry is None else entry.terms.groupid for name, entry in entries.items()}
        groups = {bytes.fromhex(name): group for name, group in ((kept or {}) | begun).items() if _is_hash(name)}
        unread = read is None or kept is None
        earlier = Earlier(groups, any_hash=unread, queued=not self._host_restarted)
        listed = await self._host.certain("listsendpays", {"status": "pending"}, lambda found: found["payments"])
        self._dead_rows.found_at_start(listed)
        pending = {str(row["payment_hash"]): row for row in listed}
        for payment_hash, first in pending.items():
            try:
                entry = entries.get(payment_hash)
                running, parts = await self._taken_up(payment_hash, first, entry)
                if running is not None:
                    # An entry that cannot be read, or is of another payment, is struck out in the end as well.
                    its = entry if running.order is not None else None
                    self._runner.start(running, parts, in_journal=payment_hash in entries, entry=its)
            except Exception:
                # One row that cannot be understood must not keep the others from being watched.
                log.broken(LogEvent.ADOPTION_FAILED, "payment_hash=%s", payment_hash)
        if earlier.queued:
            # What may be queued in the host must be known to the next run as well, should it come soon.
            await asyncio.gather(*(self._journal.keep_earlier(name, group) for name, group in begun.items()))
        for name, entry in entries.items():
            if not await self._goes_on(name, entry):
                await self._journal.remove(name)
        self._kept = {*(kept or ()), *(begun if earlier.queued else ())}
        return earlier

    async def forget(self) -> None:
        """Nothing of the earlier run can come any more."""
        for name in sorted(self._kept):
            await self._journal.forget_earlier(name)
        self._kept = set()

    async def _goes_on(self, name: str, entry: Entry | None) -> bool:
        """Whether the payment of an entry is in work."""
        if not _is_hash(name):
            return False
        if bytes.fromhex(name) in self._register.live:
            return True
        try:
            return await self._lost(entry)
        except Exception:
            log.broken(LogEvent.ADOPTION_FAILED, "payment_hash=%s", name)
            return False

    async def _lost(self, entry: Entry | None) -> bool:
        """Of a payment of which nothing is out: whether parts of it have ended as nobody knows what.

        Its entry is still there: the earlier run did not come to the end of it. If it was paid, others hear of it;
        that it failed is not told, as an order of that run may still be queued in the host.
        """
        if entry is None:
            return False
        rows = await self._host.rows(entry.terms.payment_hash)
        record = record_of(rows)
        if isinstance(record, PaidBefore):
            if any(row.groupid == entry.terms.groupid and row.status is SendpayStatus.COMPLETE for row in rows):
                recipient = ClearRecipient(entry.terms.destination, (), False)
                self._runner.paid_before(Running(PaymentSession(entry.terms), recipient, entry.order))
                asked_msat, now_s = entry.terms.asked_msat, int(time.time())
                await self._journal.keep_total(entry.terms.payment_hash, asked_msat, now_s)
            return False
        gone = _without_row(entry, rows)
        if not gone:
            return False
        running = self._watched(entry.terms, min(part.sent_at_s for part in gone), entry.order, None)
        self._runner.start(running, gone, in_journal=True, entry=entry)
        return True

    async def _taken_up(
        self, payment_hash: str, first: dict[str, Any], entry: Entry | None
    ) -> tuple[Running | None, tuple[FoundPart, ...]]:
        """What takes up the pending parts of a payment, and those parts."""
        rows = await self._host.rows(bytes.fromhex(payment_hash))
        record = record_of(rows)
        if not isinstance(record, BeingPaid):
            return None, ()
        if entry is not None and not _is_of(entry, record):
            entry = None
        gone = _without_row(entry, rows) if entry is not None else ()
        running = await self._resumed(entry, record, rows) if entry is not None and not gone else None
        if running is None:
            # With its entry it is ours, and its end is ours to announce.
            order = entry.order if entry is not None else None
            found = Source(first.get("bolt11") or first.get("bolt12"), first.get("label"))
            terms = entry.terms if entry is not None else self._unknown_terms(payment_hash, record)
            running = self._watched(terms, record.created_at, order, found)
            running.total_known = entry is not None
        return running, (*record.parts, *gone)

    async def _resumed(self, entry: Entry, record: BeingPaid, rows: Sequence[SendpayRow]) -> Running | None:
        """The payment as its entry has it, to be completed; None where that is not safe."""
        now = time.time()
        if not self._host_restarted:
            _only_watched(entry, "the host runs on, an order of the earlier run may be queued there")
            return None
        if now >= min(entry.terms.limits.deadline_s, entry.terms.expires_at_s):
            _only_watched(entry, "its time has passed")
            return None
        parts = [row for row in rows if row.groupid == record.groupid]
        out = await self._dead_rows.amounts_out(entry.terms.payment_hash)
        if out is None or not Counter(part.sent_msat for part in record.parts) <= out:
            # It would keep what is added from ever being the whole.
            _only_watched(entry, "a part has no HTLC")
            return None
        recipient = await self._recipient(entry)
        if recipient is None:
            _only_watched(entry, "its invoice is another one")
            return None
        terms = replace(
            entry.terms,
            first_partid=max(row.partid for row in parts) + 1,
            wakeable=wakeable_channels(recipient),
            patient_until_s=now + RECONNECT_S,
        )
        running = Running(
            PaymentSession(terms), recipient, entry.order, total_chosen=True, created_at_s=record.created_at
        )
        log.info(LogEvent.PAYMENT_RESUMED, "%s parts=%d", running.name, len(record.parts))
        return running

    def _watched(
        self, terms: Terms, created_at_s: float, order: PartOrder | None, found: Source | None
    ) -> Running:
        """Parts of the payment of `terms` to be watched only."""
        watch = watch_terms(
            terms.payment_hash, terms.groupid, self._us, terms.destination, terms.asked_msat, created_at_s
        )
        recipient = ClearRecipient(terms.destination, (), False)
        # Of one with an order the journal knows what it comes to, and nobody else.
        return Running(PaymentSession(watch), recipient, order, found=found, total_chosen=order is not None)

    def _unknown_terms(self, payment_hash: str, record: BeingPaid) -> Terms:
        """What is known of a payment without an entry."""
        destination = parse_node_id(record.destination) if record.destination else NodeId(bytes(33))
        return watch_terms(
            bytes.fromhex(payment_hash),
            record.groupid,
            self._us,
            destination,
            record.delivered_msat or 0,
            record.created_at,
        )

    async def _recipient(self, entry: Entry) -> ClearRecipient | None:
        """Whom the entry's invoice is of, if that is the invoice of the entry's payment."""
        text = entry.order.bolt11
        try:
            invoice = await self._host.decode(text, self._network)
        except (CallError, PayError):
            return None
        terms = entry.terms
        fits = invoice.payment_hash == terms.payment_hash and invoice.payee == terms.destination
        if not fits or invoice.amount_msat not in (None, terms.total_msat - terms.shadow_fee_msat):
            return None
        recipient = recipient_of(invoice, self._us)
        return recipient if isinstance(recipient, ClearRecipient) else None


def _without_row(entry: Entry, rows: Sequence[SendpayRow]) -> tuple[FoundPart, ...]:
    """Parts that the host had and has not any more: it deletes only what is over."""
    known = {row.partid for row in rows if row.groupid == entry.terms.groupid}
    return tuple(part for part in entry.accepted if part.partid not in known)


def _only_watched(entry: Entry, why: str) -> None:
    log.info(LogEvent.PAYMENT_NOT_RESUMED, "payment_hash=%s reason=%r", entry.order.payment_hash, why)


def _is_of(entry: Entry, record: BeingPaid) -> bool:
    """Whether the entry is of the group that is pending, and has room for what is."""
    out_msat = record.delivered_msat
    return entry.terms.groupid == record.groupid and out_msat is not None and out_msat <= entry.terms.amount_msat


def _is_hash(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 32
    except ValueError:
        return False
