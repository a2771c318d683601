"""What the host's answers and rows say of a part: events for the session, and which rows are of a part of ours.

The payment is of group 3; its part 5 is ordered and leaves us with 103,000 msat. Another sender on this node may
number its parts as we do, so a row counts where group, number and amount are ours.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pay.engine.live import reconciliation
from pay.engine.live.reconciliation import RECONCILE_S, Reconciliation, end_of_crashed, settled_of_crashed
from pay.engine.live.running import Running
from pay.engine.live.sender import Sender
from pay.errors import Hindered, PayError
from pay.feedback.failure import Failure
from pay.host.calls import PartOrder, SendpayRow, SendpayStatus
from pay.host.rpc import CallError, Unanswered
from pay.invoice.recipient import ClearRecipient
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from pay.payment.verdict import ORPHANED, Lost
from tests.support.payments import HEIGHT, NOW, PREIMAGE, line, node, terms
from tests.support.waiting import played, soon

P, C, F = SendpayStatus.PENDING, SendpayStatus.COMPLETE, SendpayStatus.FAILED
HASH = bytes([9]) * 32
ORDER = PartOrder(HASH.hex(), 100_000, 3, "lnbc1", None, None, None, None, None)
ROUTE = line(100_000)
ANSWER = {"groupid": 3, "amount_sent_msat": 103_000, "status": "pending", "created_at": int(NOW) + 1}
MINE = SendpayRow(3, 5, P, 100_000, 103_000, int(NOW) + 1, node("d").hex(), None)
PAID_ROW = replace(MINE, status=C, preimage=PREIMAGE)
ANOTHERS = "another sender has a part of this hash"


def payment(to_self: bool = False, *, adopted: Sequence[ev.FoundPart] = ()) -> Running:
    """Part 5 is ordered (0 where it is to ourselves), or parts are taken up."""
    own = terms(payment_hash=HASH, groupid=3, first_partid=5, to_self=to_self, max_parts=4)
    session = PaymentSession(own)
    session.handle(ev.Started(tuple(adopted)), NOW)
    if not (to_self or adopted):
        session.handle(ev.RoutesFound(1, (ROUTE,)), NOW)
    running = Running(session, ClearRecipient(node("d"), (), False), ORDER)
    running.new_times(HEIGHT)
    return running


class Host:
    """Answers `sendpay` one after the other, and shows its rows: as they are at each look, the last for good."""

    def __init__(self, *answers: Any, rows: Sequence[Sequence[SendpayRow]] = ((),), stuck: Sequence[int] = ()):
        self.answers = deque(answers)
        self.tables = deque(rows)
        self.stuck = frozenset(stuck)
        self.orders: list[tuple[int, Any]] = []
        self.posts: list[ev.Event] = []
        self.asked_of: list[tuple[int, ...]] = []
        self.journalled = False

    async def sendpay(self, order: PartOrder, partid: int, route: Any) -> Any:
        assert order == ORDER and self.posts == [] and self.journalled
        self.orders.append((partid, route))
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
        assert payment_hash == HASH
        return list(self.tables.popleft() if len(self.tables) > 1 else self.tables[0])

    async def written(self, running: Running) -> None:
        assert self.orders == []
        self.journalled = True

    async def among(self, payment_hash: bytes, rows: Sequence[SendpayRow]) -> frozenset[int]:
        assert payment_hash == HASH
        self.asked_of.append(tuple(row.groupid for row in rows))
        return self.stuck & {row.partid for row in rows}

    def post(self, running: Running, event: ev.Event) -> None:
        self.posts.append(event)
        running.session.handle(event, NOW)


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody sleeps; for how long it would have been."""
    slept: list[float] = []
    yields = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await yields(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


def sent(host: Host, running: Running, partid: int = 5, route: Any = ROUTE) -> list[ev.Event]:
    me: Any = host
    played(Sender(me, me, host.post).send(running, partid, route))
    return host.posts


# --- an answer ------------------------------------------------------------------------------------------------


def test_taken() -> None:
    running = payment()
    assert sent(Host(ANSWER), running) == [ev.AttemptAccepted(5)]
    assert running.created_at_s == int(NOW) + 1
    assert sent(Host({key: ANSWER[key] for key in ("amount_sent_msat", "status")}), payment()) == [
        ev.AttemptAccepted(5)
    ], "an older host does not say the group"


def test_complete_at_once() -> None:
    """The same part was paid before: the host answers with what it has."""
    answer = {**ANSWER, "status": "complete", "payment_preimage": PREIMAGE.hex()}
    assert sent(Host(answer), payment()) == [ev.AttemptSettled(5, PREIMAGE)]


def test_what_the_session_knows_is_not_told_again() -> None:
    """A part that is held for a day is looked at 2,880 times: each would be a line of the log."""
    assert looked(accepted(), [MINE], [MINE], [MINE]).posts == []
    failed = replace(MINE, status=F)
    (event,) = looked(accepted(), [MINE], [failed], [failed]).posts
    assert isinstance(event, ev.AttemptFailed)
    assert looked(accepted(), [PAID_ROW], [PAID_ROW]).posts == [ev.AttemptSettled(5, PREIMAGE)]


def test_a_part_that_failed_here_and_is_paid_there_is_told() -> None:
    """The preimage is the truth, whatever was heard before."""
    running = accepted()
    running.session.handle(ev.AttemptFailed(5, Failure(None, None, "gone"), HEIGHT), NOW)
    host = Host()
    me: Any = host
    Sender(me, me, host.post).tell_row(running, PAID_ROW)
    assert host.posts == [ev.AttemptSettled(5, PREIMAGE)]


@pytest.mark.parametrize("other", [{"groupid": 2}, {"groupid": 4}, {"amount_sent_msat": 103_001}])
@pytest.mark.parametrize("status", ["pending", "complete"])
def test_the_answer_is_of_another_senders_part(other: dict[str, int], status: str) -> None:
    """Of another group, or under our number with another amount: not ours, whatever has become of it."""
    running = payment()
    answer = {**ANSWER, "status": status, "payment_preimage": PREIMAGE.hex(), **other}
    assert sent(Host(answer), running) == [ev.HashTaken(5, ANOTHERS)]
    assert running.created_at_s is None


def test_no_answer_is_repeated_to_the_letter(slept: list[float]) -> None:
    """After a tenth of a second, then twice as long each time, at most five."""
    host = Host(*[Unanswered("gone")] * 8, ANSWER, rows=[[MINE]])
    assert sent(host, payment()) == [ev.AttemptAccepted(5)]
    assert host.orders == [(5, ROUTE)] * 9
    assert slept == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@pytest.mark.parametrize("event", [ev.AttemptAccepted(5), ev.AttemptSettled(5, PREIMAGE)])
def test_its_outcome_is_heard_before_its_answer(event: ev.Event) -> None:
    running = payment()
    running.session.handle(event, NOW)
    host = Host(Unanswered("gone"))
    assert sent(host, running) == [] and len(host.orders) == 1


def test_to_ourselves_it_is_not_repeated_where_it_has_a_row() -> None:
    """A host of v26.06 dies of it. The row is of our group, of part 0, of that amount; else it is sent again."""
    mine = SendpayRow(3, 0, P, 100_000, 100_000, int(NOW) - 5, None, None)
    host, running = Host(Unanswered("gone"), rows=[[replace(mine, groupid=2), mine]]), payment(to_self=True)
    assert sent(host, running, 0, None) == [ev.AttemptAccepted(0)]
    assert len(host.orders) == 1 and running.created_at_s == int(NOW) - 5
    for other in (replace(mine, groupid=2), replace(mine, partid=1), replace(mine, sent_msat=100_001)):
        host = Host(Unanswered("gone"), {**ANSWER, "amount_sent_msat": 100_000}, rows=[[other]])
        assert sent(host, payment(to_self=True), 0, None) == [ev.AttemptAccepted(0)]
        assert len(host.orders) == 2


# --- a refusal ------------------------------------------------------------------------------------------------


def refused(code: int, rows: Sequence[SendpayRow] = (), **data: Any) -> list[ev.Event]:
    return sent(Host(CallError("sendpay", {"code": code, "message": "no", "data": data}), rows=[rows]), payment())


def test_another_group_is_pending() -> None:
    assert refused(200) == [ev.HashTaken(5, "no")]


@pytest.mark.parametrize(
    ("rows", "event"),
    [
        ([], ev.HashTaken(5, "no")),
        ([PAID_ROW], ev.AttemptSettled(5, PREIMAGE)),
        ([MINE], ev.AttemptAccepted(5)),
        ([replace(PAID_ROW, groupid=2)], ev.HashTaken(5, "no")),
        ([replace(PAID_ROW, partid=6)], ev.HashTaken(5, "no")),
        ([replace(PAID_ROW, sent_msat=102_999)], ev.HashTaken(5, "no")),
    ],
)
def test_the_hash_or_this_part_was_used(rows: list[SendpayRow], event: ev.Event) -> None:
    """Its own row tells how it ended; without one it is another sender's affair."""
    assert refused(201, rows) == [event]


@pytest.mark.parametrize("code", [202, 203, 204])
def test_the_part_failed_in_our_own_channel(code: int) -> None:
    (event,) = refused(code, erring_index=0, failcode=0x1007)
    assert isinstance(event, ev.AttemptFailed)
    assert (event.partid, event.sent_height) == (5, HEIGHT)
    assert (event.failure.erring_index, event.failure.failcode, event.failure.reason) == (0, 0x1007, "no")
    assert event.failure.unreadable is (code == 202)


@pytest.mark.parametrize("code", [-1, -32602, 205, 199])
def test_the_host_refuses_a_part_for_another_reason(code: int) -> None:
    """No other part would be taken either: the payment ends, and this part is not out."""
    cancelled, failed = refused(code)
    assert isinstance(cancelled, ev.Cancelled) and isinstance(cancelled.error, PayError)
    assert (cancelled.error.code, cancelled.error.message) == (
        -1,
        f"The node refused to send a part: no (code {code})",
    )
    assert failed == ev.AttemptFailed(5, Failure(None, None, "no"), HEIGHT)


# --- looks at the table ---------------------------------------------------------------------------------------


def looked(running: Running, *tables: Sequence[SendpayRow], stuck: Sequence[int] = ()) -> Host:
    """One look after the other."""
    host = Host(rows=tables, stuck=stuck)
    me: Any = host
    compares = Reconciliation(me, Sender(me, me, host.post), me, host.post, every_s=0.0)

    async def looking() -> None:
        for _ in tables:
            await compares._look(running)

    played(looking())
    return host


def test_what_was_not_heard_stands_in_the_table() -> None:
    assert looked(payment(), [PAID_ROW]).posts == [ev.AttemptSettled(5, PREIMAGE)]
    assert looked(payment(), [MINE]).posts == [ev.AttemptAccepted(5)]
    (event,) = looked(payment(), [replace(MINE, status=F)]).posts
    assert isinstance(event, ev.AttemptFailed) and (event.partid, event.sent_height) == (5, HEIGHT)
    assert (event.failure.erring_index, event.failure.failcode) == (None, None)
    assert looked(payment(), [replace(PAID_ROW, preimage=None)]).posts == []


@pytest.mark.parametrize("other", [{"groupid": 2}, {"sent_msat": 103_001}, {"partid": 6}])
def test_rows_that_are_not_ours_say_nothing(other: dict[str, int]) -> None:
    """Neither that it is paid, nor, before it is known to have been taken, that its row is gone."""
    assert looked(payment(), [replace(PAID_ROW, **other)]).posts == []


def accepted() -> Running:
    running = payment()
    running.session.handle(ev.AttemptAccepted(5), NOW)
    return running


def test_its_row_is_gone() -> None:
    """Said once: no new parts, and an answer to nobody, as it may have been paid."""
    running, told = accepted(), []
    running.listeners.append(lambda message, level="info": told.append(message))
    host = looked(running, [replace(MINE, groupid=2)], [])
    (event,) = host.posts
    assert isinstance(event, ev.Cancelled) and "was deleted" in event.error.message
    assert told == [event.error.message]
    assert running.times[5].outcome_lost and running.session.result is None


def test_its_row_is_gone_and_the_preimage_is_known() -> None:
    """From whichever row of the hash, or from a part that has settled: then it was taken as well."""
    elsewhere = [replace(MINE, groupid=2, status=F), replace(PAID_ROW, groupid=2)]
    assert looked(accepted(), elsewhere).posts == [ev.AttemptSettled(5, PREIMAGE)]
    both = payment(adopted=[ev.FoundPart(3, 50_000, 50_500), ev.FoundPart(4, 50_000, 50_500)])
    both.session.handle(ev.AttemptSettled(3, PREIMAGE), NOW)
    assert looked(both, [replace(MINE, partid=9)]).posts == [ev.AttemptSettled(4, PREIMAGE)]


def test_a_row_that_comes_while_it_is_looked_for_is_not_gone() -> None:
    """Part 5 is ordered before the look and taken during it: what the table did not have yet says nothing."""

    class Takes(Host):
        async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
            running.session.handle(ev.AttemptAccepted(5), NOW)
            return []

    running, host = payment(), Takes()
    me: Any = host
    played(Reconciliation(me, Sender(me, me, host.post), me, host.post)._look(running))
    assert host.posts == []


def test_a_part_that_ends_while_it_is_looked_for_is_not_gone() -> None:
    class Ends(Host):
        async def rows(self, payment_hash: bytes) -> list[SendpayRow]:
            running.session.handle(ev.AttemptSettled(5, PREIMAGE), NOW)
            return []

    running, host = accepted(), Ends()
    me: Any = host
    played(Reconciliation(me, Sender(me, me, host.post), me, host.post)._look(running))
    assert host.posts == [] and not running.times[5].outcome_lost


def test_a_row_that_is_pending_for_ever() -> None:
    """The payment ends with it; only rows of our group are asked for."""
    running = accepted()
    host = looked(running, [MINE, replace(MINE, groupid=2)], stuck=[5])
    cancelled, failed = host.posts
    assert isinstance(cancelled, ev.Cancelled) and cancelled.error.facts == Hindered(Lost.ORPHANED)
    assert failed == ev.AttemptFailed(5, Failure(None, None, ORPHANED), HEIGHT)
    assert host.asked_of == [(3,)]
    assert isinstance(running.session.result, ev.NotPaid)


@pytest.mark.parametrize("at_once", [False, True])
def test_every_half_a_minute(at_once: bool, slept: list[float]) -> None:
    """Nothing is looked for while nothing is out, and not after the end."""
    running = payment()
    host = Host(rows=[[], [MINE], [replace(MINE, status=F)]])
    me: Any = host

    async def looking() -> None:
        await Reconciliation(me, Sender(me, me, host.post), me, host.post).run(running, at_once)

    async def ends() -> None:
        while len(slept) < 6:
            await asyncio.wait({asyncio.create_task(nothing())})
        assert not running.session.live and running.session.result is None, "routes are being looked for again"
        assert len(host.asked_of) == 3
        running.session.handle(ev.Cancelled(PayError(-1, "stop")), NOW)

    async def nothing() -> None: ...

    async def both() -> None:
        await soon(asyncio.gather(looking(), ends()))

    played(both())
    assert set(slept) == {RECONCILE_S} and len(slept) >= 6
    accepted_, failed = host.posts
    assert accepted_ == ev.AttemptAccepted(5) and isinstance(failed, ev.AttemptFailed)


def test_what_is_taken_up_is_looked_at_before_the_first_wait(slept: list[float]) -> None:
    for at_once, waits in ((True, []), (False, [RECONCILE_S])):
        slept.clear()
        host = Host(rows=[[PAID_ROW]])
        me: Any = host
        played(Reconciliation(me, Sender(me, me, host.post), me, host.post).run(accepted(), at_once))
        assert host.posts == [ev.AttemptSettled(5, PREIMAGE)] and slept == waits


# --- a session that broke -------------------------------------------------------------------------------------


def end(running: Running, *tables: Sequence[SendpayRow], stuck: Sequence[int] = ()) -> tuple[ev.Paid | None, Host]:
    host = Host(rows=tables, stuck=stuck)
    me: Any = host
    return played(end_of_crashed(me, me, running)), host


def test_a_broken_payment_whose_part_is_still_being_sent() -> None:
    """The host has no row of it yet: nothing is known before its `sendpay` has its answer."""
    running, host = payment(), Host(rows=[[]])
    me: Any = host

    async def story() -> ev.Paid | None:
        async def sending() -> None:
            await asyncio.sleep(1)
            await asyncio.sleep(1)
            host.tables = deque([[PAID_ROW]])

        running.sending.add(asyncio.create_task(sending()))
        return await end_of_crashed(me, me, running)

    assert played(story()) == ev.Paid(PREIMAGE, 100_000, 103_000, 5, incomplete=False, failed_parts=4)


def test_a_broken_payment_ends_when_nothing_is_out(slept: list[float]) -> None:
    """Two looks find it pending, of whichever group; the third finds that it failed."""
    failed = [replace(MINE, status=F)]
    paid, host = end(accepted(), [MINE], [replace(MINE, groupid=2), *failed], failed)
    assert paid is None and host.asked_of == [(3,), (2, 3), (3,)]
    assert slept == [reconciliation.LOOK_S] * 2


def test_a_broken_payment_is_paid() -> None:
    """By ours or by another group's: the success is of the invoice, with the amount that callers know."""
    shadowed = terms(payment_hash=HASH, groupid=3).with_shadow(blocks=0, fee_msat=900)
    running = Running(PaymentSession(shadowed), ClearRecipient(node("d"), (), False), ORDER)
    for row in (PAID_ROW, replace(PAID_ROW, groupid=2)):
        paid, _ = end(running, [MINE], [row])
        assert paid == ev.Paid(PREIMAGE, 100_000, 103_000, 5, incomplete=False, failed_parts=4)


def test_a_broken_payment_that_had_its_answer() -> None:
    running = accepted()
    running.session.handle(ev.AttemptSettled(5, PREIMAGE), NOW)
    paid, host = end(running, [])
    assert paid == running.session.paid and paid is not None and len(host.tables) == 1


def test_a_broken_payment_with_an_orphan() -> None:
    paid, _ = end(accepted(), [MINE], stuck=[5])
    assert paid is None


def test_a_broken_payment_whose_row_is_gone() -> None:
    """It waits, and says so once; a row of another group under that number is not the one that is missing."""
    running, told = accepted(), []
    running.listeners.append(lambda message, level="info": told.append(message))
    gone: list[SendpayRow] = [replace(MINE, groupid=2, status=F)]
    paid, _ = end(running, gone, gone, gone, [PAID_ROW])
    assert paid is not None and len(told) == 1 and "was deleted" in told[0]
    assert running.times[5].outcome_lost


def test_what_has_settled_of_a_broken_payment(slept: list[float]) -> None:
    """Asked until nothing of its group is out, but for what is pending for ever."""
    settled, failed = replace(PAID_ROW, partid=6), replace(MINE, partid=7, status=F)
    other = replace(PAID_ROW, partid=8, groupid=2)
    stuck = replace(MINE, partid=9)
    host = Host(rows=[[settled, MINE], [settled, stuck, PAID_ROW, failed, other]], stuck=[9])
    me: Any = host
    found = played(settled_of_crashed(me, me, accepted()))
    assert found == {5, 6} and slept == [reconciliation.LOOK_S]
