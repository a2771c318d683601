"""The names of the error codes that `pay` and `xpay` answer with, and the exception that carries one.

What each means stands in `pay.commands.form.failing`. Wallets book -32602, -1, 201 to 207 and 210 as surely
unpaid, so these are given only when nothing of the payment can still settle. Source: lightning-pay(7); the host's
common/jsonrpc_errors.h.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


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


class PayError(Exception):
    """An answer of `pay` that is not a success.

    Parameters
    ----------
    code
        One of `Code`, or a code the host itself gave for a call that never reached a payment.
    message
        What happened, with amount, limit and next step.
    data
        The documented fields, JSON-serialisable.
    """

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None):
        super().__init__(message)
        self.code = int(code)
        self.message = message
        self.data: dict[str, Any] = data or {}


_FLAT = (
    "attempts", "erring_index", "erring_node", "erring_channel", "erring_direction", "failcode", "failcodename",
)  # fmt: skip
"""What stands beside `code` and `message` as in the host's own `pay`, whose readers look for it there."""

_ONLY_FLAT = frozenset({"attempts"})
"""A list, that stands once; the few others are in `data` as well, where the manual has them."""


def error_json(error: PayError) -> dict[str, Any]:
    """The member `error` of an answer: what a person reads comes first."""
    answer: dict[str, Any] = {"code": error.code, "message": error.message}
    answer |= {name: error.data[name] for name in _FLAT if name in error.data}
    data = {name: value for name, value in error.data.items() if name not in _ONLY_FLAT}
    return {**answer, "data": data} if data else answer


def invalid_param(name: str, problem: str) -> PayError:
    """-32602 in the host's form: the parameter's name, then what is wrong with it."""
    return PayError(Code.INVALID_PARAMS, f"{name}: {problem}")
