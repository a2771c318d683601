"""What payments learn and the datastore keeps: over restarts, and where it is damaged, slow or failing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.daemon import Lightningd
from tests.support.box.host import CAPACITY_MSAT, Host, hosting
from tests.support.box.learning import KEY, OPTIONS, drain, kept, liquidity, stored, tries
from tests.support.waiting import until


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path, **OPTIONS) as host:
        drain(host, "hub")
        yield host


def test_beliefs_outlive_the_node(tmp_path: Path) -> None:
    with hosting(tmp_path, **OPTIONS) as host:
        drain(host, "hub")
        tries(host)
        until(lambda: kept(host))
        before = liquidity(host, "export")["channels"]
        host.box.kill()
        mark = host.log_mark()
        host.box.restart()
        host.log("liquidity_restored", mark)
        assert liquidity(host, "export")["channels"] == before
        assert tries(host) == ["alt"]


def test_what_has_foretold_best_outlives_the_node(tmp_path: Path) -> None:
    charged = {"reserved": 45.5, "uniform": 46.0, "bimodal": 22.0, "mixed": 35.0}
    returns = {"never": 20.0, "hours": 15.0, "minutes": 9.5, "at_once": 2.25}
    scores = {
        "priors": {"outcomes": 20.5, "nats": charged}, "returns": {"outcomes": 12.0, "nats": returns},
    }  # fmt: skip
    chosen = {**OPTIONS, "options": {**OPTIONS["options"], "pay-balance-prior": "auto"}}
    with hosting(tmp_path, **chosen) as host:
        liquidity(host, "import", {"version": 1, "channels": [], "scores": scores})
        until(lambda: [piece.get("scores") for piece in stored(host).values()] == [scores])
        host.box.kill()
        mark = host.log_mark()
        host.box.restart()
        host.log("liquidity_restored", mark)
        assert liquidity(host, "export")["scores"] == scores
        shown = liquidity(host)
        assert (shown["prior"]["used"], shown["returns"]["used"]) == ("bimodal", "at_once")
        assert shown["prior"]["surprise_nats"]["bimodal"] == round(22.0 / 20.5, 4)


def test_scores_are_replaced_by_an_import_and_kept_by_a_merge(host: Host) -> None:
    """What earlier versions exported has none: imported, nothing is known of explanations; merged, what was is."""
    nats = {"reserved": 45.5, "uniform": 46.0, "bimodal": 22.0, "mixed": 35.0}
    heard = {"priors": {"outcomes": 20.5, "nats": nats}}
    fewer = {"priors": {"outcomes": 2.0, "nats": dict.fromkeys(nats, 1.5)}}
    plain = {"version": 1, "channels": []}
    liquidity(host, "import", {**plain, "scores": heard})
    liquidity(host, "merge", plain)
    assert liquidity(host, "export")["scores"] == heard
    liquidity(host, "merge", {**plain, "scores": fewer})
    assert liquidity(host, "export")["scores"] == heard, "of two the one with more outcomes"
    liquidity(host, "import", {**plain, "scores": fewer})
    assert liquidity(host, "export")["scores"] == fewer
    liquidity(host, "import", plain)
    assert liquidity(host, "export")["scores"] == {}


def test_a_start_before_the_clock_is_set_loses_nothing(tmp_path: Path) -> None:
    """What was kept is of the future then."""
    with hosting(tmp_path, **OPTIONS) as host:
        drain(host, "hub")
        tries(host)
        until(lambda: kept(host))
        (piece,) = map(json.dumps, stored(host).values())
        liquidity(host, "reset")
        until(lambda: not stored(host))
        later = re.sub(r'(?<=_at": )\d+', str(int(time.time()) + 7_200), piece)
        host.call("datastore", {"key": [*KEY, "1-0"], "string": later}).ok()
        host.box.kill()
        mark = host.log_mark()
        host.box.restart()
        host.log("liquidity_restored", mark)
        assert not host.lines("liquidity_unreadable")
        assert tries(host) == ["alt"]


def test_what_is_forgotten_is_forgotten_there_too(host: Host) -> None:
    tries(host)
    until(lambda: stored(host))
    liquidity(host, "reset")
    until(lambda: not stored(host))


def test_damaged_and_foreign_data_is_ignored_with_one_line(tmp_path: Path) -> None:
    good = {"version": 1, "channels": [], "nodes": []}
    texts = {
        "4-0": "{", "4-1": "[]", "4-2": '{"version": 99}', "4-3": json.dumps({**good, "channels": [7]}),
        "2-0": "nothing", "of-somebody-else": "hello", "1-0": json.dumps(good),
    }  # fmt: skip
    with hosting(tmp_path, **OPTIONS) as host:
        for name, text in texts.items():
            host.call("datastore", {"key": [*KEY, name], "string": text}).ok()
        host.call("datastore", {"key": [*KEY, "deep", "er"], "hex": "ff"}).ok()
        drain(host, "hub")
        host.box.kill()
        mark = host.log_mark()
        host.box.restart()
        host.log("liquidity_unreadable", mark)
        (line,) = host.lines("liquidity_un")
        assert "pieces=7" in line
        assert tries(host) == ["hub", "alt"]

        def ours() -> list[list[str]]:
            return [entry["key"] for entry in host.call("listdatastore", {"key": KEY}).ok()["datastore"]]

        until(lambda: ours() == [[*KEY, "1-0"], [*KEY, "deep"], [*KEY, "of-somebody-else"]])
        assert kept_channels(host)


def kept_channels(host: Host) -> bool:
    entry = host.call("listdatastore", {"key": [*KEY, "1-0"]}).ok()["datastore"][0]
    return bool(json.loads(entry["string"])["channels"])


@pytest.mark.parametrize(
    "faults",
    [
        {"errors": {"datastore": (-1, "database or disk is full"), "deldatastore": (-1, "no")}},
        {"delay_s": {"datastore": 0.3}},
        {"ignore": {"datastore", "deldatastore"}},
        {"hang": {"datastore"}},
        {"empty": {"datastore"}},
    ],
    ids=["full", "slow", "silent", "unanswered", "empty"],
)
def test_a_datastore_in_trouble_touches_no_payment(tmp_path: Path, faults: dict[str, Any]) -> None:
    options = {**OPTIONS["options"], "pay-dev-answer-ms": 300}
    with hosting(tmp_path, developer=True, options=options) as host:
        drain(host, "hub")
        with host.faults(**faults):
            assert tries(host) == ["hub", "alt"]
            for _ in range(3):
                assert tries(host) == ["alt"]
            quiet = "delay_s" in faults or "empty" in faults
            if not quiet:
                host.log("liquidity_unwritten")
            assert len(host.lines("liquidity_unwritten")) <= 1
        until(lambda: kept(host))


@pytest.mark.parametrize(
    "faults",
    [
        {"errors": {"listdatastore": (-1, "no such table")}},
        {"empty": {"listdatastore"}},
    ],
    ids=["failing", "empty"],
)
def test_what_cannot_be_read_at_start_is_learnt_again(tmp_path: Path, faults: dict[str, Any]) -> None:
    def trouble(node: Lightningd) -> None:
        for name, value in faults.items():
            setattr(node.faults, name, value)

    with hosting(tmp_path, **OPTIONS, prepare=trouble) as host:
        drain(host, "hub")
        assert tries(host) == ["hub", "alt"] and tries(host) == ["alt"]
        assert len(host.lines("liquidity_unread")) == 1


def late_start(node: Lightningd) -> None:
    """The plugin cannot read the datastore yet."""
    node.faults.only_plugin = True
    node.faults.errors = {"listdatastore": (-1, "database is locked")}


@pytest.mark.parametrize("reset", [False, True])
def test_what_can_be_read_later_is_not_written_over(tmp_path: Path, reset: bool) -> None:
    """Beliefs of an earlier run are there when the host tells them at last, unless they were reset meanwhile."""
    with hosting(tmp_path, **OPTIONS, prepare=late_start) as host:
        scid, now = host.scid("hub", "far"), int(time.time()) - 60
        bounds = [{"direction": side, "low_msat": CAPACITY_MSAT // 4, "low_at": now} for side in (0, 1)]
        entry = {"short_channel_id": scid, "capacity_msat": CAPACITY_MSAT, "directions": bounds}
        kept_before = json.dumps({"version": 1, "channels": [entry], "nodes": []})
        host.call("datastore", {"key": [*KEY, "1-0"], "string": kept_before}).ok()
        tries(host)
        assert stored(host) == {"1-0": json.loads(kept_before)}, "in spite of what was learnt"
        if reset:
            liquidity(host, "reset")
        host.node.faults.errors = {}
        if reset:
            until(lambda: not stored(host))
        else:
            host.log("liquidity_restored channels=")
            until(lambda: kept(host))
        known = [channel["short_channel_id"] for channel in liquidity(host, "export")["channels"]]
        assert (scid in known) is not reset


def test_a_reset_is_written_at_once(tmp_path: Path) -> None:
    """Who forgets and stops the node does not find it all again."""
    options = {**OPTIONS["options"], "pay-dev-liquidity-ms": 600_000}
    with hosting(tmp_path, developer=True, options=options) as host:
        tries(host)
        exported = liquidity(host, "export")
        liquidity(host, "import", exported)
        until(lambda: kept(host))
        liquidity(host, "reset")
        until(lambda: not stored(host))
