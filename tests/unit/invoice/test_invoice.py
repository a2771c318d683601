"""What becomes of the host's `decode`, and who is the recipient; its real answers are in `bolt11_cases.json`."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest

from pay.errors import Code, PayError
from pay.invoice import CURRENCIES, GarbledInvoice, Invoice, InvoiceKind, normalise, recipient_of
from pay.invoice.recipient import BlindedRecipient, ClearRecipient, SelfRecipient
from pay.network.hints import HintHop
from tests.support.checkout import ROOT
from tests.support.payments import NOW, node, scid

CASES = json.loads((ROOT / "tests/support/lightningd/bolt11_cases.json").read_text(encoding="utf-8"))
PAYEE = node("d")

BOLT11: dict[str, Any] = {
    "type": "bolt11 invoice", "currency": "bcrt", "created_at": int(NOW), "expiry": 3600, "payee": PAYEE.hex(),
    "amount_msat": 100_000, "description": "tea", "min_final_cltv_expiry": 18, "payment_secret": "11" * 32,
    "features": "02024100", "payment_hash": "22" * 32, "signature": "30", "valid": True,
    "routes": [[
        {"pubkey": node("a").hex(), "short_channel_id": "1x1x0", "fee_base_msat": 1,
         "fee_proportional_millionths": 2, "cltv_expiry_delta": 3},
        {"pubkey": node("b").hex(), "short_channel_id": "2x1x0", "fee_base_msat": 4,
         "fee_proportional_millionths": 5, "cltv_expiry_delta": 6},
    ]],
}  # fmt: skip
BOLT12: dict[str, Any] = {
    "type": "bolt12 invoice", "valid": True, "invoice_payment_hash": "22" * 32, "invoice_amount_msat": 7,
    "invoice_created_at": int(NOW), "invoice_node_id": PAYEE.hex(), "offer_description": "tea",
}  # fmt: skip


def read(changes: dict[str, Any] | None = None, base: dict[str, Any] = BOLT11) -> Invoice:
    """`base` with changes; a value of None takes the key away."""
    decoded = {**copy.deepcopy(base), **(changes or {})}
    return Invoice.from_decode("lnbcrt1", {k: v for k, v in decoded.items() if v is not None}, "regtest")


def test_a_bolt11_invoice() -> None:
    assert read() == Invoice(
        kind=InvoiceKind.BOLT11,
        invstring="lnbcrt1",
        payment_hash=b"\x22" * 32,
        payee=PAYEE,
        amount_msat=100_000,
        expires_at=int(NOW) + 3600,
        final_cltv=18,
        payment_secret=b"\x11" * 32,
        payment_metadata=None,
        features=1 << 25 | 1 << 17 | 1 << 14 | 1 << 8,
        description="tea",
        description_hash=None,
        hints=((HintHop(node("a"), scid(1), 1, 2, 3), HintHop(node("b"), scid(2), 4, 5, 6)),),
    )


def test_a_bolt12_invoice() -> None:
    """Enough to look at its past; without its own expiry it is good for two hours."""
    invoice = read(base=BOLT12)
    assert (invoice.kind, invoice.amount_msat, invoice.payee) == (InvoiceKind.BOLT12, 7, PAYEE)
    assert invoice.expires_at == int(NOW) + 7200
    assert read({"invoice_relative_expiry": 60}, BOLT12).expires_at == int(NOW) + 60
    invoice.check_payable()


@pytest.mark.parametrize("case", [c for c in CASES if c["answer"].get("valid")], ids=lambda c: c["title"][:40])
def test_the_hosts_own_answers(case: dict) -> None:
    """Every valid example of BOLT 11 is read, as the host decoded it."""
    answer = case["answer"]
    network = {currency: name for name, currency in reversed(CURRENCIES.items())}[answer["currency"]]
    invoice = Invoice.from_decode(normalise(case["invoice"]), answer, network)
    assert invoice.amount_msat == answer.get("amount_msat")
    assert invoice.payment_hash.hex() == answer["payment_hash"]
    assert len(invoice.hints) == len(answer.get("routes", []))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "bolt12 offer"}, "fetchinvoice"),
        ({"type": "bolt12 invoice_request"}, "not an invoice"),
        ({"valid": False, "warning_x": "no signature"}, "ask the recipient for another invoice"),
        ({"valid": False, "warning_x": "no signature"}, "not valid; no signature"),
        ({"valid": "true"}, "not valid"),
        ({"currency": "bc"}, "another network (lnbc)"),
        ({"currency": "tb"}, "another network (lntb)"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_meant_by_the_caller(changes: dict, words: str) -> None:
    with pytest.raises(PayError) as caught:
        read(changes)
    assert caught.value.code == Code.INVALID_PARAMS
    assert caught.value.message.startswith("bolt11: ") and words in caught.value.message


def test_almost_any_letters_are_a_rune_to_the_host() -> None:
    with pytest.raises(PayError, match="this is an LNURL") as caught:
        Invoice.from_decode("lnurl1dp68gurn8ghj7um9wfmxjcm99e3k7", {"type": "rune", "valid": True}, "regtest")
    assert caught.value.code == Code.INVALID_PARAMS


REQUIRED = ["type", "valid", "currency", "created_at", "expiry", "payee", "min_final_cltv_expiry", "payment_hash"]
GARBLED: list[dict[str, Any]] = [
    *({key: None} for key in REQUIRED),
    *({key: {}} for key in REQUIRED[3:]),
    {"payee": "04" * 33},
    {"payment_hash": "zz"},
    {"payment_secret": 7},
    {"features": "xyz"},
    {"amount_msat": "much"},
    {"routes": 7},
    {"routes": [7]},
    {"routes": [[7]]},
    {"routes": [[{}]]},
    {"routes": [[{**BOLT11["routes"][0][0], "short_channel_id": "1x2"}]]},
]


@pytest.mark.parametrize("changes", GARBLED, ids=str)
def test_a_garbled_answer_is_not_the_callers_fault(changes: dict) -> None:
    """It is asked for again: -32602 would be taken for a mistake of one's own, and -1 for surely unpaid."""
    with pytest.raises(GarbledInvoice):
        read(changes)


@pytest.mark.parametrize("features", ["0" * 30 + "4000", "", None])
def test_features_that_may_be_paid(features: str | None) -> None:
    read({"features": features}).check_payable()


@pytest.mark.parametrize("bit", range(140))
def test_feature_bits(bit: int) -> None:
    """BOLT 11: an even bit that we do not know forbids to pay, an odd one never does."""
    invoice = read({"features": f"{1 << bit:x}"})
    if bit % 2 or bit in (8, 14, 16, 24, 48):
        invoice.check_payable()
        return
    with pytest.raises(PayError, match=f"requires feature bit {bit},") as caught:
        invoice.check_payable()
    assert caught.value.code == Code.INVALID_PARAMS


def test_without_a_secret() -> None:
    with pytest.raises(PayError, match="no payment_secret"):
        read({"payment_secret": None}).check_payable()


@pytest.mark.parametrize(
    ("features", "several"),
    [(0, False), (1 << 16, True), (1 << 17, True), (3 << 16, True), (1 << 15 | 1 << 18, False)],
)
def test_parts_only_where_the_recipient_takes_them(features: int, several: bool) -> None:
    assert read({"features": f"{features:x}"}).multi_part is several


def test_the_description_and_its_hash() -> None:
    invoice = read({"description": None, "description_hash": hashlib.sha256("thé".encode()).hexdigest()})
    assert invoice.describe_hash_matches("thé")
    for wrong in ("", "thé ", "the", "\ud800"):
        assert not invoice.describe_hash_matches(wrong)
    assert read().describe_hash_matches("anything"), "a plain description commits to nothing"


@pytest.mark.parametrize(
    "text", ["lnbc1x", "LNBC1X", " lnbc1x\n", "lightning:lnbc1x", "LIGHTNING:LNBC1X", "lightning://lnbc1x"]
)
def test_forms_of_one_invoice(text: str) -> None:
    """All are one payment: they must look the same wherever payments are compared."""
    assert normalise(text) == "lnbc1x"


def test_recipients() -> None:
    us, invoice = node("us"), read()
    assert recipient_of(invoice, us) == ClearRecipient(PAYEE, invoice.hints, multi_part=True)
    assert recipient_of(invoice, PAYEE) == SelfRecipient(PAYEE)
    assert recipient_of(read(base=BOLT12), us) == BlindedRecipient(PAYEE)
