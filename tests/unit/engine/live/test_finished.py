"""What is kept of payments that are over: how many, with how many attempts, and of the rest that they were."""

from __future__ import annotations

import gc
import weakref

import pytest

from pay.engine.live import register as kept
from pay.engine.live.register import GivenUp, Register
from pay.payment import events as ev
from pay.payment.states import SessionStatus
from tests.support.engine.running import over
from tests.support.payments import PREIMAGE, no_balance


def hashes(register: Register) -> list[int]:
    return [int.from_bytes(payment.standing.terms.payment_hash, "big") for payment in register.finished()]


def test_so_many_payments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_FINISHED", 3)
    register = Register()
    for number in range(5):
        over(register, number, failing=0, paid=True)
    assert hashes(register) == [2, 3, 4]


def test_so_many_attempts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """4 + 3 + 2 are 9; with a third one of 4 the first goes; one of more than all is kept alone."""
    monkeypatch.setattr(kept, "MOST_ATTEMPTS", 9)
    register = Register()
    for number, attempts in enumerate([4, 3, 2]):
        over(register, number, failing=attempts)
    assert hashes(register) == [0, 1, 2]
    over(register, 3, failing=4)
    assert hashes(register) == [1, 2, 3]
    over(register, 4, failing=20)
    assert hashes(register) == [4]
    over(register, 5, failing=1)
    assert hashes(register) == [5]


def test_what_is_dropped_is_still_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it was paid and with what, or that it was refused, so that nobody pays it twice."""
    monkeypatch.setattr(kept, "MOST_FINISHED", 1)
    register = Register()
    over(register, 1, failing=1, paid=True)
    over(register, 2, failing=1)
    over(register, 3, failing=0, paid=True)
    assert hashes(register) == [3]
    known = register.known((1).to_bytes(32, "big"))
    assert known is not None and known.receipt.paid.preimage == PREIMAGE and known.partids == {2}
    assert register.given_up((2).to_bytes(32, "big"), 1) == GivenUp(1, "lnbc2", tried=True)
    assert register.ended() == {number.to_bytes(32, "big") for number in (1, 2, 3)}


def test_receipts_and_refusals_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_ENDS", 2)
    register = Register()
    for number in range(6):
        over(register, number, failing=0, paid=number % 2 == 0)
    assert register.ended() == {number.to_bytes(32, "big") for number in (2, 3, 4, 5)}


def test_what_only_a_payment_in_work_needs_goes() -> None:
    """The session, with all that its next plan would have had to respect, and what its error had beside words."""
    register = Register()
    running = over(register, 1, failing=2)
    session = weakref.ref(running.session)
    assert isinstance(running.session.result, ev.NotPaid) and running.session.result.error.facts
    del running
    gc.collect()
    assert session() is None
    (payment,) = register.finished()
    assert payment.standing.status is SessionStatus.FAILED and len(payment.standing.attempts) == 2
    assert [attempt.failure for attempt in payment.standing.attempts] == [no_balance(1)] * 2
    assert all(attempt.blame is None for attempt in payment.standing.attempts)
    result = payment.standing.result
    assert isinstance(result, ev.NotPaid) and "enough" in result.error.message and not result.error.facts
