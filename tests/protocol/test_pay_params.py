"""The parameters of `pay`: what is taken, what is refused, and that nothing is sent on a refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.network.encoding.bolt11 import Bolt11, encode
from pay.sim.network.encoding.keys import node_secret
from tests.support.box.host import SAT, Host, hosting
from tests.support.rawrpc import Answer

INVALID_PARAMS = -32602
ORDER = (
    "bolt11", "amount_msat", "label", "riskfactor", "maxfeepercent", "retry_for", "maxdelay", "exemptfee",
    "localinvreqid", "exclude", "maxfee", "description", "partial_msat",
)  # fmt: skip


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(Path(tmp_path_factory.mktemp("host"))) as host:
        yield host


def refused(host: Host, params: Any, *words: str) -> Answer:
    """The call must be -32602 with these words, and nothing may have been asked for or sent."""
    mark = host.mark()
    answer = host.call("pay", params)
    assert answer.error is not None, answer
    assert answer.code == INVALID_PARAMS, answer.error
    for word in words:
        assert word in answer.error["message"], answer.error
    assert not {"preapproveinvoice", "sendpay"} & set(host.methods(mark))
    return answer


# --- taken ------------------------------------------------------------------------------------------------


def test_positional_with_nulls(host: Host) -> None:
    """All thirteen in the manual's order; null is absent."""
    made = host.invoice(amount_msat=None)
    values: list[Any] = [
        made.bolt11, "100sat", "a label", 10, 0.5, 60, 2016, 5000, None, [], None, "what it is for",
        "0.00000050btc",
    ]  # fmt: skip
    mark = host.mark()
    pending = host.soon("pay", values)
    host.until(lambda: made.parts)
    (part,) = host.sendpays(mark)
    assert part["amount_msat"] == 100 * SAT
    assert part["route"][-1]["amount_msat"] == 50 * SAT
    assert (part["label"], part["description"]) == ("a label", "what it is for")
    host.send_by_hand(made, 100 * SAT, part_msat=50 * SAT, partid=2, groupid=part["groupid"])
    answer = pending.answer().ok()
    assert answer["amount_msat"] == 50 * SAT
    assert made.received_msat == 100 * SAT


def test_by_name_with_nulls(host: Host) -> None:
    """Every other parameter null is as if it were not there."""
    made = host.invoice()
    answer = host.call("pay", {**dict.fromkeys(ORDER), "bolt11": made.bolt11}).ok()
    assert answer["amount_msat"] == made.amount_msat


def test_invstring(host: Host) -> None:
    """The name since v26.06."""
    made = host.invoice()
    assert host.call("pay", {"invstring": made.bolt11}).ok()["status"] == "complete"


@pytest.mark.parametrize("dress", [str.upper, lambda s: "lightning:" + s, lambda s: "LIGHTNING:" + s.upper()])
def test_invoice_is_stored_plain(host: Host, dress: Any) -> None:
    """QR codes are upper case and links have a prefix; `listsendpays` readers look for neither."""
    made = host.invoice()
    mark = host.mark()
    assert host.pay(dress(made.bolt11)).ok()["status"] == "complete"
    assert host.sendpays(mark)[0]["bolt11"] == made.bolt11
    assert host.rows(made)[0]["bolt11"] == made.bolt11


@pytest.mark.parametrize("amount", [1000, "1000", "1000msat", "1sat", "1.000sat", "0.00000001btc"])
def test_amount_forms(host: Host, amount: Any) -> None:
    """The forms of the manual's msat type."""
    made = host.invoice("hub", None)
    assert host.pay(made, amount_msat=amount).ok()["amount_msat"] == 1000
    assert made.received_msat == 1000


def test_label_and_metadata_go_along(host: Host) -> None:
    """What the recipient wants back reaches it; what the caller notes stands in the row."""
    made = host.invoice(metadata=b"\x01\x02", features=1 << 8 | 1 << 14 | 1 << 48)
    mark = host.mark()
    assert host.pay(made, label="Bücher", description="zwei").ok()
    (part,) = host.sendpays(mark)
    assert part["payment_metadata"] == "0102"
    assert made.payment_secret is not None
    assert part["payment_secret"] == made.payment_secret.hex()
    assert (part["groupid"], part["partid"]) == (1, 1)
    (row,) = host.rows(made)
    assert (row["label"], row["description"]) == ("Bücher", "zwei")


def test_localinvreqid_is_handed_on(host: Host) -> None:
    """The host's offers plugin finds its payment by it."""
    made = host.invoice()
    mark = host.mark()
    assert host.pay(made, localinvreqid="AB" * 32).ok()
    assert host.sendpays(mark)[0]["localinvreqid"] == "ab" * 32


def test_numeric_label(host: Host) -> None:
    assert host.pay(host.invoice(), label=7).ok()


@pytest.mark.parametrize(
    ("words", "given", "shown"),
    [
        ("tea", None, "tea"),
        ("tea", "coffee", "coffee"),
        ('"d\u00e9j\u00e0" \\', None, '\\"d\u00e9j\u00e0\\" \\\\'),
        ("x" * 639, None, "x" * 639),
        ("", None, None),
    ],
    ids=["the invoice's", "the caller's", "quotes", "long", "none"],
)
def test_what_it_was_for(words: str, given: str | None, shown: str | None, host: Host) -> None:
    """What lists show: the caller's words, else the invoice's, as the host keeps them."""
    made = host.invoice(description=words)
    assert host.pay(made, **({} if given is None else {"description": given})).ok()
    (row,) = host.rows(made)
    (entry,) = host.call("listpays", {"payment_hash": made.payment_hash.hex()}).ok()["pays"]
    assert row.get("description") == entry.get("description") == shown


def test_description_hash(host: Host) -> None:
    """A description that is given must be the one that the invoice commits to; it may be left out."""
    words = "a long description é"
    digest = hashlib.sha256(words.encode()).digest()
    assert host.pay(host.invoice(description_hash=digest), description=words).ok()
    silent = host.invoice(description_hash=digest)
    assert host.pay(silent).ok() and "description" not in host.rows(silent)[0]
    made = host.invoice(description_hash=digest)
    refused(host, {"bolt11": made.bolt11, "description": words + "!"}, "description")


# --- refused ----------------------------------------------------------------------------------------------

HALF = "half \ud800"
BAD: list[tuple[str, Any]] = [
    *(("bolt11", v) for v in ("", "  ", 5, ["x"], {"a": 1}, True, "lnbcrt1qqqq", "bitcoin:x", "hello", HALF)),
    *(
        ("amount_msat", v)
        for v in (0, "0", "0sat", -1, "-1", 1.5, True, [], {}, "1.5", "1.5msat", "1.0001sat", "1btc", "1.btc",
                  "0.000000000001btc", "1 sat", "sat", "", "１", "1e3", 10**30, "1" * 30, "21000001.0btc", HALF)
    ),
    *(("label", v) for v in (["a"], {"a": 1}, True, HALF)),
    *(
        (name, v)
        for name in ("riskfactor", "maxfeepercent")
        for v in (-1, "-0.1", "x", "", [], {}, True, "nan", "inf", 1e300, 1e-300)
    ),
    *(
        (name, v)
        for name in ("retry_for", "maxdelay")
        for v in (-1, "-1", 1.5, "1.5", "x", "", [], {}, True, 1 << 32, "１")
    ),
    *((name, v) for name in ("exemptfee", "maxfee") for v in (-1, "x", 1.5, True, [], {}, "1.0001sat", 10**30)),
    *(("localinvreqid", v) for v in ("", "ab", "zz" * 32, 5, "ab" * 33, [], True, " " * 64)),
    *(
        ("exclude", v)
        for v in ("1x1x1/0", 5, {}, True, [5], [None], ["x"], ["1x1x1/2"], ["1x1x1/"], ["1x1"], ["02" * 33 + "0"],
                  ["05" + "11" * 32], ["99999999x1x1/0"], [["1x1x1/0"]], [""], [HALF])
    ),
    *(("description", v) for v in (["a"], {"a": 1}, False, HALF)),
    *(("partial_msat", v) for v in (0, -1, "x", 1.5, True, [], {}, 10**30)),
]  # fmt: skip


@pytest.fixture(scope="module")
def bolt11(host: Host) -> str:
    return host.invoice(amount_msat=None).bolt11


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}={value!r:.20}" for name, value in BAD])
def test_bad_value(host: Host, bolt11: str, name: str, value: Any) -> None:
    """A value that cannot be meant is refused in the parameter's name, by name and by position."""
    params = {"bolt11": bolt11, "amount_msat": 1000, name: value}
    refused(host, params, name)
    places = [params.get(known) for known in ORDER]
    refused(host, places, name)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, ("bolt11",)),
        ([], ("bolt11",)),
        ({"bolt11": None}, ("bolt11",)),
        ([None, 5], ("bolt11",)),
        ({"amount_msat": 5}, ("bolt11",)),
        ([None] * 14, ("14", "13")),
        (["x", *[None] * 13], ("14", "13")),
        ({"bolt11": "x", "dev_use_shadow": True}, ("dev_use_shadow",)),
        ({"bolt11": "x", "amount": 5}, ("amount",)),
        ({"bolt11": "x", HALF: 5}, ("half",)),
        ({"bolt11": "x", "invstring": "x"}, ("bolt11", "invstring")),
        ({"bolt11": "x", "maxfee": 1, "maxfeepercent": 1}, ("maxfee",)),
        ({"bolt11": "x", "maxfee": 1, "exemptfee": 1}, ("exemptfee", "maxfee")),
        ({"bolt11": "x", "maxfee": 0, "exemptfee": 0}, ("exemptfee", "maxfee")),
    ],
)
def test_bad_call(host: Host, params: Any, words: tuple[str, ...]) -> None:
    """What is wrong with the call as a whole."""
    refused(host, params, *words)


def test_amount_missing(host: Host, bolt11: str) -> None:
    refused(host, {"bolt11": bolt11}, "amount_msat")


def test_amount_given_twice(host: Host) -> None:
    """Also where it is the same amount."""
    made = host.invoice()
    refused(host, {"bolt11": made.bolt11, "amount_msat": made.amount_msat}, "amount_msat")


def test_share_above_the_whole(host: Host) -> None:
    made = host.invoice()
    refused(host, {"bolt11": made.bolt11, "partial_msat": (made.amount_msat or 0) + 1}, "partial_msat")


def test_share_of_our_own_invoice(host: Host) -> None:
    made = host.invoice("us")
    refused(host, {"bolt11": made.bolt11, "partial_msat": 1000}, "partial_msat")


# --- what is no invoice for us -----------------------------------------------------------------------------


def test_bad_checksum_and_signature(host: Host) -> None:
    """A letter wrong anywhere in it."""
    text = host.invoice().bolt11
    for place in (20, 100, len(text) - 3):
        letter = "q" if text[place] != "q" else "p"
        refused(host, [text[:place] + letter + text[place + 1 :]], "bolt11")


def signed(host: Host, **fields: Any) -> str:
    """An invoice of `far` with fields that the box itself would not write."""
    plain = {
        "currency": "bcrt", "amount_msat": 1000, "created_at": int(host.box.world.clock.now()), "expiry": 3600,
        "payment_hash": b"\x07" * 32, "payment_secret": b"\x08" * 32, "description": "",
        "features": 1 << 8 | 1 << 14, "min_final_cltv_expiry": 10, "payee": host.id("far"),
    }  # fmt: skip
    return encode(Bolt11(**{**plain, **fields}), node_secret(1, "far"))


def test_another_network(host: Host) -> None:
    """The host decodes every network; a payment over this one would find no such invoice."""
    refused(host, [signed(host, currency="bc")], "bolt11", "network")


def test_required_feature_that_is_unknown(host: Host) -> None:
    """BOLT 11: MUST fail the payment if there is an even bit that we do not know."""
    refused(host, [signed(host, features=1 << 8 | 1 << 14 | 1 << 100)], "bolt11", "100")


@pytest.mark.parametrize(
    ("text", "words"),
    [("lnurl1dp68gurn8ghj7um9wfmxjcm99e3k7", "LNURL"), ("bob@host.example", "Lightning address"),
     ("bitcoin:bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080?amount=0.1", "`withdraw`")],
)  # fmt: skip
def test_what_is_no_invoice_at_all(text: str, words: str, host: Host) -> None:
    refused(host, [text], "bolt11", words)


def test_a_letter_is_missing(host: Host) -> None:
    refused(host, [host.invoice().bolt11[:-1]], "bolt11", "copy the invoice again, in full")


def test_without_payment_secret(host: Host) -> None:
    # v26.06 refuses it already in `decode`.
    refused(host, [signed(host, payment_secret=None, features=0)], "bolt11", "no payment_secret")


def test_developer_parameter(tmp_path: Path) -> None:
    """`dev_use_shadow` exists for developers only, and is a bool."""
    with hosting(tmp_path, developer=True) as host:
        assert host.pay(host.invoice(), dev_use_shadow=False).ok()
        assert host.pay(host.invoice(), dev_use_shadow="true").ok()
        refused(host, {"bolt11": host.invoice().bolt11, "dev_use_shadow": "no"}, "dev_use_shadow")
        refused(host, [host.invoice().bolt11, *[None] * 12, 5], "dev_use_shadow")
        refused(host, [None] * 15, "15", "14")
