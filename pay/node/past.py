"""What became of a payment hash so far, from the host's own table of parts.

The host's rows are the truth across restarts and other senders. A group with a complete row is paid; a pending row
may still become that; whatever failed is only history, and the number of the next group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pay.node.facade import Row, RowStatus
from pay.payment.attempt import Terms
from pay.payment.events import AdoptedPart, Paid
from pay.payment.report import success_json


@dataclass(frozen=True, slots=True)
class Unpaid:
    """Nothing is out, nothing was paid; a new payment takes `next_groupid`."""

    next_groupid: int


@dataclass(frozen=True, slots=True)
class PaidBefore:
    """A group of this hash settled.

    Parameters
    ----------
    delivered_msat
        Sum of its settled and still pending parts; None where the host does not know an amount.
    settled_msat, meant_msat
        The same of its settled parts only, and of all that were out when the preimage came.
    sent_msat
        What left us for `delivered_msat`, fees included.
    parts
        Attempts of that group. They are numbered from 1, and one that the host refused left no row.
    pending
        Parts of it are still out.
    """

    preimage: bytes
    delivered_msat: int | None
    settled_msat: int | None
    meant_msat: int | None
    sent_msat: int
    parts: int
    created_at: int
    destination: str | None
    pending: bool

    def whole_msat(self, invoice_msat: int) -> int | None:
        """What it came to, if an invoice of `invoice_msat` was to be paid in full.

        The recipient gave the preimage, so it was paid even where a part of it failed after that and less is
        settled. Only if all parts that were out by then are less than the invoice, it was meant as a share of it
        (`partial_msat`), and somebody else completed it.
        """
        if self.meant_msat is not None and self.meant_msat < invoice_msat:
            return self.delivered_msat
        return None if self.delivered_msat is None else max(self.delivered_msat, invoice_msat)


@dataclass(frozen=True, slots=True)
class BeingPaid:
    """Parts of this hash are out and no session of ours has them."""

    groupid: int
    parts: tuple[AdoptedPart, ...]
    delivered_msat: int | None
    created_at: int
    destination: str | None


Past = Unpaid | PaidBefore | BeingPaid


def past_of(rows: Sequence[Row]) -> Past:
    """Judge the rows of one payment hash."""
    complete = next((row for row in rows if row.status is RowStatus.COMPLETE and row.preimage), None)
    if complete is not None:
        group = [row for row in rows if row.groupid == complete.groupid]
        counted = [row for row in group if row.status is not RowStatus.FAILED]
        assert complete.preimage is not None
        return PaidBefore(
            preimage=complete.preimage,
            delivered_msat=_delivered(counted),
            settled_msat=_delivered([row for row in group if row.status is RowStatus.COMPLETE]),
            meant_msat=_delivered([row for row in group if not _failed_before(row, group)]),
            sent_msat=sum(row.sent_msat for row in counted),
            parts=max(len(group), max(row.partid for row in group)),
            created_at=min(row.created_at for row in group),
            destination=complete.destination,
            pending=any(row.status is RowStatus.PENDING for row in group),
        )
    pending = [row for row in rows if row.status is RowStatus.PENDING]
    if pending:
        # The host keeps at most one group pending.
        groupid = pending[0].groupid
        return BeingPaid(
            groupid=groupid,
            parts=tuple(
                AdoptedPart(row.partid, row.amount_msat or 0, row.sent_msat, row.created_at) for row in pending
            ),
            delivered_msat=_delivered(pending),
            created_at=min(row.created_at for row in rows if row.groupid == groupid),
            destination=pending[0].destination,
        )
    return Unpaid(next_groupid=max((row.groupid for row in rows), default=0) + 1)


def repeat_json(terms: Terms, past: PaidBefore, amount_msat: int) -> dict[str, Any]:
    """The success object of a payment made earlier, with its original values.

    Parts that are still out, or that failed after the preimage was known, are why the first answer had the warning
    about them: it is given as long as that is so.
    """
    paid = paid_before(past, amount_msat)
    return success_json(replace(terms, created_at_s=past.created_at), paid)


def paid_before(past: PaidBefore, amount_msat: int) -> Paid:
    """What a session would have answered."""
    missing = past.settled_msat is not None and past.settled_msat < amount_msat
    return Paid(past.preimage, amount_msat, past.sent_msat, past.parts, past.pending or missing)


def _failed_before(row: Row, group: Sequence[Row]) -> bool:
    """Whether a row had failed before the first part of its group settled; dates are whole seconds."""
    if row.status is not RowStatus.FAILED or row.completed_at is None:
        return False
    settled = [other.completed_at for other in group if other.status is RowStatus.COMPLETE]
    known = [at for at in settled if at is not None]
    return len(known) == len(settled) and row.completed_at < min(known)


def _delivered(rows: Sequence[Row]) -> int | None:
    amounts = [row.amount_msat for row in rows if row.amount_msat is not None]
    return sum(amounts) if len(amounts) == len(rows) else None
