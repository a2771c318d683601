"""The words and fields that callers of the builtin look for in what `pay` answers on a real lightningd."""

from __future__ import annotations

import time

import pytest

from tests.real.support.network import Node
from tests.real.support.paying import (
    INVALID,
    TEMPORARY_NODE_FAILURE,
    UNKNOWN_DETAILS,
    begin,
    held,
    invoice,
    pay,
    rows,
    wait_until,
)
from tests.real.support.shop import Shop
from tests.support.waiting import result_of


def test_a_description_that_does_not_match(shop: Shop) -> None:
    made = invoice(shop.line.far, description="a story", deschashonly=True)
    refused = pay(shop.payer, bolt11=made["bolt11"], description="another story")
    assert refused.code == INVALID and refused.error is not None
    assert "does not match description" in refused.error["message"]


def test_a_share_of_more_than_the_whole(shop: Shop) -> None:
    refused = pay(shop.payer, bolt11=invoice(shop.line.far)["bolt11"], partial_msat=100_001)
    assert refused.code == INVALID and refused.error is not None
    assert "partial_msat" in refused.error["message"]
    assert "must be less or equal to total amount" in refused.error["message"]


def test_an_invoice_that_has_expired(shop: Shop) -> None:
    """A real one, whose time has passed; and one that expires between two attempts."""
    made, late = invoice(shop.line.far, expiry=1), invoice(shop.line.far, expiry=3)
    shop.line.far.call("hold", late["payment_hash"])
    answer = begin(shop.payer, late["bolt11"])
    wait_until(lambda: held(shop.line.far, late) == 1)
    wait_until(lambda: time.time() > late["expires_at"] + 1)
    shop.line.far.call("release", late["payment_hash"], TEMPORARY_NODE_FAILURE)
    for refused in (pay(shop.payer, made["bolt11"]), result_of(answer)):
        assert refused.code == 207 and refused.error is not None
        assert "Invoice expired" in refused.error["message"]
        assert refused.error["data"]["now"] > refused.error["data"]["expiry"]
    assert rows(shop.payer, made) == []


def test_an_invoice_of_ours_that_is_gone(shop: Shop) -> None:
    payer: Node = shop.payer
    made = payer.call("invoice", amount_msat=100_000, label="words gone", description="gone")
    payer.call("delinvoice", label="words gone", status="unpaid")
    refused = pay(payer, made["bolt11"])
    assert refused.code == 203 and refused.error is not None
    assert "Unknown invoice" in refused.error["message"]
    assert (refused.error["erring_index"], refused.error["erring_node"]) == (0, payer.id)


@pytest.mark.parametrize(
    ("said", "code", "name"),
    [
        (TEMPORARY_NODE_FAILURE, 0x2002, "WIRE_TEMPORARY_NODE_FAILURE"),
        ("0017", 0x0017, "WIRE_MPP_TIMEOUT"),
    ],
)
def test_the_last_refusal(said: str, code: int, name: str, shop: Shop) -> None:
    """Time is up when the payee refuses: by the code's name in the message, and flat beside it."""
    far, made = shop.line.far, invoice(shop.line.far)
    far.call("hold", made["payment_hash"])
    answer = begin(shop.payer, bolt11=made["bolt11"], retry_for=0)
    wait_until(lambda: held(far, made) == 1)
    far.call("release", made["payment_hash"], said)
    refused = result_of(answer)
    assert refused.code in (205, 210) and refused.error is not None
    assert f"failed: {name}" in refused.error["message"]
    for fields in (refused.error, refused.error["data"]):
        assert (fields["failcode"], fields["failcodename"]) == (code, name)
        assert (fields["erring_index"], fields["erring_node"]) == (2, far.id)
        assert fields["erring_channel"] == "0x0x0"


def test_the_final_words_are_the_recipients_alone(shop: Shop) -> None:
    """The hub says of a payment what only its recipient can know: no error has the words that refunds hang on."""
    far, hub, made = shop.line.far, shop.line.hub, invoice(shop.line.far)
    hub.call("hold", made["payment_hash"])
    answer = begin(shop.payer, bolt11=made["bolt11"], retry_for=0)
    wait_until(lambda: held(hub, made) == 1)
    hub.call("release", made["payment_hash"], UNKNOWN_DETAILS)
    refused = result_of(answer)
    assert refused.code in (205, 210) and refused.error is not None
    assert "incorrect_or_unknown_payment_details" not in str(refused.error).lower()
    assert refused.error["failcode"] == 0x400F
    assert (refused.error["erring_index"], refused.error["erring_node"]) == (1, hub.id)
    assert pay(shop.payer, made["bolt11"]).ok()["destination"] == far.id
