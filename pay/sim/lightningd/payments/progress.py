"""What the rows that a payment has already say of one part more.

Holes of lightningd that are kept on purpose: a part that exceeds the total is accepted as long as what was pending
before was below it; an identical repeat is answered with the row's state; a part number is used up for ever.

Source: lightningd's pay.c (v26.06).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pay.sim.lightningd.payments.database import Payment, Status
from pay.sim.lightningd.payments.failures import ALREADY_USED, IN_PROGRESS
from pay.sim.lightningd.payments.part import PartRequest
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import INVALID_PARAMS


def check_progress(rows: Sequence[Payment], part: PartRequest, destination: bytes | None) -> dict[str, Any] | None:
    """What earlier rows of this hash say: an answer, or None to go on. Raises RpcError.

    Parameters
    ----------
    destination
        None where whoever sends does not say it.
    """
    any_complete, pending_msat = False, 0
    for row in rows:
        if row.status is Status.COMPLETE:
            any_complete = True
            if row.partid != part.partid:
                continue
            _same(row, part, destination, "Already succeeded")
            return row.to_json()
        if row.status is Status.PENDING:
            _same_group(row, part)
            if row.partid == part.partid:
                _same(row, part, destination, "Already pending")
                return in_progress(row)
            if row.total_msat != part.total_msat:
                raise RpcError(
                    INVALID_PARAMS,
                    f"msatoshi was previously {row.total_msat}msat, now {part.total_msat}msat",
                )
            pending_msat += row.amount_msat
        if (row.partid, row.groupid) == (part.partid, part.groupid):
            raise RpcError(
                ALREADY_USED,
                f"There already is a payment with payment_hash={part.payment_hash.hex()},"
                f" groupid={part.groupid}, partid={part.partid}. Either change the partid, or wait for the"
                " payment to complete and start a new group.",
            )
    if any_complete:
        raise RpcError(ALREADY_USED, "Already succeeded other parts")
    if part.total_msat and pending_msat >= part.total_msat:
        raise RpcError(
            IN_PROGRESS, f"Already have {pending_msat}msat of {part.total_msat}msat payments in progress"
        )
    return None


def in_progress(row: Payment) -> dict[str, Any]:
    return {"message": "Monitor status with listpays or waitsendpay", **row.to_json()}


def _same(row: Payment, part: PartRequest, destination: bytes | None, words: str) -> None:
    """A repeat must be the same payment. Raises RpcError."""
    if row.amount_msat != part.amount_msat:
        raise RpcError(ALREADY_USED, f"{words} with amount {row.amount_msat}msat (not {part.amount_msat}msat)")
    if destination is not None and row.destination is not None and row.destination != destination:
        raise RpcError(ALREADY_USED, f"{words} to {row.destination.hex()}")


def _same_group(row: Payment, part: PartRequest) -> None:
    if row.groupid != part.groupid:
        raise RpcError(
            IN_PROGRESS,
            f"Payment with groupid={row.groupid} still in progress, cannot retry before that completes.",
        )
    if (row.partid == 0) != (part.partid == 0):
        kind = "parallel" if row.partid else "non-parallel"
        raise RpcError(IN_PROGRESS, f"Already have {kind} payment in progress")
