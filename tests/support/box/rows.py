"""Rows of the host's table: waited for, and deleted."""

from __future__ import annotations

from typing import Any

from pay.sim.lightningd.payments.database import Status
from pay.sim.network.invoices import SimInvoice
from tests.support.box.host import Host


def complete(host: Host, made: SimInvoice) -> list[dict[str, Any]]:
    """Its rows, once nothing of it is out."""
    host.until(lambda: not [row for row in host.node.db.payments() if row.status is Status.PENDING])
    return [row for row in host.rows(made) if row["status"] == "complete"]


def delete(host: Host, made: SimInvoice, row: dict[str, Any]) -> None:
    params = [made.payment_hash.hex(), row["status"], row.get("partid", 0), row["groupid"]]
    host.call("delpay", params).ok()
