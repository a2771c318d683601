"""What the race needs of a built Core Lightning, or the one line that says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FAKENET = Path("tests/plugins/channeld_fakenet")
COMPRESS = Path("devtools/gossmap-compress")
SNAPSHOT = Path("tests/data/gossip-store-2026-02-03.compressed")
PROGRAMS = ("lightningd", "lightning-hsmtool", "bitcoind", "bitcoin-cli")


class Unusable(Exception):
    """Why there is no race, in one line."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a built tree: the channeld that plays the network, the unpacker and the packed network."""

    fakenet: Path
    compress: Path
    snapshot: Path


def find_tree(environment: Mapping[str, str]) -> Tree:
    """The tree that `CLN_DIR` names.

    Raises
    ------
    Unusable
        It is not named, or something of it or on the PATH is missing.
    """
    named = environment.get("CLN_DIR", "")
    if not named:
        raise Unusable("CLN_DIR does not name a built Core Lightning tree: make race CLN_DIR=/path/to/lightning")
    root = Path(named).expanduser().resolve()
    for file in (FAKENET, COMPRESS, SNAPSHOT):
        if not (root / file).is_file():
            raise Unusable(f"CLN_DIR={named} has no {file}: is it a built Core Lightning tree (v26.06 or newer)?")
    for program in PROGRAMS:
        if shutil.which(program, path=environment.get("PATH", os.defpath)) is None:
            raise Unusable(f"{program} is not on the PATH")
    tree = Tree(root / FAKENET, root / COMPRESS, root / SNAPSHOT)
    _check_versions(tree)
    return tree


def _check_versions(tree: Tree) -> None:
    """lightningd stops at a subdaemon of another version; better said before anything starts."""
    host, played = (version([name]) for name in ("lightningd", str(tree.fakenet)))
    if host != played:
        raise Unusable(f"lightningd on the PATH is {host}, but {FAKENET} of CLN_DIR is {played}")


def version(command: list[str]) -> str:
    """What a program of Core Lightning calls its version."""
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    return said.strip() or "of unknown version"
