"""What was said of our parts beside what happened, and what other senders' formulas would have said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.race.record import Crossing, Memory, Part, Payment
from tests.bench.race.surprise import foretold, lines

SIZES = {"2x1x0": 1_000_000_000}
"""1,000,000 sat; our own channel, 1x1x0, is nobody's guess."""


def part(amount_msat: int, arrived: bool, started_s: float, ended_s: float, chance: float | None = 0.7) -> Part:
    """From us (00) by the hub (aa), whose channel has not enough unless it arrives."""
    hops = (Crossing("1x1x0", 0, amount_msat, "00"), Crossing("2x1x0", 0, amount_msat, "aa"))
    if arrived:
        return Part(amount_msat, chance, True, started_s, ended_s, hops)
    return Part(amount_msat, chance, False, started_s, ended_s, hops, failed_at=1, failcode=0x1007)


def payment(*parts: Part, order: int = 0, mode: Memory = Memory.RESET) -> Payment:
    paid = any(one.arrived for one in parts)
    failed = sum(not one.arrived for one in parts)
    fee_msat = 1 if paid else None
    return Payment(
        "ours", 1, 5, 9, 500_000_000, 1, mode, order, paid, len(parts), failed, fee_msat, 1.0, 1, parts=parts
    )


def test_what_is_known_when_a_part_goes_out() -> None:
    """Half the channel is refused; a part that was out already was sent as if it was not, one that goes out later
    has less than half left to go through; LDK says 0.5 of a half, and 0 of what was refused."""
    half = 500_000_000
    told = foretold(
        [payment(part(half, False, 10, 12), part(half, False, 11, 13), part(half, True, 12, 14))], SIZES
    )
    said = [one["LDK"] for _, _, one in told]
    assert said == [pytest.approx(0.5), pytest.approx(0.5), 0.0]


def test_what_is_known_of_the_payment_before() -> None:
    """Nothing if all was forgotten after it, else that half the channel was not there."""
    half = 500_000_000
    for mode, chance in ((Memory.RESET, 0.5), (Memory.KEPT, 0.0)):
        two = [payment(part(half, False, at, at + 1), order=at, mode=mode) for at in (1, 2)]
        last = list(foretold(two[::-1], SIZES))[-1]
        assert last[0].order == 2 and last[2]["LDK"] == pytest.approx(chance)


def test_a_refusal_that_says_nothing_of_the_channel() -> None:
    """The hub was away: its channel may have had it all."""
    away = replace(part(500_000_000, False, 10, 11), failcode=0x2002)
    told = list(foretold([payment(away, part(500_000_000, True, 12, 13))], SIZES))
    assert told[1][2]["LDK"] == pytest.approx(0.5)


def test_the_lines() -> None:
    """Two payments; the first one's second part was not foretold."""
    first = payment(part(1_000, False, 1, 2, 0.2), part(1_000, True, 3, 4, None), part(1_000, True, 5, 6, 0.9))
    shown = list(lines([first, payment(part(1_000, True, 7, 8, 0.6), order=1)], ["pay", "ours"], {}))
    assert shown == [
        "",
        "ours, memory reset, all HTLCs: 3; log-loss in nats: ours 0.280",
        "| said % | 20 | 60 | 90 |",
        "|---|---|---|---|",
        "| happened % | 0 | 100 | 100 |",
        "",
        "ours, memory reset, the first of each payment: 2; log-loss in nats: ours 0.367",
        "| said % | 20 | 60 |",
        "|---|---|---|",
        "| happened % | 0 | 100 |",
    ]
    with_sizes = "\n".join(lines([first], ["ours"], SIZES))
    assert all(f", {name} " in with_sizes for name in ("lnd apriori", "lnd bimodal", "LDK"))
