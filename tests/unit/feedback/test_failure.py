"""What is read out of failure messages: cut ones, those of another code, and what names are not."""

from __future__ import annotations

import pytest

from pay.feedback.blame import Kind
from pay.feedback.failure import UPDATE, FailCode, Failure, describe, read_details
from tests.support.payments import HEIGHT, blamed, message, update_bytes
from tests.support.restrictions import ASKED, CHANNEL, ROUTE, TABLE


@pytest.mark.parametrize("code", [c for c in FailCode if c & UPDATE], ids=lambda code: code.name)
def test_every_cut_of_a_message_is_survived(code: FailCode) -> None:
    """What is cut short teaches nothing; whole it gives the update, with and without its type."""
    channel = CHANNEL[2]
    for update in (update_bytes(channel, ASKED), update_bytes(channel, ASKED)[2:]):
        whole = message(code, update=update)
        assert read_details(code, whole).update == (channel, ASKED)
        assert read_details(code, whole).update_bytes == update
        for length in range(len(whole)):
            assert read_details(code, whole[:length]).update is None
            assert blamed(ROUTE, Failure(2, code, "", whole[:length])).policy is None


def test_a_message_of_another_code_is_not_read() -> None:
    whole = message(FailCode.FEE_INSUFFICIENT, update=update_bytes(CHANNEL[2], ASKED))
    assert read_details(FailCode.AMOUNT_BELOW_MINIMUM, whole).update is None
    assert read_details(None, whole).update is None


@pytest.mark.parametrize("length", range(14))
def test_a_short_refusal_has_no_height(length: int) -> None:
    """Old recipients send only the code: that is a refusal, not a wait."""
    short = message(FailCode.UNKNOWN_PAYMENT, height=HEIGHT + 1)[:length]
    assert read_details(FailCode.UNKNOWN_PAYMENT, short).height is None
    assert blamed(ROUTE, Failure(4, FailCode.UNKNOWN_PAYMENT, "", short)).kind is Kind.REFUSED


@pytest.mark.parametrize("code", [None, *TABLE], ids=str)
def test_words_are_not_names(code: int | None) -> None:
    words = describe(code)
    assert words and "_" not in words and "expired" not in words.replace("would have expired", "")
