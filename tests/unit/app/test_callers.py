"""The caller behind a request is answered, whatever goes wrong with what is beside the answer."""

from __future__ import annotations

from typing import Any, cast

from pay.app.application import RequestCaller
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
