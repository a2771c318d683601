"""How `pay` comes to us where it can be told without a lightningd: a host that runs is asked, the operator's word,
a second of us, and a name that nobody has."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.box.host import Host, hosting
from tests.support.checkout import PLUGIN, ROOT
from tests.support.plugins import ECHO
from tests.support.rawrpc import Answer
from tests.support.waiting import until

CLNPAY = ROOT / "clnpay.py"


def plugin(host: Host, subcommand: str, path: Path | str = PLUGIN) -> Answer:
    return host.call("plugin", {"subcommand": subcommand, "plugin": str(path)})


def start(host: Host, path: Path = PLUGIN) -> str:
    """Start the plugin on a running node; which way in it chose."""
    mark = host.log_mark()
    plugin(host, "start", path).ok()
    host.log("started version=", mark)
    return entry(host, mark)


def entry(host: Host, mark: int = 0) -> str:
    return host.log("entry_chosen", mark).partition("entry=")[2].split()[0]


def our_pid(host: Host) -> int:
    """Not those of the plugins that have the names."""
    (pid,) = (pid for pid in host.node.plugin_pids if str(PLUGIN) in Path(f"/proc/{pid}/cmdline").read_text())
    return pid


def is_ours(host: Host) -> bool:
    mark = host.log_mark()
    host.pay(host.invoice()).ok()
    return bool(host.lines("payment_start", mark))


def test_a_host_that_has_pay_is_hooked(tmp_path: Path) -> None:
    """Builtin and plugin side by side, three restarts."""
    with hosting(tmp_path, plugin=[], builtin_pay=True, wait=False) as host:
        for _ in range(4):
            assert start(host) == "hook"
            assert is_ours(host)
            plugin(host, "stop").ok()
        assert not host.lines("Deferring registration")


def test_a_host_that_has_none_is_served_by_a_method_of_ours(tmp_path: Path) -> None:
    """The builtin was stopped; its option is ours as well."""
    with hosting(tmp_path, plugin=[], builtin_pay=True, wait=False) as host:
        plugin(host, "stop", "pay").ok()
        assert start(host) == "own"
        assert is_ours(host)
        configs = host.call("listconfigs", {"config": "disable-mpp"}).ok()["configs"]
        assert configs["disable-mpp"]["plugin"] == str(PLUGIN)


def test_an_old_host_is_not_hooked(tmp_path: Path) -> None:
    with hosting(tmp_path, version="v25.09", environment={"CLNPAY_ENTRY": "hook"}) as host:
        assert entry(host) == "own"
        assert is_ours(host)


def test_two_of_us(tmp_path: Path) -> None:
    """At the node's start, and on a running node; whoever comes first serves."""
    with hosting(tmp_path, plugin=[PLUGIN, CLNPAY], options={"pay-shadow": "off"}) as host:
        assert "it runs already" in host.log("disabled itself at init")
        assert is_ours(host)
        (serving,) = (
            Path(each["name"])
            for each in host.call("plugin", {"subcommand": "list"}).ok()["plugins"]
            if Path(each["name"]) in (PLUGIN, CLNPAY)
        )
        other = CLNPAY if serving == PLUGIN else PLUGIN
        refused = plugin(host, "start", other)
        assert (refused.code, "it runs already" in str(refused.error)) == (-3, True)
        plugin(host, "stop", serving).ok()
        start(host, other)
        assert is_ours(host)


def test_a_name_that_nobody_has_is_mended(tmp_path: Path) -> None:
    """The operator says hook, and has no builtin; then we are killed, and come again."""
    with hosting(tmp_path, environment={"CLNPAY_ENTRY": "hook"}) as host:
        assert entry(host) == "hook"
        until(lambda: len(host.lines("name_mended")) == 2, "both names are mended")
        assert is_ours(host)
        os.kill(our_pid(host), signal.SIGKILL)
        invoice = host.invoice()
        until(lambda: host.pay(invoice).error, "we are gone")
        refused = host.pay(invoice)
        assert (refused.code, "nothing was sent" in str(refused.error)) == (-1, True)
        assert host.rows(invoice) == []
        start(host)
        assert is_ours(host)


def test_the_builtin_is_stopped_beside_us(tmp_path: Path) -> None:
    """Its name is mended once; who stops what mended it is left alone."""
    with hosting(tmp_path, builtin_pay=True, environment={"CLNPAY_ENTRY": "hook"}) as host:
        plugin(host, "stop", "pay").ok()
        until(lambda: len(host.lines("name_mended")) == 2, "both names are mended")
        assert is_ours(host)
        for name in ("pay.py", "paystatus.py"):
            plugin(host, "stop", name).ok()
        assert host.pay(host.invoice()).code == -32601
        # Another plugin ends, so that it is looked at again.
        plugin(host, "start", ECHO).ok()
        mark = host.mark()
        plugin(host, "stop", ECHO.name).ok()
        until(lambda: "plugin" in host.methods(mark), "the plugins were listed")
        assert host.pay(host.invoice()).code == -32601
        assert len(host.lines("name_mended")) == 2


def test_a_stand_in_that_cannot_be_started_is_said(tmp_path: Path) -> None:
    with (
        hosting(tmp_path, builtin_pay=True, environment={"CLNPAY_ENTRY": "hook"}) as host,
        host.faults(errors={"plugin": (-3, "not now")}),
    ):
        # The list of plugins is refused as well: nothing is known, and nothing done.
        plugin(host, "stop", "pay").ok()
        host.log("names_unknown")
        assert not host.lines("name_mended")
