"""Calls without an answer: what they tell, and which payments they make pending."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pay.commands import listpays
from pay.commands.form.command import Context
from pay.commands.pay import parse_request
from pay.engine import open_calls as module
from pay.engine.open_calls import OpenCalls
from pay.host.streaming import encoded
from tests.support.commands import context, silent
from tests.support.engine.paying import HASH, INVOICE
from tests.support.payments import node
from tests.support.waiting import played, soon

REQUEST = parse_request({"bolt11": "LNBC1", "label": "cup"})


def row(status: str, groupid: int = 1) -> dict[str, Any]:
    return {
        "created_index": groupid, "payment_hash": HASH.hex(), "groupid": groupid, "partid": 1, "status": status,
        "created_at": 1, "amount_sent_msat": 1, "payment_preimage": "00" * 32, "destination": node("d").hex(),
    }  # fmt: skip


class Table:
    """The host's rows."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows

    async def patient(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"payments": list(self.rows)}


async def listed(asked: Context, params: Any) -> list[tuple[str, str]]:
    answer = await listpays.answer(listpays.read(params), asked, silent)
    pays = json.loads(b"".join(await encoded(answer)))["pays"]
    return [(pay["payment_hash"], pay["status"]) for pay in pays]


@pytest.mark.parametrize("params", [{}, {"payment_hash": HASH.hex()}, {"bolt11": "lnbc1"}, ["LNBC1"]])
@pytest.mark.parametrize(
    ("rows", "seen"),
    [
        ([], ["pending"]),
        ([row("failed")], ["failed", "pending"]),
        # What says more of itself is left as it is: a call of an invoice that is paid pays nothing.
        ([row("complete")], ["complete"]),
        ([row("failed"), row("pending", groupid=2)], ["failed", "pending"]),
    ],
)
def test_a_call_makes_its_payment_pending(params: Any, rows: list[dict[str, Any]], seen: list[str]) -> None:
    """From the moment in which its invoice is read to its answer, whatever rows there are."""

    async def story() -> None:
        calls, host = OpenCalls(), Table(*rows)
        asked = context(host, calls=calls)
        assert not listpays.at_work(params, calls.names)
        with calls.open(REQUEST, silent) as call:
            call.is_of(INVOICE)
            assert listpays.at_work(params, calls.names)
            assert await listed(asked, params) == [(HASH.hex(), status) for status in seen]
            assert await listed(asked, {"payment_hash": "00" * 32}) == ([] if not rows else [
                (HASH.hex(), each["status"]) for each in rows
            ])  # fmt: skip
            assert not listpays.at_work({"payment_hash": "00" * 32}, calls.names)
        assert not listpays.at_work(params, calls.names)

    played(story())


def test_who_asks_waits_until_the_invoice_of_a_call_is_read() -> None:
    """Only then can it be said of which payment the call is; a call that is over is not waited for."""

    async def story() -> None:
        calls = OpenCalls()
        await soon(calls.all_read())
        with calls.open(REQUEST, silent) as call, calls.open(REQUEST, silent):
            asking = asyncio.create_task(calls.all_read())
            await asyncio.sleep(0)
            call.is_of(INVOICE)
            await asyncio.sleep(0.01)
            assert not asking.done(), "there is another one"
        await soon(asking)

    played(story())


def test_nobody_waits_long_for_a_host_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_S", 0.01)

    async def story() -> None:
        calls = OpenCalls()
        with calls.open(REQUEST, silent):
            await soon(calls.all_read())

    played(story())


def test_a_caller_hears_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as no payment has begun, which tells of itself, and not after the answer."""
    monkeypatch.setattr(module, "FIRST_S", 0.001)
    monkeypatch.setattr(module, "TELL_S", 0.001)

    async def story() -> None:
        heard = asyncio.Queue[str]()
        calls = OpenCalls()

        def hear(message: str, level: str = "info") -> None:
            heard.put_nowait(message)

        with calls.open(REQUEST, hear) as call:
            assert await soon(heard.get()) == "Waiting after 0 s: for the plugin to start"
            call.waits_for = "the node to approve the payment"
            while "approve" not in await soon(heard.get()):
                pass
            call.waits_for = ""
            while not heard.empty():
                heard.get_nowait()
            await asyncio.sleep(0.02)
            assert heard.empty()
            call.waits_for = "another one"
        await asyncio.sleep(0.02)
        assert heard.empty()

    played(story())
