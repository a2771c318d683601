"""Words that the tests of `pay` on real nodes share."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from pay.host.version import NOTIFICATIONS_NAMED_SINCE
from tests.real.support.network import Node
from tests.real.support.release import host
from tests.support.rawrpc import Answer
from tests.support.waiting import until

T = TypeVar("T")
SUCCESS = {
    "destination", "payment_hash", "created_at", "parts", "amount_msat", "amount_sent_msat", "payment_preimage",
    "status",
}  # fmt: skip
INVALID = -32602
UNKNOWN_DETAILS = "400f00000000000186a000000067"
"""incorrect_or_unknown_payment_details for 100,000 msat at height 103."""
TEMPORARY_NODE_FAILURE = "2002"
LOOK_S = 0.05
_labels = itertools.count()


def invoice(node: Node, amount_msat: int | str = 100_000, description: str = "tea", **more: Any) -> dict[str, Any]:
    """A new invoice of this node."""
    label = f"pay-{next(_labels)}"
    return node.call("invoice", amount_msat=amount_msat, label=label, description=description, **more)


def pay(node: Node, *positional: Any, **named: Any) -> Answer:
    """`pay`, as the socket answers it."""
    return node.raw.call("pay", list(positional) or named)


def received(node: Node, made: dict[str, Any]) -> int | None:
    """What was paid to this invoice."""
    (shown,) = node.call("listinvoices", payment_hash=made["payment_hash"])["invoices"]
    return shown.get("amount_received_msat")


def rows(node: Node, made: dict[str, Any]) -> list[dict[str, Any]]:
    return node.call("listsendpays", payment_hash=made["payment_hash"])["payments"]


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Look again and again; a call of a real node takes a while."""
    until(condition, what, look_s=LOOK_S)


def spendable(source: Node, target: Node) -> int:
    return int(source.channel_to(target)["spendable_msat"])


def refill(source: Node, target: Node, least_msat: int) -> None:
    """Let the neighbour pay back, by the host's own means, until so much can be sent to it; the network is shared
    by all tests, and each leaves its channels as they came to be."""
    short_msat = least_msat * 11 // 10 - spendable(source, target)
    if short_msat > 0:
        target.call("xpay", invoice(source, short_msat)["bolt11"])
        wait_until(lambda: spendable(source, target) >= least_msat)


def begin(node: Node, *positional: Any, **named: Any) -> Future[Answer]:
    """`pay` beside the test."""
    return begin_other(node, "pay", *positional, **named)


def begin_other(node: Node, method: str, *positional: Any, **named: Any) -> Future[Answer]:
    """Another command beside the test."""
    return beside(lambda: node.raw.call(method, list(positional) or named))


def beside(work: Callable[[], T]) -> Future[T]:
    """What `work` returns or raises, on a thread of its own."""
    executor = ThreadPoolExecutor(max_workers=1)
    future = executor.submit(work)
    executor.shutdown(wait=False)
    return future


def told(node: Node, topic: str, made: dict[str, Any]) -> dict[str, Any]:
    """The one notification of this topic about a payment; lightningd brings it after the answer, or before."""
    wait_until(lambda: bool(node.notifications(topic, made["payment_hash"])))
    (params,) = node.notifications(topic, made["payment_hash"])
    return fields_of(params, topic)


def fields_of(params: dict[str, Any], topic: str) -> dict[str, Any]:
    """What the sender of a notification put into it."""
    fields: dict[str, Any] = params[topic if host().since(NOTIFICATIONS_NAMED_SINCE) else "payload"]
    return fields


def held(node: Node, made: dict[str, Any]) -> int:
    return node.call("held", made["payment_hash"])["htlcs"]
