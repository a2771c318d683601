"""The caller behind a request is answered, whatever goes wrong with what is beside the answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from pay.app.application import RequestCaller
from pay.app.service import Service
from pay.commands import pay, xpay
from pay.commands.form.command import Command
from pay.errors import Code, Expired, Facts, PayError


class Plugin:
    """Notes what it is to answer with."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []

    def fail(self, _request: object, error: dict[str, Any]) -> None:
        self.answers.append(error)


def answer(error: PayError) -> dict[str, Any]:
    plugin = Plugin()
    RequestCaller(cast(Any, plugin), cast(Any, None)).fail(error)
    (told,) = plugin.answers
    return told


def test_an_error_has_what_is_known() -> None:
    told = answer(PayError(Code.INVOICE_EXPIRED, "Too late", Expired(9, 8)))
    assert told == {"code": 207, "message": "Too late", "data": {"now": 9, "expiry": 8}}


def test_an_error_that_cannot_be_written_whole_keeps_code_and_words() -> None:
    """A caller without an answer would not know whether he has paid."""
    told = answer(PayError(Code.DESTINATION_FAILED, "Refused", cast(Facts, object())))
    assert told == {"code": 203, "message": "Refused"}


@pytest.mark.parametrize("command", [pay.COMMAND, xpay.COMMAND], ids=lambda command: command.name)
def test_a_bug_after_the_preimage_is_no_word_that_nothing_was_paid(command: Command[Any]) -> None:
    """-1 and the other codes of `pay` are booked as surely unpaid."""

    async def answered(*_: object) -> dict[str, Any]:
        raise KeyError("what the answer is made of")

    async def served() -> None:
        service: Any = object.__new__(Service)
        service._context = None
        caller = RequestCaller(cast(Any, plugin), cast(Any, Request()))
        await service.serve(replace(command, answer=answered), None, False, caller)

    plugin = Plugin()
    asyncio.run(served())
    (told,) = plugin.answers
    assert told["code"] == -32603 not in {int(failing.code) for failing in command.errors}


class Request:
    def notify(self, _message: str, _level: str) -> None:
        raise AssertionError("nothing is told")
