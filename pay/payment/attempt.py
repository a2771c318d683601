"""One attempt of a payment: one part, one HTLC, one `sendpay`."""

from __future__ import annotations

from dataclasses import dataclass

from pay.feedback.blame import Blame
from pay.feedback.failure import Failure
from pay.payment.states import AttemptStatus
from pay.routing.query import Route


@dataclass(frozen=True, slots=True)
class Attempt:
    """One part.

    Parameters
    ----------
    route
        None for a payment to ourselves and for a part that somebody else sent.
    amount_msat, sent_msat
        What it delivers and what leaves us for it.
    started_s
        Unix time.
    late
        It goes over channels of the recipient that gossip shows as disabled.
    failure, blame
        What came back if it failed, and what that says.
    """

    partid: int
    route: Route | None
    amount_msat: int
    sent_msat: int
    status: AttemptStatus
    started_s: float
    failure: Failure | None = None
    blame: Blame | None = None
    late: bool = False

    @property
    def live(self) -> bool:
        """It may still settle; a part without an answer is live."""
        return self.status in (AttemptStatus.CREATED, AttemptStatus.INFLIGHT)

    @property
    def counts(self) -> bool:
        """Its money is out or gone."""
        return self.live or self.status is AttemptStatus.SETTLED

    @property
    def fee_msat(self) -> int:
        return self.sent_msat - self.amount_msat


@dataclass(frozen=True, slots=True)
class FailedPart:
    """A failure as it is reported later: the part and the answer."""

    partid: int
    failure: Failure
