"""A few runs of the crash campaign, and that it would see what it looks for. `make campaign` makes 200."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from pay.sim.lightningd.log import LogLine
from pay.sim.lightningd.other_sender import LABEL
from pay.sim.lightningd.payments.database import Payment, Status
from pay.sim.network.clock import VirtualClock
from pay.sim.network.world import World
from tests.campaign.run import run
from tests.campaign.town import Kind, Purchase
from tests.campaign.truth import Begun, Call, Evidence, Guard, judge
from tests.support.rawrpc import Answer


@pytest.mark.parametrize("seed", range(6))
def test_run(seed: int) -> None:
    report = run(seed, calm=True)
    assert report.wrong == []
    assert report.counts["plugin killed"] + report.counts["node killed"] > 0


@pytest.mark.parametrize("seed", [3, 4, 9])
def test_run_with_liars_stepped_clocks_and_other_senders(seed: int) -> None:
    report = run(seed)
    assert report.wrong == []
    assert report.counts["liars"] + report.counts["clock steps"] + report.counts["other senders"] > 0


# --- the judge --------------------------------------------------------------------------------------------

AMOUNT_MSAT = 100_000


def purchase(paid: bool = True) -> Purchase:
    world = World(VirtualClock(), latency_s=0.0)
    made = world.create_invoice(world.add_node("far").id, AMOUNT_MSAT, "tea")
    if paid:
        made.paid_at, made.received_msat = 10, AMOUNT_MSAT
    return Purchase(Kind.SINGLE, made, {"maxfee": 100}, paid_s=10.0 if paid else None)


def row(bought: Purchase, **changes: Any) -> Payment:
    fields: dict[str, Any] = {
        "id": 1, "payment_hash": bought.invoice.payment_hash, "groupid": 1, "partid": 1,
        "status": Status.COMPLETE, "destination": None, "amount_msat": AMOUNT_MSAT,
        "amount_sent_msat": AMOUNT_MSAT + 50, "total_msat": AMOUNT_MSAT, "created_at": 5,
        "route_channel": None, "route_direction": 0, "payment_preimage": bought.invoice.preimage,
    }  # fmt: skip
    nothing: dict[str, Any] = dict.fromkeys(Payment.__dataclass_fields__)
    return Payment(**{**nothing, "updated_index": 0, **fields, **changes})


def success(bought: Purchase) -> Answer:
    return Answer({"payment_preimage": bought.invoice.preimage.hex(), "amount_msat": AMOUNT_MSAT})


def call(bought: Purchase, answer: Answer | None, began_s: float = 1.0, **changes: Any) -> Call:
    return replace(Call(bought, began_s, began_s + 1, answer, frozenset({1})), **changes)


def evidence(calls: list[Call], rows: list[Payment], **changes: Any) -> Evidence:
    nothing = Evidence(calls, rows, [], Guard(), late=0, in_flight=0, journal=[], working=[])
    return replace(nothing, **changes)


def test_judge_has_nothing_to_say() -> None:
    bought = purchase()
    assert judge(evidence([call(bought, success(bought))], [row(bought)]), [bought]) == []


def test_judge_sees_what_is_wrong() -> None:
    """One fault each, and the verdict names it."""
    bought = purchase()
    good, paid, failed = call(bought, success(bought)), row(bought), Answer(error={"code": 210, "message": ""})
    other = Answer({**success(bought).ok(), "created_at": 7})
    name = bought.name
    for text, found in {
        "reported as failed, paid by the same": evidence([call(bought, failed, 0.0, ended_s=0.5), good], [paid]),
        "reported as failed, was paid": evidence([good, call(bought, failed, 20.0)], [paid]),
        "is not the truth": evidence([good, call(bought, failed, 20.0)], [paid]),
        "taken for another": evidence([call(bought, Answer(error={"code": 201}), 0.0), good], [paid]),
        "of another kind": evidence([call(bought, Answer(error={"code": 200}), 0.0), good], [paid]),
        "two different successes": evidence([good, call(bought, other, 2.0)], [paid]),
        "was not answered": evidence([good, call(bought, None, 9.0)], [paid]),
        "left us": evidence([good], [row(bought, amount_sent_msat=AMOUNT_MSAT + 101)]),
        "settled in several groups": evidence([good], [paid, row(bought, groupid=2, amount_msat=0)]),
        "msat received": evidence([good], [paid, row(bought, partid=2, amount_msat=1)]),
        "pending for ever": evidence([good], [paid, row(bought, partid=2, status=Status.PENDING)]),
        "given up is paid": evidence(
            [good], [paid],
            lines=[LogLine("info", "plugin", f"payment_failed payment_hash={name} groupid=1 code=210 attempts=2")],
        ),
        "session_crashed": evidence([good], [paid], lines=[LogLine("info", "plugin", "session_crashed")]),
        "without an answer": evidence([good], [paid], late=1),
        "in flight": evidence([good], [paid], in_flight=1),
        "the journal": evidence([good], [paid], journal=[{}]),
        "still in work": evidence([good], [paid], working=[{}]),
    }.items():  # fmt: skip
        assert any(text in said for said in judge(found, [bought])), text


def test_judge_sees_a_success_that_is_none() -> None:
    bought = purchase(paid=False)
    said = judge(evidence([call(bought, success(bought))], []), [bought])
    assert any("a success that is none" in text for text in said)


def test_judge_sees_what_another_sender_paid() -> None:
    """
    time  0   other's part 1000/1 begins
          10  ours begins, waits for it
          12  other's 1000/1 has failed (or is still out); ours is answered with 210
          13  other's 1000/2 pays
    """
    bought = purchase()
    bought.paid_s = 13.0
    bought.params["retry_for"] = 60
    paid = row(bought, groupid=1000, partid=2, label=LABEL)
    failed = Answer(error={"code": 210, "message": ""})
    ours = call(bought, failed, 10.0, ended_s=12.0, groups=frozenset({1000}))
    last = call(bought, success(bought), 20.0)

    def said(ours: Call, *begun: tuple[int, int, bool, float]) -> list[str]:
        guard = Guard()
        guard.begun = [Begun(bought.invoice.payment_hash, *fields) for fields in begun]
        return judge(evidence([ours, last], [paid], guard=guard), [bought])

    first, second = (1000, 1, True, 0.0), (1000, 2, True, 12.5)
    assert "left to another sender" in said(ours, first, second)[0]
    assert "left to another sender" in said(ours, (1, 1, False, -1.0), first, second)[0], "it had tried before"
    assert said(ours, first, second, (1001, 1, False, 11.0)) == [], "it has tried for itself"
    assert said(ours, second) == [], "nobody knew of the other sender"
    assert said(replace(ours, ended_s=71.0), first, (1000, 2, True, 71.2)) == [], "its time was up"
    bought.params["retry_for"] = 0
    assert said(ours, first, second) == [], "it had no time"
    out = replace(ours, pending=frozenset({(1000, 2)}))
    assert "with a part of another sender out" in said(out, first, (1000, 2, True, 11.0))[0]
    assert said(out, first, (1000, 2, True, 11.8)) == [], "it may have begun after the answer"


def test_guard_sees_too_much_at_once() -> None:
    """Two halves and a third one; a second group beside a live one."""
    bought, guard = purchase(paid=False), Guard()
    guard.watch([bought])
    half = row(bought, status=Status.PENDING, amount_msat=AMOUNT_MSAT // 2)
    table = mock.Mock(payments=mock.Mock(return_value=[half, half]))
    with mock.patch.object(guard, "_add", return_value=half):
        guard.add_payment(table)
        assert guard.broken == []
        table.payments.return_value = [half, half, half]
        guard.add_payment(table)
        table.payments.return_value = [half, replace(half, groupid=2)]
        guard.add_payment(table)
    assert ["at once" in text for text in guard.broken] == [True, True]
