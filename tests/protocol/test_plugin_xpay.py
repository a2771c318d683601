"""cln-xpay would answer `pay` in our place: what the plugin does about it, and what it leaves alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.box.host import Host, hosting
from tests.support.checkout import PLUGIN
from tests.support.plugins import ECHO
from tests.support.waiting import until

OPTION = "xpay-handle-pay"


def handles(host: Host) -> bool:
    """Whether xpay would take a `pay` now."""
    return bool(host.call("listconfigs", {"config": OPTION}).ok()["configs"][OPTION]["value_bool"])


def settings(host: Host) -> list[Any]:
    """What the plugin has set."""
    return [entry.params for entry in host.recorded() if entry.method == "setconfig"]


def test_switched_off_at_start(tmp_path: Path) -> None:
    """Since v26.06 it is on by default; we switch it off for this run only, and say so."""
    with hosting(tmp_path) as host:
        assert not handles(host)
        assert settings(host) == [{"config": OPTION, "val": False, "transient": True}]
        assert len(host.lines("xpay_kept_off")) == 1
        assert host.pay(host.invoice()).ok()
        # Nothing was written into the operator's configuration.
        assert host.node.db.query("SELECT name FROM setconfig") == []


def test_switched_off_again(tmp_path: Path) -> None:
    """A plugin that starts may be xpay with its option as it was: it is looked at each time."""
    echo = ECHO
    with hosting(tmp_path) as host:
        host.call("setconfig", {"config": OPTION, "val": True, "transient": True}).ok()
        assert handles(host)
        assert host.call("plugin", {"subcommand": "start", "plugin": str(echo)}).ok()
        host.until(lambda: len(host.lines("xpay_kept_off")) == 2)
        assert not handles(host)
        assert host.pay(host.invoice()).ok()


def test_left_alone(tmp_path: Path) -> None:
    """The operator wants xpay to answer: we say once that it does."""
    with hosting(tmp_path, options={"pay-allow-xpay": True}) as host:
        assert handles(host)
        assert settings(host) == []
        assert len(host.lines("xpay_answers_pay")) == 1


@pytest.mark.parametrize("version", ["v25.02", "v25.12", "v26.04"])
def test_off_by_default(version: str, tmp_path: Path) -> None:
    """Where it is off nothing is set."""
    with hosting(tmp_path, version=version) as host:
        assert settings(host) == []
        assert host.lines("xpay_") == []


def test_on_before_transient_settings(tmp_path: Path) -> None:
    """Before v25.02 `setconfig` would write the operator's file: he is told what to do instead."""
    with hosting(tmp_path, version="v24.11", options={OPTION: True}) as host:
        assert settings(host) == []
        assert handles(host)
        (line,) = host.lines("xpay_answers_pay")
        assert f"remove {OPTION}" in line


def test_switched_on_in_the_configuration(tmp_path: Path) -> None:
    """An older host whose operator switched it on while the builtin was there."""
    with hosting(tmp_path, version="v25.05", options={OPTION: True}) as host:
        assert not handles(host)


def test_host_refuses_the_setting(tmp_path: Path) -> None:
    """The plugin starts all the same, and the log says who answers."""

    def refuse(node: Any) -> None:
        node.faults.errors["setconfig"] = (-1, "not now")

    with hosting(tmp_path, prepare=refuse) as host:
        assert handles(host)
        assert "not now" in host.lines("xpay_answers_pay")[0]


def test_without_xpay(tmp_path: Path) -> None:
    """A host that was started without it does not know the option."""

    def refuse(node: Any) -> None:
        node.faults.errors["listconfigs"] = (-32602, "config: Unknown config option")

    with hosting(tmp_path, prepare=refuse) as host:
        assert settings(host) == []


def restarted(host: Host, subcommand: str) -> None:
    assert host.call("plugin", {"subcommand": subcommand, "plugin": str(PLUGIN)}).ok()


def remembered(host: Host) -> list[Any]:
    return list(host.call("listdatastore", {"key": ["pay", "xpay-handle-pay-was-on"]}).ok()["datastore"])


def test_given_back_when_the_plugin_is_stopped(tmp_path: Path) -> None:
    """Else nobody would answer `pay` as before: the node keeps the value until it stops."""
    with hosting(tmp_path) as host:
        assert not handles(host)
        assert len(remembered(host)) == 1
        for _ in range(2):
            restarted(host, "stop")
            assert handles(host)
            assert remembered(host) == []
            restarted(host, "start")
            until(lambda: not handles(host))


def test_given_back_by_one_who_comes_after_a_kill(tmp_path: Path) -> None:
    """Who is killed gives nothing back; the next one knows of it."""
    with hosting(tmp_path) as host:
        os.kill(host.pid, signal.SIGKILL)
        until(lambda: not host.call("help", {"command": "paystatus"}).result)
        assert not handles(host)
        mark = host.log_mark()
        restarted(host, "start")
        host.log("started version", mark)
        assert not handles(host)
        assert host.lines("xpay_kept_off", mark) == [], "it was off"
        restarted(host, "stop")
        assert handles(host)


def test_what_the_operator_switched_off_stays_off(tmp_path: Path) -> None:
    """Before the plugin came, or while it was there."""
    with hosting(tmp_path) as host:
        host.call("setconfig", {"config": OPTION, "val": False}).ok()
        restarted(host, "stop")
        assert not handles(host)
        host.call("setconfig", {"config": OPTION, "val": False, "transient": True}).ok()
        restarted(host, "start")
        restarted(host, "stop")
        assert not handles(host)


def test_the_operator_who_allows_it_gets_it_back(tmp_path: Path) -> None:
    """One without the permission was killed."""
    with hosting(tmp_path) as host:
        os.kill(host.pid, signal.SIGKILL)
        until(lambda: not host.call("help", {"command": "paystatus"}).result)
        host.call("plugin", {"subcommand": "start", "plugin": str(PLUGIN), "pay-allow-xpay": True}).ok()
        until(lambda: handles(host))
        until(lambda: remembered(host) == [], "it is forgotten")


def test_an_option_that_cannot_be_given_back_keeps_nobody(tmp_path: Path) -> None:
    """The host does not answer while it stops the plugin: it is not waited for."""
    with hosting(tmp_path) as host, host.faults(hang={"listconfigs"}):
        began_s = time.monotonic()
        restarted(host, "stop")
        assert time.monotonic() - began_s < 10
