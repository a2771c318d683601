"""Rows of the payments table that somebody deletes: by hand, by age, and in the middle of a payment.

us ── hub ── far
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.harness import Box
from pay.sim.lightningd.other_sender import OtherSender
from pay.sim.lightningd.payments.database import Payment, Status
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network.invoices import SimInvoice
from tests.support.box.worlds import invoice_of_far, line_box, part, topics
from tests.support.plugins import ECHO


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with line_box(tmp_path) as box:
        yield box


def rows(box: Box, invoice: SimInvoice) -> list[str]:
    found = box.call("listsendpays", {"payment_hash": invoice.payment_hash.hex()})["payments"]
    return [f"{row['groupid']}/{row['partid']} {row['status']}" for row in found]


def refused(box: Box, params: list[Any]) -> tuple[int, str]:
    with pytest.raises(RpcError) as error:
        box.call("delpay", params)
    return error.value.code, error.value.message.split(": invalid")[0]


def test_a_single_row_in_every_status(box: Box) -> None:
    """Three groups: 1 failed twice, 2 failed, 3 pending at the payee; then it is settled as well."""
    invoice = invoice_of_far(box, hold=True)
    name = invoice.payment_hash.hex()
    for groupid, tries in ((1, 2), (2, 1)):
        other = OtherSender(box.node, invoice, groupid=groupid)
        assert box.run(other.pursue([False] * tries)) == ["failed"] * tries
    box.run(OtherSender(box.node, invoice, groupid=3).send())
    box.until(lambda _: invoice.parts)
    assert rows(box, invoice) == ["1/1 failed", "1/2 failed", "2/1 failed", "3/1 pending"]
    assert refused(box, [name, "pending", 1, 3]) == (-32602, "status: Cannot delete pending status")
    assert refused(box, [name, "complete", 1, 1])[0] == 208
    deleted = box.call("delpay", [name, "failed", 1, 1])["payments"]
    assert [(row["groupid"], row["partid"]) for row in deleted] == [(1, 1)]
    assert rows(box, invoice) == ["1/2 failed", "2/1 failed", "3/1 pending"]
    box.on_world(lambda world: world.release_invoice(invoice))
    box.until(lambda node: node.world.in_flight == 0)
    box.call("delpay", [name, "complete", 1, 3])
    assert rows(box, invoice) == ["1/2 failed", "2/1 failed"]
    box.call("delpay", [name, "failed"])
    assert rows(box, invoice) == []


def test_age_takes_one_half_of_a_payment_and_leaves_the_other(box: Box) -> None:
    """The second part of the set is ten minutes younger than the first one; the payee has both."""
    invoice = invoice_of_far(box)
    box.call("sendpay", part(box, invoice, 40_000, 1))
    box.on_world(lambda world: world.clock.step(600.0))  # type: ignore[attr-defined]
    box.call("sendpay", part(box, invoice, 60_000, 2))
    box.until(lambda node: node.world.in_flight == 0)
    assert rows(box, invoice) == ["1/1 complete", "1/2 complete"]
    cleaned = box.call("autoclean-once", ["succeededpays", 300])
    assert cleaned == {"autoclean": {"succeededpays": {"cleaned": 1, "uncleaned": 1}}}
    assert rows(box, invoice) == ["1/2 complete"]


def test_age_takes_nothing_that_is_pending(box: Box) -> None:
    invoice = invoice_of_far(box, hold=True)
    box.call("sendpay", part(box, invoice, 100_000))
    box.until(lambda _: invoice.parts)
    box.on_world(lambda world: world.clock.step(600.0))  # type: ignore[attr-defined]
    for subsystem in ("succeededpays", "failedpays"):
        said = box.call("autoclean-once", [subsystem, 300])["autoclean"][subsystem]
        assert said == {"cleaned": 0, "uncleaned": 0}
    assert rows(box, invoice) == ["1/1 pending"]
    box.on_world(lambda world: world.cancel_invoice(invoice))


def test_a_row_is_gone_before_anybody_hears_of_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first part's row goes in the moment of its success; its notification comes, the table has the other."""
    monkeypatch.setenv("ECHO_MANIFEST", json.dumps({"subscriptions": ["sendpay_success"]}))
    with line_box(tmp_path, plugin=ECHO) as box:
        invoice = invoice_of_far(box)
        seen: list[tuple[int, str]] = []

        def forget_the_first(row: Payment) -> None:
            seen.append((row.partid, row.status.word))
            if (row.partid, row.status) == (1, Status.COMPLETE):
                box.node.db.delete_payments([row])

        box.node.row_watchers.append(forget_the_first)
        box.call("sendpay", part(box, invoice, 40_000, 1))
        box.call("sendpay", part(box, invoice, 60_000, 2))
        told = box.until(lambda _: topics(box, "sendpay_success")[1:] and topics(box, "sendpay_success"))
        assert sorted(m["params"]["sendpay_success"]["partid"] for m in told) == [1, 2]
        assert rows(box, invoice) == ["1/2 complete"]
        assert seen[:2] == [(1, "pending"), (2, "pending")]
        assert sorted(seen[2:]) == [(1, "complete"), (2, "complete")]
