"""`sendpay` and what follows it: the checks against earlier parts, the HTLC, its outcome, who waits for it.

Holes of lightningd that are kept on purpose: a part that exceeds the total is accepted as long as what was
pending before was below it; an identical repeat is answered with the row's state; a part number is used up for
ever; the row is there before the HTLC is. Source: lightningd's pay.c (v26.06).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pay.sim.lightningd.jsonstream import RpcError
from pay.sim.lightningd.params import INVALID_PARAMS
from pay.sim.lightningd.payments_db import Payment, Status
from pay.sim.lightningd.wire import PartKey, wire_of
from pay.sim.network.channel import SimChannel
from pay.sim.network.encoding.failures import BADONION, PERM, FailCode, wire_name
from pay.sim.network.htlc import Failed, FinalPayload, HtlcOutcome, LocalFailure, Settled, Unparsable, WireHop
from pay.units import NodeId, Scid, direction_of, format_scid

if TYPE_CHECKING:
    from pay.sim.lightningd.node import SimNode

IN_PROGRESS = 200
ALREADY_USED = 201
UNPARSABLE_ONION = 202
DESTINATION_FAILED = 203
TRY_OTHER_ROUTE = 204


@dataclass(frozen=True, slots=True)
class RouteHop:
    """One element of `sendpay`'s route."""

    scid: Scid
    node: NodeId
    amount_msat: int
    delay_blocks: int


@dataclass(frozen=True, slots=True)
class PartRequest:
    """A `sendpay`, its parameters read: the last hop's `amount_msat`, and `total_msat` of the whole group."""

    payment_hash: bytes
    groupid: int
    partid: int
    route: tuple[RouteHop, ...]
    amount_msat: int
    total_msat: int
    payment_secret: bytes | None
    metadata: bytes | None
    label: str | None
    invstring: str | None
    description: str | None

    @property
    def key(self) -> PartKey:
        return (self.payment_hash, self.groupid, self.partid)


class Payments:
    """The payments of one node."""

    def __init__(self, node: SimNode):
        self._node = node
        self._wire = wire_of(node.world, node.us)
        self._waiters: dict[PartKey, list[asyncio.Future[Payment]]] = {}

    def attach(self) -> None:
        """From now on outcomes are heard, those first that came while the node was away."""
        self._wire.attach(self._outcome)

    def detach(self) -> None:
        self._wire.detach()

    # Sending.

    def send(self, part: PartRequest) -> dict[str, Any]:
        """The answer of `sendpay`. Raises RpcError."""
        earlier = self._check_progress(part)
        if earlier is not None:
            return earlier
        channel = self._first_channel(part)
        hops = self._wire_hops(part, channel)
        if part.payment_secret is None and part.total_msat != part.amount_msat:
            raise RpcError(DESTINATION_FAILED, "Destination does not support payment_secret")
        row = self._add_row(part, channel)
        final = FinalPayload(part.payment_secret, part.total_msat, part.metadata)
        if not self._node.faults.no_commitment:
            asyncio.get_running_loop().call_later(
                self._node.faults.commitment_delay_s, self._commit, part.key, hops, final
            )
        self._node.log(
            "info", "lightningd",
            f"Sending {part.route[0].amount_msat}msat over {len(hops)} hops to deliver {part.amount_msat}msat",
        )  # fmt: skip
        return _in_progress(row)

    def _add_row(self, part: PartRequest, channel: SimChannel | None) -> Payment:
        us, first = self._node.us, part.route[0] if part.route else None
        row = self._node.db.add_payment(
            payment_hash=part.payment_hash, groupid=part.groupid, partid=part.partid,
            destination=part.route[-1].node if part.route else us, amount_msat=part.amount_msat,
            amount_sent_msat=first.amount_msat if first else part.amount_msat, total_msat=part.total_msat,
            created_at=int(self._node.world.clock.now()), label=part.label, invstring=part.invstring,
            description=part.description, route_channel=first.scid if first else None,
            route_direction=direction_of(us, first.node) if first else 0,
        )  # fmt: skip
        self._seen(row)
        return row

    def _seen(self, row: Payment) -> None:
        """A row is new or has changed, and nobody was told yet: the moment in which a test may step in."""
        for watcher in list(self._node.row_watchers):
            watcher(row)

    def _check_progress(self, part: PartRequest) -> dict[str, Any] | None:
        """What earlier rows of this hash say: an answer, an error, or None to go on."""
        any_complete, pending_msat = False, 0
        destination = part.route[-1].node if part.route else self._node.us
        for row in self._node.db.payments("payment_hash = ?", part.payment_hash):
            if row.status is Status.COMPLETE:
                any_complete = True
                if row.partid != part.partid:
                    continue
                _same(row, part, destination, "Already succeeded")
                return row.to_json()
            if row.status is Status.PENDING:
                _same_group(row, part)
                if row.partid == part.partid:
                    _same(row, part, destination, "Already pending")
                    return _in_progress(row)
                if row.total_msat != part.total_msat:
                    raise RpcError(
                        INVALID_PARAMS,
                        f"msatoshi was previously {row.total_msat}msat, now {part.total_msat}msat",
                    )
                pending_msat += row.amount_msat
            if (row.partid, row.groupid) == (part.partid, part.groupid):
                raise RpcError(
                    ALREADY_USED,
                    f"There already is a payment with payment_hash={part.payment_hash.hex()},"
                    f" groupid={part.groupid}, partid={part.partid}. Either change the partid, or wait for the"
                    " payment to complete and start a new group.",
                )
        if any_complete:
            raise RpcError(ALREADY_USED, "Already succeeded other parts")
        if part.total_msat and pending_msat >= part.total_msat:
            raise RpcError(
                IN_PROGRESS, f"Already have {pending_msat}msat of {part.total_msat}msat payments in progress"
            )
        return None

    def _first_channel(self, part: PartRequest) -> SimChannel:
        """The channel the HTLC goes out over; scid 0x0x0 means any to that peer with enough of ours."""
        world, us, hop = self._node.world, self._node.us, part.route[0]
        channel = world.find_channel(hop.scid, us, own=True)
        if channel is None:
            ours = [c for c in self._node.own_channels() if c.peer_of(us).id == hop.node and not c.closed]
            if hop.scid == 0:
                channel = next((c for c in ours if c.balance_msat(us) > part.amount_msat), None)
            else:
                channel = next((c for c in ours if local_aliases(c)[c.side(us)] == hop.scid), None)
        direction = direction_of(us, hop.node)
        if channel is None or channel.closed or channel.peer_of(us).id != hop.node:
            raise RpcError(
                TRY_OTHER_ROUTE, "No connection to first peer found",
                _blame(0, FailCode.UNKNOWN_NEXT_PEER, us, None, None, b""),
            )  # fmt: skip
        if not channel.connected():
            code = FailCode.TEMPORARY_CHANNEL_FAILURE
            raise RpcError(
                TRY_OTHER_ROUTE, f"failed: {wire_name(code)} (First peer not ready)",
                _blame(0, code, us, channel.name_for(us), direction, b""),
            )  # fmt: skip
        return channel

    def _wire_hops(self, part: PartRequest, channel: SimChannel) -> list[WireHop]:
        """Expiries count from the next block, as lightningd's do to leave some margin."""
        base = self._node.height + 1
        hops = [WireHop(h.scid, h.node, h.amount_msat, base + h.delay_blocks) for h in part.route]
        if self._node.world.find_channel(hops[0].scid, self._node.us, own=True) is not channel:
            hops[0] = replace(hops[0], scid=channel.name_for(self._node.us))
        return hops

    def _commit(self, key: PartKey, hops: list[WireHop], final: FinalPayload) -> None:
        """The HTLC comes to be, unless the node died in between."""
        if not self._node.running or self._node.payments is not self:
            return
        try:
            self._wire.offer(key, hops, final)
        except LocalFailure as failure:
            direction = direction_of(self._node.us, hops[0].node)
            code = FailCode.TEMPORARY_CHANNEL_FAILURE
            local = Failed(0, self._node.us, hops[0].scid, direction, code, b"", failure.text)
            self._outcome(key, local)

    # Paying ourselves.

    def pay_ourselves(self, part: PartRequest) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """A route without hops: our own invoice is settled at once. Raises RpcError.

        lightningd v26.06 does not look at earlier rows here. A repeat is refused by its database, of which it
        dies, and so does this node: the answer never comes.
        """
        node, loop = self._node, asyncio.get_running_loop()
        if node.db.payment(*part.key) is not None:
            node.log("broken", "lightningd", "UNIQUE constraint failed: payments")
            loop.call_soon(lambda: loop.create_task(node.kill()))
            return loop.create_future()
        row = self._add_row(part, None)
        try:
            preimage = node.world.pay_self(node.us, part.payment_hash, part.amount_msat, part.payment_secret)
        except ValueError as problem:
            code = FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS
            fields = _blame(0, code, node.us, None, None, b"")
            text = f"failed: {wire_name(code)} ({problem})"
            told = self._failed(row, DESTINATION_FAILED, text, fields, None)
            # The caller is told in fewer words than everybody else.
            raise RpcError(told.code, str(problem), told.data) from None
        node.notify("invoice_payment", _paid_invoice(node, part, preimage))
        row = self._succeeded(row, preimage)
        # The caller sees the row as it was made, with the outcome written over it.
        return replace(row, updated_index=0, completed_at=None).to_json()

    # Outcomes.

    def _outcome(self, key: PartKey, outcome: HtlcOutcome) -> None:
        row = self._node.db.payment(*key)
        if row is None:
            return
        match outcome:
            case Settled(preimage):
                self._succeeded(row, preimage)
            case Failed():
                code = _code_of(outcome, row)
                fields = _blame(
                    outcome.erring_index, outcome.failcode, outcome.erring_node, outcome.erring_scid,
                    outcome.direction, outcome.message,
                )  # fmt: skip
                self._failed(row, code, outcome.text, fields, None)
            case Unparsable(onionreply):
                fields = {"onionreply": onionreply.hex()}
                self._failed(row, UNPARSABLE_ONION, outcome.text, fields, onionreply)

    def _succeeded(self, row: Payment, preimage: bytes) -> Payment:
        row = self._node.db.settle(row, preimage, int(self._node.world.clock.now()))
        self._seen(row)
        for waiter in self._waiters.pop(_key(row), []):
            if not waiter.done():
                waiter.set_result(row)
        self._node.notify("sendpay_success", row.to_json())
        return row

    def _failed(
        self, row: Payment, code: int, text: str, fields: dict[str, Any], erroronion: bytes | None
    ) -> RpcError:
        """Mark it and tell; like lightningd's, the report shows the row as it was before."""
        error = RpcError(code, text, {**row.to_json(), **fields})
        kept = {name: value for name, value in fields.items() if name not in ("raw_message", "onionreply")}
        failure = json.dumps({"code": code, "message": text, "fields": kept})
        self._seen(self._node.db.fail(row, failure, erroronion, int(self._node.world.clock.now())))
        for waiter in self._waiters.pop(_key(row), []):
            if not waiter.done():
                waiter.set_exception(error)
        self._node.notify("sendpay_failure", error.to_json())
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
            raise _remembered(row)
        return row.to_json()


def local_aliases(channel: SimChannel) -> tuple[Scid, Scid]:
    """What each side calls the channel besides its scid; announced ones have such names as well (BOLT 2)."""
    if not channel.announced:
        return channel.aliases
    name = 0xF1 << 56 | (channel.scid >> 16) << 17 | (channel.scid & 0x7FFF) << 1
    return Scid(name & (1 << 64) - 1), Scid((name | 1) & (1 << 64) - 1)


def _paid_invoice(node: SimNode, part: PartRequest, preimage: bytes) -> dict[str, Any]:
    rows = node.db.query("SELECT label FROM invoices WHERE payment_hash = ?", part.payment_hash)
    return {"msat": part.amount_msat, "preimage": preimage.hex(), "label": rows[0]["label"] if rows else ""}


def _key(row: Payment) -> PartKey:
    return (row.payment_hash, row.groupid, row.partid)


def _in_progress(row: Payment) -> dict[str, Any]:
    return {"message": "Monitor status with listpays or waitsendpay", **row.to_json()}


def _same(row: Payment, part: PartRequest, destination: bytes, words: str) -> None:
    """A repeat must be the same payment. Raises RpcError."""
    if row.amount_msat != part.amount_msat:
        raise RpcError(ALREADY_USED, f"{words} with amount {row.amount_msat}msat (not {part.amount_msat}msat)")
    if row.destination is not None and row.destination != destination:
        raise RpcError(ALREADY_USED, f"{words} to {row.destination.hex()}")


def _same_group(row: Payment, part: PartRequest) -> None:
    if row.groupid != part.groupid:
        raise RpcError(
            IN_PROGRESS,
            f"Payment with groupid={row.groupid} still in progress, cannot retry before that completes.",
        )
    if (row.partid == 0) != (part.partid == 0):
        kind = "parallel" if row.partid else "non-parallel"
        raise RpcError(IN_PROGRESS, f"Already have {kind} payment in progress")


def _blame(
    index: int, failcode: int, node: bytes, scid: int | None, direction: int | None, message: bytes
) -> dict[str, Any]:
    """The routing failure fields, in lightningd's order."""
    fields: dict[str, Any] = {"erring_index": index, "failcode": int(failcode)}
    if not wire_name(failcode).startswith("UNKNOWN"):
        fields["failcodename"] = wire_name(failcode)
    fields["erring_node"] = node.hex()
    if scid is not None:
        fields["erring_channel"] = format_scid(scid)
        fields["erring_direction"] = direction
    if message:
        fields["raw_message"] = message.hex()
    return fields


def _code_of(outcome: Failed, row: Payment) -> int:
    """Only the recipient's own permanent refusal is final."""
    if outcome.erring_index and outcome.erring_node == row.destination:
        if outcome.failcode & BADONION:
            return UNPARSABLE_ONION
        if outcome.failcode & PERM:
            return DESTINATION_FAILED
    return TRY_OTHER_ROUTE


def _remembered(row: Payment) -> RpcError:
    """A failure as the table has it: without what the node that failed had said."""
    if row.failure is None:
        return RpcError(209, "Payment failure reason unknown")
    failure = json.loads(row.failure)
    fields = failure["fields"]
    code = failure["code"]
    if row.erroronion is not None:
        fields = {"onionreply": row.erroronion.hex()}
    elif fields.get("failcode", 0) & BADONION:
        code = UNPARSABLE_ONION
    return RpcError(code, failure["message"], {**row.to_json(), **fields})
