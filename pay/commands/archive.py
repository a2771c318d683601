"""Payments from the host's rows, without routes and reasons: those that ended before this plugin was started, and
those that other plugins of the node make.

The host's table may be long, and it is read in pages from an index on: the newest page is found by halving.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from pay.commands.payments import PayKey
from pay.commands.strategy import FIRST
from pay.host.calls import Host

PAGE_ROWS = 2_000
"""Rows looked at for a list of all payments: most have one part, and no more than 1,000 are shown."""

Rows = list[dict[str, Any]]

Sender = Callable[[str, int], str | None]


def _nobody(_payment_hash: str, _groupid: int) -> None:
    """No other plugin is known."""


class Archive:
    """Older payments, as `paystatus` shows them.

    Parameters
    ----------
    started_s
        Unix time of our start; what we began later is known without the archive.
    sender
        Which other plugin has told that a payment is its own, by payment_hash and groupid.
    """

    def __init__(self, host: Host, started_s: float, sender: Sender = _nobody):
        self._host = host
        self._started_s = started_s
        self._sender = sender

    async def newest(
        self, known: Iterable[PayKey], most: int, ended: Collection[str] = (), known_rows: int = 0
    ) -> Iterator[dict[str, Any]]:
        """At most `most` payments, but for those `known`; oldest first, each made when it is asked for.

        Parameters
        ----------
        ended
            Hashes of payments of ours since our start; else only those that began before it are shown, and
            those of other plugins.
        known_rows
            How many rows those `known` have: so many more are looked at.
        """
        if most <= 0:
            return iter(())
        last = await self._last_index()
        first = max(0, last - PAGE_ROWS - known_rows + 1)
        groups: dict[PayKey, Rows] = {}
        start = first
        while start <= last and (rows := (await self._page(start, PAGE_ROWS))["payments"]):
            add_to_groups(groups, rows)
            start = int(rows[-1]["created_index"]) + 1
        if first and groups:
            # The beginning of this one may be on the page before.
            groups.pop(next(iter(groups)))
        for key in known:
            groups.pop(key, None)
        shown = [group for key, group in groups.items() if key[0] in ended or self._is_shown(key, group[0])]
        return (entry_of_rows(group, self._sender(*key_of(group[0]))) for group in shown[-most:])

    def _is_shown(self, key: PayKey, row: Mapping[str, Any]) -> bool:
        return int(row["created_at"]) <= self._started_s or self._sender(*key) is not None

    async def _last_index(self) -> int:
        """A row has this index or none has a higher one, 0 for an empty table; asked in 2 log2(n) questions."""
        low, high = 0, 1
        while await self._any_from(high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await self._any_from(middle) else (low, middle)
        return low

    async def _any_from(self, index: int) -> bool:
        return bool((await self._page(index, 1))["payments"])

    async def _page(self, start: int, limit: int) -> dict[str, Any]:
        page: dict[str, Any] = await self._host.patient(
            "listsendpays", {"index": "created", "start": start, "limit": limit}
        )
        return page


def key_of(row: Mapping[str, Any]) -> PayKey:
    return str(row["payment_hash"]), int(row.get("groupid", 0))


def groups_of(rows: Iterable[dict[str, Any]]) -> dict[PayKey, Rows]:
    """The rows of each payment, in their order."""
    groups: dict[PayKey, Rows] = {}
    add_to_groups(groups, rows)
    return groups


def add_to_groups(groups: dict[PayKey, Rows], rows: Iterable[dict[str, Any]]) -> None:
    """Put further rows to their payments."""
    for row in rows:
        groups.setdefault(key_of(row), []).append(row)


def entry_of_rows(rows: list[dict[str, Any]], by: str | None = None) -> dict[str, Any]:
    """One element of `paystatus` for a payment whose session is gone, or that the plugin `by` makes."""
    first = rows[0]
    status = {row["status"] for row in rows}
    word = "Success" if "complete" in status else "Inflight" if "pending" in status else "Failed"
    counted = [row for row in rows if row["status"] != "failed"]
    entry: dict[str, Any] = {key: first[key] for key in ("label", "bolt11", "bolt12") if key in first}
    if by is not None:
        entry["by"] = by
    told = by or "an earlier run of this plugin"
    return {
        **entry,
        "amount_msat": sum(int(row.get("amount_msat", 0)) for row in counted or rows[-1:]),
        "destination": first.get("destination"),
        "payment_hash": first["payment_hash"],
        "groupid": int(first.get("groupid", 0)),
        "created_at": int(first["created_at"]),
        "session_status": word,
        "settled_amount": sum(int(r.get("amount_msat", 0)) for r in rows if r["status"] == "complete"),
        "attempts": [_attempt_of_row(row, number, told) for number, row in enumerate(rows)],
    }


def _attempt_of_row(row: dict[str, Any], number: int, told: str) -> dict[str, Any]:
    word = {"complete": "Settled", "pending": "Inflight", "failed": "Failed"}[row["status"]]
    fields: dict[str, Any] = {
        "strategy": FIRST if number == 0 else f"Part {row.get('partid', 0)}",
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
        fields["failure"] = {"code": 204, "message": f"failed; {told} was told why"}
    return fields


def _iso(unix_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(unix_s))
