"""LNbits with its three back ends: `corelightning` (the socket), `clnrest`, and `corelightning-rest` (obsolete).

Each sorts the codes of `pay` into "surely unpaid" and the rest, which it takes for pending. But what called the
back end books as failed whatever comes back without a payment_hash, so that an error of any code ends the payment
there: none may be given while anything is out. While `pay` has not answered, and later, it looks at `listpays` by
payment_hash: the socket's back end takes the last entry and no entry for a failure; clnrest wants exactly
one entry and knows no failure; the old one took the first and failed on amounts that are numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from tests.support.box.host import SAT
from tests.support.clients import ERRORS, SUCCESSES, Case, Look, Moment, Recorded, Says
from tests.support.rawrpc import Answer
from tests.support.readers import WORDS
from tests.support.readers import lnbits_socket_listpays as socket_listpays

SURE = {
    "corelightning": {-32602, 201, 203, 205, 206, 207, 210},
    "clnrest": {-32602, 203, 205, 206, 207, 210, 401},
    "corelightning-rest": {-32602, 201, 203, 205, 206, 207, 210},
}
MAXFEE = 1000 * SAT


def request(back_end: str, bolt11: str, description: str | None) -> dict[str, Any] | list[Any]:
    """What reaches the node. The invoice's description goes along, or null where it has a hash instead."""
    match back_end:
        case "corelightning":
            return {"bolt11": bolt11, "maxfee": MAXFEE, "description": description}
        case "clnrest":
            return {"label": "LNbits_Zm9v", "description": description, "maxfee": MAXFEE, "bolt11": bolt11}
        case _:
            # The server between passes positions, with null for what was not given.
            return [bolt11, None, None, None, None, None, None, None, None, None, MAXFEE, None]


def back_end_reads(back_end: str, answer: Answer) -> tuple[Says, str | None]:
    """Its conclusion and the payment_hash that it hands on."""
    if answer.error is not None:
        return (Says.UNPAID if answer.error["code"] in SURE[back_end] else Says.PENDING), None
    result = answer.ok()
    fee_msat = result["amount_sent_msat"] - result["amount_msat"]
    assert type(fee_msat) is int and fee_msat >= 0
    says = Says.PAID if back_end == "corelightning" else WORDS[result["status"]]
    return (says if result["payment_preimage"] else Says.PENDING), result["payment_hash"]


def books(back_end: str, answer: Answer, payment_hash: str) -> Says:
    """What the wallet's owner sees then."""
    says, handed_on = back_end_reads(back_end, answer)
    return Says.UNPAID if says is Says.UNPAID or handed_on != payment_hash else says


def clnrest_listpays(seen: Look) -> Says:
    pays = seen.listpays["pays"]
    if len(pays) != 1 or pays[0]["status"] != "complete":
        return Says.PENDING
    assert pays[0]["amount_sent_msat"] > pays[0]["amount_msat"] and pays[0]["preimage"]
    return Says.PAID


def old_listpays(seen: Look) -> Says:
    """It cuts the last four characters off amounts: with numbers that is an error, which it reads as pending."""
    pays = seen.listpays["pays"]
    if not pays or (pays[0]["status"] == "complete" and type(pays[0]["amount_msat"]) is int):
        return Says.PENDING
    return WORDS[pays[0]["status"]]


LISTED_OTHERWISE: dict[Callable[[Look], Says], dict[Moment, Says]] = {
    socket_listpays: {},
    # It cannot read a failure, nor a second payment of a hash: it leaves open what it could close.
    clnrest_listpays: {Moment.REFUSED: Says.PENDING, Moment.RETRIED_PAID: Says.PENDING},
    old_listpays: {
        Moment.PAID: Says.PENDING,
        Moment.PARTS_PAID: Says.PENDING,
        # The one that lies, with any sender: the first entry is of the payment that failed.
        Moment.RETRIED_OUT: Says.UNPAID,
        Moment.RETRIED_PAID: Says.UNPAID,
    },
}


@pytest.mark.parametrize("description", ["test", None])
@pytest.mark.parametrize("back_end", SURE)
def test_sends(recorded: Recorded, back_end: str, description: str | None) -> None:
    """With a plain description, and with the hash of one that it does not know."""
    hashed = None if description else sha256(b"a menu").digest()
    made = recorded.host.invoice(description_hash=hashed)
    answer = recorded.host.call("pay", request(back_end, made.bolt11, description))
    assert books(back_end, answer, made.payment_hash.hex()) is Says.PAID


@pytest.mark.parametrize("back_end", SURE)
@pytest.mark.parametrize("case", SUCCESSES, ids=lambda case: case.value)
def test_reads_success(recorded: Recorded, case: Case, back_end: str) -> None:
    made = recorded.cases[case]
    assert books(back_end, made.answer, made.made.payment_hash.hex()) is Says.PAID


@pytest.mark.parametrize("back_end", SURE)
@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.value)
def test_reads_error(recorded: Recorded, case: Case, back_end: str) -> None:
    """Booked as unpaid, which it is; of two codes the back end itself is less sure."""
    made = recorded.cases[case]
    unsure = {Case.OTHER, Case.ALREADY_USED} if back_end == "clnrest" else {Case.OTHER}
    says, _ = back_end_reads(back_end, made.answer)
    assert says is (Says.PENDING if case in unsure else Says.UNPAID)
    assert books(back_end, made.answer, made.made.payment_hash.hex()) is Says.UNPAID
    out = [row for row in recorded.host.rows(made.made) if row["status"] == "pending"]
    assert not out, "an error while something is out is a payment given away"


@pytest.mark.parametrize("reader", LISTED_OTHERWISE, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_looks(recorded: Recorded, moment: Moment, reader: Callable[[Look], Says]) -> None:
    assert reader(recorded.looks[moment]) is LISTED_OTHERWISE[reader].get(moment, moment.truth)
