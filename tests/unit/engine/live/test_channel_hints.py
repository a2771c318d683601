"""What a refused part tells other plugins of a channel: us ─1─ a ─2─ b ─3─ c ─4─ d."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from pay.engine.live.announcements import Announcements, ChannelHint, ChannelHints, hint_of
from pay.feedback.failure import FailCode, Failure
from pay.router.planning import Planning
from pay.units import Scid, ScidDir
from tests.support.engine.running import running_of
from tests.support.payments import failed, line, no_balance, scid, terms, unknown_payment
from tests.support.sessions import Teller
from tests.support.waiting import played

CAPACITY = 5_000_000


def refused(failure: Failure) -> Teller:
    story = Teller(terms())
    story.routes(line(100_000))
    story.fails(1, failure)
    return story


@pytest.mark.parametrize(
    ("failure", "hint"),
    [
        (no_balance(2), ChannelHint(ScidDir(scid(3), 0), 101_000, enabled=True)),
        (failed(1, FailCode.UNKNOWN_NEXT_PEER), ChannelHint(ScidDir(scid(2), 1), 102_000, enabled=False)),
        (failed(1, FailCode.CHANNEL_DISABLED), ChannelHint(ScidDir(scid(2), 1), 102_000, enabled=False)),
        (Failure(0, 0x1007, "Capacity exceeded"), ChannelHint(ScidDir(scid(1), 0), 103_000, enabled=True)),
        (failed(1, FailCode.TEMPORARY_NODE_FAILURE), None),
        (failed(4, FailCode.MPP_TIMEOUT), None),
        (unknown_payment(4), None),
        (failed(None, None, "Malformed error reply"), None),
    ],
)
def test_whose_channel_and_how_much(failure: Failure, hint: ChannelHint | None) -> None:
    """Of a channel speaks only the node that it starts from."""
    assert hint_of(refused(failure).session.attempts[1]) == hint


def told(failure: Failure, size_msat: int | None, ours: bool = True) -> list[tuple[str, dict[str, Any]]]:
    """What another plugin hears of it."""
    heard: list[tuple[str, dict[str, Any]]] = []

    class Graph:
        async def size_msat(self, channel: Scid) -> int | None:
            return size_msat

    async def tell() -> None:
        announcements = Announcements(lambda topic, fields: heard.append((topic, fields)))
        story = refused(failure)
        running = running_of(story.session) if ours else running_of(story.session, None)
        ChannelHints(cast(Planning, Graph()), announcements).part_ended(running, story.session.attempts[1])
        for _ in range(5):
            await asyncio.sleep(0)

    played(tell())
    for _, fields in heard:
        assert type(fields.pop("timestamp")) is int
    return heard


@pytest.mark.parametrize(
    ("failure", "size_msat", "estimated_msat", "total_msat", "enabled"),
    [
        (no_balance(1), CAPACITY, 101_999, CAPACITY, True),
        (no_balance(1), None, 101_999, 102_000, True),
        (failed(1, FailCode.UNKNOWN_NEXT_PEER), CAPACITY, CAPACITY, CAPACITY, False),
        (failed(1, FailCode.UNKNOWN_NEXT_PEER), None, 102_000, 102_000, False),
    ],
)
def test_fields(
    failure: Failure, size_msat: int | None, estimated_msat: int, total_msat: int, enabled: bool
) -> None:
    """What may still pass of what there is; a disabled channel has no estimate but its capacity."""
    fields = {
        "scid": str(ScidDir(scid(2), 1)), "estimated_capacity_msat": estimated_msat,
        "total_capacity_msat": total_msat, "enabled": enabled,
    }  # fmt: skip
    assert told(failure, size_msat) == [("channel_hint_update", fields)]


def test_parts_of_others_are_theirs_to_tell_of() -> None:
    assert told(no_balance(1), CAPACITY, ours=False) == []
