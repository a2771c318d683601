"""What comes between the look at a payment's past and its first part: approval, the chain's height, the shadow.

It takes as long as a signer takes, and nothing is out meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from pay.engine.checks import check_invoice, check_limits
from pay.engine.foresight import Foresight
from pay.engine.live.register import Register
from pay.engine.live.routes import Foreseen
from pay.engine.live.running import Running, Tell
from pay.engine.shadowing import Shadowing
from pay.errors import PayError
from pay.host.calls import Host, PartOrder
from pay.host.chain import Chain
from pay.invoice import Invoice, Recipient, recipient_of
from pay.payment.session import PaymentSession
from pay.payment.settings import Settings
from pay.payment.terms import PayRequest, Terms, purpose, shadow_for, terms_for, total_chosen
from pay.units import NodeId


@dataclass(frozen=True, slots=True)
class Call:
    """One call of `pay`: what is asked for, of which invoice, and who is told how it goes."""

    request: PayRequest
    invoice: Invoice
    tell: Tell


class Preparation:
    """Makes payments of calls.

    Parameters
    ----------
    settings
        Reads the options, which may change while we run.
    """

    def __init__(
        self,
        host: Host,
        us: NodeId,
        register: Register,
        shadowing: Shadowing,
        chain: Chain,
        settings: Callable[[], Settings],
        foresight: Foresight | None = None,
    ):
        self._host = host
        self._us = us
        self._register = register
        self._shadowing = shadowing
        self._chain = chain
        self._settings = settings
        self._foresight = foresight
        self._secret = os.urandom(32)

    def new(self, call: Call, groupid: int) -> Running:
        """A payment as the call asks for it, from now on. Raises PayError where that cannot be."""
        recipient = self._recipient(call)
        return self._running(call, recipient, self._terms(call, recipient, self._settings(), groupid))

    def foreseen(self, call: Call) -> Foreseen | None:
        """What can be thought of before anybody has said that the payment may begin: nothing of it is sent."""
        if self._foresight is None or not self._foresight.idle(call.invoice.payment_hash):
            return None
        try:
            recipient = self._recipient(call)
        except PayError:
            # Whether it is an error depends on what the host knows of the payment.
            return None
        settings = self._settings()
        kind = shadow_for(call.request, call.invoice, settings.shadow)
        # Where the chain turns out to be further ahead, the question is another one.
        terms = self._terms(call, recipient, settings, 0, self._chain.likely_behind())
        return self._foresight.of(terms, recipient, kind)

    async def prepared(self, call: Call, groupid: int, foreseen: Foreseen | None = None) -> Running:
        """The same, approved by the node and with its shadow. Raises PayError where it is declined."""
        request, invoice = call.request, call.invoice
        behind_blocks = self._chain.known_behind()
        asked = asyncio.create_task(self._chain.blocks_behind()) if behind_blocks is None else None
        try:
            await self._host.preapprove(invoice.invstring, float(request.retry_for_s))
            if asked is not None:
                behind_blocks = await asked
        finally:
            if asked is not None:
                asked.cancel()
        # By the clock of now: an approval may take long.
        recipient, settings = self._recipient(call), self._settings()
        terms = self._terms(call, recipient, settings, groupid, behind_blocks or 0)
        kind = shadow_for(request, invoice, settings.shadow)
        shadowed = None if foreseen is None else await foreseen.shadow(terms, kind)
        if shadowed is None:
            shadowed = await self._shadowing.shadowed(terms, recipient, kind, self._register.out)
        return self._running(call, recipient, shadowed)

    def _recipient(self, call: Call) -> Recipient:
        check_invoice(call.request, call.invoice, int(time.time()))
        recipient = recipient_of(call.invoice, self._us)
        check_limits(call.request, call.invoice, recipient, self._us)
        return recipient

    def _terms(
        self, call: Call, recipient: Recipient, settings: Settings, groupid: int, behind_blocks: int = 0
    ) -> Terms:
        return terms_for(
            call.request,
            call.invoice,
            recipient,
            settings,
            us=self._us,
            groupid=groupid,
            now=time.time(),
            seed=self._seed(call.invoice.payment_hash),
            behind_blocks=behind_blocks,
        )

    def _running(self, call: Call, recipient: Recipient, terms: Terms) -> Running:
        return Running(
            PaymentSession(terms),
            recipient,
            order_for(call.request, call.invoice, terms),
            listeners=[call.tell],
            total_chosen=total_chosen(call.request, call.invoice),
        )

    def _seed(self, payment_hash: bytes) -> int:
        """Of what is random about a payment; nobody can guess it, and the next try of the same invoice has it too.

        Who forwarded both knows them by their hash: of blocks that differ from one try to the next he would know
        that they are not all the recipient's.
        """
        drawn = hashlib.blake2b(payment_hash, key=self._secret, digest_size=8)
        return int.from_bytes(drawn.digest(), "big")


def order_for(request: PayRequest, invoice: Invoice, terms: Terms) -> PartOrder:
    """What every part of it says beside its route."""
    return PartOrder(
        payment_hash=invoice.payment_hash.hex(),
        total_msat=terms.total_msat,
        groupid=terms.groupid,
        bolt11=invoice.invstring,
        payment_secret=invoice.payment_secret.hex() if invoice.payment_secret else None,
        payment_metadata=invoice.payment_metadata.hex() if invoice.payment_metadata else None,
        label=request.label,
        # The host takes any text and keeps it as JSON writes it, quotes with their backslashes.
        description=purpose(request, invoice),
        localinvreqid=request.localinvreqid,
    )
