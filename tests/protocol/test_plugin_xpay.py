"""cln-xpay would answer `pay` in our place: what the plugin does about it, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.box.host import Host, hosting
from tests.support.plugins import ECHO

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
