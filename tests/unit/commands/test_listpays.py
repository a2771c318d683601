"""Lists of payments out of the register and the host's rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from pay.commands import listpays, paystatus
from pay.engine.live import register as kept
from pay.engine.live.register import Register
from pay.host.streaming import encoded
from pay.units import NodeId
from tests.support.commands import context, silent
from tests.support.engine.running import over
from tests.support.waiting import played


class Host:
    """The node with these rows, and a planner that has a name for nobody."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows
        self.asked: list[dict[str, Any]] = []

    async def patient(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert method == "listsendpays"
        self.asked.append(params)
        found = [row for row in self.rows if row["created_index"] >= params.get("start", 0)]
        if "payment_hash" in params:
            found = [row for row in found if row["payment_hash"] == params["payment_hash"]]
        return {"payments": found[: params.get("limit")]}

    async def aliases(self, nodes: Iterable[NodeId]) -> dict[NodeId, str]:
        return {}


def row(index: int, number: int, status: str = "complete", created_at: int = 2_000_000_000_000) -> dict[str, Any]:
    """A part of a payment; made after our start, whenever that is."""
    return {
        "created_index": index, "payment_hash": number.to_bytes(32, "big").hex(), "groupid": 1, "partid": index,
        "status": status, "created_at": created_at, "amount_msat": 1000, "amount_sent_msat": 1001,
        "payment_preimage": "00" * 32,
    }  # fmt: skip


def answer(host: Host, register: Register, command: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    async def story() -> Any:
        asked: Any = {"paystatus": paystatus, "listpays": listpays}[command]
        return await encoded(await asked.answer(asked.read(params), context(host, register), silent))

    (entries,) = json.loads(b"".join(played(story()))).values()
    return list(entries)


def numbers(entries: list[dict[str, Any]]) -> list[int]:
    return [int(entry["payment_hash"], 16) for entry in entries]


def test_what_the_register_dropped_is_shown_by_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payments 1 and 2 are dropped, 3 is kept; 9 is a sendpay that somebody else made since our start."""
    monkeypatch.setattr(kept, "MOST_ATTEMPTS", 2)
    register = Register()
    over(register, 1, failing=1, paid=True)
    over(register, 2, failing=2)
    over(register, 3, failing=1, paid=True)
    host = Host(row(1, 1, "failed"), row(2, 1), row(3, 2, "failed"), row(4, 2, "failed"), row(5, 9), row(6, 3))
    entries = answer(host, register, "paystatus", {})
    assert numbers(entries) == [1, 2, 3]
    assert [entry["session_status"] for entry in entries] == ["Success", "Failed", "Success"]
    assert [len(entry["attempts"]) for entry in entries] == [2, 2, 2]
    assert ["route" in entry["attempts"][0] for entry in entries] == [False, False, True]
    (alone,) = answer(host, register, "paystatus", {"payment_hash": entries[0]["payment_hash"]})
    assert alone == entries[0]


def test_of_one_invoice_the_newest_payment_comes_first() -> None:
    """Its readers take the first entry for the payment that is in work; a list of all has the newest last."""
    first, again = row(1, 1, "failed"), row(2, 1) | {"groupid": 2}
    wanted = {"payment_hash": first["payment_hash"]}
    entries = answer(Host(first, again), Register(), "paystatus", wanted)
    assert [entry["groupid"] for entry in entries] == [2, 1]
    register = Register()
    over(register, 1, failing=1)
    over(register, 1, failing=1, paid=True)
    entries = answer(Host(), register, "paystatus", wanted)
    assert [entry["session_status"] for entry in entries] == ["Success", "Failed"]
    everything = answer(Host(), register, "paystatus", {})
    assert [entry["session_status"] for entry in everything] == ["Failed", "Success"]


def test_listpays_reads_a_long_table_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment whose rows are on two pages is one."""
    monkeypatch.setattr(listpays, "PAGE_ROWS", 2)
    host = Host(row(1, 1), row(4, 2), row(5, 2), row(6, 3, "failed"))
    pays = answer(host, Register(), "listpays", {})
    assert [(entry["status"], entry.get("number_of_parts")) for entry in pays] == [
        ("complete", None), ("complete", 2), ("failed", None),
    ]  # fmt: skip
    assert [asked["start"] for asked in host.asked] == [1, 5, 7]
    assert numbers(answer(host, Register(), "listpays", {"status": "failed"})) == [3]
