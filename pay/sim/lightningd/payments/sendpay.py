"""`sendpay` and what follows it: the checks against earlier parts, the HTLC, its outcome, who waits for it.

A hole of lightningd that is kept on purpose: the row is there before the HTLC is (more of them in `progress`).
Source: lightningd's pay.c (v26.06).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.lightningd.own_node import OwnNode
from pay.sim.lightningd.payments.database import Database, Payment, Status
from pay.sim.lightningd.payments.failures import (
    ALREADY_PAID,
    DESTINATION_FAILED,
    IN_PROGRESS,
    TRY_OTHER_ROUTE,
    UNPARSABLE_ONION,
    blame,
    code_of,
    remembered,
    unread,
)
from pay.sim.lightningd.payments.part import PartRequest
from pay.sim.lightningd.payments.progress import check_progress, in_progress
from pay.sim.lightningd.payments.wire import PartKey, wire_of
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.telling import Notify, WriteLog
from pay.sim.network.channel import SimChannel
from pay.sim.network.channel_names import local_aliases
from pay.sim.network.encoding.failures import FailCode, wire_name
from pay.sim.network.htlc import Failed, FinalPayload, HtlcOutcome, LocalFailure, Settled, Unparsable, WireHop
from pay.units import direction_of

_SOME_REPLY = bytes(292)
"""An onion with a failure in it, which here nobody reads."""


class Payments:
    """The payments of one node, from its start to its end.

    Parameters
    ----------
    watchers
        Called with every row that is new or has changed, before anybody is told.
    crash
        The node dies of what it was asked.
    """

    def __init__(
        self,
        own: OwnNode,
        db: Database,
        faults: LightningdFaults,
        log: WriteLog,
        notify: Notify,
        watchers: Sequence[Callable[[Payment], None]],
        crash: Callable[[], None],
    ):
        self._own = own
        self._world = own.world
        self._us = own.id
        self._db = db
        self._faults = faults
        self._log = log
        self._notify = notify
        self._watchers = watchers
        self._crash = crash
        self._wire = wire_of(own.world, own.id)
        self._waiters: dict[PartKey, list[asyncio.Future[Payment]]] = {}
        self._injected: set[PartKey] = set()
        """Parts of this run of the node whose failures it cannot read."""
        self._over = False

    def attach(self) -> None:
        """From now on outcomes are heard, those first that came while the node was away."""
        self._wire.attach(self._outcome)

    def end(self) -> None:
        """The node is gone: what comes to be from now on waits for its next start."""
        self._over = True
        self._wire.detach()

    # Sending.

    def send(self, part: PartRequest) -> dict[str, Any]:
        """The answer of `sendpay`, or of an onion that was injected. Raises RpcError."""
        earlier = self._earlier(part)
        if earlier is not None:
            return earlier
        channel = self._first_channel(part)
        hops = self._wire_hops(part, channel)
        if part.payment_secret is None and part.total_msat != part.amount_msat:
            raise RpcError(DESTINATION_FAILED, "Destination does not support payment_secret")
        row = self._add_row(part, channel)
        final = FinalPayload(part.payment_secret, part.total_msat, part.metadata)
        if not self._faults.no_commitment:
            asyncio.get_running_loop().call_later(
                self._faults.commitment_delay_s, self._commit, part.key, hops, final
            )
        self._log(
            "info", "lightningd",
            f"Sending {part.route[0].amount_msat}msat over {len(hops)} hops to deliver {part.amount_msat}msat",
        )  # fmt: skip
        return in_progress(row)

    def _earlier(self, part: PartRequest) -> dict[str, Any] | None:
        """What earlier parts of this hash answer. Raises RpcError."""
        rows = self._db.payments("payment_hash = ?", part.payment_hash)
        if not part.injected:
            return check_progress(rows, part, part.route[-1].node if part.route else self._us)
        earlier = check_progress(rows, replace(part, total_msat=0), None)
        if earlier is not None:
            raise RpcError(ALREADY_PAID, "Already paid this invoice", earlier)
        self._injected.add(part.key)
        return None

    def _add_row(self, part: PartRequest, channel: SimChannel | None) -> Payment:
        us, first = self._us, part.route[0] if part.route else None
        row = self._db.add_payment(
            payment_hash=part.payment_hash, groupid=part.groupid, partid=part.partid,
            destination=part.route[-1].node if part.route else us, amount_msat=part.amount_msat,
            amount_sent_msat=first.amount_msat if first else part.amount_msat,
            total_msat=0 if part.injected else part.total_msat,
            created_at=int(self._world.clock.now()), label=part.label, invstring=part.invstring,
            description=part.description, route_channel=first.scid if first else None,
            route_direction=direction_of(us, first.node) if first else 0,
        )  # fmt: skip
        self._seen(row)
        return row

    def _seen(self, row: Payment) -> None:
        """A row is new or has changed, and nobody was told yet: the moment in which a test may step in."""
        for watcher in list(self._watchers):
            watcher(row)

    def _first_channel(self, part: PartRequest) -> SimChannel:
        """The channel the HTLC goes out over; scid 0x0x0 means any to that peer with enough of ours."""
        world, us, hop = self._world, self._us, part.route[0]
        channel = world.find_channel(hop.scid, us, own=True)
        if channel is None:
            ours = [c for c in self._own.channels if c.peer_of(us).id == hop.node and not c.closed]
            if hop.scid == 0:
                channel = next((c for c in ours if c.balance_msat(us) > part.amount_msat), None)
            else:
                channel = next((c for c in ours if local_aliases(c)[c.side(us)] == hop.scid), None)
        direction = direction_of(us, hop.node)
        if channel is None or channel.closed or channel.peer_of(us).id != hop.node:
            raise RpcError(
                TRY_OTHER_ROUTE, "No connection to first peer found",
                blame(0, FailCode.UNKNOWN_NEXT_PEER, us, None, None, b""),
            )  # fmt: skip
        if not channel.connected():
            code = FailCode.TEMPORARY_CHANNEL_FAILURE
            raise RpcError(
                TRY_OTHER_ROUTE, f"failed: {wire_name(code)} (First peer not ready)",
                blame(0, code, us, channel.name_for(us), direction, b""),
            )  # fmt: skip
        return channel

    def _wire_hops(self, part: PartRequest, channel: SimChannel) -> list[WireHop]:
        """Expiries count from the next block, as lightningd's do to leave some margin."""
        base = self._own.height + 1
        hops = [WireHop(h.scid, h.node, h.amount_msat, base + h.delay_blocks) for h in part.route]
        if self._world.find_channel(hops[0].scid, self._us, own=True) is not channel:
            hops[0] = replace(hops[0], scid=channel.name_for(self._us))
        return hops

    def _commit(self, key: PartKey, hops: list[WireHop], final: FinalPayload) -> None:
        """The HTLC comes to be, unless the node died in between."""
        if self._over:
            return
        try:
            self._wire.offer(key, hops, final)
        except LocalFailure as failure:
            direction = direction_of(self._us, hops[0].node)
            code = FailCode.TEMPORARY_CHANNEL_FAILURE
            local = Failed(0, self._us, hops[0].scid, direction, code, b"", failure.text)
            self._outcome(key, local)

    # Paying ourselves.

    def pay_ourselves(self, part: PartRequest) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """A route without hops: our own invoice is settled at once. Raises RpcError.

        lightningd v26.06 does not look at earlier rows here. A repeat is refused by its database, of which it
        dies, and so does this node: the answer never comes.
        """
        if self._db.payment(*part.key) is not None:
            self._log("broken", "lightningd", "UNIQUE constraint failed: payments")
            self._crash()
            return asyncio.get_running_loop().create_future()
        row = self._add_row(part, None)
        try:
            preimage = self._world.pay_self(self._us, part.payment_hash, part.amount_msat, part.payment_secret)
        except ValueError as problem:
            code = FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS
            fields = blame(0, code, self._us, None, None, b"")
            text = f"failed: {wire_name(code)} ({problem})"
            told = self._failed(row, DESTINATION_FAILED, text, fields, None)
            # The caller is told in fewer words than everybody else.
            raise RpcError(told.code, str(problem), told.data) from None
        self._notify("invoice_payment", _paid_invoice(self._db, part, preimage))
        row = self._succeeded(row, preimage)
        # The caller sees the row as it was made, with the outcome written over it.
        return replace(row, updated_index=0, completed_at=None).to_json()

    # Outcomes.

    def _outcome(self, key: PartKey, outcome: HtlcOutcome) -> None:
        row = self._db.payment(*key)
        if row is None:
            return
        match outcome:
            case Settled(preimage):
                self._succeeded(row, preimage)
            case Failed():
                code = code_of(outcome, row)
                fields = blame(
                    outcome.erring_index, outcome.failcode, outcome.erring_node, outcome.erring_scid,
                    outcome.direction, outcome.message,
                )  # fmt: skip
                self._failed(row, code, outcome.text, fields, None)
            case Unparsable(onionreply):
                fields = {"onionreply": onionreply.hex()}
                self._failed(row, UNPARSABLE_ONION, outcome.text, fields, onionreply)

    def _succeeded(self, row: Payment, preimage: bytes) -> Payment:
        row = self._db.settle(row, preimage, int(self._world.clock.now()))
        self._seen(row)
        for waiter in self._waiters.pop(_key(row), []):
            if not waiter.done():
                waiter.set_result(row)
        self._notify("sendpay_success", row.to_json())
        return row

    def _failed(
        self, row: Payment, code: int, text: str, fields: dict[str, Any], erroronion: bytes | None
    ) -> RpcError:
        """Mark it and tell; like lightningd's, the report shows the row as it was before."""
        error = RpcError(code, text, {**row.to_json(), **fields})
        kept = {name: value for name, value in fields.items() if name not in ("raw_message", "onionreply")}
        failure = json.dumps({"code": code, "message": text, "fields": kept})
        self._seen(self._db.fail(row, failure, erroronion, int(self._world.clock.now())))
        for waiter in self._waiters.pop(_key(row), []):
            if not waiter.done():
                waiter.set_exception(error)
        told = unread(row, erroronion or _SOME_REPLY) if _key(row) in self._injected else error
        self._notify("sendpay_failure", told.to_json())
        return error

    async def wait(self, row: Payment, timeout_s: float | None) -> dict[str, Any]:
        """The answer of `waitsendpay`. Raises RpcError."""
        if row.status is Status.PENDING:
            waiter: asyncio.Future[Payment] = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(_key(row), []).append(waiter)
            try:
                row = await asyncio.wait_for(waiter, timeout_s)
            except TimeoutError:
                raise RpcError(IN_PROGRESS, "Timed out while waiting") from None
        if row.status is Status.FAILED:
            raise remembered(row)
        return row.to_json()


def _paid_invoice(db: Database, part: PartRequest, preimage: bytes) -> dict[str, Any]:
    rows = db.query("SELECT label FROM invoices WHERE payment_hash = ?", part.payment_hash)
    return {"msat": part.amount_msat, "preimage": preimage.hex(), "label": rows[0]["label"] if rows else ""}


def _key(row: Payment) -> PartKey:
    return (row.payment_hash, row.groupid, row.partid)
