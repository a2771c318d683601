"""What is out is kept as a value: after any events it is what a walk through all payments finds."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pay.engine.live.out import Out, part_of
from pay.engine.live.own_channels import COMMIT_S, less_ordered
from pay.engine.live.register import Register
from pay.engine.live.running import Running
from pay.errors import PayError
from pay.host.calls import ListedChannel
from pay.invoice.recipient import ClearRecipient
from pay.liquidity.in_flight import InFlight, Part
from pay.network.hints import OwnChannel
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from pay.payment.states import AttemptStatus, State
from tests.support.payments import NOW, PREIMAGE, line, no_balance, node, scid, terms

AMOUNT = 100_000
PATHS = ("abd", "acd", "bcd", "ad")
PAYMENTS = 4
PARTS = 3
FIRST = (1, 2, 99)
"""Channels of ours by the names that routes give them; 99 is another name of the first."""


def walked(register: Register) -> tuple[Counter[Part], dict[Any, int]]:
    """The parts of all payments in work, and what they hold: looked for in the sessions themselves."""
    parts = [part_of(a, None) for running in register.live.values() for a in running.session.live]
    known = [part for part in parts if part is not None]
    return Counter(known), InFlight(tuple(known)).held()


def walked_less(listed: list[ListedChannel], register: Register) -> list[tuple[int, int, int]]:
    """What `less_ordered` leaves of each channel, part by part."""
    left = []
    for named in listed:
        shown, msat, htlcs = Counter(named.sent), 0, 0
        for running in register.live.values():
            for attempt in running.session.live:
                if attempt.route is None or attempt.route.hops[0].scid not in named.channel.names:
                    continue
                htlc = running.session.terms.payment_hash, attempt.sent_msat
                if shown[htlc]:
                    shown[htlc] -= 1
                elif attempt.status is AttemptStatus.CREATED or attempt.started_s + COMMIT_S > Clock.now_s:
                    msat, htlcs = msat + attempt.sent_msat, htlcs + 1
        own = named.channel
        left.append((max(0, own.spendable_msat - msat), own.live_htlcs + htlcs, own.outgoing_msat + msat))
    return left


class Clock:
    now_s = NOW

    def now(self) -> float:
        return self.now_s


def new(number: int) -> Running:
    limits: dict[str, Any] = {"max_parts": 9, "max_fee_msat": 10**9, "first_partid": 2}
    session = PaymentSession(terms(AMOUNT * PARTS, payment_hash=bytes([number + 1] * 32), **limits))
    running = Running(session, ClearRecipient(node("d"), (), True), None)
    running.clock = Clock()  # type: ignore[assignment]
    return running


def own_channel(number: int, names: set[int], sent: list[tuple[bytes, int]]) -> ListedChannel:
    held = sum(msat for _, msat in sent)
    channel = OwnChannel(
        scid(number), 0, node("a"), 10**9 - held, 0, 1, 10**9, 483, len(sent), True, False, outgoing_msat=held,
        names=frozenset(map(scid, names)),
    )  # fmt: skip
    return ListedChannel(channel, tuple(sent))


MOVES = st.tuples(
    st.sampled_from(
        ("start", "adopt", "plan", "accept", "settle", "fail", "taken", "cancel", "crash", "end", "time")
    ),
    st.integers(0, PAYMENTS - 1),
    st.integers(1, 6),
    st.integers(0, 2**16),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, max_size=60))
def test_what_is_kept_is_what_a_walk_finds(moves: list[tuple[str, int, int, int]]) -> None:
    register, payments = Register(), {}
    Clock.now_s = NOW
    for move, number, partid, drawn in moves:
        running = payments.get(number)
        if move == "time":
            Clock.now_s += drawn % 40
        elif running is None or running.session.state is State.DONE:
            if move not in ("start", "adopt"):
                continue
            if running is not None:
                register.end(running)
            running = payments[number] = new(number)
            register.start(running)
            found = (ev.FoundPart(1, AMOUNT, AMOUNT + 7),) if move == "adopt" else ()
            running.session.handle(ev.Started(found), Clock.now_s)
        else:
            session = running.session
            preimage = PREIMAGE
            match move:
                case "plan" if session.state is State.WAITING_ROUTES:
                    left = session.terms.amount_msat - session.delivered_msat - session.in_flight_msat
                    count = min(PARTS, left // AMOUNT) or 1
                    sizes = [left - AMOUNT * (count - 1), *[AMOUNT] * (count - 1)]
                    routes = tuple(
                        line(size, PATHS[(drawn >> 2 * n) % len(PATHS)], first=FIRST[(drawn >> n) % len(FIRST)])
                        for n, size in enumerate(sizes)
                    )
                    session.handle(ev.RoutesFound(session.queries, routes), Clock.now_s)
                case "accept":
                    session.handle(ev.AttemptAccepted(partid), Clock.now_s)
                case "settle":
                    session.handle(ev.AttemptSettled(partid, preimage), Clock.now_s)
                case "fail" if partid in session.attempts:
                    session.handle(ev.AttemptFailed(partid, no_balance(0), 0), Clock.now_s)
                case "taken":
                    session.handle(ev.HashTaken(partid if drawn % 2 else None, "taken"), Clock.now_s)
                case "cancel":
                    session.handle(ev.Cancelled(PayError(-1, "no")), Clock.now_s)
                case "crash":
                    paid = ev.Paid(preimage, AMOUNT, AMOUNT, 1, False)
                    session.handle(ev.Crashed(paid, frozenset({partid}) if drawn % 2 else None), Clock.now_s)
                case "end":
                    register.drop(running)
                    del payments[number]
                case _:
                    pass
        if running is not None and register.live.get(running.session.terms.payment_hash) is running:
            register.out.follow(running)
        agree(register, drawn)
    for running in list(register.live.values()):
        register.end(running)
    agree(register, 0)
    assert register.out.held() == {}


def agree(register: Register, drawn: int) -> None:
    """The value, the walk, and what both leave of our channels, of which some parts are among the HTLCs."""
    out = register.out
    parts, held = walked(register)
    assert (Counter(out.parts), out.held()) == (parts, held)
    assert out.in_flight().held() == held
    live = [(r, a) for r in register.live.values() for a in r.session.live if a.route is not None]
    seen: dict[int, list[tuple[bytes, int]]] = {1: [], 2: []}
    for at, (running, attempt) in enumerate(live):
        if drawn >> at & 1:
            over = 2 if attempt.route is not None and attempt.route.hops[0].scid == scid(2) else 1
            seen[over].append((running.session.terms.payment_hash, attempt.sent_msat))
    listed = [own_channel(1, {1, 99}, seen[1]), own_channel(2, {2, 50}, seen[2])]
    channels = less_ordered(listed, out)
    left = [(own.spendable_msat, own.live_htlcs, own.outgoing_msat) for own in channels]
    assert left == walked_less(listed, register)


def test_changes_count_what_began_and_ended() -> None:
    """Two plans between which nothing of anybody began or ended stand on the same."""
    register, running = Register(), new(0)
    register.start(running)
    out: Out = register.out
    running.session.handle(ev.Started(), NOW)
    out.follow(running)
    assert out.changes == 0
    running.session.handle(ev.RoutesFound(1, (line(AMOUNT * PARTS, "abd", first=1),)), NOW)
    out.follow(running)
    running.session.handle(ev.AttemptAccepted(2), NOW)
    out.follow(running)
    assert out.changes == 1
    running.session.handle(ev.AttemptSettled(2, PREIMAGE), NOW)
    out.follow(running)
    assert out.changes == 2
