"""A simulated node on a thread of its own, for callers that do not live in an asyncio loop: tests, scripts.

The world belongs to that thread: it is built there, and looked at or changed there, through `Box.on_world`.
"""

from __future__ import annotations

import asyncio
import linecache
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from pay.sim.lightningd.daemon import Lightningd
from pay.sim.network.clock import RealClock
from pay.sim.network.world import World
from pay.units import NodeId

T = TypeVar("T")
Build = Callable[[RealClock], tuple[World, NodeId]]
ANSWER_S = 120.0
"""How long a test waits for an answer before it is a failure."""

PATIENCE_S = 120.0
"""How long for something to come true: a machine under load is no failure."""


def wording(condition: Callable[..., object]) -> str:
    """What a condition says, as it is written: the name of a wait that got no other, and where it stands."""
    code = getattr(condition, "__code__", None)
    if code is None:
        return repr(condition)
    where = f"{Path(code.co_filename).name}:{code.co_firstlineno}"
    if code.co_name != "<lambda>":
        return f"{code.co_name} ({where})"
    # The first of its instructions stand for the whole of it and have no columns.
    places = [place for place in code.co_positions() if None not in place and place[2:] != (0, 0)]
    first = min((line, column) for line, _, column, _ in places)
    last = max((line, column) for _, line, _, column in places)
    lines = [linecache.getline(code.co_filename, number) for number in range(first[0], last[0] + 1)]
    # Columns are counted in bytes of UTF-8.
    text = [line.encode() for line in lines]
    text[-1] = text[-1][: last[1]]
    text[0] = text[0][first[1] :]
    return f"{' '.join(b''.join(text).decode().split())} ({where})"


class Box:
    """A running `Lightningd`, used from any thread.

    Parameters
    ----------
    build
        Makes the world on the clock it is given, and says which node we are.
    directory, node_options
        As for `Lightningd`.

    Raises
    ------
    LightningdDied
        From `start` (and `with`), if the node does not come up.
    """

    def __init__(self, build: Build, directory: Path, **node_options: Any):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated node", daemon=True)
        self._thread.start()

        async def make() -> Lightningd:
            world, us = build(RealClock(self._loop))
            return Lightningd(world, us, directory, **node_options)

        self.node: Lightningd = self.run(make())

    @property
    def world(self) -> World:
        """To be touched through `on_world` only, unless nothing is under way."""
        return self.node.world

    def __enter__(self) -> Box:
        try:
            self.start()
        except BaseException:
            self._end_thread()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start, or start again from the directory."""
        self.run(self.node.start())

    restart = start

    def stop(self) -> None:
        self.run(self.node.stop())

    def kill(self, grace_s: float = 5.0) -> list[str]:
        """As by `kill -9`; names the plugins that did not notice in time."""
        return self.run(self.node.kill(grace_s))

    def close(self) -> None:
        """Stop for good."""
        try:
            self.stop()
        finally:
            self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run something on the node's thread; do not wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float = ANSWER_S) -> T:
        """Run something on the node's thread and wait for its result.

        Raises
        ------
        RuntimeError
            On the node's thread itself, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("called on the node's own thread (from within on_world or until)")
        return self.submit(coroutine).result(timeout_s)

    def on_world(self, act: Callable[[World], T]) -> T:
        """Call `act` with the world, on its thread."""

        async def acting() -> T:
            return act(self.node.world)

        return self.run(acting())

    def call(
        self, method: str, params: Any = None, notify: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """One command over the socket. Raises RpcError (`FlatError`: with every member), ConnectionError."""
        return self.run(self.node.call(method, params, notify))

    def call_soon(self, method: str, params: Any = None) -> Future[dict[str, Any]]:
        """One command over the socket; do not wait for its answer."""
        return self.submit(self.node.call(method, params))

    def let_go(self, method: str | None = None, fits: Callable[[Any], bool] | None = None) -> int:
        """Carry out, or answer, commands that faults keep back; how many. See `Dispatcher.release`."""

        async def letting_go() -> int:
            return self.node.dispatcher.release(method, fits)

        return self.run(letting_go())

    def until(self, holds: Callable[[Lightningd], T], timeout_s: float = PATIENCE_S, what: str = "") -> T:
        """Wait until `holds(node)` is true and return what it gave. Raises TimeoutError, which names `what`.

        It is asked on the node's thread: it sees a world at rest, and cannot call the node.
        """

        async def waiting() -> T:
            deadline_s = self._loop.time() + timeout_s
            while not (value := holds(self.node)):
                if self._loop.time() > deadline_s:
                    raise TimeoutError(f"not in {timeout_s:g} s: {what or wording(holds)}")
                await asyncio.sleep(0.005)
            return value

        return self.run(waiting(), timeout_s + 5.0)
