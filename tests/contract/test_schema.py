"""What every client relies on: documented fields and types, and words that mean what some clients do on them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest

from tests.support.clients import (
    ERRORS,
    FINAL,
    LABEL,
    SUCCESSES,
    XPAY_ERRORS,
    XPAY_SUCCESSES,
    Case,
    Moment,
    Recorded,
    Says,
)
from tests.support.schemas import answer_schema, error_schemas, fields_in, fields_of

FLAT = {
    "attempts", "erring_index", "erring_node", "erring_channel", "erring_direction", "failcode", "failcodename",
}  # fmt: skip
HEX32 = re.compile(r"[0-9a-f]{64}")
NODE_ID = re.compile(r"0[23][0-9a-f]{64}")


def is_u64(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**64


def is_u32(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**32


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_hex32(value: Any) -> bool:
    return isinstance(value, str) and HEX32.fullmatch(value) is not None


def is_node_id(value: Any) -> bool:
    return isinstance(value, str) and NODE_ID.fullmatch(value) is not None


def one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: value in words


Schema = tuple[dict[str, Callable[[Any], bool]], dict[str, Callable[[Any], bool]]]
"""Required and optional fields; there may be no others."""

PAY: Schema = (
    {
        "payment_preimage": is_hex32, "payment_hash": is_hex32, "created_at": is_u64, "parts": is_u32,
        "amount_msat": is_u64, "amount_sent_msat": is_u64, "status": one_of("complete"),
    },
    {"destination": is_node_id, "warning_partial_completion": is_text},
)  # fmt: skip

_PAYS_ALWAYS: dict[str, Callable[[Any], bool]] = {
    "payment_hash": is_hex32, "created_at": is_u64, "created_index": is_u64, "amount_sent_msat": is_u64,
}  # fmt: skip
_PAYS_MAYBE: dict[str, Callable[[Any], bool]] = {
    "destination": is_node_id, "label": is_text, "bolt11": is_text, "description": is_text, "bolt12": is_text,
    "updated_index": is_u64,
}  # fmt: skip
LISTPAYS: dict[str, Schema] = {
    "complete": (
        {**_PAYS_ALWAYS, "status": is_text, "preimage": is_hex32},
        {**_PAYS_MAYBE, "completed_at": is_u64, "amount_msat": is_u64, "number_of_parts": is_u64},
    ),
    "failed": ({**_PAYS_ALWAYS, "status": is_text}, _PAYS_MAYBE),
    "pending": (
        {**_PAYS_ALWAYS, "status": is_text},
        {**_PAYS_MAYBE, "amount_msat": is_u64, "number_of_parts": is_u64},
    ),
}


def conforms(value: dict[str, Any], schema: Schema) -> None:
    required, optional = schema
    assert required.keys() <= value.keys(), required.keys() - value.keys()
    known = {**required, **optional}
    assert value.keys() <= known.keys(), value.keys() - known.keys()
    wrong = {key: inner for key, inner in value.items() if not known[key](inner)}
    assert not wrong, wrong


def failures_in(value: Any) -> Iterator[dict[str, Any]]:
    """All objects anywhere that carry a failcode."""
    if isinstance(value, dict):
        if "failcode" in value:
            yield value
        for inner in value.values():
            yield from failures_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from failures_in(inner)


# --- pay ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SUCCESSES, ids=lambda case: case.value)
def test_success(recorded: Recorded, case: Case) -> None:
    made = recorded.cases[case]
    answer = made.answer.ok()
    conforms(answer, PAY)
    assert sha256(bytes.fromhex(answer["payment_preimage"])).hexdigest() == answer["payment_hash"]
    assert answer["amount_msat"] == made.made.amount_msat
    rows = recorded.host.rows(made.made)
    assert answer["amount_sent_msat"] == sum(r["amount_sent_msat"] for r in rows if r["status"] == "complete")


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.value)
def test_error(recorded: Recorded, case: Case) -> None:
    """The code as documented, the message first, beside it what the builtin has there, the rest in `data`; failure
    codes are numbers."""
    error = recorded.cases[case].answer.error
    assert error is not None and error["code"] == case.code
    assert list(error)[:2] == ["code", "message"]
    assert isinstance(error["message"], str) and error["message"]
    data = error.get("data", {})
    assert error.keys() <= {"code", "message", "data"} | FLAT and "attempts" not in data
    assert all(error[name] == data[name] for name in FLAT & data.keys())
    assert all(is_u32(found["failcode"]) for found in failures_in(error))
    for message in (error["message"], *(part["message"] for part in data.get("failures", ()))):
        assert not message.startswith(("{", "[")) and "msat msat" not in message


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.value)
def test_words_of_a_final_verdict(recorded: Recorded, case: Case) -> None:
    """A large swap service refunds on them: nowhere in an error but where they are the verdict."""
    error = recorded.cases[case].answer.error
    found = re.findall("incorrect_or_unknown_payment_details|invoice expired", json.dumps(error), re.IGNORECASE)
    assert bool(found) == (case in FINAL)


def test_a_refused_part_says_why(recorded: Recorded) -> None:
    """The node's own reason is in the message and with the attempt."""
    error = recorded.cases[Case.OTHER].answer.error
    assert error is not None and "the node is busy" in error["message"]
    assert "the node is busy" in error["attempts"][0]["failreason"]


# --- xpay -----------------------------------------------------------------------------------------------------

XPAY: Schema = (
    {
        "payment_preimage": is_hex32, "failed_parts": is_u64, "successful_parts": is_u64, "amount_msat": is_u64,
        "amount_sent_msat": is_u64,
    },
    {},
)  # fmt: skip

XPAY_CODES = {
    Case.REPEATED: 219, Case.BAD_PARAMETER: -32602, Case.OTHER: -1, Case.ALREADY_USED: -3, Case.REFUSED: 203,
    Case.NO_ROUTE: 205, Case.TOO_EXPENSIVE: 206, Case.EXPIRED: 207, Case.STOPPED: 209, Case.STOPPED_BEHIND: 209,
}  # fmt: skip
XPAY_CODES_BEFORE_V26_06 = {**XPAY_CODES, Case.REPEATED: 218, Case.TOO_EXPENSIVE: 205}


@pytest.mark.parametrize("case", XPAY_SUCCESSES, ids=lambda case: case.value)
def test_xpay_success(xpaid: Recorded, case: Case) -> None:
    made = xpaid.cases[case]
    answer = made.answer.ok()
    conforms(answer, XPAY)
    assert sha256(bytes.fromhex(answer["payment_preimage"])).digest() == made.made.payment_hash
    assert answer["amount_msat"] == made.made.amount_msat
    ends = [row["status"] for row in xpaid.host.rows(made.made)]
    assert (answer["failed_parts"], answer["successful_parts"]) == (ends.count("failed"), ends.count("complete"))


@pytest.mark.parametrize("case", XPAY_ERRORS, ids=lambda case: case.value)
def test_xpay_error(xpaid: Recorded, case: Case) -> None:
    """cln-xpay's codes of the release; a code and words, nothing else; none while anything is out."""
    error = xpaid.cases[case].answer.error
    codes = XPAY_CODES_BEFORE_V26_06 if xpaid.host.node.version == "v25.12" else XPAY_CODES
    assert error is not None and error["code"] == codes[case]
    assert list(error) == ["code", "message"] and error["message"]
    found = re.findall("incorrect_or_unknown_payment_details|invoice expired", json.dumps(error), re.IGNORECASE)
    assert bool(found) == (case in FINAL)
    assert not [row for row in xpaid.host.rows(xpaid.cases[case].made) if row["status"] == "pending"]


# --- lists ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_listpays(recorded: Recorded, moment: Moment) -> None:
    """By whatever it is asked: the same entries, in documented form, oldest first."""
    seen = recorded.looks[moment]
    assert seen.listpays == seen.by_bolt11
    for pay in seen.listpays["pays"]:
        conforms(pay, LISTPAYS[pay["status"]])
        assert (pay["bolt11"], pay["label"]) == (seen.made.bolt11, LABEL)
    unfiltered = seen.unfiltered["pays"]
    assert [pay for pay in unfiltered if pay["payment_hash"] == seen.payment_hash] == seen.listpays["pays"]
    times = [pay["created_at"] for pay in unfiltered]
    assert times == sorted(times)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_listpays_by_pages(recorded: Recorded, moment: Moment) -> None:
    """The same entries; only one without a row in the node's table has no place on a page."""
    seen = recorded.looks[moment]
    mine = [pay for pay in seen.paged["pays"] if pay["payment_hash"] == seen.payment_hash]
    assert mine == ([] if moment is Moment.BEFORE else seen.listpays["pays"])


@pytest.mark.parametrize(
    "moment", [moment for moment in Moment if moment.truth is Says.PENDING], ids=lambda moment: moment.value
)
def test_listpays_by_status(recorded: Recorded, moment: Moment) -> None:
    """While it is in work it is pending; once it is over the node looks for rows with that status, as ever."""
    seen = recorded.looks[moment]
    for status, pays in seen.by_status.items():
        mine = [pay for pay in pays if pay["payment_hash"] == seen.payment_hash]
        assert mine == [pay for pay in seen.listpays["pays"] if pay["status"] == status]


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_rows(recorded: Recorded, moment: Moment) -> None:
    """Whole rows: amounts, invoice, label and destination with every part; one group a call of `pay`."""
    seen = recorded.looks[moment]
    for row in seen.listsendpays["payments"]:
        assert is_u64(row["amount_msat"]) and is_u64(row["amount_sent_msat"]) and is_u64(row["created_at"])
        assert (row["bolt11"], row["label"]) == (seen.made.bolt11, LABEL)
        assert is_node_id(row["destination"]) and row["payment_hash"] == seen.payment_hash
    groups = {row["groupid"] for row in seen.listsendpays["payments"]}
    retried = moment in (Moment.RETRIED_OUT, Moment.RETRIED_PAID)
    assert groups == (set() if moment is Moment.BEFORE else {1, 2} if retried else {1})


# --- the declared schemas -------------------------------------------------------------------------------------

AT = ".pay[].attempts[]"

SELDOM: dict[str, set[str]] = {
    # Parts that have not settled when the answer is given.
    "pay": {".warning_partial_completion"},
    "paystatus": {
        # A guess that has something to go by, or a part that is still with us.
        *(f"{AT}.probably_at.{name}" for name in ("hop", "id", "alias", "channel", "direction")),
        # Another sender's parts, an earlier run's, one whose row was deleted; the end of `retry_for`.
        f"{AT}.route_unknown",
        f"{AT}.outcome_unknown",
        ".pay[].bolt12",
        ".pay[].by",
        ".pay[].no_new_parts",
        # A failure of a channel, while these are of the recipient.
        f"{AT}.failure.data.erring_direction",
    },
    # Another sender's.
    "listpays": {".pays[].bolt12"},
}
"""What none of the recorded stories brings."""

SELDOM_IN_ERRORS = {
    # A failure of a channel, while these are of the recipient.
    ".erring_direction", ".data.erring_direction", ".data.failures[].erring_direction", ".data.channel_update",
    # A balance of ours that does not suffice.
    ".data.max_sendable_msat", ".data.max_sendable_bound_msat",
}  # fmt: skip


@pytest.mark.parametrize("command", ["pay", "paystatus", "listpays"])
def test_what_is_declared_is_also_there(recorded: Recorded, command: str) -> None:
    """The other way round: answers have no field that is not declared (`check_answer`), and a field that none of
    all these answers has is declared for a reason that is known."""
    match command:
        case "pay":
            answers = [case.answer.result for case in recorded.cases.values()]
        case "paystatus":
            answers = [look.paystatus for look in recorded.looks.values()]
        case _:
            answers = [look.listpays for look in recorded.looks.values()]
    seen = {field for answer in answers for field in fields_in(answer)}
    missing = set(fields_of(answer_schema(command))) - seen
    assert missing == SELDOM[command], sorted(missing ^ SELDOM[command])


def test_what_is_declared_of_errors_is_also_there(recorded: Recorded) -> None:
    seen = {field for case in recorded.cases.values() for field in fields_in(case.answer.error)}
    declared = {field for schema in error_schemas("pay").values() for field in fields_of(schema)}
    assert declared - seen == SELDOM_IN_ERRORS
