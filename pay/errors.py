"""The error codes that `pay` and `xpay` answer with, by name, and the exception that carries one.

Beside code and words it carries what is known, as values: how callers read them is written where the commands are.

What each means stands in `pay.commands.form.failing`. Wallets book -32602, -1, 201 to 207 and 210 as surely
unpaid, so these are given only when nothing of the payment can still settle. Source: lightning-pay(7); the host's
common/jsonrpc_errors.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

BUG = -32603
"""JSON-RPC's code for an internal error. Callers book -1 as surely unpaid, and a bug knows nothing of that: it may
be met once the preimage is there, while the answer is written."""


class Code(IntEnum):
    """JSON-RPC error codes of `pay`."""

    INVALID_PARAMS = -32602
    OTHER = -1
    ALREADY_USED = 201
    """This payment_hash was paid, or is being paid, with another amount or destination."""
    DESTINATION_FAILED = 203
    """The recipient refuses for good."""
    ROUTE_NOT_FOUND = 205
    ROUTE_TOO_EXPENSIVE = 206
    INVOICE_EXPIRED = 207
    STOPPED_RETRYING = 210
    PREAPPROVAL_DECLINED = 213
    """Passed on from the host, never our own verdict."""
    PREAPPROVAL_FAILED = 214


class XpayCode(IntEnum):
    """JSON-RPC error codes of `xpay`, where they are others than those of `pay`."""

    PLUGIN_ERROR = -3
    """Of a refusal by the host that cln-xpay does not expect: above all of another amount for a hash."""
    UNSPECIFIED = 209
    """Not paid in the time given, or given up."""
    ALREADY_PAID_BEFORE_V26_06 = 218
    ALREADY_PAID = 219


@dataclass(frozen=True, slots=True)
class Hindered:
    """What stands in the way; its value is the word for programs."""

    reason: Enum


@dataclass(frozen=True, slots=True)
class NoWay:
    """There is no route, with the figures of the best one that breaks a limit.

    Parameters
    ----------
    amount_msat
        What is to be paid, that `fee_msat` is a share of.
    fee_msat, delay_blocks
        Of that route, where they are known.
    max_fee_msat, max_delay_blocks
        The limits.
    max_sendable_msat
        The largest amount that could be sent; where it is only a `sendable_bound`, no more than that.
    """

    reason: Enum
    amount_msat: int
    fee_msat: int | None
    delay_blocks: int | None
    max_fee_msat: int
    max_delay_blocks: int
    max_sendable_msat: int | None = None
    sendable_bound: bool = False


@dataclass(frozen=True, slots=True)
class TooSlow:
    """The recipient alone wants a longer delay than the limit."""

    delay_blocks: int
    max_delay_blocks: int


@dataclass(frozen=True, slots=True)
class Expired:
    """Unix times."""

    now_s: int
    expiry_s: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Where a part failed, and what was said there.

    Parameters
    ----------
    index
        Which node failed it: 0 is this one, 1 its peer, and so on; None where nobody knows.
    node
        That node's id.
    scid, direction
        The channel that the part did not get through.
    by_recipient
        There is no such channel: it had arrived.
    failcode
        Of BOLT 4.
    update
        The `channel_update` in what it sent.
    raw_message
        All that it sent.
    """

    index: int | None = None
    node: bytes | None = None
    scid: int | None = None
    direction: int = 0
    by_recipient: bool = False
    failcode: int | None = None
    update: bytes | None = None
    raw_message: bytes = b""


@dataclass(frozen=True, slots=True)
class Broken:
    """A bug ended the payment; nothing of it is out."""

    payment_hash: bytes


@dataclass(frozen=True, slots=True)
class HostsOwn:
    """What the host said in an error of its own, which is handed on as it came."""

    data: Mapping[str, Any]


Facts = Hindered | NoWay | TooSlow | Expired | Refusal | Broken | HostsOwn


class PayError(Exception):
    """An answer of `pay` that is not a success.

    Parameters
    ----------
    code
        One of `Code`, or a code the host itself gave for a call that never reached a payment.
    message
        What happened, with amount, limit and next step.
    facts
        What is known beyond the words.
    """

    def __init__(self, code: int, message: str, facts: Facts | None = None):
        super().__init__(message)
        self.code = int(code)
        self.message = message
        self.facts = facts


def invalid_param(name: str, problem: str) -> PayError:
    """-32602 in the host's form: the parameter's name, then what is wrong with it."""
    return PayError(Code.INVALID_PARAMS, f"{name}: {problem}")
