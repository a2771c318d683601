"""What other plugins are told of parts, field by field, and what callers who wait are told of them in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pay.engine.live.announcements import Announcements
from pay.engine.live.running import Running
from pay.errors import Code, PayError
from pay.feedback.failure import FailCode, Failure
from pay.payment import events as ev
from pay.payment.attempt import Attempt
from pay.payment.terms import watch_terms
from pay.units import format_scid
from tests.support.engine.running import running_of
from tests.support.payments import HEIGHT, NOW, failed, line, no_balance, node, scid, terms, unknown_payment
from tests.support.sessions import DEADLINE, Teller, error_of, halves

START = {"payment_hash", "groupid", "partid", "total_payment_msat", "attempt_msat", "hops"}
HOP = {"next_node", "short_channel_id", "direction", "channel_in_msat", "channel_out_msat"}
END = {"status", "duration", "payment_hash", "groupid", "partid"}
WHY = {
    "failed_msg", "failed_node_id", "failed_short_channel_id", "failed_direction", "error_code", "error_message",
}  # fmt: skip


class Ear:
    """Another plugin."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.announcements = Announcements(lambda topic, fields: self.heard.append((topic, fields)))

    def the(self, topic: str) -> dict[str, Any]:
        ((heard, fields),) = self.heard
        assert heard == topic
        return json.loads(json.dumps(fields))


def one_part() -> tuple[Running, Attempt]:
    """100,000 msat over us ─1─ a ─2─ b ─3─ c ─4─ d, 1,000 msat for each node between."""
    story = Teller(terms())
    story.routes(line(100_000))
    return running_of(story.session), story.session.attempts[1]


def ended(failure: Failure) -> dict[str, Any]:
    """What is told of a part that failed so."""
    story, ear = Teller(terms()), Ear()
    story.routes(line(100_000))
    story.fails(1, failure)
    ear.announcements.part_ended(running_of(story.session), story.session.attempts[1], 0.25)
    return ear.the("pay_part_end")


# --- parts ----------------------------------------------------------------------------------------------------


def test_a_part_starts() -> None:
    """Into a hop goes what its first node is given, out of it what the channel is given; ours takes no fee."""
    ear = Ear()
    ear.announcements.part_started(*one_part())
    told = ear.the("pay_part_start")
    assert told.keys() == START and all(hop.keys() == HOP for hop in told["hops"])
    assert (told["payment_hash"], told["groupid"], told["partid"]) == ("00" * 32, 1, 1)
    assert (told["total_payment_msat"], told["attempt_msat"]) == (100_000, 100_000)
    amounts = [(hop["channel_in_msat"], hop["channel_out_msat"]) for hop in told["hops"]]
    assert amounts == [(103_000, 103_000), (103_000, 102_000), (102_000, 101_000), (101_000, 100_000)]
    assert [hop["next_node"] for hop in told["hops"]] == [node(name).hex() for name in "abcd"]
    assert [hop["short_channel_id"] for hop in told["hops"]] == [format_scid(scid(n)) for n in (1, 2, 3, 4)]
    assert [hop["direction"] for hop in told["hops"]] == [0, 1, 0, 1]


def test_a_part_of_several() -> None:
    ear, story = Ear(), halves()
    ear.announcements.part_started(running_of(story.session), story.session.attempts[2])
    told = ear.the("pay_part_start")
    assert (told["partid"], told["total_payment_msat"], told["attempt_msat"]) == (2, 100_000, 50_000)


def test_a_payment_to_ourselves_has_no_hops() -> None:
    ear, story = Ear(), Teller(terms(to_self=True))
    ear.announcements.part_started(running_of(story.session), story.session.attempts[0])
    assert ear.the("pay_part_start")["hops"] == []


def test_a_part_settles() -> None:
    story, ear = Teller(terms()), Ear()
    story.routes(line(100_000))
    story.settles(1)
    ear.announcements.part_ended(running_of(story.session), story.session.attempts[1], 1.5)
    told = ear.the("pay_part_end")
    assert told.keys() == END and (told["status"], told["duration"], told["partid"]) == ("success", 1.5, 1)


@pytest.mark.parametrize(
    ("index", "who", "which"),
    [(0, None, 1), (1, "a", 2), (3, "c", 4), (4, "d", None), (None, None, None)],
)
def test_a_part_fails(index: int | None, who: str | None, which: int | None) -> None:
    """Who said so, and of which channel; the recipient speaks of none, and we of ours without naming ourselves."""
    told = ended(failed(index, None if index is None else FailCode.TEMPORARY_CHANNEL_FAILURE))
    assert END <= told.keys() <= END | WHY
    assert (told["status"], told["duration"]) == ("failure", 0.25)
    assert told.get("failed_node_id") == (node(who).hex() if who else None)
    assert told.get("failed_short_channel_id") == (format_scid(scid(which)) if which else None)
    assert told.get("failed_direction") == ((which - 1) % 2 if which else None)
    assert told.get("error_code") == (None if index is None else 0x1007)
    assert told["error_message"]


def test_the_recipient_refuses() -> None:
    """Its message as it came; in words, without the phrase that some callers refund on."""
    told = ended(unknown_payment(4))
    assert told["error_code"] == 0x400F and told["failed_msg"].startswith("400f")
    assert "refuses" in told["error_message"] and "incorrect" not in told["error_message"].lower()


def test_a_part_that_was_not_taken() -> None:
    story, ear = Teller(terms()), Ear()
    story.routes(line(100_000))
    story.tell(ev.HashTaken(1, "another group"))
    ear.announcements.part_ended(running_of(story.session), story.session.attempts[1], 0.0)
    assert ear.the("pay_part_end")["error_message"] == "the node did not take this part"


def test_parts_of_others() -> None:
    """A sender announces his own parts; a part of ours that was found at the start was announced before."""
    ear = Ear()
    watch = watch_terms(bytes(32), 1, node("us"), node("d"), 100_000, NOW)
    story = Teller(watch, (ev.FoundPart(1, 100_000, 101_000),))
    ear.announcements.part_started(running_of(story.session, None), story.session.attempts[1])
    ear.announcements.part_ended(running_of(story.session, None), story.session.attempts[1], 1.0)
    resumed = Teller(terms(first_partid=2), (ev.FoundPart(1, 50_000, 51_000),))
    ear.announcements.part_started(running_of(resumed.session), resumed.session.attempts[1])
    assert ear.heard == []
    resumed.settles(1)
    ear.announcements.part_ended(running_of(resumed.session), resumed.session.attempts[1], 1.0)
    assert ear.the("pay_part_end")["status"] == "success"


# --- words for those who wait ---------------------------------------------------------------------------------


def test_callers_hear_of_failed_parts() -> None:
    story = halves()
    story.fails(1, no_balance(1))
    story.routes(line(50_000, "cd", first=21))
    story.fails(3, failed(0, FailCode.TEMPORARY_CHANNEL_FAILURE, "Capacity exceeded"))
    assert story.told == [
        "Part 1 (50 sat) failed: the channel cannot forward it now (no balance, or its peer is away)",
        "Part 3 (50 sat) failed: our own channel: Capacity exceeded",
    ]


def test_callers_hear_what_is_still_out() -> None:
    """Time is up while a part is out: said once, with what the answer will be if it fails."""
    story = halves()
    story.fails(1, no_balance(1), at=DEADLINE)
    assert story.told[1:] == [
        "No new parts are sent; 1 part is still out, 50 sat: waiting for what becomes of them "
        "(error 210 if none is paid)"
    ]
    error = error_of(story.fails(2, no_balance(1)))
    assert error.code == Code.STOPPED_RETRYING
    assert len(story.told) == 3 and story.told[-1].startswith("Part 2 (50 sat) failed")


def test_both_parts_are_out_when_time_is_up() -> None:
    """retry_for ends while everything is in flight: that no part follows is said, the answer is open."""
    story = halves()
    assert story.tell(ev.TimerFired(), at=DEADLINE) == []
    story.tell(ev.Cancelled(PayError(Code.OTHER, "stop")))
    first, second = story.told
    assert first.startswith("retry_for (60 s) is over: no new parts are sent") and "error" not in first
    assert "2 parts are still out, 100 sat in all" in second and "error -1" in second


def test_no_words_that_mean_a_verdict() -> None:
    """The recipient's refusal is its verdict only once nothing is out."""
    story = halves()
    story.fails(1, unknown_payment(2), height=HEIGHT)
    assert len(story.told) == 2 and not any("incorrect" in told.lower() for told in story.told)
    story.settles(2)
    assert isinstance(story.session.result, ev.Paid)


def test_our_own_refusal() -> None:
    """A payment to ourselves fails at index 0 and at no channel."""
    story = Teller(terms(to_self=True))
    story.fails(0, failed(0, FailCode.UNKNOWN_PAYMENT, "Already paid or expired invoice"))
    (told,) = story.told
    assert "the recipient refuses" in told and "channel" not in told
