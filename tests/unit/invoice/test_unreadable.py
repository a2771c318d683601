"""What a caller is told of a text that is no invoice: what it is, and what helps."""

from __future__ import annotations

import time

import pytest

from pay.invoice import normalise
from pay.invoice.unreadable import unreadable
from tests.support.invoices import TEXTS
from tests.support.invoices import UNPARSABLE as NONE


@pytest.mark.parametrize(("text", "said", "what", "advice"), TEXTS, ids=lambda value: str(value)[:24])
def test_what_it_is_and_what_helps(text: str, said: str, what: str, advice: str) -> None:
    words = unreadable(normalise(text), said, "bc")
    assert what in words and advice in words
    copied = "copy" in words
    assert copied is ("copy" in advice), "to copy it again helps where letters got lost, and nowhere else"
    assert len(words) < 200 and words.isascii()


def test_a_text_is_not_repeated() -> None:
    """It may be a secret that got into the wrong field, and the log keeps what is refused."""
    for secret in ("clnemerg1qgsrqv" * 9, "word " * 24, "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3"):
        assert secret[:10].lower() not in unreadable(normalise(secret), NONE, "bc").lower()


@pytest.mark.parametrize(
    "text",
    ["a@" + "." * 100_000 + "/", "a@" + "a." * 50_000 + "/", "bitcoin:" + "&lno=&" * 16_000, "ln" + "a1" * 50_000],
    ids=["dots", "labels", "link", "invoice"],
)
def test_no_text_takes_long(text: str):
    """Callers pass on what others have typed, and all payments wait while it is looked at."""
    began_s = time.process_time()
    assert unreadable(text, NONE, "bcrt")
    assert time.process_time() - began_s < 5.0
