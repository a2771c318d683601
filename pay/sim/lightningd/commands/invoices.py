"""Our own invoices: invoice, listinvoices, delinvoice, waitinvoice is not done."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, checked, host_command
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import (
    INVALID_PARAMS,
    any_value,
    boolean,
    escaped_string,
    invstring,
    label,
    msat_or_any,
    number,
    opt,
    preimage,
    req,
    u32,
    u64,
)
from pay.sim.lightningd.rpc.params import sha256 as hash_param
from pay.sim.network.encoding.bolt11 import decode as decode_bolt11
from pay.sim.network.unsigned import needs_signature

LABEL_EXISTS = 900
PREIMAGE_EXISTS = 901
_WEEK_S = 604_800
_MAX_DESCRIPTION_BYTES = 639


@host_command(
    "invoice", req("amount_msat", msat_or_any), req("label", label), req("description", escaped_string),
    opt("expiry", u64, _WEEK_S), opt("fallbacks", any_value), opt("preimage", preimage),
    opt("exposeprivatechannels", any_value), opt("cltv", number), opt("deschashonly", boolean, False),
    checks_itself=True,
)  # fmt: skip
def invoice(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    description = args["description"]
    if len(description.encode()) > _MAX_DESCRIPTION_BYTES and not args["deschashonly"]:
        raise RpcError(
            INVALID_PARAMS,
            f"Description greater than {_MAX_DESCRIPTION_BYTES} bytes invalid (description length"
            f" {len(description.encode())})",
        )
    if context.db.query("SELECT 1 FROM invoices WHERE label = ?", args["label"]):
        raise RpcError(LABEL_EXISTS, f"Duplicate label '{args['label']}'")
    checked(command)
    world = context.world
    hints = [c.hint_for(context.us) for c in context.own.channels if not c.announced and not c.closed]
    try:
        made = world.create_invoice(
            context.us, args["amount_msat"], description, expiry=args["expiry"], hints=hints,
            final_cltv=args["cltv"], preimage=args["preimage"] or secrets.token_bytes(32),
            description_hash=sha256(description.encode()).digest() if args["deschashonly"] else None,
        )  # fmt: skip
    except ValueError as error:
        raise RpcError(PREIMAGE_EXISTS, "preimage already used") from error
    context.db.query(
        "INSERT INTO invoices (label, bolt11, payment_hash, preimage, payment_secret, amount_msat, description,"
        " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        args["label"], made.bolt11, made.payment_hash, made.preimage, made.payment_secret, made.amount_msat,
        description, made.expires_at,
    )  # fmt: skip
    created = {"msat": made.amount_msat, "preimage": made.preimage.hex(), "label": args["label"]}
    context.notify("invoice_creation", {name: value for name, value in created.items() if value is not None})
    answer: Answer = {
        "payment_hash": made.payment_hash.hex(),
        "expires_at": made.expires_at,
        "bolt11": made.bolt11,
        "payment_secret": (made.payment_secret or b"").hex(),
        "created_index": context.db.query("SELECT max(id) FROM invoices")[0][0],
    }
    receivable_msat = sum(c.receivable_msat(context.us) for c in context.own.channels if not c.closed)
    if (args["amount_msat"] or 1) >= receivable_msat:
        answer["warning_capacity"] = "Insufficient incoming channel capacity to pay invoice"
    return answer


@host_command(
    "listinvoices", opt("label", label), opt("invstring", invstring), opt("payment_hash", hash_param),
    opt("offer_id", any_value), opt("index", any_value), opt("start", u64, 0), opt("limit", u32),
)  # fmt: skip
def listinvoices(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    given = [name for name in ("label", "invstring", "payment_hash", "offer_id") if args[name] is not None]
    if len(given) > 1:
        raise RpcError(
            INVALID_PARAMS, "Can only specify one of {label}, {invstring}, {payment_hash} or {offer_id}"
        )
    wanted_hash = args["payment_hash"]
    if args["invstring"] is not None:
        try:
            known = needs_signature(context.world.state, args["invstring"])
            wanted_hash = decode_bolt11(args["invstring"], check_signature=known).payment_hash
        except ValueError:
            raise RpcError(INVALID_PARAMS, "Invalid invstring") from None
    rows = context.db.query("SELECT * FROM invoices ORDER BY id")
    shown = [
        _shown(context, row)
        for row in rows
        if args["label"] in (None, row["label"]) and wanted_hash in (None, bytes(row["payment_hash"]))
    ]
    return {"invoices": shown}


def _shown(context: Context, row: Any) -> dict[str, Any]:
    """A row together with what the world knows of it; paid is remembered when it is first seen."""
    known = context.world.invoices.get(bytes(row["payment_hash"]))
    paid_at, received_msat, pay_index = row["paid_at"], row["received_msat"], row["pay_index"]
    if paid_at is None and known is not None and known.paid_at is not None:
        paid_at, received_msat = known.paid_at, known.received_msat
        pay_index = context.db.next_index("pay_index")
        context.db.query(
            "UPDATE invoices SET paid_at = ?, received_msat = ?, pay_index = ?, updated_index = ? WHERE id = ?",
            paid_at, received_msat, pay_index, context.db.next_index("invoice_updated"), row["id"],
        )  # fmt: skip
        row = context.db.query("SELECT * FROM invoices WHERE id = ?", row["id"])[0]
    entry: dict[str, Any] = {
        "label": row["label"],
        "bolt11": row["bolt11"],
        "payment_hash": bytes(row["payment_hash"]).hex(),
    }
    if row["amount_msat"] is not None:
        entry["amount_msat"] = row["amount_msat"]
    if paid_at is not None:
        entry |= {
            "status": "paid", "pay_index": pay_index, "amount_received_msat": received_msat, "paid_at": paid_at,
            "payment_preimage": bytes(row["preimage"]).hex(),
        }  # fmt: skip
    else:
        entry["status"] = "expired" if context.world.clock.now() > row["expires_at"] else "unpaid"
    entry |= {"description": row["description"], "expires_at": row["expires_at"], "created_index": row["id"]}
    if row["updated_index"]:
        entry["updated_index"] = row["updated_index"]
    return entry
