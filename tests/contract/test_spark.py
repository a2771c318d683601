"""spark-wallet: `pay` with two positions, and a tracker that polls `listpays` and, while pending, `paystatus`.

It looks 200 ms after the call and then every 800 ms at the first entry of `listpays` by bolt11; ten looks without
an entry and it stops. An entry must be pending, complete or failed; the last two end the tracking. For a pending
one it shows the number of attempts of the first entry of `paystatus`, and the last attempt's `strategy`. An error
of `pay` marks the payment as failed.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.box.host import SAT
from tests.support.clients import AMOUNT_MSAT, ERRORS, SUCCESSES, Case, Look, Moment, Recorded, Says
from tests.support.rawrpc import Answer
from tests.support.readers import TIME
from tests.support.readers import attempt_end as end_of
from tests.support.readers import spark_tracks as tracks

LISTED_OTHERWISE = {Moment.RETRIED_OUT: Says.UNPAID, Moment.RETRIED_PAID: Says.UNPAID}
"""The first entry is of the payment that failed, with any sender; what `pay` itself answers puts it right."""

ATTEMPTS = {
    Moment.BEFORE: [],
    Moment.IN_FLIGHT: ["pending"],
    Moment.BETWEEN: ["failure"],
    Moment.AGAIN: ["failure", "pending"],
    Moment.PAID: ["failure", "success"],
    Moment.REFUSED: ["failure"],
    Moment.PARTS_OUT: ["pending", "pending"],
    Moment.PARTS_PAID: ["success", "success"],
    # Unlike the entries of listpays: the first one is of the payment that is in work.
    Moment.RETRIED_OUT: ["pending"],
    Moment.RETRIED_PAID: ["success"],
}


def in_progress(seen: Look) -> str:
    """The line under a pending payment."""
    attempts = seen.paystatus["pay"][0]["attempts"]
    strategies = [attempt["strategy"] for attempt in attempts if attempt.get("strategy")]
    return " · ".join([f"{len(attempts)} attempts", *strategies[-1:]])


def reads(answer: Answer) -> Says:
    return Says.UNPAID if answer.error is not None else Says.PAID


@pytest.mark.parametrize("amount", [[], [None]])
def test_sends(recorded: Recorded, amount: list[Any]) -> None:
    answer = recorded.host.call("pay", [recorded.host.invoice().bolt11, *amount])
    assert reads(answer) is Says.PAID and answer.ok()["amount_msat"] == AMOUNT_MSAT


def test_sends_an_amount(recorded: Recorded) -> None:
    made = recorded.host.invoice(amount_msat=None)
    assert recorded.host.call("pay", [made.bolt11, 5 * SAT]).ok()["amount_msat"] == 5 * SAT
    assert recorded.host.call("pay", [recorded.host.invoice(amount_msat=None).bolt11, "5000msat"]).ok()


@pytest.mark.parametrize("case", SUCCESSES + ERRORS, ids=lambda case: case.value)
def test_reads(recorded: Recorded, case: Case) -> None:
    assert reads(recorded.cases[case].answer) is (Says.PAID if case in SUCCESSES else Says.UNPAID)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_tracks(recorded: Recorded, moment: Moment) -> None:
    assert tracks(recorded.looks[moment]) is LISTED_OTHERWISE.get(moment, moment.truth)


def test_line_of_progress(recorded: Recorded) -> None:
    looks = recorded.looks
    assert in_progress(looks[Moment.BEFORE]) == "0 attempts"
    assert in_progress(looks[Moment.IN_FLIGHT]) == "1 attempts · Initial attempt"
    assert in_progress(looks[Moment.AGAIN]).startswith("2 attempts · Part 2")


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_paystatus(recorded: Recorded, moment: Moment) -> None:
    """The builtin's fields and types; ours are beside them."""
    seen = recorded.looks[moment]
    entry = seen.paystatus["pay"][0]
    assert entry["bolt11"] == seen.made.bolt11 and entry["amount_msat"] == seen.made.amount_msat
    assert len(entry["destination"]) == 66
    attempts = entry["attempts"]
    assert [end_of(attempt) for attempt in attempts] == ATTEMPTS[moment]
    assert not attempts or attempts[0]["strategy"] == "Initial attempt"
    for attempt in attempts:
        assert TIME.fullmatch(attempt["start_time"]) and type(attempt["age_in_seconds"]) is int
        assert attempt["state"] == ("pending" if end_of(attempt) == "pending" else "completed")
        assert ("end_time" in attempt) == (attempt["state"] == "completed")
        assert TIME.fullmatch(attempt.get("end_time", attempt["start_time"]))
        if "success" in attempt:
            assert attempt["success"]["payment_preimage"] == seen.made.preimage.hex()
        if "failure" in attempt:
            failure = attempt["failure"]
            assert type(failure["code"]) is int and failure["message"]
            assert failure["data"]["failcode"] == 0x2002
            assert failure["data"]["failcodename"] == "WIRE_TEMPORARY_NODE_FAILURE"
