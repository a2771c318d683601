"""How the plugin starts, what it tells the host of itself, and how it says that it cannot run."""

from __future__ import annotations

import ast
import ctypes
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pay import __version__
from pay.sim.lightningd.daemon import Lightningd, LightningdDied
from pay.sim.lightningd.faults import LightningdFaults
from tests.support.box.host import Host, environment, hosting
from tests.support.checkout import PLUGIN
from tests.support.manifest import GETMANIFEST, ask, bare_python, disabled
from tests.support.waiting import PATIENCE_S

NAMES = (
    "[amount_msat] [label] [riskfactor] [maxfeepercent] [retry_for] [maxdelay] [exemptfee] [localinvreqid] "
    "[exclude] [maxfee] [description] [partial_msat]"
)
CLNPAY = PLUGIN.with_name("clnpay.py")
PR_SET_MDWE, PR_GET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 66, 1


# --- the file ---------------------------------------------------------------------------------------------


def test_file_reads_on_old_python() -> None:
    """Python 3.8 gets as far as the refusal; what it reads is short and needs nothing installed."""
    text = PLUGIN.read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    assert len(text.splitlines()) <= 150
    assert os.access(PLUGIN, os.X_OK)
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top for alias in node.names}
    assert names <= sys.stdlib_module_names


def test_the_products_name_is_a_few_lines() -> None:
    """As old a Python reads it, and it has nothing of its own."""
    ast.parse(CLNPAY.read_text(), feature_version=(3, 8))
    assert len(CLNPAY.read_text().splitlines()) <= 15
    assert os.access(CLNPAY, os.X_OK)


@pytest.mark.parametrize("file", ["clnpay.py", "plugin.py"])
def test_version(file: str, bare: Path) -> None:
    """Without a `.venv`, and whatever else is said."""
    for arguments in (["--version"], ["--developer", "--version"]):
        done = subprocess.run(
            [bare_python(), "-I", "-S", str(bare.parent / file), *arguments], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE_S, check=True,
        )  # fmt: skip
        assert done.stdout == f"clnpay {__version__}\n"


def test_version_of_a_lone_file(bare: Path) -> None:
    (bare.parent / "pay").unlink()
    command = [bare_python(), "-I", "-S", str(bare), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    assert "is not a whole checkout" in done.stderr and "Traceback" not in done.stderr


# --- the manifest -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "first"),
    [("v24.11", "bolt11"), ("v25.02.1", "bolt11"), ("v25.12", "bolt11"), ("v26.04rc1", "bolt11"),
     ("v26.06", "invstring"), ("v26.06.6-12-gabcdef-modded", "invstring"),
     ("v27.03", "invstring"), ("", "invstring")],
)  # fmt: skip
def test_manifest(version: str, first: str) -> None:
    """Usage strings to the letter of the host's manual, `check`, and our options."""
    (answer,) = ask([str(PLUGIN)], LIGHTNINGD_VERSION=version)
    manifest = answer["result"]
    usages = {method["name"]: method["usage"] for method in manifest["rpcmethods"]}
    assert usages["pay"] == f"{first} {NAMES}"
    assert manifest["dynamic"] is True
    assert manifest["cancheck"] is True
    assert manifest["nonnumericids"] is True
    assert all(method["description"] for method in manifest["rpcmethods"])
    names = {option["name"] for option in manifest["options"]}
    assert names >= {"disable-mpp", "pay-allow-xpay", "pay-failure-cost"}
    assert all(name.startswith("pay-") for name in names - {"disable-mpp"})
    assert not [name for name in names if "dev" in name]
    assert "pay-failure-cost" in {option["name"] for option in manifest["options"] if option["dynamic"]}
    topics = {topic["method"] for topic in manifest["notifications"]}
    assert topics >= {"pay_success", "pay_failure"}
    assert set(manifest["subscriptions"]) >= {"sendpay_success", "sendpay_failure", "block_added", "shutdown"}


def test_manifest_for_developers() -> None:
    (answer,) = ask([str(PLUGIN), "--developer"])
    (usage,) = [m["usage"] for m in answer["result"]["rpcmethods"] if m["name"] == "pay"]
    assert usage == f"invstring {NAMES} [dev_use_shadow]"


@pytest.mark.parametrize("version", ["v24.08", "v24.08.2", "v23.11", "v0.12.1"])
def test_host_is_too_old(version: str) -> None:
    """The reason names both versions and what to do; nothing else is written."""
    reason = disabled(ask([str(PLUGIN)], LIGHTNINGD_VERSION=version))
    assert "v24.11" in reason and "upgrade" in reason


@pytest.mark.parametrize("version", ["v24.11", "v25.09", "v25.12", "v26.04", "v26.06.6"])
def test_pays_on_all_hosts(version: str, tmp_path: Path) -> None:
    """Each host's own ways: store versions, notifications, xpay, options."""
    with hosting(tmp_path, version=version) as host:
        first = "invstring" if version == "v26.06.6" else "bolt11"
        shown = host.call("help", {"command": "pay"}).ok()["help"]
        assert shown == [{"command": f"pay {first} {NAMES}"}]
        assert host.call("pay", [host.invoice().bolt11]).ok()["status"] == "complete"
        refused = host.invoice()
        host.cancel(refused)
        assert host.pay(refused).code == 203


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout where nobody has run `make install`."""
    shutil.copy(PLUGIN, tmp_path)
    shutil.copy(CLNPAY, tmp_path)
    (tmp_path / "pay").symlink_to(PLUGIN.parent / "pay")
    return tmp_path / "plugin.py"


def test_dependencies_are_missing(bare: Path) -> None:
    """What is missing and what to run, in one line."""
    reason = disabled(ask([bare_python(), "-I", "-S", str(bare)]))
    assert "pyln" in reason
    assert f"make -C '{bare.parent}' install" in reason


@pytest.mark.parametrize("package", ["numpy", "scipy"])
def test_packages_of_the_planner_are_missed_at_once(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are imported after the manifest, but looked for before: else every `pay` would fail."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    monkeypatch.delitem(sys.modules, "pay.app.application", raising=False)
    with pytest.raises(ImportError, match=package):
        importlib.import_module("pay.app.application")


def test_package_is_missing(bare: Path) -> None:
    """Only the one file was copied to where plugins are kept."""
    (bare.parent / "pay").unlink()
    assert "install" in disabled(ask([bare_python(), "-I", "-S", str(bare)]))


def test_refusal_waits_for_getmanifest(bare: Path) -> None:
    """Whatever comes before, in pieces or as nonsense, is let pass."""
    other = {"jsonrpc": "2.0", "id": "x", "method": "other", "params": {}}
    assert disabled(ask([bare_python(), "-I", "-S", str(bare)], [other, GETMANIFEST]))


def test_host_goes_on_without_us(bare: Path, tmp_path: Path) -> None:
    """The host shows the reason, even where we are important it stays up, and `plugin start` tells its caller."""
    (tmp_path / "node").mkdir()
    text = bare.read_text().replace("#!/usr/bin/env python3", f"#!{bare_python()} -IS", 1)
    bare.write_text(text)
    with hosting(tmp_path / "node", plugin=bare, important=True, wait=False) as host:
        assert host.lines("disabled itself")
        assert "make -C" in host.lines("disabled itself")[0]
        answer = host.call("plugin", {"subcommand": "start", "plugin": str(bare)})
        assert answer.error is not None
        assert "make -C" in answer.error["message"]


def test_started_on_a_terminal(bare: Path) -> None:
    """A person who runs the file reads what it is, with and without the dependencies."""
    env = {key: value for key, value in environment().items() if not key.startswith("LIGHTNINGD_")}
    link = bare.parent / "my-payments"
    link.symlink_to(CLNPAY)
    own = [bare_python(), "-I", "-S"]
    for command in (
        [str(PLUGIN)], [str(CLNPAY)], [str(link)], [*own, str(bare)], [*own, str(bare.with_name("clnpay.py"))],
    ):  # fmt: skip
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, env=env,
            check=False,
        )  # fmt: skip
        assert "plugin" in done.stdout + done.stderr
        assert "lightningd" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        said = (done.stdout + done.stderr).splitlines()[0]
        assert said.startswith(f"{Path(command[-1]).name} is ") and f"--plugin={command[-1]}" in said


PRINTS = """
import os, sys
from pay.app.application import Application

class Noisy(Application):
    def run(self):
        serve = self.plugin.run
        def noisy():
            os.write(1, b"printed by a library")
            serve()
        self.plugin.run = noisy
        super().run()

Noisy([]).run()
"""


def test_what_compiled_code_prints_is_no_message() -> None:
    """SciPy's HiGHS writes to file descriptor 1 now and then: the host would end us for that."""
    done = subprocess.run(
        [sys.executable, "-c", PRINTS], input=json.dumps(GETMANIFEST) + "\n\n", capture_output=True, text=True,
        timeout=PATIENCE_S, cwd=PLUGIN.parent, env=environment(), check=True,
    )  # fmt: skip
    (answer,) = [json.loads(message) for message in done.stdout.split("\n\n") if message.strip()]
    assert "rpcmethods" in answer["result"]
    assert "printed by a library" in done.stderr


# --- ways to start it -------------------------------------------------------------------------------------


def test_from_anywhere(tmp_path: Path) -> None:
    """Any directory, through symbolic links, with a name that is not ours, by an interpreter without packages."""
    link = tmp_path / "my-payments"
    link.symlink_to(PLUGIN)
    again = tmp_path / "again"
    again.symlink_to(link)
    for command in ([str(link)], [str(again)], [bare_python(), "-S", str(link)]):
        (answer,) = ask(command, cwd=tmp_path)
        assert answer["result"]["dynamic"] is True


def test_dynamic_start(tmp_path: Path) -> None:
    """On a node that is up, with options, and off again."""
    with hosting(tmp_path, plugin=None, wait=False) as host:
        made = host.invoice()
        assert host.pay(made).code == -32601
        start = {"subcommand": "start", "plugin": str(PLUGIN), "pay-failure-cost": 5}
        assert host.call("plugin", start).ok()
        host.log("started version=")
        assert host.pay(made).ok()["status"] == "complete"
        assert host.call("plugin", {"subcommand": "stop", "plugin": str(PLUGIN)}).ok()
        assert host.pay(made).code == -32601


def test_dynamic_start_by_the_products_name(tmp_path: Path) -> None:
    """The node's log and its list have it, `plugin stop` takes it, and the first line says which version it is."""
    with hosting(tmp_path, plugin=None, wait=False) as host:
        assert host.call("plugin", {"subcommand": "start", "plugin": str(CLNPAY)}).ok()
        host.log(f" clnpay={__version__} ")
        (first, *_) = [line for line in list(host.node.lines) if "started version=" in line.text]
        assert first.source == "plugin-clnpay.py"
        assert host.pay(host.invoice()).ok()["status"] == "complete"
        plugins = host.call("plugin", {"subcommand": "list"}).ok()["plugins"]
        assert str(CLNPAY) in [plugin["name"] for plugin in plugins]
        assert host.call("plugin", {"subcommand": "stop", "plugin": "clnpay.py"}).ok()


def test_pay_at_once_after_the_start(tmp_path: Path) -> None:
    """A `pay` that arrives before the graph is read waits for it."""
    with hosting(tmp_path, wait=False, version="v24.11") as host:
        assert host.pay(host.invoice()).ok()["status"] == "complete"


def test_the_node_does_not_say_who_it_is_at_first(tmp_path: Path) -> None:
    """An answer of `getinfo` without its fields is asked for again; payments wait for it."""

    def spoil(node: Lightningd) -> None:
        node.faults = LightningdFaults(empty={"getinfo"}, only_plugin=True)

    with hosting(tmp_path, prepare=spoil, wait=False, version="v24.11") as host:
        pending = host.pay_soon(host.invoice())
        host.until(lambda: host.methods().count("getinfo") >= 2)
        assert not pending.answered
        host.node.faults = LightningdFaults()
        assert pending.answer().ok()["status"] == "complete"


def test_builtin_pay_is_there_too(tmp_path: Path) -> None:
    """Two cannot own one name: with the builtin's option the node does not start at all."""
    with pytest.raises(LightningdDied, match="option name 'disable-mpp' is already taken"):
        Host(tmp_path, builtin_pay=True)


def test_bad_option_stops_the_host(tmp_path: Path) -> None:
    """As lightningd does with an option that nobody owns."""
    with pytest.raises(LightningdDied, match="pay-no-such"):
        Host(tmp_path, options={"pay-no-such": 1})


def test_builtins_option_is_kept(tmp_path: Path) -> None:
    """A configuration that was made for the builtin starts."""
    with hosting(tmp_path, options={"disable-mpp": True, "pay-failure-cost": 0}) as host:
        assert host.pay(host.invoice()).ok()["parts"] == 1


# --- under restrictions -----------------------------------------------------------------------------------

RESTRICTED = """#!{python} -IS
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).prctl({set}, {gain}, 0, 0, 0):
    sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR"):
    os.environ.pop(name, None)
os.execv({plugin!r}, [{plugin!r}] + sys.argv[1:])
"""


def kernel_refuses_writable_code() -> bool:
    return ctypes.CDLL(None).prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0


@pytest.mark.skipif(not kernel_refuses_writable_code(), reason="needs a kernel with PR_SET_MDWE (Linux 6.3)")
def test_under_systemd_restrictions(tmp_path: Path) -> None:
    """MemoryDenyWriteExecute, no home: as CLN's own systemd unit starts us. No compiler at run time could work."""
    wrapper = tmp_path / "restricted.py"
    fields = {"python": bare_python(), "set": PR_SET_MDWE, "gain": PR_MDWE_REFUSE_EXEC_GAIN, "plugin": str(PLUGIN)}
    wrapper.write_text(RESTRICTED.format(**fields))
    wrapper.chmod(0o755)
    (tmp_path / "node").mkdir()
    with hosting(tmp_path / "node", plugin=wrapper) as host:
        assert host.pay(host.invoice()).ok()["status"] == "complete"
        assert host.pay(host.invoice(), maxfee=0).code == 206
