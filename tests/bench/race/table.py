"""The tables of a race, from its payments.

`paid` counts all invoices that every sender was asked to pay. The columns after it are of those that all senders
paid, so that none looks good by failing at what is hard; `cannot, s` is the median time to an error, of a sender's
own errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench.race.record import Memory, Payment, common
from tests.bench.race.statistics import (
    Interval,
    bootstrap,
    difference,
    mean,
    quantile,
    ratio,
    wilson,
)

COLUMNS = (
    "sender", "paid", "first try", "HTLCs", "failed", "fee, ppm", "p50 s", "p95 s", "rounds", "cannot, s",
)  # fmt: skip
PPM = 1_000_000
OURS = "ours"
"""Who races as we are; variants are called `ours-…`."""


@dataclass(frozen=True, slots=True)
class Group:
    """Payments that make one block of rows."""

    title: str
    payments: list[Payment]


def tables(payments: Sequence[Payment], senders: Sequence[str], by_hub: bool = False) -> Iterator[str]:
    """Lines: a block a mode and amount, one of all amounts, on request one a hub, and the comparison of each."""
    modes = [mode for mode in Memory if any(payment.mode is mode for payment in payments)]
    for mode in modes:
        of_mode = [payment for payment in payments if payment.mode is mode]
        if mode is not modes[0]:
            yield ""
        yield f"memory {mode.value}"
        for group in groups(of_mode, by_hub):
            yield from _block(group, senders)


def groups(payments: Sequence[Payment], by_hub: bool = False) -> Iterator[Group]:
    """By amount, all amounts, and on request by hub; none of no payments."""
    if not payments:
        return
    for amount_msat in sorted({payment.amount_msat for payment in payments}):
        of_amount = [payment for payment in payments if payment.amount_msat == amount_msat]
        yield Group(f"{amount_msat // 1000:,} sat", of_amount)
    yield Group("all amounts", list(payments))
    if by_hub:
        hubs = sorted({(payment.hub_channels, payment.hub) for payment in payments})
        for channels, hub in hubs:
            of_hub = [payment for payment in payments if payment.hub == hub]
            yield Group(f"hub {hub}, {channels} channels", of_hub)


def _block(group: Group, senders: Sequence[str]) -> Iterator[str]:
    rows = common(group.payments, senders)
    asked = len({payment.question for payment in group.payments})
    yield ""
    yield f"| {group.title}: {asked} asked, {len(rows)} paid by all | " + " | ".join(COLUMNS[1:]) + " |"
    yield "|---|" + "---|" * (len(COLUMNS) - 1)
    for place, name in enumerate(senders):
        yield _row(name, group.payments, [row[place] for row in rows])
    yield from comparisons(rows, senders)


def _row(name: str, payments: Sequence[Payment], paid_by_all: Sequence[Payment]) -> str:
    own = [payment for payment in payments if payment.sender == name]
    hubs = [payment.hub for payment in paid_by_all]
    seconds = [payment.seconds for payment in paid_by_all]
    cannot = [payment.seconds for payment in own if not payment.paid]
    cells = [
        share_words(sum(payment.paid for payment in own), len(own)),
        share_words(sum(payment.first_try for payment in paid_by_all), len(paid_by_all)),
        mean_words([payment.htlcs for payment in paid_by_all], hubs, 2),
        mean_words([payment.failed for payment in paid_by_all], hubs, 2),
        mean_words([fee_ppm(payment) for payment in paid_by_all], hubs, 0),
        number(quantile(seconds, 0.5), 2),
        number(quantile(seconds, 0.95), 2),
        number(_mean([payment.rounds for payment in paid_by_all]), 2),
        f"{number(quantile(cannot, 0.5), 1)} ({len(cannot)})",
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def comparisons(rows: Sequence[Sequence[Payment]], senders: Sequence[str]) -> Iterator[str]:
    """Each of ours beside the builtins, on what all paid: ratio of fees, difference at the first try."""
    if not rows:
        return
    hubs = [row[0].hub for row in rows]
    for place, name in enumerate(senders):
        if not is_ours(name):
            continue
        for beside, other in enumerate(senders):
            if is_ours(other):
                continue
            pairs = [(row[place], row[beside]) for row in rows]
            fees = np.array([[fee_ppm(a), fee_ppm(b)] for a, b in pairs], dtype=np.float64).reshape(-1, 2)
            first = np.array([[a.first_try, b.first_try] for a, b in pairs], dtype=np.float64).reshape(-1, 2)
            times = bootstrap(fees, hubs, ratio)
            points = bootstrap(first * 100, hubs, difference)
            yield (
                f"{name} beside {other}: fees × {interval_words(times, 2)}, "
                f"first try {interval_words(points, 1, sign=True)} points"
            )


def is_ours(name: str) -> bool:
    """By the names that the command line gives."""
    return name == OURS or name.startswith(f"{OURS}-")


def fee_ppm(payment: Payment) -> float:
    """Of a payment that was paid, per million of its amount; amounts count alike."""
    assert payment.fee_msat is not None
    return payment.fee_msat * PPM / payment.amount_msat


def share_words(count: int, of: int) -> str:
    """`9/10 (60–98 %)`."""
    share = wilson(count, of)
    return f"{count}/{of} ({share.low * 100:.0f}–{share.high * 100:.0f} %)"


def mean_words(values: Sequence[float], clusters: Sequence[int], digits: int) -> str:
    """`1.20 (1.10–1.35)`."""
    column = np.array(values, dtype=np.float64).reshape(-1, 1)
    return interval_words(bootstrap(column, clusters, mean), digits)


def interval_words(interval: Interval, digits: int, sign: bool = False) -> str:
    """`-` of nothing."""
    if math.isnan(interval.value):
        return "–"
    plus = "+" if sign else ""
    value, low, high = (f"{v:{plus}.{digits}f}" for v in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"


def number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
