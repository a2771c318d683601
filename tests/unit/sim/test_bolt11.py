"""BOLT 11 in the box: the specification's examples, and lightningd's answers to them.

`bolt11_cases.json` holds every example of BOLT 11, valid and invalid, with what `decode` of lightningd v26.06
answered for it. All valid ones are signed with the same key, so that they can be written again to the letter;
`order` says in which order their fields stand.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from hashlib import sha256

import pytest
from pyln.proto.bech32 import bech32_decode, bech32_encode

from pay.errors import Code, PayError
from pay.network import HintHop
from pay.sim.lightningd.commands.bolt11_json import decode_answer, features_hex
from pay.sim.network.encoding.bolt11 import FIELD_ORDER, NOBODY, Bolt11, canonical, decode, encode
from pay.sim.network.encoding.bolt11 import words as words
from pay.units import NodeId, Scid
from tests.support.checkout import ROOT

KEY = bytes.fromhex("e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734")
PAYEE = "03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad"
CASES = json.loads((ROOT / "tests/support/lightningd/bolt11_cases.json").read_text(encoding="utf-8"))
VALID = [case for case in CASES if "valid" in case["answer"]]
INVALID = [case for case in CASES if "code" in case["answer"]]

PLAIN = Bolt11(payment_hash=bytes(32), created_at=1_700_000_000, payment_secret=b"\1" * 32, description="tea")


def title(case: dict) -> str:
    return case["title"][:50]


def test_the_examples_are_all_there():
    """Fifteen that a reader must accept, ten that it must refuse."""
    assert (len(VALID), len(INVALID)) == (15, 10)


@pytest.mark.parametrize("case", VALID, ids=title)
def test_valid_example_is_answered_as_lightningd_does(case):
    """Same keys, same values, same order of keys."""
    assert json.dumps(decode_answer(case["invoice"])) == json.dumps(case["answer"])


@pytest.mark.parametrize("case", INVALID, ids=title)
def test_invalid_example_is_refused_in_the_same_words(case):
    with pytest.raises(PayError) as refusal:
        decode_answer(case["invoice"])
    assert {"code": refusal.value.code, "message": refusal.value.message} == case["answer"]


@pytest.mark.parametrize("case", [case for case in VALID if case["order"]], ids=title)
def test_example_is_written_to_the_letter(case):
    """Signatures are deterministic (RFC 6979), so the same fields and key give the same string."""
    assert encode(decode(case["invoice"]), KEY, order=case["order"]) == case["invoice"].lower()


def test_amounts_take_the_largest_multiplier_that_fits():
    """One bitcoin, its thousandth, millionth, billionth, and single msat as ten pico-bitcoin."""
    written = {
        300_000_000_000: "lnbc31", 100_000_000: "lnbc1m1", 1_200_000: "lnbc12u1", 300: "lnbc3n1", 1: "lnbc10p1",
        100_000_000_001: "lnbc1000000000010p1",
    }  # fmt: skip
    for amount_msat, beginning in written.items():
        text = encode(replace(PLAIN, currency="bc", amount_msat=amount_msat), KEY)
        assert text.startswith(beginning)
        assert decode(text).amount_msat == amount_msat


@pytest.mark.parametrize("amount_msat", [0, -1])
def test_no_invoice_for_nothing(amount_msat):
    with pytest.raises(ValueError, match="invoice for"):
        encode(replace(PLAIN, amount_msat=amount_msat), KEY)


def with_hrp(text: str, hrp: str) -> str:
    """The same words under another human readable part: a right checksum, a signature by somebody else."""
    return bech32_encode(hrp, bech32_decode(text)[1])


@pytest.mark.parametrize(
    ("hrp", "words_of_refusal"),
    [
        ("lnbc25p", "Invalid sub-millisatoshi amount '25p'"),
        ("lnbc25x", "Invalid amount postfix 'x'"),
        ("lnbc2m5m", "Invalid amount postfix 'm5'"),
        ("lnbc99999999999", "Invalid amount '99999999999'"),
        ("lnxy1u", "Unknown chain xy"),
        ("bc1u", "Prefix 'bc' does not start with ln"),
    ],
)
def test_bad_amounts_and_currencies(hrp, words_of_refusal):
    with pytest.raises(ValueError) as refusal:
        decode(with_hrp(encode(PLAIN, KEY), hrp))
    assert str(refusal.value) == words_of_refusal


def test_every_field_survives_the_way_there_and_back():
    """Random invoices with all kinds of fields: what is written is read again, signed by the key's owner."""
    rng = random.Random(11)
    scripts = [
        b"\x51\x20" + rng.randbytes(32), b"\x00\x14" + rng.randbytes(20), b"\x00\x20" + rng.randbytes(32),
        b"\x76\xa9\x14" + rng.randbytes(20) + b"\x88\xac", b"\xa9\x14" + rng.randbytes(20) + b"\x87",
    ]  # fmt: skip
    for _ in range(50):
        nodes = [NodeId(words.public_key_of(rng.randbytes(32))) for _ in range(3)]
        hints = tuple(
            tuple(
                HintHop(node, Scid(rng.getrandbits(64)), *(rng.getrandbits(bits) for bits in (32, 32, 16)))
                for node in nodes[: rng.randint(1, 3)]
            )
            for _ in range(rng.randrange(4))
        )
        plain = rng.random() < 0.5
        key = rng.randbytes(32)
        invoice = Bolt11(
            payment_hash=rng.randbytes(32),
            created_at=rng.randrange(1 << 35),
            amount_msat=rng.choice([None, rng.randrange(1, 10**13)]),
            description=rng.choice(["", "ナンセンス 1杯", 'quotes " and \\']) if plain else None,
            description_hash=None if plain else rng.randbytes(32),
            payment_secret=rng.randbytes(32),
            currency=rng.choice(["bc", "tb", "tbs", "bcrt"]),
            expiry=rng.choice([0, 60, 3600, rng.randrange(1 << 40)]),
            min_final_cltv_expiry=rng.choice([0, 18, 144]),
            features=rng.choice([0, 1 << 8 | 1 << 14, 1 << 9 | 1 << 15 | 1 << 17 | 1 << 99]),
            payment_metadata=rng.choice([None, b"", rng.randbytes(40)]),
            fallbacks=tuple(rng.sample(scripts, rng.randrange(3))),
            routes=hints,
            extra=rng.choice([(), (("2", "qqq"), ("z", ""))]),
            payee_named=rng.random() < 0.5,
        )
        text = encode(invoice, key)
        read = decode(text)
        assert replace(read, payee=NOBODY, signature=b"") == invoice
        assert read.payee == words.public_key_of(key)
        assert encode(read, key) == text


def test_upper_case_and_scheme_are_the_same_invoice():
    text = encode(PLAIN, KEY)
    for variant in (text.upper(), "lightning:" + text, "LIGHTNING:" + text.upper()):
        assert decode(variant) == decode(text)
        assert canonical(variant) == text
    with pytest.raises(ValueError, match="Bad bech32 string"):
        decode(text[:20] + text[20:].upper())


@pytest.mark.parametrize(
    ("missing", "words_of_refusal"),
    [
        ("p", "No valid 'p' field found"),
        ("s", "Missing required payment secret (s field)"),
        ("d", "must have either 'd' or 'h' field"),
    ],
)
def test_fields_that_must_be_there(missing, words_of_refusal):
    with pytest.raises(ValueError) as refusal:
        decode(encode(PLAIN, KEY, order=FIELD_ORDER.replace(missing, "")))
    assert str(refusal.value) == words_of_refusal


@pytest.mark.parametrize(
    ("extra", "words_of_refusal"),
    [
        (("x", "qp"), "x: not a minimal value"),
        (("x", "p" * 13), "x: integer too large"),
        (("9", "qqp"), "9: non-minimal length (begins with 0)"),
        (("9", "s"), "9: unknown feature bit 4"),
        (("f", ""), "f: truncated"),
        (("f", "3qqqqqqqq"), "f: pkhash length 5"),
        (("f", "pqqqqqqqq"), "f: witness v1 bad length 5"),
        (("r", "qqqqqqqq"), "r: hop 0 truncated"),
        (("r", ""), "r: hop 0 truncated"),
        (("m", "qqqqp"), "non-zero trailing bits"),
        (("n", "q" * 53), f"invalid public key {'00' * 33}"),
    ],
)
def test_malformed_fields(extra, words_of_refusal):
    """One bad field in an invoice that is fine otherwise and rightly signed."""
    with pytest.raises(ValueError) as refusal:
        decode(encode(replace(PLAIN, extra=(extra,)), KEY))
    assert str(refusal.value) == words_of_refusal


def test_description_that_is_not_text():
    """0xff is no UTF-8."""
    bad = replace(PLAIN, description=None, extra=(("d", "lu"),))
    with pytest.raises(ValueError, match="d: invalid utf8"):
        decode(encode(bad, KEY))


def test_the_first_of_two_holds():
    """BOLT 11: a payer SHOULD use the first `p` field; the second is kept as a field to be ignored."""
    second = "q" * 51 + "p"
    read = decode(encode(replace(PLAIN, extra=(("p", second), ("d", "qq"))), KEY))
    assert read.payment_hash == bytes(32)
    assert read.extra == (("p", second), ("d", "qq"))


def test_one_changed_letter_is_noticed():
    """The checksum catches it wherever it is; with a new checksum the signature names somebody else."""
    text = encode(replace(PLAIN, payee_named=True), KEY)
    for at in range(7, len(text), 9):
        with pytest.raises(ValueError, match="Bad bech32 string"):
            decode(text[:at] + ("p" if text[at] != "p" else "q") + text[at + 1 :])
    with pytest.raises(ValueError, match=r"^invalid signature$"):
        decode(with_hrp(text, "lnbc1u"))
    stranger = decode(with_hrp(encode(PLAIN, KEY), "lnbc1u")).payee
    assert stranger.hex() != PAYEE


def test_an_invoice_in_the_name_of_somebody_else():
    """Nodes of a real network are in the box without their keys: such an invoice is read only by who allows it."""
    text = encode(replace(PLAIN, payee_named=True, payee=NodeId(bytes.fromhex(PAYEE))), b"\2" * 32)
    with pytest.raises(ValueError, match=r"^invalid signature$"):
        decode(text)
    assert decode(text, check_signature=False).payee.hex() == PAYEE


def test_unknown_required_feature_is_accepted_only_on_request():
    text = encode(replace(PLAIN, features=1 << 100), KEY)
    with pytest.raises(ValueError, match="9: unknown feature bit 100"):
        decode(text)
    assert decode(text, known_features=None).features == 1 << 100


def test_features_fill_whole_words():
    """Bit 15 needs a fourth word of five bits, and that a third byte. No features: an empty string."""
    assert [features_hex(f) for f in (0, 1, 1 << 14 | 1 << 8, 1 << 15)] == ["", "01", "4100", "008000"]


def test_what_cannot_be_written_is_refused():
    with pytest.raises(ValueError, match="d: 1026 words"):
        encode(replace(PLAIN, description="x" * 640 + "y"), KEY)
    with pytest.raises(ValueError, match="does not fit"):
        encode(replace(PLAIN, created_at=1 << 35), KEY)
    with pytest.raises(ValueError, match="output script"):
        encode(replace(PLAIN, fallbacks=(b"\x6a\x01\x00",)), KEY)


def test_a_long_description_is_hashed_instead():
    """With both given the hash is written, as lightningd does."""
    long = "x" * 1000
    both = replace(PLAIN, description=long, description_hash=sha256(long.encode()).digest())
    read = decode(encode(both, KEY))
    assert (read.description, read.description_hash) == (None, sha256(long.encode()).digest())


def test_nonsense_is_refused_or_signed_by_a_stranger():
    """Random words under a right checksum: a ValueError and nothing else, or a payee that nobody is."""
    rng = random.Random(7)
    refused = 0
    whole = bytes(bech32_decode(encode(replace(PLAIN, features=1 << 14), KEY))[1])
    for _ in range(300):
        if rng.random() < 0.5:
            data = bytes(rng.randrange(32) for _ in range(rng.randrange(300)))
        else:
            at = rng.randrange(7, len(whole) - words.SIGNATURE_WORDS)
            data = whole[:at] + bytes(rng.randrange(32) for _ in range(rng.randrange(4))) + whole[at + 1 :]
        text = bech32_encode(rng.choice(["lnbc", "lnbc1", "lnbcrt20u", "lntb0p", "ln", "lnbcm"]), data)
        try:
            assert decode(text, known_features=None).payee.hex() != PAYEE
        except ValueError:
            refused += 1
    assert 200 < refused < 300


@pytest.mark.parametrize("text", ["", "abc", "12", "lnbc25m", "lno1abc", "lnbcm1qq"])
def test_what_does_not_look_like_an_invoice(text):
    with pytest.raises(PayError) as refusal:
        decode_answer(text)
    assert refusal.value.code == Code.INVALID_PARAMS
    assert refusal.value.message == "string: Unparsable string: invalid token (see logs for details)"
