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


def labels(points: list[Point]) -> list[tuple[str, float, float]]:
    """The text of each label, and where its base line begins."""
    texts = drawn(points).findall(f"{SVG}g")[0].findall(f"{SVG}text")
    found = [text for text in texts if text.attrib.get("font-size") == "9"]
    return [(text.text or "", float(text.attrib["x"]), float(text.attrib["y"])) for text in found]


def test_labels_of_points_that_lie_close_to_each_other_do_not_overlap() -> None:
    """Three at the same place: above it, below it, and above the first. A far one is not moved."""
    crowd = [Point("p", "series", label, 100.0, 0.75) for label in ("first", "second", "third")]
    found = labels([*crowd, Point("p", "series", "far", 1_000.0, 0.9)])
    assert [label for label, *_ in found] == ["first", "second", "third", "far"]
    (_, left, here), *others, (_, _, far) = found
    at = here + 4
    assert [(x - left, round(y - at, 1)) for _, x, y in others] == [(0, 13), (0, -14)]
    panel = drawn([*crowd, Point("p", "series", "far", 1_000.0, 0.9)]).findall(f"{SVG}g")[0]
    assert far == pytest.approx(dots(panel)["series, far: 1000.0 ppm, 90.0 % ± 0.0"][1] - 4, abs=0.11)


def test_where_all_is_full_a_label_stands_above_its_point() -> None:
    crowd = [Point("p", "series", f"{number}", 100.0, 0.75) for number in range(8)]
    heights = [y for _, _, y in labels(crowd)]
    assert len(set(heights)) == 6 and heights[6] == heights[7] == heights[0]


def test_a_point_without_a_label_takes_no_room() -> None:
    found = labels([Point("p", "pay", "", 100.0, 0.75), Point("p", "ours", "default", 100.0, 0.75)])
    assert [label for label, *_ in found] == ["default"]
