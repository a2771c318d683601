"""`paystatus`, and `listpays` where it is ours or where the host's would be wrong about a payment in work.

Up to v26.04 `listpays` went with the builtin `pay`, so it is registered here. Since v26.06 cln-xpay owns it and
shows another sender's payment as failed between two attempts: there a filtered `rpc_command` hook lets every call
go on at once unless a payment in work is concerned, and answers that one from `listsendpays` – never from
`listpays`, which would call the hook again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from pay.errors import Code, PayError, invalid_param
from pay.invoice import normalise
from pay.node.facade import CallError, Node
from pay.node.planning import Planning
from pay.node.running import Running
from pay.payment.listpays import LivePay, PayKey, pays_of
from pay.payment.status import Moment, paystatus_entry
from pay.units import show

log = logging.getLogger("pay")

MOST_FINISHED = 1000
"""Finished payments that `paystatus` remembers."""

_LISTPAYS = ("bolt11", "payment_hash", "status", "index", "start", "limit")
_STATUSES = ("pending", "complete", "failed")


class Views:
    """What is shown of payments.

    Parameters
    ----------
    live
        Payments in work, oldest first; the driver's own table.
    """

    def __init__(self, node: Node, planning: Planning, live: dict[bytes, Running]):
        self._node = node
        self._planning = planning
        self._live = live
        self._finished: deque[Running] = deque(maxlen=MOST_FINISHED)
        self.height = 0

    def remember(self, running: Running) -> None:
        """A payment has ended."""
        running.waiters.clear()
        self._finished.append(running)

    # --- paystatus --------------------------------------------------------------------------------------

    async def paystatus(self, params: Any) -> dict[str, Any]:
        """All payments, newest last, or those of one invoice or payment_hash. Raises PayError."""
        wanted = _only_param(params, ("bolt11", "payment_hash"))
        shown = [*self._finished, *self._live.values()]
        if wanted is not None:
            shown = [running for running in shown if _means(running, wanted)]
            if not shown:
                return {"pay": await self._from_rows(wanted)}
        nodes = {
            hop.node
            for running in shown
            for attempt in running.session.attempts.values()
            if attempt.route is not None
            for hop in attempt.route.hops
        }
        names = await self._planning.aliases(nodes)
        moment = Moment(time.time(), self.height)
        return {
            "pay": [
                paystatus_entry(
                    running.session, running.bolt11, running.label, running.times, moment, names.get
                )
                for running in shown
            ]
        }

    async def _from_rows(self, wanted: str) -> list[dict[str, Any]]:
        """A payment of before our start: what the host has of it."""
        key = "payment_hash" if _is_hash(wanted) else "bolt11"
        try:
            rows = (await self._node.patient("listsendpays", {key: wanted}))["payments"]
        except CallError as error:
            raise PayError(Code.INVALID_PARAMS, f"{key}: {error.message}") from error
        return [_entry_of_rows(group) for group in _groups(rows)]

    # --- listpays ---------------------------------------------------------------------------------------

    def concerns(self, params: Any) -> bool:
        """Whether a `listpays` with these params would have to show a payment in work."""
        if not self._live:
            return False
        try:
            given = _by_name(params)
        except PayError:
            return False
        wanted = given.get("payment_hash") or given.get("bolt11")
        return wanted is None or any(_means(running, str(wanted)) for running in self._live.values())

    async def listpays(self, params: Any) -> dict[str, Any]:
        """The host's `listpays`, right about payments in work. Raises PayError."""
        given = _by_name(params)
        status = given.pop("status", None)
        if status is not None and status not in _STATUSES:
            raise invalid_param("status", f"should be pending, complete or failed, not {show(status)}")
        wanted = given.get("payment_hash") or given.get("bolt11")
        chosen = [r for r in self._live.values() if wanted is None or _means(r, str(wanted))]
        live = {_key(running): _live_pay(running) for running in chosen}
        try:
            answer = await self._node.patient("listsendpays", given)
        except CallError as error:
            raise PayError(error.code, error.message, error.data) from error
        pays = pays_of(answer["payments"], live, unsent="index" not in given)
        return {"pays": [pay for pay in pays if status is None or pay["status"] == status]}


def _entry_of_rows(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One element of `paystatus` for a payment whose session is gone."""
    first = rows[0]
    status = {row["status"] for row in rows}
    word = "Success" if "complete" in status else "Inflight" if "pending" in status else "Failed"
    counted = [row for row in rows if row["status"] != "failed"]
    entry: dict[str, Any] = {key: first[key] for key in ("label", "bolt11", "bolt12") if key in first}
    return {
        **entry,
        "amount_msat": sum(int(row.get("amount_msat", 0)) for row in counted or rows[-1:]),
        "destination": first.get("destination"),
        "payment_hash": first["payment_hash"],
        "groupid": int(first.get("groupid", 0)),
        "created_at": int(first["created_at"]),
        "session_status": word,
        "settled_amount": sum(int(r.get("amount_msat", 0)) for r in rows if r["status"] == "complete"),
        "attempts": [_attempt_of_row(row, number) for number, row in enumerate(rows)],
    }


def _attempt_of_row(row: dict[str, Any], number: int) -> dict[str, Any]:
    word = {"complete": "Settled", "pending": "Inflight", "failed": "Failed"}[row["status"]]
    fields: dict[str, Any] = {
        "strategy": "Initial attempt" if number == 0 else f"Part {row.get('partid', 0)}",
        "start_time": _iso(int(row["created_at"])),
        "age_in_seconds": max(0, int(time.time()) - int(row["created_at"])),
        "state": "pending" if word == "Inflight" else "completed",
        "status": word,
        "partid": int(row.get("partid", 0)),
        "amount_sent_msat": int(row["amount_sent_msat"]),
        "route_unknown": True,
    }
    if "amount_msat" in row:
        fields["amount_msat"] = int(row["amount_msat"])
    if "completed_at" in row:
        fields["end_time"] = _iso(int(row["completed_at"]))
    if word == "Settled":
        fields["success"] = {"id": fields["partid"], "payment_preimage": row["payment_preimage"]}
    elif word == "Failed":
        fields["failure"] = {"code": 204, "message": "failed; an earlier run of this plugin was told why"}
    return fields


def _iso(unix_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(unix_s))


def _groups(rows: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(int(row.get("groupid", 0)), []).append(row)
    return list(groups.values())


def _key(running: Running) -> PayKey:
    terms = running.session.terms
    return terms.payment_hash.hex(), terms.groupid


def _live_pay(running: Running) -> LivePay:
    terms = running.session.terms
    description = running.order.description if running.order is not None else None
    return LivePay(
        running.bolt11,
        terms.destination.hex(),
        int(terms.created_at_s),
        running.label,
        description,
    )


def _means(running: Running, wanted: str) -> bool:
    return wanted.lower() == running.session.terms.payment_hash.hex() or normalise(wanted) == running.bolt11


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text)


def _by_name(params: Any) -> dict[str, Any]:
    given = dict(zip(_LISTPAYS, params, strict=False)) if isinstance(params, list) else dict(params or {})
    if isinstance(params, list) and len(params) > len(_LISTPAYS):
        raise PayError(Code.INVALID_PARAMS, f"too many parameters: got {len(params)}, expected {len(_LISTPAYS)}")
    for name in given:
        if name not in _LISTPAYS:
            raise PayError(Code.INVALID_PARAMS, f"unknown parameter: {show(name)}")
    return {name: value for name, value in given.items() if value is not None}


def _only_param(params: Any, names: tuple[str, ...]) -> str | None:
    """The one parameter of `paystatus`, an invoice or a payment_hash, by whichever name. Raises PayError."""
    values = params if isinstance(params, list) else list((params or {}).values())
    if isinstance(params, dict):
        for name in params:
            if name not in names:
                raise PayError(Code.INVALID_PARAMS, f"unknown parameter: {show(name)}")
    given = [value for value in values if value is not None]
    if len(values) > 1 and (isinstance(params, list) or len(given) > 1):
        raise PayError(Code.INVALID_PARAMS, f"too many parameters: got {len(values)}, expected 1")
    if not given:
        return None
    if not isinstance(given[0], str):
        raise invalid_param("bolt11", f"should be an invoice or a payment_hash, not {show(given[0])}")
    return normalise(given[0])
