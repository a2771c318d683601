"""What a call of `pay` asks for, the terms that a payment runs on, and how these come of a call and its invoice.

Numbers of a call that decide about money are exact (`Decimal`), never floats. Source: lightning-pay(7).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from pay.invoice import Invoice, Recipient
from pay.invoice.recipient import ClearRecipient, SelfRecipient
from pay.network.hints import RouteHint
from pay.payment.settings import PartLimits, Settings, Shadow
from pay.routing.preferences import Preferences
from pay.units import MAX_MSAT, NodeId, ScidDir

DEFAULT_RISKFACTOR = Decimal(10)
DEFAULT_MAXFEEPERCENT = Decimal("0.5")
DEFAULT_EXEMPTFEE_MSAT = 5_000
"""5 sat: below it a percentage of a tiny payment would refuse every route."""
DEFAULT_RETRY_FOR_S = 60
DEFAULT_MAXDELAY_BLOCKS = 2016


@dataclass(frozen=True, slots=True)
class PayRequest:
    """One call of `pay`, checked.

    Parameters
    ----------
    maxfeepercent, exemptfee_msat, maxfee_msat
        None where not given; `maxfee` excludes the other two.
    exclude_channels
        Both directions where a bare short_channel_id was given.
    fee_words
        What callers know the limit of the fee as, where it is none of these three.
    one_part
        The payment is not to be split.
    layers
        Of askrene, which no payment of ours can respect: a call that names any can only join one.
    """

    invstring: str
    amount_msat: int | None = None
    label: str | None = None
    riskfactor: Decimal = DEFAULT_RISKFACTOR
    maxfeepercent: Decimal | None = None
    retry_for_s: int = DEFAULT_RETRY_FOR_S
    maxdelay_blocks: int = DEFAULT_MAXDELAY_BLOCKS
    exemptfee_msat: int | None = None
    localinvreqid: str | None = None
    exclude_nodes: frozenset[NodeId] = frozenset()
    exclude_channels: frozenset[ScidDir] = frozenset()
    maxfee_msat: int | None = None
    description: str | None = None
    partial_msat: int | None = None
    use_shadow: bool = True
    fee_words: str | None = None
    one_part: bool = False
    layers: tuple[str, ...] = ()

    def fee_limit_msat(self, amount_msat: int) -> int:
        """The most that may be paid in fees to deliver `amount_msat`.

        `maxfee` where given; else `maxfeepercent` of the amount, or `exemptfee` where that is more: a fee
        at or below it is never too much.
        """
        if self.maxfee_msat is not None:
            return self.maxfee_msat
        percent = DEFAULT_MAXFEEPERCENT if self.maxfeepercent is None else self.maxfeepercent
        exempt = DEFAULT_EXEMPTFEE_MSAT if self.exemptfee_msat is None else self.exemptfee_msat
        numerator, denominator = percent.as_integer_ratio()
        return min(MAX_MSAT, max(exempt, amount_msat * numerator // (denominator * 100)))

    def fee_limit_words(self, amount_msat: int) -> str:
        """Which of the caller's limits `fee_limit_msat` is, for a message."""
        if self.maxfee_msat is not None:
            return f"maxfee {self.maxfee_msat}msat"
        limit = self.fee_limit_msat(amount_msat)
        if self.fee_words is not None:
            return f"{self.fee_words}, {limit}msat"
        exempt = DEFAULT_EXEMPTFEE_MSAT if self.exemptfee_msat is None else self.exemptfee_msat
        if limit == exempt:
            return f"exemptfee {limit}msat"
        percent = DEFAULT_MAXFEEPERCENT if self.maxfeepercent is None else self.maxfeepercent
        return f"maxfeepercent {percent.normalize():f} % = {limit}msat"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a call allows for all of its payment; a question to the planner gets what is left of it.

    Parameters
    ----------
    max_fee_msat, fee_limit_words
        The most that all parts may cost, the shadow fee included, and which of the caller's limits that is.
    max_delay_blocks
        The most that any part may lock funds.
    deadline_s
        Unix time in seconds: end of new attempts.
    exclude_nodes, exclude_channels
        That no part may use.
    """

    max_fee_msat: int
    fee_limit_words: str
    max_delay_blocks: int
    deadline_s: float
    parts: PartLimits = field(default_factory=PartLimits)
    exclude_nodes: frozenset[NodeId] = frozenset()
    exclude_channels: frozenset[ScidDir] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be paid, within which limits and by which preferences.

    Parameters
    ----------
    amount_msat
        What this session delivers: the invoice's amount, or our share of it, and the shadow fee.
    total_msat
        What every part announces as the total of the payment (BOLT 4 total_msat), the shadow fee included.
    final_cltv
        Blocks of the last hop that the recipient asks for.
    expires_at_s, created_at_s
        Unix times in seconds: end of the invoice, and the start.
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
    limits: Limits
    preferences: Preferences
    expires_at_s: float
    created_at_s: float
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
        limits=Limits(0, "none", max_delay_blocks=0, deadline_s=created_at_s, parts=PartLimits(max_parts=1)),
        preferences=Preferences(),
        expires_at_s=created_at_s,
        created_at_s=created_at_s,
        watched=True,
    )


def terms_for(
    request: PayRequest,
    invoice: Invoice,
    recipient: Recipient,
    settings: Settings,
    *,
    us: NodeId,
    groupid: int,
    now: float,
    seed: int,
    behind_blocks: int = 0,
) -> Terms:
    """What is to be paid and within which limits, for a call that has passed its checks at unix time `now`."""
    total = invoice.amount_msat or request.amount_msat or 0
    amount, parts = request.partial_msat or total, settings.parts
    several = _several(recipient) and not request.one_part
    return Terms(
        payment_hash=invoice.payment_hash,
        groupid=groupid,
        source=us,
        destination=invoice.payee,
        amount_msat=amount,
        total_msat=total,
        final_cltv=invoice.final_cltv,
        limits=Limits(
            max_fee_msat=request.fee_limit_msat(amount),
            fee_limit_words=request.fee_limit_words(amount),
            max_delay_blocks=request.maxdelay_blocks,
            deadline_s=now + request.retry_for_s,
            parts=parts if several else replace(parts, max_parts=1, parts_option=None),
            exclude_nodes=request.exclude_nodes,
            exclude_channels=request.exclude_channels,
        ),
        preferences=replace(settings.preferences, riskfactor=float(request.riskfactor), seed=seed),
        expires_at_s=invoice.expires_at,
        created_at_s=now,
        metadata_bytes=len(invoice.payment_metadata or b""),
        wakeable=wakeable_channels(recipient),
        to_self=isinstance(recipient, SelfRecipient),
        behind_blocks=behind_blocks,
    )


def shadow_for(request: PayRequest, invoice: Invoice, wanted: Shadow) -> Shadow:
    """More than is asked for is sent only where the invoice says how much that is and all of it is ours."""
    if not request.use_shadow:
        return Shadow.OFF
    return Shadow.DELAY if wanted is Shadow.FULL and total_chosen(request, invoice) else wanted


def total_chosen(request: PayRequest, invoice: Invoice) -> bool:
    """The caller chose what is sent: the invoice has no amount, or others pay the rest of it."""
    return invoice.amount_msat is None or request.partial_msat is not None


def purpose(request: PayRequest, invoice: Invoice) -> str | None:
    """What it was for, as lists of payments show it: the caller's words, else the invoice's (one with a hash has
    none)."""
    return (invoice.description or None) if request.description is None else request.description


def hints_of(recipient: Recipient) -> tuple[RouteHint, ...]:
    """Its route hints; none of one that has none."""
    return recipient.hints if isinstance(recipient, ClearRecipient) else ()


def wakeable_channels(recipient: Recipient) -> frozenset[ScidDir]:
    """The last channels of route hints: behind them are phones."""
    if not isinstance(recipient, ClearRecipient):
        return frozenset()
    last = (hint[-1] for hint in recipient.hints if hint)
    return frozenset(ScidDir(hop.scid, hop.direction(recipient.node)) for hop in last)


def _several(recipient: Recipient) -> bool:
    """Whether the recipient puts several parts together (BOLT 9, basic_mpp)."""
    return isinstance(recipient, ClearRecipient) and recipient.multi_part
