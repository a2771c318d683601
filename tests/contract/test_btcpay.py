"""BTCPay Server: `pay` with up to twelve positions (`xpay` since June 2026), closing its socket when time is up.

Codes 200 to 210, -32602 and -1 are "error" or "no route"; every other code is an exception. When it has waited
long enough it hangs up and reads the last entry of `listpays` by payment_hash (the first position null): pending
is "unknown", failed is an error, complete is a success; no entry crashes it. Of an answer with a list it takes
the first member, whatever its name.
"""

from __future__ import annotations

import json
import socket
from hashlib import sha256
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
from tests.support.readers import btcpay_after_hanging_up as looks_after_hanging_up
from tests.support.readers import xpay_response

NO_ROUTE = {Case.NO_ROUTE, Case.STOPPED, Case.STOPPED_BEHIND}


def positions(bolt11: str, amount_msat: int | None, percent: float | None, maxfee: int | None) -> list[Any]:
    return [bolt11, amount_msat, None, None, percent, None, None, None, None, None, maxfee]


def reads(answer: Answer) -> tuple[Says, str]:
    """Its conclusion and its name for it."""
    if answer.error is None:
        result = answer.ok()
        assert result["amount_sent_msat"] - result["amount_msat"] >= 0
        assert sha256(bytes.fromhex(result["payment_preimage"])).hexdigest() == result["payment_hash"]
        return Says.PAID, "ok"
    code, message = answer.error["code"], answer.error["message"]
    if not (200 <= code <= 210 or code in (-32602, -1)):
        raise LookupError(f"it throws on {code}")
    no_route = code == 205 or (code == 210 and "invalid payload" not in message)
    return Says.UNPAID, "no route" if no_route else "error"


@pytest.mark.parametrize(("percent", "maxfee"), [(None, None), (3.5, None), (None, 500 * SAT)])
@pytest.mark.parametrize("amount_msat", [None, 70_000 * SAT])
def test_sends(recorded: Recorded, amount_msat: int | None, percent: float | None, maxfee: int | None) -> None:
    """The amount only where the invoice has none."""
    made = recorded.host.invoice(amount_msat=100 * SAT if amount_msat is None else None)
    answer = recorded.host.call("pay", positions(made.bolt11, amount_msat, percent, maxfee))
    assert reads(answer) == (Says.PAID, "ok")


@pytest.mark.parametrize("case", SUCCESSES + ERRORS, ids=lambda case: case.value)
def test_reads(recorded: Recorded, case: Case) -> None:
    says, name = reads(recorded.cases[case].answer)
    assert says is (Says.PAID if case in SUCCESSES else Says.UNPAID)
    assert name == ("ok" if case in SUCCESSES else "no route" if case in NO_ROUTE else "error")


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_hangs_up(recorded: Recorded, moment: Moment) -> None:
    assert looks_after_hanging_up(recorded.looks[moment]) is moment.truth


def test_hangs_up_and_looks(recorded: Recorded) -> None:
    """All of it: the socket is closed while the recipient holds; one attempt fails later; then it is paid."""
    host = recorded.host
    made = host.invoice(hold=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.connect(f"{host.directory}/lightning-rpc")
        call = {"jsonrpc": "2.0", "id": 0, "method": "pay", "params": positions(made.bolt11, None, None, None)}
        caller.sendall(json.dumps(call).encode())
        host.until(lambda: made.parts)

    def status() -> str:
        (entry,) = host.call("listpays", [None, made.payment_hash.hex()]).ok()["pays"]
        return str(entry["status"])

    assert status() == "pending"
    first = list(made.parts)
    host.give_back(made)
    host.until(lambda: made.parts and made.parts != first)
    assert status() == "pending"
    host.release(made)
    host.settled(made)
    assert status() == "complete"


# --- xpay -------------------------------------------------------------------------------------------------------

THROWS = {Case.REPEATED, Case.ALREADY_USED}
"""Codes that it has no name for, -3, 218 and 219: an exception, as with cln-xpay itself. Both are of a hash that
was paid: it is not to book them as failed."""

XPAY_NO_ROUTE = {Case.NO_ROUTE}
"""209 is an error to it, 206 as well; 205 before v26.06 is no route."""


def reads_xpay(answer: Answer) -> tuple[Says, str]:
    if answer.error is None:
        result = xpay_response(answer.ok())
        assert result["amount_sent_msat"] - result["amount_msat"] >= 0
        return Says.PAID, "ok"
    code = answer.error["code"]
    if not (200 <= code <= 210 or code in (-32602, -1)):
        return Says.PENDING, "exception"
    return Says.UNPAID, "no route" if code == 205 else "error"


@pytest.mark.parametrize("maxfee", [None, 500 * SAT])
@pytest.mark.parametrize("amount_msat", [None, 70_000 * SAT])
def test_sends_xpay(xpaid: Recorded, amount_msat: int | None, maxfee: int | None) -> None:
    """Three positions, of which two may be null."""
    made = xpaid.host.invoice(amount_msat=100 * SAT if amount_msat is None else None)
    answer = xpaid.host.call("clnpay-xpay", [made.bolt11, amount_msat, maxfee])
    assert reads_xpay(answer) == (Says.PAID, "ok")
    proof = bytes.fromhex(answer.ok()["payment_preimage"])
    assert sha256(proof).digest() == made.payment_hash


@pytest.mark.parametrize("case", XPAY_SUCCESSES + XPAY_ERRORS, ids=lambda case: case.value)
def test_reads_xpay(xpaid: Recorded, case: Case) -> None:
    says, name = reads_xpay(xpaid.cases[case].answer)
    if case in XPAY_SUCCESSES:
        assert (says, name) == (Says.PAID, "ok")
    elif case in THROWS:
        assert (says, name) == (Says.PENDING, "exception")
    else:
        too_dear = case is Case.TOO_EXPENSIVE and xpaid.host.node.version == "v25.12"
        assert (says, name) == (Says.UNPAID, "no route" if case in XPAY_NO_ROUTE or too_dear else "error")


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_hangs_up_on_xpay(xpaid: Recorded, moment: Moment) -> None:
    assert looks_after_hanging_up(xpaid.looks[moment]) is moment.truth
