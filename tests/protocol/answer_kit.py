"""Reads the errors of `pay` as callers do, and holds them against their documented form."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.rawrpc import Answer

ROUTED = {
    "getroute_tries", "sendpay_tries", "failures", "attempts", "payment_hash", "destination", "amount_msat",
    "created_at", "status",
}  # fmt: skip
FORBIDDEN = re.compile(r"incorrect_or_unknown_payment_details|invoice expired", re.IGNORECASE)


def error_of(answer: Answer, code: int, *words: str, routed: bool = True) -> dict[str, Any]:
    """An error of this code with these words; `data` and the same fields flat beside it."""
    error = answer.error
    assert error is not None, answer
    assert error["code"] == code, error
    for word in words:
        assert word in error["message"], error["message"]
    data: dict[str, Any] = error.get("data", {})
    assert {key: error[key] for key in data} == data
    if routed:
        assert data.keys() >= ROUTED
        assert data["status"] == "failed"
        assert len(data["attempts"]) == data["sendpay_tries"]
        assert all(isinstance(f["failcode"], int) for f in data["failures"] if "failcode" in f)
    if code not in (203, 207):
        assert FORBIDDEN.search(json.dumps(error)) is None
    return error
