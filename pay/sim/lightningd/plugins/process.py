"""One plugin: a child process that is started, asked and told as lightningd does.

The life of a plugin is `getmanifest`, `init`, then requests and notifications over its standard input
and output; its standard error goes to the node's log. Source: lightningd's plugin.c.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pay.sim.lightningd.rpc.jsonstream import JsonSplitter, MalformedJson, RpcError, encode

PLUGIN_TERMINATED = -4
"""Code of a request whose plugin died before it answered."""

LOG_LEVELS = ("trace", "debug", "info", "unusual", "warn", "broken", "error")

Progress = Callable[[str, dict[str, Any]], None]


class PluginState(Enum):
    """Where in its life a plugin is."""

    STARTING = "before replying to getmanifest"
    CONFIGURING = "before replying to init"
    READY = "during normal operation"
    DEAD = "dead"


class PluginDied(Exception):
    """The plugin was killed or exited; says why."""


class PluginProcess:
    """The child and its pipes.

    Parameters
    ----------
    path
        The executable, absolute.
    log
        Called with (level, message) for every log line of the plugin and about it.
    on_notification
        Called with (method, params) for what the plugin sends that is no answer.
    on_exit
        Called once, with the reason, when the process is gone or was given up.
    """

    def __init__(
        self,
        path: Path,
        log: Callable[[str, str], None],
        on_notification: Callable[[PluginProcess, str, Any], None],
        on_exit: Callable[[PluginProcess, str], None],
    ):
        self.path = path
        self.name = path.name
        self.state = PluginState.STARTING
        self.index = -1
        self.log = log
        self.manifest: dict[str, Any] = {}
        self._on_notification = on_notification
        self._on_exit = on_exit
        self._process: asyncio.subprocess.Process | None = None
        self._pending: dict[str, tuple[asyncio.Future[dict[str, Any]], Progress | None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def spawn(self, cwd: Path, environment: Mapping[str, str], arguments: list[str]) -> None:
        """Start the executable; its directory is the node's, not the caller's."""
        self._process = await asyncio.create_subprocess_exec(
            str(self.path), *arguments, cwd=cwd, env={**os.environ, **environment},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.log("debug", f"started({self._process.pid}) {self.path}")
        self._tasks = [asyncio.ensure_future(self._read_stdout()), asyncio.ensure_future(self._read_stderr())]

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    @property
    def dynamic(self) -> bool:
        return bool(self.manifest.get("dynamic", False))

    @property
    def methods(self) -> list[str]:
        return [method["name"] for method in self.manifest.get("rpcmethods", [])]

    @property
    def topics(self) -> list[str]:
        """Notifications that it may emit."""
        return [topic["method"] for topic in self.manifest.get("notifications", [])]

    def subscribed(self, topic: str) -> bool:
        """Whether it wants notifications of this topic ("*" is all but log)."""
        wanted = self.manifest.get("subscriptions", [])
        return topic in wanted or ("*" in wanted and topic != "log")

    def request(
        self, request_id: str | int, message: dict[str, Any], progress: Progress | None = None
    ) -> asyncio.Future[dict[str, Any]]:
        """Send a request under `request_id`; the future gives the whole answer object."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[str(request_id)] = (answer, progress)
        self.send({**message, "id": request_id})
        return answer

    def send(self, message: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None or self._process.stdin.is_closing():
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(encode(message))

    def kill(self, reason: str, level: str = "info") -> None:
        """SIGKILL, as lightningd ends plugins; pending requests fail."""
        if self.state is not PluginState.DEAD:
            self.log(level, f"Killing plugin: {reason}")
            self._signal()
            self._die(reason)

    def abandon(self) -> None:
        """What a plugin sees when lightningd is killed: its pipes break, nobody kills it."""
        self.state = PluginState.DEAD
        for task in self._tasks:
            task.cancel()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            # Closes our ends of all three pipes, but would also kill; so only the reading ones are closed here.
            transport = self._process._transport  # type: ignore[attr-defined]
            for fd in (1, 2):
                pipe = transport.get_pipe_transport(fd)
                if pipe is not None:
                    pipe.close()

    async def gone(self, timeout_s: float) -> bool:
        """Wait until the process ended by itself; kills it after `timeout_s`.

        Returns
        -------
        Whether it ended by itself.
        """
        if self._process is None:
            return True
        try:
            await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            self._signal()
            await self._process.wait()
            return False
        return True

    async def buried(self) -> None:
        """Wait for the end of a process that is over or was killed, and let go of what belongs to it."""
        if self._process is None:
            return
        await self._process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._process._transport.close()  # type: ignore[attr-defined]

    def _signal(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # Not Process.kill(), which would wait for it and so take its exit status from the loop.
                os.kill(self._process.pid, signal.SIGKILL)

    def _die(self, reason: str) -> None:
        self.state = PluginState.DEAD
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        pending, self._pending = self._pending, {}
        for request_id, (answer, _) in pending.items():
            if not answer.done():
                error = RpcError(PLUGIN_TERMINATED, "Plugin terminated before replying to RPC call.")
                answer.set_result({"jsonrpc": "2.0", "id": request_id, "error": error.to_json()})
        self._on_exit(self, reason)

    async def _read_stdout(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        splitter = JsonSplitter()
        while data := await self._process.stdout.read(1 << 16):
            try:
                for message in splitter.feed(data):
                    self._take(message)
                    if self.state is PluginState.DEAD:
                        return
            except MalformedJson as bad:
                self.kill(f"Failed to parse RPC JSON response '{bad}'", "unusual")
                return
        if self.state is not PluginState.DEAD:
            self.kill(f"exited {self.state.value}")

    async def _read_stderr(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.log("stderr", line.decode(errors="replace").rstrip("\n"))

    def _take(self, message: Any) -> None:
        if not isinstance(message, dict) or "jsonrpc" not in message:
            raise MalformedJson(str(message))
        if "id" in message:
            answer, _ = self._pending.pop(str(message["id"]), (None, None))
            if answer is not None and not answer.done():
                answer.set_result(message)
            return
        method, params = message.get("method"), message.get("params")
        if method is None or params is None:
            self.kill('Malformed JSON-RPC notification missing "method" or "params"', "unusual")
        elif method == "log":
            self._take_log(params)
        elif method in ("message", "progress"):
            _, progress = self._pending.get(str(params.get("id")), (None, None))
            if progress is not None:
                progress(method, params)
        else:
            self._on_notification(self, method, params)

    def _take_log(self, params: Any) -> None:
        text, level = params.get("message"), params.get("level", "info")
        if not isinstance(text, str):
            self.kill('Log notification from plugin doesn\'t have a string "message" field', "unusual")
        elif level not in LOG_LEVELS:
            self.kill(f"Unknown log-level {level}", "unusual")
        else:
            level = {"warn": "unusual", "error": "broken"}.get(level, level)
            for line in text.split("\n"):
                self.log(level, line)
