"""What nodes on the way and the payee see of a shadow route, in their own HTLCs and onions.

payer ── hub ── far ── end: a walk from far leads on to hub or end, or to who else is on the line by now.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.real.support.network import Node
from tests.real.support.paying import SUCCESS, begin, held, invoice, received, refill, wait_until
from tests.real.support.shop import Shop
from tests.support.waiting import result_of

AMOUNT_MSAT = 100_000_000
FEE_MSAT = 1_001
"""Of the hub: 1 msat and 10 ppm."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One payment: blocks left in far's HTLC and in both of the hub, the onion of far, and the answer."""

    far_blocks: int
    hub_blocks: list[int]
    onion: dict[str, Any]
    answer: dict[str, Any]
    status: dict[str, Any]
    received_msat: int | None


@contextmanager
def shadow(node: Node, value: str) -> Iterator[None]:
    node.call("setconfig", config="pay-shadow", val=value, transient=True)
    try:
        yield
    finally:
        node.call("setconfig", config="pay-shadow", val="delay", transient=True)


def blocks_left(node: Node, payment_hash: str) -> list[int]:
    """Of the HTLCs that this node has of a payment, the longest first."""
    height = node.call("getinfo")["blockheight"]
    htlcs = [h for h in node.call("listhtlcs")["htlcs"] if h["payment_hash"] == payment_hash]
    return sorted((htlc["expiry"] - height for htlc in htlcs), reverse=True)


def pay_and_look(shop: Shop) -> Seen:
    payer, hub, far = shop.payer, shop.line.hub, shop.line.far
    refill(hub, far, 2 * AMOUNT_MSAT)
    made = invoice(far, AMOUNT_MSAT)
    far.call("hold", made["payment_hash"])
    pending = begin(payer, made["bolt11"])
    wait_until(lambda: held(far, made) == 1)
    (onion,) = far.call("held", made["payment_hash"])["onions"]
    (far_blocks,) = blocks_left(far, made["payment_hash"])
    hub_blocks = blocks_left(hub, made["payment_hash"])
    far.call("release", made["payment_hash"])
    answer = result_of(pending).ok()
    assert set(answer) == SUCCESS
    (status,) = payer.call("paystatus", made["bolt11"])["pay"]
    assert payer.call("pay", made["bolt11"]) == answer
    return Seen(far_blocks, hub_blocks, onion, answer, status, received(far, made))


def test_the_nodes_see_its_blocks(shop: Shop) -> None:
    """Without it the payee's HTLC has what it asks for, and the hub's 6 more; with it both have the blocks of a
    walk on top, and the payee is content."""
    with shadow(shop.payer, "off"):
        plain = pay_and_look(shop)
    longer = pay_and_look(shop)
    added = longer.far_blocks - plain.far_blocks
    assert added > 0 and added == longer.status["shadow_delay"]
    assert "shadow_delay" not in plain.status
    assert [more - less for more, less in zip(longer.hub_blocks, plain.hub_blocks, strict=True)] == [added, added]
    assert longer.hub_blocks[0] - longer.hub_blocks[1] == 6
    assert longer.received_msat == plain.received_msat == AMOUNT_MSAT
    assert longer.answer["amount_sent_msat"] == plain.answer["amount_sent_msat"] == AMOUNT_MSAT + FEE_MSAT


def test_the_payee_takes_its_fee(shop: Shop) -> None:
    """Half to all of a tenth of the hub's fee comes on top of the invoice; we say that it was a fee."""
    with shadow(shop.payer, "full"):
        seen = pay_and_look(shop)
    extra = seen.status["shadow_fee_msat"]
    assert FEE_MSAT // 20 <= extra <= FEE_MSAT // 10
    assert int(seen.onion["total_msat"]) == seen.received_msat == AMOUNT_MSAT + extra
    assert seen.answer["amount_msat"] == AMOUNT_MSAT
    assert seen.answer["amount_sent_msat"] >= AMOUNT_MSAT + extra + FEE_MSAT


@pytest.mark.parametrize("value", ["Full", "true", ""])
def test_a_word_that_is_none_is_refused(value: str, shop: Shop) -> None:
    answer = shop.payer.raw.call("setconfig", {"config": "pay-shadow", "val": value, "transient": True})
    assert answer.code == -32602 and answer.error is not None
    assert "off, delay, full" in answer.error["message"]
