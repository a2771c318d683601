"""The table of payments: listsendpays, listpays, delpay, autoclean-once."""

from __future__ import annotations

from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, checked, host_command
from pay.sim.lightningd.payments.database import Payment, Status
from pay.sim.lightningd.payments.failures import NO_SUCH_PAYMENT
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import (
    INVALID_PARAMS,
    BadParam,
    invstring,
    one_of,
    opt,
    req,
    sha256,
    string,
    u32,
    u64,
)
from pay.sim.network.encoding.bolt11 import decode as decode_bolt11
from pay.sim.network.unsigned import needs_signature

_status = one_of("should be an invoice status", "pending", "complete", "failed")
_index = one_of("Unknown index", "created", "updated")


@host_command(
    "listsendpays", opt("bolt11", invstring), opt("payment_hash", sha256), opt("status", _status),
    opt("index", _index), opt("start", u64, 0), opt("limit", u32),
)  # fmt: skip
def listsendpays(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    return {"payments": [row.to_json() for row in _select(context, args)]}


def _select(context: Context, args: dict[str, Any]) -> list[Payment]:
    payment_hash = args["payment_hash"]
    if payment_hash is not None and args["bolt11"] is not None:
        raise RpcError(INVALID_PARAMS, "Can only specify one of {bolt11} or {payment_hash}")
    if args["start"] and args["index"] is None:
        raise RpcError(INVALID_PARAMS, "Can only specify {start} with {index}")
    if args["limit"] is not None and args["index"] is None:
        raise RpcError(INVALID_PARAMS, "Can only specify {limit} with {index}")
    if args["start"] and (payment_hash is not None or args["bolt11"] is not None):
        raise RpcError(INVALID_PARAMS, "Cannot use start with bolt11 or payment_hash")
    if args["bolt11"] is not None:
        try:
            known = needs_signature(context.world.state, args["bolt11"])
            payment_hash = decode_bolt11(args["bolt11"], check_signature=known).payment_hash
        except ValueError:
            # lightningd tries BOLT 12 last, and so has only the words of that.
            raise RpcError(INVALID_PARAMS, "Invalid invstring: invalid bech32 string") from None
    if payment_hash is not None:
        # A status beside the hash is ignored, as lightningd does.
        return context.db.payments("payment_hash = ?", payment_hash)
    column = "updated_index" if args["index"] == "updated" else "id"
    where, values = f"{column} >= ?", [args["start"]]
    if args["status"] is not None:
        where, values = f"{where} AND status = ?", [*values, int(Status.of(args["status"]))]
    return context.db.payments(where, *values, order=column, limit=-1 if args["limit"] is None else args["limit"])


@host_command(
    "listpays", opt("bolt11", invstring), opt("payment_hash", sha256), opt("status", string),
    opt("index", string), opt("start", u64, 0), opt("limit", u32),
)  # fmt: skip
def listpays(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """As cln-xpay makes it since v26.06: rows of one (payment_hash, groupid) in one entry."""
    if args["status"] is not None:
        try:
            _status(args["status"])
        except BadParam as bad:
            raise context.bad_param("status", bad.problem, args["status"], command) from None
    groups: dict[tuple[bytes, int], list[Payment]] = {}
    for row in _select(context, args):
        groups.setdefault((row.payment_hash, row.groupid), []).append(row)
    return {"pays": [_pay_entry(rows) for rows in groups.values()]}


def _pay_entry(rows: list[Payment]) -> dict[str, Any]:
    first = rows[0]
    alive = [row for row in rows if row.status is not Status.FAILED]
    complete = [row for row in rows if row.status is Status.COMPLETE]
    status = Status.COMPLETE if complete else Status.PENDING if alive else Status.FAILED
    shown: dict[str, Any] = {}
    invoice = next((row.invstring for row in rows if row.invstring is not None), None)
    if invoice is not None:
        shown["bolt12" if invoice.startswith("lni") else "bolt11"] = invoice
    description = next((row.description for row in rows if row.description is not None), None)
    if description is not None:
        shown["description"] = description
    if first.destination is not None:
        shown["destination"] = first.destination.hex()
    shown |= {"payment_hash": first.payment_hash.hex(), "status": status.word, "created_at": first.created_at}
    finished = [row.completed_at for row in complete if row.completed_at is not None]
    if finished:
        shown["completed_at"] = min(finished)
    if first.label is not None:
        shown["label"] = first.label
    if complete and complete[-1].payment_preimage is not None:
        shown["preimage"] = complete[-1].payment_preimage.hex()
    if alive and all(row.amount_msat for row in alive):
        shown["amount_msat"] = sum(row.amount_msat for row in alive)
    shown["amount_sent_msat"] = sum(row.amount_sent_msat for row in alive)
    if len(alive) > 1:
        shown["number_of_parts"] = len(alive)
    shown["created_index"] = min(row.id for row in rows)
    updated = max(row.updated_index for row in rows)
    if updated:
        shown["updated_index"] = updated
    return shown


def _finished_status(value: Any) -> str:
    status = _status(value)
    if status == "pending":
        raise BadParam("Cannot delete pending status")
    return status


@host_command(
    "delpay", req("payment_hash", sha256), req("status", _finished_status), opt("partid", u64),
    opt("groupid", u64), checks_itself=True,
)  # fmt: skip
def delpay(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    payment_hash, wanted = args["payment_hash"], Status.of(args["status"])
    partid, groupid = args["partid"], args["groupid"]
    if (partid is None) != (groupid is None):
        raise RpcError(INVALID_PARAMS, "Must set both partid and groupid, or neither")
    rows = context.db.payments("payment_hash = ?", payment_hash)
    if not rows:
        raise RpcError(NO_SUCH_PAYMENT, f"Unknown payment with payment_hash: {payment_hash.hex()}")
    if groupid is not None:
        rows = [row for row in rows if (row.partid, row.groupid) == (partid, groupid)]
    doomed = [row for row in rows if row.status is wanted]
    if not doomed:
        others = [row.status.word for row in rows]
        if others:
            raise RpcError(
                NO_SUCH_PAYMENT,
                f"Payment with hash {payment_hash.hex()} has {others[-1]} status but it different from the one"
                f" provided {wanted.word}",
            )
        raise RpcError(NO_SUCH_PAYMENT, "No payment for that payment_hash with that partid and groupid")
    checked(command)
    context.db.delete_payments(doomed)
    return {"payments": [row.to_json() for row in doomed]}


_subsystem = one_of(
    "should be a valid subsystem name", "succeededforwards", "failedforwards", "succeededpays", "failedpays",
    "paidinvoices", "expiredinvoices", "networkevents",
)  # fmt: skip
_CLEANED = {"succeededpays": Status.COMPLETE, "failedpays": Status.FAILED}


@host_command("autoclean-once", req("subsystem", _subsystem), req("age", u64))
def autoclean_once(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """Deletes row by row what was begun `age` seconds ago, whether other parts of the payment are out or not.

    Only payments are cleaned here; of the rest there is nothing in the box. An age of 0 is none at all.
    """
    if args["age"] == 0:
        return {"autoclean": {}}
    name, latest_s = args["subsystem"], int(context.world.clock.now()) - args["age"]
    status = _CLEANED.get(name)
    rows = context.db.payments("status = ?", int(status)) if status is not None else []
    old = [row for row in rows if row.created_at <= latest_s]
    context.db.delete_payments(old)
    return {"autoclean": {name: {"cleaned": len(old), "uncleaned": len(rows) - len(old)}}}
