"""One call of `pay`, from its parameters to a payment that runs, in the order that keeps answers true.

    parameters → decode → our payments and the past of this hash → other checks → preapproval → start

Callers book most errors as "surely unpaid", so what the host knows of the hash is looked at before any error that
an invoice can give: an expired invoice that was paid is a success, and one with a part out is waited for.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from pay.errors import Code, PayError, invalid_param
from pay.invoice import Invoice, Recipient, normalise, recipient_of
from pay.invoice.recipient import BlindedRecipient, ClearRecipient, SelfRecipient
from pay.node.chain import Chain
from pay.node.driver import Driver, new_running
from pay.node.facade import CallError, Node, PartOrder
from pay.node.host import HostInfo
from pay.node.options import Settings, Shadow
from pay.node.orphans import Orphans
from pay.node.past import BeingPaid, PaidBefore, Unpaid, past_of, repeat_json
from pay.node.running import Running, Waiter
from pay.node.shadowing import Shadowing
from pay.payment.attempt import Terms, watch_terms
from pay.payment.request import PayRequest
from pay.payment.verdict import orphaned, outcome_lost
from pay.units import NodeId, ScidDir, direction_of

log = logging.getLogger("pay")

_MOST_DETOURS = 3
"""How often a call follows the host to another group of its hash before it says that this does not end."""


class Payer:
    """Takes calls of `pay`.

    Parameters
    ----------
    settings
        Reads the options, which may change while we run.

    Attributes
    ----------
    earlier_groups
        Groups that an earlier run of ours may have begun although the host shows no part of them: an order of
        that run may still be queued there, and the host mixes parts of one group only.
    beginning
        Payments that are about to be the driver's: preapproval or the planner may keep them waiting, and who looks
        meanwhile must find them.
    """

    def __init__(
        self,
        node: Node,
        host: HostInfo,
        orphans: Orphans,
        shadowing: Shadowing,
        settings: Callable[[], Settings],
        chain: Chain,
    ):
        self._node = node
        self._host = host
        self._us = NodeId(host.us)
        self._orphans = orphans
        self._shadowing = shadowing
        self._settings = settings
        self._chain = chain
        self._secret = os.urandom(32)
        self.earlier_groups: Mapping[bytes, int] = {}
        self.beginning: dict[bytes, Running] = {}
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self.driver: Driver

    async def pay(self, waiter: Waiter) -> None:
        """Pay, attach, repeat or refuse; the waiter's caller is answered now or when the payment ends."""
        try:
            await self._pay(waiter)
        except PayError as error:
            log.info("pay_refused code=%d message=%r", error.code, error.message)
            waiter.caller.fail(error)
        except Exception as error:
            log.exception("pay_crashed")
            waiter.caller.fail(PayError(Code.OTHER, f"Internal error before anything was sent: {error!r}"))

    async def check(self, request: PayRequest) -> None:
        """All that can be said of a call without paying. Raises PayError."""
        invoice = await self._decode(request)
        self._check_request(request, invoice)
        recipient = self._recipient(invoice)
        self._check_limits(request, invoice, recipient)
        await self._preapprove(request, invoice, only_check=True)

    async def _pay(self, waiter: Waiter) -> None:
        request = waiter.request
        invoice = await self._decode(request)
        # Two calls for one hash: the second must see what the first one started.
        lock = self._locks.setdefault(invoice.payment_hash, asyncio.Lock())
        async with lock:
            running = self.driver.payments.get(invoice.payment_hash)
            if running is not None and running.session.result is None:
                self._attach(running, waiter, invoice)
                return
            past = past_of(await self._node.rows(invoice.payment_hash))
            match past:
                case PaidBefore():
                    self._repeat(past, waiter, invoice)
                case BeingPaid():
                    await self._refuse_orphans(past, invoice)
                    self._watch(past, waiter, invoice)
                case Unpaid(next_groupid):
                    after = self.earlier_groups.get(invoice.payment_hash, 0) + 1
                    await self._begin(max(next_groupid, after), waiter, invoice)

    async def _begin(self, groupid: int, waiter: Waiter, invoice: Invoice) -> None:
        request = waiter.request
        if waiter.verdict is not None:
            raise waiter.verdict
        if waiter.detours >= _MOST_DETOURS:
            raise PayError(Code.OTHER, "The node refuses parts of this payment as if another one were running")
        self._check_request(request, invoice)
        now = time.time()
        if now > invoice.expires_at:
            raise PayError(
                Code.INVOICE_EXPIRED,
                f"The invoice expired {int(now) - invoice.expires_at} s ago: ask the recipient for a new one",
                {"now": int(now), "expiry": invoice.expires_at},
            )
        recipient = self._recipient(invoice)
        self._check_limits(request, invoice, recipient)
        terms = self._terms(request, invoice, recipient, groupid, now)
        self.beginning[terms.payment_hash] = new_running(terms, recipient, _order(request, invoice, terms), waiter)
        behind = asyncio.create_task(self._chain.blocks_behind())
        try:
            await self._preapprove(request, invoice)
            behind_blocks = await behind
            terms = self._terms(request, invoice, recipient, groupid, time.time(), behind_blocks)
            kind = _shadow_of(request, invoice, self._settings().shadow)
            terms = await self._shadowing.shadowed(terms, recipient, kind, self.driver.payments.values())
        finally:
            behind.cancel()
            del self.beginning[terms.payment_hash]
        self.driver.start(new_running(terms, recipient, _order(request, invoice, terms), waiter))

    # --- steps ------------------------------------------------------------------------------------------

    async def _decode(self, request: PayRequest) -> Invoice:
        invstring = normalise(request.invstring)
        try:
            return await self._node.decode(invstring, self._host.network)
        except CallError as error:
            problem = f"{_host_words(error.message)}: copy the invoice again, in full"
            raise invalid_param("bolt11", problem) from error

    async def _preapprove(self, request: PayRequest, invoice: Invoice, only_check: bool = False) -> None:
        try:
            await self._node.preapprove(invoice.invstring, float(request.retry_for_s), only_check)
        except CallError as error:
            raise PayError(error.code, error.message, error.data) from error

    def _attach(self, running: Running, waiter: Waiter, invoice: Invoice) -> None:
        """Wait for the payment that runs; its own limits go on to apply."""
        terms = running.session.terms
        self._same_payment(
            waiter.request,
            invoice,
            terms.asked_msat,
            terms.destination.hex() if any(terms.destination) else None,
            "is being paid",
            total_known=running.total_known,
        )
        running.waiters.append(waiter)
        waiter.caller.tell(_waits_with(terms))
        for partid, times in running.times.items():
            if times.outcome_lost:
                waiter.caller.tell(outcome_lost(partid).message)
        log.info("payment_attached %s callers=%d", running.name, len(running.waiters))

    def _repeat(self, past: PaidBefore, waiter: Waiter, invoice: Invoice) -> None:
        """Paid before: the same answer again."""
        share = invoice.amount_msat is None or waiter.request.partial_msat not in (None, invoice.amount_msat)
        delivered = past.delivered_msat if share else past.whole_msat(invoice.amount_msat or 0)
        amount = self._same_payment(waiter.request, invoice, delivered, past.destination, "was already paid")
        terms = watch_terms(invoice.payment_hash, 0, self._us, invoice.payee, amount, past.created_at)
        log.info("payment_repeated payment_hash=%s created_at=%d", invoice.payment_hash.hex(), past.created_at)
        # At a level that lightning-cli leaves out: the answer is what it was, for scripts too.
        waiter.caller.tell(f"Already paid at {past.created_at} (unix time): nothing was sent now", "debug")
        waiter.caller.succeed(repeat_json(terms, past, amount))

    def _watch(self, past: BeingPaid, waiter: Waiter, invoice: Invoice) -> None:
        """Parts of this hash are out that no session of ours knows: wait for them, add none."""
        amount = self._same_payment(
            waiter.request, invoice, past.delivered_msat, past.destination, "is being paid", total_known=False
        )
        terms = watch_terms(
            invoice.payment_hash, past.groupid, self._us, invoice.payee, amount, past.created_at
        )
        waiter.caller.tell("Parts of this payment are already out: waiting for them, none is added")
        running = new_running(terms, ClearRecipient(invoice.payee, (), False), None, waiter)
        running.watched_bolt11 = invoice.invstring
        running.total_known = False
        self.driver.start(running, past.parts)

    async def _refuse_orphans(self, past: BeingPaid, invoice: Invoice) -> None:
        """Parts that can never end are not waited for. Raises PayError."""
        rows = [row for row in await self._node.rows(invoice.payment_hash) if row.groupid == past.groupid]
        stuck = await self._orphans.among(invoice.payment_hash, rows)
        if stuck and stuck >= {part.partid for part in past.parts}:
            raise orphaned()

    def _same_payment(
        self,
        request: PayRequest,
        invoice: Invoice,
        delivered_msat: int | None,
        destination: str | None,
        what: str,
        total_known: bool = True,
    ) -> int:
        """The amount to answer with, if the call means the payment that is or was made. Raises 201.

        Of a payment that somebody else makes, only what is out now is known, not what it will come to.
        """
        amount = request.partial_msat or invoice.amount_msat or request.amount_msat
        chosen = amount != invoice.amount_msat
        if destination is not None and destination != invoice.payee.hex():
            raise PayError(
                Code.ALREADY_USED,
                f"This payment_hash {what} to {destination}: this invoice is of {invoice.payee.hex()}",
            )
        if amount is None:
            return delivered_msat or 0
        if not total_known:
            differs = chosen
        elif delivered_msat is None:
            differs = False
        else:
            differs = delivered_msat != amount if chosen else delivered_msat < amount
        if differs:
            known = "an unknown total" if delivered_msat is None or not total_known else f"{delivered_msat}msat"
            raise PayError(Code.ALREADY_USED, f"This payment_hash {what} with {known}, not with {amount}msat")
        return amount

    # --- checks -----------------------------------------------------------------------------------------

    def _check_request(self, request: PayRequest, invoice: Invoice) -> None:
        """What the parameters say against what the invoice says. Raises -32602."""
        if invoice.amount_msat is not None and request.amount_msat is not None:
            raise invalid_param(
                "amount_msat", f"unnecessary, the invoice asks for {invoice.amount_msat}msat: leave it out"
            )
        invoice.check_payable()
        amount = invoice.amount_msat if invoice.amount_msat is not None else request.amount_msat
        if amount is None:
            raise PayError(Code.INVALID_PARAMS, "missing required parameter: amount_msat (the invoice has none)")
        if amount == 0:
            raise invalid_param("bolt11", "the invoice asks for 0msat: nothing can be sent")
        if request.partial_msat is not None:
            if request.partial_msat > amount:
                raise invalid_param("partial_msat", f"must be less or equal to total amount {amount}msat")
            if invoice.payee == self._us:
                raise invalid_param("partial_msat", "not supported for a payment to ourselves")
        if request.description is not None and not invoice.describe_hash_matches(request.description):
            raise invalid_param("description", "does not match the invoice's description hash")

    def _check_limits(self, request: PayRequest, invoice: Invoice, recipient: Recipient) -> None:
        """What can be seen to fail before a route is looked for."""
        if invoice.payee in request.exclude_nodes:
            raise PayError(Code.ROUTE_NOT_FOUND, "Payee is manually excluded", {"reason": "excluded"})
        if self._us in request.exclude_nodes:
            raise PayError(Code.ROUTE_NOT_FOUND, "Our own node is manually excluded", {"reason": "excluded"})
        match recipient:
            case BlindedRecipient():
                raise PayError(
                    Code.OTHER, "BOLT 12 invoices have blinded paths, which this sender cannot use yet: use `xpay`"
                )
            case ClearRecipient():
                if invoice.final_cltv > request.maxdelay_blocks:
                    raise PayError(
                        Code.ROUTE_TOO_EXPENSIVE,
                        f"The recipient alone wants a delay of {invoice.final_cltv} blocks, maxdelay is "
                        f"{request.maxdelay_blocks}: raise maxdelay",
                        {"delay": invoice.final_cltv, "maxdelay": request.maxdelay_blocks, "reason": "too_long"},
                    )
            case SelfRecipient():
                pass

    def _recipient(self, invoice: Invoice) -> Recipient:
        return recipient_of(invoice, self._us)

    # --- values -----------------------------------------------------------------------------------------

    def _terms(
        self,
        request: PayRequest,
        invoice: Invoice,
        recipient: Recipient,
        groupid: int,
        now: float,
        behind_blocks: int = 0,
    ) -> Terms:
        total = invoice.amount_msat or request.amount_msat or 0
        amount = request.partial_msat or total
        settings = self._settings()
        return Terms(
            payment_hash=invoice.payment_hash,
            groupid=groupid,
            source=self._us,
            destination=invoice.payee,
            amount_msat=amount,
            total_msat=total,
            final_cltv=invoice.final_cltv,
            max_fee_msat=request.fee_limit_msat(amount),
            fee_limit_words=request.fee_limit_words(amount),
            max_delay_blocks=request.maxdelay_blocks,
            deadline_s=now + request.retry_for_s,
            expires_at_s=invoice.expires_at,
            created_at_s=now,
            riskfactor=float(request.riskfactor),
            failure_cost_msat=settings.failure_cost_msat,
            failure_cost_ppm=settings.failure_cost_ppm,
            second_cost_msat=settings.second_cost_msat,
            max_parts=settings.max_parts if _several(recipient) else 1,
            min_part_msat=settings.min_part_msat,
            max_attempts=settings.max_attempts,
            exclude_nodes=request.exclude_nodes,
            exclude_channels=request.exclude_channels,
            seed=self._seed(invoice.payment_hash),
            randomness=settings.randomness,
            metadata_bytes=len(invoice.payment_metadata or b""),
            wakeable=wakeable_channels(recipient),
            to_self=isinstance(recipient, SelfRecipient),
            behind_blocks=behind_blocks,
        )

    def _seed(self, payment_hash: bytes) -> int:
        """Of what is random about a payment; nobody can guess it, and the next try of the same invoice has it too.

        Who forwarded both knows them by their hash: of blocks that differ from one try to the next he would know
        that they are not all the recipient's.
        """
        drawn = hashlib.blake2b(payment_hash, key=self._secret, digest_size=8)
        return int.from_bytes(drawn.digest(), "big")


def _waits_with(terms: Terms) -> str:
    """To a caller whose invoice is in work already."""
    begun = f"This invoice is being paid since {time.time() - terms.created_at_s:.0f} s, waiting for that: "
    if terms.watched:
        return begun + "no part is added"
    limits = f"a fee of {terms.max_fee_msat}msat and a delay of {terms.max_delay_blocks} blocks"
    return begun + f"its limits apply, {limits}"


def _host_words(message: str) -> str:
    """What the host says of a string that it cannot decode, without its own parameter's name and the string."""
    return message.removeprefix("string: ").split(": invalid token")[0]


def _shadow_of(request: PayRequest, invoice: Invoice, wanted: Shadow) -> Shadow:
    """More than is asked for is sent only where the invoice says how much that is and all of it is ours."""
    if not request.use_shadow:
        return Shadow.OFF
    fixed = invoice.amount_msat is not None and request.partial_msat is None
    return Shadow.DELAY if wanted is Shadow.FULL and not fixed else wanted


def _several(recipient: Recipient) -> bool:
    """Whether the recipient puts several parts together (BOLT 9, basic_mpp)."""
    return isinstance(recipient, ClearRecipient) and recipient.multi_part


def wakeable_channels(recipient: Recipient) -> frozenset[ScidDir]:
    """The last channels of route hints: behind them are phones."""
    if not isinstance(recipient, ClearRecipient):
        return frozenset()
    last = (hint[-1] for hint in recipient.hints if hint)
    return frozenset(ScidDir(hop.scid, direction_of(hop.node, recipient.node)) for hop in last)


def _order(request: PayRequest, invoice: Invoice, terms: Terms) -> PartOrder:
    return PartOrder(
        payment_hash=invoice.payment_hash.hex(),
        total_msat=terms.total_msat,
        groupid=terms.groupid,
        bolt11=invoice.invstring,
        payment_secret=invoice.payment_secret.hex() if invoice.payment_secret else None,
        payment_metadata=invoice.payment_metadata.hex() if invoice.payment_metadata else None,
        label=request.label,
        description=request.description,
        localinvreqid=request.localinvreqid,
    )

