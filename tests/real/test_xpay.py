"""`xpay` by the plugin on a real lightningd, beside cln-xpay's own on another node: the same form, case by case.

And `pay` and `xpay` of one invoice, which are one payment, each caller with its own form.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from pay.commands.xpay import PARAMETERS
from pay.host.version import (
    HOOK_FILTERS_SINCE,
    XPAY_ALREADY_PAID_IS_219_SINCE,
    XPAY_TOO_DEAR_IS_206_SINCE,
    Version,
)
from tests.real.support.network import Node
from tests.real.support.paying import (
    UNKNOWN_DETAILS,
    begin_other,
    held,
    invoice,
    pay,
    received,
    rows,
    wait_until,
)
from tests.real.support.shop import Shop
from tests.support.rawrpc import Answer
from tests.support.waiting import result_of, until

OURS = "clnpay-xpay"
"""What the hook leads a call of `xpay` to."""
FIELDS = ["payment_preimage", "amount_msat", "amount_sent_msat", "failed_parts", "successful_parts"]


@pytest.fixture(scope="module")
def version(shop: Shop) -> Version:
    found = Version.parse(shop.payer.call("getinfo")["version"])
    if not found.since(HOOK_FILTERS_SINCE):
        pytest.skip("before hooks had filters `xpay` stays the node's own")
    return found


def xpay(node: Node, *positional: Any, **named: Any) -> Answer:
    """By the plugin where the node has it: the hook leads it there; else by cln-xpay."""
    return node.raw.call("xpay", list(positional) or named)


@pytest.fixture(params=["cln-xpay", "plugin"])
def payer(request: pytest.FixtureRequest, shop: Shop, version: Version) -> Node:
    return shop.payer if request.param == "plugin" else shop.line.host


# --- the form, of both ------------------------------------------------------------------------------------------


def test_success(payer: Node, shop: Shop) -> None:
    """In this order."""
    made = invoice(shop.line.far)
    answer = xpay(payer, made["bolt11"]).ok()
    assert list(answer) == FIELDS
    assert (answer["failed_parts"], answer["successful_parts"], answer["amount_msat"]) == (0, 1, 100_000)
    assert answer["amount_sent_msat"] > 100_000 and received(shop.line.far, made) == 100_000
    assert {key: type(value) for key, value in answer.items()} == {FIELDS[0]: str} | dict.fromkeys(FIELDS[1:], int)


def test_an_amount_and_nulls(payer: Node, shop: Shop) -> None:
    made = invoice(shop.line.far, "any")
    assert xpay(payer, made["bolt11"], 7_000, None, None, 30).ok()["amount_msat"] == 7_000


def code_of(answer: Answer) -> int:
    """Of an error that has no more than code and message."""
    assert answer.error is not None, answer
    assert set(answer.error) == {"code", "message"} and answer.error["message"]
    return int(answer.error["code"])


def test_already_paid(payer: Node, shop: Shop, version: Version) -> None:
    made = invoice(shop.line.far)
    xpay(payer, made["bolt11"]).ok()
    again = xpay(payer, made["bolt11"])
    assert code_of(again) == (219 if version.since(XPAY_ALREADY_PAID_IS_219_SINCE) else 218)
    assert again.error is not None and again.error["message"] == "Already paid this invoice successfully"
    assert len([row for row in rows(payer, made) if row["status"] == "complete"]) == 1


def test_paid_with_another_amount(payer: Node, shop: Shop, version: Version) -> None:
    made = invoice(shop.line.far, "any")
    xpay(payer, made["bolt11"], 5_000).ok()
    assert code_of(xpay(payer, made["bolt11"], 6_000)) == -3


@pytest.mark.parametrize("limit", [{"maxfee": 0}, {"maxdelay": 9}])
def test_too_dear_and_too_slow(payer: Node, shop: Shop, version: Version, limit: dict[str, Any]) -> None:
    answer = xpay(payer, invstring=invoice(shop.line.far)["bolt11"], **limit)
    assert code_of(answer) == (206 if version.since(XPAY_TOO_DEAR_IS_206_SINCE) else 205)


def test_too_much(payer: Node, shop: Shop) -> None:
    """After v26.06 cln-xpay has a code of its own for it: 215, where all channels together hold too little."""
    code = code_of(xpay(payer, invoice(shop.line.far, 10**13)["bolt11"]))
    assert code == 205 or (code == 215 and not payer.ours)


def test_expired(payer: Node, shop: Shop) -> None:
    made = invoice(shop.line.far, expiry=1)
    # xpay takes it to its last second; all its clocks have whole ones.
    until(lambda: time.time() > made["expires_at"] + 1, "the invoice has expired")
    answer = xpay(payer, made["bolt11"])
    assert code_of(answer) == 207
    assert answer.error is not None and answer.error["message"].startswith("Invoice expired ")


def test_the_recipient_refuses(payer: Node, shop: Shop) -> None:
    far, made = shop.line.far, invoice(shop.line.far)
    far.call("hold", made["payment_hash"])
    answer = begin_other(payer, "xpay", made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    far.call("release", made["payment_hash"], UNKNOWN_DETAILS)
    refused = result_of(answer)
    assert code_of(refused) == 203
    assert refused.error is not None and "incorrect_or_unknown_payment_details" in refused.error["message"]


@pytest.mark.parametrize(
    "params",
    [
        lambda with_amount, without: [with_amount, 5_000],
        lambda with_amount, without: [without],
        lambda with_amount, without: {"invstring": with_amount, "partial_msat": 100_001},
        lambda with_amount, without: {"invstring": with_amount, "partial_msat": 0},
        lambda with_amount, without: {"invstring": with_amount, "maxfee": "dear"},
        lambda with_amount, without: {"invstring": with_amount, "nonsense": 1},
        lambda with_amount, without: {"bolt11": with_amount},
        lambda with_amount, without: [],
        lambda with_amount, without: ["nonsense"],
        lambda with_amount, without: [with_amount[:-1] + ("q" if with_amount[-1] != "q" else "p")],
        lambda with_amount, without: [with_amount, *[None] * 20],
    ],
)
def test_wrong_calls(payer: Node, shop: Shop, params: Callable[[str, str], Any]) -> None:
    far = shop.line.far
    called = params(invoice(far)["bolt11"], invoice(far, "any")["bolt11"])
    methods = ["xpay", OURS] if payer.ours else ["xpay"]
    assert [code_of(payer.raw.call(method, called)) for method in methods] == [-32602] * len(methods)


def test_parameters(shop: Shop, version: Version) -> None:
    """Those that cln-xpay of this release takes: asked by `check`, so that nothing is paid."""
    bolt11 = invoice(shop.line.far)["bolt11"]
    values = {"payer_note": "x", "label": "x", "localinvreqid": "00" * 32, "layers": []}

    def is_taken(name: str) -> bool:
        params = {"command_to_check": "xpay", "invstring": bolt11, name: values.get(name, 1)}
        answer = shop.line.host.raw.call("check", params)
        return answer.error is None or "unknown parameter" not in answer.error["message"]

    for parameter in PARAMETERS:
        if parameter.name != "invstring" and not parameter.developer:
            assert is_taken(parameter.name) is parameter.known_to(version, developer=False), parameter.name


def test_layers(shop: Shop, version: Version) -> None:
    """Called by our own name: refused, nothing is sent. By the host's: cln-xpay pays, and our log has nothing."""
    made = invoice(shop.line.far)
    answer = shop.payer.raw.call(OURS, {"invstring": made["bolt11"], "layers": ["auto.sourcefree"]})
    assert code_of(answer) == -32602 and rows(shop.payer, made) == []
    assert list(xpay(shop.payer, invstring=made["bolt11"], layers=["auto.sourcefree"]).ok()) == FIELDS
    assert not shop.payer.peer.daemon.is_in_log(f"payment_start payment_hash={made['payment_hash']}")


def test_one_part(shop: Shop, version: Version) -> None:
    """The one layer that we respect."""
    made = invoice(shop.line.far)
    xpay(shop.payer, invstring=made["bolt11"], layers=["auto.no_mpp_support"]).ok()
    assert shop.payer.peer.daemon.is_in_log(f"payment_start payment_hash={made['payment_hash']}")


# --- two callers ------------------------------------------------------------------------------------------------


def begun(shop: Shop, method: str, made: dict[str, Any], **more: Any) -> Future[Answer]:
    """A call, and its part with the recipient, who holds it."""
    far = shop.line.far
    far.call("hold", made["payment_hash"])
    name = "bolt11" if method == "pay" else "invstring"
    answer = begin_other(shop.payer, method, **{name: made["bolt11"]}, **more)
    wait_until(lambda: held(far, made) == 1)
    return answer


def both(shop: Shop, first: str, second: str) -> tuple[dict[str, Any], Answer, Answer]:
    """One after the other, while the recipient holds; then it takes the money."""
    made = invoice(shop.line.far)
    one = begun(shop, first, made)
    mark = shop.payer.peer.daemon.logsearch_start
    two = begin_other(shop.payer, second, made["bolt11"])
    shop.payer.peer.daemon.wait_for_log(f"payment_attached payment_hash={made['payment_hash']}")
    assert mark is not None and held(shop.line.far, made) == 1
    shop.line.far.call("release", made["payment_hash"])
    return made, result_of(one), result_of(two)


@pytest.mark.parametrize(("first", "second"), [("pay", "xpay"), ("xpay", "pay"), ("xpay", "xpay")])
def test_at_once(shop: Shop, version: Version, first: str, second: str) -> None:
    """One payment, and each answer is of its own form."""
    made, *answers = both(shop, first, second)
    results = [answer.ok() for answer in answers]
    assert len({result["payment_preimage"] for result in results}) == 1
    assert len({result["amount_sent_msat"] for result in results}) == 1
    for method, result in zip((first, second), results, strict=True):
        assert (list(result) == FIELDS) == (method == "xpay")
        assert ("payment_hash" in result) == (method == "pay")
    assert len(rows(shop.payer, made)) == 1 and received(shop.line.far, made) == 100_000


def test_after_it_was_paid(shop: Shop, version: Version) -> None:
    """`pay` repeats the answer, `xpay` has an error for it, whichever paid."""
    for first in ("pay", "xpay"):
        made = invoice(shop.line.far)
        paid = shop.payer.raw.call(first, [made["bolt11"]]).ok()
        assert pay(shop.payer, made["bolt11"]).ok()["payment_preimage"] == paid["payment_preimage"]
        assert code_of(xpay(shop.payer, made["bolt11"])) in (218, 219)
        assert len(rows(shop.payer, made)) == 1


@pytest.mark.parametrize(("first", "second"), [("pay", "xpay"), ("xpay", "pay")])
def test_after_it_failed(shop: Shop, version: Version, first: str, second: str) -> None:
    """The next one pays, by a group of its own."""
    made = invoice(shop.line.far)
    answer = begun(shop, first, made)
    shop.line.far.call("release", made["payment_hash"], UNKNOWN_DETAILS)
    assert result_of(answer).code == 203
    assert shop.payer.raw.call(second, [made["bolt11"]]).ok()["amount_msat"] == 100_000
    assert [(row["groupid"], row["status"]) for row in rows(shop.payer, made)] == [(1, "failed"), (2, "complete")]


@pytest.mark.parametrize(("first", "second", "code"), [("pay", "xpay", -3), ("xpay", "pay", 201)])
def test_with_another_amount(shop: Shop, version: Version, first: str, second: str, code: int) -> None:
    """While it is in work, and after that; the payment itself goes on."""
    made = invoice(shop.line.far, "any")
    answer = begun(shop, first, made, amount_msat=5_000)
    assert shop.payer.raw.call(second, [made["bolt11"], 6_000]).code == code
    shop.line.far.call("release", made["payment_hash"])
    assert result_of(answer).ok()["amount_msat"] == 5_000
    assert shop.payer.raw.call(second, [made["bolt11"], 6_000]).code == code


@pytest.mark.parametrize(("first", "second"), [("pay", "xpay"), ("xpay", "pay")])
def test_a_share_beside_the_whole(shop: Shop, version: Version, first: str, second: str) -> None:
    """`partial_msat` is another amount: never two shares in one group, never one share twice."""
    made = invoice(shop.line.far)
    answer = begun(shop, first, made)
    name = "bolt11" if second == "pay" else "invstring"
    share = shop.payer.raw.call(second, {name: made["bolt11"], "partial_msat": 40_000})
    assert share.code == (201 if second == "pay" else -3)
    shop.line.far.call("release", made["payment_hash"])
    assert result_of(answer).ok()["amount_msat"] == 100_000
    assert received(shop.line.far, made) == 100_000
