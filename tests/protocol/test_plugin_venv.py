"""A `.venv` that is broken: the plugin says which way and what mends it, and `make install` mends it.

Each test breaks one that works. Its packages are those of the tests' own, by a `.pth` file; so nothing is
installed, and of `make` it is looked at what it would do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.box.host import environment
from tests.support.checkout import PLUGIN
from tests.support.manifest import GETMANIFEST, ask, bare_python, disabled
from tests.support.waiting import PATIENCE_S

ROOT = PLUGIN.parent
MINE = f"python{sys.version_info[0]}.{sys.version_info[1]}"
NOBODY = 65534
FILES = ("clnpay.py", "plugin.py", "Makefile", "requirements.txt")
STAGES = (".installed", ".box", ".dev")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a `.venv` that works."""
    here = Path(tmp_path_factory.mktemp("checkout"))
    for name in FILES:
        shutil.copy2(ROOT / name, here)
    shutil.copytree(ROOT / "requirements", here / "requirements")
    (here / "pay").symlink_to(ROOT / "pay")
    subprocess.run([bare_python(), "-m", "venv", "--without-pip", here / ".venv"], timeout=PATIENCE_S, check=True)
    packages = sysconfig.get_paths()["purelib"]
    (here / ".venv" / "lib" / MINE / "site-packages" / "tests.pth").write_text(packages + "\n")
    for order, stage in enumerate(STAGES):
        (here / ".venv" / stage).touch()
        os.utime(here / ".venv" / stage, (2 + order, 2 + order))
    return here


@pytest.fixture
def checkout(made: Path, tmp_path: Path) -> Path:
    """One of them to break."""
    here = tmp_path / "my pay"
    shutil.copytree(made, here, symlinks=True)
    for file in (*(here / name for name in FILES), *(here / "requirements").iterdir()):
        os.utime(file, (1, 1))
    return here


def start(checkout: Path, file: str = "plugin.py") -> list[dict[str, object]]:
    """What it answers, started by a Python that has no packages."""
    return ask([bare_python(), "-I", "-S", str(checkout / file)])


def would_make(checkout: Path, *arguments: str) -> str:
    """The commands that `make` would run."""
    environ = {name: value for name, value in os.environ.items() if name != "SYSTEM_PACKAGES"}
    done = subprocess.run(
        ["make", "-n", *arguments], cwd=checkout, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
        env=environ,
    )  # fmt: skip
    return done.stdout


def made_anew(checkout: Path) -> bool:
    """Whether `make install` would begin with an empty `.venv`; else it has nothing to do."""
    commands = would_make(checkout, "install")
    if "-m venv --clear" in commands:
        assert "-m pip install" in commands and "touch .venv/.installed" in commands
        return True
    assert "Nothing to be done" in commands, commands
    return False


@pytest.mark.parametrize("file", ["plugin.py", "clnpay.py"])
def test_one_that_works(file: str, checkout: Path) -> None:
    (answer,) = start(checkout, file)
    assert "rpcmethods" in answer["result"]  # type: ignore[operator]
    assert not made_anew(checkout)


def another_python(venv: Path) -> None:
    """The system's Python is a newer one now; packages of the old one are not looked for."""
    (venv / "lib" / MINE).rename(venv / "lib" / "python3.9")


def gone(venv: Path) -> None:
    """The Python that it was made with was removed."""
    for link in (venv / "bin").glob("python*"):
        link.unlink()
    (venv / "bin" / "python").symlink_to("python3")
    (venv / "bin" / "python3").symlink_to("/usr/lib/no-more/python3.11")


def no_program(venv: Path) -> None:
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").write_text("not a program")
    (venv / "bin" / "python").chmod(0o755)


def fails_at_once(venv: Path) -> None:
    """The program is there, its standard library is not."""
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").write_text("#!/bin/sh\necho 'Fatal Python error: no encodings' >&2\nexit 1\n")
    (venv / "bin" / "python").chmod(0o755)


def no_config(venv: Path) -> None:
    (venv / "pyvenv.cfg").unlink()


def interrupted(venv: Path) -> None:
    """pip had not come to the packages."""
    (venv / ".installed").unlink()
    (venv / "lib" / MINE / "site-packages" / "tests.pth").unlink()


def in_the_midst(venv: Path) -> None:
    """pip was in the midst of numpy: it can be found, and not imported."""
    (venv / ".installed").unlink()
    half = venv / "lib" / MINE / "site-packages" / "numpy"
    half.mkdir()
    (half / "__init__.py").write_text("from numpy import _core\n")


def package_lost(venv: Path) -> None:
    (venv / "lib" / MINE / "site-packages" / "tests.pth").unlink()


def package_of_a_package_lost(venv: Path) -> None:
    """All that is asked for is there; of what that needs, something is not."""
    half = venv / "lib" / MINE / "site-packages" / "coincurve"
    half.mkdir()
    (half / "__init__.py").write_text("raise ImportError('libsecp256k1 is gone')\n")


BROKEN: dict[Callable[[Path], None], str] = {
    another_python: f"was made with python3.9, and its Python is {MINE} now",
    gone: "leads to /usr/lib/no-more/python3.11, which is not there any more",
    no_program: "does not run (Exec format error)",
    fails_at_once: "does not run (Fatal Python error: no encodings)",
    no_config: "is no whole virtual environment",
    interrupted: "was not finished (No module named",
    in_the_midst: "was not finished (cannot import name '_core'",
    package_lost: "is not whole (No module named",
    package_of_a_package_lost: "is not whole (libsecp256k1 is gone)",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_broken(broken: Callable[[Path], None], checkout: Path) -> None:
    """The cause, the command that mends it, and that this does."""
    broken(checkout / ".venv")
    reason = disabled(start(checkout))
    assert BROKEN[broken] in reason
    assert str(checkout / ".venv") in reason
    assert f"run `make -C '{checkout}' install`" in reason
    assert made_anew(checkout)


def test_broken_and_started_by_the_products_name(checkout: Path) -> None:
    package_lost(checkout / ".venv")
    assert "is not whole (No module named" in disabled(start(checkout, "clnpay.py"))


def test_no_stamp_of_make(checkout: Path) -> None:
    """Whoever has made it otherwise need not have been interrupted."""
    (checkout / ".venv" / ".installed").unlink()
    (answer,) = start(checkout)
    assert "rpcmethods" in answer["result"]  # type: ignore[operator]
    assert made_anew(checkout)


# --- its stages -------------------------------------------------------------------------------------------------


def installed(commands: str) -> list[str]:
    """The files of requirements that pip would be given, in turn."""
    given = [line.split(" -r ")[1] for line in commands.splitlines() if "-m pip install" in line]
    assert commands.count("--require-hashes --only-binary :all:") == len(given)
    return given


NODES, BOXS, TESTS = "requirements.txt", "requirements/box.txt", "requirements/tests.txt"


@pytest.mark.parametrize(
    ("unfinished", "goal", "wanted"),
    [
        (".installed", "install", [NODES]), (".box", "install", []), (".dev", "demo", []),
        (".installed", "demo", [NODES, BOXS]), (".box", "demo", [BOXS]), (".box", "simnode", [BOXS]),
        (".dev", "lint", [TESTS]), (".box", "dev", [BOXS, TESTS]), (".installed", "test", [NODES, BOXS, TESTS]),
    ],
)  # fmt: skip
def test_each_goal_has_what_it_needs_and_no_more(
    unfinished: str, goal: str, wanted: list[str], checkout: Path
) -> None:
    """The node's Python does not get what only the simulated network or the tests use."""
    (checkout / ".venv" / unfinished).unlink()
    assert installed(would_make(checkout, goal)) == wanted


@pytest.mark.parametrize(
    ("changed", "wanted"), [(NODES, [NODES, BOXS, TESTS]), (BOXS, [BOXS, TESTS]), (TESTS, [TESTS])]
)
def test_other_requirements_are_installed(changed: str, wanted: list[str], checkout: Path) -> None:
    """After an upgrade: into the `.venv` that is there."""
    (checkout / changed).touch()
    commands = would_make(checkout, "dev")
    assert installed(commands) == wanted
    assert "--clear" not in commands


def test_packages_of_the_system(checkout: Path) -> None:
    """numpy and SciPy are not installed then; a `.venv` that was made so stays so."""
    other = "requirements/system.txt"
    assert installed(would_make(checkout, "install", "SYSTEM_PACKAGES=1")) == [other]
    assert "--clear --system-site-packages" in would_make(checkout, "install", "SYSTEM_PACKAGES=1")
    config = checkout / ".venv" / "pyvenv.cfg"
    config.write_text(config.read_text().replace("packages = false", "packages = true"))
    assert "Nothing to be done" in would_make(checkout, "install", "SYSTEM_PACKAGES=1")
    assert not made_anew(checkout)
    (checkout / other).touch()
    assert installed(would_make(checkout, "install")) == [other]


# --- another user -----------------------------------------------------------------------------------------------


def as_nobody(checkout: Path) -> list[dict[str, object]]:
    """As `start`, by a user to whom nothing belongs."""
    import json

    python = "/usr/bin/python3"
    text = json.dumps(GETMANIFEST) + "\n\n"
    done = subprocess.run(
        [python, "-I", "-S", str(checkout / "plugin.py")], input=text, capture_output=True, text=True,
        timeout=PATIENCE_S, env=environment(), check=False, cwd="/", user=NOBODY, group=NOBODY, extra_groups=[],
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.split("\n\n") if line.strip()]


@pytest.fixture
def shared(checkout: Path) -> Path:
    """A checkout that everybody may enter, whose `.venv` has a Python that everybody may run."""
    if os.getuid() != 0 or not os.path.exists("/usr/bin/python3"):
        pytest.skip("only root can become another user")
    for folder in checkout.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    link = checkout / ".venv" / "bin" / "python"
    link.unlink()
    link.symlink_to("/usr/bin/python3")
    subprocess.run(["chmod", "-R", "a+rX", str(checkout)], timeout=PATIENCE_S, check=True)
    return checkout


@pytest.mark.parametrize(
    "closed", [".venv", ".venv/bin", ".venv/pyvenv.cfg", f".venv/lib/{MINE}/site-packages/tests.pth"]
)
def test_closed_to_the_user_of_the_node(closed: str, shared: Path) -> None:
    """Made by root, who keeps it to himself."""
    (shared / closed).chmod(0o600 if (shared / closed).is_file() else 0o700)
    reason = disabled(as_nobody(shared))
    assert f"may not read {shared / closed}" in reason and "user nobody" in reason
    assert f"chmod -R a+rX '{shared}'" in reason


def test_the_python_is_in_somebodys_home(shared: Path, tmp_path: Path) -> None:
    """The `.venv` may be read, and leads to where only its maker may go."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "python3").symlink_to("/usr/bin/python3")
    link = shared / ".venv" / "bin" / "python"
    link.unlink()
    link.symlink_to(home / "python3")
    reason = disabled(as_nobody(shared))
    assert f"may not read {home}, where the Python of" in reason
    assert f"run `rm -r '{shared / '.venv'}'`" in reason, "and nobody's home"
