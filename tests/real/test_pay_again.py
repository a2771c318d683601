"""`pay` by the plugin on a real lightningd: again, at once, over restarts, and how it is seen meanwhile."""

from __future__ import annotations

import pytest

from tests.real.support.paying import (
    TEMPORARY_NODE_FAILURE,
    UNKNOWN_DETAILS,
    begin,
    held,
    invoice,
    pay,
    rows,
    told,
    wait_until,
)
from tests.real.support.shop import Shop
from tests.support.waiting import result_of

# Again


def test_the_same_invoice_twice(shop: Shop) -> None:
    """The same answer, the original time included; the payee is paid once."""
    made = invoice(shop.line.far)
    first = pay(shop.payer, made["bolt11"]).ok()
    assert pay(shop.payer, made["bolt11"].upper()).ok() == first
    assert pay(shop.payer, f"lightning:{made['bolt11']}").ok() == first
    assert len(rows(shop.payer, made)) == 1


def test_a_refused_payment_is_paid_later(shop: Shop) -> None:
    """203 with the routing failure; the next call is a new group."""
    far, made = shop.line.far, invoice(shop.line.far)
    far.call("hold", made["payment_hash"])
    answer = begin(shop.payer, made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    far.call("release", made["payment_hash"], UNKNOWN_DETAILS)
    refused = result_of(answer)
    assert refused.code == 203
    error = refused.error
    for fields in (error["data"], error):
        assert fields["failcode"] == 0x400F
        assert fields["failcodename"] == "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS"
        assert (fields["erring_index"], fields["erring_node"]) == (2, far.id)
    assert [attempt["status"] for attempt in error["attempts"]] == ["failed"]
    data = error["data"]
    assert (data["raw_message"], data["status"], data["sendpay_tries"]) == (UNKNOWN_DETAILS, "failed", 1)
    pay(shop.payer, made["bolt11"]).ok()
    assert [(row["groupid"], row["partid"], row["status"]) for row in rows(shop.payer, made)] == [
        (1, 1, "failed"), (2, 1, "complete"),
    ]  # fmt: skip
    of_both = {"payment_hash": made["payment_hash"], "bolt11": made["bolt11"]}
    assert told(shop.payer, "pay_failure", made) == {**of_both, "error": {"message": error["message"]}}
    assert told(shop.payer, "pay_success", made) == of_both


def test_time_is_up(shop: Shop) -> None:
    """retry_for ends new attempts, not the waiting for the one that is out: 210 or 205 once it failed."""
    far, made = shop.line.far, invoice(shop.line.far)
    far.call("hold", made["payment_hash"])
    answer = begin(shop.payer, bolt11=made["bolt11"], retry_for=0)
    wait_until(lambda: held(far, made) == 1)
    far.call("release", made["payment_hash"], TEMPORARY_NODE_FAILURE)
    refused = result_of(answer)
    assert refused.code in (205, 210)
    assert refused.error["data"]["sendpay_tries"] == 1
    assert [row["status"] for row in rows(shop.payer, made)] == ["failed"]


# At once


def test_a_slow_payment_delays_no_other(shop: Shop) -> None:
    """One is held by its payee; another is made meanwhile."""
    far, slow, quick = shop.line.far, invoice(shop.line.far), invoice(shop.line.far)
    far.call("hold", slow["payment_hash"])
    answer = begin(shop.payer, slow["bolt11"])
    wait_until(lambda: held(far, slow) == 1)
    pay(shop.payer, quick["bolt11"]).ok()
    assert not answer.done()
    far.call("release", slow["payment_hash"])
    assert result_of(answer).ok()["status"] == "complete"


def test_two_calls_for_one_invoice(shop: Shop) -> None:
    """The second attaches to the first; both get the one answer."""
    far, made = shop.line.far, invoice(shop.line.far)
    far.call("hold", made["payment_hash"])
    first = begin(shop.payer, made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    second = begin(shop.payer, bolt11=made["bolt11"], maxfee=7)
    shop.payer.peer.daemon.wait_for_log("payment_attached")
    far.call("release", made["payment_hash"])
    assert result_of(first).ok() == result_of(second).ok()
    assert len(rows(shop.payer, made)) == 1


def test_a_part_that_somebody_else_sent(shop: Shop) -> None:
    """A sendpay of another program is out: `pay` waits for it and sends nothing."""
    hub, payer, made = shop.line.hub, shop.payer, invoice(shop.line.hub)
    hub.call("hold", made["payment_hash"])
    hop = {"id": hub.id, "channel": payer.channel_to(hub)["short_channel_id"], "amount_msat": 100_000, "delay": 20}
    payer.call("sendpay", route=[hop], payment_hash=made["payment_hash"], payment_secret=made["payment_secret"])
    answer = begin(payer, made["bolt11"])
    wait_until(lambda: held(hub, made) == 1)
    hub.call("release", made["payment_hash"])
    assert result_of(answer).ok()["amount_sent_msat"] == 100_000
    assert len(rows(payer, made)) == 1


def test_a_restart_with_a_part_out(shop: Shop) -> None:
    """The node stops while the payee holds; asked again after the start the plugin waits for that part."""
    far, payer, made = shop.line.far, shop.payer, invoice(shop.line.far)
    far.call("hold", made["payment_hash"])
    interrupted = begin(payer, made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    payer.peer.restart()
    with pytest.raises(OSError, match=r"closed|reset"):
        result_of(interrupted)
    payer.peer.connect(shop.line.hub.peer)
    answer = begin(payer, made["bolt11"])
    payer.peer.daemon.wait_for_log("pay_started|payment_.*" + made["payment_hash"])
    far.call("release", made["payment_hash"])
    assert result_of(answer).ok()["payment_hash"] == made["payment_hash"]
    assert [row["status"] for row in rows(payer, made)] == ["complete"]
    wait_until(lambda: payer.channel_to(shop.line.hub)["peer_connected"])


# How it is seen


def test_the_lists_while_it_is_out(shop: Shop) -> None:
    """listpays shows the keys that the host's own would; paystatus the attempt, then its success."""
    far, payer, made = shop.line.far, shop.payer, invoice(shop.line.far)
    far.call("hold", made["payment_hash"])
    answer = begin(payer, bolt11=made["bolt11"], label="l", description="d")
    wait_until(lambda: held(far, made) == 1)
    (shown,) = payer.call("listpays", payment_hash=made["payment_hash"])["pays"]
    assert shown.keys() == {
        "bolt11", "description", "destination", "payment_hash", "status", "created_at", "label", "amount_msat",
        "amount_sent_msat", "created_index",
    }  # fmt: skip
    assert shown["status"] == "pending"
    (status,) = payer.call("paystatus", made["bolt11"])["pay"]
    assert (status["label"], status["amount_msat"], status["destination"]) == ("l", 100_000, far.id)
    (attempt,) = status["attempts"]
    assert attempt["strategy"] == "Initial attempt"
    assert "success" not in attempt
    far.call("release", made["payment_hash"])
    result_of(answer).ok()
    assert payer.call("listpays", payment_hash=made["payment_hash"])["pays"][0]["status"] == "complete"
    (status,) = payer.call("paystatus", made["bolt11"])["pay"]
    assert "success" in status["attempts"][-1]
