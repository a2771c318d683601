"""One call of `pay` from its parameters to its answer: one coroutine, and the only place where a call loops.

    parameters → decode → what the invoice itself refutes → our payments and the past of this hash
    → other checks → preapproval → journal → first part

Callers book most errors as "surely unpaid", so none is given before what the host knows of the hash was looked at,
nor while anything of the hash can still settle, whoever sent it (`doubt`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from pay.engine.checks import (
    BlindedPaths,
    amount_of_known,
    amount_paid_before,
    check_begins,
    check_invoice,
    check_joins,
    check_limits,
    check_request,
    check_watches,
    chosen_msat,
)
from pay.engine.doubt import Doubt
from pay.engine.hosts_xpay import HostsXpay
from pay.engine.live.register import Known, Register
from pay.engine.live.routes import Foreseen
from pay.engine.live.runner import Runner
from pay.engine.live.running import Running, Source, Tell
from pay.engine.open_calls import OpenCall
from pay.engine.preparation import Call, Preparation
from pay.engine.reading import DecodeMissing, read_invoice, record_without_decode
from pay.engine.records.journal import Journal
from pay.engine.records.paid_before import BeingPaid, PaidBefore, Unpaid, record_of
from pay.errors import Code, Hindered, PayError
from pay.host.calls import Host
from pay.host.dead_rows import DeadRows
from pay.host.version import HostInfo
from pay.invoice import Invoice, recipient_of
from pay.invoice.recipient import ClearRecipient
from pay.log_events import EventLog, LogEvent
from pay.payment import events as ev
from pay.payment.receipt import Receipt
from pay.payment.session import PaymentSession
from pay.payment.terms import PayRequest, watch_terms
from pay.payment.verdict import Lost, orphaned, outcome_lost
from pay.units import NodeId

log = EventLog("pay")

MOST_LOOKS = 10
"""How often in a row the host may refuse parts for another group of the hash without showing one."""

LOOK_AGAIN_S = 0.2
"""Between two such looks, growing."""

PARTS_S = 1.0
"""So long after the preimage of a payment in parts its success waits for the others: most settle within a tenth of
it, and then the answer has no warning that some have not."""

LOOK_S = 5.0
"""How often the host's table is looked at where nothing else tells of an end."""

QUICK_S = 2.0
"""What is asked between the look at the host's table and the first part mostly takes less; if it took longer, the
table is looked at once more: other senders count groups as we do. If one was quicker than that, the host's answer
to our first part tells, which goes alone."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """A payment that is about to begin, by this call or by another one."""

    running: Running
    ours: bool


class Paying:
    """Takes calls of `pay`."""

    def __init__(
        self,
        host: Host,
        info: HostInfo,
        register: Register,
        runner: Runner,
        journal: Journal,
        dead_rows: DeadRows,
        preparation: Preparation,
        doubt: Doubt,
        quick_s: float = QUICK_S,
        xpay: HostsXpay | None = None,
    ):
        self._host = host
        self._info = info
        self._us = NodeId(info.us)
        self._register = register
        self._runner = runner
        self._journal = journal
        self._dead_rows = dead_rows
        self._preparation = preparation
        self._doubt = doubt
        self._quick_s = quick_s
        self._xpay = xpay
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def pay(self, opened: OpenCall) -> Receipt:
        """Pay, attach or repeat: returns once it is paid.

        Raises
        ------
        PayError
            Once nothing of the hash can settle any more.
        """
        request, tell = opened.request, opened.tell
        opened.waits_for = "the node to read the invoice"
        try:
            invoice = await read_invoice(self._host, request.invstring, self._info.network)
        except DecodeMissing as missing:
            return await self._without_decode(missing, tell)
        except PayError as error:
            log.info(LogEvent.PAY_REFUSED, "%s", _refusal(error, request))
            raise
        opened.is_of(invoice)
        try:
            check_request(request, invoice, self._us)
        except PayError as error:
            log.info(LogEvent.PAY_REFUSED, "%s", _refusal(error, request, invoice))
            raise
        try:
            return await self._paid(Call(request, invoice, tell), opened)
        except PayError:
            raise
        except Exception as error:
            log.broken(LogEvent.PAY_CRASHED, "payment_hash=%s", invoice.payment_hash.hex())
            return await self._after_a_bug(invoice, error)

    async def _paid(self, call: Call, opened: OpenCall) -> Receipt:
        payment_hash, refusals, others, first = call.invoice.payment_hash, 0, False, True
        refused: PayError | None = None
        handed_on = 0
        while True:
            looked_s, found = time.monotonic(), None
            try:
                found = await self._look(call, opened)
                at_once, first = first, False
                if found is None:
                    continue
                if isinstance(found, Receipt):
                    return replace(found, earlier=at_once)
                opened.waits_for = ""
                match await found.outcome(call.tell):
                    case ev.Paid():
                        await found.ends_soon(PARTS_S)
                        if found.whole and (receipt := found.receipt()) is not None:
                            return receipt
                    case ev.NotPaid(error) if found.ours:
                        raise error
                    case ev.NotPaid():
                        refusals, others = 0, True
                        call.tell("What was out for this invoice has failed: now it is paid as this call asks")
                    case ev.Elsewhere(reason):
                        refusals, others = refusals + 1, True
                        if refusals >= MOST_LOOKS:
                            found = None
                            raise _too_many_looks(reason)
                        await asyncio.sleep(LOOK_AGAIN_S * (refusals - 1))
            except PayError as unable:
                error = unable
                if isinstance(unable, BlindedPaths) and self._xpay is not None:
                    if refused is None and handed_on < MOST_LOOKS:
                        opened.waits_for = "the node's own xpay, which pays it"
                        await asyncio.sleep(LOOK_AGAIN_S * handed_on)
                        refused, first = await self._xpay.pay(call, unable), False
                        handed_on += 1
                        continue
                    error = refused or _too_many_looks("xpay")
                stands = _stands(error)
                if not stands and not await self._doubt.is_over(payment_hash, others, looked_s, call.tell):
                    # Whoever has something out beside us may try again after that.
                    others = not self._register.has(payment_hash)
                    continue
                if found is None:
                    # Of a payment that had begun the log has its end.
                    log.info(LogEvent.PAY_REFUSED, "%s", _refusal(error, call.request, call.invoice))
                if not stands:
                    self._runner.given_up(payment_hash, error)
                if error is unable:
                    raise
                raise error from None

    async def check(self, request: PayRequest) -> None:
        """All that can be said of a call without paying. Raises PayError."""
        try:
            invoice = await read_invoice(self._host, request.invstring, self._info.network)
        except DecodeMissing as missing:
            raise PayError(Code.OTHER, str(missing)) from missing
        check_request(request, invoice, self._us)
        check_invoice(request, invoice, int(time.time()))
        check_limits(request, invoice, recipient_of(invoice, self._us), self._us)
        await self._host.preapprove(invoice.invstring, float(request.retry_for_s), only_check=True)

    # --- one look ---------------------------------------------------------------------------------------

    async def _look(self, call: Call, opened: OpenCall) -> Running | Receipt | None:
        """What there is of the payment, or its beginning; None where that has to be looked at again."""
        opened.waits_for = "the node to list earlier payments of the invoice"
        # Beside the look, which mostly finds nothing: nothing of it is sent before the approval.
        foreseen, begun = self._preparation.foreseen(call), None
        try:
            found = await self._start_or_join(call)
            if not isinstance(found, Beginning):
                return found
            if found.ours:
                opened.waits_for = "the node to approve the payment"
                begun = await self._begin(found.running, call, foreseen)
                return begun
            call.tell("Another call of this invoice is about to pay it: waiting with that")
            await found.running.begun(LOOK_S)
            return None
        finally:
            if foreseen is not None and begun is None:
                foreseen.forget()

    async def _start_or_join(self, call: Call) -> Running | Receipt | Beginning:
        """What there is of the payment, or that it is about to begin. Raises PayError."""
        payment_hash = call.invoice.payment_hash
        settling = self._register.live.get(payment_hash)
        if settling is not None and settling.answered:
            # Of one that was paid just now the last parts are about to be.
            await settling.ends_soon(PARTS_S)
        # Two calls for one hash: the second must see what the first one started.
        async with self._lock(payment_hash):
            running = self._register.live.get(payment_hash)
            if running is not None and not running.answered:
                return self._join(running, call)
            record = record_of(await self._host.rows(payment_hash))
            known = self._register.known(payment_hash)
            if known is not None:
                amount_msat = amount_of_known(call.request, call.invoice, known)
                if not isinstance(record, PaidBefore) or not known.partids <= record.partids:
                    # Rows of it were deleted: what is remembered is all there is.
                    return _repeated(known.receipt, call.invoice, amount_msat, call.tell)
            match record:
                case PaidBefore():
                    return await self._paid_before(record, call)
                case BeingPaid():
                    return await self._watch(record, call)
                case Unpaid(next_groupid):
                    beginning = self._register.beginning_of(payment_hash)
                    if beginning is not None:
                        return Beginning(beginning, ours=False)
                    check_begins(call.request)
                    earlier = self._doubt.earlier.group(payment_hash)
                    used = max(earlier, self._register.highest_groupid(payment_hash))
                    running = self._preparation.new(call, max(next_groupid, used + 1))
                    self._register.begin(running)
                    return Beginning(running, ours=True)

    def _join(self, running: Running, call: Call) -> Running:
        """Wait for the payment in work; its own limits go on to apply."""
        check_joins(call.request, call.invoice, running)
        running.listeners.append(call.tell)
        call.tell(running.waits_with())
        for partid, times in running.times.items():
            if times.outcome_lost:
                call.tell(outcome_lost(partid).message)
        log.info(LogEvent.PAYMENT_ATTACHED, "%s callers=%d", running.name, len(running.listeners))
        return running

    async def _paid_before(self, record: PaidBefore, call: Call) -> Receipt:
        chosen = chosen_msat(call.request, call.invoice)
        total_msat = None if chosen is None else await self._journal.total(call.invoice.payment_hash)
        amount_msat = amount_paid_before(call.request, call.invoice, record, total_msat)
        paid = record.paid(amount_msat)
        receipt = Receipt(call.invoice.payment_hash, call.invoice.payee, record.created_at, paid)
        certain = total_msat is not None or (chosen is None and call.invoice.amount_msat is not None)
        if self._register.known(call.invoice.payment_hash) is None:
            self._register.remember(Known(receipt, whole=certain, partids=record.partids))
        return _repeated(receipt, call.invoice, amount_msat, call.tell)

    async def _watch(self, record: BeingPaid, call: Call) -> Running:
        """Parts of this hash are out that no session of ours knows: wait for them, add none."""
        check_watches(call.request, call.invoice, record)
        rows = [row for row in await self._host.rows(call.invoice.payment_hash) if row.groupid == record.groupid]
        stuck = await self._dead_rows.among(call.invoice.payment_hash, rows)
        if stuck and stuck >= {part.partid for part in record.parts}:
            raise orphaned()
        chosen = chosen_msat(call.request, call.invoice)
        amount_msat = chosen or call.invoice.amount_msat or record.delivered_msat or 0
        terms = watch_terms(
            call.invoice.payment_hash, record.groupid, self._us, call.invoice.payee, amount_msat, record.created_at
        )
        call.tell("Parts of this payment are already out: waiting for them, none is added")
        running = Running(
            PaymentSession(terms),
            ClearRecipient(call.invoice.payee, (), False),
            order=None,
            listeners=[call.tell],
            found=Source(call.invoice.invstring, None),
            total_known=False,
        )
        self._runner.start(running, record.parts)
        return running

    async def _begin(self, beginning: Running, call: Call, foreseen: Foreseen | None) -> Running | None:
        """Make it ready and start it; None where others have begun meanwhile."""
        began_s = time.monotonic()
        payment_hash, groupid = call.invoice.payment_hash, beginning.session.terms.groupid
        try:
            running = await self._preparation.prepared(call, groupid, foreseen)
            async with self._lock(payment_hash):
                slow = time.monotonic() - began_s > self._quick_s
                if payment_hash in self._register.live or (slow and await self._changed(payment_hash, groupid)):
                    return None
                self._runner.start(running, foreseen=foreseen)
        finally:
            self._register.begun(beginning)
        return running

    async def _changed(self, payment_hash: bytes, groupid: int) -> bool:
        """Whether another sender has used the group, or has anything out or paid."""
        record = record_of(await self._host.rows(payment_hash))
        return not isinstance(record, Unpaid) or record.next_groupid > groupid

    # --- where something of ours or of the host is missing -----------------------------------------------

    async def _without_decode(self, missing: DecodeMissing, tell: Tell) -> Receipt:
        """The answer where no invoice can be read: what is known of its text. Raises PayError (-1)."""
        while True:
            if not any(running.source.bolt11 == missing.invstring for running in self._register.in_work()):
                receipt = await record_without_decode(self._host, missing)
                if receipt is not None:
                    return receipt
                if not self._doubt.earlier.anything_may_come or not self._doubt.quiet_in_s():
                    raise PayError(Code.OTHER, f"{missing}: nothing was sent, and nothing is out for this invoice")
            tell(f"{missing}; parts of this payment may be out: waiting for them")
            await asyncio.sleep(LOOK_S)

    async def _after_a_bug(self, invoice: Invoice, error: Exception) -> Receipt:
        """The end of a call that an error of ours has thrown out of its loop: what it began may go on."""
        while True:
            known = self._register.known(invoice.payment_hash)
            if known is not None:
                return known.receipt
            if not self._register.has(invoice.payment_hash):
                record = record_of(await self._host.rows(invoice.payment_hash))
                if isinstance(record, PaidBefore):
                    amount_msat = invoice.amount_msat or record.delivered_msat or 0
                    paid = record.paid(amount_msat)
                    return Receipt(invoice.payment_hash, invoice.payee, record.created_at, paid)
                if isinstance(record, Unpaid):
                    raise PayError(Code.OTHER, f"Internal error, see the log; nothing was paid: {error!r}")
            await asyncio.sleep(LOOK_S)

    def _lock(self, payment_hash: bytes) -> asyncio.Lock:
        return self._locks.setdefault(payment_hash, asyncio.Lock())


def _stands(error: PayError) -> bool:
    """Whether nothing that may still come changes the error: it speaks of what is out or was paid, or of a row
    that is pending for ever."""
    return error.code == Code.ALREADY_USED or error.facts == Hindered(Lost.ORPHANED)


def _too_many_looks(reason: str) -> PayError:
    words = f"The node refuses parts of this payment as if another one were running, and shows none: {reason}"
    return PayError(Code.OTHER, words)


def _repeated(receipt: Receipt, invoice: Invoice, amount_msat: int, tell: Tell) -> Receipt:
    """Paid before: the same answer again."""
    began_s = receipt.created_at_s
    log.info(LogEvent.PAYMENT_REPEATED, "payment_hash=%s created_at=%d", receipt.payment_hash.hex(), began_s)
    # At a level that lightning-cli leaves out: the answer is what it was, for scripts too.
    tell(f"Already paid at {began_s} (unix time): nothing was sent now", "debug")
    paid = receipt.paid
    if amount_msat != paid.amount_msat:
        # Ours was a share of it. Wallets charge what was sent less the amount.
        paid = replace(paid, amount_msat=amount_msat, sent_msat=max(paid.sent_msat, amount_msat))
    return Receipt(receipt.payment_hash, invoice.payee, began_s, paid)


def _refusal(error: PayError, request: PayRequest, invoice: Invoice | None = None) -> str:
    """A call that is not paid because of what it asks for, with what is known of that."""
    words = f"code={error.code} message={error.message!r}"
    if invoice is None:
        return words
    amount_msat = invoice.amount_msat if request.partial_msat is None else request.partial_msat
    amount_msat = request.amount_msat if amount_msat is None else amount_msat
    amount = "" if amount_msat is None else f" amount_msat={amount_msat}"
    return f"payment_hash={invoice.payment_hash.hex()} payee={invoice.payee.hex()}{amount} {words}"
