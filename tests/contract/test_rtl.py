"""Ride The Lightning (over clnrest): passes `pay` through, and makes its list out of `listsendpays`.

An error is shown with `error.message`. In the list the rows of one payment_hash are one payment: complete if any
row is, else what the row with the highest partid is. It shows what the node's table has, so between two attempts,
where the table has only failures, it shows a failure; so it does for a second payment of a hash while its parts
are out. Its own call of `pay` waits through all that.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.box.host import SAT
from tests.support.clients import AMOUNT_MSAT, ERRORS, SUCCESSES, Case, Moment, Recorded, Says

WORDS = {"complete": Says.PAID, "pending": Says.PENDING, "failed": Says.UNPAID}

LISTED_OTHERWISE = {
    Moment.BEFORE: Says.NOTHING,
    Moment.BETWEEN: Says.UNPAID,
    Moment.RETRIED_OUT: Says.UNPAID,
}
"""Where the list is not the truth: the node's table has no row yet, or failed ones only, or they come first."""


def listed(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Its summary of the rows of one hash."""
    if not rows:
        return None
    if len(rows) == 1:
        return rows[0]
    ordered = sorted(rows, key=lambda row: row.get("partid", 0), reverse=True)
    complete = [row for row in ordered if row["status"] == "complete"]
    return {
        "status": "complete" if complete else ordered[0]["status"],
        "amount_msat": sum(row["amount_msat"] for row in complete),
        "amount_sent_msat": sum(row["amount_sent_msat"] for row in complete),
        "bolt11": next((row["bolt11"] for row in ordered if "bolt11" in row), None),
        **{key: ordered[0][key] for key in ("payment_hash", "destination", "created_at")},
    }


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"maxfee": 60 * SAT},
        {"maxfee": 60 * SAT, "description": "test", "riskfactor": 10, "exclude": []},
        {"localinvreqid": None, "maxfee": None, "amount_msat": None},
    ],
)
def test_sends(recorded: Recorded, more: dict[str, Any]) -> None:
    answer = recorded.host.pay(recorded.host.invoice(), **more).ok()
    assert answer["status"] == "complete" and answer["amount_msat"] == AMOUNT_MSAT


def test_sends_an_amount(recorded: Recorded) -> None:
    made = recorded.host.invoice(amount_msat=None)
    assert recorded.host.pay(made, amount_msat=7 * SAT).ok()["amount_msat"] == 7 * SAT


@pytest.mark.parametrize("case", SUCCESSES + ERRORS, ids=lambda case: case.value)
def test_reads(recorded: Recorded, case: Case) -> None:
    """A success is shown as it is, an error by its message."""
    answer = recorded.cases[case].answer
    if case in SUCCESSES:
        assert answer.ok()["payment_preimage"]
    else:
        assert answer.error is not None and len(answer.error["message"]) > 10


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_list(recorded: Recorded, moment: Moment) -> None:
    seen = recorded.looks[moment]
    entry = listed(seen.listsendpays["payments"])
    says = Says.NOTHING if entry is None else WORDS[entry["status"]]
    assert says is LISTED_OTHERWISE.get(moment, moment.truth)
    if says is Says.PAID:
        assert entry is not None
        assert entry["amount_msat"] == seen.made.amount_msat
        assert entry["amount_sent_msat"] > entry["amount_msat"]
        assert entry["bolt11"] == seen.made.bolt11 and len(entry["destination"]) == 66
