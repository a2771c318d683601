"""The host's table of HTLCs, as small and as large as a real one gets.

us ── hub ── far
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.harness import Box
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network.channel import SimChannel
from pay.sim.network.htlc import FinalPayload, HtlcOutcome, WireHop
from pay.units import format_scid
from tests.support.box.worlds import CAPACITY_MSAT, invoice_of_far, line_box, part
from tests.support.waiting import result_of

MANY = 100_000
"""A hundred thousand are seconds less than half a million, and tell the same."""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with line_box(tmp_path) as box:
        yield box


def htlcs(box: Box, **params: Any) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = box.call("listhtlcs", params)["htlcs"]
    return shown


def second_channel(box: Box) -> SimChannel:
    """One more between us and the hub."""
    us, hub, _ = box.world.nodes
    return box.on_world(lambda world: world.add_channel(us, hub, CAPACITY_MSAT))


def test_a_hundred_thousand_are_over_in_one_channel(box: Box) -> None:
    """Without a channel every row is written, some 26 MB; the other channel by its name has one HTLC."""
    first = next(iter(box.world.channels))
    box.node.htlcs.fill(second_channel(box), MANY)
    invoice = invoice_of_far(box, hold=True)
    box.call("sendpay", part(box, invoice, 100_000))
    box.until(lambda _: invoice.parts)
    everything = htlcs(box)
    assert len(everything) == MANY + 1
    (live,) = htlcs(box, id=format_scid(first))
    assert live == everything[-1]
    assert (live["direction"], live["payment_hash"]) == ("out", invoice.payment_hash.hex())
    assert live["state"] == "SENT_ADD_ACK_REVOCATION"
    assert len({row["created_index"] for row in everything}) == MANY + 1
    assert len(json.dumps(everything[0])) > 250
    box.on_world(lambda world: world.release_invoice(invoice))


def test_rows_that_are_over_go_both_ways_and_are_marked_so(box: Box) -> None:
    channel = next(iter(box.world.channels.values()))
    box.node.htlcs.fill(channel, 2)
    assert [(row["id"], row["direction"], row["state"]) for row in htlcs(box)] == [
        (0, "out", "RCVD_REMOVE_ACK_REVOCATION"), (0, "in", "SENT_REMOVE_ACK_REVOCATION"),
    ]  # fmt: skip


def test_a_channel_is_named_by_scid_by_alias_or_by_its_id(box: Box) -> None:
    channel = next(iter(box.world.channels.values()))
    box.node.htlcs.fill(channel, 3)
    (shown,) = box.call("listpeerchannels")["channels"]
    rows = htlcs(box)
    assert len(rows) == 3
    for name in (shown["short_channel_id"], shown["channel_id"], shown["alias"]["local"]):
        assert htlcs(box, id=name) == rows


def test_pages_by_either_index(box: Box) -> None:
    channel = next(iter(box.world.channels.values()))
    box.node.htlcs.fill(channel, 5)
    assert [row["created_index"] for row in htlcs(box, index="created", start=2, limit=2)] == [2, 3]
    assert [row["updated_index"] for row in htlcs(box, index="updated", start=5)] == [6, 8, 10]
    assert [row["created_index"] for row in htlcs(box, start=5)] == [5]


@pytest.mark.parametrize(
    ("params", "words"),
    [({"id": "1x1x1"}, "id: unknown channel"), ({"id": "x"}, "id: must be channel id or short channel id"),
     ({"index": "x"}, "index: unknown index")],
)  # fmt: skip
def test_what_is_no_channel_is_refused(box: Box, params: dict[str, str], words: str) -> None:
    with pytest.raises(RpcError, match=words):
        htlcs(box, **params)


def test_faults_and_filters_hit_this_answer_as_any_other(box: Box) -> None:
    box.node.htlcs.fill(next(iter(box.world.channels.values())), 2)
    box.node.faults.empty = {"listhtlcs"}
    assert box.call("listhtlcs") == {}
    box.node.faults.empty = set()
    box.node.faults.hang = {"listhtlcs"}
    waiting = box.call_soon("listhtlcs")
    box.until(lambda node: node.recorded[-1] and len(node.recorded) == 2)
    assert not waiting.done()
    box.let_go("listhtlcs")
    assert len(result_of(waiting)["htlcs"]) == 2


# --- our own channel's slots ---------------------------------------------------------------------------------


def incoming(box: Box, amount_msat: int) -> list[HtlcOutcome]:
    """The hub pays an invoice of ours that is held: an HTLC that comes in and stays."""
    us, hub, _ = box.world.nodes
    scid = next(iter(box.world.channels))
    outcomes: list[HtlcOutcome] = []

    def launch(world: Any) -> None:
        invoice = world.create_invoice(us, amount_msat, "in", hold=True)
        hop = WireHop(scid, us, amount_msat, world.height + 20)
        final = FinalPayload(invoice.payment_secret, amount_msat)
        world.send(hub, [hop], invoice.payment_hash, final, outcomes.append)

    box.on_world(launch)
    return outcomes


def shown(box: Box) -> list[tuple[str, int, str]]:
    (channel,) = box.call("listpeerchannels")["channels"]
    return [(htlc["direction"], htlc["amount_msat"], htlc["state"]) for htlc in channel["htlcs"]]


def limits(box: Box, ours: int, theirs: int) -> None:
    """How many HTLCs we take from the hub at a time, and it from us."""
    channel = next(iter(box.world.channels.values()))
    side = channel.side(box.node.us)
    channel.htlc_limits[side], channel.htlc_limits[1 - side] = theirs, ours


def third_part(box: Box) -> tuple[int, str]:
    """Two parts out, then a third one: what becomes of that."""
    invoice = invoice_of_far(box, 300_000, hold=True)
    for number in (1, 2):
        box.call("sendpay", part(box, invoice, 100_000, number))
    box.until(lambda _: len(invoice.parts) == 2)
    box.call("sendpay", part(box, invoice, 100_000, 3))
    try:
        box.call("waitsendpay", [invoice.payment_hash.hex(), 1, 3])
    except RpcError as error:
        return error.code, error.message
    raise AssertionError("it settled, though the payee holds")


TOO_MANY = (204, "failed: WIRE_TEMPORARY_CHANNEL_FAILURE (WIRE_TEMPORARY_CHANNEL_FAILURE: Too many HTLCs)")
STILL_OUT = (200, "Timed out while waiting")


def test_htlcs_of_both_directions_are_shown(box: Box) -> None:
    us_out = invoice_of_far(box, hold=True)
    box.on_world(lambda world: world.channels[next(iter(world.channels))].balances_msat.__setitem__(
        slice(None), [CAPACITY_MSAT // 2] * 2))  # fmt: skip
    box.call("sendpay", part(box, us_out, 100_000))
    box.until(lambda _: us_out.parts)
    incoming(box, 700_000)
    box.until(lambda node: len(next(iter(node.world.channels.values())).htlcs) == 2)
    assert shown(box) == [
        ("out", 100_002, "SENT_ADD_ACK_REVOCATION"), ("in", 700_000, "RCVD_ADD_ACK_REVOCATION"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs", "answer"),
    [(3, 3, STILL_OUT), (3, 2, TOO_MANY), (2, 3, TOO_MANY), (2, 2, TOO_MANY)],
)
def test_what_we_send_is_within_both_limits(box: Box, ours: int, theirs: int, answer: tuple[int, str]) -> None:
    """channeld holds what we offer to the peer's limit, which is not reported, and to our own, which is."""
    limits(box, ours, theirs)
    assert box.call("listpeerchannels")["channels"][0]["max_accepted_htlcs"] == ours
    assert third_part(box) == answer


@pytest.mark.parametrize(("shared", "answer"), [(False, STILL_OUT), (True, TOO_MANY)])
def test_incoming_htlcs_take_slots_only_where_they_are_shared(
    box: Box, shared: bool, answer: tuple[int, str]
) -> None:
    limits(box, 3, 3)
    channel = next(iter(box.world.channels.values()))
    box.on_world(lambda _: channel.balances_msat.__setitem__(slice(None), [CAPACITY_MSAT // 2] * 2))
    channel.shared_slots = shared
    incoming(box, 700_000)
    box.until(lambda _: len(channel.htlcs) == 1)
    assert third_part(box) == answer
