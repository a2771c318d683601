"""Payments as the register has them, in work and over."""

from __future__ import annotations

from typing import Any

from pay.engine.live.register import Register
from pay.engine.live.running import Running
from pay.errors import Code, HostsOwn, PayError
from pay.host.calls import PartOrder
from pay.invoice.recipient import ClearRecipient
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from tests.support.payments import (
    HEIGHT,
    NOW,
    PREIMAGE,
    line,
    no_balance,
    node,
    terms,
)

ORDER = PartOrder("00" * 32, 100_000, 1, "lnbcrt1x", None, None, None, None, None)


def running_of(session: PaymentSession, order: PartOrder | None = ORDER) -> Running:
    return Running(session, ClearRecipient(session.terms.destination, (), True), order)


def over(register: Register, number: int, failing: int, paid: bool = False) -> Running:
    """A payment whose first attempts fail one after the other; then it is paid or given up."""
    payment_hash = number.to_bytes(32, "big")
    limits: dict[str, Any] = {"max_attempts": 1_000, "max_fee_msat": 100_000, "payment_hash": payment_hash}
    order = PartOrder(payment_hash.hex(), 100_000, 1, f"lnbc{number}", None, None, None, None, None)
    running = Running(PaymentSession(terms(**limits)), ClearRecipient(node("d"), (), False), order)
    register.start(running)
    actions = running.session.handle(ev.Started(()), NOW)
    for attempt in range(1, failing + 2):
        (question,) = [action for action in actions if isinstance(action, ev.FindRoutes)]
        if attempt == failing + 1 and not paid:
            running.session.handle(ev.Cancelled(_error()), NOW)
            break
        running.session.handle(ev.RoutesFound(question.query_id, (line(100_000, first=10 * attempt),)), NOW)
        if attempt == failing + 1:
            running.session.handle(ev.AttemptSettled(attempt, PREIMAGE), NOW)
            break
        actions = running.session.handle(ev.AttemptFailed(attempt, no_balance(1), HEIGHT), NOW)
    assert register.end(running)
    return running


def _error() -> PayError:
    return PayError(Code.OTHER, "enough", HostsOwn({"a lot": list(range(10))}))
