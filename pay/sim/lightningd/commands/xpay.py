"""Commands of cln-xpay: xpay, and xpay-as-pay, by which it takes over `pay`.

The forms and words of the real one; what it sends is one part on the cheapest way, tried once. Others are told of
the part as the real one tells them: of its start before the host has taken it, and of its end only where it did.

Source: plugins/xpay/xpay.c; tried on v25.12.1 and v26.06.6.
"""

from __future__ import annotations

import json
import time
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.invoice_params import Words, read_ask
from pay.sim.lightningd.commands.sendpay import DECLINED
from pay.sim.lightningd.commands.table import Answer, checked, host_command
from pay.sim.lightningd.payments.database import Payment, Status
from pay.sim.lightningd.payments.failures import ALREADY_PAID, DESTINATION_FAILED, TRY_OTHER_ROUTE
from pay.sim.lightningd.payments.part import PartRequest
from pay.sim.lightningd.payments.single import Ask, NoWay, hops_json, injected, part_of, row_of, way
from pay.sim.lightningd.plugins.builtin import XPAY
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import (
    INVALID_PARAMS,
    boolean,
    invstring,
    label,
    msat,
    number,
    opt,
    req,
    sha256,
    string,
    strings,
    u32,
)
from pay.sim.network.encoding.failures import FailCode
from pay.units import format_scid

PLUGIN_ERROR = -3
NO_ROUTE, TOO_DEAR, GAVE_UP = 205, 206, 209
NEW_CODES = (26, 6)
"""From here on it says 219 for what was paid before, and 206 for what is too dear or too slow."""
OLD_ALREADY_PAID = 218
_NOTIFIES = (25, 9)
_NO_WAY = {
    "dear": "Could not find route without excessive cost",
    "slow": "Could not find route without excessive delays",
    "much": "We could not find a usable set of paths.",
}
_WORDS = Words(
    "Invalid bolt11 invoice: {}", "amount_msat required", "amount_msat unnecessary",
    lambda seconds: f"Invoice expired {seconds} seconds ago",
)  # fmt: skip
_PARAMS = (
    req("invstring", invstring), opt("amount_msat", msat), opt("maxfee", msat), opt("layers", strings),
    opt("retry_for", number, 60), opt("partial_msat", msat), opt("maxdelay", u32, 2016, since=(25, 2)),
    opt("payer_note", string, since=(26, 4)), opt("label", label, since=(26, 6)),
    opt("localinvreqid", sha256, since=(26, 6)),
    opt("dev_use_shadow", boolean, True, since=(26, 6), developer=True),
)  # fmt: skip


@host_command("xpay", *_PARAMS, checks_itself=True)
async def xpay(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    ask = _ask(context, command, args)
    row = await _pay(context, ask)
    return {**_paid(row), "failed_parts": 0, "successful_parts": 1}


@host_command("xpay-as-pay", *_PARAMS, checks_itself=True)
async def xpay_as_pay(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """The same in pay's form; since v26.06 what was paid before is told again."""
    ask, began_s = _ask(context, command, args), context.world.clock.now()
    try:
        rows, created_at = [await _pay(context, ask)], began_s
    except RpcError as error:
        if error.code != ALREADY_PAID:
            raise
        rows = context.db.payments("payment_hash = ?", ask.invoice.payment_hash)
        rows = [row for row in rows if row.status is Status.COMPLETE]
        created_at = rows[0].created_at
    return {
        **_paid(*rows),
        "parts": len(rows),
        "destination": ask.invoice.payee.hex(),
        "payment_hash": ask.invoice.payment_hash.hex(),
        "status": "complete",
        "created_at": created_at,
    }


def _ask(context: Context, command: Command, args: dict[str, Any]) -> Ask:
    """What is to be paid, all checks passed. Raises RpcError."""
    text = args["invstring"]
    args = {"maxdelay": 2016, "label": None, "localinvreqid": None, **args}
    limit = args["maxfee"]
    ask = read_ask(context, text, args, _WORDS, lambda paid: max(paid // 100, 5000) if limit is None else limit)
    if args["localinvreqid"] is not None:
        raise RpcError(INVALID_PARAMS, "Cannot use localinvreqid with BOLT11 payment")
    if context.faults.decline_preapproval:
        raise RpcError(DECLINED, "invoice was declined")
    checked(command)
    return ask


async def _pay(context: Context, ask: Ask) -> Payment:
    """Pay; the row of its part. Raises RpcError."""
    new = context.settings.release >= NEW_CODES
    try:
        route = way(context, ask)
    except NoWay as none:
        code = TOO_DEAR if new and none.kind != "much" else NO_ROUTE
        raise RpcError(code, f"Failed: {_NO_WAY[none.kind]}") from None
    part, began_s = injected(part_of(ask, route, 0, 1)), time.monotonic()
    _tell(context, "pay_part_start", {
        **_names(part), "total_payment_msat": ask.part_msat, "attempt_msat": ask.part_msat,
        "hops": hops_json(context.us, route),
    })  # fmt: skip
    try:
        context.payments.send(part)
    except RpcError as refused:
        if refused.code == ALREADY_PAID:
            text = "Already paid this invoice successfully"
            raise RpcError(ALREADY_PAID if new else OLD_ALREADY_PAID, text) from None
        if refused.code != TRY_OTHER_ROUTE:
            whole = json.dumps(refused.to_json())
            text = f"Unexpected injectpaymentonion error {refused.code}: {whole}"
            raise RpcError(PLUGIN_ERROR, text) from None
        raise _failed(context, part, refused, began_s) from None
    try:
        await context.payments.wait(row_of(context, part), None)
    except RpcError as error:
        raise _failed(context, part, error, began_s) from None
    ended = {"status": "success", "duration": time.monotonic() - began_s, **_names(part)}
    _tell(context, "pay_part_end", ended)
    return row_of(context, part)


def _failed(context: Context, part: PartRequest, error: RpcError, began_s: float) -> RpcError:
    """Tell others how the part ended; what the caller is told."""
    said = error.data or {}
    index, code = said.get("erring_index"), said.get("failcode")
    name = str(said.get("failcodename", error.message)).removeprefix("WIRE_").lower()
    name = error.message if index == 0 else name
    ended = {"status": "failure", **_names(part)}
    if "raw_message" in said:
        ended["failed_msg"] = said["raw_message"]
    ended["duration"] = time.monotonic() - began_s
    if index is None or code is None:
        name = "Garbled error message"
    else:
        if index:
            ended["failed_node_id"] = part.route[index - 1].node.hex()
        if index < len(part.route):
            hop = hops_json(context.us, part.route)[index]
            ended |= {"failed_short_channel_id": hop["short_channel_id"], "failed_direction": hop["direction"]}
        ended["error_code"] = int(code)
    _tell(context, "pay_part_end", {**ended, "error_message": name})
    if index == len(part.route) and code == FailCode.INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS:
        return RpcError(DESTINATION_FAILED, f"Destination said it doesn't know invoice: {name}")
    at = min(index or 0, len(part.route) - 1)
    text = f"Failed after 1 attempts. We got {name} for {format_scid(part.route[at].scid)}."
    return RpcError(GAVE_UP, f"{text} Then routing failed: {_NO_WAY['much']}")


def _names(part: PartRequest) -> dict[str, Any]:
    return {"payment_hash": part.payment_hash.hex(), "groupid": part.groupid, "partid": part.partid}


def _tell(context: Context, topic: str, payload: dict[str, Any]) -> None:
    if context.settings.release >= _NOTIFIES:
        context.plugins.tell_of(XPAY, topic, payload)


def _paid(*rows: Payment) -> dict[str, Any]:
    preimage = rows[0].payment_preimage
    assert preimage is not None
    return {
        "payment_preimage": preimage.hex(),
        "amount_msat": sum(row.amount_msat for row in rows),
        "amount_sent_msat": sum(row.amount_sent_msat for row in rows),
    }
