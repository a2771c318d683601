"""How a part's failure is told: code, message and fields, at once and from the table later.

Source: lightningd's pay.c (v26.06).
"""

from __future__ import annotations

import json
from typing import Any

from pay.sim.lightningd.payments.database import Payment
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.network.encoding.failures import BADONION, PERM, wire_name
from pay.sim.network.htlc import Failed
from pay.units import format_scid

IN_PROGRESS = 200
ALREADY_USED = 201
UNPARSABLE_ONION = 202
DESTINATION_FAILED = 203
TRY_OTHER_ROUTE = 204
NO_SUCH_PAYMENT = 208
ALREADY_PAID = 219
"""Of `injectpaymentonion`."""


def blame(
    index: int, failcode: int, node: bytes, scid: int | None, direction: int | None, message: bytes
) -> dict[str, Any]:
    """The routing failure fields, in lightningd's order."""
    fields: dict[str, Any] = {"erring_index": index, "failcode": int(failcode)}
    if not wire_name(failcode).startswith("UNKNOWN"):
        fields["failcodename"] = wire_name(failcode)
    fields["erring_node"] = node.hex()
    if scid is not None:
        fields["erring_channel"] = format_scid(scid)
        fields["erring_direction"] = direction
    if message:
        fields["raw_message"] = message.hex()
    return fields


def code_of(outcome: Failed, row: Payment) -> int:
    """Only the recipient's own permanent refusal is final."""
    if outcome.erring_index and outcome.erring_node == row.destination:
        if outcome.failcode & BADONION:
            return UNPARSABLE_ONION
        if outcome.failcode & PERM:
            return DESTINATION_FAILED
    return TRY_OTHER_ROUTE


def unread(row: Payment, onionreply: bytes) -> RpcError:
    """What is told of the failure of a part whose onion the host has not made."""
    return RpcError(UNPARSABLE_ONION, "Malformed error reply", {**row.to_json(), "onionreply": onionreply.hex()})


def remembered(row: Payment) -> RpcError:
    """A failure as the table has it: without what the node that failed had said."""
    if row.failure is None:
        return RpcError(209, "Payment failure reason unknown")
    failure = json.loads(row.failure)
    fields = failure["fields"]
    code = failure["code"]
    if row.erroronion is not None:
        fields = {"onionreply": row.erroronion.hex()}
    elif fields.get("failcode", 0) & BADONION:
        code = UNPARSABLE_ONION
    return RpcError(code, failure["message"], {**row.to_json(), **fields})
