"""How lightningd was started, seen before it tells us anything: its command line, its configuration, its children.

The manifest is wanted before `init`, and says what we register; a name or an option that another plugin has must
not be in it. All that is known by then is the working directory (`<lightning-dir>/<network>`), two variables of
the environment, and what the system shows of our parent. So two witnesses are heard:

- **configuration**: which plugins the command line and the configuration files disable. The files are read as
  lightningd reads them (common/configdir.c): `--conf=FILE` alone, or `<lightning-dir>/config` and then that of the
  network, with `include` in either; the command line last. What `setconfig` wrote is a file that is included.
- **children**: lightningd starts all plugins before it hears any of them (lightningd/plugin.c,
  plugins_send_getmanifest), so at a node's start those that it has are its children by the time we are asked.

Either may have seen nothing: another system than Linux, a file that may not be read, a relative path. Then it says
so, and whoever listens decides. Nothing here raises, whatever stands in those files.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

_MOST_BYTES = 1 << 20
"""Of a configuration file: more is none."""
_MOST_FILES = 100
"""As deep as lightningd follows `include`, and as many as we read."""
_MOST_ANCESTORS = 20

_HAVE_VALUES = {"conf", "lightning-dir", "rpc-file", "disable-plugin", "plugin", "important-plugin", "plugin-dir"}
"""Options of which the next word of a command line is the value, even if it begins with a dash."""

_BUILTIN = {
    "autoclean", "chanbackup", "cln-askrene", "commando", "funder", "offers", "spenderp", "sql", "topology",
}  # fmt: skip
"""Some of lightningd's own plugins, one of which any node has."""


class Seen(Enum):
    """What a witness says of a plugin."""

    RUNS = "runs"
    GONE = "gone"
    UNKNOWN = "unknown"


class Setting(NamedTuple):
    """A line of a configuration file or a word of the command line."""

    name: str
    value: str | None = None


class Include(NamedTuple):
    """A line that names another file; relative to the one it stands in."""

    path: str


@dataclass(frozen=True, slots=True)
class Launch:
    """What was seen of the host.

    Parameters
    ----------
    lightningd
        Whether one has started us; None where that cannot be seen.
    pid
        Its process, or our parent's.
    settings
        Command line and configuration, in lightningd's order.
    unread
        Why they are not whole; empty where they are.
    children
        Names of the programs that it runs; None where that cannot be seen.
    """

    lightningd: bool | None
    pid: int
    settings: tuple[Setting, ...] = ()
    unread: str = "nothing was looked at"
    children: tuple[str, ...] | None = None

    def has(self, name: str) -> bool:
        """Whether an option is set."""
        return any(each.name == name for each in self.settings)

    def last(self, name: str, default: str) -> str:
        """The value of an option of which the last one counts."""
        return next((each.value for each in reversed(self.settings) if each.name == name and each.value), default)

    def configured(self, plugin: str) -> Seen:
        """What the configuration says of a builtin plugin."""
        if self.unread or self.has("clear-plugins"):
            return Seen.UNKNOWN
        disabled = [each.value or "" for each in self.settings if each.name == "disable-plugin"]
        if plugin in disabled:
            return Seen.GONE
        # A path is compared with the builtin's, which we do not know for certain.
        return Seen.UNKNOWN if any(os.path.basename(path) == plugin for path in disabled) else Seen.RUNS

    def running(self, plugin: str) -> Seen:
        """What the children say of a plugin."""
        if self.children is not None and plugin in self.children:
            return Seen.RUNS
        return Seen.GONE if _BUILTIN.intersection(self.children or ()) else Seen.UNKNOWN

    def all_gone(self, plugins: Collection[str]) -> bool:
        """Whether none of them is there: no witness has seen one, and of each a witness says that it is not."""
        said = [{self.configured(plugin), self.running(plugin)} for plugin in plugins]
        return all(Seen.GONE in each and Seen.RUNS not in each for each in said)


# --- texts ------------------------------------------------------------------------------------------------


def settings_of_text(text: str) -> Iterator[Setting | Include]:
    """The lines of a configuration file."""
    for line in re.split("[\r\n]", text):
        if line.startswith("include "):
            yield Include(line.removeprefix("include "))
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            yield Setting(name.rstrip() if not equals else name, value.rstrip() if equals else None)


def settings_of_arguments(arguments: Sequence[str]) -> Iterator[Setting]:
    """The options of a command line, the program's name first."""
    words = list(arguments[1:])
    while words:
        word = words.pop(0)
        if word == "--":
            return
        if not word.startswith("-"):
            continue
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if equals:
            yield Setting(name, value)
        elif words and (name in _HAVE_VALUES or not words[0].startswith("-")):
            yield Setting(name, words.pop(0))
        else:
            yield Setting(name)


# --- files ------------------------------------------------------------------------------------------------


class _Unread(Exception):
    """A file that may say something cannot be read; the words say which and why."""


def _text(path: str, must_exist: bool) -> str:
    """Raises _Unread."""
    if path.startswith(("/dev/", "/proc/")):
        raise _Unread(f"{path} is another file for us")
    try:
        with open(path, "rb", opener=_not_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _Unread(f"{path} is no file")
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        if must_exist:
            raise _Unread(f"{path} is not there") from None
        return ""
    except (OSError, ValueError) as error:
        raise _Unread(f"{path!r} cannot be read ({error})") from None
    if len(content) > _MOST_BYTES or b"\0" in content:
        raise _Unread(f"{path} is no text of a configuration")
    return os.fsdecode(content)


def _not_waiting(path: str, flags: int) -> int:
    """A pipe without a writer would keep us."""
    return os.open(path, flags | os.O_NONBLOCK)


def _file(path: str, must_exist: bool, read: list[str]) -> Iterator[Setting]:
    """A configuration file with all that it includes. Raises _Unread."""
    read.append(path)
    if len(read) > _MOST_FILES:
        raise _Unread("too many files are included")
    for line in settings_of_text(_text(path, must_exist)):
        if isinstance(line, Include):
            yield from _file(os.path.join(os.path.dirname(path), line.path), True, read)
        else:
            yield line


def configuration(
    arguments: Sequence[str], directory: str, started_in: str | None
) -> tuple[tuple[Setting, ...], str]:
    """What lightningd was told, and why that is not all of it.

    Parameters
    ----------
    directory
        That of its network, where plugins are started.
    started_in
        Where itself was started: relative paths begin there.
    """
    given = list(settings_of_arguments(arguments))
    read: list[str] = []
    lines: list[Setting] = []
    explicit = next((each.value for each in reversed(given) if each.name == "conf"), None)
    try:
        if explicit is not None:
            if not os.path.isabs(explicit) and started_in is None:
                raise _Unread(f"{explicit} is relative, and to what is not known")
            lines += _file(os.path.join(started_in or "/", explicit), True, read)
        else:
            lines += _file(os.path.join(os.path.dirname(directory), "config"), False, read)
            lines += _file(os.path.join(directory, "config"), False, read)
    except _Unread as why:
        return (*lines, *given), str(why)
    return (*lines, *given), ""


# --- processes --------------------------------------------------------------------------------------------


def _words(process: Path, file: str) -> list[str]:
    """The texts that a process was given. Raises OSError."""
    return os.fsdecode((process / file).read_bytes()).split("\0")[:-1]


def _is_lightningd(process: Path) -> bool:
    """Raises OSError where nothing can be seen of it."""
    words = _words(process, "cmdline")
    try:
        program = os.readlink(process / "exe")
    except OSError:
        program = words[0] if words else ""
    if "lightningd" in os.path.basename(program):
        return True
    # Under a debugger or a loader.
    return any(os.path.basename(word) == "lightningd" and os.path.isfile(word) for word in words)


def _parent(process: Path) -> int:
    """Raises OSError and LookupError, ValueError."""
    return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])


def _children(process: Path) -> tuple[str, ...] | None:
    """The names of programs, and of scripts that an interpreter runs."""
    found: list[str] = []
    try:
        pids = [
            pid for thread in (process / "task").iterdir() for pid in (thread / "children").read_text().split()
        ]
    except OSError:
        return None
    for pid in pids:
        try:
            found += map(os.path.basename, _words(process.parent / pid, "cmdline")[:2])
        except OSError:
            continue  # it has just ended
    return tuple(found)


def look(proc: Path = Path("/proc"), parent: int | None = None) -> Launch:
    """What can be seen of the host now."""
    parent = os.getppid() if parent is None else parent
    pid, seen_any = parent, False
    try:
        for _ in range(_MOST_ANCESTORS):
            # A shell or another wrapper may stand between.
            if _is_lightningd(proc / str(pid)):
                break
            seen_any, pid = True, _parent(proc / str(pid))
            if pid <= 0:
                return Launch(False, parent)
        else:
            return Launch(False, parent)
        process = proc / str(pid)
        arguments = _words(process, "cmdline")
    except (OSError, ValueError, LookupError):
        # What may not be seen is another user's, which lightningd is not.
        return Launch(False if seen_any else None, parent)
    try:
        surroundings = dict(word.partition("=")[::2] for word in _words(process, "environ"))
    except OSError:
        surroundings = {}
    settings, unread = configuration(arguments, os.getcwd(), surroundings.get("PWD"))
    return Launch(True, pid, _own_names(settings, process), unread, _children(process))


def _own_names(settings: Sequence[Setting], process: Path) -> tuple[Setting, ...]:
    """With the name alone of a plugin that is disabled by the path at which lightningd keeps its own."""
    try:
        program = Path(os.readlink(process / "exe")).parent
    except OSError:
        return tuple(settings)
    own = {program.parent / "libexec" / "c-lightning" / "plugins", program.parent / "plugins"}

    def short(each: Setting) -> Setting:
        if each.name == "disable-plugin" and "/" in (each.value or ""):
            path = Path(os.path.realpath(each.value or ""))
            if path.is_absolute() and path.parent in own and path.exists():
                return Setting(each.name, path.name)
        return each

    return tuple(map(short, settings))


def host_run(proc: Path = Path("/proc")) -> str:
    """Tells this run of lightningd from all others; empty where it cannot be told."""
    pid = look(proc).pid
    try:
        fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return f"{pid}:{fields[19]}"
    except (OSError, LookupError):
        return ""
