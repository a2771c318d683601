"""Boltz backend (gRPC, `xpay` today, `pay` before): refunds a swap on a permanent failure, and on nothing else.

Permanent is what says `incorrect_or_unknown_payment_details` or `invoice expired`. Any other error puts the
invoice on a watch list, and every 15 seconds it reads `listpays` by bolt11 with the HTLCs of `listpeerchannels`:
complete is paid; pending with an HTLC is pending; no entry, or failed entries only, is a failure; anything else is
looked at again. Before it pays it reads the same: only failures, or nothing at all, let it start.
"""

from __future__ import annotations

import pytest

from tests.support.box.host import SAT
from tests.support.clients import (
    ERRORS,
    FINAL,
    SUCCESSES,
    XPAY_ERRORS,
    XPAY_SUCCESSES,
    Case,
    Moment,
    Recorded,
    Says,
)
from tests.support.rawrpc import Answer
from tests.support.readers import boltz_watches as watches
from tests.support.readers import pay_response, status_text, xpay_response

PERMANENT = ("WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS", "incorrect_or_unknown_payment_details")


def message_of(text: str) -> str:
    """What it cuts out of the text of a gRPC status."""
    prefix, suffix = 'message: "', '", data:'
    return text[text.index(prefix) + len(prefix) : text.index(suffix)] if prefix in text else text


def is_permanent(text: str) -> bool:
    return any(words in text for words in PERMANENT) or "invoice expired" in text.lower()


def reads(answer: Answer, amount_msat: int) -> Says:
    """Refunded, paid, or on the watch list."""
    if answer.error is not None:
        text = status_text(answer.error)
        # It has read the whole text in some releases and the message alone in others.
        assert is_permanent(text) == is_permanent(message_of(text))
        return Says.UNPAID if is_permanent(text) else Says.PENDING
    assert pay_response(answer.ok())["amount_sent_msat"] - amount_msat > 0
    return Says.PAID


def test_sends(recorded: Recorded) -> None:
    """The same call, to `pay`."""
    made = recorded.host.invoice()
    answer = recorded.host.call(
        "pay", {"invstring": made.bolt11, "retry_for": 30, "maxfee": f"{60 * SAT}msat", "maxdelay": 500}
    )
    assert reads(answer, made.amount_msat or 0) is Says.PAID


@pytest.mark.parametrize("case", SUCCESSES + ERRORS, ids=lambda case: case.value)
def test_reads(recorded: Recorded, case: Case) -> None:
    """Only what is final is refunded at once; the rest it finds in the list."""
    made = recorded.cases[case]
    says = reads(made.answer, made.made.amount_msat or 0)
    assert says is (Says.PAID if case in SUCCESSES else Says.UNPAID if case in FINAL else Says.PENDING)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_watches(recorded: Recorded, moment: Moment) -> None:
    """Before the first part and between two there is no HTLC: the entry alone keeps it from a refund."""
    assert watches(recorded.looks[moment]) is moment.truth


@pytest.mark.parametrize("case", [Case.STOPPED, Case.STOPPED_BEHIND, Case.TOO_EXPENSIVE], ids=lambda c: c.value)
def test_watch_ends_after_an_error(recorded: Recorded, case: Case) -> None:
    """What was put on the watch list by an error is seen to have failed at the next look."""
    made = recorded.cases[case].made
    pays = recorded.host.call("listpays", [made.bolt11]).ok()["pays"]
    if case is Case.STOPPED:
        assert [pay["status"] for pay in pays] == ["failed", "complete"], "paid by a later call"
    else:
        assert all(pay["status"] == "failed" for pay in pays)


# --- xpay -------------------------------------------------------------------------------------------------------


def reads_xpay(answer: Answer, amount_msat: int) -> Says:
    """The same words; the fee is what was sent less the invoice's amount."""
    if answer.error is not None:
        text = status_text(answer.error, "Xpay")
        assert is_permanent(text) == is_permanent(message_of(text))
        return Says.UNPAID if is_permanent(text) else Says.PENDING
    assert xpay_response(answer.ok())["amount_sent_msat"] - amount_msat > 0
    return Says.PAID


@pytest.mark.parametrize("layers", [[], ["auto.no_mpp_support"]])
def test_sends_xpay(xpaid: Recorded, layers: list[str]) -> None:
    """With a layer where its operator wants no parts."""
    made = xpaid.host.invoice()
    params = {
        "invstring": made.bolt11, "retry_for": 30, "layers": layers, "maxfee": f"{60 * SAT}msat", "maxdelay": 500,
    }  # fmt: skip
    assert reads_xpay(xpaid.host.call("clnpay-xpay", params), made.amount_msat or 0) is Says.PAID


@pytest.mark.parametrize("case", XPAY_SUCCESSES + XPAY_ERRORS, ids=lambda case: case.value)
def test_reads_xpay(xpaid: Recorded, case: Case) -> None:
    """An invoice that was paid before is none to refund: it goes on the list, and is found there."""
    made = xpaid.cases[case]
    says = reads_xpay(made.answer, made.made.amount_msat or 0)
    assert says is (Says.PAID if case in XPAY_SUCCESSES else Says.UNPAID if case in FINAL else Says.PENDING)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_watches_xpay(xpaid: Recorded, moment: Moment) -> None:
    assert watches(xpaid.looks[moment]) is moment.truth
