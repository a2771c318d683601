"""`paystatus`, and `listpays` where it is ours or where the host's would be wrong about a payment in work.

Up to v26.04 `listpays` went with the builtin `pay`, so it is registered here. Since v26.06 cln-xpay owns it and
shows another sender's payment as failed between two attempts: there a filtered `rpc_command` hook lets every call
go on at once unless a payment in work is concerned, and answers that one from `listsendpays` – never from
`listpays`, which would call the hook again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from pay.errors import Code, PayError
from pay.invoice import normalise
from pay.invoice.recipient import ClearRecipient
from pay.node.archive import Archive, entry_of_rows, groups_of
from pay.node.facade import CallError, Node
from pay.node.planning import Planning
from pay.node.register import MOST_FINISHED, Register
from pay.node.running import Running
from pay.node.view_params import listpays_params, paystatus_param
from pay.payment.listpays import LivePay, PayKey, pays_of
from pay.payment.status import Alias, Moment, paystatus_entry
from pay.payment.whereabouts import OwnHtlc
from pay.units import ScidDir

log = logging.getLogger("pay")

LOOK_S = 5.0
"""So long `paystatus` waits for the host's list of HTLCs; without it, it does not say where parts are."""


class Views:
    """What is shown of payments.

    Parameters
    ----------
    register
        All payments of this run.
    """

    def __init__(self, node: Node, planning: Planning, register: Register):
        self._node = node
        self._planning = planning
        self._register = register
        self._archive = Archive(node, time.time())
        self.height = 0

    # --- paystatus --------------------------------------------------------------------------------------

    async def paystatus(self, params: Any) -> dict[str, Any]:
        """All payments, newest last, or those of one invoice or payment_hash. Raises PayError.

        What was finished before our start comes from the host's rows.
        """
        wanted = paystatus_param(params)
        shown = [*self._register.finished(), *self._register.in_work()]
        if wanted is not None:
            shown = [running for running in shown if _means(running, wanted)]
            # Of what somebody else sent, the rows tell more than our watching, which is over.
            if not any(running.order is not None or running.session.live for running in shown):
                rows = await self._from_rows(wanted)
                if rows or not shown:
                    return {"pay": rows}
        nodes = {
            hop.node
            for running in shown
            for attempt in running.session.attempts.values()
            if attempt.route is not None
            for hop in attempt.route.hops
        }
        names = await self._planning.aliases(nodes)
        older = [] if wanted is not None else await self._older(shown)
        moment = await self._moment(shown)
        return {"pay": [*older, *[_entry(running, moment, names.get) for running in shown]]}

    async def _moment(self, shown: list[Running]) -> Moment:
        """Now, with what is known of where the parts that are out are."""
        if not any(running.session.live for running in shown):
            return Moment(time.time(), self.height)
        htlcs: list[OwnHtlc] | None = None
        try:
            htlcs = await asyncio.wait_for(self._node.own_htlcs(), LOOK_S)
        except (CallError, TimeoutError, LookupError, TypeError, ValueError) as error:
            log.warning("htlcs_unknown error=%r", error)
        closed = await self._planning.closed(_announced_ways(shown))
        return Moment(time.time(), self.height, htlcs, closed)

    async def _older(self, shown: list[Running]) -> list[dict[str, Any]]:
        known = [_key(running) for running in shown]
        try:
            return await self._archive.newest(known, MOST_FINISHED - len(self._register.finished()))
        except CallError as error:
            log.warning("archive_unreadable error=%r", str(error))
            return []

    async def _from_rows(self, wanted: str) -> list[dict[str, Any]]:
        """A payment of before our start: what the host has of it."""
        key = "payment_hash" if _is_hash(wanted) else "bolt11"
        try:
            rows = (await self._node.patient("listsendpays", {key: wanted}))["payments"]
        except CallError as error:
            raise PayError(Code.INVALID_PARAMS, f"{key}: {error.message}") from error
        return [entry_of_rows(group) for group in groups_of(rows).values()]

    # --- listpays ---------------------------------------------------------------------------------------

    def concerns(self, params: Any) -> bool:
        """Whether a `listpays` with these params would have to show a payment in work."""
        if not self._register.in_work():
            return False
        try:
            given = listpays_params(params)
        except PayError:
            return False
        wanted = given.get("payment_hash") or given.get("bolt11")
        return wanted is None or any(_means(running, str(wanted)) for running in self._register.in_work())

    async def listpays(self, params: Any) -> dict[str, Any]:
        """The host's `listpays`, right about payments in work. Raises PayError."""
        given = listpays_params(params)
        status = given.pop("status", None)
        wanted = given.get("payment_hash") or given.get("bolt11")
        chosen = [r for r in self._register.in_work() if wanted is None or _means(r, str(wanted))]
        live = {_key(running): _live_pay(running) for running in chosen}
        try:
            answer = await self._node.patient("listsendpays", given)
        except CallError as error:
            raise PayError(error.code, error.message, error.data) from error
        pays = pays_of(answer["payments"], live, unsent="index" not in given)
        return {"pays": [pay for pay in pays if status is None or pay["status"] == status]}


def _entry(running: Running, moment: Moment, alias: Alias) -> dict[str, Any]:
    source = running.source
    return paystatus_entry(running.session, source.bolt11, source.label, running.times, moment, alias)


def _key(running: Running) -> PayKey:
    terms = running.session.terms
    return terms.payment_hash.hex(), terms.groupid


def _announced_ways(shown: list[Running]) -> set[ScidDir]:
    """The channels of others on the ways of live parts, without those that gossip never has: of route hints."""
    ways: set[ScidDir] = set()
    for running in shown:
        hints = running.recipient.hints if isinstance(running.recipient, ClearRecipient) else ()
        hinted = {hop.scid for hint in hints for hop in hint}
        for attempt in running.session.live:
            hops = attempt.route.hops[1:] if attempt.route is not None else ()
            ways |= {hop.scid_dir for hop in hops if hop.scid not in hinted}
    return ways


def _live_pay(running: Running) -> LivePay:
    terms, source = running.session.terms, running.source
    return LivePay(
        source.bolt11, terms.destination.hex(), int(terms.created_at_s), source.label, source.description
    )


def _means(running: Running, wanted: str) -> bool:
    return wanted.lower() == running.session.terms.payment_hash.hex() or normalise(wanted) == running.source.bolt11


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text)
