"""What the host's own senders make of their parameters: an invoice, an amount and limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.payments.single import Ask
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import INVALID_PARAMS
from pay.sim.network.encoding.bolt11 import Bolt11
from pay.sim.network.encoding.bolt11 import decode as decode_bolt11
from pay.sim.network.unsigned import needs_signature

EXPIRED = 207


@dataclass(frozen=True, slots=True)
class Words:
    """In which words one of them refuses; `{}` is what is wrong."""

    invalid: str
    amount_missing: str
    amount_too_many: str
    expired: Callable[[int], str]
    """Of the seconds since then."""


def read_ask(context: Context, text: str, args: dict[str, Any], words: Words, maxfee: Callable[[int], int]) -> Ask:
    """What is to be paid.

    Parameters
    ----------
    maxfee
        The limit of fees, of the amount that is paid here.

    Raises
    ------
    RpcError
        In the words given, and in their order.
    """
    invoice = _decoded(context, text, words)
    if invoice.amount_msat is None and args["amount_msat"] is None:
        raise RpcError(INVALID_PARAMS, words.amount_missing)
    if invoice.amount_msat is not None and args["amount_msat"] is not None:
        raise RpcError(INVALID_PARAMS, words.amount_too_many)
    total_msat = args["amount_msat"] if invoice.amount_msat is None else invoice.amount_msat
    part_msat = total_msat if args["partial_msat"] is None else args["partial_msat"]
    if part_msat > total_msat:
        text = f"partial_msat must be less or equal to total amount {total_msat}msat"
        raise RpcError(INVALID_PARAMS, text)
    if args["partial_msat"] == 0:
        raise RpcError(INVALID_PARAMS, "partial_msat must be non-zero")
    if total_msat == 0:
        raise RpcError(INVALID_PARAMS, "Cannot pay bolt11 invoice with zero amount")
    late_s = int(context.world.clock.now()) - invoice.created_at - invoice.expiry
    if late_s > 0:
        raise RpcError(EXPIRED, words.expired(late_s))
    return Ask(text, invoice, total_msat, part_msat, maxfee(part_msat), args["maxdelay"], args["label"])


def _decoded(context: Context, text: str, words: Words) -> Bolt11:
    try:
        return decode_bolt11(text, check_signature=needs_signature(context.world.state, text))
    except ValueError as problem:
        raise RpcError(INVALID_PARAMS, words.invalid.format(problem)) from None
