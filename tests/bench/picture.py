"""A frontier as a picture: fee against first-try success, an SVG without any library.

Points are rows of (panel, series, label, fee, first try, ±): the fee in millionths of what was paid, on a
logarithmic axis, the other two shares from 0 to 1. Points of one series are joined in the order they come in; a
series of one point is a mark. What lies above and to the left is better.

    python -m tests.bench.picture POINTS.json PICTURE.svg

`POINTS.json` is a list of such rows, or an object with such a list under "points" and, if it has one, a "title".
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from tests.bench.arguments import Unreadable, existing

_PANEL, _PLOT, _LEFT, _TOP = (470, 380), (380, 290), 62, 34
_COLUMNS = 2
_LEGEND_ROW = 18
_LEAST_PPM = 1.0
"""Fees below this are drawn here: a logarithm has no zero."""

_LABEL = 9
"""Height of a point's label."""

_AWAY = (-4, 13, -14, 23, -24, 33)
"""From a point down to its label's base line: tried in this order."""

_COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8e44ad", "#b8860b", "#555555", "#d81b60", "#00838f")


class Point(NamedTuple):
    """One way to choose routes, and what became of it; `plus_minus` is half of a 95 % interval."""

    panel: str
    series: str
    label: str
    fee_ppm: float
    first_try: float
    plus_minus: float = 0.0


class _Box(NamedTuple):
    """Where a label is; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: _Box) -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not beside and self.top < other.bottom and other.top < self.bottom


def read(path: Path) -> tuple[str, list[Point]]:
    """Title and points of a file of results.

    Raises
    ------
    Unreadable
        There is no such file, or it has no points.
    """
    try:
        found = json.loads(path.read_text())
        title, rows = ("", found) if isinstance(found, list) else (found.get("title", ""), found["points"])
        return str(title), [_point(*row) for row in rows]
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"{path} has no points for a picture: {error!r}") from error


def _point(panel: str, series: str, label: str, fee: float, first: float, plus_minus: float = 0.0) -> Point:
    return Point(str(panel), str(series), str(label), float(fee), float(first), float(plus_minus))


def draw(points: Iterable[Point], title: str = "") -> str:
    """The picture's text: one panel after another, two a row, and one legend for all."""
    points = list(points)
    panels = list(dict.fromkeys(point.panel for point in points))
    series = list(dict.fromkeys(point.series for point in points))
    colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(series)}
    width, rows = _PANEL[0] * min(_COLUMNS, max(1, len(panels))), -(-len(panels) // _COLUMNS)
    head = 30
    height = head + rows * _PANEL[1] + _LEGEND_ROW * len(series) + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="12" y="20" font-size="15">{escape(title)}</text>',
    ]
    for at, panel in enumerate(panels):
        x, y = at % _COLUMNS * _PANEL[0], head + at // _COLUMNS * _PANEL[1]
        lines += [f'<g transform="translate({x + _LEFT},{y + _TOP})">']
        lines += _panel(panel, [point for point in points if point.panel == panel], colours)
        lines += ["</g>"]
    for at, name in enumerate(series):
        y = head + rows * _PANEL[1] + _LEGEND_ROW * at + 10
        lines.append(f'<circle cx="20" cy="{y - 4}" r="4" fill="{colours[name]}"/>')
        lines.append(f'<text x="32" y="{y}">{escape(name)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(title: str, points: Sequence[Point], colours: dict[str, str]) -> list[str]:
    wide, high = _PLOT
    fees = [max(_LEAST_PPM, point.fee_ppm) for point in points]
    low, top = math.log10(min(fees)) - 0.08, math.log10(max(fees)) + 0.12
    floor = max(0.0, math.floor(min(point.first_try - point.plus_minus for point in points) * 10) / 10)

    def x(fee_ppm: float) -> float:
        return wide * (math.log10(max(_LEAST_PPM, fee_ppm)) - low) / (top - low)

    def y(share: float) -> float:
        return high * (1 - (min(max(share, floor), 1.0) - floor) / (1 - floor)) if floor < 1 else 0.0

    lines = [
        f'<text x="0" y="-12" font-size="13">{escape(title)}</text>',
        f'<rect width="{wide}" height="{high}" fill="none" stroke="#999"/>',
        f'<text x="{wide / 2}" y="{high + 34}" text-anchor="middle">fee, ppm</text>',
        f'<text transform="translate(-44,{high / 2}) rotate(-90)" text-anchor="middle">'
        "payments without a failed HTLC</text>",
    ]
    for fee in _ticks(low, top):
        lines.append(f'<path d="M{x(fee):.1f} 0V{high}" stroke="#eee"/>')
        lines.append(f'<text x="{x(fee):.1f}" y="{high + 16}" text-anchor="middle">{fee:g}</text>')
    for tenth in range(round(floor * 10), 11):
        lines.append(f'<path d="M0 {y(tenth / 10):.1f}H{wide}" stroke="#eee"/>')
        lines.append(f'<text x="-6" y="{y(tenth / 10) + 4:.1f}" text-anchor="end">{tenth * 10} %</text>')
    taken: list[_Box] = []
    for name, colour in colours.items():
        mine = [point for point in points if point.series == name]
        if len(mine) > 1:
            way = " ".join(f"{x(point.fee_ppm):.1f},{y(point.first_try):.1f}" for point in mine)
            lines.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        for point in mine:
            at, here = x(point.fee_ppm), y(point.first_try)
            upper, lower = y(point.first_try + point.plus_minus), y(point.first_try - point.plus_minus)
            lines.append(
                f'<path d="M{at:.1f} {upper:.1f}V{lower:.1f}" stroke="{colour}" stroke-opacity="0.35"/>'
                f'<circle cx="{at:.1f}" cy="{here:.1f}" r="3.2" fill="{colour}">'
                f"<title>{escape(f'{name}, {point.label}')}: {point.fee_ppm:.1f} ppm, "
                f"{100 * point.first_try:.1f} % ± {100 * point.plus_minus:.1f}</title></circle>"
            )
            if point.label:
                base = _base(at + 5, here, point.label, taken)
                lines.append(
                    f'<text x="{at + 5:.1f}" y="{base:.1f}" font-size="{_LABEL}" fill="{colour}">'
                    f"{escape(point.label)}</text>"
                )
    return lines


def _base(left: float, here: float, label: str, taken: list[_Box]) -> float:
    """The base line of a label right of a point: above it, or where earlier labels lie, below it or farther away.

    Where there is no room near by, above it all the same. Letters are taken to be as wide as digits are.
    """
    right = left + len(label) * _LABEL * 0.6
    boxes = [_Box(left, here + away - _LABEL, right, here + away) for away in _AWAY]
    free = [box for box in boxes if not any(box.overlaps(other) for other in taken)]
    chosen = free[0] if free else boxes[0]
    taken.append(chosen)
    return chosen.bottom


def _ticks(low: float, top: float) -> list[float]:
    """Round fees between two logarithms."""
    fees = [step * 10.0**power for power in range(math.floor(low), math.ceil(top) + 1) for step in (1, 2, 5)]
    return [fee for fee in fees if low <= math.log10(fee) <= top]


def main(given: Sequence[str]) -> int:
    """Draw, or say in one line why not."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.picture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("points", type=existing, metavar="POINTS.json")
    parser.add_argument("picture", type=Path, metavar="PICTURE.svg")
    args = parser.parse_args(given)
    try:
        title, points = read(args.points)
        args.picture.write_text(draw(points, title))
    except Unreadable as reason:
        print(reason, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{args.picture}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
