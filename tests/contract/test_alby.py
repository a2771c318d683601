"""Alby Hub (gRPC, `xpay` today, `pay` before): decodes, pays without any limit of its own, and takes every error
for a failure.

So the defaults matter, and so does that no error comes while anything is out.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.box.host import SAT
from tests.support.clients import ERRORS, SUCCESSES, XPAY_ERRORS, XPAY_SUCCESSES, Case, Recorded, Says
from tests.support.rawrpc import Answer
from tests.support.readers import pay_response, xpay_response


def reads(answer: Answer) -> tuple[Says, int]:
    """Its conclusion and the fee that it books."""
    if answer.error is not None:
        return Says.UNPAID, 0
    response = pay_response(answer.ok())
    return Says.PAID, response["amount_sent_msat"] - response["amount_msat"]


@pytest.mark.parametrize("amount_msat", [None, 100_000 * SAT])
def test_sends(recorded: Recorded, amount_msat: int | None) -> None:
    """The default limit of the fee, half a percent or five satoshi, is above what the route costs."""
    host = recorded.host
    made = host.invoice(amount_msat=None) if amount_msat else host.invoice()
    decoded = host.call("decode", {"string": made.bolt11}).ok()
    assert decoded["valid"] is True
    params: dict[str, Any] = {"invstring": made.bolt11}
    if amount_msat is not None:
        params["amount_msat"] = f"{amount_msat}msat"
    says, fee_msat = reads(host.call("pay", params))
    assert says is Says.PAID and 0 < fee_msat <= 100_000 * SAT // 200


@pytest.mark.parametrize("case", SUCCESSES + ERRORS, ids=lambda case: case.value)
def test_reads(recorded: Recorded, case: Case) -> None:
    made = recorded.cases[case]
    says, _ = reads(made.answer)
    assert says is (Says.PAID if case in SUCCESSES else Says.UNPAID)
    if says is Says.UNPAID:
        assert not [row for row in recorded.host.rows(made.made) if row["status"] == "pending"]


# --- xpay -------------------------------------------------------------------------------------------------------


def reads_xpay(answer: Answer) -> tuple[Says, int]:
    if answer.error is not None:
        return Says.UNPAID, 0
    response = xpay_response(answer.ok())
    return Says.PAID, response["amount_sent_msat"] - response["amount_msat"]


@pytest.mark.parametrize("amount_msat", [None, 100_000 * SAT])
def test_sends_xpay(xpaid: Recorded, amount_msat: int | None) -> None:
    """The default limit of `xpay`, one percent or five satoshi."""
    host = xpaid.host
    made = host.invoice(amount_msat=None) if amount_msat else host.invoice()
    assert host.call("decode", {"string": made.bolt11}).ok()["valid"] is True
    params: dict[str, Any] = {"invstring": made.bolt11}
    if amount_msat is not None:
        params["amount_msat"] = f"{amount_msat}msat"
    says, fee_msat = reads_xpay(host.call("clnpay-xpay", params))
    assert says is Says.PAID and 0 < fee_msat <= 100_000 * SAT // 100


@pytest.mark.parametrize("case", XPAY_SUCCESSES + XPAY_ERRORS, ids=lambda case: case.value)
def test_reads_xpay(xpaid: Recorded, case: Case) -> None:
    """Of what was paid before it takes the error for a failure, with any sender: it asks its own list first."""
    made = xpaid.cases[case]
    says, _ = reads_xpay(made.answer)
    assert says is (Says.PAID if case in XPAY_SUCCESSES else Says.UNPAID)
    if says is Says.UNPAID:
        assert not [row for row in xpaid.host.rows(made.made) if row["status"] == "pending"]
