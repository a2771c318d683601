"""What a caller is told of a text that is no invoice: what it is, and what helps."""

from __future__ import annotations

import time

import pytest

from pay.invoice import normalise
from pay.invoice.unreadable import unreadable

BAD = "Bad bech32 string"
NONE = "Unparsable string"
GOOD = "lnbc20u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqhp58yjmdan79s6qqdhdzgynm4zwqd5d7x"
ADDRESS = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"

TEXTS = [
    # What wallets show beside an invoice, or call by its name.
    ("LNURL1DP68GURN8GHJ7UM9WFMXJCM99E3K7MF0V9CXJ0M385EKVCENXC6R2C35XVUKXEFCV5MKVV34X5EKZD3EV56NYD3HXQU", NONE,
     "LNURL", "a wallet that knows LNURL"),
    ("lnurlp://host.example/pay", NONE, "LNURL", "a wallet that knows LNURL"),
    ("https://host.example/?lightning=LNURL1DP68", NONE, "web address", "a wallet that knows LNURL"),
    ("bob@host.example", NONE, "Lightning address", "from its host"),
    ("lightning:bob@host.example", NONE, "Lightning address", "from its host"),
    (f"bitcoin:{ADDRESS}?amount=0.00002&lightning={GOOD.upper()}", NONE, "payment link", "`lightning=`"),
    (f"BITCOIN:{ADDRESS}?amount=0.00002&lno=lno1pg", NONE, "payment link with an offer", "`fetchinvoice`"),
    (f"bitcoin:{ADDRESS}?amount=0.00002", NONE, "on-chain address", "`withdraw`"),
    (ADDRESS, NONE, "on-chain address", "`withdraw`"),
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", NONE, "on-chain address", "`withdraw`"),
    ("lnr1qqsdpg9ksgdwf", NONE, "request for an invoice", "nothing is to be paid"),
    ("lno1pgx37enpv4", "invalid offer data", "this offer", "copy it again, in full"),
    ("lni1pgx37enpv4", "invalid invoice data", "BOLT 12 invoice", "copy it again, in full"),
    ("02" + "ab" * 32, NONE, "node id", "`keysend`"),
    ("ab" * 32, NONE, "payment hash", "the invoice itself"),
    ("clnemerg1qgsrqv", NONE, "not an invoice", "begins with lnbc"),
    ("tea", NONE, "not an invoice", "begins with lnbc"),
    # Of another network.
    (GOOD.replace("lnbc", "lntb"), BAD, "another network (lntb)", "for ours"),
    (GOOD.replace("lnbc", "lnltc"), NONE, "another network (lnltc)", "for ours"),
    # Lost or changed on the way here: the checksum is wrong.
    (GOOD[:-1], BAD, "letters are missing or wrong", "copy the invoice again, in full"),
    (GOOD[:40], BAD, "letters are missing or wrong", "copy the invoice again, in full"),
    ("lnbc", NONE, "letters are missing", "copy the invoice again, in full"),
    (GOOD.replace("lnbc", "lnb"), NONE, "begins with lnb,", "copy the invoice again, in full"),
    (f"{GOOD[:30]} {GOOD[30:]}", BAD, "white space", "copy the invoice again, in full"),
    (f"{GOOD}?x", BAD, "'?'", "copy the invoice again, in full"),
    # As it was made: the checksum is right.
    (GOOD, "9: unknown feature bit 50", "feature bit 50", "ask the recipient for one without it"),
    (GOOD, "must have either 'd' or 'h' field", "neither a description nor the hash", "another invoice, with one"),
    (GOOD, "Missing required payment secret (s field)", "no payment_secret", "another invoice, with one"),
    (GOOD, "Invalid amount postfix 'y'", "was made so", "ask the recipient for another invoice"),
]  # fmt: skip


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
