"""Two callers of one invoice are one payment, each in its form: who hears that it was paid before he called.

A call of `pay` and one of `xpay` are the same here but for their limits and for `layers`, which only `xpay` has.
"""

from __future__ import annotations

import asyncio

import pytest

from pay.errors import Code, PayError
from pay.host.calls import SendpayStatus
from tests.support.engine.paying import HASH, Scene, play
from tests.support.waiting import soon


def test_both_have_the_payment_and_a_third_has_come_too_late() -> None:
    async def story(scene: Scene) -> None:
        first = scene.call()
        await scene.until(lambda: scene.host.orders)
        second = scene.xpay()
        await asyncio.sleep(0.02)
        scene.settles()
        one, two, three = await first, await second, await scene.xpay()
        assert one.paid == two.paid == three.paid
        assert (one.earlier, two.earlier, three.earlier) == (False, False, True)
        assert len(scene.host.orders) == 1

    play(story)


def test_both_at_once() -> None:
    """The second finds the first about to begin, and nothing that was paid before it."""

    async def story(scene: Scene) -> None:
        calls = [scene.xpay(), scene.call(), scene.xpay()]
        await scene.until(lambda: scene.host.orders)
        scene.settles()
        assert [(await call).earlier for call in calls] == [False] * 3
        assert len(scene.host.orders) == 1

    play(story)


def test_paid_by_an_earlier_run() -> None:
    async def story(scene: Scene) -> None:
        scene.host.row(SendpayStatus.COMPLETE)
        assert (await scene.xpay()).earlier and (await scene.xpay()).earlier
        assert scene.host.orders == []

    play(story)


def test_paid_by_another_sender_while_we_wait() -> None:
    """It was out when the call came."""

    async def story(scene: Scene) -> None:
        scene.host.row(SendpayStatus.PENDING, groupid=4)
        call = scene.xpay()
        await scene.until(lambda: scene.register.live)
        scene.settles(groupid=4)
        assert not (await soon(call)).earlier

    play(story)


def test_the_limits_of_the_first_apply() -> None:
    """Half a percent or 5 sat of `pay`, not the one percent of an `xpay` that joins."""

    async def story(scene: Scene) -> None:
        first = scene.call(maxfee=7)
        await scene.until(lambda: scene.host.orders)
        second = scene.xpay(maxfee=70_000)
        await scene.until(lambda: any("with its limits: fee 0.007 sat," in line for line in scene.told))
        scene.settles()
        await first
        await second

    play(story)


# --- layers -----------------------------------------------------------------------------------------------------


def test_layers_begin_no_payment() -> None:
    """Nothing is sent for a call that cannot be served as it is meant."""

    async def story(scene: Scene) -> None:
        with pytest.raises(PayError, match=r"^layers: no payment of this invoice is in work") as caught:
            await scene.xpay(layers=["mine"])
        assert caught.value.code == Code.INVALID_PARAMS
        assert scene.host.orders == [] and not scene.register.busy

    play(story)


def test_layers_join_a_payment() -> None:
    """The node's own command would refuse it beside ours, and the payment may succeed."""

    async def story(scene: Scene) -> None:
        first = scene.call()
        await scene.until(lambda: scene.host.orders)
        second = scene.xpay(layers=["mine"])
        await asyncio.sleep(0.02)
        scene.settles()
        assert (await second).paid == (await first).paid

    play(story)


def test_layers_after_what_was_out_has_failed() -> None:
    """A call that waited for another sender does not pay itself then."""

    async def story(scene: Scene) -> None:
        scene.host.row(SendpayStatus.PENDING, groupid=4)
        call = scene.xpay(layers=["mine"])
        await scene.until(lambda: scene.register.live)
        scene.fails(0x1007, groupid=4)
        with pytest.raises(PayError, match=r"^layers: "):
            await soon(call)
        assert scene.host.orders == []

    play(story)


# --- another sender of the node ---------------------------------------------------------------------------------


def test_what_the_host_cannot_read_of_another_group_is_none_of_ours() -> None:
    """Of each failed part of cln-xpay the host says 202, as it has no key to read the answer, with a group that is
    a random number of 63 bits: ours goes on."""

    async def story(scene: Scene) -> None:
        call = scene.call()
        await scene.until(lambda: scene.host.orders)
        session = scene.register.live[HASH].session
        await scene.until(lambda: all(part.status.value == "Inflight" for part in session.live))
        scene.runner.sendpay_failure({
            "code": 202, "message": "Malformed error reply", "onionreply": "00",
            "data": {"payment_hash": HASH.hex(), "groupid": 8454830020255695634, "partid": 1, "status": "pending"},
        })  # fmt: skip
        assert session.failures == [] and len(session.live) == 1
        scene.settles()
        assert (await call).paid.failed_parts == 0

    play(story)
