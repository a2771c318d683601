"""What a person at the keyboard gets wrong with the benches: one line and a status, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.bench import __main__ as bench
from tests.bench import frontier, picture
from tests.bench.race import __main__ as race
from tests.bench.race.drawing import Topology
from tests.bench.race.tree import Unusable

HEAD = {"date": "today", "machine": "m", "lightningd": "v26.06", "snapshot": "s", "hubs": {}}


def refused(capsys: pytest.CaptureFixture[str], words: str) -> None:
    """Usage and one line, as argparse has it."""
    last = capsys.readouterr().err.splitlines()[-1]
    assert words in last


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["nothere"], "no section 'nothere': start, load, planning"),
        (["load", "nothere"], "no section 'nothere'"),
        (["--network", "/nonexist"], "argument --network: no such file: /nonexist"),
    ],
    ids=str,
)
def test_sections_that_are_none(given: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench.main(given)
    refused(capsys, why)


def test_sections_that_there_are() -> None:
    assert bench.arguments(["load", "regret"]).sections == ["load", "regret"]
    assert bench.arguments([]).sections == []


def test_time_left_is_reckoned_at_the_pace_of_the_machine() -> None:
    progress = bench.Progress({"load": 10, "planning": 30, "exact": 60})
    assert progress.left_s([], 0.0) == 100.0, "nothing is known yet"
    assert progress.left_s(["load"], 20.0) == 180.0, "twice as slow"
    assert progress.left_s(["load", "planning", "exact"], 200.0) == 0.0
    assert (bench.in_words(99.6), bench.in_words(150)) == ("100 s", "2 minutes")


def test_a_frontier_of_no_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["frontier", "--network", "/nonexist"])
    with pytest.raises(SystemExit, match="2"):
        frontier.main()
    refused(capsys, "argument --network: no such file: /nonexist")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--amounts", "x"], "--amounts: 'x' is not a whole number from 1: 'x' should be like 1000,10000"),
        (["--amounts", "1000,"], "'' is not a whole number from 1: '1000,' should be like"),
        (["--payees", "0"], "argument --payees: '0' is not a whole number from 1"),
        (["--side-by-side", "-1"], "argument --side-by-side: '-1' is not a whole number from 1"),
        (["--show", "/nonexist"], "argument --show: no such file: /nonexist"),
        (["--plugin", "/nowhere/plugin.py"], "no plugin.py: /nowhere/plugin.py"),
    ],
    ids=str,
)
def test_a_race_that_is_none(given: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        race.main(given)
    refused(capsys, why)


def test_a_hub_that_is_none() -> None:
    none = np.zeros(3, np.int64)
    with pytest.raises(Unusable, match="no hub 3: nodes of the snapshot are 0 to 2"):
        race.plans(race.arguments(["--hub", "3", "--hubs", "1"]), Topology(none + 9, none, none))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not JSON", "is not what a race writes with --json: JSONDecodeError("),
        ("[]", "is not what a race writes with --json: TypeError("),
        ('{"points": []}', "is not what a race writes with --json: KeyError('payments')"),
        ('{"payments": [{}], "setting": {}, "broken": []}', "is not what a race writes with --json: KeyError("),
        (json.dumps({"payments": [], "setting": HEAD, "broken": []}), "does not say of its race: senders"),
    ],
    ids=["text", "list", "points", "payment", "head"],
)
def test_a_file_that_is_no_race(text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "race.json"
    file.write_text(text)
    assert race.main(["--show", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"{file} {why}") and said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not JSON", "JSONDecodeError("),
        ("{}", "KeyError('points')"),
        ('"points"', "AttributeError("),
        ('[["panel", "series"]]', "TypeError("),
        ('[["panel", "series", "label", "dear", 1.0]]', "ValueError("),
    ],
    ids=str,
)
def test_a_file_without_points(text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "points.json"
    file.write_text(text)
    assert picture.main([str(file), str(tmp_path / "picture.svg")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{file} has no points for a picture: {why}") and said.count("\n") == 1
    assert not (tmp_path / "picture.svg").exists()


def test_pictures_of_nothing_and_to_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given, why in ((["/nonexist", "x"], "no such file: /nonexist"), ([__file__], "required: PICTURE.svg")):
        with pytest.raises(SystemExit, match="2"):
            picture.main(given)
        refused(capsys, why)
    file = tmp_path / "points.json"
    file.write_text('[["panel", "series", "label", 10, 0.5]]')
    assert picture.main([str(file), str(tmp_path / "no" / "picture.svg")]) == 1
    refused(capsys, f"{tmp_path}/no/picture.svg: No such file or directory")
    assert picture.main([str(file), str(tmp_path / "picture.svg")]) == 0
    assert "series, label: 10.0 ppm, 50.0 %" in (tmp_path / "picture.svg").read_text()


@pytest.mark.parametrize("given", [["--json"], ["--quick", "--points"]], ids=str)
def test_results_of_an_hour_have_a_place_before_it_begins(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for nowhere in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(SystemExit, match="2"):
            race.arguments([*given, str(nowhere)])
        refused(capsys, f"cannot be written: {nowhere}")
    made = race.arguments([*given, str(tmp_path / "new" / "race.json")])
    assert tmp_path / "new" / "race.json" in (made.json, made.points)
    assert (tmp_path / "new").is_dir()
