"""Zeus (over clnrest): `pay` on nodes before v24.11 and `xpay` since, and a list made by SQL over `sendpays`.

Its call is a success if `status` is `complete`; an HTTP error is a failure with `error.message`; after
`retry_for` + 1 s it shows "timed out" by itself and leaves the rest to the list. The list takes the rows of one
(payment_hash, groupid) together and their status by the alphabet: complete, failed, pending. So a group with a
failed part is shown as failed until it is complete; with one group for all parts of a call at least no second
entry stands beside it.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from tests.support.box.host import SAT
from tests.support.clients import (
    ERRORS,
    SUCCESSES,
    XPAY_ERRORS,
    XPAY_SUCCESSES,
    Case,
    Moment,
    Recorded,
    Says,
)
from tests.support.rawrpc import Answer
from tests.support.readers import xpay_response

WORDS = {"complete": Says.PAID, "pending": Says.PENDING, "failed": Says.UNPAID}
LISTED_OTHERWISE = {
    Moment.BEFORE: [],
    Moment.BETWEEN: [Says.UNPAID],
    Moment.AGAIN: [Says.UNPAID],
    Moment.RETRIED_OUT: [Says.UNPAID, Says.PENDING],
    Moment.RETRIED_PAID: [Says.UNPAID, Says.PAID],
}
COLUMNS = ("payment_hash", "groupid", "status", "destination", "created_at", "bolt11", "amount_msat",
           "amount_sent_msat", "payment_preimage", "created_index")  # fmt: skip


def listed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a group, by SQL as it does."""
    with sqlite3.connect(":memory:") as table:
        table.row_factory = sqlite3.Row
        table.execute(f"CREATE TABLE sendpays ({', '.join(COLUMNS)})")
        places = ", ".join("?" * len(COLUMNS))
        table.executemany(
            f"INSERT INTO sendpays VALUES ({places})", [[row.get(name) for name in COLUMNS] for row in rows]
        )
        entries = table.execute(
            "SELECT payment_hash, groupid, MIN(status) AS status, MIN(bolt11) AS bolt11, "
            "MAX(payment_preimage) AS preimage, MIN(created_index) AS first, "
            "SUM(CASE WHEN status = 'complete' THEN amount_sent_msat END) AS amount_sent_msat, "
            "SUM(CASE WHEN status = 'complete' THEN amount_msat ELSE 0 END) AS amount_msat "
            "FROM sendpays GROUP BY payment_hash, groupid ORDER BY first"
        ).fetchall()
    return [dict(entry) for entry in entries]


def read(answer: Answer) -> Says:
    if answer.error is not None:
        assert answer.error["message"]
        return Says.UNPAID
    return Says.PAID if answer.ok()["status"] == "complete" else Says.PENDING


@pytest.mark.parametrize("limit", [{"maxfee": 1000 * SAT}, {"maxfeepercent": 5}, {"maxfeepercent": "5"}, {}])
def test_sends(recorded: Recorded, limit: dict[str, Any]) -> None:
    """For an invoice with an amount it multiplies what is not there, and so sends null."""
    params = {"amount_msat": None, "retry_for": 60, **limit}
    answer = recorded.host.pay(recorded.host.invoice(), **params)
    assert read(answer) is Says.PAID
    assert answer.ok()["payment_hash"] and answer.ok()["payment_preimage"]
    anything = recorded.host.invoice(amount_msat=None)
    assert read(recorded.host.pay(anything, **{**params, "amount_msat": 50 * SAT})) is Says.PAID


@pytest.mark.parametrize("case", SUCCESSES + ERRORS, ids=lambda case: case.value)
def test_reads(recorded: Recorded, case: Case) -> None:
    assert read(recorded.cases[case].answer) is (Says.PAID if case in SUCCESSES else Says.UNPAID)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_list(recorded: Recorded, moment: Moment) -> None:
    seen = recorded.looks[moment]
    entries = listed(seen.listsendpays["payments"])
    assert [WORDS[entry["status"]] for entry in entries] == LISTED_OTHERWISE.get(moment, [moment.truth])
    if moment.truth is Says.PAID:
        paid = entries[-1]
        assert paid["amount_msat"] == seen.made.amount_msat < paid["amount_sent_msat"]
        assert paid["preimage"] == seen.made.preimage.hex()


# --- xpay -------------------------------------------------------------------------------------------------------


def read_xpay(answer: Answer) -> Says:
    """There is no status in it: the proof is what it goes by."""
    if answer.error is not None:
        assert answer.error["message"]
        return Says.UNPAID
    return Says.PAID if xpay_response(answer.ok())["payment_preimage"] else Says.PENDING


@pytest.mark.parametrize("limit", [{"maxfee": 1000 * SAT}, {}])
def test_sends_xpay(xpaid: Recorded, limit: dict[str, Any]) -> None:
    """Without a limit that its user has set it leaves that to `xpay`."""
    params = {"retry_for": 60, **limit}
    host = xpaid.host
    assert read_xpay(host.call("clnpay-xpay", {"invstring": host.invoice().bolt11, **params})) is Says.PAID
    anything = host.invoice(amount_msat=None).bolt11
    answer = host.call("clnpay-xpay", {"invstring": anything, "amount_msat": 50 * SAT, **params})
    assert read_xpay(answer) is Says.PAID


@pytest.mark.parametrize("case", XPAY_SUCCESSES + XPAY_ERRORS, ids=lambda case: case.value)
def test_reads_xpay(xpaid: Recorded, case: Case) -> None:
    assert read_xpay(xpaid.cases[case].answer) is (Says.PAID if case in XPAY_SUCCESSES else Says.UNPAID)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_list_after_xpay(xpaid: Recorded, moment: Moment) -> None:
    entries = listed(xpaid.looks[moment].listsendpays["payments"])
    assert [WORDS[entry["status"]] for entry in entries] == LISTED_OTHERWISE.get(moment, [moment.truth])
