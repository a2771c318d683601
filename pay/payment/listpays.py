"""`listpays` out of `listsendpays`: the parts of one group are one payment, in the host's own form.

One thing is better than in the host: a payment that is still worked on is pending, also before its first part and
between two attempts, when no row of it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PayKey = tuple[str, int]
"""payment_hash in hex, groupid"""


@dataclass(frozen=True, slots=True)
class LivePay:
    """What is known of a payment in work without its rows."""

    bolt11: str | None
    destination: str
    created_at: int
    label: str | None
    description: str | None


def pays_of(
    rows: Iterable[Mapping[str, Any]], live: Mapping[PayKey, LivePay], unsent: bool = True
) -> list[dict[str, Any]]:
    """The entries of `listpays`.

    Parameters
    ----------
    rows
        Of the host's `listsendpays`, as JSON.
    live
        Payments in work that the question is about.
    unsent
        Whether those without a row are added at the end: a page of the table has no place for them.
    """
    groups: dict[PayKey, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["payment_hash"], int(row.get("groupid", 0))), []).append(row)
    return list(pays_of_groups(groups, live, unsent))


def pays_of_groups(
    groups: Mapping[PayKey, list[Any]], live: Mapping[PayKey, LivePay], unsent: bool = True
) -> Iterator[dict[str, Any]]:
    """The same from the rows of each payment; an entry is made when it is asked for."""
    for key, parts in groups.items():
        yield _entry(key, parts, key in live)
    for key, pay in live.items():
        if unsent and key not in groups:
            yield _unsent(key, pay)


def _entry(key: PayKey, parts: list[Mapping[str, Any]], live: bool) -> dict[str, Any]:
    first = parts[0]
    counted = [part for part in parts if part["status"] != "failed"]
    complete = [part for part in counted if part["status"] == "complete"]
    pending = live or len(counted) > len(complete)
    entry: dict[str, Any] = {}
    for name in ("bolt11", "bolt12", "description"):
        value = next((part[name] for part in parts if name in part), None)
        if value is not None:
            entry[name] = value
    if "destination" in first:
        entry["destination"] = first["destination"]
    entry["payment_hash"] = key[0]
    entry["status"] = "complete" if complete else "pending" if pending else "failed"
    entry["created_at"] = int(first["created_at"])
    settled = [int(part["completed_at"]) for part in complete if "completed_at" in part]
    if settled:
        entry["completed_at"] = min(settled)
    if "label" in first:
        entry["label"] = first["label"]
    if complete:
        entry["preimage"] = complete[-1]["payment_preimage"]
    if counted and all("amount_msat" in part for part in counted):
        entry["amount_msat"] = sum(int(part["amount_msat"]) for part in counted)
    entry["amount_sent_msat"] = sum(int(part["amount_sent_msat"]) for part in counted)
    if len(counted) > 1:
        entry["number_of_parts"] = len(counted)
    entry["created_index"] = min(int(part["created_index"]) for part in parts)
    updated = max(int(part.get("updated_index", 0)) for part in parts)
    if updated:
        entry["updated_index"] = updated
    return entry


def _unsent(key: PayKey, pay: LivePay) -> dict[str, Any]:
    """A payment that has no row yet: its first route is being looked for."""
    entry: dict[str, Any] = {"payment_hash": key[0], "destination": pay.destination, "status": "pending"}
    for name in ("bolt11", "label", "description"):
        value = getattr(pay, name)
        if value is not None:
            entry[name] = value
    # The index is the host's to give; 0 is before all that it has given.
    return {**entry, "created_at": pay.created_at, "amount_sent_msat": 0, "created_index": 0}
