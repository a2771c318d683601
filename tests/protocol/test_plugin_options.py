"""Options of the plugin: bad values, setconfig, and what of it is still so after the next start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pay.sim.lightningd.daemon import LightningdDied
from tests.support.box.host import Host, hosting
from tests.support.checkout import PLUGIN


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(Path(tmp_path_factory.mktemp("host"))) as host:
        yield host


def test_setconfig(host: Host) -> None:
    """A good value counts from the next payment on, a bad one is refused in words; `check` asks only."""
    option = {"config": "pay-failure-cost"}
    assert host.call("setconfig", {**option, "val": "7sat"}).ok()["config"]["value_str"] == "7sat"
    host.log("option_set name=pay-failure-cost value=7sat")
    for bad in (-1, 10**12, "x", "1.5", "1.5msat", "2btc", "", "5 sat"):
        for method in ("setconfig", "check"):
            params = {**option, "val": bad, **({"command_to_check": "setconfig"} if method == "check" else {})}
            answer = host.call(method, params)
            assert answer.code == -32602, answer
            assert answer.error is not None
            assert "pay-failure-cost" in answer.error["message"]
    assert host.call("check", {"command_to_check": "setconfig", **option, "val": 8}).ok()
    assert host.call("listconfigs", option).ok()["configs"]["pay-failure-cost"]["value_str"] == "7sat"
    assert host.pay(host.invoice()).ok()


BAD = {"pay-max-parts": 0, "pay-randomness": 500, "pay-shadow": "maybe", "pay-failure-cost": "5 sats"}
USED = {
    "pay-max-parts": ("value_int", 100), "pay-randomness": ("value_int", 85), "pay-shadow": ("value_str", "delay"),
    "pay-failure-cost": ("value_str", "10000msat"),
}  # fmt: skip


@pytest.mark.parametrize("version", ["v24.11", "v26.06.6"])
def test_bad_values_of_a_configuration(version: str, tmp_path: Path) -> None:
    """The node comes up and pays with the defaults; a line for each says so, and what is shown is what is used.
    Where nothing can be set for the length of a run, the configuration stays as it is."""
    with hosting(tmp_path, options=BAD, version=version, important=True) as host:
        for name, (member, used) in USED.items():
            (line,) = host.lines(f"option_refused name={name} ")
            assert f"used={used}" in line and "should be" in line and "unusual" in line.lower()
            shown = host.call("listconfigs", {"config": name}).ok()["configs"][name]
            assert shown[member] == (used if version != "v24.11" else BAD[name])
        assert host.pay(host.invoice()).ok()["status"] == "complete"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_of_plugin_start(name: str, tmp_path: Path) -> None:
    """Who types it reads what is wrong with it; the next try works."""
    with hosting(tmp_path, plugin=None, wait=False) as host:
        start = {"subcommand": "start", "plugin": str(PLUGIN)}
        refused = host.call("plugin", {**start, name: BAD[name]})
        assert refused.error is not None
        assert f"{name} should be" in refused.error["message"]
        assert host.node.plugin_pids == set()
        assert host.call("plugin", {**start, name: USED[name][1]}).ok()
        host.log("started version=")
        assert host.pay(host.invoice()).ok()["status"] == "complete"


def test_an_amount_is_given_as_to_the_host(tmp_path: Path) -> None:
    """A configuration may say 5sat, as of the host's own amounts."""
    options = {"pay-failure-cost": "5sat", "pay-min-part": "2000sat", "pay-part-cost": 7}
    with hosting(tmp_path, options=options) as host:
        assert host.lines("option_refused") == []
        configs = host.call("listconfigs").ok()["configs"]
        assert {name: configs[name]["value_str"] for name in options} == {
            name: str(value) for name, value in options.items()
        }
        assert host.pay(host.invoice()).ok()["status"] == "complete"


# --- setconfig and the next start --------------------------------------------------------------------------


def looked(host: Host, mark: int) -> None:
    """Wait until the plugin has read what the host has as set."""
    host.until(lambda: [e for e in host.recorded(mark) if e.method == "listconfigs" and not e.params])


def started_by_hand(host: Host) -> None:
    host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN)}).ok()
    host.log("started version=")


def test_what_is_set_for_a_run_is_gone_after_it(tmp_path: Path) -> None:
    """As docs/options.md has it: a node comes up without the plugin, and nobody was warned."""
    with hosting(tmp_path, plugin=None, wait=False) as host:
        started_by_hand(host)
        looked(host, 0)
        mark = host.mark()
        host.call("setconfig", ["pay-min-part", "5sat", True]).ok()
        looked(host, mark)
        host.box.stop()
        host.box.restart()
        assert host.call("getinfo").ok()
        assert host.lines("option_outlasts_plugin") == []


def test_what_is_set_for_good_outlasts_a_plugin_that_was_started_by_hand(tmp_path: Path) -> None:
    """The node would not come up: its log says so at once, once of each option, and where that is written."""
    with hosting(tmp_path, plugin=None, wait=False) as host:
        started_by_hand(host)
        host.call("setconfig", ["pay-min-part", "5sat"]).ok()
        line = host.log("option_outlasts_plugin")
        assert "name=pay-min-part" in line and "config.setconfig:2" in line and "unusual" in line.lower()
        assert f"disable-plugin=pay and plugin={PLUGIN}" in line, "either alone keeps it down"
        host.call("setconfig", ["pay-usual-parts", 7, True]).ok()
        host.call("setconfig", ["pay-max-parts", 7]).ok()
        host.log("option_outlasts_plugin name=pay-max-parts")
        assert len(host.lines("option_outlasts_plugin")) == 2
        host.box.stop()
        with pytest.raises(LightningdDied, match="pay-m"):
            host.box.restart()


def test_what_is_set_for_good_stays_where_the_plugin_does(host: Host) -> None:
    """It is in the configuration too: nothing to warn of."""
    host.call("setconfig", ["pay-min-part", "1001sat"]).ok()
    host.log("option_set name=pay-min-part value=1001sat")
    host.call("plugin", ["stop", str(PLUGIN)]).ok()
    mark, lines = host.mark(), host.log_mark()
    host.call("plugin", ["start", str(PLUGIN)]).ok()
    looked(host, mark)
    # cln-xpay has had its option back meanwhile, and answers `pay` until that is switched off again.
    host.log("started version=", lines)
    assert host.pay(host.invoice()).ok()["status"] == "complete"
    assert host.lines("option_outlasts_plugin") == []
