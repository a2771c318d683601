"""The parameters of `paystatus` and `listpays`, checked; every problem is -32602 in words."""

from __future__ import annotations

from typing import Any

from pay.errors import Code, PayError, invalid_param
from pay.invoice import normalise
from pay.payment.request import too_many
from pay.units import show

_PAYSTATUS = ("bolt11", "payment_hash")
_LISTPAYS = ("bolt11", "payment_hash", "status", "index", "start", "limit")
_STATUSES = ("pending", "complete", "failed")


def check_params(command: str, params: Any) -> None:
    """Raises PayError."""
    if command == "paystatus":
        paystatus_param(params)
    else:
        listpays_params(params)


def listpays_params(params: Any) -> dict[str, Any]:
    """The parameters of `listpays` that were given, under their names. Raises PayError."""
    given = dict(zip(_LISTPAYS, params, strict=False)) if isinstance(params, list) else dict(params or {})
    if isinstance(params, list) and len(params) > len(_LISTPAYS):
        raise too_many("listpays", len(params), len(_LISTPAYS))
    for name in given:
        if name not in _LISTPAYS:
            raise PayError(Code.INVALID_PARAMS, f"unknown parameter: {show(name)}")
    status = given.get("status")
    if status is not None and status not in _STATUSES:
        raise invalid_param("status", f"should be pending, complete or failed, not {show(status)}")
    return {name: value for name, value in given.items() if value is not None}


def paystatus_param(params: Any) -> str | None:
    """The one parameter of `paystatus`, an invoice or a payment_hash, by whichever name. Raises PayError."""
    values = params if isinstance(params, list) else list((params or {}).values())
    if isinstance(params, dict):
        for name in params:
            if name not in _PAYSTATUS:
                raise PayError(Code.INVALID_PARAMS, f"unknown parameter: {show(name)}")
    given = [value for value in values if value is not None]
    if len(values) > 1 and (isinstance(params, list) or len(given) > 1):
        raise too_many("paystatus", len(values), 1)
    if not given:
        return None
    if not isinstance(given[0], str):
        raise invalid_param("bolt11", f"should be an invoice or a payment_hash, not {show(given[0])}")
    return normalise(given[0])
