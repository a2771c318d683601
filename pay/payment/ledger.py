"""The parts of one payment and what they come to: delivered, in flight, left to send, and what all of it costs.

The figures are added up from the parts each time: so they cannot differ from them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from pay.feedback.blame import Blame
from pay.feedback.failure import Failure
from pay.payment.attempt import Attempt, FailedPart
from pay.payment.events import Elsewhere, FoundPart, NotPaid, Paid, Result
from pay.payment.states import AttemptStatus
from pay.payment.terms import Terms
from pay.routing.query import Route


@dataclass(frozen=True, slots=True)
class Sums:
    """What parts come to, msat.

    Parameters
    ----------
    delivered_msat, in_flight_msat
        What settled, and what still may; without fees.
    sent_msat
        What is out or gone for good, with its fees.
    """

    delivered_msat: int
    in_flight_msat: int
    sent_msat: int

    @property
    def committed_msat(self) -> int:
        """What is delivered or may still be."""
        return self.delivered_msat + self.in_flight_msat

    @property
    def fees_msat(self) -> int:
        """Of what is out or gone for good, without the shadow's."""
        return self.sent_msat - self.committed_msat


def sums_of(attempts: Iterable[Attempt]) -> Sums:
    """As of now: a part is delivered, in flight, or failed and free to be planned again."""
    delivered = in_flight = sent = 0
    for attempt in attempts:
        if not attempt.counts:
            continue
        sent += attempt.sent_msat
        if attempt.live:
            in_flight += attempt.amount_msat
        else:
            delivered += attempt.amount_msat
    return Sums(delivered, in_flight, sent)


class Ledger:
    """All attempts of a payment: whatever becomes of one is written here, and only its session does.

    Attributes
    ----------
    attempts
        By partid, in the order they were made.
    failures
        Of parts, in their order.
    """

    def __init__(self, terms: Terms):
        self._terms = terms
        self._next_partid = terms.first_partid
        self.attempts: dict[int, Attempt] = {}
        self.failures: list[FailedPart] = []

    def take_up(self, parts: Iterable[FoundPart], now: float) -> None:
        """Take up parts that were found pending."""
        for part in parts:
            sums, sent_s = (part.amount_msat, part.sent_msat), part.sent_at_s or now
            self.attempts[part.partid] = Attempt(part.partid, None, *sums, AttemptStatus.INFLIGHT, sent_s)

    @property
    def live(self) -> list[Attempt]:
        """Parts that may still settle."""
        return [a for a in self.attempts.values() if a.live]

    @property
    def sums(self) -> Sums:
        """Of all parts, as of now."""
        return sums_of(self.attempts.values())

    @property
    def left_msat(self) -> int:
        """What is neither delivered nor in flight."""
        return self._terms.amount_msat - self.sums.committed_msat

    def paid(self, preimage: bytes) -> Paid:
        """The success, with the figures of now."""
        # Numbers go on after a restart, and what failed before it is not among our attempts.
        parts = max((len(self.attempts), *self.attempts))
        return Paid(
            preimage=preimage,
            amount_msat=self._terms.asked_msat,
            sent_msat=self.sums.sent_msat,
            parts=parts,
            incomplete=bool(self.live),
            failed_parts=parts - sum(attempt.counts for attempt in self.attempts.values()),
        )

    def as_of_now(self, result: Result | None) -> Paid | None:
        """The success that was answered, with the figures of now; None where it was none."""
        match result:
            case Paid(preimage):
                now = self.paid(preimage)
                short = self.sums.delivered_msat < self._terms.amount_msat
                return replace(now, incomplete=now.incomplete or short)
            case NotPaid() | Elsewhere() | None:
                return None

    def create(self, route: Route, now: float, *, late: bool) -> int:
        """A new part, not with the host yet: its partid."""
        partid = self._next_partid
        self._next_partid += 1
        sums = route.amount_msat, route.sent_msat
        self.attempts[partid] = Attempt(partid, route, *sums, AttemptStatus.CREATED, now, late=late)
        return partid

    def create_to_us(self, now: float) -> int:
        """The only part of a payment to ourselves: its partid."""
        amount = self._terms.amount_msat
        self.attempts[0] = Attempt(0, None, amount, amount, AttemptStatus.CREATED, now)
        return 0

    def fail(self, partid: int, failure: Failure, said: Blame) -> None:
        """A live part has failed, and that is what it says."""
        self.failures.append(FailedPart(partid, failure))
        attempt = self.attempts[partid]
        self.attempts[partid] = replace(attempt, status=AttemptStatus.FAILED, failure=failure, blame=said)

    def mark(self, partid: int, status: AttemptStatus, only_from: AttemptStatus | None = None) -> None:
        """Give a part another status; nothing where there is no such part, or not with the status `only_from`."""
        attempt = self.attempts.get(partid)
        if attempt is not None and (only_from is None or attempt.status is only_from):
            self.attempts[partid] = replace(attempt, status=status)

    def close(self, settled: Collection[int]) -> None:
        """Nothing is out any more: what was live has settled or failed."""
        for attempt in self.live:
            end = AttemptStatus.SETTLED if attempt.partid in settled else AttemptStatus.FAILED
            self.mark(attempt.partid, end)

    def end_retries(self) -> None:
        """No attempt is Retrying once no more parts are planned."""
        for partid in self.attempts:
            self.mark(partid, AttemptStatus.FAILED, only_from=AttemptStatus.RETRYING)
