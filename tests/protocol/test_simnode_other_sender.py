"""Another sender of the same node in the box: its tries, the pauses between them, and the rule of one group.

us ── hub ── far
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.harness import Box
from pay.sim.lightningd.other_sender import OtherSender
from pay.sim.lightningd.payments.database import Status
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network.faults import Faults
from pay.sim.network.invoices import SimInvoice
from tests.support.box.worlds import invoice_of_far, line_box, part
from tests.support.waiting import result_of


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with line_box(tmp_path) as box:
        yield box


def rows(box: Box, invoice: SimInvoice) -> list[str]:
    found = box.call("listsendpays", {"payment_hash": invoice.payment_hash.hex()})["payments"]
    return [f"{row['groupid']}/{row['partid']} {row['status']}" for row in found]


def refused(box: Box, params: dict[str, Any]) -> int:
    with pytest.raises(RpcError) as error:
        box.call("sendpay", params)
    return error.value.code


def test_it_fails_and_fails_and_is_paid(box: Box) -> None:
    """Three tries of one group, and the money arrives once."""
    invoice = invoice_of_far(box)
    other = OtherSender(box.node, invoice)
    assert box.run(other.pursue([False, False, True, True])) == ["failed", "failed", "complete"]
    assert rows(box, invoice) == ["1/1 failed", "1/2 failed", "1/3 complete"]
    assert invoice.received_msat == 100_000


def test_between_two_of_its_tries_nothing_is_out_and_then_it_settles(box: Box) -> None:
    """What a sender must not take for the end: the first part has failed, the next one pays."""
    invoice = invoice_of_far(box)
    other = OtherSender(box.node, invoice, groupid=7)
    box.run(other.send(works=False))
    assert box.run(other.outcome()) == "failed"
    assert rows(box, invoice) == ["7/1 failed"]
    assert box.world.in_flight == 0
    box.run(other.send())
    assert box.run(other.outcome()) == "complete"
    assert invoice.paid_at is not None


def test_a_part_of_it_is_out_for_as_long_as_a_test_wants(box: Box) -> None:
    """The hub is silent; ours is refused with 200 meanwhile, and is let through in the pause that follows."""
    invoice = invoice_of_far(box)
    hub = list(box.world.nodes)[1]
    other = OtherSender(box.node, invoice, groupid=7)
    box.on_world(lambda world: world.set_faults(hub, Faults(silent=True)))
    box.run(other.send(works=False))
    assert refused(box, part(box, invoice, 100_000, groupid=8)) == 200
    box.on_world(lambda world: world.set_faults(hub, None))
    assert box.run(other.outcome()) == "failed"
    assert box.call("sendpay", part(box, invoice, 100_000, groupid=8))["groupid"] == 8
    box.call("waitsendpay", [invoice.payment_hash.hex(), 10, 1, 8])
    assert rows(box, invoice) == ["7/1 failed", "8/1 complete"]


def test_it_begins_while_ours_is_out_and_is_told_so(box: Box) -> None:
    """One group at a time: its try has no row, and its next one has the same number."""
    invoice = invoice_of_far(box, hold=True)
    box.call("sendpay", part(box, invoice, 100_000))
    box.until(lambda _: invoice.parts)
    other = OtherSender(box.node, invoice)
    assert box.run(other.pursue([True, True])) == ["200", "200"]
    assert rows(box, invoice) == ["1/1 pending"]
    assert (other.groupid, other.partid) == (2, 0)
    box.on_world(lambda world: world.cancel_invoice(invoice))


def test_a_pause_is_as_long_as_it_is(box: Box) -> None:
    """Nothing of it is out in the pause: ours takes its place, and its own next try comes too late."""
    invoice = invoice_of_far(box, hold=True)
    other = OtherSender(box.node, invoice, groupid=7)
    pursuit = box.submit(other.pursue([False, True], 0.3))
    box.until(lambda _: has_failed(box, invoice))
    box.call("sendpay", part(box, invoice, 100_000, groupid=8))
    assert result_of(pursuit) == ["failed", "200"]
    box.on_world(lambda world: world.release_invoice(invoice))
    box.until(lambda _: invoice.paid_at is not None)


def has_failed(box: Box, invoice: SimInvoice) -> bool:
    found = box.node.db.payments("payment_hash = ?", invoice.payment_hash)
    return [row.status for row in found] == [Status.FAILED]


def test_half_of_it_and_then_the_rest(box: Box) -> None:
    invoice = invoice_of_far(box)
    other = OtherSender(box.node, invoice)
    box.run(other.send(40_000))
    box.run(other.send(60_000))
    assert box.run(other.outcome()) == "complete"
    assert rows(box, invoice) == ["1/1 complete", "1/2 complete"]
