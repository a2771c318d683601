"""An error is answered only when nothing of the hash can settle, and a success is never taken back: on real nodes.

    payer ══ far ── end     payer: with the plugin and a gate that keeps commands back; two channels of 500,000 sat
                            to far, ten HTLCs at most in each

Rows that somebody deletes, all slots busy, signers and hooks that hang, other senders of the node, orders that the
plugin leaves in the host when it dies, a host that lacks a command.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.real.support.bench import Line
from tests.real.support.network import Node
from tests.real.support.paying import (
    INVALID,
    TEMPORARY_NODE_FAILURE,
    begin,
    begin_other,
    held,
    invoice,
    pay,
    received,
    rows,
    told,
    wait_until,
)
from tests.real.support.road import OPTIONS, Road
from tests.real.support.shop import Shop
from tests.support.plugins import GATE
from tests.support.waiting import result_of

SAT = 1_000
CAPACITY_SAT = 500_000
SPLIT_MSAT = 600_000 * SAT
"""More than one channel of the payer carries."""

FILLED_MSAT = 50_000 * SAT

SLOTS = 20
"""Of its two channels."""

HANGING = 100
SAME = ("payment_preimage", "payment_hash", "amount_msat", "destination", "status")
"""Of an answer, what no rows that are gone can change."""


@pytest.fixture(scope="module")
def road(line: Line) -> Road:
    options = {**OPTIONS, "plugin": [OPTIONS["plugin"], str(GATE)], "max-concurrent-htlcs": SLOTS // 2}
    (payer,) = line.regtest.start(options)
    for _ in range(2):
        line.regtest.open_channels((payer, line.far), announce=False, capacity_sat=CAPACITY_SAT)
    scid = line.far.channel_to(line.end)["short_channel_id"]
    wait_until(lambda: len(payer.call("listchannels", short_channel_id=scid)["channels"]) == 2)
    return Road(payer, line.far, line.end)


def channels(node: Node) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.call("listpeerchannels")["channels"]
    return found


def spendable_msat(node: Node) -> int:
    return sum(int(channel["spendable_msat"]) for channel in channels(node))


def split_paid(road: Road, made: dict[str, Any], **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The answer for an invoice of far that takes both channels, and its settled rows; far pays back at first."""
    short_msat = SPLIT_MSAT * 11 // 10 - spendable_msat(road.payer)
    if short_msat > 0:
        road.middle.call("xpay", invoice(road.payer, short_msat)["bolt11"])
        wait_until(lambda: spendable_msat(road.payer) >= SPLIT_MSAT * 21 // 20)
    answer = pay(road.payer, bolt11=made["bolt11"], **more).ok()
    wait_until(lambda: all(row["status"] != "pending" for row in rows(road.payer, made)))
    settled = [row for row in rows(road.payer, made) if row["status"] == "complete"]
    assert len(settled) >= 2
    assert received(road.middle, made) == SPLIT_MSAT
    road.over()
    return without_warning(answer), settled


def both_can_send(road: Road) -> None:
    """Each channel has money and so its slots: what was split before may have emptied one of them."""
    for channel in channels(road.payer):
        if channel["spendable_msat"] < FILLED_MSAT:
            made = invoice(road.payer, FILLED_MSAT)
            hop = {"id": road.payer.id, "channel": channel["short_channel_id"], "amount_msat": FILLED_MSAT}
            road.middle.call(
                "sendpay", route=[{**hop, "delay": 20}], payment_hash=made["payment_hash"],
                payment_secret=made["payment_secret"], amount_msat=FILLED_MSAT,
            )  # fmt: skip
            road.middle.call("waitsendpay", payment_hash=made["payment_hash"], timeout=30)
    wait_until(lambda: all(channel["spendable_msat"] >= FILLED_MSAT // 2 for channel in channels(road.payer)))
    road.over()


def without_warning(answer: dict[str, Any]) -> dict[str, Any]:
    """At the first preimage other parts may still be out."""
    return {key: value for key, value in answer.items() if not key.startswith("warning")}


def delete(node: Node, row: dict[str, Any]) -> None:
    node.call(
        "delpay", payment_hash=row["payment_hash"], status=row["status"], partid=row["partid"],
        groupid=row["groupid"],
    )  # fmt: skip


def waiting(node: Node, method: str) -> int:
    return int(node.call("waiting", method)["calls"])


def another_sender(node: Node, payee: Node, made: dict[str, Any], partid: int) -> dict[str, Any]:
    """Parameters of a `sendpay` by somebody else, in a group of its own, over a channel to the payee itself."""
    hop = {"id": payee.id, "channel": channels(node)[0]["short_channel_id"], "amount_msat": 100_000, "delay": 20}
    return {"route": [hop], "payment_hash": made["payment_hash"], "payment_secret": made["payment_secret"],
            "partid": partid, "groupid": 7, "amount_msat": 100_000}  # fmt: skip


# --- a success stays one ----------------------------------------------------------------------------------


def test_rows_of_a_paid_invoice_are_deleted_one_after_the_other(road: Road) -> None:
    """As long as the plugin remembers, the answer is the first one; and once it does not, no row is left."""
    made = invoice(road.middle, SPLIT_MSAT)
    answer, settled = split_paid(road, made)
    for row in settled:
        delete(road.payer, row)
        assert pay(road.payer, made["bolt11"]).ok() == answer


def test_one_row_is_left_of_it_after_a_restart(road: Road) -> None:
    """What is left shows less than the invoice asks for: it has the preimage."""
    made = invoice(road.middle, SPLIT_MSAT)
    answer, settled = split_paid(road, made)
    delete(road.payer, settled[0])
    road.kill_plugin()
    again = pay(road.payer, made["bolt11"]).ok()
    assert [again[key] for key in SAME] == [answer[key] for key in SAME]
    assert again["amount_sent_msat"] >= SPLIT_MSAT
    assert pay(road.payer, bolt11=made["bolt11"], partial_msat=1000).code == 201
    assert received(road.middle, made) == SPLIT_MSAT


def test_the_total_that_the_caller_chose_is_kept(road: Road) -> None:
    """Of an invoice without an amount only the plugin knows what its parts came to: also after a restart."""
    made = invoice(road.middle, "any")
    answer, settled = split_paid(road, made, amount_msat=SPLIT_MSAT)
    delete(road.payer, settled[0])
    wait_until(lambda: bool(road.payer.call("listdatastore", key=["pay", "paid"])["datastore"]))
    road.kill_node()
    again = pay(road.payer, bolt11=made["bolt11"], amount_msat=SPLIT_MSAT).ok()
    assert [again[key] for key in SAME] == [answer[key] for key in SAME]
    for other in (SPLIT_MSAT + 1, SPLIT_MSAT - 1, settled[1]["amount_msat"]):
        assert pay(road.payer, bolt11=made["bolt11"], amount_msat=other).code == 201
    assert received(road.middle, made) == SPLIT_MSAT
    wait_until(lambda: all(channel.get("reestablished") for channel in channels(road.payer)))


def test_a_wrong_call_stays_one_for_a_paid_invoice(road: Road) -> None:
    """What the invoice refutes comes first; what time and limits refuse is looked at after the past."""
    made = invoice(road.middle, expiry=5)
    answer = pay(road.payer, made["bolt11"]).ok()
    for wrong in ({"amount_msat": 100_000}, {"amount_msat": 1}, {"partial_msat": 100_001}):
        assert pay(road.payer, bolt11=made["bolt11"], **wrong).code == INVALID
    wait_until(lambda: time.time() > made["expires_at"] + 1)
    limits = {"maxfee": 0, "maxdelay": 1, "exclude": [road.middle.id]}
    assert pay(road.payer, bolt11=made["bolt11"], **limits).ok() == answer


# --- nobody keeps others waiting --------------------------------------------------------------------------


def test_more_payments_at_once_than_slots(road: Road) -> None:
    """The payee holds what fills all slots; the others wait for theirs, and none meets a channel without one."""
    both_can_send(road)
    made = [invoice(road.middle, 100 * SAT) for _ in range(2 * SLOTS + 5)]
    for each in made:
        road.middle.call("hold", each["payment_hash"])
    calls = [begin(road.payer, each["bolt11"]) for each in made]
    wait_until(lambda: sum(held(road.middle, each) for each in made) == SLOTS)
    assert not any(call.done() for call in calls)
    for each in made:
        road.middle.call("release", each["payment_hash"])
    assert [result_of(call).code for call in calls] == [None] * len(made)
    assert [[row["status"] for row in rows(road.payer, each)] for each in made] == [["complete"]] * len(made)


def test_fewer_slots_than_the_host_tells_of(shop: Shop) -> None:
    """Our own limit is high, and of the peer's ten the host shows nothing: what it refuses is tried again."""
    hub, payer = shop.line.hub, shop.payer
    assert payer.channel_to(hub)["max_accepted_htlcs"] > 25
    made = [invoice(hub, 100 * SAT) for _ in range(25)]
    for each in made:
        hub.call("hold", each["payment_hash"])
    calls = [begin(payer, each["bolt11"]) for each in made]
    wait_until(lambda: sum(held(hub, each) for each in made) == 10)
    wait_until(lambda: sum(bool(rows(payer, each)) for each in made) > 10)
    assert not any(call.done() for call in calls)
    for each in made:
        hub.call("release", each["payment_hash"])
    assert [result_of(call).code for call in calls] == [None] * len(made)


def test_a_hundred_invoices_that_a_person_has_to_approve(road: Road) -> None:
    """The next payee is known to the signer, and paid meanwhile; then the person says yes to all."""
    made = [invoice(road.middle, 100 * SAT) for _ in range(HANGING)]
    road.payer.call("shut", "preapproveinvoice", HANGING)
    calls = [begin(road.payer, bolt11=each["bolt11"], retry_for=600) for each in made]
    wait_until(lambda: waiting(road.payer, "preapproveinvoice") == HANGING)
    assert pay(road.payer, invoice(road.middle)["bolt11"]).ok()["status"] == "complete"
    assert not any(call.done() for call in calls)
    assert road.payer.call("open", "preapproveinvoice")["calls"] == HANGING
    assert [result_of(call).code for call in calls] == [None] * HANGING


def test_parts_in_a_slow_hook(road: Road) -> None:
    """Their payments have no answer, and there is none to give; others are paid and answered all the same."""
    both_can_send(road)
    paid = invoice(road.middle)
    answer = pay(road.payer, paid["bolt11"]).ok()
    made = [invoice(road.middle) for _ in range(SLOTS // 2)]
    road.payer.call("shut", "sendpay", len(made))
    calls = [begin(road.payer, each["bolt11"]) for each in made]
    wait_until(lambda: waiting(road.payer, "sendpay") == len(made))
    assert pay(road.payer, paid["bolt11"]).ok() == answer
    assert pay(road.payer, invoice(road.middle)["bolt11"]).ok()["status"] == "complete"
    assert not any(call.done() for call in calls)
    assert road.payer.call("open", "sendpay")["calls"] == len(made)
    assert [result_of(call).code for call in calls] == [None] * len(made)


def test_the_hosts_whole_table_is_not_asked_for(road: Road) -> None:
    """A part of an earlier run is looked for in the channels: listhtlcs, which may have half a million, hangs."""
    made, mark = road.hold_at(road.middle), road.lines
    begin(road.payer, made["bolt11"])
    wait_until(lambda: held(road.middle, made) == 1)
    road.payer.call("shut", "listhtlcs")
    road.kill_plugin()
    answer = begin(road.payer, made["bolt11"])
    wait_until(lambda: road.seen(f"payment_attached payment_hash={made['payment_hash']}", mark))
    looks = road.payer.call("waiting", "listsendpays")["seen"]
    wait_until(lambda: road.payer.call("waiting", "listsendpays")["seen"] >= looks + 3)
    assert road.payer.call("open", "listhtlcs")["calls"] == 0
    road.middle.call("release", made["payment_hash"])
    assert result_of(answer).ok()["payment_hash"] == made["payment_hash"]


# --- somebody else beside us ------------------------------------------------------------------------------


def test_another_sender_is_kept_out_by_ours(road: Road) -> None:
    """What it had out failed, and our own payment begins: the host takes one group, its next part is refused."""
    payer, far, made = road.payer, road.middle, road.hold_at(road.middle)
    payer.call("sendpay", **another_sender(payer, far, made, partid=1))
    wait_until(lambda: held(far, made) == 1)
    mark = road.lines
    answer = begin(payer, made["bolt11"])
    wait_until(lambda: road.seen("watched=True", mark))
    far.call("refuse", made["payment_hash"], TEMPORARY_NODE_FAILURE)
    wait_until(lambda: held(far, made) == 1)
    assert not answer.done()
    refused = payer.raw.call("sendpay", another_sender(payer, far, made, partid=2))
    assert refused.code == 200
    far.call("release", made["payment_hash"])
    assert result_of(answer).ok()["parts"] == 1
    assert [(row["groupid"], row["status"]) for row in rows(payer, made)] == [(7, "failed"), (8, "complete")]
    assert received(far, made) == 100_000


def test_another_sender_goes_on_while_we_have_no_way(road: Road) -> None:
    """With our limits nothing can be paid, but between two of its tries nothing is answered; its next settles."""
    payer, far, made = road.payer, road.middle, road.hold_at(road.middle)
    payer.call("sendpay", **another_sender(payer, far, made, partid=1))
    wait_until(lambda: held(far, made) == 1)
    mark = road.lines
    answer = begin(payer, bolt11=made["bolt11"], maxdelay=1)
    wait_until(lambda: road.seen("watched=True", mark))
    far.call("refuse", made["payment_hash"], TEMPORARY_NODE_FAILURE)
    wait_until(lambda: road.seen(f"answer_waits payment_hash={made['payment_hash']}", mark))
    payer.call("sendpay", **another_sender(payer, far, made, partid=2))
    far.call("release", made["payment_hash"])
    assert result_of(answer).ok()["status"] == "complete"
    assert [(row["groupid"], row["partid"], row["status"]) for row in rows(payer, made)] == [
        (7, 1, "failed"), (7, 2, "complete"),
    ]  # fmt: skip


def test_beside_xpay(road: Road) -> None:
    """The host's own sender has a part out that fails; both go on, and only one of them gets a part out again."""
    payer, far, made = road.payer, road.middle, road.hold_at(road.middle)
    # A layer is what this plugin has not, so that the call is cln-xpay's.
    theirs = begin_other(payer, "xpay", invstring=made["bolt11"], layers=["auto.sourcefree"])
    wait_until(lambda: held(far, made) == 1)
    mark = road.lines
    ours = begin(payer, made["bolt11"])
    wait_until(lambda: road.seen("watched=True", mark))
    far.call("refuse", made["payment_hash"], TEMPORARY_NODE_FAILURE)
    wait_until(lambda: held(far, made) == 1)
    far.call("release", made["payment_hash"])
    assert result_of(ours).ok()["status"] == "complete"
    result_of(theirs)
    settled = [row for row in rows(payer, made) if row["status"] == "complete"]
    assert [row["amount_msat"] for row in settled] == [100_000]
    assert received(far, made) == 100_000


# --- what the plugin leaves behind ------------------------------------------------------------------------


def test_an_order_of_the_run_before_comes_out_of_a_hook(road: Road) -> None:
    """The plugin died with a part in a slow hook. Its successor finds no way: that is not the end of it."""
    payer, made = road.payer, invoice(road.payee)
    payer.call("shut", "sendpay")
    begin(payer, made["bolt11"])
    wait_until(lambda: waiting(payer, "sendpay") == 1)
    # It is given half a minute in which such an order may still come.
    road.kill_plugin(**{"pay-dev-reconcile-ms": 15_000})
    mark = road.lines
    answer = begin(payer, bolt11=made["bolt11"], maxfee=0)
    wait_until(lambda: road.seen(f"payment_failed payment_hash={made['payment_hash']}", mark))
    assert not answer.done()
    assert payer.call("open", "sendpay")["calls"] == 1
    assert result_of(answer).ok()["status"] == "complete"
    assert [row["status"] for row in rows(payer, made)] == ["complete"]
    road.kill_plugin()


def test_what_is_paid_after_all_is_said_aloud(road: Road) -> None:
    """The order stays in the hook for longer than anybody waits: an unusual line, and a notification."""
    payer, made = road.payer, invoice(road.payee)
    payer.call("shut", "sendpay")
    begin(payer, made["bolt11"])
    wait_until(lambda: waiting(payer, "sendpay") == 1)
    road.kill_plugin()
    mark = road.lines
    assert pay(payer, bolt11=made["bolt11"], maxfee=0).code == 206
    assert payer.call("open", "sendpay")["calls"] == 1
    wait_until(lambda: road.seen(f"payment_paid_after_error payment_hash={made['payment_hash']}", mark))
    (line,) = [line for line in payer.peer.daemon.logs[mark:] if "payment_paid_after_error" in line]
    assert "UNUSUAL" in line
    assert told(payer, "pay_success", made)["bolt11"] == made["bolt11"]
    assert pay(payer, made["bolt11"]).ok()["status"] == "complete"


def test_a_row_deleted_while_we_were_away(road: Road) -> None:
    """The part ended and its row was deleted while the plugin was down: whether it was paid nobody knows."""
    payer, far, made = road.payer, road.middle, road.hold_at(road.middle)
    begin(payer, made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    wait_until(lambda: (kept := road.journal()) and all(json.loads(each["string"])["accepted"] for each in kept))

    def ended_and_deleted() -> None:
        far.call("release", made["payment_hash"])
        wait_until(lambda: [row["status"] for row in rows(payer, made)] == ["complete"])
        delete(payer, rows(payer, made)[0])

    mark = road.lines
    road.kill_plugin(ended_and_deleted)
    answer = begin(payer, made["bolt11"])
    wait_until(lambda: road.seen(f"payment_attached payment_hash={made['payment_hash']}", mark))
    (entry,) = payer.call("paystatus", made["bolt11"])["pay"]
    assert "is not known here" in entry["attempts"][0]["outcome_unknown"]
    assert not answer.done()
    assert rows(payer, made) == []


# --- heights ----------------------------------------------------------------------------------------------


def test_two_blocks_come_while_a_part_is_under_way(road: Road, line: Line) -> None:
    """The payee refuses what was right when it was sent, as its expiry has come too near: it is sent again."""
    payer, far, made = road.payer, road.middle, road.hold_at(road.middle)
    answer = begin(payer, bolt11=made["bolt11"], dev_use_shadow=False)
    wait_until(lambda: held(far, made) == 1)
    line.regtest.mine(2, payer, far)
    far.call("release", made["payment_hash"])
    assert result_of(answer).ok()["parts"] == 2
    failed, paid = rows(payer, made)
    assert (failed["status"], paid["status"]) == ("failed", "complete")
    (said,) = payer.notifications("sendpay_failure", made["payment_hash"])
    assert said["sendpay_failure"]["data"]["failcode"] == 0x400F


# --- a host that lacks something --------------------------------------------------------------------------


def test_no_decode(line: Line) -> None:
    """disable-plugin=offers: said at once."""
    options = {**OPTIONS, "disable-plugin": ["pay", "offers"]}
    (payer,) = line.regtest.start(options)
    refused = pay(payer, invoice(line.far)["bolt11"])
    assert refused.code == -1 and refused.error is not None
    assert "`decode`" in refused.error["message"] and "nothing was sent" in refused.error["message"]


def test_no_decode_any_more(road: Road) -> None:
    """The plugin of that command is stopped: what the host's table has of an invoice is the answer still."""
    payer, far = road.payer, road.middle
    paid, out = invoice(far), road.hold_at(far)
    answer = pay(payer, paid["bolt11"]).ok()
    first = begin(payer, out["bolt11"])
    wait_until(lambda: held(far, out) == 1)
    (offers,) = [p["name"] for p in payer.call("plugin", "list")["plugins"] if p["name"].endswith("/offers")]
    payer.call("plugin", "stop", offers)
    try:
        assert pay(payer, invoice(far)["bolt11"]).code == -1
        assert pay(payer, paid["bolt11"]).ok() == answer
        second = begin(payer, out["bolt11"])
        far.call("release", out["payment_hash"])
        assert result_of(second).ok()["payment_preimage"] == result_of(first).ok()["payment_preimage"]
    finally:
        payer.call("plugin", "start", offers)
