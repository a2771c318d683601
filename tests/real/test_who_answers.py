"""Who answers which call, case by case, as docs/front-door.md shows it: on the lightningd of the PATH."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pay.host.version import XPAY_OWNS_LISTPAYS_SINCE
from tests.real.support.release import host
from tests.support.checkout import ROOT
from tests.support.lightningd.alone import Alone
from tests.support.lightningd.who_answers import COLUMNS, ROWS, Column, Ended, Given, Who
from tests.support.waiting import until

CLNPAY = ROOT / "clnpay.py"
NO_SUCH_COMMAND = -32601
TEXTS = {
    Given.BOLT12: "lni1qqqqsqq4qqssqdgqfyq9yqzkqpvszg26qpdspfqq5cq25q9jqrhspacqlmlq",
    Given.OFFER: "lno1zzz",
    Given.ADDRESS: "bob@host.example", Given.OTHER: "tea",
}  # fmt: skip
"""No one of them can be paid, and who says so is seen from the words."""

_labels = itertools.count()

LISTED_BY = Who.XPAY if host().since(XPAY_OWNS_LISTPAYS_SINCE) else Who.PAY
WORDS = {
    "bolt11: ": Who.CLNPAY, "Invalid bolt11: ": Who.PAY, "Invalid bolt12: ": Who.PAY,
    "Invalid bolt11 invoice": Who.XPAY, "Invalid bolt12 ": Who.XPAY, "Unknown command 'fetchbip353'": Who.XPAY,
    "status: should be pending": Who.CLNPAY, "status: should be an invoice status": LISTED_BY,
}  # fmt: skip


def answered(node: Alone, command: str, given: Given, bolt11: str) -> Who:
    mark = len(node.log)
    match given:
        case Given.NOT_AT_WORK:
            answer = node.call(command, {"status": "nonsense"})
        case Given.BOLT11:
            answer = node.call(command, [bolt11])
        case _:
            answer = node.call(command, [TEXTS[given]])
    if answer.error is not None:
        return by_words(answer.error)
    assert given is Given.BOLT11, f"{command} has taken it: {answer}"
    if command == "paystatus":
        return Who.CLNPAY if any("session_status" in shown for shown in answer.ok()["pay"]) else Who.PAY
    if any(f"plugin-{CLNPAY.name}: payment_start" in line for line in node.log[mark:]):
        return Who.CLNPAY
    return by_form(answer.ok())


def invoice(node: Alone) -> str:
    made = node.call("invoice", {"amount_msat": 1000, "label": f"{next(_labels)}", "description": "d"}).ok()
    return str(made["bolt11"])


def by_words(error: dict[str, Any]) -> Who:
    found = [who for words, who in WORDS.items() if error["message"].startswith(words)]
    if not found:
        assert error["code"] == NO_SUCH_COMMAND, error
        return Who.NOBODY
    return found[0]


def by_form(result: dict[str, Any]) -> Who:
    """`xpay` has five fields, and begins what it answers for `pay` with another one than that does."""
    return Who.PAY if next(iter(result)) == "destination" else Who.XPAY


def plugin_pid(node: Alone) -> int:
    (line,) = (line for line in node.lines("plugin-manager: started(") if line.endswith(CLNPAY.name))
    return int(line.partition("started(")[2].partition(")")[0])


def end(node: Alone, how: Ended) -> None:
    if how is Ended.STOPPED:
        node.call("plugin", ["stop", CLNPAY.name]).ok()
    else:
        os.kill(plugin_pid(node), signal.SIGKILL)
    until(lambda: node.call("help", ["payments"]).code == NO_SUCH_COMMAND, "it is gone")


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.title} {column.releases}")
def test_as_the_document_says(column: Column, tmp_path: Path) -> None:
    if not column.covers(host()):
        pytest.skip(f"{host()} is none of {column.releases}")
    allowed = f"--allow-deprecated-apis={'true' if column.deprecated else 'false'}"
    node = Alone(tmp_path / "node", [CLNPAY], [*column.options, allowed])
    try:
        assert not node.dead, node.last_words
        until(lambda: node.lines(" started version="), "the plugin has started")
        if column.ended is not None:
            end(node, column.ended)
        paid = {"xpay": invoice(node), "pay": invoice(node)}
        found = [
            (command, given, answered(node, command, given, paid.get(command, paid["pay"])))
            for command, given in ROWS
        ]
        assert found == [(*row, who) for row, who in zip(ROWS, column.who, strict=True)]
    finally:
        node.close()
