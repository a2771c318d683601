"""`xpay`: what its parameters mean, and answers and errors of the engine in its form, by the host's release."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from pay.commands.form.errors import error_json
from pay.commands.xpay import COMMAND, answer, error_of, parse_request, success_json
from pay.engine.open_calls import OpenCall
from pay.errors import Code, Hindered, PayError, XpayCode
from pay.host.version import Version
from pay.payment.events import Paid
from pay.payment.patience import Wait
from pay.payment.receipt import Receipt
from pay.payment.terms import PayRequest
from pay.routing.query import NoRouteReason
from tests.support.commands import context, silent
from tests.support.payments import NOW, PREIMAGE, node

V25_12, V26_04, V26_06 = Version(25, 12), Version(26, 4), Version(26, 6)
RECEIPT = Receipt(bytes(32), node("d"), int(NOW), Paid(PREIMAGE, 100_000, 101_000, 5, False, failed_parts=3))


def refused(params: Any) -> str:
    with pytest.raises(PayError) as caught:
        parse_request(params)
    assert caught.value.code == Code.INVALID_PARAMS
    return caught.value.message


# --- parameters -------------------------------------------------------------------------------------------------


def test_all_by_position() -> None:
    request = parse_request(["lnbc1", "1sat", 9, ["mine"], 30, 999, 500, "hello", "tea"])
    assert request == PayRequest(
        invstring="lnbc1",
        amount_msat=1_000,
        label="tea",
        maxfeepercent=Decimal(1),
        retry_for_s=30,
        maxdelay_blocks=500,
        exemptfee_msat=5_000,
        maxfee_msat=9,
        partial_msat=999,
        layers=("mine",),
    )


@pytest.mark.parametrize(
    ("amount_msat", "limit_msat"),
    [(1, 5_000), (499_999, 5_000), (500_000, 5_000), (500_100, 5_001), (100_000_000, 1_000_000)],
)
def test_limit_of_the_fee(amount_msat: int, limit_msat: int) -> None:
    """1 % or 5 sat, of which `pay` has half; and the words name no parameter that `xpay` does not have."""
    request = parse_request(["lnbc1"])
    assert request.fee_limit_msat(amount_msat) == limit_msat
    assert request.fee_limit_words(amount_msat) == f"the default of maxfee, {limit_msat}msat"
    given = parse_request(["lnbc1", None, 7])
    assert (given.fee_limit_msat(amount_msat), given.fee_limit_words(amount_msat)) == (7, "maxfee 7msat")


def test_layers() -> None:
    """The one that says what we can do as well is no layer to us."""
    request = parse_request({"invstring": "lnbc1", "layers": ["auto.no_mpp_support"]})
    assert (request.one_part, request.layers) == (True, ())
    request = parse_request({"invstring": "lnbc1", "layers": ["mine", "auto.no_mpp_support"]})
    assert (request.one_part, request.layers) == (True, ("mine",))
    assert not parse_request(["lnbc1"]).one_part


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "missing required parameter: invstring"),
        ({"bolt11": "lnbc1"}, "unknown parameter: 'bolt11'"),
        ({"invstring": "lnbc1", "maxfeepercent": 1}, "unknown parameter: 'maxfeepercent'"),
        ({"invstring": ["lnbc1"]}, "invstring: should be an invoice string"),
        ({"invstring": "lnbc1", "amount_msat": 0}, "amount_msat: should be more than 0msat"),
        ({"invstring": "lnbc1", "partial_msat": 0}, "partial_msat: should be more than 0msat"),
        ({"invstring": "lnbc1", "layers": "mine"}, "layers: should be an array of strings"),
        ({"invstring": "lnbc1", "layers": [1]}, "layers: should be an array of strings"),
        ({"invstring": "lnbc1", "payer_note": {}}, "payer_note: should be a string"),
        (
            {"invstring": "lnbc1", "localinvreqid": "00" * 32},
            "localinvreqid: Cannot use localinvreqid",
        ),
        ("lnbc1", "Expected array or object for params"),
    ],
)
def test_refused(params: Any, message: str) -> None:
    assert refused(params).startswith(message)


def test_what_an_older_host_does_not_have() -> None:
    """Its own `xpay` refuses a label, by name and by position; what it has is read."""
    request = parse_request(["lnbc1", None, None, None, None, None, 500], V25_12)
    assert (request.maxdelay_blocks, request.label) == (500, None)
    for params in ({"invstring": "lnbc1", "label": "tea"}, ["lnbc1", *[None] * 7, "tea"]):
        with pytest.raises(PayError, match=r"unknown parameter: 'label'|too many parameters") as caught:
            parse_request(params, V25_12)
        assert caught.value.code == Code.INVALID_PARAMS
        assert parse_request(params, V26_06).label == "tea"


# --- answers ----------------------------------------------------------------------------------------------------


def test_success() -> None:
    """Five fields: its schema forbids others."""
    assert success_json(RECEIPT, V26_06) == {
        "payment_preimage": PREIMAGE.hex(),
        "failed_parts": 3,
        "successful_parts": 2,
        "amount_msat": 100_000,
        "amount_sent_msat": 101_000,
    }


@pytest.mark.parametrize(("version", "code"), [(V25_12, 218), (V26_04, 218), (V26_06, 219)])
def test_paid_before_the_call_came(version: Version, code: int) -> None:
    earlier = Receipt(RECEIPT.payment_hash, RECEIPT.destination, RECEIPT.created_at_s, RECEIPT.paid, earlier=True)
    with pytest.raises(PayError) as caught:
        success_json(earlier, version)
    assert (caught.value.code, caught.value.message) == (code, "Already paid this invoice successfully")


@pytest.mark.parametrize(
    ("code", "before", "since"),
    [
        (Code.INVALID_PARAMS, -32602, -32602),
        (Code.OTHER, -1, -1),
        (Code.ALREADY_USED, -3, -3),
        (Code.DESTINATION_FAILED, 203, 203),
        (Code.ROUTE_NOT_FOUND, 205, 205),
        (Code.ROUTE_TOO_EXPENSIVE, 205, 206),
        (Code.INVOICE_EXPIRED, 207, 207),
        (Code.STOPPED_RETRYING, 209, 209),
        (Code.PREAPPROVAL_DECLINED, 213, 213),
        (Code.PREAPPROVAL_FAILED, 214, 214),
        (-32601, -32601, -32601),
    ],
)
def test_codes(code: int, before: int, since: int) -> None:
    """As cln-xpay of the release has them; a code that the host gave stays; never `data`."""
    error = PayError(code, "why", Hindered(NoRouteReason.TOO_EXPENSIVE))
    for version, expected in ((V25_12, before), (V26_04, before), (V26_06, since)):
        told = error_of(error, version)
        assert (told.code, told.message, told.facts) == (expected, "why", None)


def test_every_code_is_declared() -> None:
    declared = {int(failing.code) for failing in COMMAND.errors}
    assert declared == {int(error_of(PayError(code, ""), V26_06).code) for code in Code} | {218, 219}
    assert declared >= set(map(int, XpayCode))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("bolt11: does not match", "invstring: does not match"),
        ("in the middle bolt11: stays", "in the middle bolt11: stays"),
        ("raise maxfee or maxfeepercent to pay", "raise maxfee to pay"),
        (
            "The recipient refuses (failed: WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS): no",
            "The recipient refuses (failed: incorrect_or_unknown_payment_details): no",
        ),
    ],
)
def test_words(message: str, told: str) -> None:
    """Its own names: of parameters, and of failures in small letters, as its readers look for them."""
    assert error_of(PayError(Code.OTHER, message), V26_06).message == told


# --- through the engine -----------------------------------------------------------------------------------------


class Paying:
    """An engine that ends each call as the test says."""

    def __init__(self, end: Receipt | Exception):
        self.end = end

    async def pay(self, call: OpenCall) -> Receipt:
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


def answered(end: Receipt | Exception) -> dict[str, Any]:
    async def calling() -> dict[str, Any]:
        return await answer(parse_request(["lnbc1"]), context(None, paying=Paying(end)), silent)

    return asyncio.run(calling())


def test_answer() -> None:
    assert answered(RECEIPT)["successful_parts"] == 2


@pytest.mark.parametrize(
    ("end", "code"), [(PayError(Code.STOPPED_RETRYING, "no", Hindered(Wait.BUSY)), 209), (ZeroDivisionError(), -1)]
)
def test_answer_is_an_error(end: Exception, code: int) -> None:
    with pytest.raises(PayError) as caught:
        answered(end)
    assert error_json(caught.value).keys() == {"code", "message"} and caught.value.code == code
