"""The commands of lightningd that we use, with types; what they answer is checked here and nowhere else.

Reads are repeated until the host answers (`patient`): nothing was changed by them, and without the answer there is
nothing true to say. `sendpay` is never repeated here; its caller knows what an unanswered one means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from pay.errors import Code, HostsOwn, PayError
from pay.feedback.failure import Failure
from pay.host.own_htlcs import STEPS, OwnHtlc
from pay.host.rpc import CallError, HostRpc, Unanswered
from pay.invoice import Invoice
from pay.log_events import EventLog, LogEvent
from pay.network.hints import OwnChannel
from pay.routing.query import Route
from pay.units import NodeId, direction_of, format_scid, parse_node_id, parse_scid

log = EventLog("pay.host")

T = TypeVar("T")

_FOR_EVER_S = 10.0 * 365 * 86_400

METHOD_NOT_FOUND = -32601
"""JSON-RPC 2.0: the host has no such command."""

UNPARSABLE_ONION = 202
"""sendpay: an error came back that nobody on the route seems to have written."""

_RETRY_FIRST_S, _RETRY_MOST_S = 0.1, 5.0

APPROVAL_S = 120.0
"""So long at least a preapproval is waited for: a signer may ask a person. Who calls waits meanwhile."""

_NOT_APPROVED = (
    "Not paid: the node's preapproval of this invoice gave no answer in {:.0f} s (does a signer or a hook wait "
    "for somebody?). Nothing was sent: see to it and pay again"
)

USABLE_STATES = frozenset({"CHANNELD_NORMAL", "CHANNELD_AWAITING_SPLICE"})
"""States in which a channel takes HTLCs; any other state is tolerated and unused."""

SHUTTING_STATES = frozenset({"CHANNELD_SHUTTING_DOWN"})
"""States in which a channel takes no more HTLCs and still ends those that it has."""


class SendpayStatus(Enum):
    PENDING = "pending"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SendpayRow:
    """One row of `listsendpays`: one part that the host has or had.

    Parameters
    ----------
    amount_msat
        What it delivers; None where the host does not know (a part with a foreign onion).
    created_at, completed_at
        Unix times of its start and its end.
    """

    groupid: int
    partid: int
    status: SendpayStatus
    amount_msat: int | None
    sent_msat: int
    created_at: int
    destination: str | None
    preimage: bytes | None
    completed_at: int | None = None


@dataclass(frozen=True, slots=True)
class PartOrder:
    """All that one `sendpay` says beside its route."""

    payment_hash: str
    total_msat: int
    groupid: int
    bolt11: str
    payment_secret: str | None
    payment_metadata: str | None
    label: str | None
    description: str | None
    localinvreqid: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """What `getinfo` tells of us."""

    us: NodeId
    network: str
    height: int


class Host:
    """A typed view of the host's RPC."""

    def __init__(self, rpc: HostRpc):
        self._rpc = rpc

    async def patient(self, method: str, params: dict[str, Any]) -> Any:
        """Call a command that changes nothing until there is an answer. Raises CallError."""
        pause_s = _RETRY_FIRST_S
        while True:
            try:
                return await self._rpc.acall(method, params)
            except Unanswered as error:
                if pause_s == _RETRY_FIRST_S:
                    log.unusual(LogEvent.HOST_UNANSWERED, "method=%s error=%r", method, str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _RETRY_MOST_S)

    async def certain(
        self, method: str, params: dict[str, Any], read: Callable[[Any], T], over: Collection[int] = ()
    ) -> T:
        """Ask until the host gives an answer that can be read.

        For what has to be known before anything can be said of a payment: errors are waited out, but for those
        with a code of `over` (raised as CallError).
        """
        pause_s = _RETRY_FIRST_S
        while True:
            try:
                return read(await self.patient(method, params))
            except (CallError, KeyError, TypeError, ValueError) as error:
                if isinstance(error, CallError) and error.code in over:
                    raise
                if pause_s == _RETRY_FIRST_S:
                    log.unusual(LogEvent.HOST_TROUBLE, "method=%s error=%r: payments wait for it", method, error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _RETRY_MOST_S)

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """Call once. Raises CallError, Unanswered."""
        return await self._rpc.acall(method, params)

    async def at_length(self, method: str, params: dict[str, Any]) -> Any:
        """Call once what may take days. Raises CallError; Unanswered where the connection ends."""
        return await self._rpc.acall(method, params, timeout_s=_FOR_EVER_S)

    async def decode(self, invstring: str, network: str) -> Invoice:
        """The invoice as the host reads it.

        Raises
        ------
        CallError
            -32602, where the host cannot read it; -32601 where it has no `decode`.
        PayError
            -32602, where it is nothing that can be paid or not for `network`.
        """

        def read(answer: Any) -> Invoice:
            return Invoice.from_decode(invstring, dict(answer), network)

        final = (Code.INVALID_PARAMS, METHOD_NOT_FOUND)
        return await self.certain("decode", {"string": invstring}, read, over=final)

    async def identity(self) -> Identity:
        """Who we are, on which chain and at which block."""

        def read(info: Any) -> Identity:
            return Identity(parse_node_id(info["id"]), str(info["network"]), int(info["blockheight"]))

        return await self.certain("getinfo", {}, read)

    async def preapprove(self, invstring: str, retry_for_s: float, only_check: bool = False) -> None:
        """Ask the operator's signer or policy; nothing is out before.

        Raises
        ------
        PayError
            It declines, or (-1) does not answer within `retry_for_s`, and `APPROVAL_S` at least.
        """
        method, params = "preapproveinvoice", {"bolt11": invstring}
        if only_check:
            method, params = "check", {"command_to_check": method, **params}
        patience_s = max(APPROVAL_S, retry_for_s)
        pause_s = _RETRY_FIRST_S
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    try:
                        # Not asked again while it may only be slow: a person would see it twice.
                        await self._rpc.acall(method, params, timeout_s=patience_s)
                        return
                    except Unanswered as error:
                        if pause_s == _RETRY_FIRST_S:
                            log.unusual(LogEvent.HOST_UNANSWERED, "method=%s error=%r", method, str(error))
                        await asyncio.sleep(pause_s)
                        pause_s = min(pause_s * 2, _RETRY_MOST_S)
        except CallError as error:
            raise PayError(error.code, error.message, HostsOwn(error.data)) from error
        except TimeoutError:
            raise PayError(Code.OTHER, _NOT_APPROVED.format(patience_s)) from None

    async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
        """All parts of this hash that the host knows, in the order they were made."""
        params = {"payment_hash": payment_hash.hex()}
        return await self.certain(
            "listsendpays", params, lambda answer: [_row(fields) for fields in answer["payments"]]
        )

    async def rows_of_invoice(self, invstring: str) -> list[SendpayRow]:
        """The same by the invoice's own text. Raises CallError (-32602) where that is no invoice."""
        return await self.certain(
            "listsendpays",
            {"bolt11": invstring},
            lambda answer: [_row(fields) for fields in answer["payments"]],
            over=(Code.INVALID_PARAMS,),
        )

    async def own_channels(self, us: bytes) -> list[ListedChannel]:
        answer = await self.patient("listpeerchannels", {})
        return list(_own_channels(answer["channels"], us))

    async def sendpay(self, order: PartOrder, partid: int, route: Route | None) -> dict[str, Any]:
        """Send one part; `route` None is to ourselves. Raises CallError, Unanswered."""
        params: dict[str, Any] = {
            "route": sendpay_route(route),
            "payment_hash": order.payment_hash,
            "amount_msat": order.total_msat,
            "partid": partid,
            "groupid": order.groupid,
            "bolt11": order.bolt11,
        }
        for key in ("payment_secret", "payment_metadata", "label", "description", "localinvreqid"):
            value = getattr(order, key)
            if value is not None:
                params[key] = value
        answer = await self._rpc.acall("sendpay", params)
        if not isinstance(answer, dict) or answer.get("status") not in ("pending", "complete"):
            raise Unanswered(f"sendpay: an answer that is no row: {answer!r:.200}")
        return answer

    async def own_htlcs(self) -> list[OwnHtlc]:
        """HTLCs that go out of us and are not over, in the order of our channels. Raises CallError."""
        return list(_own_htlcs((await self.patient("listpeerchannels", {}))["channels"]))


@dataclass(frozen=True, slots=True)
class ListedChannel:
    """One of our channels, and payment_hash and msat of each HTLC that goes out through it."""

    channel: OwnChannel
    sent: tuple[tuple[bytes, int], ...] = ()


def sendpay_route(route: Route | None) -> list[dict[str, Any]]:
    """`route` as `sendpay` takes it."""
    if route is None:
        return []
    return [
        {
            "id": hop.node.hex(),
            "channel": format_scid(hop.scid),
            "direction": hop.direction,
            "amount_msat": hop.amount_msat,
            "delay": hop.delay_blocks,
            "style": "tlv",
        }
        for hop in route.hops
    ]


def read_failure(code: int, message: str, data: dict[str, Any]) -> Failure:
    """A failed part from the fields of a `sendpay_failure` or of an error of `sendpay`.

    204 without an erring_index is a refusal of our own channel before there was an HTLC.
    """
    index = data.get("erring_index")
    if index is None and code == 204:
        index = 0
    failcode = data.get("failcode")
    return Failure(
        erring_index=None if index is None else int(index),
        failcode=None if failcode is None else int(failcode),
        reason=message,
        raw_message=bytes.fromhex(data.get("raw_message") or ""),
        erring_node=bytes.fromhex(data["erring_node"]) if data.get("erring_node") else None,
        unreadable=code == UNPARSABLE_ONION,
    )


def _row(fields: dict[str, Any]) -> SendpayRow:
    preimage = fields.get("payment_preimage")
    amount, completed_at = fields.get("amount_msat"), fields.get("completed_at")
    return SendpayRow(
        groupid=int(fields.get("groupid", 0)),
        partid=int(fields.get("partid", 0)),
        status=SendpayStatus(fields["status"]),
        amount_msat=None if amount is None else int(amount),
        sent_msat=int(fields["amount_sent_msat"]),
        created_at=int(fields["created_at"]),
        destination=fields.get("destination"),
        preimage=None if preimage is None else bytes.fromhex(preimage),
        completed_at=None if completed_at is None else int(completed_at),
    )


def _own_channels(channels: Iterable[dict[str, Any]], us: bytes) -> Iterable[ListedChannel]:
    for fields in channels:
        alias = fields.get("alias") or {}
        name = _name_in_routes(fields)
        if fields.get("state") not in USABLE_STATES or name is None:
            continue
        peer = parse_node_id(fields["peer_id"])
        names = {name, *alias.values()}
        updates = (fields.get("updates") or {}).get("local") or {}
        spendable = int(fields.get("spendable_msat", 0))
        sent = tuple(_hash_and_msat(htlc) for htlc in fields.get("htlcs", ()) if htlc.get("direction") == "out")
        channel = OwnChannel(
            scid=parse_scid(name),
            direction=direction_of(us, peer),
            peer=peer,
            spendable_msat=spendable,
            receivable_msat=int(fields.get("receivable_msat", 0)),
            htlc_min_msat=int(fields.get("minimum_htlc_out_msat", 0)),
            htlc_max_msat=int(fields.get("maximum_htlc_out_msat", spendable)),
            max_htlcs=int(fields.get("max_accepted_htlcs", 483)),
            live_htlcs=len(sent),
            connected=bool(fields.get("peer_connected")) and fields.get("reestablished") is not False,
            announced=not fields.get("private", False),
            fee_base_msat=int(updates.get("fee_base_msat", 0)),
            fee_ppm=int(updates.get("fee_proportional_millionths", 0)),
            cltv_delta=int(updates.get("cltv_expiry_delta", 0)),
            outgoing_msat=sum(amount_msat for _, amount_msat in sent),
            names=frozenset(parse_scid(text) for text in names),
        )
        yield ListedChannel(channel, sent)


def _hash_and_msat(htlc: dict[str, Any]) -> tuple[bytes, int]:
    return bytes.fromhex(htlc["payment_hash"]), int(htlc["amount_msat"])


def _own_htlcs(channels: Iterable[dict[str, Any]]) -> Iterable[OwnHtlc]:
    for fields in channels:
        name = _name_in_routes(fields)
        for htlc in fields.get("htlcs", ()):
            step = STEPS.get(htlc.get("state"))
            if htlc.get("direction") != "out" or step is None or name is None:
                continue
            yield OwnHtlc(
                payment_hash=bytes.fromhex(htlc["payment_hash"]),
                scid=parse_scid(name),
                amount_msat=int(htlc["amount_msat"]),
                expiry=int(htlc["expiry"]),
                step=step,
                connected=bool(fields.get("peer_connected")),
                closing=fields.get("state") not in USABLE_STATES | SHUTTING_STATES,
            )


def _name_in_routes(fields: dict[str, Any]) -> str | None:
    """The short_channel_id that routes name a channel of ours by; an alias while it has none."""
    name = fields.get("short_channel_id") or (fields.get("alias") or {}).get("local")
    return None if name is None else str(name)


__all__ = [
    "CallError", "Host", "ListedChannel", "PartOrder", "SendpayRow", "SendpayStatus", "Unanswered", "read_failure",
]  # fmt: skip
