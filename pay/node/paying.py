"""One call of `pay` from its parameters to its answer: one coroutine, and the only place where a call loops.

    parameters → decode → what the invoice itself refutes → our payments and the past of this hash
    → other checks → preapproval → journal → first part

Callers book most errors as "surely unpaid", so none is given before what the host knows of the hash was looked at,
nor while anything of the hash can still settle, whoever sent it. That takes a second look where somebody may send
unseen: another sender between two of its tries, or an order of an earlier run of ours that waits in the host.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from weakref import WeakValueDictionary

from pay.errors import Code, PayError
from pay.invoice import Invoice, recipient_of
from pay.invoice.recipient import ClearRecipient
from pay.node.chain import Chain
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
from pay.node.facade import Node
from pay.node.host import HostInfo
from pay.node.journal import Journal
from pay.node.options import Settings
from pay.node.orphans import Orphans
from pay.node.past import BeingPaid, PaidBefore, Unpaid, past_of
from pay.node.reading import DecodeMissing, paid_without_decode, read_invoice
from pay.node.register import Register
from pay.node.runner import Runner
from pay.node.running import Running, Source, Tell
from pay.node.shadowing import Shadowing
from pay.node.terms import order_for, shadow_for, terms_for, total_chosen
from pay.payment import events as ev
from pay.payment.attempt import Terms, watch_terms
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

OTHERS_S = 10.0
"""So long another sender that was seen is given between two of its tries before an error of ours is believed."""

EARLIER_S = 60.0
"""So long after our start an order of an earlier run may still be in the host's queue: behind a slow hook."""


class Paying:
    """Takes calls of `pay`.

    Parameters
    ----------
    earlier
        Groups by payment_hash that an earlier run of ours began: an order of that run may still be queued in the
        host, and the host mixes parts of one group only. Set before the first call.
    settings
        Reads the options, which may change while we run.
    doubt_s
        The most that `OTHERS_S` and `EARLIER_S` come to.
    """

    def __init__(
        self,
        node: Node,
        host: HostInfo,
        register: Register,
        runner: Runner,
        journal: Journal,
        orphans: Orphans,
        shadowing: Shadowing,
        chain: Chain,
        settings: Callable[[], Settings],
        doubt_s: float = EARLIER_S,
    ):
        self._node = node
        self._host = host
        self._us = NodeId(host.us)
        self._register = register
        self._runner = runner
        self._journal = journal
        self._orphans = orphans
        self._shadowing = shadowing
        self._chain = chain
        self._settings = settings
        self._others_s = min(OTHERS_S, doubt_s)
        self._secret = os.urandom(32)
        self._quiet_at_s = time.monotonic() + min(EARLIER_S, doubt_s)
        self.earlier: Mapping[bytes, int] = {}
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
            return await paid_without_decode(self._node, missing, tell)
        except PayError as error:
            log.info("pay_refused code=%d message=%r", error.code, error.message)
            raise
        try:
            return await self._paid(request, invoice, tell)
        except PayError:
            raise
        except Exception as error:
            log.exception("pay_crashed payment_hash=%s", invoice.payment_hash.hex())
            return await self._after_a_bug(invoice, error)

    async def _paid(self, request: PayRequest, invoice: Invoice, tell: Tell) -> Receipt:
        refusals, others = 0, False
        while True:
            try:
                found = await self._look(request, invoice, tell)
                if isinstance(found, Receipt):
                    return found
                match await found.outcome(tell):
                    case ev.Paid():
                        if found.whole and (receipt := found.receipt()) is not None:
                            return receipt
                    case ev.NotPaid(error) if found.ours:
                        raise error
                    case ev.NotPaid():
                        refusals, others = 0, True
                        tell("What was out for this invoice has failed: now it is paid as this call asks for")
                    case ev.Elsewhere(reason):
                        refusals, others = refusals + 1, True
                        if refusals >= MOST_LOOKS:
                            raise _too_many_looks(reason)
                        await asyncio.sleep(LOOK_AGAIN_S * (refusals - 1))
            except PayError as error:
                if _stands(error) or await self._nothing_comes(invoice.payment_hash, others, tell):
                    raise
                others = False

    async def check(self, request: PayRequest) -> None:
        """All that can be said of a call without paying. Raises PayError."""
        invoice = await read_invoice(self._node, request.invstring, self._host.network)
        check_request(request, invoice, self._us)
        check_invoice(request, invoice, int(time.time()))
        check_limits(request, invoice, recipient_of(invoice, self._us), self._us)
        await self._node.preapprove(invoice.invstring, float(request.retry_for_s), only_check=True)

    # --- one look ---------------------------------------------------------------------------------------

    async def _look(self, request: PayRequest, invoice: Invoice, tell: Tell) -> Running | Receipt:
        try:
            return await self._start_or_join(request, invoice, tell)
        except PayError as error:
            log.info(
                "pay_refused payment_hash=%s payee=%s amount_msat=%s code=%d message=%r",
                invoice.payment_hash.hex(),
                invoice.payee.hex(),
                chosen_msat(request, invoice) or invoice.amount_msat,
                error.code,
                error.message,
            )
            raise

    async def _start_or_join(self, request: PayRequest, invoice: Invoice, tell: Tell) -> Running | Receipt:
        """What there is of the payment, or its beginning. Raises PayError."""
        payment_hash = invoice.payment_hash
        # Two calls for one hash: the second must see what the first one started.
        lock = self._locks.setdefault(payment_hash, asyncio.Lock())
        async with lock:
            running = self._register.live.get(payment_hash)
            if running is not None and not running.answered:
                return self._join(running, request, invoice, tell)
            past = past_of(await self._node.rows(payment_hash))
            known = self._register.known(payment_hash)
            if known is not None:
                amount_msat = amount_of_known(request, invoice, known)
                if not isinstance(past, PaidBefore) or not known.partids <= past.partids:
                    # Rows of it were deleted: what is remembered is all there is.
                    return _repeated(known.receipt, invoice, amount_msat, tell)
            match past:
                case PaidBefore():
                    return await self._paid_before(past, request, invoice, tell)
                case BeingPaid():
                    return await self._watch(past, request, invoice, tell)
                case Unpaid(next_groupid):
                    used = max(self.earlier.get(payment_hash, 0), self._register.highest_groupid(payment_hash))
                    groupid = max(next_groupid, used + 1)
                    return await self._begin(groupid, request, invoice, tell)

    def _join(self, running: Running, request: PayRequest, invoice: Invoice, tell: Tell) -> Running:
        """Wait for the payment in work; its own limits go on to apply."""
        check_joins(request, invoice, running)
        running.listeners.append(tell)
        tell(_waits_with(running))
        for partid, times in running.times.items():
            if times.outcome_lost:
                tell(outcome_lost(partid).message)
        log.info("payment_attached %s callers=%d", running.name, len(running.listeners))
        return running

    async def _paid_before(
        self, past: PaidBefore, request: PayRequest, invoice: Invoice, tell: Tell
    ) -> Receipt:
        chosen = chosen_msat(request, invoice)
        total_msat = None if chosen is None else await self._journal.total(invoice.payment_hash)
        amount_msat = amount_of_past(request, invoice, past, total_msat)
        receipt = Receipt(invoice.payment_hash, invoice.payee, past.created_at, past.paid(amount_msat))
        return _repeated(receipt, invoice, amount_msat, tell)

    async def _watch(self, past: BeingPaid, request: PayRequest, invoice: Invoice, tell: Tell) -> Running:
        """Parts of this hash are out that no session of ours knows: wait for them, add none."""
        check_watches(request, invoice, past)
        rows = [row for row in await self._node.rows(invoice.payment_hash) if row.groupid == past.groupid]
        stuck = await self._orphans.among(invoice.payment_hash, rows)
        if stuck and stuck >= {part.partid for part in past.parts}:
            raise orphaned()
        amount_msat = chosen_msat(request, invoice) or invoice.amount_msat or past.delivered_msat or 0
        terms = watch_terms(
            invoice.payment_hash, past.groupid, self._us, invoice.payee, amount_msat, past.created_at
        )
        tell("Parts of this payment are already out: waiting for them, none is added")
        running = Running(
            PaymentSession(terms),
            ClearRecipient(invoice.payee, (), False),
            order=None,
            listeners=[tell],
            found=Source(invoice.invstring, None),
            total_known=False,
        )
        self._runner.start(running, past.parts)
        return running

    async def _begin(self, groupid: int, request: PayRequest, invoice: Invoice, tell: Tell) -> Running:
        check_invoice(request, invoice, int(time.time()))
        recipient = recipient_of(invoice, self._us)
        check_limits(request, invoice, recipient, self._us)
        settings = self._settings()

        def terms_now(behind_blocks: int = 0) -> Terms:
            return terms_for(
                request,
                invoice,
                recipient,
                settings,
                us=self._us,
                groupid=groupid,
                now=time.time(),
                seed=self._seed(invoice.payment_hash),
                behind_blocks=behind_blocks,
            )

        def running(terms: Terms) -> Running:
            return Running(
                PaymentSession(terms),
                recipient,
                order_for(request, invoice, terms),
                listeners=[tell],
                total_chosen=total_chosen(request, invoice),
            )

        behind = asyncio.create_task(self._chain.blocks_behind())
        try:
            with self._register.beginning(running(terms_now())):
                await self._node.preapprove(invoice.invstring, float(request.retry_for_s))
                terms = terms_now(await behind)
                kind = shadow_for(request, invoice, settings.shadow)
                live = self._register.live.values()
                begun = running(await self._shadowing.shadowed(terms, recipient, kind, live))
        finally:
            behind.cancel()
        self._runner.start(begun)
        return begun

    # --- before an error --------------------------------------------------------------------------------

    async def _nothing_comes(self, payment_hash: bytes, others: bool, tell: Tell) -> bool:
        """Whether an error may be given: nothing is out for the hash, nor can come from where it is not seen."""
        earlier = payment_hash in self.earlier
        wait_s = max(
            self._quiet_at_s - time.monotonic() if earlier else 0.0,
            self._others_s if others else 0.0,
        )
        if wait_s > 0:
            whose = "another sender" if others else "an earlier run of this plugin"
            tell(f"Not paid, but {whose} may still have a part on its way: looking again in {wait_s:.0f} s")
            await asyncio.sleep(wait_s)
        elif not (earlier or others):
            return True
        running = self._register.live.get(payment_hash)
        if running is not None:
            return False
        return isinstance(past_of(await self._node.rows(payment_hash)), Unpaid)

    async def _after_a_bug(self, invoice: Invoice, error: Exception) -> Receipt:
        """The end of a call that an error of ours has thrown out of its loop: what it began may go on."""
        while True:
            if invoice.payment_hash not in self._register.live:
                past = past_of(await self._node.rows(invoice.payment_hash))
                if isinstance(past, PaidBefore):
                    amount_msat = invoice.amount_msat or past.delivered_msat or 0
                    return Receipt(invoice.payment_hash, invoice.payee, past.created_at, past.paid(amount_msat))
                if isinstance(past, Unpaid):
                    raise PayError(Code.OTHER, f"Internal error, see the log; nothing was paid: {error!r}")
            await asyncio.sleep(LOOK_S)

    def _seed(self, payment_hash: bytes) -> int:
        """Of what is random about a payment; nobody can guess it, and the next try of the same invoice has it too.

        Who forwarded both knows them by their hash: of blocks that differ from one try to the next he would know
        that they are not all the recipient's.
        """
        drawn = hashlib.blake2b(payment_hash, key=self._secret, digest_size=8)
        return int.from_bytes(drawn.digest(), "big")


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


def _waits_with(running: Running) -> str:
    """To a caller whose invoice is in work already."""
    terms = running.session.terms
    seconds = max(0.0, running.clock.now() - terms.created_at_s)
    begun = f"This invoice is being paid since {seconds:.0f} s, waiting for that: "
    if terms.watched:
        return begun + "no part is added"
    limits = f"a fee of {terms.max_fee_msat}msat and a delay of {terms.max_delay_blocks} blocks"
    return begun + f"its limits apply, {limits}"
