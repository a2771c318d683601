"""The fixed terms of a payment, and one attempt of it: one part, one HTLC, one `sendpay`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pay.feedback.blame import Blame
from pay.feedback.failure import Failure
from pay.payment.states import AttemptStatus
from pay.routing.query import Route
from pay.units import NodeId, ScidDir

DEFAULT_MAX_ATTEMPTS = 100
"""Parts per payment; a payment that a hundred HTLCs could not make is not made by the next hundred."""

DEFAULT_USUAL_PARTS = 30
"""Parts at the same time, where there is a way within them: recipients may take no more HTLCs over a channel, and
each is work for all nodes on its way."""

DEFAULT_MAX_PARTS = 100
"""Parts at the same time. Where a hub's channels take 1,980 sat an HTLC, that is 198,000 sat."""

DEFAULT_MIN_PART_MSAT = 1_000_000
"""1,000 sat: less is mostly dust. That parts are few is the matter of their price, not of this limit: one
payee in ten cannot be sent 10,000 sat in one part, and with that as the least part, 100,000 sat cost a fifth more
in fees."""

DEFAULT_FAILURE_COST_MSAT = 10_000
DEFAULT_FAILURE_COST_PPM = 400
"""The price of one nat of failure: for 500,000 sat 146 sat more are paid for a plan that fails half as often. A
large payment needs many channels, and each failure costs it as much time as a small one.

On Core Lightning's simulated mainnet 22 of 39 payments of 500,000 sat were made without a failure at 10 sat and
100 ppm, 24 at about this price and 28 at 50 sat and 1,000 ppm, for 345, 402 and 518 ppm in fees; the builtin `pay`
made 21 for 490. At this price fees stay below nine tenths of its, and first tries are more; at 1,000 ppm they are
as dear as its (python -m tests.bench.race, python -m tests.bench frontier)."""

DEFAULT_PART_COST_MSAT = 10_000
DEFAULT_PART_COST_PPM = 7
"""What each further part must save: 11 sat of a payment of 100,000, 45 of 5,000,000. An HTLC is work for all nodes
on its way, and one channel that has run empty fails all parts that go over it. 20 ppm would save two HTLCs in ten
at 500,000 sat for 2 % more in fees, but at 1,000,000 sat as many for 23 % more in fees and locked time."""

DEFAULT_RANDOMNESS_PERCENT = 85
"""Spreads equal payments over the nodes between by one bit of entropy, for a sixth more delay and no more fees
(python -m tests.bench privacy)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be paid and within which limits.

    Parameters
    ----------
    amount_msat
        What this session delivers: the invoice's amount, or our share of it, and the shadow fee.
    total_msat
        What every part announces as the total of the payment (BOLT 4 total_msat), the shadow fee included.
    final_cltv
        Blocks of the last hop that the recipient asks for.
    max_fee_msat, fee_limit_words
        The most that all parts may cost, the shadow fee included, and which of the caller's limits that is.
    deadline_s, expires_at_s, created_at_s
        Unix times in seconds: end of new attempts, of the invoice, and the start.
    usual_parts, max_parts
        The most parts at the same time: where there is a way within them, and at all.
    parts_option, attempts_option
        The names of the user's options that `max_parts` and `max_attempts` are from, as far as more can be allowed
        there.
    wakeable
        Last channels of route hints: the recipient behind one may be asleep and wake up for the payment.
    patient_until_s
        Unix time until which "no route" may only mean that our peers are not connected yet: the host has just
        started.
    to_self
        The invoice is our own.
    watched
        Somebody else sends the parts: there are no limits of ours to check, and none is added.
    shadow_blocks, shadow_fee_msat
        Of the shadow route: delay on top of `final_cltv` as far as there is room, and what the recipient gets
        beyond what he asked for. The fee is part of the amounts above and fixed for the whole payment.
    behind_blocks
        Blocks that the network has and the height does not that the host counts expiries from. They are on top of
        every delay that a part is given; limits and what callers read are without them, as nobody waits longer
        for them.
    """

    payment_hash: bytes
    groupid: int
    source: NodeId
    destination: NodeId
    amount_msat: int
    total_msat: int
    final_cltv: int
    max_fee_msat: int
    fee_limit_words: str
    max_delay_blocks: int
    deadline_s: float
    expires_at_s: float
    created_at_s: float
    riskfactor: float = 10.0
    failure_cost_msat: int = DEFAULT_FAILURE_COST_MSAT
    failure_cost_ppm: int = DEFAULT_FAILURE_COST_PPM
    part_cost_msat: int = DEFAULT_PART_COST_MSAT
    part_cost_ppm: int = DEFAULT_PART_COST_PPM
    second_cost_msat: int = 0
    max_parts: int = 1
    usual_parts: int = DEFAULT_USUAL_PARTS
    min_part_msat: int = 0
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    parts_option: str | None = None
    attempts_option: str | None = None
    exclude_nodes: frozenset[NodeId] = frozenset()
    exclude_channels: frozenset[ScidDir] = field(default_factory=frozenset)
    seed: int = 0
    randomness: float = 0.0
    metadata_bytes: int = 0
    first_partid: int = 1
    wakeable: frozenset[ScidDir] = frozenset()
    patient_until_s: float = 0.0
    to_self: bool = False
    watched: bool = False
    shadow_blocks: int = 0
    shadow_fee_msat: int = 0
    behind_blocks: int = 0

    @property
    def asked_msat(self) -> int:
        """What callers know as the payment's amount; the shadow fee is a fee to them."""
        return self.amount_msat - self.shadow_fee_msat

    def with_shadow(self, blocks: int, fee_msat: int) -> Terms:
        """The same payment behind a shadow route; these terms have none."""
        return replace(
            self,
            amount_msat=self.amount_msat + fee_msat,
            total_msat=self.total_msat + fee_msat,
            shadow_blocks=blocks,
            shadow_fee_msat=fee_msat,
        )


def watch_terms(
    payment_hash: bytes, groupid: int, source: NodeId, destination: NodeId, amount_msat: int, created_at_s: float
) -> Terms:
    """Of a payment whose parts somebody else sent: nothing is added, so nothing limits it."""
    return Terms(
        payment_hash=payment_hash,
        groupid=groupid,
        source=source,
        destination=destination,
        amount_msat=amount_msat,
        total_msat=amount_msat,
        final_cltv=0,
        max_fee_msat=0,
        fee_limit_words="none",
        max_delay_blocks=0,
        deadline_s=created_at_s,
        expires_at_s=created_at_s,
        created_at_s=created_at_s,
        watched=True,
    )


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
