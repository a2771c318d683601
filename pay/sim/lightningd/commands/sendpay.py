"""Paying by hand: sendpay, waitsendpay, preapproveinvoice."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, checked, host_command
from pay.sim.lightningd.payments.failures import NO_SUCH_PAYMENT
from pay.sim.lightningd.payments.part import PartRequest, RouteHop
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import (
    INVALID_PARAMS,
    BadParam,
    escaped_string,
    hex_bytes,
    invstring,
    msat,
    msat_or_problem,
    number,
    opt,
    raw_string,
    req,
    secret,
    sha256,
    u32,
    u64,
)
from pay.units import ScidDir, parse_node_id, parse_scid

DECLINED = 213


def _route(value: Any) -> tuple[RouteHop, ...]:
    if not isinstance(value, list):
        raise BadParam("must be an array")
    return tuple(_hop(element) for element in value)


def _hop(element: Any) -> RouteHop:
    channel = _either(element, "short_channel_id_dir", "channel")
    try:
        scid = ScidDir.parse(channel).scid if "/" in str(channel) else parse_scid(channel)
    except ValueError:
        raise BadParam("bad short_channel_id", channel) from None
    identity = _either(element, "node_id_out", "id")
    try:
        node = parse_node_id(identity)
    except ValueError:
        raise BadParam("bad node_id", identity) from None
    amount_msat = msat_or_problem(_either(element, "amount_out_msat", "amount_msat"), "bad amount")
    delay = _either(element, "cltv_out", "delay")
    try:
        blocks = u32(delay)
    except BadParam:
        raise BadParam("bad cltv_out/delay", delay) from None
    return RouteHop(scid, node, amount_msat, blocks)


def _either(element: Any, new: str, old: str) -> Any:
    if isinstance(element, dict):
        for name in (new, old):
            if name in element:
                return element[name]
    raise BadParam(f"must have either {new} or {old}", element)


@host_command(
    "sendpay", req("route", _route), req("payment_hash", sha256), opt("label", escaped_string),
    opt("amount_msat", msat), opt("bolt11", invstring), opt("payment_secret", secret), opt("partid", u64, 0),
    opt("localinvreqid", sha256), opt("groupid", u64), opt("payment_metadata", hex_bytes),
    opt("description", raw_string), checks_itself=True,
)  # fmt: skip
def sendpay(context: Context, command: Command, args: dict[str, Any]) -> Answer | Awaitable[Answer]:
    route, total_msat, partid = args["route"], args["amount_msat"], args["partid"]
    if partid and total_msat is None:
        raise RpcError(INVALID_PARAMS, "Must specify msatoshi with partid")
    amount_msat = route[-1].amount_msat if route else total_msat
    if not route:
        if total_msat is None:
            raise RpcError(INVALID_PARAMS, "Self-payment requires amount_msat")
        if partid:
            raise RpcError(INVALID_PARAMS, "Self-payment does not allow (non-zero) partid")
    elif not partid and total_msat not in (None, amount_msat):
        raise RpcError(
            INVALID_PARAMS,
            f"Do not specify msatoshi ({total_msat}msat) without partid: if you do, it must be exactly the final"
            f" amount ({amount_msat}msat)",
        )
    elif partid and amount_msat > total_msat:
        raise RpcError(
            INVALID_PARAMS, f"Final amount {amount_msat}msat is greater than {total_msat}msat, despite MPP"
        )
    elif partid and args["payment_secret"] is None:
        raise RpcError(INVALID_PARAMS, "partid requires payment_secret")
    checked(command)
    groupid = args["groupid"]
    if groupid is None:
        groupid = context.db.highest_groupid(args["payment_hash"]) + 1
    part = PartRequest(
        args["payment_hash"], groupid, partid, route, amount_msat,
        amount_msat if total_msat is None else total_msat, args["payment_secret"], args["payment_metadata"],
        args["label"], args["bolt11"], args["description"],
    )  # fmt: skip
    if not route:
        return context.payments.pay_ourselves(part)
    answer = context.payments.send(part)
    return _after_outcome(context, part, answer) if context.faults.early_outcomes else answer


async def _after_outcome(context: Context, part: PartRequest, answer: Answer) -> Answer:
    """The answer, held back until everybody else knows the outcome."""
    row = context.db.payment(*part.key)
    if row is not None:
        with contextlib.suppress(RpcError):
            await context.payments.wait(row, None)
    return answer


@host_command(
    "waitsendpay", req("payment_hash", sha256), opt("timeout", number), opt("partid", u64, 0), opt("groupid", u64)
)
async def waitsendpay(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    payment_hash, groupid = args["payment_hash"], args["groupid"]
    if groupid is None:
        groupid = context.db.highest_groupid(payment_hash)
    row = context.db.payment(payment_hash, groupid, args["partid"])
    if row is None:
        raise RpcError(
            NO_SUCH_PAYMENT, f"Never attempted payment part {args['partid']} for '{payment_hash.hex()}'"
        )
    return await context.payments.wait(row, args["timeout"])


@host_command("preapproveinvoice", req("bolt11", invstring), checks_itself=True)
def preapproveinvoice(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    if context.faults.decline_preapproval:
        raise RpcError(DECLINED, "invoice was declined")
    checked(command)
    return {}
