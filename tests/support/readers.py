"""How clients read what `pay` answers, where several tests ask them."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.clients import Look, Says

WORDS = {"complete": Says.PAID, "pending": Says.PENDING, "failed": Says.UNPAID}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
STATUSES = ("complete", "pending", "failed")


def u64(value: Any) -> int:
    assert type(value) is int and 0 <= value < 2**64, value
    return value


def octets(value: Any, size: int) -> bytes:
    raw = bytes.fromhex(value)
    assert len(raw) == size
    return raw


def pay_response(result: dict[str, Any]) -> dict[str, Any]:
    """As the strict reader has it; KeyError or AssertionError where it would fail."""
    assert 0 <= result["parts"] < 2**32 and result["status"] in STATUSES
    return {
        "amount_msat": u64(result["amount_msat"]),
        "amount_sent_msat": u64(result["amount_sent_msat"]),
        "created_at": float(result["created_at"]),
        "parts": result["parts"],
        "payment_hash": octets(result["payment_hash"], 32),
        "payment_preimage": octets(result["payment_preimage"], 32),
        "destination": octets(result["destination"], 33) if "destination" in result else None,
        "status": result["status"],
    }


def xpay_response(result: dict[str, Any]) -> dict[str, Any]:
    """The same of `xpay`: cln-grpc's message has these five fields."""
    assert len(result) == 5
    numbers = ("failed_parts", "successful_parts", "amount_msat", "amount_sent_msat")
    proof = octets(result["payment_preimage"], 32)
    return {"payment_preimage": proof, **{key: u64(result[key]) for key in numbers}}


def status_text(error: dict[str, Any], method: str = "Pay") -> str:
    """Of the gRPC status: how Rust shows the error, near enough."""
    data = json.dumps(error["data"]) if "data" in error else "None"
    message = json.dumps(error["message"], ensure_ascii=False)
    shown = f"RpcError {{ code: Some({error['code']}), message: {message}, data: {data} }}"
    return f"Error calling method {method}: {shown}"


def btcpay_after_hanging_up(seen: Look) -> Says:
    (entries,) = list(seen.listpays.values())[:1]
    last = entries[-1]
    if last["status"] == "complete":
        assert last["amount_sent_msat"] - last["amount_msat"] > 0 and last["preimage"]
    assert last["payment_hash"] == seen.payment_hash
    return WORDS[last["status"]]


def boltz_watches(seen: Look) -> Says:
    pays = seen.by_bolt11["pays"]
    complete = [pay for pay in pays if pay["status"] == "complete"]
    if complete:
        assert sum(pay["amount_sent_msat"] for pay in complete) > (seen.made.amount_msat or 0)
        assert complete[0]["preimage"]
        return Says.PAID
    out = any(
        htlc["payment_hash"] == seen.payment_hash
        for channel in seen.listpeerchannels["channels"]
        for htlc in channel["htlcs"]
    )
    if out and any(pay["status"] == "pending" for pay in pays):
        return Says.PENDING
    if all(pay["status"] == "failed" for pay in pays):
        return Says.UNPAID
    return Says.PENDING


def lnbits_socket_listpays(seen: Look) -> Says:
    pays = seen.listpays["pays"]
    if not pays:
        return Says.UNPAID
    if pays[-1]["status"] == "complete":
        assert pays[-1]["amount_sent_msat"] > pays[-1]["amount_msat"] and pays[-1]["preimage"]
    return WORDS[pays[-1]["status"]]


def spark_tracks(seen: Look) -> Says:
    pays = seen.by_bolt11["pays"]
    return WORDS[pays[0]["status"]] if pays else Says.NOTHING


def attempt_end(attempt: dict[str, Any]) -> str:
    return next((word for word in ("success", "failure") if word in attempt), "pending")
