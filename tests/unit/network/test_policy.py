"""channel_update as a failure message carries it."""

from __future__ import annotations

import pytest

from pay.network import HintHop, OwnChannel, Policy, parse_channel_update
from pay.units import NodeId, Scid, ScidDir

SCID = Scid(700_000 << 40 | 12 << 16 | 3)


def update(message_flags: int = 1, channel_flags: int = 1, signature: bytes = bytes(64)) -> bytes:
    """Field by field as in BOLT 7, without the type."""
    return b"".join((
        signature, bytes(32), SCID.to_bytes(8, "big"), (1_700_000_000).to_bytes(4, "big"),
        bytes([message_flags, channel_flags]), (144).to_bytes(2, "big"), (1).to_bytes(8, "big"),
        (1000).to_bytes(4, "big"), (250).to_bytes(4, "big"), (990_000_000).to_bytes(8, "big"),
    ))  # fmt: skip


EXPECTED = Policy(1000, 250, 144, 1, 990_000_000, True, 1_700_000_000)


@pytest.mark.parametrize("prefix", [b"", b"\x01\x02"])
def test_with_and_without_the_type(prefix: bytes) -> None:
    assert parse_channel_update(prefix + update()) == (ScidDir(SCID, 1), EXPECTED)


def test_a_signature_that_looks_like_the_type() -> None:
    """Without the type, and the first two bytes of the signature are 258: the length tells."""
    message = update(signature=b"\x01\x02" + bytes(62))
    assert parse_channel_update(message) == (ScidDir(SCID, 1), EXPECTED)
    assert parse_channel_update(b"\x01\x02" + message) == (ScidDir(SCID, 1), EXPECTED)


def test_fields_after_the_known_ones_are_ignored() -> None:
    assert parse_channel_update(b"\x01\x02" + update() + b"\x01\x01\x00")[1] == EXPECTED


def test_disabled() -> None:
    where, policy = parse_channel_update(update(channel_flags=2))
    assert (where.direction, policy.enabled) == (0, False)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "of 0 bytes"),
        (update()[:-1], "of 135 bytes"),
        (b"\x01\x02" + update()[:-1], "of 137 bytes"),
        (update(message_flags=0), "700000x12x3 without htlc_maximum_msat"),
    ],
)
def test_what_is_none_is_refused(message: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_channel_update(message)


def test_own_channel_says_whether_it_can_be_used() -> None:
    """Connected, something to spend; free HTLC slots are never negative."""
    channel = OwnChannel(SCID, 0, NodeId(bytes(33)), 5000, 0, 0, 10_000, 30, 31, True, True)
    assert channel.usable
    assert channel.free_htlcs == 0


def test_direction_of_a_hint() -> None:
    low, high = NodeId(b"\2" + bytes(32)), NodeId(b"\3" + bytes(32))
    assert HintHop(low, SCID, 0, 0, 0).direction(high) == 0
    assert HintHop(high, SCID, 0, 0, 0).direction(low) == 1
