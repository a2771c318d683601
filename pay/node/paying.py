"""One call of `pay` from its parameters to its answer: one coroutine, and the only place where a call loops.

    parameters → decode → what the invoice itself refutes → our payments and the past of this hash
    → other checks → preapproval → journal → first part

Callers book most errors as "surely unpaid", so none is given before what the host knows of the hash was looked at,
nor while anything of the hash can still settle, whoever sent it. That takes a second look where somebody may send
unseen: another sender between two of its tries, or an order of an earlier run of ours that waits in the host.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from pay.errors import Code, PayError
from pay.invoice import Invoice, recipient_of
from pay.invoice.recipient import ClearRecipient
from pay.node.checks import (
    amount_of_known,
    amount_of_past,
    check_invoice,
    check_joins,
    check_limits,
    check_request,
    check_watches,
    chosen_msat,
)
from pay.node.earlier import Earlier
from pay.node.facade import Node
from pay.node.foresight import Foreseen
from pay.node.host import HostInfo
from pay.node.journal import Journal
from pay.node.orphans import Orphans
from pay.node.past import BeingPaid, PaidBefore, Unpaid, past_of
from pay.node.preparation import Call, Preparation
from pay.node.reading import DecodeMissing, past_without_decode, read_invoice
from pay.node.register import Known, Register
from pay.node.runner import Runner
from pay.node.running import Running, Source, Tell
from pay.payment import events as ev
from pay.payment.attempt import watch_terms
from pay.payment.receipt import Receipt
from pay.payment.request import PayRequest
from pay.payment.session import PaymentSession
from pay.payment.verdict import ORPHANED, orphaned, outcome_lost
from pay.units import NodeId

log = logging.getLogger("pay")

MOST_LOOKS = 10
"""How often in a row the host may refuse parts for another group of the hash without showing one."""

LOOK_AGAIN_S = 0.2
"""Between two such looks, growing."""

LOOK_S = 5.0
"""How often the host's table is looked at where nothing else tells of an end."""

QUICK_S = 2.0
"""What is asked between the look at the host's table and the first part mostly takes less; if it took longer, the
table is looked at once more: other senders count groups as we do. If one was quicker than that, the host's answer
to our first part tells, which goes alone."""

JUST_NOW_S = 0.25
"""What the table showed so short ago is what it shows."""

OTHERS_S = 10.0
"""So long another sender that was seen is given between two of its tries before an error of ours is believed."""

EARLIER_S = 60.0
"""So long after our start an order of an earlier run may still be in the host's queue: behind a slow hook."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """A payment that is about to begin, by this call or by another one."""

    running: Running
    ours: bool


class Paying:
    """Takes calls of `pay`.

    Parameters
    ----------
    earlier
        What an earlier run of ours began: an order of that run may still be queued in the host, and the host mixes
        parts of one group only. Set before the first call.
    doubt_s
        The most that `OTHERS_S`, `EARLIER_S` and `QUICK_S` come to.
    """

    def __init__(
        self,
        node: Node,
        host: HostInfo,
        register: Register,
        runner: Runner,
        journal: Journal,
        orphans: Orphans,
        preparation: Preparation,
        doubt_s: float = EARLIER_S,
    ):
        self._node = node
        self._host = host
        self._us = NodeId(host.us)
        self._register = register
        self._runner = runner
        self._journal = journal
        self._orphans = orphans
        self._preparation = preparation
        self._others_s, self._quick_s = min(OTHERS_S, doubt_s), min(QUICK_S, doubt_s)
        self._quiet_at_s = time.monotonic() + min(EARLIER_S, doubt_s)
        self.earlier = Earlier()
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def pay(self, request: PayRequest, tell: Tell) -> Receipt:
        """Pay, attach or repeat: returns once it is paid.

        Parameters
        ----------
        tell
            Takes words for the caller while it waits.

        Raises
        ------
        PayError
            Once nothing of the hash can settle any more.
        """
        try:
            invoice = await read_invoice(self._node, request.invstring, self._host.network)
            check_request(request, invoice, self._us)
        except DecodeMissing as missing:
            return await self._without_decode(missing, tell)
        except PayError as error:
            log.info("pay_refused code=%d message=%r", error.code, error.message)
            raise
        try:
            return await self._paid(Call(request, invoice, tell))
        except PayError:
            raise
        except Exception as error:
            log.exception("pay_crashed payment_hash=%s", invoice.payment_hash.hex())
            return await self._after_a_bug(invoice, error)

    async def _paid(self, call: Call) -> Receipt:
        refusals, others = 0, False
        while True:
            looked_s = time.monotonic()
            try:
                found = await self._look(call)
                if found is None:
                    continue
                if isinstance(found, Receipt):
                    return found
                match await found.outcome(call.tell):
                    case ev.Paid():
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
                            raise _too_many_looks(reason)
                        await asyncio.sleep(LOOK_AGAIN_S * (refusals - 1))
            except PayError as error:
                if _stands(error):
                    raise
                if await self._nothing_comes(call.invoice.payment_hash, others, looked_s, call.tell):
                    self._runner.given_up(call.invoice.payment_hash, error)
                    raise
                # Whoever has something out beside us may try again after that.
                others = not self._in_work(call.invoice.payment_hash)

    async def check(self, request: PayRequest) -> None:
        """All that can be said of a call without paying. Raises PayError."""
        try:
            invoice = await read_invoice(self._node, request.invstring, self._host.network)
        except DecodeMissing as missing:
            raise PayError(Code.OTHER, str(missing)) from missing
        check_request(request, invoice, self._us)
        check_invoice(request, invoice, int(time.time()))
        check_limits(request, invoice, recipient_of(invoice, self._us), self._us)
        await self._node.preapprove(invoice.invstring, float(request.retry_for_s), only_check=True)

    # --- one look ---------------------------------------------------------------------------------------

    async def _look(self, call: Call) -> Running | Receipt | None:
        """What there is of the payment, or its beginning; None where that has to be looked at again."""
        # Beside the look, which mostly finds nothing: nothing of it is sent before the approval.
        foreseen, begun = self._preparation.foreseen(call), None
        try:
            found = await self._start_or_join(call)
            if not isinstance(found, Beginning):
                return found
            if found.ours:
                begun = await self._begin(found.running, call, foreseen)
                return begun
            call.tell("Another call of this invoice is about to pay it: waiting with that")
            await found.running.begun(LOOK_S)
            return None
        except PayError as error:
            log.info(
                "pay_refused payment_hash=%s payee=%s amount_msat=%s code=%d message=%r",
                call.invoice.payment_hash.hex(),
                call.invoice.payee.hex(),
                chosen_msat(call.request, call.invoice) or call.invoice.amount_msat,
                error.code,
                error.message,
            )
            raise
        finally:
            if foreseen is not None and begun is None:
                foreseen.forget()

    async def _start_or_join(self, call: Call) -> Running | Receipt | Beginning:
        """What there is of the payment, or that it is about to begin. Raises PayError."""
        payment_hash = call.invoice.payment_hash
        # Two calls for one hash: the second must see what the first one started.
        async with self._lock(payment_hash):
            running = self._register.live.get(payment_hash)
            if running is not None and not running.answered:
                return self._join(running, call)
            past = past_of(await self._node.rows(payment_hash))
            known = self._register.known(payment_hash)
            if known is not None:
                amount_msat = amount_of_known(call.request, call.invoice, known)
                if not isinstance(past, PaidBefore) or not known.partids <= past.partids:
                    # Rows of it were deleted: what is remembered is all there is.
                    return _repeated(known.receipt, call.invoice, amount_msat, call.tell)
            match past:
                case PaidBefore():
                    return await self._paid_before(past, call)
                case BeingPaid():
                    return await self._watch(past, call)
                case Unpaid(next_groupid):
                    beginning = self._register.beginning_of(payment_hash)
                    if beginning is not None:
                        return Beginning(beginning, ours=False)
                    used = max(self.earlier.group(payment_hash), self._register.highest_groupid(payment_hash))
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
        log.info("payment_attached %s callers=%d", running.name, len(running.listeners))
        return running

    async def _paid_before(self, past: PaidBefore, call: Call) -> Receipt:
        chosen = chosen_msat(call.request, call.invoice)
        total_msat = None if chosen is None else await self._journal.total(call.invoice.payment_hash)
        amount_msat = amount_of_past(call.request, call.invoice, past, total_msat)
        receipt = Receipt(call.invoice.payment_hash, call.invoice.payee, past.created_at, past.paid(amount_msat))
        certain = total_msat is not None or (chosen is None and call.invoice.amount_msat is not None)
        if self._register.known(call.invoice.payment_hash) is None:
            self._register.remember(Known(receipt, whole=certain, partids=past.partids))
        return _repeated(receipt, call.invoice, amount_msat, call.tell)

    async def _watch(self, past: BeingPaid, call: Call) -> Running:
        """Parts of this hash are out that no session of ours knows: wait for them, add none."""
        check_watches(call.request, call.invoice, past)
        rows = [row for row in await self._node.rows(call.invoice.payment_hash) if row.groupid == past.groupid]
        stuck = await self._orphans.among(call.invoice.payment_hash, rows)
        if stuck and stuck >= {part.partid for part in past.parts}:
            raise orphaned()
        chosen = chosen_msat(call.request, call.invoice)
        amount_msat = chosen or call.invoice.amount_msat or past.delivered_msat or 0
        terms = watch_terms(
            call.invoice.payment_hash, past.groupid, self._us, call.invoice.payee, amount_msat, past.created_at
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
        self._runner.start(running, past.parts)
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
                self._runner.start(running)
        finally:
            self._register.begun(beginning)
        return running

    async def _changed(self, payment_hash: bytes, groupid: int) -> bool:
        """Whether another sender has used the group, or has anything out or paid."""
        past = past_of(await self._node.rows(payment_hash))
        return not isinstance(past, Unpaid) or past.next_groupid > groupid

    # --- before an error --------------------------------------------------------------------------------

    async def _nothing_comes(self, payment_hash: bytes, others: bool, looked_s: float, tell: Tell) -> bool:
        """Whether an error may be given: nothing is out for the hash, nor can come from where it is not seen.

        `looked_s`: when the host's table was looked at for the call.
        """
        earlier_s = self.quiet_in_s() if self.earlier.may_come(payment_hash) else 0.0
        wait_s = max(self._others_s if others else 0.0, earlier_s)
        if wait_s > 0:
            whose = "another sender" if others else "an earlier run of this plugin"
            tell(f"Not paid, but {whose} may still have a part on its way: looking again in {wait_s:.0f} s")
            await asyncio.sleep(wait_s)
        if self._in_work(payment_hash):
            return False
        if wait_s <= 0 and time.monotonic() - looked_s < JUST_NOW_S:
            return True
        return isinstance(past_of(await self._node.rows(payment_hash)), Unpaid)

    def quiet_in_s(self) -> float:
        """Until nothing of an earlier run can come any more."""
        return max(0.0, self._quiet_at_s - time.monotonic())

    def _in_work(self, payment_hash: bytes) -> bool:
        return payment_hash in self._register.live or self._register.beginning_of(payment_hash) is not None

    async def _without_decode(self, missing: DecodeMissing, tell: Tell) -> Receipt:
        """The answer where no invoice can be read: what is known of its text. Raises PayError (-1)."""
        while True:
            if not any(running.source.bolt11 == missing.invstring for running in self._register.in_work()):
                receipt = await past_without_decode(self._node, missing)
                if receipt is not None:
                    return receipt
                if not self.earlier.anything_may_come or not self.quiet_in_s():
                    raise PayError(Code.OTHER, f"{missing}: nothing was sent, and nothing is out for this invoice")
            tell(f"{missing}; parts of this payment may be out: waiting for them")
            await asyncio.sleep(LOOK_S)

    async def _after_a_bug(self, invoice: Invoice, error: Exception) -> Receipt:
        """The end of a call that an error of ours has thrown out of its loop: what it began may go on."""
        while True:
            known = self._register.known(invoice.payment_hash)
            if known is not None:
                return known.receipt
            if not self._in_work(invoice.payment_hash):
                past = past_of(await self._node.rows(invoice.payment_hash))
                if isinstance(past, PaidBefore):
                    amount_msat = invoice.amount_msat or past.delivered_msat or 0
                    return Receipt(invoice.payment_hash, invoice.payee, past.created_at, past.paid(amount_msat))
                if isinstance(past, Unpaid):
                    raise PayError(Code.OTHER, f"Internal error, see the log; nothing was paid: {error!r}")
            await asyncio.sleep(LOOK_S)

    def _lock(self, payment_hash: bytes) -> asyncio.Lock:
        return self._locks.setdefault(payment_hash, asyncio.Lock())


def _stands(error: PayError) -> bool:
    """Whether nothing that may still come changes the error: it speaks of what is out or was paid, or of a row
    that is pending for ever."""
    return error.code == Code.ALREADY_USED or error.data.get("reason") == ORPHANED


def _too_many_looks(reason: str) -> PayError:
    words = f"The node refuses parts of this payment as if another one were running, and shows none: {reason}"
    return PayError(Code.OTHER, words)


def _repeated(receipt: Receipt, invoice: Invoice, amount_msat: int, tell: Tell) -> Receipt:
    """Paid before: the same answer again."""
    began_s = receipt.created_at_s
    log.info("payment_repeated payment_hash=%s created_at=%d", receipt.payment_hash.hex(), began_s)
    # At a level that lightning-cli leaves out: the answer is what it was, for scripts too.
    tell(f"Already paid at {began_s} (unix time): nothing was sent now", "debug")
    paid = receipt.paid
    if amount_msat != paid.amount_msat:
        # Ours was a share of it. Wallets charge what was sent less the amount.
        paid = replace(paid, amount_msat=amount_msat, sent_msat=max(paid.sent_msat, amount_msat))
    return Receipt(receipt.payment_hash, invoice.payee, began_s, paid)
