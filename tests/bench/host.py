"""A lightningd with the public network's graph and nothing else: no peers, no chain, no time but the graph's.

Its chain comes from `plugins/chain.py`, which makes up empty blocks. A gossip_store of last year is as good as a
new one to it for some days, as it forgets stale channels only then. So the routing commands of the host can be
timed on the same graph as ours.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.plugins import CHAIN
from tests.support.rawrpc import RawRpc

_START_S = 60.0
_UNUSED = ("bcli", "cln-grpc", "clnrest", "wss-proxy", "cln-lsps-service")


class Host:
    """A running lightningd; ends with the `with` block."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path):
        self._process = process
        self._directory = directory
        self.rpc = RawRpc(directory / "bitcoin" / "lightning-rpc")

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def timed(self, method: str, calls: Sequence[dict[str, Any]]) -> list[float | None]:
        """Milliseconds of each call, None where it answered with an error. The first is made twice."""
        self.rpc.call(method, calls[0])
        result: list[float | None] = []
        for params in calls:
            began = time.perf_counter()
            answer = self.rpc.call(method, params)
            took = (time.perf_counter() - began) * 1000
            result.append(None if answer.error else took)
        return result


def start(store: Path, directory: Path) -> Host | str:
    """A host on a copy of `store`, or why there is none."""
    program = shutil.which("lightningd")
    if program is None:
        return "no lightningd on the PATH"
    home = directory / "lightningd"
    (home / "bitcoin").mkdir(parents=True)
    shutil.copyfile(store, home / "bitcoin" / "gossip_store")
    arguments = [
        program, f"--lightning-dir={home}", "--network=bitcoin", "--offline", "--developer",
        "--allow-deprecated-apis=true", f"--plugin={CHAIN}", f"--log-file={home / 'log'}",
        "--log-level=info", *(f"--disable-plugin={name}" for name in _UNUSED),
    ]  # fmt: skip
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    host = Host(process, home)
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            answer = host.rpc.call("getinfo", {})
        except (OSError, ValueError, json.JSONDecodeError):
            time.sleep(0.2)
            continue
        if not answer.error and "warning_lightningd_sync" not in (answer.result or {}):
            return host
        time.sleep(0.2)
    log = (home / "log").read_text(errors="replace").splitlines() if (home / "log").exists() else []
    host.__exit__(None, None, None)
    return f"lightningd does not start: {log[-1] if log else 'no log'}"
