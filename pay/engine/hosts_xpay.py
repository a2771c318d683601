"""What this sender cannot pay yet, BOLT 12, is handed on to the node's own `xpay`, where it has one.

What becomes of it is not read from the answer: an error of `xpay` can come while parts are out (it stops waiting
for them once one has failed for good). So the answer only ends the waiting, and then the host's table is looked at
as for every payment.
"""

from __future__ import annotations

from typing import Any

from pay.engine.preparation import Call
from pay.errors import Code, PayError, invalid_param
from pay.host.calls import Host
from pay.host.rpc import CallError, Unanswered
from pay.host.version import XPAY_LABEL_SINCE, XPAY_MAXDELAY_SINCE, Version
from pay.log_events import EventLog, LogEvent

log = EventLog("pay")

METHOD_NOT_FOUND, PLUGIN_ERROR = -32601, -3
_IN_PROGRESS = "error 200"
"""So `xpay` hands on that parts of another sender are out."""

_SAME = (
    Code.INVALID_PARAMS, Code.DESTINATION_FAILED, Code.ROUTE_NOT_FOUND, Code.ROUTE_TOO_EXPENSIVE,
    Code.INVOICE_EXPIRED,
)  # fmt: skip
_CODES: dict[int, int] = {209: Code.STOPPED_RETRYING, **{int(code): code for code in _SAME}}
"""Of `xpay`, and what `pay` has for them; all others are -1."""

_LACKS = "the node's own `xpay`, which pays BOLT 12 invoices, has no such thing"


class HostsXpay:
    """The node's own `xpay`."""

    def __init__(self, host: Host, version: Version):
        self._host = host
        self._version = version

    async def pay(self, call: Call, unable: PayError) -> PayError | None:
        """Have it paid, however long that takes.

        Returns
        -------
        What the call is to end with if nothing of the payment is out then and nothing was paid: `unable` where
        the node has no `xpay`; None where it said that it was paid, that another sender is at it, or nothing.
        """
        params = self._params(call)
        if isinstance(params, PayError):
            return params
        log.info(LogEvent.PAYMENT_HANDED_ON, "payment_hash=%s", call.invoice.payment_hash.hex())
        call.tell(f"{unable.message}: the node's own xpay pays it")
        try:
            await self._host.at_length("xpay", params)
        except Unanswered:
            return None
        except CallError as error:
            if error.code == METHOD_NOT_FOUND:
                return unable
            if error.code == PLUGIN_ERROR and _IN_PROGRESS in error.message:
                return None
            return PayError(_CODES.get(error.code, Code.OTHER), f"xpay: {error.message}")
        return None

    def _params(self, call: Call) -> dict[str, Any] | PayError:
        """The call in its form, or what cannot be said in it."""
        request, invoice = call.request, call.invoice
        if request.exclude_nodes or request.exclude_channels:
            return invalid_param("exclude", _LACKS)
        amount_msat = request.partial_msat or request.amount_msat or invoice.amount_msat
        params: dict[str, Any] = {"invstring": invoice.invstring, "retry_for": request.retry_for_s}
        if amount_msat is not None:
            params["maxfee"] = request.fee_limit_msat(amount_msat)
        for name, value in (("amount_msat", request.amount_msat), ("partial_msat", request.partial_msat)):
            if value is not None:
                params[name] = value
        if self._version.since(XPAY_MAXDELAY_SINCE):
            params["maxdelay"] = request.maxdelay_blocks
        if self._version.since(XPAY_LABEL_SINCE):
            if request.label is not None:
                params["label"] = request.label
            if request.localinvreqid is not None:
                params["localinvreqid"] = request.localinvreqid
        elif request.localinvreqid is not None:
            return invalid_param("localinvreqid", _LACKS)
        return params
