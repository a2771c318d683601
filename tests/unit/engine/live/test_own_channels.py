"""What live attempts hold of our channels before the host shows it: money and HTLC slots, each part once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from pay.engine.live.out import Out
from pay.engine.live.own_channels import COMMIT_S, less_ordered
from pay.engine.live.running import PaymentClock, Running
from pay.host.calls import Host, ListedChannel
from pay.invoice.recipient import ClearRecipient
from pay.network.hints import OwnChannel
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from pay.units import format_scid
from tests.support.payments import NOW, PREIMAGE, line, node, scid, terms
from tests.support.waiting import played

SPENDABLE, SENT = 1_000_000, 102_000


class Fixed(PaymentClock):
    def __init__(self, now_s: float):
        self.now_s = now_s

    def now(self) -> float:
        return self.now_s


def _listed(sent: tuple[tuple[bytes, int], ...] = ()) -> ListedChannel:
    held = sum(msat for _, msat in sent)
    own = OwnChannel(
        scid(1), 0, node("a"), SPENDABLE - held, 0, 1, SPENDABLE, 30, len(sent), connected=True,
        announced=False, outgoing_msat=held, names=frozenset({scid(1), scid(99)}),
    )  # fmt: skip
    return ListedChannel(own, sent)


def _paying(payment_hash: bytes, first: int = 1) -> Running:
    """One part is ordered, 100,000 msat over a channel of ours that leaves us with 102,000."""
    session = PaymentSession(terms(payment_hash=payment_hash))
    running = Running(session, ClearRecipient(node("d"), (), True), None)
    session.handle(ev.Started(), NOW)
    session.handle(ev.RoutesFound(1, (line(100_000, "acd", first=first),)), NOW)
    return running


def _out(*payments: Running) -> Out:
    out = Out()
    for running in payments:
        out.follow(running)
    return out


def _left(listed: ListedChannel, *payments: Running, now: float = NOW) -> tuple[int, int, int]:
    """Spendable, what outgoing HTLCs hold, and the HTLCs of the channel."""
    for running in payments:
        running.clock = Fixed(now)
    (channel,) = less_ordered([listed], _out(*payments))
    return channel.spendable_msat, channel.outgoing_msat, channel.live_htlcs


def test_what_is_ordered_takes_money_and_a_slot() -> None:
    """Whether `sendpay` has been answered or not: after the answer the HTLC is still on its way to the channel."""
    ordered, accepted = _paying(bytes([1] * 32)), _paying(bytes([2] * 32))
    accepted.session.handle(ev.AttemptAccepted(1), NOW)
    assert _left(_listed(), ordered, accepted) == (SPENDABLE - 2 * SENT, 2 * SENT, 2)


def test_what_the_host_shows_is_not_held_twice() -> None:
    """Two payments with one amount: the HTLC that is shown is of the second."""
    first, second = _paying(bytes([1] * 32)), _paying(bytes([2] * 32))
    shown = _listed(((bytes([2] * 32), SENT),))
    assert _left(shown, second) == (SPENDABLE - SENT, SENT, 1)
    assert _left(shown, first, second) == (SPENDABLE - 2 * SENT, 2 * SENT, 2)


def test_what_is_over_holds_nothing() -> None:
    over = _paying(bytes([1] * 32))
    over.session.handle(ev.AttemptSettled(1, PREIMAGE), NOW)
    assert _left(_listed(), over) == (SPENDABLE, 0, 0)


@pytest.mark.parametrize("answered", [False, True])
def test_a_row_without_an_htlc_holds_nothing_for_long(answered: bool) -> None:
    """An order that has no answer may be carried out at any time; one that has one comes soon or never."""
    running = _paying(bytes([1] * 32))
    if answered:
        running.session.handle(ev.AttemptAccepted(1), NOW)
    held = (SPENDABLE, 0, 0) if answered else (SPENDABLE - SENT, SENT, 1)
    assert _left(_listed(), running, now=NOW + COMMIT_S) == held


def test_a_channel_has_several_names_and_others_have_theirs() -> None:
    """The first part names it by an alias, the second is over another channel."""
    assert _left(_listed(), _paying(bytes([1] * 32), first=99)) == (SPENDABLE - SENT, SENT, 1)
    assert _left(_listed(), _paying(bytes([1] * 32), first=50)) == (SPENDABLE, 0, 0)


def test_two_parts_that_leave_us_with_the_same() -> None:
    """One of them is shown: the other one is held, and it does not matter which."""
    session = PaymentSession(terms(payment_hash=bytes([1] * 32), max_parts=2))
    running = Running(session, ClearRecipient(node("d"), (), True), None)
    session.handle(ev.Started(), NOW)
    session.handle(ev.RoutesFound(1, (line(50_000, "ad"), line(50_000, "ad"))), NOW)
    assert _left(_listed(((bytes([1] * 32), 51_000),)), running) == (SPENDABLE - 102_000, 102_000, 2)


def test_more_is_ordered_than_there_is() -> None:
    """What cannot be spent is not held either."""
    payments = [_paying(bytes([number] * 32)) for number in range(1, 12)]
    assert 11 * SENT > SPENDABLE
    assert _left(_listed(), *payments) == (0, SPENDABLE, 11)


def test_a_payment_to_ourselves_and_other_channels_hold_nothing() -> None:
    to_self = PaymentSession(terms(payment_hash=bytes([1] * 32), to_self=True))
    to_self.handle(ev.Started(), NOW)
    running = Running(to_self, ClearRecipient(node("d"), (), True), None)
    other = ListedChannel(replace(_listed().channel, names=frozenset({scid(50)})))
    payments = [running, _paying(bytes([2] * 32), first=50), _paying(bytes([3] * 32), first=50)]
    for one in payments:
        one.clock = Fixed(NOW)
    first, second = less_ordered([_listed(), other], _out(*payments))
    assert (first.spendable_msat, first.live_htlcs) == (SPENDABLE, 0)
    assert (second.spendable_msat, second.live_htlcs) == (SPENDABLE - 2 * SENT, 2)


def test_only_what_goes_out_takes_slots() -> None:
    """The host holds HTLCs that we send to `max_accepted_htlcs`; those that come in are in nobody's way."""
    us, peer = node("us"), node("a")
    htlcs = [
        {"direction": "out", "amount_msat": 5_000, "payment_hash": "01" * 32},
        {"direction": "out", "amount_msat": 7_000, "payment_hash": "02" * 32},
        {"direction": "in", "amount_msat": 100_000, "payment_hash": "03" * 32},
    ]
    fields = {
        "peer_id": peer.hex(), "state": "CHANNELD_NORMAL", "short_channel_id": format_scid(scid(1)),
        "peer_connected": True, "spendable_msat": SPENDABLE, "max_accepted_htlcs": 10, "htlcs": htlcs,
    }  # fmt: skip

    class Listing:
        async def acall(self, method: str, params: Any) -> Any:
            assert method == "listpeerchannels"
            return {"channels": [fields]}

    (named,) = played(Host(cast(Any, Listing())).own_channels(us))
    channel = named.channel
    assert (channel.live_htlcs, channel.free_htlcs, channel.outgoing_msat) == (2, 8, 12_000)
    assert named.sent == ((bytes([1] * 32), 5_000), (bytes([2] * 32), 7_000))
    idle = channel.idle
    assert (idle.spendable_msat, idle.free_htlcs, idle.outgoing_msat) == (SPENDABLE + 12_000, 10, 0)
