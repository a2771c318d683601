"""Commands of the builtin pay plugin: pay and paystatus.

The forms and words of the real one; what it sends is one part on the cheapest way, tried once. Knowingly not done:
what `paystatus` says of tries in between, `exclude`, `riskfactor`.

Source: plugins/pay.c and libplugin-pay.c (v26.06).
"""

from __future__ import annotations

import contextlib
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.invoice_params import Words, read_ask
from pay.sim.lightningd.commands.sendpay import DECLINED
from pay.sim.lightningd.commands.table import Answer, checked, host_command
from pay.sim.lightningd.payments.database import Payment, Status
from pay.sim.lightningd.payments.failures import DESTINATION_FAILED
from pay.sim.lightningd.payments.single import Ask, NoWay, part_of, row_of, way
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import (
    INVALID_PARAMS,
    any_value,
    boolean,
    escaped_string,
    invstring,
    msat,
    number,
    opt,
    percent,
    req,
    sha256,
    string,
)

METHOD_NOT_FOUND = -32601
NO_ROUTE, STOPPED = 205, 210
DEPRECATED_SINCE = (26, 6)
_WORDS = Words(
    "Invalid bolt11: {}", "msatoshi parameter required", "msatoshi parameter unnecessary",
    lambda _: "Invoice expired",
)  # fmt: skip
_PARAMS = (
    req("bolt11", invstring), opt("amount_msat", msat), opt("label", string), opt("riskfactor", percent, 10.0),
    opt("maxfeepercent", percent), opt("retry_for", number, 60), opt("maxdelay", number, 2016),
    opt("exemptfee", msat), opt("localinvreqid", sha256), opt("exclude", any_value), opt("maxfee", msat),
    opt("description", escaped_string), opt("partial_msat", msat),
    opt("dev_use_shadow", boolean, True, developer=True),
)  # fmt: skip


@host_command("pay", *_PARAMS, checks_itself=True)
async def pay(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    if not context.settings.allow_deprecated and context.settings.release >= DEPRECATED_SINCE:
        raise RpcError(METHOD_NOT_FOUND, 'Command "pay" is deprecated')
    ask = read_ask(context, args["bolt11"], args, _WORDS, lambda paid: _limit_msat(paid, args))
    if context.faults.decline_preapproval:
        raise RpcError(DECLINED, "invoice was declined")
    checked(command)
    while earlier := context.db.payments("payment_hash = ?", ask.invoice.payment_hash):
        complete = [row for row in earlier if row.status is Status.COMPLETE]
        if complete:
            return _paid(ask, complete, float(complete[0].created_at))
        pending = [row for row in earlier if row.status is Status.PENDING]
        if not pending:
            break
        for row in pending:
            with contextlib.suppress(RpcError):
                await context.payments.wait(row, None)
    began_s = context.world.clock.now()
    return _paid(ask, [await _pay(context, ask)], began_s)


@host_command("paystatus", opt("bolt11", invstring))
def paystatus(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    return {"pay": []}


def _limit_msat(part_msat: int, args: dict[str, Any]) -> int:
    """Of fees. Raises RpcError."""
    given = [args["maxfeepercent"], args["exemptfee"]]
    if args["maxfee"] is None:
        percentage = 0.5 if given[0] is None else given[0]
        return max(int(part_msat * percentage / 100), 5000 if given[1] is None else given[1])
    if given != [None, None]:
        text = "If you specify maxfee, cannot specify maxfeepercent or exemptfee."
        raise RpcError(INVALID_PARAMS, text)
    return int(args["maxfee"])


async def _pay(context: Context, ask: Ask) -> Payment:
    """Pay; the row of its part. Raises RpcError."""
    try:
        route = way(context, ask)
    except NoWay:
        text = "Ran out of routes to try after 1 attempt: see `paystatus`"
        raise RpcError(NO_ROUTE, text) from None
    groupid = context.db.highest_groupid(ask.invoice.payment_hash) + 1
    part = part_of(ask, route, groupid, 1)
    context.payments.send(part)
    try:
        await context.payments.wait(row_of(context, part), None)
    except RpcError as error:
        if error.code == DESTINATION_FAILED:
            raise
        raise RpcError(STOPPED, "Ran out of routes to try after 1 attempt: see `paystatus`") from None
    return row_of(context, part)


def _paid(ask: Ask, rows: list[Payment], created_at: float) -> Answer:
    preimage = rows[0].payment_preimage
    assert preimage is not None
    return {
        "destination": ask.invoice.payee.hex(),
        "payment_hash": ask.invoice.payment_hash.hex(),
        "created_at": created_at,
        "parts": len(rows),
        "amount_msat": sum(row.amount_msat for row in rows),
        "amount_sent_msat": sum(row.amount_sent_msat for row in rows),
        "payment_preimage": preimage.hex(),
        "status": "complete",
    }
