"""What `paystatus` says of parts that are out: where they probably are, until when, whether more may follow."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pay.commands.entries import Moment, paystatus_entry
from pay.engine.live.part_times import PartTimes
from pay.engine.live.running import Running, how_it_stands, tell_progress
from pay.feedback.failure import FailCode
from pay.host.own_htlcs import OwnHtlc, Step
from pay.invoice.recipient import ClearRecipient
from pay.payment import events as ev
from pay.payment.standing import standing_of
from pay.payment.terms import Terms, watch_terms
from pay.units import NodeId, ScidDir
from tests.support.payments import HEIGHT, NOW, failed, line, no_balance, node, scid, terms, unknown_payment
from tests.support.sessions import DEADLINE, EXPIRY, NO_ROUTE, Teller, halves
from tests.support.waiting import played, soon

NAMES = {node("b"): "Bob"}


def alias(asked: NodeId) -> str | None:
    return NAMES.get(asked)


def htlc(amount_msat: int, channel: int = 1, step: Step = Step.COMMITTED, **more: Any) -> OwnHtlc:
    return OwnHtlc(bytes(32), scid(channel), amount_msat, HEIGHT + 150, step, **more)


def look(
    story: Teller,
    *htlcs: OwnHtlc,
    now: float = NOW + 1,
    closed: frozenset[ScidDir] = frozenset(),
    unknown: bool = False,
) -> dict[str, Any]:
    times = {partid: PartTimes(NOW, None, HEIGHT) for partid in story.session.attempts}
    moment = Moment(now, HEIGHT + 6, None if unknown else htlcs, closed)
    entry = paystatus_entry(standing_of(story.session), "lnbc1", None, times, moment, alias)
    return {**entry, "attempts": list(entry["attempts"])}


def one_out(names: str = "abcd") -> Teller:
    """One part of 100,000 from us by the named nodes; each takes 1,000."""
    story = Teller(terms())
    story.routes(line(100_000, names))
    return story


def place(story: Teller, *htlcs: OwnHtlc, **more: Any) -> dict[str, Any]:
    shown: dict[str, Any] = look(story, *htlcs, **more)["attempts"][-1]["probably_at"]
    return shown


# --- where --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("htlcs", "words"),
    [
        ((), "has not left this node yet"),
        ((htlc(102_000),), "has not left this node yet"),
        ((htlc(103_000, channel=9),), "has not left this node yet"),
        ((htlc(103_000, step=Step.OFFERED),), "has not confirmed it yet"),
        ((htlc(103_000, step=Step.RETURNING),), "handing back its outcome"),
        ((htlc(103_000, connected=False),), "first node is not connected"),
        ((htlc(103_000, connected=False, closing=True),), "the blockchain decides"),
    ],
    ids=str,
)
def test_still_with_us(htlcs: tuple[OwnHtlc, ...], words: str) -> None:
    """Not out of our own channel, whatever may be wrong beyond it."""
    shown = place(one_out(), *htlcs, closed=frozenset({ScidDir(scid(2), 1)}))
    assert words in shown.pop("reason")
    assert shown == {"hop": 0, "id": node("us").hex(), "channel": "1x1x0", "direction": 0}


def test_beyond_our_peer_nobody_knows() -> None:
    assert place(one_out(), htlc(103_000)) == {
        "reason": "past our own channel: who has it, a node on the way or the recipient, cannot be seen"
    }


def test_a_channel_that_has_gone() -> None:
    """Our own is none of those, whatever gossip says of it; the first of the others is named."""
    gone = frozenset({ScidDir(scid(1), 0), ScidDir(scid(3), 0), ScidDir(scid(4), 1)})
    shown = place(one_out(), htlc(103_000), closed=gone)
    assert "disabled or closed" in shown.pop("reason")
    assert shown == {"hop": 2, "id": node("b").hex(), "alias": "Bob", "channel": "3x1x0", "direction": 0}


def test_a_node_that_failed_another_part() -> None:
    """Part 1 failed at b; part 2 passes it by another channel."""
    story = halves(terms(max_parts=4))
    story.fails(1, failed(1, FailCode.TEMPORARY_NODE_FAILURE))
    story.routes(line(50_000, "bd", first=21))
    shown = look(story, htlc(51_000, channel=11), htlc(51_000, channel=21))["attempts"]
    assert "probably_at" not in shown[0]
    assert "hop" not in shown[1]["probably_at"]
    story.fails(2, no_balance(1))
    shown = look(story, htlc(51_000, channel=21))["attempts"]
    assert shown[2]["probably_at"]["hop"] == 1 and shown[2]["probably_at"]["alias"] == "Bob"
    assert "failed at this node" in shown[2]["probably_at"]["reason"]


def test_the_recipient_is_our_peer() -> None:
    shown = place(one_out("d"), htlc(100_000))
    assert (shown["hop"], shown["id"]) == (1, node("d").hex()) and "channel" not in shown


def test_without_its_route() -> None:
    story = Teller(
        watch_terms(bytes(32), 1, node("us"), node("d"), 50_000, NOW), (ev.FoundPart(3, 50_000, 51_000, NOW),)
    )
    (attempt,) = look(story, htlc(51_000, channel=7))["attempts"]
    assert "route is not known" in attempt["probably_at"]["reason"]
    assert attempt["must_resolve"]["height"] == HEIGHT + 150


def test_the_node_does_not_tell() -> None:
    """Then it is not guessed, and the deadline is reckoned from what was sent: 18 + 3 * 40 blocks."""
    (attempt,) = look(one_out(), unknown=True)["attempts"]
    assert "probably_at" not in attempt
    assert attempt["must_resolve"]["height"] == HEIGHT + 138 + 1


def test_until_when() -> None:
    """The HTLC's own expiry, 144 blocks of ten minutes from now: a day."""
    (attempt,) = look(one_out(), htlc(103_000))["attempts"]
    assert attempt["must_resolve"] == {
        "height": HEIGHT + 150, "blocks_left": 144, "estimated_time": "2023-11-15T22:13:21.000Z",
    }  # fmt: skip


def test_the_chance_it_was_given() -> None:
    """Whoever compares what was said with what happened reads it here."""
    (attempt,) = look(one_out())["attempts"]
    assert attempt["probability"] == 0.5


def test_parts_of_the_same_amount() -> None:
    """Each HTLC is of one part: the other one has none yet."""
    story = halves()
    first, second = look(story, htlc(51_000, channel=11))["attempts"]
    assert first["probably_at"]["hop"] == 0
    assert "past our own channel" in second["probably_at"]["reason"]


# --- what it was made for -----------------------------------------------------------------------------------


def test_by_which_route() -> None:
    """Of those before it: one that failed, one that is out, or none."""
    story = halves(terms(max_parts=4))
    story.fails(1, no_balance(1))
    story.routes(line(25_000, "ad"), line(25_000, "bd", first=11))
    story.fails(3, no_balance(1))
    story.routes(line(25_000, "bd", first=31))
    shown = [attempt["strategy"] for attempt in look(story)["attempts"]]
    assert shown == [
        "Initial attempt",
        "Part 2: 50 sat by another route",
        "Part 3: 25 sat tried again by the same route",
        "Part 4: 25 sat beside another by the same route",
        "Part 5: 25 sat by another route",
    ]


# --- whether more may follow ----------------------------------------------------------------------------------


def more(story: Teller, now: float = NOW + 1) -> str | None:
    reason: str | None = look(story, now=now).get("no_new_parts")
    return reason


def payment(**changes: Any) -> Terms:
    return terms(max_parts=4, **changes)


def test_more_may_follow() -> None:
    assert more(halves()) is None


def test_time_is_up_with_parts_out() -> None:
    """The callers hear it too, once, and the end is not decided yet."""
    story = halves()
    assert more(story, DEADLINE) == "retry_for is over"
    assert story.tell(ev.TimerFired(), at=DEADLINE) == []
    assert story.told == [
        "retry_for (60 s) is over: no new parts are sent; 2 parts are still out, 100 sat in all: waiting for what "
        "becomes of them"
    ]
    story.settles(1)
    assert more(story, DEADLINE + 1) == "it is paid"
    story.settles(2)
    assert more(story, DEADLINE + 1) is None


def test_the_invoice_has_expired() -> None:
    assert more(halves(payment(deadline_s=EXPIRY + 9)), EXPIRY + 1) == "the invoice has expired"


def test_no_attempt_is_left() -> None:
    assert more(halves(payment(max_attempts=2))) == "it has had the most attempts allowed"


def test_given_up() -> None:
    story = halves()
    story.fails(1, no_balance(1))
    story.no_route()
    assert more(story) == "it is given up"
    story.fails(2, no_balance(1))
    assert more(story) is None


def test_only_watched() -> None:
    story = Teller(
        watch_terms(bytes(32), 1, node("us"), node("d"), 50_000, NOW), (ev.FoundPart(1, 50_000, 51_000),)
    )
    assert more(story) == "parts that were sent before are only watched"


# --- words for those who wait ---------------------------------------------------------------------------------


def words(story: Teller, now: float = NOW + 30) -> str:
    return how_it_stands(story.session, {p: PartTimes(NOW, None, HEIGHT) for p in story.session.attempts}, now)


def test_how_it_stands() -> None:
    """Two parts with 18 blocks and 40 for the hop between are out, later one of them."""
    story, block = halves(), HEIGHT + 18 + 40 + 1
    over = f"over by block {block} at the latest"
    assert words(story) == f"Waiting after 30 s: 2 parts are out, 100 sat in all, {over}"
    story.settles(1)
    assert words(story, NOW + 90).startswith("Waiting after 90 s: 1 part is out, 50 sat, over by block")


def test_how_it_stands_with_nothing_out() -> None:
    story = Teller(terms())
    assert "routes are being looked for" in words(story)
    story.routes(line(100_000, "abcd"))
    story.fails(1, unknown_payment(4, height=HEIGHT + 1))
    assert "the recipient is a block ahead of us" in words(story)


def test_how_it_stands_in_a_pause() -> None:
    """What is waited for: peers may take ten seconds, which is no moment."""
    story = Teller(terms())
    story.no_route(why=replace(NO_ROUTE, away=(node("b"),)))
    assert words(story, NOW + 2) == (
        "Waiting after 2 s: nothing is out, and our peers that are away were asked to connect"
    )


def test_callers_hear_how_it_stands() -> None:
    """As long as it lives, everybody who waits then; afterwards nobody."""
    story, heard = halves(), asyncio.Queue[str]()

    def hear(message: str, level: str = "info") -> None:
        heard.put_nowait(message)

    running = Running(story.session, ClearRecipient(node("d"), (), True), None)

    async def listen() -> None:
        telling = asyncio.create_task(tell_progress(running, every_s=0.001))
        running.listeners.append(hear)
        for _ in range(2):
            assert "2 parts are out, 100 sat in all" in await soon(heard.get())
        story.settles(1)
        story.settles(2)
        await soon(telling)

    played(listen())
