"""From a call and its invoice to the terms that a payment runs on."""

from __future__ import annotations

from pay.invoice import Invoice, Recipient
from pay.invoice.recipient import ClearRecipient, SelfRecipient
from pay.network.hints import HintHop, RouteHint
from pay.payment.attempt import Terms
from pay.payment.request import PayRequest
from pay.payment.settings import Settings, Shadow
from pay.units import NodeId, ScidDir, direction_of


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
    amount = request.partial_msat or total
    return Terms(
        payment_hash=invoice.payment_hash,
        groupid=groupid,
        source=us,
        destination=invoice.payee,
        amount_msat=amount,
        total_msat=total,
        final_cltv=invoice.final_cltv,
        max_fee_msat=request.fee_limit_msat(amount),
        fee_limit_words=request.fee_limit_words(amount),
        max_delay_blocks=request.maxdelay_blocks,
        deadline_s=now + request.retry_for_s,
        expires_at_s=invoice.expires_at,
        created_at_s=now,
        riskfactor=float(request.riskfactor),
        failure_cost_msat=settings.failure_cost_msat,
        failure_cost_ppm=settings.failure_cost_ppm,
        part_cost_msat=settings.part_cost_msat,
        part_cost_ppm=settings.part_cost_ppm,
        second_cost_msat=settings.second_cost_msat,
        max_parts=settings.max_parts if _several(recipient) else 1,
        parts_option=settings.parts_option if _several(recipient) else None,
        attempts_option=settings.attempts_option,
        usual_parts=settings.usual_parts,
        min_part_msat=settings.min_part_msat,
        max_attempts=settings.max_attempts,
        exclude_nodes=request.exclude_nodes,
        exclude_channels=request.exclude_channels,
        seed=seed,
        randomness=settings.randomness,
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
    """Its route hints, as the network takes them."""
    hints = recipient.hints if isinstance(recipient, ClearRecipient) else ()
    return tuple(
        tuple(HintHop(h.node, h.scid, h.fee_base_msat, h.fee_ppm, h.cltv_delta) for h in hint) for hint in hints
    )


def wakeable_channels(recipient: Recipient) -> frozenset[ScidDir]:
    """The last channels of route hints: behind them are phones."""
    if not isinstance(recipient, ClearRecipient):
        return frozenset()
    last = (hint[-1] for hint in recipient.hints if hint)
    return frozenset(ScidDir(hop.scid, direction_of(hop.node, recipient.node)) for hop in last)


def _several(recipient: Recipient) -> bool:
    """Whether the recipient puts several parts together (BOLT 9, basic_mpp)."""
    return isinstance(recipient, ClearRecipient) and recipient.multi_part
