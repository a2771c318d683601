"""The picture of a frontier: what is drawn of which points."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.picture import Point, draw, read

SVG = "{http://www.w3.org/2000/svg}"
POINTS = [
    Point("100,000 sat", "failure price", "10", 100.0, 0.75, 0.05),
    Point("100,000 sat", "failure price", "100", 1_000.0, 0.9, 0.04),
    Point("100,000 sat", "pay <26.06>", "pay", 316.227766, 0.8, 0.05),
    Point("500,000 sat", "failure price", "10", 0.0, 1.0),
]


def drawn(points: list[Point]) -> ElementTree.Element:
    return ElementTree.fromstring(draw(points, "fees & first tries"))


def dots(panel: ElementTree.Element) -> dict[str, tuple[float, float]]:
    """Where the points of a panel are, by what is said of them."""
    found = {}
    for circle in panel.iter(f"{SVG}circle"):
        title = circle.find(f"{SVG}title")
        assert title is not None and title.text
        found[title.text] = float(circle.attrib["cx"]), float(circle.attrib["cy"])
    return found


def test_each_point_is_said_in_words() -> None:
    panels = drawn(POINTS).findall(f"{SVG}g")
    assert list(dots(panels[0])) == [
        "failure price, 10: 100.0 ppm, 75.0 % ± 5.0",
        "failure price, 100: 1000.0 ppm, 90.0 % ± 4.0",
        "pay <26.06>, pay: 316.2 ppm, 80.0 % ± 5.0",
    ]
    assert list(dots(panels[1])) == ["failure price, 10: 0.0 ppm, 100.0 % ± 0.0"]


def test_fees_are_on_a_logarithmic_axis_and_success_grows_upwards() -> None:
    """316 ppm is half way from 100 to 1,000; 80 % is a third of the way from 75 to 90."""
    cheap, dear, between = dots(drawn(POINTS).findall(f"{SVG}g")[0]).values()
    assert cheap[0] < dear[0] and cheap[1] > dear[1]
    assert between[0] == pytest.approx((cheap[0] + dear[0]) / 2, abs=0.2)
    assert between[1] == pytest.approx(cheap[1] + (dear[1] - cheap[1]) / 3, abs=0.2)


def test_points_of_a_series_are_joined_and_a_single_one_is_not() -> None:
    lines = [panel.findall(f"{SVG}polyline") for panel in drawn(POINTS).findall(f"{SVG}g")]
    assert [len(each) for each in lines] == [1, 0]
    assert len(lines[0][0].attrib["points"].split()) == 2


def test_points_of_a_race_are_read_with_a_title_or_without(tmp_path: Path) -> None:
    file = tmp_path / "points.json"
    file.write_text(json.dumps({"title": "race", "points": POINTS}))
    assert read(file) == ("race", POINTS)
    file.write_text(json.dumps(POINTS))
    assert read(file) == ("", POINTS)
