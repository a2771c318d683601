"""Somebody deletes the node's row of a part before the plugin has heard how the part ended.

delpay and autoclean delete only what is over, so it has ended; whether it was paid nobody can tell, so nobody is
told anything but that. The world is that of box/host.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.payments.database import Status
from pay.sim.network.invoices import SimInvoice
from tests.support.box.host import SAT, Host, Pending, hosting
from tests.support.waiting import until

SPLIT_MSAT = 15_000_000 * SAT


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path, developer=True, options={"pay-dev-reconcile-ms": 100}) as host:
        yield host


def unheard(host: Host, made: SimInvoice, end: Status) -> Pending:
    """A payment of one part that ended so, and that nobody told the plugin of; its row is gone."""
    made.hold = True
    mark = host.log_mark()
    pending = host.pay_held(made)
    host.log("AttemptAccepted", mark)
    with host.faults(drop={"sendpay_success", "sendpay_failure"}, errors={"listsendpays": (-1, "busy")}):
        if end is Status.COMPLETE:
            host.release(made)
        else:
            host.give_back(made)
        host.until(lambda: [row.status for row in host.node.db.payments()] == [end])
        host.call("delpay", [made.payment_hash.hex(), end.word]).ok()
    host.log("outcome_lost", mark)
    return pending


def status(host: Host, made: SimInvoice) -> dict[str, Any]:
    (entry,) = host.call("paystatus", [made.bolt11]).ok()["pay"]
    shown: dict[str, Any] = entry
    return shown


@pytest.mark.parametrize("end", [Status.COMPLETE, Status.FAILED])
def test_nobody_knows(host: Host, end: Status) -> None:
    """No answer, whatever it was: -1 is read as surely unpaid. A second caller waits with the first one."""
    made = host.invoice()
    mark = host.mark()
    pending = unheard(host, made, end)
    messages: list[dict[str, Any]] = []
    second = host.box.submit(host.node.call("pay", {"bolt11": made.bolt11}, messages.append))
    host.until(lambda: len(messages) == 2)
    assert "is not known here" in messages[1]["params"]["message"]
    looks = host.mark()
    host.until(lambda: host.methods(looks).count("listsendpays") >= 3)
    assert not pending.answered and not second.done()
    entry = status(host, made)
    assert (entry["session_status"], entry["no_new_parts"]) == ("Inflight", "it is given up")
    (attempt,) = entry["attempts"]
    assert attempt["status"] == "Inflight" and "is not known here" in attempt["outcome_unknown"]
    assert "probably_at" not in attempt and "must_resolve" not in attempt
    assert len(host.sendpays(mark)) == 1
    assert len(host.lines("outcome_lost")) == 1


def test_the_preimage_turns_up(host: Host) -> None:
    """A row of the same hash that has it, whosever: then it is certain."""
    made = host.invoice()
    pending = unheard(host, made, Status.COMPLETE)

    def found(_: Any) -> None:
        table, now_s = host.node.db, int(time.time())
        row = table.add_payment(
            payment_hash=made.payment_hash, groupid=9, partid=1, amount_msat=made.amount_msat,
            amount_sent_msat=made.amount_msat, total_msat=made.amount_msat, created_at=now_s, route_direction=0,
        )  # fmt: skip
        table.settle(row, made.preimage, now_s)

    host.world(found)
    assert pending.answer().ok()["payment_preimage"] == made.preimage.hex()
    host.until(lambda: host.lines("payment_paid"))


def test_beside_a_part_that_settles(host: Host) -> None:
    """The first preimage is a success; the part without a row does not keep the payment from its end."""
    made = host.invoice(amount_msat=SPLIT_MSAT, hold=True)
    pending = host.pay_soon(made)
    host.until(lambda: sum(part.amount_msat for part in made.parts) == SPLIT_MSAT)
    topics = {"sendpay_success"}
    with host.faults(drop=topics, errors={"listsendpays": (-1, "busy")}):
        host.release(made)
        host.until(lambda: all(row.status is Status.COMPLETE for row in host.node.db.payments()))
        host.call("delpay", [made.payment_hash.hex(), "complete", 1, 1]).ok()
        host.node.faults.errors = {}
        answer = pending.answer().ok()
    assert answer["payment_preimage"] == made.preimage.hex()
    until(lambda: status(host, made)["session_status"] == "Success")
    until(lambda: not host.call("listdatastore", {"key": ["pay", "session"]}).ok()["datastore"])
