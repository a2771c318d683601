"""What a person reads on a real lightningd: what a text is, what a payment was for, which own channel is away."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from pay.sim.network.encoding.bolt11 import FIELD_ORDER, Bolt11, encode, writing
from tests.real.support.network import Node
from tests.real.support.paying import INVALID, TEMPORARY_NODE_FAILURE, begin, held, invoice, pay, rows, wait_until
from tests.real.support.shop import WITH_PLUGIN, Shop
from tests.support.rawrpc import Answer
from tests.support.waiting import result_of

KEY = b"\x11" * 32


def written(**fields: Any) -> Bolt11:
    plain = Bolt11(
        payment_hash=hashlib.sha256(repr(fields).encode()).digest(), created_at=int(time.time()),
        amount_msat=1_000, description="tea", payment_secret=b"\x08" * 32, features=1 << 8 | 1 << 14,
    )  # fmt: skip
    return replace(plain, **fields)


def message(answer: Answer, code: int = INVALID) -> str:
    assert answer.error is not None and answer.code == code, answer
    words: str = answer.error["message"]
    assert words.isascii() and len(words) <= 300
    return words


def for_nothing() -> str:
    """No writer of ours makes one, and others do."""
    with patch.object(writing, "_amount_text", lambda _: "0"):
        return encode(written(), KEY)


GOOD = encode(written(), KEY)
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
TEXTS = [
    ("LNURL1DP68GURN8GHJ7UM9WFMXJCM99E3K7MF0V9CXJ0M385EKVCENXC6R2C35XVUKXEFCV5MKVV34X5EKZD3EV56NYD3HXQU",
     "this is an LNURL"),
    ("lightning:lnurl1dp68gurn8ghj7um9wfmxjcm99e3k7mf0v9cxj0m385ekvcenxc6r2c35xvukx", "this is an LNURL"),
    ("bob@host.example", "this is a Lightning address"),
    (ADDRESS, "`withdraw` pays to it"),
    (f"bitcoin:{ADDRESS}?amount=0.001", "`withdraw` pays to it"),
    (f"bitcoin:{ADDRESS}?amount=0.001&lightning={GOOD}", "give the invoice alone"),
    ("02" + "ab" * 32, "`keysend` pays a node without one"),
    ("ab" * 32, "the invoice itself is needed"),
    ("tea time", "begins with lnbcrt"),
    ("dGVhIHRpbWUgdGVhIHRpbWUgdGVhIHRpbWUgdGVhIHRpbWUgdGVhIHRpbWU=", "begins with lnbcrt"),
    (GOOD[:-1], "copy the invoice again, in full"),
    (GOOD[:100] + GOOD[101:], "copy the invoice again, in full"),
    (GOOD[:20], "copy the invoice again, in full"),
    (f"{GOOD[:99]}\n{GOOD[99:]}", "white space"),
    (encode(written(currency="bc"), KEY), "another network (lnbc); ours is regtest"),
    (encode(written(features=1 << 8 | 1 << 14 | 1 << 50), KEY), "feature bit 50"),
    (encode(written(), KEY, order=FIELD_ORDER.replace("d", "")), "neither a description nor the hash of one"),
    # Of a length that no rune has: else one in some dozens reads as one, and all that is said is to copy it again.
    (encode(written(description="teas"), KEY, order=FIELD_ORDER.replace("s", "")), "no payment_secret"),
    (encode(written(description="teas"), KEY, order=FIELD_ORDER.replace("p", "")),
     "ask the recipient for another invoice"),
    (for_nothing(), "asks for 0msat"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), TEXTS, ids=lambda value: str(value)[:20].strip())
def test_what_is_no_invoice_to_pay(text: str, words: str, shop: Shop) -> None:
    """What lightningd makes of each (much is a rune to it), and what the caller is told."""
    told = message(pay(shop.payer, text))
    assert told.startswith("bolt11: ") and words in told
    assert ("again, in full" in told) is ("in full" in words or words == "white space")


def test_offers_and_their_kin(shop: Shop) -> None:
    """A real offer and a real invoice of BOLT 12, whole and with a letter missing."""
    offer = shop.line.far.call("offer", amount="1sat", description="tea")["bolt12"]
    assert "`fetchinvoice`" in message(pay(shop.payer, offer))
    assert "copy it again" in message(pay(shop.payer, offer[:-7]))
    request = shop.line.far.call("invoicerequest", amount="1sat", description="tea")["bolt12"]
    assert "invoice" in message(pay(shop.payer, request))
    fetched = shop.line.host.call("fetchinvoice", offer=offer)["invoice"]
    assert pay(shop.payer, fetched).ok()["amount_msat"] == 1_000


def test_an_invoice_for_nothing_with_an_amount(shop: Shop) -> None:
    """Neither advice leads to the other's refusal."""
    nothing = for_nothing()
    without, given = pay(shop.payer, nothing), pay(shop.payer, bolt11=nothing, amount_msat=1_000)
    assert message(without) == message(given)


@pytest.mark.parametrize(
    "words",
    ["tea", 'with "quotes" and \\ and a\nnew line', "d\u00e9j\u00e0 vu \u2615 \U0001f375", "x" * 639],
    ids=["plain", "to be escaped", "letters of others", "as long as may be"],
)
def test_what_it_was_for(words: str, shop: Shop) -> None:
    """The invoice's description is in the host's lists where the caller gave none, to the letter but for quotes
    and the like, of which the host keeps what JSON writes."""
    made = shop.line.far.peer.rpc.invoice(100_000, f"what for {len(words)} {words[:20]}", words)
    assert pay(shop.payer, made["bolt11"]).ok()
    (row,) = rows(shop.payer, made)
    (entry,) = shop.payer.call("listpays", payment_hash=made["payment_hash"])["pays"]
    assert row["description"] == entry["description"] == json.dumps(words, ensure_ascii=False)[1:-1]


def test_what_it_was_for_is_not_known_of_a_hash(shop: Shop) -> None:
    """The hash of a description is none; whoever knows the words may give them."""
    story = "a long story " * 100
    silent, told = (invoice(shop.line.far, description=story, deschashonly=True) for _ in range(2))
    assert pay(shop.payer, silent["bolt11"]).ok()
    assert pay(shop.payer, bolt11=told["bolt11"], description=story).ok()
    assert "description" not in rows(shop.payer, silent)[0]
    assert rows(shop.payer, told)[0]["description"] == story


def test_a_channel_of_ours_that_is_away_and_one_with_too_little(shop: Shop) -> None:
    """hub ── rich ┄┄ shut, a million sat each: shut is asked for more than that, and then stopped."""
    line = shop.line
    rich, shut = line.regtest.start({**WITH_PLUGIN, "may_reconnect": False}, {"may_reconnect": False})
    line.regtest.open_channels((rich, line.hub))
    line.regtest.open_channels((rich, shut), announce=False)
    line.regtest.wait_for_channels(rich, 4)
    name = rich.channel_to(shut)["short_channel_id"]
    dear, made = invoice(shut, 1_500_000_000), invoice(shut, 100_000_000)
    told = message(pay(rich, bolt11=dear["bolt11"], retry_for=5), 205)
    assert f"our channel {name} with the recipient, its only open one that we know of," in told
    shut.peer.stop()
    wait_until(lambda: not rich.channel_to(shut)["peer_connected"])
    refused = pay(rich, bolt11=made["bolt11"], retry_for=1)
    words = message(refused, refused.code or 0)
    assert refused.code in (205, 210)
    assert f"our channel {name} with the recipient is not connected and holds " in words
    _nothing_is_denied(rich, words)


def _nothing_is_denied(node: Node, words: str) -> None:
    for wrong in ("has no channel", "no channels lead", "ask for", "probably offline"):
        assert wrong not in words
    wait_until(lambda: bool(_failures(node, words)))
    assert not any("???" in line for line in _failures(node, words))


def _failures(node: Node, words: str) -> list[str]:
    """The lines of the host's log with these words."""
    node.peer.daemon.logs_catchup()
    return [line for line in node.peer.daemon.logs if "payment_failed" in line and words in line]


def test_an_error_is_read_without_scrolling(shop: Shop) -> None:
    """As lightning-cli prints it: the code, the message, and what the builtin has beside them; each once."""
    made = invoice(shop.line.far, 100_000)
    shop.line.far.call("hold", made["payment_hash"])
    answer = begin(shop.payer, bolt11=made["bolt11"], retry_for=0)
    wait_until(lambda: held(shop.line.far, made) == 1)
    shop.line.far.call("release", made["payment_hash"], TEMPORARY_NODE_FAILURE)
    error = result_of(answer).error
    assert error is not None and list(error)[:2] == ["code", "message"]
    printed = json.dumps(error, indent=3).splitlines()
    assert len(printed) < 60
    assert "attempts" in error and "attempts" not in error["data"]
