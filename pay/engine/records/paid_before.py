"""What became of a payment hash so far, from the host's own table of parts.

The host's rows are the truth across restarts and other senders. A group with a complete row is paid; a pending row
may still become that; whatever failed is only history, and the number of the next group. But rows can be deleted
(delpay, autoclean) while others of their group stay: what is there was, and what is not there proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pay.host.calls import SendpayRow, SendpayStatus
from pay.payment.events import FoundPart, Paid


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
    sent_msat
        What left us for `delivered_msat`, fees included.
    parts, failed_parts
        Attempts of that group, and those of them that failed. They are numbered from 1, and one that the host
        refused left no row.
    partids
        Those that have a row.
    pending
        Parts of it are still out.
    failed_late_msat
        What failed in it once the preimage was known, or may have.
    """

    preimage: bytes
    delivered_msat: int | None
    sent_msat: int
    parts: int
    created_at: int
    destination: str | None
    partids: frozenset[int]
    pending: bool
    failed_late_msat: int
    failed_parts: int = 0

    def certainly_not(self, amount_msat: int, total_msat: int | None) -> bool:
        """Whether it was a payment of another amount for sure; `total_msat` is what the journal has kept of it.

        What the rows show may be all that is left of a payment of more; number 0 is that of a payment in one part.
        """
        if total_msat is not None:
            return amount_msat != total_msat
        if self.partids == {0}:
            return self.delivered_msat is not None and amount_msat != self.delivered_msat
        return self.delivered_msat is not None and amount_msat < self.delivered_msat

    def paid(self, amount_msat: int) -> Paid:
        """What a session would have answered for a payment of that amount."""
        short = self.delivered_msat is not None and self.delivered_msat < amount_msat
        failed = short and self.failed_late_msat > 0
        # Where rows are gone it is not known what they cost; wallets charge what was sent less the amount.
        sent_msat = max(self.sent_msat, amount_msat) if short and not failed else self.sent_msat
        return Paid(self.preimage, amount_msat, sent_msat, self.parts, self.pending or failed, self.failed_parts)


@dataclass(frozen=True, slots=True)
class BeingPaid:
    """Parts of this hash are out and no session of ours has them."""

    groupid: int
    parts: tuple[FoundPart, ...]
    delivered_msat: int | None
    created_at: int
    destination: str | None


Record = Unpaid | PaidBefore | BeingPaid


def record_of(rows: Sequence[SendpayRow]) -> Record:
    """Judge the rows of one payment hash."""
    complete = next((row for row in rows if row.status is SendpayStatus.COMPLETE and row.preimage), None)
    if complete is not None:
        group = [row for row in rows if row.groupid == complete.groupid]
        counted = [row for row in group if row.status is not SendpayStatus.FAILED]
        late = [row for row in group if row.status is SendpayStatus.FAILED and not _failed_before(row, group)]
        parts = max(len(group), max(row.partid for row in group))
        assert complete.preimage is not None
        return PaidBefore(
            preimage=complete.preimage,
            delivered_msat=_delivered(counted),
            sent_msat=sum(row.sent_msat for row in counted),
            parts=parts,
            created_at=min(row.created_at for row in group),
            destination=complete.destination,
            partids=frozenset(row.partid for row in group),
            pending=any(row.status is SendpayStatus.PENDING for row in group),
            failed_late_msat=sum(row.sent_msat for row in late),
            failed_parts=parts - len(counted),
        )
    pending = [row for row in rows if row.status is SendpayStatus.PENDING]
    if pending:
        # The host keeps at most one group pending.
        groupid = pending[0].groupid
        return BeingPaid(
            groupid=groupid,
            parts=tuple(
                FoundPart(row.partid, row.amount_msat or 0, row.sent_msat, row.created_at) for row in pending
            ),
            delivered_msat=_delivered(pending),
            created_at=min(row.created_at for row in rows if row.groupid == groupid),
            destination=pending[0].destination,
        )
    return Unpaid(next_groupid=max((row.groupid for row in rows), default=0) + 1)


def _failed_before(row: SendpayRow, group: Sequence[SendpayRow]) -> bool:
    """Whether a failed row had failed before the first part of its group settled; dates are whole seconds."""
    if row.completed_at is None:
        return False
    settled = [other.completed_at for other in group if other.status is SendpayStatus.COMPLETE]
    known = [at for at in settled if at is not None]
    return len(known) == len(settled) and row.completed_at < min(known)


def _delivered(rows: Sequence[SendpayRow]) -> int | None:
    amounts = [row.amount_msat for row in rows if row.amount_msat is not None]
    return sum(amounts) if len(amounts) == len(rows) else None
