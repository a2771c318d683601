"""All payments of a run: what is found under a hash, what is known of those that are over, how many are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from pay.engine.live import register as kept
from pay.engine.live.register import GivenUp, Known, Register
from pay.engine.live.running import Running
from pay.errors import Code, PayError
from pay.host.calls import PartOrder
from pay.invoice.recipient import ClearRecipient
from pay.payment import events as ev
from pay.payment.receipt import Receipt
from pay.payment.session import PaymentSession
from pay.payment.terms import watch_terms
from tests.support.payments import NOW, PREIMAGE, line, no_balance, node, terms
from tests.support.waiting import played, soon

STOP = PayError(Code.OTHER, "stop")
HASH = bytes(32)
ORDER = PartOrder("00" * 32, 100_000, 1, "lnbc1", None, None, None, None, None)


def payment(payment_hash: bytes = HASH, groupid: int = 1, parts: int = 2, ours: bool = True) -> Running:
    """`parts` parts are out; watched ones where they are not ours."""
    if ours:
        own = terms(120_000, payment_hash=payment_hash, groupid=groupid, max_parts=8)
    else:
        own = watch_terms(payment_hash, groupid, node("us"), node("d"), 120_000, NOW)
    session = PaymentSession(own)
    share = 120_000 // max(parts, 1)
    adopted = tuple(ev.FoundPart(partid, share, share + 10) for partid in range(1, parts + 1))
    session.handle(ev.Started(() if ours else adopted), NOW)
    if ours and parts:
        # Over two nodes: more than five parts over one would not go at once.
        routes = tuple(
            line(share, "ab"[number % 2] + "d", first=10 * number, fee_msat=10) for number in range(parts)
        )
        session.handle(ev.RoutesFound(1, routes), NOW)
    return Running(session, ClearRecipient(node("d"), (), False), ORDER if ours else None, created_at_s=77)


def settle(running: Running, *partids: int) -> None:
    for partid in partids:
        running.session.handle(ev.AttemptSettled(partid, PREIMAGE), NOW)


def fail(running: Running) -> None:
    """All of it."""
    running.session.handle(ev.Cancelled(STOP), NOW)
    for partid in list(running.session.attempts):
        running.session.handle(ev.AttemptFailed(partid, no_balance(1), 0), NOW)
    assert isinstance(running.session.result, ev.NotPaid)


def numbered(number: int) -> bytes:
    return number.to_bytes(32, "big")


def hashes(register: Register) -> list[bytes]:
    """Of the payments that are kept."""
    return [kept.standing.terms.payment_hash for kept in register.finished()]


@pytest.fixture
def register() -> Register:
    return Register()


# --- in work ----------------------------------------------------------------------------------------------------


def test_in_work(register: Register) -> None:
    """Who is about to begin is seen by those who list, and is nobody to join."""
    first, second = payment(numbered(1)), payment(numbered(2))
    register.start(first)
    register.begin(second)
    assert register.in_work() == [first, second]
    assert register.live == {numbered(1): first}
    assert register.beginning_of(numbered(2)) is second and register.beginning_of(numbered(1)) is None
    with pytest.raises(AssertionError):
        register.begin(payment(numbered(2)))
    register.begun(second)
    assert register.in_work() == [first] and second.has_begun.is_set()


def test_two_payments_of_one_hash_are_a_bug(register: Register) -> None:
    register.start(payment())
    with pytest.raises(AssertionError):
        register.start(payment(groupid=2))


def test_dropped(register: Register) -> None:
    """Another sender's affair: nothing is kept of it, and the next one of that hash is another one."""
    first, second = payment(), payment(groupid=2)
    register.start(first)
    assert not register.drop(second) and register.drop(first) and not register.drop(first)
    register.start(second)
    assert not register.drop(first) and register.live == {HASH: second}
    settle(first, 1, 2)
    assert not register.end(first) and register.known(HASH) is None and register.finished() == []


# --- over -------------------------------------------------------------------------------------------------------


def test_what_is_known_of_a_payment_in_work(register: Register) -> None:
    """From its first preimage on; a part that is out counts, one that has failed does not."""
    running = payment(parts=3)
    register.start(running)
    assert register.known(HASH) is None
    settle(running, 2)
    running.session.handle(ev.AttemptFailed(3, no_balance(1), 0), NOW)
    paid = ev.Paid(PREIMAGE, 120_000, 80_020, 3, incomplete=True, failed_parts=1)
    assert register.known(HASH) == Known(Receipt(HASH, node("d"), 77, paid), True, frozenset({1, 2}))
    assert register.known(numbered(5)) is None


def test_what_is_known_of_a_payment_that_was_made(register: Register) -> None:
    running = payment()
    register.start(running)
    settle(running, 1, 2)
    assert register.end(running) and not register.end(running)
    assert register.live == {} and hashes(register) == [HASH]
    paid = ev.Paid(PREIMAGE, 120_000, 120_020, 2, incomplete=False)
    assert register.known(HASH) == Known(Receipt(HASH, node("d"), 77, paid), True, frozenset({1, 2}))


def test_a_success_is_not_forgotten_for_a_later_try(register: Register) -> None:
    """Its rows were deleted and a call begins anew: what was paid stays known, whatever becomes of that."""
    first, second = payment(), payment(groupid=2)
    register.start(first)
    settle(first, 1, 2)
    register.end(first)
    register.start(second)
    known = register.known(HASH)
    assert known is not None and known.receipt.paid.sent_msat == 120_020
    fail(second)
    register.end(second)
    assert register.known(HASH) == known


def test_figures_of_watched_parts_are_not_the_payments(register: Register) -> None:
    running = payment(ours=False)
    register.start(running)
    settle(running, 1)
    known = register.known(HASH)
    assert known is not None and not known.whole


def test_callers_were_told_that_it_was_not_made(register: Register) -> None:
    """A part that settles later may be of it or of an earlier try; a later group is another sender's."""
    running = payment(groupid=4)
    register.start(running)
    assert register.given_up(HASH, 4) is None
    fail(running)
    register.end(running)
    for groupid, known in ((3, True), (4, True), (5, False)):
        assert register.given_up(HASH, groupid) == (GivenUp(4, "lnbc1", tried=True) if known else None)
    assert register.given_up(numbered(1), 4) is None
    again = payment(groupid=5)
    register.start(again)
    settle(again, 1, 2)
    register.end(again)
    assert register.given_up(HASH, 4) is None, "it was made after all"


def test_parts_of_others_were_not_told_as_ours(register: Register) -> None:
    running = payment(ours=False)
    register.start(running)
    fail(running)
    register.end(running)
    assert register.given_up(HASH, 1) is None and hashes(register) == [HASH]


def test_what_others_pay_was_not_refused(register: Register) -> None:
    running = payment()
    register.start(running)
    running.session.handle(ev.HashTaken(None, "in progress"), NOW)
    for partid in (1, 2):
        running.session.handle(ev.AttemptFailed(partid, no_balance(1), 0), NOW)
    assert running.session.result == ev.Elsewhere("in progress") and register.end(running)
    assert register.given_up(HASH, 1) is None and register.known(HASH) is None


# --- how much is kept -------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kept, "MOST_FINISHED", 3)
    monkeypatch.setattr(kept, "MOST_ATTEMPTS", 6)
    monkeypatch.setattr(kept, "MOST_ENDS", 2)
    yield


def over(register: Register, number: int, parts: int, made: bool) -> None:
    running = payment(numbered(number), parts=parts)
    register.start(running)
    if made:
        settle(running, *range(1, parts + 1))
    else:
        fail(running)
    register.end(running)


@pytest.mark.usefixtures("small")
def test_the_last_ones_are_kept_whole(register: Register) -> None:
    """Three at most, with six attempts together; the last one whatever it had."""
    for number in range(4):
        over(register, number, 1, made=False)
    assert hashes(register) == [numbered(1), numbered(2), numbered(3)]
    over(register, 4, 4, made=False)
    assert hashes(register) == [numbered(2), numbered(3), numbered(4)]
    over(register, 5, 3, made=False)
    assert hashes(register) == [numbered(5)], "4 + 3 attempts are more than six"
    over(register, 6, 3, made=False)
    assert hashes(register) == [numbered(5), numbered(6)]
    over(register, 7, 1, made=False)
    assert hashes(register) == [numbered(6), numbered(7)]
    over(register, 8, 8, made=True)
    assert hashes(register) == [numbered(8)]


@pytest.mark.usefixtures("small")
def test_the_last_ends_are_kept(register: Register) -> None:
    for number in range(1, 4):
        over(register, number, 1, made=True)
        over(register, 10 + number, 1, made=False)
    assert [register.known(numbered(number)) is not None for number in (1, 2, 3)] == [False, True, True]
    assert [register.given_up(numbered(10 + number), 1) is not None for number in (1, 2, 3)] == [False, True, True]


# --- heights ----------------------------------------------------------------------------------------------------


def test_at_which_block_a_part_was_sent() -> None:
    """Ours at the block of now; of one that was found nobody knows, and no height is below it: no false 203."""
    running = payment()
    assert [attempt.partid for attempt in running.new_times(800_000)[0]] == [1, 2]
    assert [running.sent_height(partid) for partid in (1, 2, 3)] == [800_000, 800_000, 0]
    found = payment(ours=False)
    found.new_times(800_000)
    assert found.sent_height(1) == 0


# --- the first part goes alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "sent"), [("taken", True), ("given up", False), ("paid", False), ("crashed", False)]
)
def test_what_the_first_part_is_answered_decides_of_the_others(end: str, sent: bool) -> None:
    """Nothing is added after a verdict, after a preimage, or by a session that has broken."""
    running = payment()

    async def story() -> bool:
        assert await running.may_send(1)
        second = asyncio.create_task(running.may_send(2))
        await asyncio.sleep(0)
        assert not second.done()
        match end:
            case "given up":
                running.session.handle(ev.Cancelled(STOP), NOW)
            case "paid":
                settle(running, 1)
            case "crashed":
                running.crashed = True
        running.group_answered()
        return await soon(second)

    assert played(story()) is sent
