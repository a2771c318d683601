"""What the stand-in remembers over restarts, in SQLite: payments, invoices, datastore, options set for good.

The payments table has lightningd's meaning: one row a `sendpay`, unique in (payment_hash, groupid,
partid), never rewritten but for its status and the reason of its failure. A row is committed before the
HTLC exists, so a process that dies in between leaves it pending for ever, as lightningd does.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from pathlib import Path
from typing import Any


class Status(IntEnum):
    """State of a payments row, with lightningd's numbers."""

    PENDING = 0
    COMPLETE = 1
    FAILED = 2

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Status:
        return cls[word.upper()]


@dataclass(frozen=True, slots=True)
class Payment:
    """One row: one `sendpay`. Amounts in msat, times in seconds since 1970."""

    id: int
    payment_hash: bytes
    groupid: int
    partid: int
    status: Status
    destination: bytes | None
    amount_msat: int
    """What this part delivers (the amount of the route's last hop)."""
    amount_sent_msat: int
    total_msat: int
    """What the sender said the whole group delivers."""
    created_at: int
    updated_index: int = 0
    completed_at: int | None = None
    payment_preimage: bytes | None = None
    label: str | None = None
    invstring: str | None = None
    description: str | None = None
    erroronion: bytes | None = None
    route_channel: int | None = None
    """First channel of the route, to blame when it is our own that refuses."""
    route_direction: int = 0
    failure: str | None = None
    """JSON of what `waitsendpay` repeats about a failure."""

    def to_json(self) -> dict[str, Any]:
        """The fields as every command and notification shows them, in lightningd's order."""
        shown: dict[str, Any] = {
            "created_index": self.id,
            "id": self.id,
            "payment_hash": self.payment_hash.hex(),
            "groupid": self.groupid,
        }
        if self.updated_index:
            shown["updated_index"] = self.updated_index
        if self.partid:
            shown["partid"] = self.partid
        if self.destination is not None:
            shown["destination"] = self.destination.hex()
        if self.amount_msat:
            shown["amount_msat"] = self.amount_msat
        shown["amount_sent_msat"] = self.amount_sent_msat
        shown["created_at"] = self.created_at
        if self.completed_at is not None:
            shown["completed_at"] = self.completed_at
        shown["status"] = self.status.word
        if self.payment_preimage is not None:
            shown["payment_preimage"] = self.payment_preimage.hex()
        if self.label is not None:
            shown["label"] = self.label
        if self.invstring is not None:
            shown["bolt12" if self.invstring.startswith("lni") else "bolt11"] = self.invstring
        if self.description is not None:
            shown["description"] = self.description
        if self.erroronion is not None:
            shown["erroronion"] = self.erroronion.hex()
        return shown


_COLUMNS = [field.name for field in fields(Payment)]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS payments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, payment_hash BLOB NOT NULL, groupid INTEGER NOT NULL,
    partid INTEGER NOT NULL, status INTEGER NOT NULL, destination BLOB, amount_msat INTEGER NOT NULL,
    amount_sent_msat INTEGER NOT NULL, total_msat INTEGER NOT NULL, created_at INTEGER NOT NULL,
    updated_index INTEGER NOT NULL DEFAULT 0, completed_at INTEGER, payment_preimage BLOB, label TEXT,
    invstring TEXT, description TEXT, erroronion BLOB, route_channel INTEGER, route_direction INTEGER NOT NULL,
    failure TEXT, UNIQUE (payment_hash, groupid, partid));
CREATE INDEX IF NOT EXISTS payments_by_hash ON payments (payment_hash);
CREATE TABLE IF NOT EXISTS invoices (
    id INTEGER PRIMARY KEY AUTOINCREMENT, label TEXT UNIQUE NOT NULL, bolt11 TEXT NOT NULL,
    payment_hash BLOB UNIQUE NOT NULL, preimage BLOB NOT NULL, payment_secret BLOB NOT NULL,
    amount_msat INTEGER, description TEXT, expires_at INTEGER NOT NULL, paid_at INTEGER, received_msat INTEGER,
    pay_index INTEGER, updated_index INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS datastore (key TEXT PRIMARY KEY, data BLOB NOT NULL, generation INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS setconfig (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Database:
    """The file; every method is one committed transaction."""

    def __init__(self, path: Path):
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    def query(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Rows of a SELECT, or the effect of anything else."""
        return self._connection.execute(sql, values).fetchall()

    def next_index(self, name: str) -> int:
        """Counts up from 1, one counter a name."""
        self.query("INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1", name)
        return int(self.query("SELECT value FROM counters WHERE name = ?", name)[0][0])

    def remember_config(self, name: str, values: list[str]) -> None:
        """A `setconfig` that is to last."""
        self.query("REPLACE INTO setconfig VALUES (?, ?)", name, json.dumps(values))

    def add_payment(self, **values: Any) -> Payment:
        """Insert a pending row."""
        values["status"] = int(Status.PENDING)
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        self.query(f"INSERT INTO payments ({names}) VALUES ({marks})", *values.values())
        rows = self.payments("id = last_insert_rowid()")
        return rows[0]

    def payments(self, where: str = "1", *values: Any, order: str = "id", limit: int = -1) -> list[Payment]:
        """Rows that fit, in the order of their creation unless told otherwise."""
        sql = f"SELECT {', '.join(_COLUMNS)} FROM payments WHERE {where} ORDER BY {order} LIMIT {limit}"
        return [_payment(row) for row in self.query(sql, *values)]

    def payment(self, payment_hash: bytes, groupid: int, partid: int) -> Payment | None:
        """The one row of this key."""
        rows = self.payments("payment_hash = ? AND groupid = ? AND partid = ?", payment_hash, groupid, partid)
        return rows[0] if rows else None

    def highest_groupid(self, payment_hash: bytes) -> int:
        """0 if there is no payment of this hash."""
        row = self.query("SELECT max(groupid) FROM payments WHERE payment_hash = ?", payment_hash)[0]
        return int(row[0] or 0)

    def settle(self, payment: Payment, preimage: bytes, now_s: int) -> Payment:
        """Mark a row complete; lightningd refuses nothing here, whatever the row was."""
        return self._update(payment, status=int(Status.COMPLETE), payment_preimage=preimage, completed_at=now_s)

    def fail(self, payment: Payment, failure: str | None, erroronion: bytes | None, now_s: int) -> Payment:
        """Mark a row failed and remember why."""
        return self._update(
            payment, status=int(Status.FAILED), failure=failure, erroronion=erroronion, completed_at=now_s
        )

    def _update(self, payment: Payment, **values: Any) -> Payment:
        values["updated_index"] = self.next_index("sendpay_updated")
        assignments = ", ".join(f"{name} = ?" for name in values)
        self.query(f"UPDATE payments SET {assignments} WHERE id = ?", *values.values(), payment.id)
        return self.payments("id = ?", payment.id)[0]

    def delete_payments(self, rows: Iterable[Payment]) -> None:
        for row in rows:
            self.query("DELETE FROM payments WHERE id = ?", row.id)


def _payment(row: sqlite3.Row) -> Payment:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["status"] = Status(values["status"])
    return Payment(**values)
