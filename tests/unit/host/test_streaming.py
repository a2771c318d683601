"""Long answers: the text is the same, the loop has its turns, and what else is said meanwhile stands behind it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from pyln.client.plugin import Request

from pay.app.application import answer_at_length
from pay.host.host_plugin import HostPlugin
from pay.host.streaming import TURN_ITEMS, encoded
from tests.support.waiting import played, turns


def text(value: Any) -> str:
    return b"".join(played(encoded(value))).decode()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({}, {}),
        ({"pay": iter(())}, {"pay": []}),
        ({"pay": iter([1, 2]), "b": [3]}, {"pay": [1, 2], "b": [3]}),
        (
            {"pay": iter([{"a": "ü", "attempts": iter([{"n": 1}, {"n": 2}])}, {"attempts": iter(())}])},
            {"pay": [{"a": "ü", "attempts": [{"n": 1}, {"n": 2}]}, {"attempts": []}]},
        ),
        ({"return": {"result": {"pays": iter([{"x": None}])}}}, {"return": {"result": {"pays": [{"x": None}]}}}),
        ({'q"': iter(["\\"])}, {'q"': ["\\"]}),
        (iter([iter([1]), iter(())]), [[1], []]),
    ],
    ids=range(7),
)
def test_the_same_text(value: Any, plain: Any) -> None:
    assert json.loads(text(value)) == plain


def test_half_a_pair_does_not_cost_the_answer() -> None:
    assert json.loads(text({"a": iter(["\ud83d"])})) == {"a": ["?"]}


def test_the_loop_has_its_turn_between_items() -> None:
    """Of one payment with many attempts too: when the n-th is made, the loop has turned n / TURN_ITEMS times."""
    turns = 0
    seen: list[int] = []

    def attempts() -> Iterator[int]:
        for number in range(10 * TURN_ITEMS):
            seen.append(turns)
            yield number

    async def story() -> None:
        nonlocal turns

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        await encoded({"pay": iter([{"attempts": attempts()}])})
        beside.cancel()

    played(story())
    assert all(seen[at] >= at // TURN_ITEMS for at in range(len(seen)))


def test_who_speaks_while_a_long_answer_goes_out_is_not_kept_waiting() -> None:
    """The host reads nothing of a megabyte until something else was said; that stands behind it, whole."""
    reads, writes = os.pipe()
    with os.fdopen(reads, "rb") as host, open(writes, "w", encoding="utf-8") as stdout:
        plugin = HostPlugin()
        plugin.stdout = stdout
        request = Request(plugin, "7", "paystatus", {})
        long = {"pay": ("x" * 1_000 for _ in range(1_000))}

        async def story() -> bytes:
            answering = asyncio.create_task(answer_at_length(plugin, request, long))
            await turns(lambda: plugin._long_goes_out or answering.done())
            plugin.notify("pay_success", {"pay_success": {"n": 1}})
            assert not answering.done()
            first = await asyncio.to_thread(lambda: host.readline() + host.readline() + host.readline())
            await answering
            return first

        answer, _, said = played(story()).split(b"\n", 2)
    assert json.loads(answer) == {"jsonrpc": "2.0", "id": "7", "result": {"pay": ["x" * 1_000] * 1_000}}
    assert json.loads(said)["method"] == "pay_success"
