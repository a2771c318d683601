"""One way to print a measurement."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def heading(title: str, *columns: str) -> None:
    print(f"{title:52}" + "".join(f"{column:>12}" for column in columns))


def row(name: str, *cells: str) -> None:
    print(f"  {name:50}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


def spread(name: str, values: Sequence[float], unit: str, limit: str, digits: int = 1) -> None:
    """Median, 99th percentile (or the largest of few) and what it should be."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    row(name, f"{statistics.median(ordered):.{digits}f} {unit}", f"{high:.{digits}f} {unit}", limit)
