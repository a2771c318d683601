"""cln-grpc and cln-rpc: strict types. A field that is missing or of another type is an error for the caller.

An error is `code`, `message` and `data` (the flat members are dropped); over gRPC it is one text that shows all
three, `data` included, which is why `data` must not say more than the verdict does.
"""

from __future__ import annotations

import re

import pytest

from tests.support.box.host import SAT
from tests.support.clients import AMOUNT_MSAT, ERRORS, FINAL, SUCCESSES, Case, Moment, Recorded
from tests.support.readers import STATUSES, octets, pay_response, status_text, u64


def test_sends(recorded: Recorded) -> None:
    """By name; optional fields are left out or null; lists may be empty; a percentage is a float, amounts are
    texts with their unit."""
    host = recorded.host
    answer = host.pay(
        host.invoice(), label="l", maxfeepercent=0.5, retry_for=60, maxdelay=1000, exemptfee="6000msat",
        riskfactor=10.0, exclude=[],
    )  # fmt: skip
    assert pay_response(answer.ok())["amount_msat"] == AMOUNT_MSAT
    anything = host.invoice(amount_msat=None)
    answer = host.pay(anything, amount_msat=f"{9 * SAT}msat", maxfee=f"{5 * SAT}msat", partial_msat=None)
    assert pay_response(answer.ok())["amount_msat"] == 9 * SAT


@pytest.mark.parametrize("case", SUCCESSES, ids=lambda case: case.value)
def test_reads_success(recorded: Recorded, case: Case) -> None:
    made = recorded.cases[case]
    response = pay_response(made.answer.ok())
    assert response["status"] == "complete" and response["payment_preimage"] == made.made.preimage


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.value)
def test_reads_error(recorded: Recorded, case: Case) -> None:
    error = recorded.cases[case].answer.error
    assert error is not None
    assert type(error["code"]) is int and -(2**31) <= error["code"] < 2**31
    assert isinstance(error["message"], str) and '"' not in error["message"]
    words = re.search("incorrect_or_unknown_payment_details|invoice expired", status_text(error), re.IGNORECASE)
    assert (words is not None) == (case in FINAL)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_reads_lists(recorded: Recorded, moment: Moment) -> None:
    seen = recorded.looks[moment]
    for pay in seen.listpays["pays"]:
        assert pay["status"] in STATUSES
        u64(pay["created_at"])
        octets(pay["payment_hash"], 32)
        for name in ("amount_msat", "amount_sent_msat", "completed_at", "created_index", "updated_index",
                     "number_of_parts"):  # fmt: skip
            if name in pay:
                u64(pay[name])
        if "preimage" in pay:
            octets(pay["preimage"], 32)
    for row in seen.listsendpays["payments"]:
        for name in ("amount_sent_msat", "created_at", "created_index", "groupid", "id", "amount_msat", "partid"):
            u64(row[name])
        assert row["status"] in STATUSES
