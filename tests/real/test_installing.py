"""Installing, upgrading and going back, as docs/installing.md has it to be typed, on a node that pays.

    payer ── hub ── far     payer: lightningd as it comes, until something is typed

The commands are those of the document, read from it and given to a shell, so that neither can change alone. What
is installed is what is committed here; what is upgraded from is the last commit of which the plugin could only be
the owner of `pay`, if the checkout goes back so far.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pay.host.version import HOOK_FILTERS_SINCE
from tests.real.support.bench import Line
from tests.real.support.network import Node
from tests.real.support.paying import begin, held, invoice, pay, received, rows, wait_until
from tests.real.support.release import host
from tests.support.checkout import ROOT
from tests.support.waiting import PATIENCE_S, result_of

OLD = "5c530a30ed0b90d80b77c066e419a8086d8b2096"
ADDRESS = "<address of this repository>"
HOME = "/home/bitcoin"
"""Of the user that runs lightningd in the document."""


def blocks(heading: str) -> list[str]:
    """What is to be typed below a heading of the document: its indented lines, block by block."""
    _, _, section = (ROOT / "docs" / "installing.md").read_text().partition(f"\n## {heading}\n")
    assert section, heading
    found: list[list[str]] = [[]]
    for line in section.partition("\n## ")[0].splitlines():
        if line.startswith("    "):
            found[-1].append(line[4:])
        elif found[-1]:
            found.append([])
    return ["\n".join(block) for block in found if block]


def block(heading: str, word: str) -> str:
    """The one with this word."""
    (found,) = (text for text in blocks(heading) if word in text)
    return found


@dataclass(frozen=True, slots=True)
class Operator:
    """Who types at a node's own shell."""

    home: Path
    node: Node
    address: Path

    @property
    def plugin(self) -> Path:
        return self.home / "clnpay" / "clnpay.py"

    def types(self, text: str) -> str:
        """What the commands print; all of them work."""
        text = text.replace(ADDRESS, str(self.address))
        assert "…" not in text and "<" not in text
        environ = {**os.environ, "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-e"], input=text.replace(HOME, str(self.home)), cwd=self.home, env=environ,
            capture_output=True, text=True, timeout=2 * PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def commit(self) -> str:
        return git("-C", str(self.home / "clnpay"), "rev-parse", "HEAD")

    def log(self) -> list[str]:
        self.node.peer.daemon.logs_catchup()
        lines: list[str] = self.node.peer.daemon.logs
        return lines

    def starts(self) -> int:
        """How often the plugin has come up."""
        return sum("plugin-clnpay.py: started version=" in line for line in self.log())


def git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return done.stdout.strip()


def has(commit: str) -> bool:
    try:
        git("merge-base", "--is-ancestor", commit, "HEAD")
    except (subprocess.CalledProcessError, OSError):
        return False
    return True


@pytest.fixture
def operator(line: Line, tmp_path: Path) -> Iterator[Operator]:
    if not has(OLD):
        pytest.skip("no checkout that goes back to the version to upgrade from")
    (payer,) = line.regtest.start({})
    line.regtest.open_channels((payer, line.hub))
    line.regtest.wait_for_channels(payer, 4)
    directory = payer.peer.daemon.lightning_dir
    cli = tmp_path / "bin" / "lightning-cli"
    cli.parent.mkdir()
    real = shutil.which("lightning-cli")
    cli.write_text(f'#!/bin/sh\nexec {real} --lightning-dir="{directory}" --network=regtest "$@"\n')
    cli.chmod(0o755)
    yield Operator(tmp_path, payer, published(tmp_path / "published"))


def published(directory: Path) -> Path:
    """A repository whose `main` is what is committed here."""
    git("clone", "-q", "--bare", str(ROOT), str(directory))
    git("-C", str(directory), "symbolic-ref", "HEAD", "refs/heads/main")
    git("-C", str(directory), "update-ref", "refs/heads/main", git("rev-parse", "HEAD"))
    return directory


def served(operator: Operator, payee: Node) -> None:
    """A `pay` is paid, by us."""
    made = invoice(payee)
    assert pay(operator.node, made["bolt11"]).ok()["status"] == "complete"
    assert received(payee, made) == 100_000
    wait_until(
        lambda: any("plugin-clnpay.py: " in line and made["payment_hash"] in line for line in operator.log())
    )


def upgraded(operator: Operator, commit: str) -> None:
    before, typed = operator.starts(), block("Upgrade, and going back", "pull")
    if commit != git("rev-parse", "HEAD"):
        back = block("Upgrade, and going back", "checkout").replace("…", commit)
        first, _, rest = typed.partition("\n")
        assert first == "git -C clnpay pull"
        typed = f"{back}\n{rest}"
    operator.types(typed)
    assert operator.commit() == commit
    wait_until(lambda: operator.starts() == before + 1)


def test_installed_upgraded_and_back_again(operator: Operator, line: Line) -> None:
    """On a node that runs. What is paid stays paid, whichever of the two versions is asked."""
    new, old = git("rev-parse", "HEAD"), git("rev-parse", OLD)
    typed = block("Install", "git clone").replace("\nmake", f"\ngit -C clnpay reset -q --hard {old}\nmake")
    operator.types(typed)
    operator.types(block("Install", "plugin stop pay"))
    wait_until(lambda: operator.starts() == 1)
    served(operator, line.far)

    paid = invoice(line.far)
    answer = pay(operator.node, paid["bolt11"]).ok()
    for commit in (new, old, new):
        upgraded_with_a_part_out(operator, commit, line.far)
        if commit == old:
            operator.types("git -C clnpay checkout -q main")
        assert pay(operator.node, paid["bolt11"]).ok() == answer
        served(operator, line.far)


def upgraded_with_a_part_out(operator: Operator, commit: str, payee: Node) -> None:
    """It is one payment all the way: the next version waits for that part, and sends none."""
    node, made = operator.node, invoice(payee)
    payee.call("hold", made["payment_hash"])
    orphaned = begin(node, made["bolt11"])
    wait_until(lambda: held(payee, made) == 1)
    upgraded(operator, commit)
    assert result_of(orphaned).error is not None
    again = begin(node, made["bolt11"])
    attached = f"payment_attached payment_hash={made['payment_hash']}"
    wait_until(lambda: any(attached in line for line in operator.log()))
    payee.call("release", made["payment_hash"])
    assert result_of(again).ok()["status"] == "complete"
    assert [row["status"] for row in rows(node, made)] == ["complete"]


def test_in_the_configuration_and_out_of_it(operator: Operator, line: Line) -> None:
    """The node starts with it, with an option of its, and starts without it once both are gone."""
    node, far = operator.node, line.far
    operator.types(block("Install", "git clone"))
    configuration = Path(node.peer.daemon.lightning_dir) / "config"
    typed = block("Install", "plugin=/").replace(HOME, str(operator.home))
    if not host().since(HOOK_FILTERS_SINCE):
        typed += "\n" + block("Install", "disable-plugin=pay")
    configuration.write_text(f"{typed}\npay-min-part=5sat\n")
    restarted(operator)
    wait_until(lambda: operator.starts() == 1)
    served(operator, far)
    shown = node.call("listconfigs", config="pay-min-part")["configs"]["pay-min-part"]
    assert shown["value_str"] == "5sat"

    configuration.unlink()
    restarted(operator)
    shutil.rmtree(operator.home / "clnpay")
    made = invoice(far)
    assert pay(node, made["bolt11"]).ok()["status"] == "complete"
    assert operator.starts() == 1
    assert received(far, made) == 100_000


def restarted(operator: Operator) -> None:
    """With its channel up again."""
    operator.node.peer.restart()
    wait_until(lambda: all(channel.get("reestablished") for channel in channels(operator.node)))


def channels(node: Node) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.call("listpeerchannels")["channels"]
    return found
