"""How `pay` comes to us on the lightningd of the PATH: the node always starts, and a payment is ours.

Each node is alone, and pays an invoice of its own: who answered, its log says.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pay.host.version import HOOK_FILTERS_SINCE, PAY_DEPRECATED_SINCE, TRANSIENT_SINCE
from tests.real.support.release import host, since
from tests.support.checkout import PLUGIN, ROOT
from tests.support.lightningd.alone import Alone
from tests.support.puppets import Puppet, says
from tests.support.rawrpc import Answer
from tests.support.waiting import stays, until

CLNPAY = ROOT / "clnpay.py"
OPTION = "xpay-handle-pay"
NOBODY = -32601


hooked = since(HOOK_FILTERS_SINCE, "hook that is asked of some commands alone")


class Payer(Alone):
    """A node that pays itself."""

    _labels = itertools.count()

    def started(self, times: int = 1) -> None:
        """Wait until the plugin serves, for the so many-th time."""
        until(lambda: len(self.lines(" started version=")) >= times, "the plugin has started")

    def pay(self, command: str = "pay") -> Answer:
        made = self.call("invoice", {"amount_msat": 1000, "label": f"{next(self._labels)}", "description": "d"})
        return self.call(command, [made.ok()["bolt11"]])

    def is_ours(self, command: str = "pay") -> bool:
        """Whether we answer; it is paid in any case."""
        before = len(self.lines(" payment_start "))
        self.pay(command).ok()
        return len(self.lines(" payment_start ")) == before + 1

    def entry(self) -> str:
        """The last one chosen."""
        return self.lines("entry_chosen")[-1].partition("entry=")[2].split()[0]

    def start(self, path: Path = CLNPAY) -> Answer:
        times = len(self.lines(" started version="))
        answer = self.call("plugin", ["start", str(path)])
        if answer.error is None:
            self.started(times + 1)
        return answer

    def stop(self, name: str = "clnpay.py") -> None:
        self.call("plugin", ["stop", name]).ok()

    def has(self, command: str) -> bool:
        return self.call("help", [command]).code != NOBODY

    def plugins(self) -> list[str]:
        return [each["name"] for each in self.call("plugin", ["list"]).ok()["plugins"]]

    def plugin_pid(self) -> int:
        """Of the one of us that serves."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        words = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in children}
        (pid,) = (pid for pid, each in words.items() if str(CLNPAY).encode() in each)
        return int(pid)

    def handles_pay(self) -> tuple[bool, str]:
        """cln-xpay's option: whether it is on, and who says so."""
        found = self.call("listconfigs", [OPTION]).ok()["configs"][OPTION]
        return found["value_bool"], found["source"]


Start = Callable[..., Payer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts nodes with a configuration file, plugins and words of the command line."""
    nodes: list[Payer] = []

    def begin(config: str = "", plugins: Sequence[Path] = (CLNPAY,), options: Sequence[str] = ()) -> Payer:
        home = tmp_path / f"node{len(nodes)}"
        home.mkdir()
        (home / "config").write_text(config)
        nodes.append(Payer(home, plugins, options))
        nodes[-1].up()
        assert not nodes[-1].dead, nodes[-1].last_words
        return nodes[-1]

    yield begin
    for node in nodes:
        node.close()


OURS = "pay-shadow=off\npay-max-parts=20\n"
"""Options that end a node where nobody has them."""

MPP = "disable-mpp\n"
DISABLED = "disable-plugin=pay\n"

ROWS = [
    ("plain", "", "hook"), ("plain, our options", OURS + MPP, "hook"),
    ("pay disabled", DISABLED, "own"), ("pay disabled, our options", OURS + MPP + DISABLED, "own"),
    ("xpay disabled", "disable-plugin=cln-xpay\n" + OURS, "hook"),
    ("important", f"important-plugin={CLNPAY}\n" + OURS, "hook"),
    ("important, pay disabled", f"important-plugin={CLNPAY}\n" + OURS + DISABLED, "own"),
]  # fmt: skip


@hooked
@pytest.mark.parametrize(("config", "entry"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_node_starts_and_a_payment_is_ours(start: Start, config: str, entry: str) -> None:
    # The host starts nobody who is mentioned twice.
    node = start(config, plugins=[] if str(CLNPAY) in config else [CLNPAY])
    node.started()
    assert node.entry() == entry
    assert node.is_ours()


@hooked
@pytest.mark.parametrize("how", ["included", "named", "by its path", "on the command line"])
def test_wherever_it_is_disabled(start: Start, tmp_path: Path, how: str) -> None:
    path = tmp_path / "else.conf"
    path.write_text(DISABLED)
    builtin = Path(shutil.which("lightningd") or "")
    plugins = builtin.resolve().parent.parent / "libexec" / "c-lightning" / "plugins"
    config, options = {
        "included": (f"include {path}\n{MPP}", []),
        "named": ("no-such-option\n", [f"--conf={path}"]),
        "by its path": (f"disable-plugin={plugins / 'pay'}\n", []),
        "on the command line": ("", ["--disable-plugin", "pay", "--disable-mpp"]),
    }[how]
    node = start(config, options=options)
    node.started()
    assert node.entry() == "own"
    assert node.is_ours()


@hooked
def test_what_cannot_be_read_is_seen_by_the_children(start: Start, tmp_path: Path) -> None:
    """The file is gone by the time we look for it."""
    path = tmp_path / "else.conf"
    os.mkfifo(path)
    with subprocess.Popen(["sh", "-c", f"printf '{DISABLED}{MPP}' > {path}"]):
        node = start(options=[f"--conf={path}"])
    node.started()
    assert node.entry() == "own"
    assert node.is_ours()


@hooked
def test_cln_xpay_owns_pay(start: Start, tmp_path: Path) -> None:
    """As announced for v27.03: disabling the builtin does not free the name."""
    stand_in = Puppet(tmp_path / "plugins", "later", owns=["pay"], methods={"pay": says({"by": "later"})})
    ours = tmp_path / "ours.sh"
    ours.write_text(f'#!/bin/sh\nLIGHTNINGD_VERSION=v27.03 exec {CLNPAY} "$@"\n')
    ours.chmod(0o755)
    node = start(f"{DISABLED}{OURS}{OPTION}=false\n", plugins=[ours, stand_in.path])
    node.started()
    assert node.entry() == "hook"
    assert node.is_ours()
    node.stop("ours.sh")
    assert node.pay().ok() == {"by": "later"}


@hooked
def test_a_shell_in_between(start: Start, tmp_path: Path) -> None:
    """Which is our parent, and no lightningd."""
    ours = tmp_path / "ours.sh"
    ours.write_text(f'#!/bin/sh\n{CLNPAY} "$@"\ntrue\n')
    ours.chmod(0o755)
    node = start(OURS, plugins=[ours])
    node.started()
    assert node.entry() == "hook"


@pytest.mark.parametrize("more", ["", DISABLED])
def test_two_of_us(start: Start, more: str) -> None:
    """As where a checkout lies in the directory of plugins: the second one is absent, and costs nothing."""
    if not more and not host().since(HOOK_FILTERS_SINCE):
        more = DISABLED
    node = start(more + OURS, plugins=[CLNPAY, PLUGIN])
    node.started()
    until(lambda: node.lines("disabled itself at init: it runs already, as process"), "the second is absent")
    assert node.is_ours()
    (name,) = set(map(os.path.basename, node.plugins())) & {"clnpay.py", "plugin.py"}
    other = PLUGIN if name == "clnpay.py" else CLNPAY
    refused = node.start(other)
    assert refused.code == -3
    assert "it runs already" in str(refused.error)
    node.stop(name)
    assert node.start(other).error is None
    assert node.is_ours()


@hooked
def test_dynamic_start_and_three_restarts(start: Start) -> None:
    node = start(plugins=[])
    assert not node.is_ours()
    before = node.handles_pay()
    for _ in range(4):
        node.start().ok()
        assert node.entry() == "hook"
        assert node.is_ours()
        assert not node.handles_pay()[0]
        node.stop()
        assert not node.is_ours()
        assert node.handles_pay()[0] == before[0]
    assert not node.lines("Deferring registration of hook"), "no hook was left in use"


@hooked
def test_dynamic_start_where_nobody_has_pay(start: Start) -> None:
    node = start(plugins=[])
    node.stop("pay")
    node.start().ok()
    assert node.entry() == "own"
    assert node.is_ours()
    assert node.call("listconfigs", ["disable-mpp"]).ok()["configs"]["disable-mpp"]["plugin"] == str(CLNPAY)
    node.stop()
    assert not node.has("pay")


@hooked
def test_a_name_that_nobody_has_is_mended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the operator has brought about."""
    monkeypatch.setenv("CLNPAY_ENTRY", "hook")
    node = start(DISABLED + OURS + MPP)
    node.started()
    assert node.entry() == "hook"
    until(lambda: len(node.lines("name_mended")) == 2, "both names are mended")
    assert node.is_ours()
    assert node.call("paystatus").error is None
    # Who calls while we are dead hears that nothing was sent; then all is as it was.
    os.kill(node.plugin_pid(), signal.SIGKILL)
    until(lambda: str(CLNPAY) not in node.plugins(), "we are gone")
    refused = node.pay()
    assert (refused.code, "nothing was sent" in str(refused.error)) == (-1, True)
    monkeypatch.delenv("CLNPAY_ENTRY")
    node.start().ok()
    assert node.entry() == "hook", "the name is there"
    assert node.is_ours()


@hooked
def test_the_builtin_is_stopped_beside_us(start: Start) -> None:
    node = start()
    node.started()
    node.stop("pay")
    until(lambda: len(node.lines("name_mended")) == 2, "both names are mended")
    assert node.is_ours()
    # Whoever wants the name back has it, and keeps it.
    for name in ("pay.py", "paystatus.py"):
        node.stop(name)
    stays(lambda: len(node.lines("name_mended")) == 2, 1.5)
    assert node.pay().code == NOBODY


@since(PAY_DEPRECATED_SINCE, "deprecation of `paystatus`")
def test_deprecated_apis_off_hide_paystatus(start: Start) -> None:
    node = start(OURS, options=["--allow-deprecated-apis=false"])
    node.started()
    assert node.entry() == "hook"
    assert node.is_ours()
    until(lambda: node.lines("name_unserved command=paystatus"), "it is said")
    assert node.call("paystatus").code == NOBODY
    assert node.call("clnpay-paystatus").error is None


@since(TRANSIENT_SINCE, "option that a plugin may set for this run alone")
def test_xpay_gets_its_option_back(start: Start) -> None:
    config = f"{OPTION}=true\n" + ("" if host().since(HOOK_FILTERS_SINCE) else DISABLED)
    node = start(config, plugins=[])
    for _ in range(2):
        node.start().ok()
        until(lambda: node.handles_pay() == (False, "setconfig transient"), "it is switched off")
        node.stop()
        assert node.handles_pay()[0]
        assert node.call("listdatastore", [["pay", "xpay-handle-pay-was-on"]]).ok()["datastore"] == []
    # One that is killed gives nothing back: who comes after it does.
    node.start().ok()
    os.kill(node.plugin_pid(), signal.SIGKILL)
    until(lambda: str(CLNPAY) not in node.plugins(), "we are gone")
    assert not node.handles_pay()[0]
    node.start().ok()
    node.stop()
    assert node.handles_pay()[0]
    # What the operator switches off is his.
    node.call("setconfig", [OPTION, False, True]).ok()
    node.start().ok()
    node.stop()
    assert node.handles_pay() == (False, "setconfig transient")


@hooked
def test_no_call_of_the_first_moment_leaves_the_hooks_in_disorder(start: Start) -> None:
    """Payments from the first moment of each run: none meets two hooks that lead it elsewhere."""
    node = start(f"{OPTION}=true\n", plugins=[])
    with ThreadPoolExecutor() as threads:
        for _ in range(3):
            starting = threads.submit(node.start)
            while not starting.done():
                node.pay().ok()
            starting.result().ok()
            node.stop()
    assert not node.lines("already modified")
    # A start among calls may find the hook in use for a moment; once they are over nobody has it.
    deferred = len(node.lines("Deferring registration of hook"))
    node.start().ok()
    assert node.is_ours()
    assert len(node.lines("Deferring registration of hook")) == deferred
