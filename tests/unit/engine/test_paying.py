"""One call of `pay` as a coroutine: what it loops on, what it answers, and what after a bug of ours.

The host is a table of rows; `sendpay` is what the test makes of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from pay.engine import paying
from pay.engine.live.running import Running
from pay.errors import PayError
from pay.host.calls import CallError, SendpayStatus
from pay.payment.receipt import Receipt
from pay.payment.standing import PaymentFailed
from tests.support.engine.paying import AMOUNT_MSAT, HASH, Scene, play
from tests.support.payments import NOW, PREIMAGE, line, node
from tests.support.waiting import soon


def test_paid() -> None:
    async def story(scene: Scene) -> None:
        call = scene.call()
        await scene.until(lambda: scene.host.orders)
        scene.settles()
        receipt = await call
        assert (receipt.payment_hash, receipt.destination) == (HASH, node("d"))
        assert (receipt.created_at_s, receipt.paid.preimage) == (int(NOW), PREIMAGE)
        assert (await scene.call()).paid == receipt.paid

    play(story)


# --- in parts ---------------------------------------------------------------------------------------------------


HALF_MSAT = AMOUNT_MSAT // 2
HALVES = (line(HALF_MSAT, "ad", fee_msat=0), line(HALF_MSAT, "ad", fee_msat=0, first=5))


async def first_half_settled(scene: Scene, **params: Any) -> asyncio.Task[Receipt]:
    """A payment in two parts, of which one has settled."""
    scene.host.plan = HALVES
    call = scene.call(**params)
    await scene.until(lambda: len(scene.host.orders) == 2)
    await scene.until(lambda: all(a.status.value == "Inflight" for a in scene.register.live[HASH].session.live))
    scene.settles(amount_msat=HALF_MSAT)
    return call


def test_a_success_in_parts_waits_for_the_last_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others hear of the preimage at once; the answer is that of a payment that is complete."""
    monkeypatch.setattr(paying, "PARTS_S", 60.0)

    async def story(scene: Scene) -> None:
        call = await first_half_settled(scene)
        again = scene.call()
        assert ("pay_success", {"payment_hash": HASH.hex(), "bolt11": "lnbc1"}) in scene.heard
        await asyncio.sleep(0.02)
        assert not call.done() and not again.done()
        scene.settles(partid=2, amount_msat=HALF_MSAT)
        for answered in (call, again):
            paid = (await soon(answered)).paid
            assert (paid.incomplete, paid.parts, paid.sent_msat, paid.amount_msat) == (
                False, 2, AMOUNT_MSAT, AMOUNT_MSAT,
            )  # fmt: skip

    play(story)


def test_a_part_that_does_not_settle_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second after the preimage, whoever calls when: the figures count what is out."""
    monkeypatch.setattr(paying, "PARTS_S", 0.05)

    async def story(scene: Scene) -> None:
        call = await first_half_settled(scene)
        began = asyncio.get_running_loop().time()
        paid = (await call).paid
        assert asyncio.get_running_loop().time() - began >= 0.04
        assert (paid.incomplete, paid.sent_msat, paid.preimage) == (True, AMOUNT_MSAT, PREIMAGE)
        monkeypatch.setattr(paying, "PARTS_S", 0.0)
        assert (await scene.call()).paid == paid
        scene.settles(partid=2, amount_msat=HALF_MSAT)
        assert (await scene.call()).paid.incomplete is False

    play(story)


def test_a_part_that_fails_after_the_preimage(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a success, at the end of the last part, and less was sent."""
    monkeypatch.setattr(paying, "PARTS_S", 60.0)

    async def story(scene: Scene) -> None:
        call = await first_half_settled(scene)
        scene.fails(0x1007, partid=2)
        paid = (await soon(call)).paid
        assert (paid.incomplete, paid.sent_msat, paid.amount_msat) == (True, HALF_MSAT, AMOUNT_MSAT)

    play(story)


def test_a_bug_while_the_last_part_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preimage is known: the table's word for the figures, and a success."""
    monkeypatch.setattr(paying, "PARTS_S", 0.2)

    async def story(scene: Scene) -> None:
        call = await first_half_settled(scene)
        running = scene.register.live[HASH]

        def breaks(*_: Any) -> Any:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(running.session, "handle", breaks)
        scene.settles(partid=2, amount_msat=HALF_MSAT)
        monkeypatch.undo()
        paid = (await soon(call)).paid
        assert (paid.preimage, paid.sent_msat, paid.amount_msat) == (PREIMAGE, AMOUNT_MSAT, AMOUNT_MSAT)

    play(story)


# --- several calls ----------------------------------------------------------------------------------------------


def test_a_caller_that_goes_away_ends_nothing() -> None:
    async def story(scene: Scene) -> None:
        first, second = scene.call(), scene.call()
        await scene.until(lambda: scene.host.orders)
        await scene.until(lambda: len(scene.register.live[HASH].listeners) == 2)
        first.cancel()
        await scene.until(lambda: len(scene.register.live[HASH].listeners) == 1)
        scene.settles()
        assert (await second).paid.preimage == PREIMAGE
        assert len(scene.host.orders) == 1

    play(story)


def test_all_callers_get_the_one_error() -> None:
    async def story(scene: Scene) -> None:
        calls = [scene.call() for _ in range(3)]
        await scene.until(lambda: scene.host.orders and len(scene.register.live[HASH].listeners) == 3)
        scene.fails(0x400F)
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in errors} == {PaymentFailed}
        assert {error.code for error in errors if isinstance(error, PayError)} == {203}
        assert not scene.register.live

    play(story)


def test_the_host_refuses_for_another_group_that_it_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at again, ten times, with growing pauses; then that is the error, after one more look."""
    monkeypatch.setattr(paying, "LOOK_AGAIN_S", 0.001)

    async def story(scene: Scene) -> None:
        scene.host.refuse = CallError("sendpay", {"code": 200, "message": "Payment is still in progress"})
        with pytest.raises(PayError) as refused:
            await scene.call()
        assert refused.value.code == -1 and "still in progress" in refused.value.message
        assert len(scene.host.orders) == paying.MOST_LOOKS
        assert any("another sender may still have a part" in words for words in scene.told)

    play(story)


def test_a_group_that_shows_is_waited_for_and_then_we_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host refuses ours; the other group fails; ours is sent again, in a group after it."""
    monkeypatch.setattr(paying, "LOOK_AGAIN_S", 0.001)

    async def story(scene: Scene) -> None:
        scene.host.refuse = CallError("sendpay", {"code": 200, "message": "Payment is still in progress"})
        call = scene.call()
        await scene.until(lambda: scene.host.orders)
        scene.host.row(SendpayStatus.PENDING, groupid=5)
        await scene.until(lambda: HASH in scene.register.live and not scene.register.live[HASH].whole)
        scene.host.refuse = None
        orders = len(scene.host.orders)
        scene.fails(0x1007, groupid=5)
        await scene.until(lambda: len(scene.host.orders) > orders)
        assert scene.host.orders[-1].groupid == 6
        scene.settles(groupid=6)
        assert (await call).paid.preimage == PREIMAGE

    play(story)


def test_a_late_success_of_another_group_is_ours() -> None:
    """An order of an earlier run is paid while ours is between two attempts: no further part is sent."""

    async def story(scene: Scene) -> None:
        scene.host.row(SendpayStatus.FAILED, groupid=1)
        call = scene.call()
        await scene.until(lambda: scene.host.orders)
        scene.host.plan = asyncio.Future()
        scene.fails(0x1007, erring_index=1, groupid=2)
        scene.settles(groupid=1, partid=2)
        assert (await call).paid.preimage == PREIMAGE
        assert len(scene.host.orders) == 1

    play(story)


def test_paid_after_its_callers_were_told_that_it_was_not(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits any more: other plugins hear of it, and the line is one that operators look at."""

    async def story(scene: Scene) -> None:
        call = scene.call()
        await scene.until(lambda: scene.host.orders)
        scene.fails(0x400F)
        with pytest.raises(PayError):
            await call
        scene.settles()
        assert scene.heard[-1] == ("pay_success", {"payment_hash": HASH.hex(), "bolt11": "lnbc1"})
        assert [(r.levelname, r.message.split()[0]) for r in caplog.records if r.levelno >= logging.WARNING] == [
            ("WARNING", "payment_paid_after_error")
        ]
        assert (await scene.call()).paid.preimage == PREIMAGE
        # A group of somebody else, after ours, is his to tell of.
        heard = len(scene.heard)
        scene.settles(groupid=9)
        assert len(scene.heard) == heard

    with caplog.at_level(logging.DEBUG, "pay"):
        play(story)


# --- the log ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "code", "amount"),
    [
        ({"amount_msat": 5}, -32602, AMOUNT_MSAT),
        ({"maxdelay": 1}, 206, AMOUNT_MSAT),
        ({"partial_msat": 7, "maxdelay": 1}, 206, 7),
    ],
)
def test_a_refused_call_is_in_the_log_once(
    params: dict[str, Any], code: int, amount: int, caplog: pytest.LogCaptureFixture
) -> None:
    """With all that is known of it, so that the story of its payment_hash has it."""

    async def story(scene: Scene) -> None:
        with pytest.raises(PayError) as refused:
            await scene.call(**params)
        assert refused.value.code == code
        (words,) = [r.message for r in caplog.records if r.message.startswith("pay_refused")]
        about = f"payment_hash={HASH.hex()} payee={node('d').hex()} amount_msat={amount}"
        assert words == f"pay_refused {about} code={code} message={refused.value.message!r}"

    with caplog.at_level(logging.INFO, "pay"):
        play(story)


def test_a_payment_that_failed_was_not_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        call = scene.call()
        await scene.until(lambda: scene.host.orders)
        scene.fails(0x400F)
        with pytest.raises(PayError):
            await call
        assert [r.message.split()[0] for r in caplog.records] == ["payment_start", "payment_failed"]

    with caplog.at_level(logging.INFO, "pay"):
        play(story)


# --- errors of ours ---------------------------------------------------------------------------------------------


def test_an_error_of_ours_before_anything_was_sent() -> None:
    """The table shows nothing: -1, and the next call pays."""

    async def story(scene: Scene) -> None:
        scene.host.trouble = ZeroDivisionError("a bug")
        with pytest.raises(PayError) as refused:
            await scene.call()
        assert refused.value.code == -1 and "nothing was paid" in refused.value.message
        scene.host.trouble = None
        call = scene.call()
        await scene.until(lambda: scene.host.orders)
        scene.settles()
        assert (await call).paid.preimage == PREIMAGE

    play(story)


def test_an_error_of_ours_in_the_call_itself_answers_with_what_became_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The part is out when the call breaks: it is waited for, and it was paid."""
    monkeypatch.setattr(paying, "LOOK_S", 0.001)

    async def breaks(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Running, "outcome", breaks)

    async def story(scene: Scene) -> None:
        call = scene.call()
        await scene.until(lambda: scene.host.orders)
        await asyncio.sleep(0.01)
        assert not call.done()
        scene.settles()
        assert (await call).paid.preimage == PREIMAGE

    play(story)
