"""What the node's rows of one payment hash come to: nothing, a payment under way, or one that was made."""

from __future__ import annotations

from pay.node.facade import Row, RowStatus
from pay.node.past import BeingPaid, PaidBefore, Unpaid, past_of, repeat_json
from tests.payment_tools import NOW, PREIMAGE, node, terms

P, C, F = RowStatus.PENDING, RowStatus.COMPLETE, RowStatus.FAILED


def row(
    partid: int, status: RowStatus, amount_msat: int | None = 60_000, groupid: int = 1, ended: int | None = None
) -> Row:
    return Row(
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


def paid(*rows: Row) -> PaidBefore:
    past = past_of(rows)
    assert isinstance(past, PaidBefore)
    return past


def warned(past: PaidBefore, amount_msat: int) -> bool:
    return "warning_partial_completion" in repeat_json(terms(), past, amount_msat)


def test_nothing_was_paid() -> None:
    assert past_of([]) == Unpaid(1)
    assert past_of([row(1, F), row(1, F, groupid=4)]) == Unpaid(5)


def test_parts_are_out() -> None:
    past = past_of([row(1, F), row(1, F, groupid=2), row(2, P, 40_000, groupid=2)])
    assert isinstance(past, BeingPaid)
    assert (past.groupid, past.delivered_msat, [part.partid for part in past.parts]) == (2, 40_000, [2])


def test_paid_whole() -> None:
    """Parts that failed on the way count as attempts, not as money; nothing is missing."""
    past = paid(row(1, F, 100_000), row(2, C), row(3, C, 40_000))
    assert (past.delivered_msat, past.sent_msat, past.parts) == (100_000, 102_000, 3)
    assert past.whole_msat(100_000) == 100_000
    assert not warned(past, 100_000)


def test_paid_with_a_part_still_out() -> None:
    past = paid(row(1, C), row(2, P, 40_000))
    assert (past.delivered_msat, past.sent_msat) == (100_000, 102_000)
    assert past.whole_msat(100_000) == 100_000
    assert warned(past, 100_000)


def test_paid_and_a_part_failed_after_that() -> None:
    """The recipient gave the preimage for less: it is paid in full, and the warning of the first answer stays."""
    past = paid(row(1, C), row(2, F, 40_000))
    assert (past.delivered_msat, past.sent_msat) == (60_000, 61_000)
    assert past.whole_msat(100_000) == 100_000
    assert warned(past, 100_000)


def test_a_share_is_not_the_whole() -> None:
    """All parts that there ever were are less than the invoice: somebody else paid the rest."""
    past = paid(row(1, C))
    assert past.whole_msat(100_000) == 60_000
    assert not warned(past, 60_000)


def test_a_share_that_was_tried_twice_is_not_the_whole() -> None:
    """What failed before the preimage came was tried again; what failed after that was out with the rest."""
    past = paid(row(1, F, ended=10), row(2, C, ended=12))
    assert past.whole_msat(100_000) == 60_000
    for ends in ((12, 12), (13, 12), (None, 12), (10, None)):
        past = paid(row(1, F, ended=ends[0]), row(2, C, ended=ends[1]))
        assert past.whole_msat(100_000) == 100_000


def test_amounts_that_the_node_does_not_know() -> None:
    past = paid(row(1, C, None), row(2, C))
    assert (past.delivered_msat, past.whole_msat(100_000)) == (None, None)
    assert not warned(past, 100_000) and not past.pending
