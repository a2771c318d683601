"""Another sender of the same node: somebody else's plugin or program that pays an invoice through `sendpay`.

It tries one part after the other in a group of its own, with pauses in which nothing of it is out, as xpay and the
builtin `pay` do; lightningd's rule of one group at a time applies to it as to everybody. It knows the true
balances: a try that is to work takes the cheapest way, one that is not to work offers the first forwarder no fee.
Its methods run on the node's thread (`Box.run`, `Box.submit`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pay.sim.lightningd.daemon import Lightningd
from pay.sim.lightningd.payments.part import PartRequest, RouteHop
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network.invoices import SimInvoice
from pay.sim.network.oracle import cheapest_route

LABEL = "another sender"
"""Of its rows."""
MARGIN_BLOCKS = 2
"""What it adds to every expiry, so that a block or two in between do no harm."""


class OtherSender:
    """One payment of it.

    Parameters
    ----------
    groupid
        Of all its parts; by default the next one of the hash when it first sends.
    total_msat
        Of the whole payment, by default the invoice's amount.
    """

    def __init__(
        self, node: Lightningd, invoice: SimInvoice, *, groupid: int | None = None, total_msat: int | None = None
    ):
        self._node = node
        self._invoice = invoice
        self._total_msat = total_msat or invoice.amount_msat or 0
        self.groupid = groupid
        self.partid = 0
        """Of the last part that it sent."""

    async def send(self, part_msat: int | None = None, works: bool = True) -> dict[str, Any]:
        """Send one part, by default all of it; the answer of `sendpay`.

        Raises
        ------
        RpcError
            As `sendpay`, e.g. 200 while another group is out. The number of the part is not used up then.
        """
        if self.groupid is None:
            self.groupid = self._node.db.highest_groupid(self._invoice.payment_hash) + 1
        part_msat = self._total_msat if part_msat is None else part_msat
        part = PartRequest(
            self._invoice.payment_hash, self.groupid, self.partid + 1, self._route(part_msat, works), part_msat,
            self._total_msat, self._invoice.payment_secret, self._invoice.metadata, LABEL,
            self._invoice.bolt11, None,
        )  # fmt: skip
        answer = self._node.payments.send(part)
        self.partid += 1
        return answer

    async def outcome(self) -> str:
        """How the last part ended: "complete" or "failed"."""
        assert self.groupid is not None
        row = self._node.db.payment(self._invoice.payment_hash, self.groupid, self.partid)
        assert row is not None
        try:
            return str((await self._node.payments.wait(row, None))["status"])
        except RpcError:
            return "failed"

    async def pursue(self, tries: Sequence[bool], pause_s: float = 0.0) -> list[str]:
        """One try after the other, each begun `pause_s` after the one before has failed.

        Parameters
        ----------
        tries
            Whether each of them works.

        Returns
        -------
        What came of each: "complete", after which there are no more, "failed", or the code of a refused `sendpay`.
        """
        said: list[str] = []
        for number, works in enumerate(tries):
            if number:
                await asyncio.sleep(pause_s)
            try:
                await self.send(works=works)
            except RpcError as error:
                said.append(str(error.code))
                continue
            said.append(await self.outcome())
            if said[-1] == "complete":
                break
        return said

    def _route(self, part_msat: int, works: bool) -> tuple[RouteHop, ...]:
        """Raises ValueError where the payee cannot be reached, or has no forwarder before it that could refuse."""
        world, us = self._node.world, self._node.us
        cltv = self._invoice.final_cltv + MARGIN_BLOCKS
        found = cheapest_route(world, us, self._invoice.node, part_msat, final_cltv=cltv)
        if found is None:
            raise ValueError("there is no way for another sender")
        if not works and len(found.hops) < 2:
            raise ValueError("there is nobody on the way who could refuse")
        # `sendpay` counts from the block after the one that we have seen.
        base = self._node.height + 1
        hops = [RouteHop(h.scid, h.node, h.amount_msat, h.cltv_expiry - base) for h in found.hops]
        if not works:
            hops[0] = replace(hops[0], amount_msat=hops[1].amount_msat)
        return tuple(hops)
