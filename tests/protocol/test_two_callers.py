"""`pay` and `xpay` of one invoice are one payment: one caller first, the other while it is in work, or over.

Each pair both ways and with itself, in the box: each caller has the answer of his own form, and nothing is sent
twice. What the other one asks for in another amount is an error at once, and the payment goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.network.encoding.failures import FailCode
from tests.support.box.host import SAT, Host, hosting
from tests.support.clients import AMOUNT_MSAT, OPTIONS, PARTS_MSAT, Caller, Form
from tests.support.rawrpc import Answer

PAIRS = pytest.mark.parametrize(
    ("first", "second"),
    [(Form.PAY, Form.XPAY), (Form.XPAY, Form.PAY), (Form.XPAY, Form.XPAY)],
    ids=["pay-xpay", "xpay-pay", "xpay-xpay"],
)
ANOTHER_AMOUNT = {Form.PAY: 201, Form.XPAY: -3}
NOT_IN_TIME = {Form.PAY: 210, Form.XPAY: 209}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(Path(tmp_path_factory.mktemp("host")), **OPTIONS) as host:
        yield host


def proof(answer: Answer) -> tuple[Any, ...]:
    """What both forms have."""
    result = answer.ok()
    return result["payment_preimage"], result["amount_msat"], result["amount_sent_msat"]


@PAIRS
def test_while_it_is_in_work(host: Host, first: Form, second: Form) -> None:
    made = host.invoice(hold=True)
    mark = host.mark()
    one = Caller(host, first).pay_held(made)
    log_mark = host.log_mark()
    two = Caller(host, second).pay_soon(made)
    host.log("payment_attached", log_mark)
    assert not one.answered and not two.answered
    host.release(made)
    answers = {first: one.answer(), second: two.answer()}
    assert len({proof(answer) for answer in answers.values()}) == 1
    assert len(host.sendpays(mark)) == 1
    for form, answer in answers.items():
        assert ("status" in answer.ok()) == (form is Form.PAY)
        assert ("successful_parts" in answer.ok()) == (form is Form.XPAY)


@PAIRS
def test_in_parts_and_between_two_attempts(tmp_path: Path, first: Form, second: Form) -> None:
    """A part is given back; the second caller comes while nothing is out, and hears of the whole."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(amount_msat=PARTS_MSAT, hold=True)
        one = Caller(host, first).pay_soon(made)
        host.until(lambda: sum(part.amount_msat for part in made.parts) == PARTS_MSAT)
        with host.faults(ignore={"listpeerchannels"}):
            mark, log_mark = host.mark(), host.log_mark()
            host.give_back(made)
            host.until(lambda: "listpeerchannels" in host.methods(mark))
            two = Caller(host, second).pay_soon(made)
            host.log("payment_attached", log_mark)
        host.until(lambda: sum(part.amount_msat for part in made.parts) == PARTS_MSAT)
        host.release(made)
        answers = [one.answer(), two.answer()]
        assert len({proof(answer) for answer in answers}) == 1
        rows = [row["status"] for row in host.rows(made)]
        for result in (answer.ok() for answer in answers):
            if "parts" in result:
                assert result["parts"] == len(rows)
            else:
                counted = rows.count("failed"), rows.count("complete")
                assert (result["failed_parts"], result["successful_parts"]) == counted


@PAIRS
def test_after_it_was_paid(host: Host, first: Form, second: Form) -> None:
    made = host.invoice()
    paid = proof(Caller(host, first).pay(made))
    mark = host.mark()
    again = Caller(host, second).pay(made)
    if second is Form.PAY:
        assert proof(again) == paid
    else:
        assert again.error == {"code": 219, "message": "Already paid this invoice successfully"}
    assert host.sendpays(mark) == []


@PAIRS
def test_after_it_failed(host: Host, first: Form, second: Form) -> None:
    """The second one pays, in a group of its own."""
    made = host.invoice()
    with host.misbehaving("far", fail_code=FailCode.TEMPORARY_NODE_FAILURE):
        assert Caller(host, first).pay(made, retry_for=0).code == NOT_IN_TIME[first]
    assert proof(Caller(host, second).pay(made))[1] == AMOUNT_MSAT
    assert [row["groupid"] for row in host.rows(made) if row["status"] == "complete"] == [2]


@PAIRS
def test_both_hear_that_it_failed(host: Host, first: Form, second: Form) -> None:
    """Each by the code of its own form."""
    made = host.invoice(hold=True)
    one = Caller(host, first).pay_held(made, retry_for=0)
    mark = host.log_mark()
    two = Caller(host, second).pay_soon(made)
    host.log("payment_attached", mark)
    host.give_back(made)
    assert (one.answer().code, two.answer().code) == (NOT_IN_TIME[first], NOT_IN_TIME[second])
    assert {row["status"] for row in host.rows(made)} == {"failed"}


@PAIRS
def test_with_another_amount(host: Host, first: Form, second: Form) -> None:
    """In work and paid."""
    made = host.invoice(amount_msat=None, hold=True)
    one = Caller(host, first).pay_held(made, amount_msat=5_000 * SAT)
    assert Caller(host, second).pay(made, amount_msat=6_000 * SAT).code == ANOTHER_AMOUNT[second]
    host.release(made)
    assert one.answer().ok()["amount_msat"] == 5_000 * SAT
    assert Caller(host, second).pay(made, amount_msat=6_000 * SAT).code == ANOTHER_AMOUNT[second]
    assert len(host.rows(made)) == 1


@PAIRS
def test_a_share_beside_the_whole(host: Host, first: Form, second: Form) -> None:
    """`partial_msat`: both ways."""
    for whole in (first, second):
        made = host.invoice(hold=True)
        other = second if whole is first else first
        one = Caller(host, whole).pay_held(made)
        share = Caller(host, other).pay(made, partial_msat=AMOUNT_MSAT // 2)
        assert share.code == ANOTHER_AMOUNT[other]
        host.release(made)
        assert one.answer().ok()["amount_msat"] == AMOUNT_MSAT
        assert len(host.rows(made)) == 1


@PAIRS
def test_the_same_share(host: Host, first: Form, second: Form) -> None:
    """It is one share, which waits with the recipient for what others pay."""
    made = host.invoice(hold=True)
    half = AMOUNT_MSAT // 2
    mark = host.mark()
    one = Caller(host, first).pay_soon(made, partial_msat=half)
    host.until(lambda: host.sendpays(mark))
    log_mark = host.log_mark()
    two = Caller(host, second).pay_soon(made, partial_msat=half)
    host.log("payment_attached", log_mark)
    assert len(host.sendpays(mark)) == 1 and not one.answered and not two.answered
    host.cancel(made)
    assert (one.answer().code, two.answer().code) == (203, 203)


@pytest.mark.parametrize("form", Form, ids=lambda form: form.name.lower())
def test_beside_another_sender_of_the_node(host: Host, form: Form) -> None:
    """It is waited for, and nothing is added; that it was paid is a success to who came before."""
    made = host.invoice(hold=True)
    host.send_by_hand(made)
    host.until(lambda: made.parts)
    mark = host.mark()
    log_mark = host.log_mark()
    pending = Caller(host, form).pay_soon(made)
    host.log("payment_start", log_mark)
    host.release(made)
    assert proof(pending.answer())[1] == AMOUNT_MSAT
    assert host.sendpays(mark) == []


def test_many_at_once(host: Host) -> None:
    """Twenty callers of both forms, one payment."""
    made = host.invoice()
    mark = host.mark()
    calls = [Caller(host, form).pay_soon(made) for form in Form for _ in range(10)]
    answers = [call.answer() for call in calls]
    assert len(host.sendpays(mark)) == 1
    proofs = {proof(answer) for answer in answers if answer.error is None}
    assert len(proofs) == 1
    # Who came when it was over has the error of `xpay` for that, and nobody any other.
    assert {answer.code for answer in answers if answer.error is not None} <= {219}
