"""A BOLT 12 invoice goes on to the node's own `xpay`; what became of it is read from the table, not the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from pay.engine import paying
from pay.engine.paying import MOST_LOOKS
from pay.errors import PayError
from pay.host.calls import CallError, SendpayStatus
from pay.host.rpc import Unanswered
from pay.host.version import Version
from pay.invoice.invoice import Invoice, InvoiceKind
from pay.payment.receipt import Receipt
from tests.support.engine.paying import AMOUNT_MSAT, INVOICE, Host, Scene
from tests.support.waiting import played, soon

NEWEST, OLDEST = Version(26, 6), Version(24, 11)
BLINDED = replace(INVOICE, kind=InvoiceKind.BOLT12, invstring="lni1", payment_secret=None)
Xpay = Callable[["Node"], Awaitable[None]]


class Node(Host):
    """A host that is asked for `xpay`, and does then what the test says."""

    def __init__(self, *does: Xpay) -> None:
        super().__init__()
        self._does = list(does)
        self.called: list[dict[str, Any]] = []

    async def decode(self, invstring: str, network: str) -> Invoice:
        return BLINDED

    async def at_length(self, method: str, params: dict[str, Any]) -> Any:
        assert method == "xpay"
        self.called.append(params)
        await self._does.pop(0)(self)
        return {}


async def pays(node: Node) -> None:
    node.row(SendpayStatus.COMPLETE)


def fails(code: int, message: str = "no") -> Xpay:
    async def fail(_node: Node) -> None:
        raise CallError("xpay", {"code": code, "message": message})

    return fail


async def lost(_node: Node) -> None:
    raise Unanswered("xpay: the host closed the connection")


def called(node: Node, version: Version = NEWEST, **params: Any) -> Receipt:
    async def story() -> Receipt:
        return await soon(Scene(node, version).call(**params))

    return played(story())


def refused(node: Node, version: Version = NEWEST, **params: Any) -> PayError:
    with pytest.raises(PayError) as error:
        called(node, version, **params)
    return error.value


def test_paid() -> None:
    """Once; the receipt is of the rows, and the fee limit is that of `pay`."""
    node = Node(pays)
    receipt = called(node, label="tea")
    assert (receipt.paid.amount_msat, receipt.paid.parts, receipt.earlier) == (AMOUNT_MSAT, 1, False)
    (params,) = node.called
    assert params == {"invstring": "lni1", "retry_for": 60, "maxfee": 5_000, "maxdelay": 2016, "label": "tea"}
    assert node.orders == []


def test_an_older_xpay_is_told_what_it_knows() -> None:
    node = Node(pays)
    called(node, OLDEST, label="tea")
    assert node.called == [{"invstring": "lni1", "retry_for": 60, "maxfee": 5_000}]


def test_paid_before() -> None:
    """Nobody is asked."""
    node = Node()
    node.row(SendpayStatus.COMPLETE)
    assert called(node).earlier


@pytest.mark.parametrize(
    ("code", "ours"), [(203, 203), (205, 205), (206, 206), (207, 207), (209, 210), (-32602, -32602), (-3, -1)]
)
def test_not_paid(code: int, ours: int) -> None:
    """With the code that `pay` has for it, and the words of who said it."""
    error = refused(Node(fails(code, "too far")))
    assert (error.code, error.message) == (ours, "xpay: too far")


def test_a_node_without_xpay() -> None:
    """What this sender cannot do is said."""
    error = refused(Node(fails(-32601, "Unknown command 'xpay'")))
    assert error.code == -1 and "blinded paths" in error.message


@pytest.mark.parametrize("code", [209, -3, 205])
@pytest.mark.parametrize("settles", [True, False])
def test_an_error_while_a_part_is_out(code: int, settles: bool) -> None:
    """It is waited for, and what became of it is the answer: an error would be taken for surely unpaid."""

    async def still_out(node: Node) -> None:
        node.row(SendpayStatus.PENDING)
        await fails(code)(node)

    async def story() -> Receipt:
        node = Node(still_out, fails(205, "not again"))
        scene = Scene(node, NEWEST)
        call = scene.call()
        await scene.until(lambda: scene.register.live)
        assert not call.done()
        if settles:
            scene.settles()
        else:
            scene.fails(0x1007)
        return await soon(call)

    if settles:
        assert played(story()).paid.amount_msat == AMOUNT_MSAT
    else:
        with pytest.raises(PayError) as error:
            played(story())
        assert error.value.message == "xpay: no"


def test_another_sender_is_at_it() -> None:
    """Once that has failed it is paid as the call asks."""

    async def beside(node: Node) -> None:
        node.row(SendpayStatus.PENDING, groupid=7)
        await fails(-3, 'Unexpected injectpaymentonion error 200: {"message": "in progress"}')(node)

    async def story() -> None:
        scene = Scene(Node(beside, pays), NEWEST)
        call = scene.call()
        await scene.until(lambda: scene.register.live)
        scene.fails(0x1007, groupid=7)
        assert (await soon(call)).paid.amount_msat == AMOUNT_MSAT

    played(story())


def test_a_host_that_shows_nobody_who_is_at_it() -> None:
    """It is asked again some times, and no more."""
    node = Node(*[fails(-3, "Unexpected injectpaymentonion error 200: {}")] * MOST_LOOKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paying, "LOOK_AGAIN_S", 0.0)
        assert refused(node).code == -1
    assert len(node.called) == MOST_LOOKS


def test_no_answer_is_no_verdict() -> None:
    """Another look, and another call, which the host joins or refuses by itself."""
    node = Node(lost, pays)
    assert called(node).paid.amount_msat == AMOUNT_MSAT
    assert len(node.called) == 2


def test_what_xpay_has_no_word_for_is_refused() -> None:
    for params in ({"exclude": ["1x1x1"]},):
        node = Node()
        error = refused(node, **params)
        assert error.code == -32602 and error.message.startswith("exclude: ")
    error = refused(Node(), OLDEST, localinvreqid="00" * 32)
    assert error.code == -32602 and error.message.startswith("localinvreqid: ")


def test_two_calls_at_once() -> None:
    """Each asks; the host lets one of them pay, and the other one has the same receipt."""

    async def story() -> None:
        go_on = asyncio.Event()

        async def slowly(node: Node) -> None:
            await go_on.wait()
            node.row(SendpayStatus.COMPLETE)

        async def beside(node: Node) -> None:
            await go_on.wait()
            await fails(-3, "error 200: in progress")(node)

        scene = Scene(Node(slowly, beside), NEWEST)
        calls = [scene.call(), scene.call()]
        await scene.until(lambda: len(scene.host.called) == 2)
        go_on.set()
        first, second = [await soon(call) for call in calls]
        assert first.paid.preimage == second.paid.preimage

    played(story())
