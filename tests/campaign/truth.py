"""The verdict on a run, from what the world and the host's table know, never from what the plugin believes.

1. At no moment has the host more of a payment out or settled than its parts announce, which is its amount and at
   most a quarter of the fee limit for a shadow; nor two groups of it pending.
2. The recipient got what was asked for, or so much more, once; all that left us for it is within the amount and
   the fee limit.
3. A payment that was reported as failed was not paid, and is not paid later but by another call, or by a part that
   another sender sends only then. Nor is it left to another sender that was between two of its tries: who waited
   for that one has tried for itself before it gives up.
4. A success has the preimage, and every repeat is the same object.
5. Everything ends: nothing is in flight, no payment is in work, the journal is empty. What stays pending in the
   host's table are rows without an HTLC (orphans), and calls for those say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pay.sim.lightningd.log import LogLine
from pay.sim.lightningd.other_sender import LABEL
from pay.sim.lightningd.payments.database import Database, Payment, Status
from tests.campaign.town import Purchase, now_s
from tests.support.rawrpc import Answer

VERDICTS = frozenset({-32602, -1, *range(201, 208), 210})
"""Codes that callers book as surely unpaid."""

ORPHANED = "orphaned_part"
UNSURE_S = 0.5
"""An answer may have been decided upon so long before it was heard."""
_BUGS = ("Traceback", "session_crashed", "handler_failed", "task_failed", "adoption_failed", "pay_crashed")
_FAILED = re.compile(r"payment_failed payment_hash=(\w+) groupid=(\d+) code=-?\d+ attempts=[1-9]")
"""Of which a part was ordered: the number of one that ended before has not been used, and the next try has it."""


@dataclass(slots=True)
class Call:
    """One call of `pay` and what came of it; `answer` None where the caller was cut off."""

    purchase: Purchase
    began_s: float
    ended_s: float | None = None
    answer: Answer | None = None
    groups: frozenset[int] = frozenset()
    """Groups that the host had of this hash when the answer came."""
    pending: frozenset[tuple[int, int]] = frozenset()
    """(groupid, partid) of what was out then."""

    @property
    def failed(self) -> bool:
        return self.answer is not None and self.answer.code in VERDICTS

    @property
    def succeeded(self) -> bool:
        return self.answer is not None and self.answer.error is None


@dataclass(frozen=True, slots=True)
class Begun:
    """A row, and when it was made, of `now_s`."""

    payment_hash: bytes
    groupid: int
    partid: int
    foreign: bool
    at_s: float

    @property
    def key(self) -> tuple[int, int]:
        return (self.groupid, self.partid)


class Guard:
    """Watches the host's table while payments run: rule 1, at every new row."""

    def __init__(self) -> None:
        self.amounts: dict[bytes, int] = {}
        self.broken: list[str] = []
        self.begun: list[Begun] = []
        self._add = Database.add_payment

    def watch(self, purchases: Iterable[Purchase]) -> None:
        self.amounts |= {p.invoice.payment_hash: p.most_msat for p in purchases}

    def add_payment(self, table: Database, **fields: Any) -> Payment:
        """In the place of `Database.add_payment`."""
        row = self._add(table, **fields)
        self.begun.append(Begun(row.payment_hash, row.groupid, row.partid, _is_foreign(row), now_s()))
        rows = [r for r in table.payments("payment_hash = ?", row.payment_hash) if r.status is not Status.FAILED]
        committed_msat = sum(r.amount_msat for r in rows)
        if committed_msat > min(self.amounts.get(row.payment_hash, 0), row.total_msat or committed_msat):
            self.broken.append(f"{row.payment_hash.hex()}: {committed_msat} msat out or settled at once")
        if len({r.groupid for r in rows}) > 1:
            self.broken.append(f"{row.payment_hash.hex()}: two groups at once")
        return row


@dataclass(slots=True)
class Evidence:
    """All that a run leaves behind."""

    calls: list[Call]
    rows: list[Payment]
    lines: list[LogLine]
    guard: Guard
    late: int
    """Calls that were not answered long after everything could have ended."""
    in_flight: int
    journal: list[Any]
    working: list[dict[str, Any]]


def judge(evidence: Evidence, purchases: Iterable[Purchase]) -> list[str]:
    """What is wrong with a run; empty if nothing is."""
    wrong = list(evidence.guard.broken)
    failed_groups = {
        (match[1], int(match[2])) for line in evidence.lines if (match := _FAILED.search(line.text)) is not None
    }
    for purchase in purchases:
        rows = [row for row in evidence.rows if row.payment_hash == purchase.invoice.payment_hash]
        calls = [call for call in evidence.calls if call.purchase is purchase]
        begun = [part for part in evidence.guard.begun if part.payment_hash == purchase.invoice.payment_hash]
        said = [*_money(purchase, rows), *_answers(purchase, rows, calls, failed_groups)]
        said += _beside_others(purchase, rows, calls, begun)
        wrong += [f"{purchase.kind.value} {purchase.name}: {text}" for text in said]
    wrong += [f"log: {line}" for line in evidence.lines if any(bug in line.text for bug in _BUGS)]
    wrong += [f"log: {line}" for line in evidence.lines if line.level in ("broken", "stderr")]
    if evidence.late:
        wrong.append(f"{evidence.late} calls without an answer")
    if evidence.in_flight:
        wrong.append(f"{evidence.in_flight} HTLCs still in flight")
    if evidence.journal:
        wrong.append(f"the journal still has {evidence.journal}")
    if evidence.working:
        wrong.append(f"still in work: {evidence.working}")
    return wrong


def _money(purchase: Purchase, rows: list[Payment]) -> Iterable[str]:
    """Rule 2, and of rule 5 what is pending."""
    invoice = purchase.invoice
    settled = [row for row in rows if row.status is Status.COMPLETE]
    paid_msat = sum(row.amount_msat for row in settled)
    sent_msat = sum(row.amount_sent_msat for row in settled)
    if invoice.paid_at is None and settled:
        yield "settled rows of an invoice that was not paid"
    if invoice.paid_at is not None:
        if not purchase.amount_msat <= paid_msat <= purchase.most_msat or invoice.received_msat != paid_msat:
            yield f"{invoice.received_msat} msat received, {paid_msat} settled, for {purchase.amount_msat}"
        if len({row.groupid for row in settled}) != 1:
            yield "settled in several groups"
    if sent_msat > purchase.amount_msat + purchase.fee_limit_msat:
        yield f"{sent_msat} msat left us, limit {purchase.amount_msat} + {purchase.fee_limit_msat}"


def _answers(
    purchase: Purchase, rows: list[Payment], calls: list[Call], failed_groups: set[tuple[str, int]]
) -> Iterable[str]:
    """Rules 3 and 4, and that the last call was answered."""
    settled = {row.groupid for row in rows if row.status is Status.COMPLETE and not _is_foreign(row)}
    if any((purchase.name, group) in failed_groups for group in settled):
        yield f"a group that was given up is paid: {settled}"
    for call in calls:
        if call.failed and settled & call.groups and not _beside(call, calls):
            yield f"reported as failed, paid by the same group: {call.answer}"
        if call.failed and purchase.paid_s is not None and call.began_s > purchase.paid_s + 1:
            yield f"reported as failed, was paid: {call.answer}"
        if call.answer is not None and call.answer.code is not None and not _known(call.answer):
            yield f"an answer of another kind: {call.answer}"
        if call.answer is not None and call.answer.code == 201:
            yield f"the same payment was taken for another: {call.answer}"
    successes = [_lasting(call.answer.ok()) for call in calls if call.succeeded and call.answer is not None]
    for success in successes:
        if success != successes[0]:
            yield f"two different successes: {successes[0]} and {success}"
        if success["payment_preimage"] != purchase.invoice.preimage.hex() or purchase.invoice.paid_at is None:
            yield f"a success that is none: {success}"
        if success["amount_msat"] != purchase.amount_msat:
            yield f"a success with another amount: {success}"
    last = max(calls, key=lambda call: call.began_s).answer
    if last is None:
        yield "the last call was not answered"
    elif (last.error is None) != (purchase.invoice.paid_at is not None):
        yield f"the last answer is not the truth: {last}"
    if any(row.status is Status.PENDING for row in rows) and not _is_orphaned(last):
        yield f"pending for ever, and the last answer does not say so: {last}"


def _beside_others(
    purchase: Purchase, rows: list[Payment], calls: list[Call], begun: list[Begun]
) -> Iterable[str]:
    """Rule 3, of what another sender has paid."""
    paid = [row for row in rows if row.status is Status.COMPLETE and _is_foreign(row)]
    for call in calls:
        if not call.failed or not paid:
            continue
        assert call.ended_s is not None and call.answer is not None
        before = [part for part in begun if part.at_s < call.ended_s - UNSURE_S]
        out = {part.key for part in before} & call.pending
        if any((row.groupid, row.partid) in out for row in paid):
            yield f"reported as failed, with a part of another sender out that paid: {call.answer}"
        known = [part for part in before if part.foreign and part.groupid in {row.groupid for row in paid}]
        if call.answer.code == 210 and known and _had_time(purchase, call, calls):
            seen_s = max(part.at_s for part in known)
            if not any(not part.foreign and seen_s <= part.at_s <= call.ended_s for part in begun):
                yield f"left to another sender that was between two tries: {call.answer}"


def _had_time(purchase: Purchase, call: Call, calls: list[Call]) -> bool:
    """Whether new attempts were still allowed, also if the payment was begun by the very first call."""
    assert call.ended_s is not None
    passed_s = call.ended_s - min(other.began_s for other in calls)
    return passed_s < float(purchase.params.get("retry_for", 60)) - UNSURE_S


def _is_foreign(row: Payment) -> bool:
    return row.label == LABEL


def _beside(call: Call, calls: list[Call]) -> bool:
    """Whether another call for the same invoice may have begun what was paid, while this one was answered."""
    assert call.ended_s is not None
    others = [other for other in calls if other is not call and other.began_s <= call.ended_s]
    return any(other.ended_s is None or other.ended_s >= call.began_s for other in others)


def _lasting(success: dict[str, Any]) -> dict[str, Any]:
    """Without the warning that parts are still out, which is true at first only."""
    return {name: value for name, value in success.items() if name != "warning_partial_completion"}


def _known(answer: Answer) -> bool:
    """One of ours, or what the host says for a plugin that is away."""
    return answer.code in VERDICTS or answer.code in (-4, -32601)


def _is_orphaned(answer: Answer | None) -> bool:
    if answer is None or answer.error is None:
        return False
    return bool(answer.error.get("data", {}).get("reason") == ORPHANED)
