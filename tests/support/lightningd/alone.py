"""A real lightningd without peers or chain, up in a second: for what it does with plugins and their hooks.

Its chain comes from `plugins/chain.py`. It may die: what its log says then can be read.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.plugins import CHAIN
from tests.support.rawrpc import Answer, RawRpc
from tests.support.waiting import PATIENCE_S, until

_UNUSED = (
    "bcli", "cln-grpc", "clnrest", "wss-proxy", "cln-lsps-service", "cln-lsps-client", "bookkeeper", "sql",
    "chanbackup", "recover", "commando", "txprepare", "funder", "exposesecret", "cln-bwatch", "recklessrpc",
)  # fmt: skip
_ALLOW = ["--allow-deprecated-apis=true"]
"""lightningd's default but for developers."""


class Alone:
    """One of them.

    Parameters
    ----------
    options
        Lines of the command line, e.g. "--disable-plugin=pay".
    """

    def __init__(self, directory: Path, plugins: Sequence[Path] = (), options: Sequence[str] = ()):
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / "log"
        self._directory = directory
        arguments = [
            "lightningd", f"--lightning-dir={directory}", "--network=bitcoin", "--offline", "--developer",
            f"--plugin={CHAIN}", f"--log-file={self._log}", "--log-level=debug",
            *(f"--disable-plugin={name}" for name in _UNUSED), *(f"--plugin={path}" for path in plugins),
            *options, *_ALLOW * (not any(line.startswith(_ALLOW[0].partition("=")[0]) for line in options)),
        ]  # fmt: skip
        self._said = (directory / "said").open("wb")
        self._process = subprocess.Popen(arguments, stdout=self._said, stderr=self._said, start_new_session=True)
        self.raw = RawRpc(directory / "bitcoin" / "lightning-rpc")

    def up(self) -> None:
        """Wait for it, or for its end. Its socket answers before; but a `plugin start` then is never answered."""
        until(lambda: self.dead or self.lines("Server started with public key"), "lightningd is up")

    @property
    def dead(self) -> bool:
        return self._process.poll() is not None

    @property
    def last_words(self) -> str:
        """What it said as it died, on its log or on its terminal."""
        self._process.wait(30)
        self._said.flush()
        said = (self._directory / "said").read_text(errors="replace")
        broken = [
            line.split("**BROKEN** lightningd: ")[1] for line in self.log if "**BROKEN** lightningd: " in line
        ]
        return "\n".join([said, *(line for line in broken if not line.startswith("backtrace:"))])

    @property
    def log(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines() if self._log.exists() else []

    def call(self, method: str, params: Any = None) -> Answer:
        return self.raw.call(method, params)

    def lines(self, text: str) -> list[str]:
        """Lines of the log that have it."""
        return [line for line in self.log if text in line]

    def close(self) -> None:
        if not self.dead:
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE_S)
        self._said.close()
