"""An exception in one session: that payment is answered once the node shows how it ended, and no other notices.

The runner is on a loop of the test's own, with a node of a few rows and a session that breaks when a part fails.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pay.commands.entries import Moment, paystatus_entry
from pay.engine.live import reconciliation
from pay.engine.live.announcements import Announcements
from pay.engine.live.register import Snapshot
from pay.host.calls import SendpayStatus
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from tests.support.engine.runner import Scene
from tests.support.payments import NOW, PREIMAGE
from tests.support.waiting import played, soon, turns


@pytest.fixture(autouse=True)
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of a payment_hash of zeros break when a part fails."""
    handle = PaymentSession.handle

    def breaks(
        session: PaymentSession, event: ev.Event, now: float, unix_s: float | None = None
    ) -> list[ev.Action]:
        if isinstance(event, ev.AttemptFailed) and not any(session.terms.payment_hash):
            raise ZeroDivisionError("a bug")
        return handle(session, event, now, unix_s)

    monkeypatch.setattr(PaymentSession, "handle", breaks)
    monkeypatch.setattr(reconciliation, "LOOK_S", 0.001)


def play(story: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def playing() -> None:
        await story(Scene())

    played(playing())


BROKEN = bytes(32)


def shown(payment: Snapshot) -> tuple[str, str, list[str]]:
    """What paystatus says of a payment, and of its attempts."""
    entry = paystatus_entry(payment.standing, None, None, payment.times, Moment(NOW, 0), lambda _: None)
    return entry["session_status"], entry["waiting_for"], [attempt["status"] for attempt in entry["attempts"]]


def test_failed_once_nothing_is_out(caplog: pytest.LogCaptureFixture) -> None:
    """-1 only when the row has failed; the traceback is in the log; others hear of the end."""

    async def story(scene: Scene) -> None:
        _, caller = await scene.out(BROKEN)
        scene.fails(BROKEN)
        await scene.table.looks_again()
        assert not caller.answer.done()
        scene.table.status[BROKEN] = SendpayStatus.FAILED
        answer = await soon(caller.answer)
        assert isinstance(answer, ev.NotPaid)
        assert answer.error.code == -1 and "nothing was paid" in answer.error.message
        await turns(lambda: not scene.register.live)
        assert len(scene.register.finished()) == 1
        assert scene.heard[-1] == "pay_failure"
        assert shown(scene.register.finished()[0]) == ("Failed", "done", ["Failed"])
        assert scene.register.finished()[0].standing.in_flight_msat == 0

    with caplog.at_level(logging.ERROR, "pay"):
        play(story)
    assert [record.message.split()[0] for record in caplog.records] == ["session_crashed"]
    assert "ZeroDivisionError: a bug" in caplog.text


def test_what_a_broken_payment_has_out_is_held_until_it_is_over() -> None:
    """Its session does not hear of the failure: other plans count its part until the host shows the end."""

    async def story(scene: Scene) -> None:
        running, _ = await scene.out(BROKEN)
        (attempt,) = running.session.live
        assert attempt.route is not None
        held = {hop.scid_dir: hop.amount_msat for hop in attempt.route.hops[1:]}
        assert scene.register.out.held() == held
        scene.fails(BROKEN)
        await scene.table.looks_again()
        assert running.session.live and scene.register.out.held() == held
        scene.table.status[BROKEN] = SendpayStatus.FAILED
        await turns(lambda: not scene.register.live)
        assert scene.register.out.held() == {}

    play(story)


def test_paid_all_the_same() -> None:
    async def story(scene: Scene) -> None:
        _, caller = await scene.out(BROKEN)
        scene.fails(BROKEN)
        await scene.table.looks_again()
        scene.table.status[BROKEN] = SendpayStatus.COMPLETE
        answer = await soon(caller.answer)
        assert isinstance(answer, ev.Paid) and answer.preimage == PREIMAGE
        assert scene.heard[-1] == "pay_success"
        await turns(lambda: scene.register.finished())
        assert shown(scene.register.finished()[0]) == ("Success", "done", ["Settled"])

    play(story)


def test_broken_between_the_verdict_and_its_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session has its preimage, and what tells of the part breaks: the end is told all the same."""

    def breaks(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Announcements, "part_ended", breaks)

    async def story(scene: Scene) -> None:
        _, caller = await scene.out(BROKEN)
        scene.table.status[BROKEN] = SendpayStatus.COMPLETE
        fields = {"payment_hash": BROKEN.hex(), "groupid": 1, "partid": 1, "payment_preimage": PREIMAGE.hex()}
        scene.runner.sendpay_success(fields)
        answer = await soon(caller.answer)
        assert isinstance(answer, ev.Paid) and answer.preimage == PREIMAGE
        assert scene.heard[-1] == "pay_success"

    play(story)


def test_its_row_was_deleted() -> None:
    """Whether it was paid is not known: no answer, and the caller is told why."""

    async def story(scene: Scene) -> None:
        _, caller = await scene.out(BROKEN)
        scene.fails(BROKEN)
        scene.table.status[BROKEN] = None
        await scene.table.looks_again()
        assert not caller.answer.done()
        (words,) = [words for words in caller.told if "was deleted" in words]
        assert "whether it was paid is not known" in words

    play(story)


def test_others_go_on() -> None:
    """A payment beside it fails, is tried again and is paid."""
    other = bytes(31) + b"\1"

    async def story(scene: Scene) -> None:
        await scene.out(BROKEN)
        running, caller = await scene.out(other)
        scene.fails(BROKEN)
        scene.fails(other)
        await turns(lambda: len(running.session.attempts) >= 2)
        fields = {"payment_hash": other.hex(), "groupid": 1, "partid": 2, "payment_preimage": PREIMAGE.hex()}
        scene.runner.sendpay_success(fields)
        answer = await soon(caller.answer)
        assert isinstance(answer, ev.Paid) and answer.parts == 2
        assert set(scene.register.live) == {BROKEN}

    play(story)
