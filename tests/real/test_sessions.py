"""`pay` by the plugin on a real lightningd: other ways, several parts, and what the payment waits for.

           ╭── hub ──╮       hub asks 1 msat and 10 ppm, and 6 blocks
    patron ┤         ├ far   side asks nothing, and 40 blocks
           ╰── side ─╯       all channels announced, a million sat each

Every test leaves the channels connected and the payments at their end.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from pay.sim.network.encoding.bolt11 import Bolt11, encode
from tests.real.support.bench import Line
from tests.real.support.network import Node
from tests.real.support.paying import (
    TEMPORARY_NODE_FAILURE,
    begin,
    fields_of,
    held,
    invoice,
    pay,
    received,
    refill,
    rows,
    spendable,
    told,
    wait_until,
)
from tests.real.support.shop import WITH_PLUGIN, Shop
from tests.support.waiting import result_of

SIDE_BLOCKS = 40
BLOCKS_AHEAD = 4
"""lightningd adds a block to what the payee wants, so a payer may be one behind."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """The plain node on the second way, and the payer with the plugin."""

    line: Line
    patron: Node
    side: Node

    def invoice_of_far(self, amount_msat: int = 100_000) -> dict[str, Any]:
        return invoice(self.line.far, amount_msat)


@pytest.fixture(scope="module")
def crossing(line: Line) -> Crossing:
    alone = {"may_reconnect": False}
    # Side announces its address here, the others have none that anybody could find.
    free = {"cltv-delta": SIDE_BLOCKS, "fee-base": 0, "fee-per-satoshi": 0, "dev-allow-localhost": None}
    patron, side = line.regtest.start({**WITH_PLUGIN, **alone}, {**alone, **free})
    line.regtest.open_channels((patron, line.hub), (patron, side), (side, line.far))
    scid = line.hub.channel_to(line.far)["short_channel_id"]
    wait_until(lambda: len(patron.call("listchannels", short_channel_id=scid)["channels"]) == 2)
    return Crossing(line, patron, side)


def status_of(node: Node, made: dict[str, Any]) -> dict[str, Any]:
    """What `paystatus` says of the last payment of this invoice."""
    entry: dict[str, Any] = node.call("paystatus", made["payment_hash"])["pay"][0]
    return entry


def peers_taken(node: Node, made: dict[str, Any]) -> list[str]:
    """The first hop of every attempt."""
    return [attempt["route"][0]["id"] for attempt in status_of(node, made)["attempts"]]


@contextmanager
def unplugged(node: Node, peer: Node) -> Iterator[None]:
    """These two are not connected; neither connects by itself."""
    node.call("disconnect", peer.id, True)
    wait_until(lambda: not node.channel_to(peer)["peer_connected"])
    try:
        yield
    finally:
        node.peer.connect(peer.peer)
        wait_until(lambda: node.channel_to(peer).get("reestablished") is True)


# The way


@pytest.mark.parametrize(
    ("riskfactor", "maxdelay", "by_side"),
    [(0, 100, True), (0, SIDE_BLOCKS, False), (1000, 100, False)],
    ids=["fees alone", "a delay that side exceeds", "locked money is dear"],
)
def test_what_a_route_is_chosen_by(riskfactor: float, maxdelay: int, by_side: bool, crossing: Crossing) -> None:
    """100,000 sat: by side they cost nothing and 34 blocks more, by hub 1,001 msat."""
    refill(crossing.line.hub, crossing.line.far, 200_000_000)
    made = crossing.invoice_of_far(100_000_000)
    asked = {"riskfactor": riskfactor, "maxdelay": maxdelay}
    result = pay(crossing.patron, bolt11=made["bolt11"], **asked).ok()
    assert result["amount_sent_msat"] == 100_000_000 + (0 if by_side else 1001)
    taken = crossing.side if by_side else crossing.line.hub
    assert peers_taken(crossing.patron, made) == [taken.id]
    (attempt,) = status_of(crossing.patron, made)["attempts"]
    assert attempt["delay"] <= maxdelay
    assert attempt["delay"] > SIDE_BLOCKS or not by_side


def test_exclude_leaves_the_other_way(crossing: Crossing) -> None:
    """A node; a channel of others in its direction; our own channel. The other direction excludes nothing."""
    hub, side, far, patron = crossing.line.hub, crossing.side, crossing.line.far, crossing.patron

    def direction(source: Node, target: Node) -> str:
        channel = source.channel_to(target)
        return f"{channel['short_channel_id']}/{channel['direction']}"

    for excluded, taken in [
        (hub.id, side), (side.id, hub), (direction(hub, far), side), (direction(side, far), hub),
        (direction(patron, hub), side), (direction(patron, side), hub),
    ]:  # fmt: skip
        made = crossing.invoice_of_far()
        pay(patron, bolt11=made["bolt11"], exclude=[excluded, direction(far, taken)]).ok()
        assert peers_taken(patron, made) == [taken.id]


def test_another_peer_while_one_is_away(crossing: Crossing) -> None:
    """Without peers 205 in words where there is no time; with time side is asked back; and by it without hub."""
    hub, side, patron = crossing.line.hub, crossing.side, crossing.patron
    first, second = crossing.invoice_of_far(), crossing.invoice_of_far()
    wait_until(lambda: patron.call("listnodes", side.id)["nodes"][0].get("addresses"))
    with unplugged(patron, side), unplugged(patron, hub):
        refused = pay(patron, bolt11=first["bolt11"], retry_for=0)
        assert refused.code == 205
        assert refused.error["data"]["reason"] == "no_own_channels"
        assert "connected" in refused.error["message"]
        assert rows(patron, first) == []
        pay(patron, bolt11=first["bolt11"]).ok()
        assert peers_taken(patron, first) == [side.id]
    with unplugged(patron, hub):
        pay(patron, second["bolt11"]).ok()
        assert peers_taken(patron, second) == [side.id]


def test_the_peer_goes_with_a_part(crossing: Crossing) -> None:
    """The HTLC is held when hub is disconnected: no answer, no other part, until hub is back with the preimage."""
    line, patron, made = crossing.line, crossing.patron, crossing.invoice_of_far()
    line.far.call("hold", made["payment_hash"])
    answer = begin(patron, bolt11=made["bolt11"], exclude=[crossing.side.id])
    wait_until(lambda: held(line.far, made) == 1)
    with unplugged(patron, line.hub):
        line.far.call("release", made["payment_hash"])
        wait_until(lambda: received(line.far, made) == 100_000)
        assert status_of(patron, made)["session_status"] == "Inflight"
        assert not answer.done()
    assert result_of(answer).ok()["parts"] == 1


# Parts


def test_parts_that_are_planned_again(crossing: Crossing) -> None:
    """Side has a fifth of its channel left, hub much more: what fails first goes the other way, or smaller.

    No one part and no two halves fit.
    """
    line, patron, side = crossing.line, crossing.patron, crossing.side
    leave_spendable(side, line.far, 200_000_000)
    refill(line.hub, line.far, 550_000_000)
    ways = [min(spendable(patron, first), spendable(first, line.far)) for first in (line.hub, side)]
    amount_msat = sum(ways) * 9 // 10
    made = crossing.invoice_of_far(amount_msat)
    result = pay(patron, made["bolt11"]).ok()
    assert received(line.far, made) == result["amount_msat"] == amount_msat
    wait_until(lambda: all(row["status"] != "pending" for row in rows(patron, made)))
    sent = [row for row in rows(patron, made) if row["status"] == "complete"]
    assert len(sent) < len(rows(patron, made))
    assert sum(row["amount_msat"] for row in sent) == amount_msat
    assert sum(row["amount_sent_msat"] for row in sent) == result["amount_sent_msat"]
    assert {row["groupid"] for row in rows(patron, made)} == {1}
    assert set(peers_taken(patron, made)) == {line.hub.id, side.id}
    shown = status_of(patron, made)
    assert shown["settled_amount"] == amount_msat
    assert {attempt["status"] for attempt in shown["attempts"]} == {"Settled", "Failed"}


def leave_spendable(source: Node, target: Node, left_msat: int) -> None:
    """Pay to the neighbour what is more than that, by the host's own means."""
    surplus_msat = spendable(source, target) - left_msat
    source.call("xpay", invoice(target, surplus_msat)["bolt11"])
    wait_until(lambda: spendable(source, target) < left_msat * 11 // 10)


def test_two_payers_of_one_invoice(shop: Shop, crossing: Crossing) -> None:
    """60,000 and 40,000 of 100,000 msat: neither is answered alone; both have their own amounts, also repeated."""
    far, made = shop.line.far, crossing.invoice_of_far(100_000)
    first = begin(crossing.patron, bolt11=made["bolt11"], partial_msat=60_000, exclude=[crossing.side.id])
    wait_until(lambda: [row["status"] for row in rows(crossing.patron, made)] == ["pending"])
    assert not first.done()
    second = pay(shop.payer, bolt11=made["bolt11"], partial_msat="40sat").ok()
    assert received(far, made) == 100_000
    shares = [(crossing.patron, result_of(first).ok(), 60_000), (shop.payer, second, 40_000)]
    for node, result, amount_msat in shares:
        assert result["amount_msat"] == amount_msat
        assert amount_msat < result["amount_sent_msat"] < amount_msat + 10
        assert [row["amount_msat"] for row in rows(node, made)] == [amount_msat]
        assert pay(node, bolt11=made["bolt11"], partial_msat=amount_msat).ok() == result


# To ourselves


def test_ourselves_several_times_at_once(crossing: Crossing) -> None:
    """One row and one answer for three callers: lightningd does not survive a second such sendpay of a group."""
    patron = crossing.patron
    made = invoice(patron)
    answers = [begin(patron, made["bolt11"]) for _ in range(3)]
    first, second, third = (result_of(answer).ok() for answer in answers)
    assert first == second == third
    (row,) = rows(patron, made)
    assert (row["groupid"], row.get("partid", 0), row["status"]) == (1, 0, "complete")
    assert received(patron, made) == 100_000


def test_ourselves_for_nothing(crossing: Crossing) -> None:
    """The invoice was deleted: our own refusal is the recipient's, and a call a group; the node lives on."""
    patron = crossing.patron
    made = patron.call("invoice", amount_msat=100_000, label="deleted", description="deleted")
    patron.call("delinvoice", label="deleted", status="unpaid")
    for calls in (1, 2):
        refused = pay(patron, made["bolt11"])
        assert (refused.code, refused.error["data"]["erring_node"]) == (203, patron.id)
        assert [row["groupid"] for row in rows(patron, made)] == list(range(1, calls + 1))
        assert {row["status"] for row in rows(patron, made)} == {"failed"}


# What it waits for


@contextmanager
def blocks_kept_from(node: Node) -> Iterator[None]:
    """This node's bitcoind has no news, not even of what others have (test_behind.py has a node that lags behind
    its bitcoind)."""
    proxy = node.peer.daemon.rpcproxy
    height = node.call("getinfo")["blockheight"]

    def hash_of(request: dict[str, Any]) -> dict[str, Any] | None:
        if int(request["params"][0]) <= height:
            return None
        return {"id": request["id"], "result": None, "error": {"code": -8, "message": "Block height out of range"}}

    def chain(request: dict[str, Any]) -> dict[str, Any]:
        known = {"chain": "regtest", "headers": height, "blocks": height, "initialblockdownload": False}
        return {"id": request["id"], "result": known, "error": None}

    proxy.mock_rpc("getblockhash", hash_of)
    proxy.mock_rpc("getblockchaininfo", chain)
    try:
        yield
    finally:
        proxy.mock_rpc("getblockchaininfo")
        proxy.mock_rpc("getblockhash")


def test_the_payee_is_blocks_ahead(crossing: Crossing) -> None:
    """The payee refuses what ends too soon by its blocks: they are waited for, within retry_for, and it is paid.

    Meanwhile the only part has failed, and the payment is pending all the same, in every list.
    """
    line, patron = crossing.line, crossing.patron
    made, other = crossing.invoice_of_far(), crossing.invoice_of_far()
    with blocks_kept_from(patron):
        line.regtest.mine(BLOCKS_AHEAD, line.hub, line.far, crossing.side)
        hurried = pay(patron, bolt11=other["bolt11"], retry_for=1, dev_use_shadow=False)
        assert hurried.code == 210
        answer = begin(patron, bolt11=made["bolt11"], dev_use_shadow=False)
        wait_until(lambda: [row["status"] for row in rows(patron, made)] == ["failed"])
        wait_until(lambda: status_of(patron, made)["waiting_for"] == "waiting_height")
        assert status_of(patron, made)["attempts"][0]["status"] == "Retrying"
        for asked in ({"payment_hash": made["payment_hash"]}, {"bolt11": made["bolt11"]}, {}):
            pays = patron.call("listpays", **asked)["pays"]
            assert [p["status"] for p in pays if p["payment_hash"] == made["payment_hash"]] == ["pending"]
        assert patron.call("listpays", payment_hash=made["payment_hash"], status="failed")["pays"] == []
        assert not answer.done()
    assert result_of(answer).ok()["parts"] == 2
    assert [(row["groupid"], row["status"]) for row in rows(patron, made)] == [(1, "failed"), (1, "complete")]
    pay(patron, bolt11=other["bolt11"]).ok()


def test_a_refusal_at_our_height(crossing: Crossing) -> None:
    """The payee has no block that we lack: it means what it says, and is not asked again."""
    far, patron, made = crossing.line.far, crossing.patron, crossing.invoice_of_far()
    crossing.line.regtest.mine(1, far, patron)
    far.call("hold", made["payment_hash"])
    answer = begin(patron, made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    height = far.call("getinfo")["blockheight"]
    far.call("release", made["payment_hash"], f"400f{100_000:016x}{height:08x}")
    refused = result_of(answer)
    assert (refused.code, refused.error["data"]["sendpay_tries"]) == (203, 1)


def test_no_answer_while_a_part_is_out(crossing: Crossing) -> None:
    """retry_for is over at once, and the payee holds: the caller waits, and reads success once it lets go."""
    far, patron, made = crossing.line.far, crossing.patron, crossing.invoice_of_far()
    far.call("hold", made["payment_hash"])
    answer = begin(patron, bolt11=made["bolt11"], retry_for=0)
    wait_until(lambda: held(far, made) == 1)
    shown = status_of(patron, made)
    assert (shown["session_status"], shown["no_new_parts"]) == ("Inflight", "retry_for is over")
    (attempt,) = shown["attempts"]
    assert attempt["probably_at"]["reason"].startswith("past our own channel")
    out = [h for h in patron.call("listhtlcs")["htlcs"] if h["payment_hash"] == made["payment_hash"]]
    assert [attempt["must_resolve"]["height"]] == [htlc["expiry"] for htlc in out]
    assert not answer.done()
    assert patron.call("listpays", payment_hash=made["payment_hash"])["pays"][0]["status"] == "pending"
    far.call("release", made["payment_hash"])
    assert result_of(answer).ok()["status"] == "complete"
    assert told(patron, "pay_success", made)["bolt11"] == made["bolt11"]
    assert patron.notifications("pay_failure", made["payment_hash"]) == []


# What others are told


def test_parts_as_other_plugins_see_them(crossing: Crossing) -> None:
    """The payee fails the first part for now: the second goes the other way. Both begin and end, and tell how."""
    far, patron, made = crossing.line.far, crossing.patron, crossing.invoice_of_far()
    far.call("hold", made["payment_hash"])
    answer = begin(patron, made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    far.call("release", made["payment_hash"], TEMPORARY_NODE_FAILURE)
    result = result_of(answer).ok()
    assert result["parts"] == 2
    first, second = peers_taken(patron, made)
    assert {first, second} == {crossing.line.hub.id, crossing.side.id}
    assert told(patron, "pay_success", made)
    starts, ends = (
        [fields_of(params, topic) for params in patron.notifications(topic, made["payment_hash"])]
        for topic in ("pay_part_start", "pay_part_end")
    )
    assert [(s["groupid"], s["partid"], s["attempt_msat"]) for s in starts] == [(1, 1, 100_000), (1, 2, 100_000)]
    assert [s["hops"][0]["next_node"] for s in starts] == [first, second]
    assert [hop["channel_out_msat"] for hop in starts[1]["hops"]] == [result["amount_sent_msat"], 100_000]
    assert [(e["partid"], e["status"]) for e in ends] == [(1, "failure"), (2, "success")]
    assert (ends[0]["error_code"], ends[0]["failed_node_id"]) == (0x2002, far.id)
    assert all(end["duration"] >= 0 for end in ends)


# What comes along


def test_metadata_arrives(crossing: Crossing) -> None:
    """The payee reads in the onion what it had written into its invoice.

    lightningd signs such an invoice, but it would refuse the HTLC: the witness settles it.
    """
    far, metadata, preimage = crossing.line.far, bytes(range(40)), hashlib.sha256(b"metadata").digest()
    text = encode(
        Bolt11(payment_hash=hashlib.sha256(preimage).digest(), created_at=int(time.time()), amount_msat=100_000,
               description="metadata", payment_secret=bytes(32), payment_metadata=metadata,
               features=1 << 8 | 1 << 14 | 1 << 16 | 1 << 48), bytes([9]) * 32)  # fmt: skip
    made = far.call("createinvoice", invstring=text, label="metadata", preimage=preimage.hex())
    assert crossing.patron.call("decode", made["bolt11"])["payment_metadata"] == metadata.hex()
    far.call("hold", made["payment_hash"])
    answer = begin(crossing.patron, made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    (onion,) = far.call("held", made["payment_hash"])["onions"]
    assert onion["payment_metadata"] == metadata.hex()
    far.call("release", made["payment_hash"], None, preimage.hex())
    assert result_of(answer).ok()["payment_preimage"] == preimage.hex()


def test_the_invoice_request_that_is_answered(crossing: Crossing) -> None:
    """localinvreqid: the host marks its request as used, and pays no second time for it."""
    patron, made, again = crossing.patron, crossing.invoice_of_far(), crossing.invoice_of_far()
    request = patron.call("invoicerequest", amount="100000msat", description="refund")
    pay(patron, bolt11=made["bolt11"], localinvreqid=request["invreq_id"]).ok()
    (shown,) = patron.call("listinvoicerequests", invreq_id=request["invreq_id"])["invoicerequests"]
    assert (shown["used"], shown["active"]) == (True, False)
    refused = pay(patron, bolt11=again["bolt11"], localinvreqid=request["invreq_id"])
    assert refused.code is not None
    assert "invoice_request" in refused.error["message"]
    assert rows(patron, again) == []
