"""Reads the errors of `pay` as callers do, and holds them against their documented form."""

from __future__ import annotations

import json
import re
from typing import Any

from pay.commands.form.errors import LAST
from tests.support.rawrpc import Answer

ROUTED = {
    "getroute_tries", "sendpay_tries", "failures", "payment_hash", "destination", "amount_msat",
    "created_at", "status",
}  # fmt: skip
FLAT = {
    "attempts", "erring_index", "erring_node", "erring_channel", "erring_direction", "failcode", "failcodename",
}  # fmt: skip
"""As the builtin has them beside the message."""

FORBIDDEN = re.compile(r"incorrect_or_unknown_payment_details|invoice expired", re.IGNORECASE)


def error_of(answer: Answer, code: int, *words: str, routed: bool = True) -> dict[str, Any]:
    """An error of this code with these words: what stands beside the message and what is in `data`, together."""
    error = answer.error
    assert error is not None, answer
    assert error["code"] == code, error
    for word in words:
        assert word in error["message"], error["message"]
    data: dict[str, Any] = error.get("data", {})
    assert list(error)[:2] == ["code", "message"]
    assert error.keys() <= {"code", "message", "data", *FLAT}
    assert {key: data[key] for key in error if key in data} == {key: error[key] for key in error if key in data}
    if routed:
        assert data.keys() >= ROUTED and "attempts" not in data
        assert data["status"] == "failed"
        assert len(error["attempts"]) == min(data["sendpay_tries"], LAST)
        assert len(data["failures"]) <= LAST
        assert all(isinstance(f["failcode"], int) for f in data["failures"] if "failcode" in f)
    if code not in (203, 207):
        assert FORBIDDEN.search(json.dumps(error)) is None
    return {**data, **error}
