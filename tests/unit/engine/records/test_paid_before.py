"""What the node's rows of one payment hash come to: nothing, a payment under way, or one that was made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.engine.records.paid_before import BeingPaid, PaidBefore, Unpaid, record_of
from pay.host.calls import SendpayRow, SendpayStatus
from pay.payment.events import FoundPart, Paid
from tests.support.payments import NOW, PREIMAGE, node

P, C, F = SendpayStatus.PENDING, SendpayStatus.COMPLETE, SendpayStatus.FAILED


def row(
    partid: int,
    status: SendpayStatus,
    amount_msat: int | None = 60_000,
    groupid: int = 1,
    ended: int | None = None,
) -> SendpayRow:
    return SendpayRow(
        groupid=groupid,
        partid=partid,
        status=status,
        amount_msat=amount_msat,
        sent_msat=(amount_msat or 60_000) + 1_000,
        created_at=int(NOW) + partid,
        destination=node("d").hex(),
        preimage=PREIMAGE if status is C else None,
        completed_at=ended,
    )


def paid(*rows: SendpayRow) -> PaidBefore:
    record = record_of(rows)
    assert isinstance(record, PaidBefore)
    return record


def warned(record: PaidBefore, amount_msat: int) -> bool:
    return record.paid(amount_msat).incomplete


def test_nothing_was_paid() -> None:
    assert record_of([]) == Unpaid(1)
    assert record_of([row(1, F), row(1, F, groupid=4)]) == Unpaid(5)


def test_parts_are_out() -> None:
    record = record_of([row(1, F), row(1, F, groupid=2), row(2, P, 40_000, groupid=2)])
    assert isinstance(record, BeingPaid)
    assert (record.groupid, record.delivered_msat, [part.partid for part in record.parts]) == (2, 40_000, [2])


def test_what_is_known_of_parts_that_are_out() -> None:
    """Each with what leaves us for it; the payment is as old as the first row of its group, not of another."""
    rows = [row(1, F, groupid=2), row(4, F, groupid=3), row(6, P, None, groupid=3), row(5, P, 40_000, groupid=3)]
    assert record_of(rows) == BeingPaid(
        groupid=3,
        parts=(FoundPart(6, 0, 61_000, NOW + 6), FoundPart(5, 40_000, 41_000, NOW + 5)),
        delivered_msat=None,
        created_at=int(NOW) + 4,
        destination=node("d").hex(),
    )


def test_what_is_known_of_a_payment_that_was_made() -> None:
    """Of its own group only, though an older one has failed; parts are numbered, and one that the host refused at
    once has no row."""
    rows = [
        row(1, F, groupid=2),
        row(8, F, 7_000, groupid=3, ended=12),
        row(9, F, 5_000, groupid=3, ended=10),
        row(5, C, groupid=3, ended=12),
        row(6, P, 40_000, groupid=3),
        row(4, F, groupid=3, ended=11),
    ]
    assert record_of(rows) == PaidBefore(
        preimage=PREIMAGE,
        delivered_msat=100_000,
        sent_msat=102_000,
        parts=9,
        created_at=int(NOW) + 4,
        destination=node("d").hex(),
        partids=frozenset({4, 5, 6, 8, 9}),
        pending=True,
        failed_late_msat=8_000,
        failed_parts=7,
    )
    assert paid(row(1, F), row(1, C), row(2, C)).parts == 3, "more rows than numbers: nobody else's are as ours"


def test_only_a_complete_row_with_a_preimage_proves() -> None:
    """What cannot be is not read as a success: neither one half of it nor the other."""
    assert isinstance(record_of([replace(row(1, P), preimage=PREIMAGE)]), BeingPaid)
    assert paid(replace(row(1, C), preimage=None), row(2, C)).preimage == PREIMAGE


@pytest.mark.parametrize(
    ("failed_at", "settled_at", "late"),
    [
        (10, [12], False),
        # In the same second nobody knows which came first.
        (12, [12], True),
        (13, [12], True),
        (15, [20, 12], True),
        (11, [20, 12], False),
        (None, [12], True),
        # A settled part without a date may have been the first.
        (11, [12, None], True),
    ],
)
def test_whether_a_part_failed_after_the_preimage_was_known(
    failed_at: int | None, settled_at: list[int | None], late: bool
) -> None:
    settled = [row(2 + number, C, 10_000, ended=at) for number, at in enumerate(settled_at)]
    record = paid(row(1, F, 40_000, ended=failed_at), *settled)
    assert record.failed_late_msat == (41_000 if late else 0)
    assert warned(record, 100_000) is late
    assert not warned(record, record.delivered_msat or 0), "nothing is missing"


def test_paid_whole() -> None:
    """Parts that failed on the way count as attempts, not as money; nothing is missing."""
    record = paid(row(1, F, 100_000), row(2, C), row(3, C, 40_000))
    assert (record.delivered_msat, record.sent_msat, record.parts) == (100_000, 102_000, 3)
    assert not warned(record, 100_000)


def test_paid_with_a_part_still_out() -> None:
    record = paid(row(1, C), row(2, P, 40_000))
    assert (record.delivered_msat, record.sent_msat) == (100_000, 102_000)
    assert warned(record, 100_000)


def test_paid_and_a_part_failed_after_that() -> None:
    """The recipient gave the preimage for less: it is paid in full, and the warning of the first answer stays."""
    record = paid(row(1, C), row(2, F, 40_000))
    assert (record.delivered_msat, record.sent_msat) == (60_000, 61_000)
    assert warned(record, 100_000)
    assert record.paid(100_000).amount_msat == 100_000


def test_what_a_session_would_have_answered() -> None:
    """Less than the amount cannot have left us, but where a part is known to have failed late."""
    short = paid(row(1, C, 100_000), row(2, F, 40_000, ended=1))
    assert short.paid(100_500) == Paid(PREIMAGE, 100_500, 101_000, 2, True, 1)
    assert replace(short, failed_late_msat=0).paid(100_500) == Paid(PREIMAGE, 100_500, 101_000, 2, False, 1)
    assert replace(short, failed_late_msat=0).paid(140_000) == Paid(PREIMAGE, 140_000, 140_000, 2, False, 1)
    assert replace(short, failed_late_msat=1).paid(140_000) == Paid(PREIMAGE, 140_000, 101_000, 2, True, 1)
    assert replace(short, pending=True).paid(100_000) == Paid(PREIMAGE, 100_000, 101_000, 2, True, 1)


def test_less_never_left_us_than_arrived() -> None:
    """A row is missing, and with it what it cost: wallets charge what was sent less the amount."""
    record = paid(row(2, C, 40_000))
    assert record.sent_msat == 41_000
    assert (record.paid(100_000).sent_msat, record.paid(40_000).sent_msat) == (100_000, 41_000)


@pytest.mark.parametrize(
    ("rows", "amount_msat", "certainly_not"),
    [
        # One first part: there may have been others, whose rows are deleted, but never less than that.
        ([row(1, C)], 60_000, False),
        ([row(1, C)], 100_000, False),
        ([row(1, C)], 50_000, True),
        # The host lets number 0 be the only one of a group.
        ([row(0, C)], 60_000, False),
        ([row(0, C)], 100_000, True),
        # Others of the group may have been deleted, so more may have been paid, but never less.
        ([row(2, C)], 100_000, False),
        ([row(2, C)], 50_000, True),
        ([row(1, C), row(3, C)], 180_000, False),
        # What failed may have failed after the preimage came.
        ([row(1, C), row(2, F, 40_000)], 100_000, False),
        ([row(1, F, ended=10), row(2, C, ended=12)], 100_000, False),
        ([row(1, C), row(2, P, 40_000)], 60_000, True),
        # The host does not know what a foreign onion delivered.
        ([row(1, C, None)], 60_000, False),
    ],
)
def test_what_it_certainly_was_not(rows: list[SendpayRow], amount_msat: int, certainly_not: bool) -> None:
    assert paid(*rows).certainly_not(amount_msat, None) is certainly_not


def test_the_journal_knows_better() -> None:
    """Of two parts of 60,000 and 40,000 one row is left; the total was kept."""
    for amount_msat, certainly_not in ((100_000, False), (60_000, True), (160_000, True)):
        assert paid(row(1, C)).certainly_not(amount_msat, 100_000) is certainly_not


def test_amounts_that_the_node_does_not_know() -> None:
    record = paid(row(1, C, None), row(2, C))
    assert record.delivered_msat is None
    assert not warned(record, 100_000) and not record.pending
