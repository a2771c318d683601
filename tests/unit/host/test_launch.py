"""What can be seen of a lightningd: texts as it reads them, files in its order, processes in a tree of /proc."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pay.host.launch import (
    Include,
    Launch,
    Seen,
    Setting,
    configuration,
    look,
    settings_of_arguments,
    settings_of_text,
)


def test_lines_of_a_configuration() -> None:
    text = "# disable-plugin=pay\n\ndaemon\r\nalias=a = b \ninclude more.conf\n disable-plugin=pay\nplugin=/a=b"
    assert list(settings_of_text(text)) == [
        Setting("daemon"), Setting("alias", "a = b"), Include("more.conf"), Setting(" disable-plugin", "pay"),
        Setting("plugin", "/a=b"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--disable-plugin=pay"], [Setting("disable-plugin", "pay")]),
        (["--disable-plugin", "pay"], [Setting("disable-plugin", "pay")]),
        (["--alias", "--disable-plugin=pay"], [Setting("alias"), Setting("disable-plugin", "pay")]),
        (["--conf", "-x"], [Setting("conf", "-x")]),
        (["--daemon", "--", "--disable-plugin=pay"], [Setting("daemon")]),
        (["word", "--unknown", "value", "--disable-mpp"], [Setting("unknown", "value"), Setting("disable-mpp")]),
        (["--conf"], [Setting("conf")]),
    ],
)  # fmt: skip
def test_words_of_a_command_line(words: list[str], settings: list[Setting]) -> None:
    assert list(settings_of_arguments(["lightningd", *words])) == settings


class Files:
    """A lightning directory, its network's below it, and another place."""

    def __init__(self, root: Path):
        self.root = root
        self.network = root / "base" / "regtest"
        self.network.mkdir(parents=True)

    def write(self, name: str, text: str) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def read(self, *words: str, started_in: str | None = None) -> tuple[list[Setting], str]:
        settings, unread = configuration(["lightningd", *words], str(self.network), started_in)
        return list(settings), unread


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_no_file_is_no_doubt(files: Files) -> None:
    assert files.read("--daemon") == ([Setting("daemon")], "")


def test_base_then_network_then_command_line(files: Files) -> None:
    files.write("base/config", "alias=base")
    files.write("base/regtest/config", "alias=network")
    assert files.read("--alias=line") == ([Setting("alias", text) for text in ("base", "network", "line")], "")


def test_a_file_that_is_named_stands_alone(files: Files) -> None:
    files.write("base/config", "disable-plugin=pay")
    path = files.write("else.conf", "alias=else")
    assert files.read(f"--conf={path}") == ([Setting("alias", "else"), Setting("conf", path)], "")
    assert files.read("--conf=else.conf", started_in=str(files.root))[1] == ""
    assert "relative" in files.read("--conf=else.conf")[1]


def test_included_files_are_relative_to_the_including_one(files: Files) -> None:
    files.write("base/config", "include more/one.conf\nalias=after")
    files.write("base/more/one.conf", "include two.conf")
    absolute = files.write("three.conf", "disable-plugin=pay")
    files.write("base/more/two.conf", f"include {absolute}")
    assert files.read() == ([Setting("disable-plugin", "pay"), Setting("alias", "after")], "")


def test_what_setconfig_wrote_is_a_file_that_is_included(files: Files) -> None:
    files.write("base/regtest/config", "include config.setconfig")
    files.write("base/regtest/config.setconfig", "# Created by setconfig\npay-shadow=off")
    assert files.read() == ([Setting("pay-shadow", "off")], "")


def test_what_cannot_be_read_is_said(files: Files) -> None:
    config = "base/config"
    files.write(config, "include gone.conf")
    assert "is not there" in files.read()[1]
    files.write(config, "include config")
    assert "too many" in files.read()[1]
    files.write(config, "include regtest")
    assert "cannot be read" in files.read()[1]
    files.write(config, "a" * (1 << 20) + "a")
    assert "no text" in files.read()[1]
    files.write(config, "disable-plugin=pay\n\0")
    assert "no text" in files.read()[1]
    files.write(config, "include /dev/stdin")
    assert "another file" in files.read()[1]
    files.write(config, "include a\0b")
    assert files.read()[1]
    os.remove(files.root / config)
    os.mkfifo(files.root / config)
    assert "no file" in files.read()[1]


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said(files: Files) -> None:
    path = Path(files.write("base/config", ""))
    path.chmod(0)
    assert "cannot be read" in files.read()[1]


# --- processes ------------------------------------------------------------------------------------------


class Proc:
    """A tree as in /proc."""

    def __init__(self, root: Path):
        self.root = root

    def process(
        self, pid: int, parent: int, words: Sequence[str], exe: str | None = None, children: Sequence[int] = (),
        pwd: str = "/",
    ) -> None:  # fmt: skip
        folder = self.root / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True)
        (folder / "cmdline").write_text("".join(f"{word}\0" for word in words))
        (folder / "stat").write_text(f"{pid} (a) b) S {parent} 1 1")
        (folder / "environ").write_text(f"HOME=/root\0PWD={pwd}\0")
        (folder / "task" / str(pid) / "children").write_text(" ".join(map(str, children)))
        if exe is not None:
            (folder / "exe").symlink_to(exe)

    def look(self, parent: int) -> Launch:
        return look(self.root, parent)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    home = tmp_path / "base" / "regtest"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    return Proc(tmp_path / "proc")


LIGHTNINGD = "/usr/bin/lightningd"


def test_the_parent_is_lightningd(proc: Proc) -> None:
    proc.process(1, 0, ["init"])
    proc.process(7, 1, ["lightningd", "--disable-plugin", "pay"], LIGHTNINGD, children=[8, 9, 10])
    proc.process(8, 7, ["/usr/libexec/c-lightning/plugins/offers"])
    proc.process(9, 7, ["/x/.venv/bin/python", "/x/plugin.py"])
    launch = proc.look(7)
    assert (launch.lightningd, launch.pid, launch.unread) == (True, 7, "")
    assert launch.children == ("offers", "python", "plugin.py"), "10 has just ended"
    assert launch.configured("pay") is launch.running("pay") is Seen.GONE


@pytest.mark.parametrize("exe", [f"{LIGHTNINGD} (deleted)", "/nix/store/a/bin/.lightningd-wrapped"])
def test_one_that_was_upgraded_or_wrapped_is_still_one(proc: Proc, exe: str) -> None:
    proc.process(7, 1, ["/usr/bin/lightningd"], exe)
    assert proc.look(7).lightningd is True


def test_a_shell_between_is_looked_past(proc: Proc) -> None:
    proc.process(7, 1, ["lightningd"], LIGHTNINGD, children=[8])
    proc.process(8, 7, ["sh", "/x/start.sh"], "/bin/sh")
    launch = proc.look(8)
    assert (launch.lightningd, launch.pid, launch.children) == (True, 7, ("sh", "start.sh"))


def test_one_under_a_debugger(proc: Proc, tmp_path: Path) -> None:
    program = tmp_path / "lightningd"
    program.touch()
    proc.process(7, 1, ["valgrind", "-q", str(program), "--disable-plugin=pay"], "/usr/bin/valgrind")
    launch = proc.look(7)
    assert launch.lightningd is True
    assert launch.configured("pay") is Seen.GONE


def test_no_lightningd(proc: Proc) -> None:
    proc.process(1, 0, ["init"])
    proc.process(7, 1, ["python", "-m", "pay.sim", "node"], "/usr/bin/python3")
    assert proc.look(7).lightningd is False
    # Whose ancestors may not all be seen: another user's.
    proc.process(8, 6, ["python", "-m", "pay.sim", "node"], "/usr/bin/python3")
    assert proc.look(8).lightningd is False


def test_nothing_can_be_seen(proc: Proc) -> None:
    launch = proc.look(7)
    assert (launch.lightningd, launch.children) == (None, None)
    assert launch.unread
    assert launch.configured("pay") is launch.running("pay") is Seen.UNKNOWN


def test_a_builtin_that_is_disabled_by_its_path(proc: Proc, tmp_path: Path) -> None:
    plugins = tmp_path / "libexec" / "c-lightning" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "pay").touch()
    (tmp_path / "pay").touch()
    (tmp_path / "link").symlink_to(plugins / "pay")
    exe = str(tmp_path / "bin" / "lightningd")
    for pid, (path, seen) in enumerate(
        [(plugins / "pay", Seen.GONE), (tmp_path / "link", Seen.GONE), (tmp_path / "pay", Seen.UNKNOWN)], 7
    ):
        proc.process(pid, 1, ["lightningd", f"--disable-plugin={path}"], exe)
        assert proc.look(pid).configured("pay") is seen, path


def test_a_relative_file_is_where_lightningd_was_started(proc: Proc, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("disable-plugin=pay")
    proc.process(7, 1, ["lightningd", "--conf=my.conf"], LIGHTNINGD, pwd=str(tmp_path))
    assert proc.look(7).configured("pay") is Seen.GONE
