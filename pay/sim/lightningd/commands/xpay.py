"""Commands of cln-xpay and of the builtin pay plugin: xpay, xpay-as-pay, pay, paystatus."""

from __future__ import annotations

from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, host_command
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import invstring, msat, number, opt, req, string


@host_command("xpay", req("invstring", invstring), opt("amount_msat", msat))
def xpay(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    raise RpcError(-1, "this is cln-xpay: it is only there to own its name")


@host_command("xpay-as-pay", req("invstring", invstring), opt("amount_msat", msat), opt("retry_for", number))
def xpay_as_pay(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    raise RpcError(-1, "xpay-handle-pay is on: cln-xpay would have answered this pay, not the plugin")


@host_command("pay", req("bolt11", invstring), allow_extra=True)
def pay(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    raise RpcError(-1, "this is the builtin pay: it is only there to own its name")


@host_command("paystatus", opt("bolt11", string))
def paystatus(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    return {"pay": []}
