"""One call of `pay` as a coroutine: what it loops on, what it answers, and what after a bug of ours.

The host is a table of rows; `sendpay` is what the test makes of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pay.engine import paying
from pay.engine.doubt import Doubt
from pay.engine.live.announcements import Announcements
from pay.engine.live.register import Register
from pay.engine.live.runner import Runner
from pay.engine.live.running import Running
from pay.engine.open_calls import OpenCall
from pay.engine.paying import Paying
from pay.engine.preparation import Preparation
from pay.errors import PayError
from pay.host.calls import CallError, PartOrder, SendpayRow, SendpayStatus
from pay.host.dead_rows import DeadRows
from pay.host.version import HostInfo
from pay.invoice.invoice import Invoice, InvoiceKind
from pay.payment.receipt import Receipt
from pay.payment.request import parse_request
from pay.payment.settings import Settings
from pay.payment.terms import Terms
from tests.support.payments import NOW, PREIMAGE, line, node

AMOUNT_MSAT = 100_000
HASH = bytes([7] * 32)
SOON_S = 10.0

INVOICE = Invoice(
    InvoiceKind.BOLT11, "lnbc1", HASH, node("d"), AMOUNT_MSAT, 10**12, 18, bytes(32), None, 1 << 14, "tea", None,
    hints=(),
)  # fmt: skip


class Host:
    """lightningd, with its plugins and our planner: all that a call asks."""

    def __init__(self) -> None:
        self.rows_of: list[SendpayRow] = []
        self.orders: list[PartOrder] = []
        self.refuse: CallError | None = None
        self.trouble: Exception | None = None
        self.plan: Any = (line(AMOUNT_MSAT, "ad", fee_msat=0),)

    def row(
        self, status: SendpayStatus, groupid: int = 1, partid: int = 1, amount_msat: int = AMOUNT_MSAT
    ) -> None:
        preimage = PREIMAGE if status is SendpayStatus.COMPLETE else None
        destination = node("d").hex()
        row = SendpayRow(groupid, partid, status, amount_msat, amount_msat, int(NOW), destination, preimage)
        self.rows_of = [r for r in self.rows_of if (r.groupid, r.partid) != (groupid, partid)] + [row]

    async def decode(self, invstring: str, network: str) -> Invoice:
        return INVOICE

    async def preapprove(self, invstring: str, retry_for_s: float, only_check: bool = False) -> None: ...

    async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
        return list(self.rows_of)

    async def own_channels(self, us: bytes) -> list[Any]:
        return []

    async def sendpay(self, order: PartOrder, partid: int, route: Any) -> dict[str, Any]:
        self.orders.append(order)
        if self.refuse is not None:
            raise self.refuse
        self.row(SendpayStatus.PENDING, order.groupid, partid, route.sent_msat)
        return {"status": "pending", "groupid": order.groupid, "amount_sent_msat": route.sent_msat}

    async def find(self, *_: Any) -> Any:
        return self.plan

    async def shadowed(self, terms: Terms, *_: Any) -> Terms:
        if self.trouble is not None:
            raise self.trouble
        return terms

    def known_behind(self) -> int | None:
        return 0

    def likely_behind(self) -> int:
        return 0

    def learn(self, ended: Any) -> None: ...

    async def size_msat(self, scid: Any) -> int | None:
        return None

    async def write(self, entry: Any) -> None: ...

    async def remove(self, name: str) -> None: ...

    async def total(self, payment_hash: bytes) -> int | None:
        return None


class Scene:
    def __init__(self) -> None:
        self.host = host = Host()
        fake: Any = host
        self.register = Register()
        self.heard: list[tuple[str, dict[str, Any]]] = []
        told = Announcements(lambda topic, fields: self.heard.append((topic, fields)))
        self.runner = Runner(
            fake, fake, node("us"), self.register, told, fake, DeadRows(fake, 0.0), SOON_S
        )
        us = node("us")
        self.paying = Paying(
            fake, HostInfo(us, "regtest", True), self.register, self.runner, fake, DeadRows(fake, 0.0),
            Preparation(fake, us, self.register, fake, fake, Settings), Doubt(fake, self.register, 0.02), 0.02,
        )  # fmt: skip
        self.told: list[str] = []

    def tell(self, message: str, level: str = "info") -> None:
        self.told.append(message)

    def call(self, **params: Any) -> asyncio.Task[Receipt]:
        return asyncio.create_task(
            self.paying.pay(OpenCall(parse_request({"bolt11": "lnbc1", **params}), self.tell))
        )

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(SOON_S):
            while not holds():
                await asyncio.sleep(0)

    def settles(self, groupid: int = 1, partid: int = 1, amount_msat: int = AMOUNT_MSAT) -> None:
        self.host.row(SendpayStatus.COMPLETE, groupid, partid, amount_msat)
        self.runner.sendpay_success({
            "payment_hash": HASH.hex(), "groupid": groupid, "partid": partid, "payment_preimage": PREIMAGE.hex(),
            "created_at": int(NOW),
        })  # fmt: skip

    def fails(self, failcode: int, erring_index: int = 2, groupid: int = 1, partid: int = 1) -> None:
        self.host.row(SendpayStatus.FAILED, groupid, partid)
        self.runner.sendpay_failure({
            "code": 204, "message": "failed",
            "data": {"payment_hash": HASH.hex(), "groupid": groupid, "partid": partid,
                     "erring_index": erring_index, "failcode": failcode},
        })  # fmt: skip


def play(story: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def playing() -> None:
        await story(Scene())

    asyncio.run(asyncio.wait_for(playing(), 30))


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
            paid = (await asyncio.wait_for(answered, SOON_S)).paid
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
        paid = (await asyncio.wait_for(call, SOON_S)).paid
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
        paid = (await asyncio.wait_for(call, SOON_S)).paid
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
        assert {type(error) for error in errors} == {PayError}
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
