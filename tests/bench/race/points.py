"""A race as points of fee against first-try success, for `python -m tests.bench.picture POINTS.json PICTURE.svg`.

A row is (panel, series, label, fee in ppm, share paid at the first try, half of its interval), of what all senders
paid. Points of one series are joined: ours, called `default`, and each `ours-LABEL`, in the order of the senders.
A sender called `ours-SERIES/LABEL` is the point LABEL of a series of its own, `ours-SERIES`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.race.record import Memory, Payment, common
from tests.bench.race.statistics import wilson
from tests.bench.race.table import OURS, fee_ppm, groups, is_ours

Point = tuple[str, str, str, float, float, float]


def points(payments: Sequence[Payment], senders: Sequence[str]) -> Iterator[Point]:
    """Panel by panel: the amounts, and all of them together."""
    for mode in Memory:
        for group in groups([payment for payment in payments if payment.mode is mode]):
            panel = group.title if mode is Memory.RESET else f"{group.title}, memory kept"
            rows = common(group.payments, senders)
            if rows:
                for place, name in enumerate(senders):
                    yield _point(panel, name, [row[place] for row in rows])


def _point(panel: str, name: str, paid: Sequence[Payment]) -> Point:
    series, label = _named(name)
    first = wilson(sum(payment.first_try for payment in paid), len(paid))
    fee = sum(fee_ppm(payment) for payment in paid) / len(paid)
    return panel, series, label, fee, first.value, (first.high - first.low) / 2


def _named(sender: str) -> tuple[str, str]:
    """Series and label of a point."""
    series, slash, label = sender.partition("/")
    if slash or not is_ours(sender):
        return series, label
    return OURS, sender.removeprefix(OURS).removeprefix("-") or "default"


def write(file: Path, title: str, payments: Sequence[Payment], senders: Sequence[str]) -> None:
    """As the picture reads it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"title": title, "points": list(points(payments, senders))}, indent=1) + "\n")
