"""`paystatus`, and `listpays` where it is ours or where the host's would be wrong about a payment in work.

Up to v26.04 `listpays` went with the builtin `pay`, so it is registered here. Since v26.06 cln-xpay owns it and
shows another sender's payment as failed between two attempts: there a filtered `rpc_command` hook lets every call
go on at once unless a payment in work is concerned, and answers that one from `listsendpays` – never from
`listpays`, which would call the hook again.

Lists of all payments are long: tables of the host are read in pages, and what is answered has iterators in place
of the arrays, from which `streaming` makes the text bit by bit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from pay.commands.archive import PAGE_ROWS, Archive, Rows, add_to_groups, entry_of_rows, groups_of
from pay.commands.view_params import listpays_params, paystatus_param
from pay.engine.live.register import MOST_FINISHED, Register, Snapshot, snapshot_of
from pay.engine.live.running import Running, Source
from pay.engine.open_calls import OpenCalls
from pay.errors import Code, PayError
from pay.host.calls import CallError, Host
from pay.invoice import normalise
from pay.invoice.recipient import ClearRecipient
from pay.log_events import EventLog, LogEvent
from pay.payment.listpays import LivePay, PayKey, pays_of_groups
from pay.payment.status import Alias, Moment, paystatus_entry
from pay.payment.terms import Terms, purpose
from pay.payment.whereabouts import OwnHtlc
from pay.router.planning import Planning
from pay.units import NodeId, ScidDir

log = EventLog("pay")

LOOK_S = 5.0
"""So long `paystatus` waits for the host's list of HTLCs; without it, it does not say where parts are."""


NO_GROUP = -1
"""In the place of a group's number, of a payment that has not begun."""


class Views:
    """What is shown of payments.

    Parameters
    ----------
    register
        All payments of this run.
    calls
        Those that have no answer yet.
    """

    def __init__(self, host: Host, planning: Planning, register: Register, calls: OpenCalls | None = None):
        self._host = host
        self._planning = planning
        self._register = register
        self._calls = calls or OpenCalls()
        self._archive = Archive(host, time.time())
        self.height = 0

    # --- paystatus --------------------------------------------------------------------------------------

    async def paystatus(self, params: Any) -> dict[str, Any]:
        """All payments, newest last, or those of one invoice or payment_hash, newest first. Raises PayError.

        Who asks for one invoice reads the first entry, and means the payment that is in work. What was finished
        before our start, or is not kept any more, comes from the host's rows.
        """
        wanted = paystatus_param(params)
        finished, in_work = self._register.finished(), self._register.in_work()
        if wanted is not None:
            finished = [payment for payment in finished if _means(payment.standing.terms, payment.source, wanted)]
            in_work = [running for running in in_work if _runs(running, wanted)]
        # As of now: payments go on while the answer is made.
        shown = [*finished, *map(snapshot_of, in_work)]
        if wanted is not None:
            shown.reverse()
        # Of what somebody else sent, the rows tell more than our watching, which is over.
        if wanted is not None and not any(payment.ours or payment.standing.live for payment in shown):
            rows = await self._from_rows(wanted)
            if rows or not shown:
                return {"pay": rows}
        names = await self._planning.aliases(_nodes_of(shown))
        older = iter(()) if wanted is not None else await self._older(shown)
        moment = await self._moment(in_work)
        return {"pay": chain(older, (_entry(payment, moment, names.get) for payment in shown))}

    async def _moment(self, in_work: list[Running]) -> Moment:
        """Now, with what is known of where the parts that are out are."""
        if not any(running.session.live for running in in_work):
            return Moment(time.time(), self.height)
        htlcs: list[OwnHtlc] | None = None
        try:
            htlcs = await asyncio.wait_for(self._host.own_htlcs(), LOOK_S)
        except (CallError, TimeoutError, LookupError, TypeError, ValueError) as error:
            log.unusual(LogEvent.HTLCS_UNKNOWN, "error=%r", error)
        closed = await self._planning.closed(_announced_ways(in_work))
        return Moment(time.time(), self.height, htlcs, closed)

    async def _older(self, shown: list[Snapshot]) -> Iterator[dict[str, Any]]:
        known = [_key(payment.standing.terms) for payment in shown]
        ended = {payment_hash.hex() for payment_hash in self._register.ended()}
        known_rows = sum(len(payment.standing.attempts) for payment in shown)
        try:
            most = MOST_FINISHED - len(self._register.finished())
            return await self._archive.newest(known, most, ended, known_rows)
        except CallError as error:
            log.unusual(LogEvent.ARCHIVE_UNREADABLE, "error=%r", str(error))
            return iter(())

    async def _from_rows(self, wanted: str) -> list[dict[str, Any]]:
        """A payment of before our start: what the host has of it."""
        key = "payment_hash" if _is_hash(wanted) else "bolt11"
        try:
            rows = (await self._host.patient("listsendpays", {key: wanted}))["payments"]
        except CallError as error:
            raise PayError(Code.INVALID_PARAMS, f"{key}: {error.message}") from error
        return [entry_of_rows(group) for group in reversed(groups_of(rows).values())]

    # --- listpays ---------------------------------------------------------------------------------------

    def concerns(self, params: Any) -> bool:
        """Whether a `listpays` with these params would have to show a payment in work."""
        if not self._register.in_work() and not self._calls.known():
            return False
        try:
            given = listpays_params(params)
        except PayError:
            return False
        wanted = given.get("payment_hash") or given.get("bolt11")
        return wanted is None or bool(self._live(str(wanted)) or self._called(str(wanted)))

    async def listpays(self, params: Any) -> dict[str, Any]:
        """The host's `listpays`, right about payments in work. Raises PayError."""
        given = listpays_params(params)
        status = given.pop("status", None)
        wanted = given.get("payment_hash") or given.get("bolt11")
        wanted = None if wanted is None else str(wanted)
        live, called = self._live(wanted), self._called(wanted)
        try:
            if given:
                groups = groups_of((await self._host.patient("listsendpays", given))["payments"])
            else:
                groups = await self._all_groups()
        except CallError as error:
            raise PayError(error.code, error.message, error.data) from error
        if called:
            # What is out or paid says so itself.
            told = {key[0] for key, parts in groups.items() if any(part["status"] != "failed" for part in parts)}
            told |= {key[0] for key in live}
            live |= {key: pay for key, pay in called.items() if key[0] not in told}
            live = {key: _since_its_call(key, pay, called) for key, pay in live.items()}
        pays = pays_of_groups(groups, live, unsent="index" not in given)
        return {"pays": (pay for pay in pays if status is None or pay["status"] == status)}

    def _live(self, wanted: str | None) -> dict[PayKey, LivePay]:
        """Payments in work, all or those that are meant."""
        chosen = [r for r in self._register.in_work() if wanted is None or _runs(r, wanted)]
        return {_key(running.session.terms): _live_pay(running) for running in chosen}

    def _called(self, wanted: str | None) -> dict[PayKey, LivePay]:
        """Payments of calls without an answer: one of them may be about to begin, or between two senders."""
        return {
            (invoice.payment_hash.hex(), NO_GROUP): LivePay(
                invoice.invstring, invoice.payee.hex(), int(call.began_s), call.request.label,
                purpose(call.request, invoice),
            )
            # Of several calls the oldest is that which begins it.
            for call, invoice in reversed(self._calls.known())
            if wanted is None or wanted.lower() in (invoice.payment_hash.hex(), invoice.invstring)
            or normalise(wanted) == invoice.invstring
        }  # fmt: skip

    async def _all_groups(self) -> dict[PayKey, Rows]:
        """The rows of all payments there ever were. Raises CallError."""
        groups: dict[PayKey, Rows] = {}
        start = 1
        while True:
            page = {"index": "created", "start": start, "limit": PAGE_ROWS}
            rows = (await self._host.patient("listsendpays", page))["payments"]
            add_to_groups(groups, rows)
            if len(rows) < PAGE_ROWS:
                return groups
            start = int(rows[-1]["created_index"]) + 1


def _entry(payment: Snapshot, moment: Moment, alias: Alias) -> dict[str, Any]:
    source = payment.source
    return paystatus_entry(payment.standing, source.bolt11, source.label, payment.times, moment, alias)


def _key(terms: Terms) -> PayKey:
    return terms.payment_hash.hex(), terms.groupid


def _nodes_of(shown: Iterable[Snapshot]) -> set[NodeId]:
    """On the ways of all parts."""
    return {
        hop.node
        for payment in shown
        for attempt in payment.standing.attempts
        if attempt.route is not None
        for hop in attempt.route.hops
    }


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


def _since_its_call(key: PayKey, pay: LivePay, called: Mapping[PayKey, LivePay]) -> LivePay:
    """A payment begins a moment after its call: whoever looks twice sees one time."""
    call = called.get((key[0], NO_GROUP))
    return pay if call is None else replace(pay, created_at=min(pay.created_at, call.created_at))


def _runs(running: Running, wanted: str) -> bool:
    return _means(running.session.terms, running.source, wanted)


def _means(terms: Terms, source: Source, wanted: str) -> bool:
    return wanted.lower() == terms.payment_hash.hex() or normalise(wanted) == source.bolt11


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text)
