"""A node with puppets on it, real or in the box: what the cases of hooks and names are played on.

The same case runs on both; what it may ask of a node is `Node`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from pay.sim.lightningd.daemon import LightningdDied
from pay.sim.lightningd.harness import Box
from tests.support.box.worlds import line_box
from tests.support.lightningd.alone import Alone
from tests.support.puppets import Puppet
from tests.support.rawrpc import Answer, RawRpc
from tests.support.waiting import PATIENCE_S, until


class Node(Protocol):
    """A running node, or one that has died."""

    @property
    def raw(self) -> RawRpc: ...

    def up(self) -> None:
        """Wait until it is up, or dead."""

    @property
    def dead(self) -> bool: ...

    @property
    def last_words(self) -> str: ...

    def lines(self, text: str) -> list[str]:
        """Lines of the log that have it."""

    def close(self) -> None: ...


class InTheBox:
    """The stand-in. Its start is begun, on its own thread, when this is made."""

    def __init__(self, directory: Path, version: str, plugins: Sequence[Path], options: dict[str, Any]):
        deprecated = options.pop("allow-deprecated-apis", True)
        self._box: Box = line_box(
            directory, plugin=list(plugins), builtin_pay=True, allow_deprecated=deprecated, version=version,
            options=options, developer=True,
        )  # fmt: skip
        self.raw = RawRpc(self._box.node.rpc_path)
        self._starting = self._box.submit(self._box.node.start())

    def up(self) -> None:
        exception(self._starting)

    @property
    def dead(self) -> bool:
        return self._starting.done() and not self._box.node.running

    @property
    def last_words(self) -> str:
        why_not = exception(self._starting)
        return str(why_not) if isinstance(why_not, LightningdDied) else self._box.node.last_words or ""

    def lines(self, text: str) -> list[str]:
        return [str(line) for line in list(self._box.node.lines) if text in line.text]

    def close(self) -> None:
        self._box.close()


def exception(future: Future[Any]) -> BaseException | None:
    """What a future ends with, once it does."""
    return future.exception(PATIENCE_S)


class Stage:
    """Where one case is played; ends with the `with` block."""

    def __init__(self, directory: Path, version: str, real: bool):
        self.directory = directory
        self.version = version
        self._real = real
        self._threads = ThreadPoolExecutor(max_workers=16)
        self._nodes: list[Node] = []

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._nodes:
            node.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def release(self) -> tuple[int, int]:
        year, month = self.version.lstrip("v").replace("-", ".").split(".")[:2]
        return int(year), int(month)

    def puppet(self, name: str, **more: Any) -> Puppet:
        return Puppet(self.directory / "plugins", name, **more)

    def begin(self, *puppets: Puppet, **options: Any) -> Play:
        """A node with these from its start; options as on a command line, with _ for -, None for a flag."""
        play = self.begin_soon(*puppets, **options)
        play.node.up()
        return play

    def begin_soon(self, *puppets: Puppet, **options: Any) -> Play:
        """The same, without waiting until it is up."""
        given = {name.replace("_", "-"): value for name, value in options.items()}
        paths, home = [puppet.path for puppet in puppets], self.directory / f"node{len(self._nodes)}"
        if self._real:
            lines = [_line(name, each) for name, value in given.items() for each in _many(value)]
            self._nodes.append(Alone(home, paths, lines))
        else:
            given = {name: True if value is None else value for name, value in given.items()}
            self._nodes.append(InTheBox(home, self.version, paths, given))
        return Play(self._nodes[-1], self._threads)


class Play:
    """What a case does with its node."""

    def __init__(self, node: Node, threads: ThreadPoolExecutor):
        self.node = node
        self._threads = threads

    def call(self, method: str, params: Any = None) -> Answer:
        return self.node.raw.call(method, params)

    def soon(self, method: str, params: Any = None) -> Future[Answer]:
        return self._threads.submit(self.call, method, params)

    def start(self, *puppets: Puppet) -> None:
        """`plugin start`, which must succeed."""
        for puppet in puppets:
            self.call("plugin", ["start", str(puppet.path)]).ok()

    def stop(self, puppet: Puppet) -> None:
        self.call("plugin", ["stop", puppet.name]).ok()

    def lines(self, text: str) -> list[str]:
        return self.node.lines(text)

    def dies(self, method: str, params: Any = None) -> str:
        """A call that is the end of the node: the caller's connection breaks; its last words."""
        try:
            answer = self.call(method, params)
        except OSError:
            until(lambda: self.node.dead, "the node is dead")
            return self.node.last_words
        raise AssertionError(f"the node answered {answer}")

    def ended(self) -> str:
        """Wait for its end; its last words."""
        until(lambda: self.node.dead, "the node is dead")
        return self.node.last_words


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _line(name: str, value: Any) -> str:
    if value is None:
        return f"--{name}"
    return f"--{name}={str(value).lower() if isinstance(value, bool) else value}"
