"""What the host's own senders answer and tell others: the same assertions on the box and on lightningd.

host ── hub ── far; the host has cln-xpay and the builtin pay, and allows deprecated commands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from tests.support.lightningd.sendpay_table import Bench, Invoice, Payee
from tests.support.rawrpc import Answer
from tests.support.waiting import result_of

AMOUNT_MSAT = 100_000
FEE_MSAT = 2
"""Of the hub, 1 msat and 10 ppm."""
UNKNOWN_DETAILS = "400f00000000000186a000000067"
"""incorrect_or_unknown_payment_details for 100,000 msat at height 103."""
XPAY_ANSWER = {"payment_preimage", "amount_msat", "amount_sent_msat", "failed_parts", "successful_parts"}
PAY_ANSWER = {
    "destination", "payment_hash", "created_at", "parts", "amount_msat", "amount_sent_msat", "payment_preimage",
    "status",
}  # fmt: skip
PART = {"payment_hash", "groupid", "partid"}
Release = tuple[int, int]
Case = Callable[[Bench, Release], None]


def _begin(bench: Bench, method: str, params: Any) -> Future[Answer]:
    """A call whose answer is waited for later."""
    future: Future[Answer] = Future()

    def calling() -> None:
        try:
            future.set_result(bench.call(method, params))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=calling, daemon=True).start()
    return future


def _told(bench: Bench, topic: str, invoice: Invoice, count: int) -> list[dict[str, Any]]:
    """What cln-xpay told of the parts of a payment, once it is so much."""
    bench.wait_until(lambda: len(bench.notifications(topic, invoice.payment_hash)) >= count)
    found = bench.notifications(topic, invoice.payment_hash)
    assert len(found) == count
    return [params[topic] for params in found]


def _rows(bench: Bench, invoice: Invoice) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = bench.call("listsendpays", {"payment_hash": invoice.payment_hash}).ok()[
        "payments"
    ]
    return rows


def _refusal(bench: Bench, method: str, params: Any) -> tuple[int, str]:
    """Code and message; cln-xpay gives nothing beside."""
    answer = bench.call(method, params)
    assert answer.error is not None and answer.error.keys() == {"code", "message"}, answer
    return answer.error["code"], answer.error["message"]


def xpay_pays(bench: Bench, release: Release) -> None:
    """Its answer, its row, and what it tells of its part."""
    invoice = bench.invoice(Payee.FAR, AMOUNT_MSAT)
    paid = bench.call("xpay", [invoice.bolt11]).ok()
    assert paid.keys() == XPAY_ANSWER
    sent = AMOUNT_MSAT + FEE_MSAT
    assert (paid["amount_msat"], paid["amount_sent_msat"]) == (AMOUNT_MSAT, sent)
    assert (paid["failed_parts"], paid["successful_parts"]) == (0, 1)
    (row,) = _rows(bench, invoice)
    assert row.keys() == {
        "created_index", "id", "payment_hash", "groupid", "updated_index", "partid", "destination", "amount_msat",
        "amount_sent_msat", "created_at", "completed_at", "status", "payment_preimage", "bolt11",
    }  # fmt: skip
    assert (row["partid"], row["status"], row["amount_sent_msat"]) == (1, "complete", sent)
    assert bench.notifications("sendpay_success", invoice.payment_hash)
    if release < (25, 9):
        return
    (start,), (end,) = (_told(bench, f"pay_part_{what}", invoice, 1) for what in ("start", "end"))
    assert start.keys() == PART | {"total_payment_msat", "attempt_msat", "hops"}
    assert (start["total_payment_msat"], start["attempt_msat"]) == (AMOUNT_MSAT, AMOUNT_MSAT)
    assert [hop["short_channel_id"] for hop in start["hops"]] == [bench.scid(0), bench.scid(1)]
    assert [hop["next_node"] for hop in start["hops"]] == [bench.node_id(Payee.NEAR), bench.node_id(Payee.FAR)]
    amounts = [(hop["channel_in_msat"], hop["channel_out_msat"]) for hop in start["hops"]]
    assert amounts == [(sent, sent), (sent, AMOUNT_MSAT)]
    assert {type(hop["direction"]) for hop in start["hops"]} == {int}
    assert start["hops"][0].keys() == {
        "next_node", "short_channel_id", "direction", "channel_in_msat", "channel_out_msat",
    }  # fmt: skip
    assert end.keys() == PART | {"status", "duration"}
    assert end["status"] == "success" and isinstance(end["duration"], float)
    assert {part["groupid"] for part in (start, end)} == {row["groupid"]}


def xpay_of_what_was_paid(bench: Bench, release: Release) -> None:
    """An error, of which others hear a start that never ends."""
    invoice = bench.invoice(Payee.FAR, AMOUNT_MSAT)
    bench.call("xpay", [invoice.bolt11]).ok()
    code = 219 if release >= (26, 6) else 218
    assert _refusal(bench, "xpay", [invoice.bolt11]) == (code, "Already paid this invoice successfully")
    if release >= (25, 9):
        _told(bench, "pay_part_start", invoice, 2)
        _told(bench, "pay_part_end", invoice, 1)


def xpay_that_the_payee_refuses(bench: Bench, release: Release) -> None:
    """The host cannot read the failure; cln-xpay can, and tells who said what."""
    invoice = bench.invoice(Payee.FAR, AMOUNT_MSAT)
    bench.hold(invoice)
    pending = _begin(bench, "xpay", [invoice.bolt11])
    bench.wait_until(lambda: bench.held(invoice) == 1)
    bench.release(invoice, UNKNOWN_DETAILS)
    refused = result_of(pending).error
    words = "Destination said it doesn't know invoice: incorrect_or_unknown_payment_details"
    assert refused == {"code": 203, "message": words}
    (row,) = _rows(bench, invoice)
    assert row["status"] == "failed"
    bench.wait_until(lambda: bool(bench.notifications("sendpay_failure", invoice.payment_hash)))
    (told,) = bench.notifications("sendpay_failure", invoice.payment_hash)
    failure = told["sendpay_failure"]
    assert (failure["code"], failure["message"]) == (202, "Malformed error reply")
    assert failure["data"]["status"] == "pending" and "onionreply" in failure["data"]
    assert "erring_index" not in failure["data"]
    if release < (25, 9):
        return
    (end,) = _told(bench, "pay_part_end", invoice, 1)
    assert end.keys() == PART | {
        "status", "duration", "failed_msg", "failed_node_id", "error_code", "error_message",
    }  # fmt: skip
    assert end["failed_node_id"] == bench.node_id(Payee.FAR) and end["failed_msg"].startswith("400f")
    assert (end["status"], end["error_code"]) == ("failure", 0x400F)
    assert end["error_message"] == "incorrect_or_unknown_payment_details"


def xpay_twice_at_once(bench: Bench, release: Release) -> None:
    """The second is refused by the host, whoever the first is of."""
    invoice = bench.invoice(Payee.FAR, AMOUNT_MSAT)
    bench.hold(invoice)
    pending = _begin(bench, "xpay", [invoice.bolt11])
    bench.wait_until(lambda: bench.held(invoice) == 1)
    code, message = _refusal(bench, "xpay", [invoice.bolt11])
    assert code == -3 and message.startswith("Unexpected injectpaymentonion error 200: {")
    assert "still in progress, cannot retry before that completes." in message
    bench.release(invoice, None)
    result_of(pending).ok()


def xpay_with_another_amount(bench: Bench, release: Release) -> None:
    invoice = bench.invoice(Payee.FAR, None)
    bench.call("xpay", [invoice.bolt11, 5000]).ok()
    code, message = _refusal(bench, "xpay", [invoice.bolt11, 6000])
    assert code == -3 and message.startswith("Unexpected injectpaymentonion error 201: {")
    assert "Already succeeded with amount 5000msat (not 6000msat)" in message


def xpay_within_limits(bench: Bench, release: Release) -> None:
    """Too dear, too slow, too much: nothing is sent."""
    invoice = bench.invoice(Payee.FAR, AMOUNT_MSAT)
    code, words = 206 if release >= (26, 6) else 205, "Failed: Could not find route without excessive"
    assert _refusal(bench, "xpay", [invoice.bolt11, None, 0]) == (code, f"{words} cost")
    if release >= (25, 2):
        assert _refusal(bench, "xpay", {"invstring": invoice.bolt11, "maxdelay": 1}) == (code, f"{words} delays")
    assert _rows(bench, invoice) == []
    code, message = _refusal(bench, "xpay", [bench.invoice(Payee.FAR, 900_000_000_000).bolt11])
    assert code == 205 and message.startswith("Failed: We could not find a usable set of paths.")


def xpay_of_what_it_cannot_read(bench: Bench, release: Release) -> None:
    """Its words for parameters."""
    fixed, any_amount = bench.invoice(Payee.FAR, AMOUNT_MSAT).bolt11, bench.invoice(Payee.FAR, None).bolt11
    cases: list[tuple[Any, str]] = [
        ([], "missing required parameter: invstring"),
        ([fixed, 1000], "amount_msat unnecessary"),
        ([any_amount], "amount_msat required"),
        ([any_amount, 0], "Cannot pay bolt11 invoice with zero amount"),
        ({"invstring": fixed, "partial_msat": 0}, "partial_msat must be non-zero"),
        (
            {"invstring": fixed, "partial_msat": AMOUNT_MSAT + 1},
            f"partial_msat must be less or equal to total amount {AMOUNT_MSAT}msat",
        ),
        (["lnbcrt1"], "Invalid bolt11 invoice: "),
        ({"bolt11": fixed}, "unknown parameter: bolt11, this may be caused by a failure to autodetect"),
    ]
    for params, words in cases:
        code, message = _refusal(bench, "xpay", params)
        assert (code, message.startswith(words)) == (-32602, True), (params, message)
    most = 6 + (release >= (25, 2)) + (release >= (26, 4)) + 3 * (release >= (26, 6))
    nothing = [None] * most
    assert _refusal(bench, "xpay", [fixed, *nothing])[1] == f"too many parameters: got {most + 1}, expected {most}"


def pay_that_xpay_takes(bench: Bench, release: Release) -> None:
    """pay's form; since v26.06 a repeat is told what was paid, before that it is an error."""
    with_xpay(bench, release, True)
    invoice = bench.invoice(Payee.FAR, AMOUNT_MSAT)
    paid = bench.call("pay", [invoice.bolt11]).ok()
    assert paid.keys() == PAY_ANSWER
    assert (paid["amount_msat"], paid["amount_sent_msat"]) == (AMOUNT_MSAT, AMOUNT_MSAT + FEE_MSAT)
    assert (paid["parts"], paid["status"], paid["destination"]) == (1, "complete", bench.node_id(Payee.FAR))
    assert next(iter(paid)) == "payment_preimage"
    again = bench.call("pay", {"bolt11": invoice.bolt11})
    if release < (26, 6):
        assert again.error == {"code": 218, "message": "Already paid this invoice successfully"}
        return
    assert again.ok().keys() == PAY_ANSWER
    assert again.ok()["payment_preimage"] == paid["payment_preimage"]
    assert isinstance(paid["created_at"], float) and isinstance(again.ok()["created_at"], int)


def pay_that_xpay_leaves(bench: Bench, release: Release) -> None:
    """Three positions, `invstring`, two limits of fees: the builtin's, whose groups count up from 1."""
    with_xpay(bench, release, True)
    calls: list[Callable[[str], Any]] = [
        lambda text: [text, None, "label"],
        lambda text: {"bolt11": text, "maxfee": 5000, "exemptfee": 1},
    ]
    if release >= (25, 12):
        calls.append(lambda text: {"invstring": text})
    for params in calls:
        invoice = bench.invoice(Payee.FAR, AMOUNT_MSAT)
        answer = bench.call("pay", params(invoice.bolt11))
        if answer.error is None:
            (row,) = _rows(bench, invoice)
            assert row["groupid"] == 1
        else:
            assert answer.code == -32602 and _rows(bench, invoice) == []


def the_builtin_pays(bench: Bench, release: Release) -> None:
    """Where xpay takes nothing; a repeat is told what was paid."""
    with_xpay(bench, release, False)
    invoice = bench.invoice(Payee.FAR, AMOUNT_MSAT)
    paid = bench.call("pay", [invoice.bolt11]).ok()
    assert paid.keys() == PAY_ANSWER and next(iter(paid)) == "destination"
    assert (paid["parts"], paid["amount_msat"]) == (1, AMOUNT_MSAT)
    again = bench.call("pay", [invoice.bolt11]).ok()
    assert again.keys() == PAY_ANSWER and again["payment_preimage"] == paid["payment_preimage"]
    assert _refusal(bench, "pay", ["lnbcrt1"])[1].startswith("Invalid bolt11: ")
    assert bench.notifications("pay_part_start", invoice.payment_hash) == []


def with_xpay(bench: Bench, release: Release, takes: bool) -> None:
    """Whether cln-xpay takes calls of `pay`, from now on."""
    transient = {"transient": True} if release >= (25, 2) else {}
    bench.call("setconfig", {"config": "xpay-handle-pay", "val": takes, **transient}).ok()


CASES: list[Case] = [
    xpay_pays, xpay_of_what_was_paid, xpay_that_the_payee_refuses, xpay_twice_at_once, xpay_with_another_amount,
    xpay_within_limits, xpay_of_what_it_cannot_read, pay_that_xpay_takes, pay_that_xpay_leaves, the_builtin_pays,
]  # fmt: skip
