"""The stand-in for lightningd, put together: plugins, `lightning-rpc`, payments over a simulated network.

It starts plugins as lightningd does, serves any client of lightningd, answers with lightningd's keys, types
and error codes, and has its holes: the table of payments survives a kill, HTLCs survive in the network, commands
survive their callers. What it knowingly does not do: channels that open or close, forwarding through us,
onions, BOLT 12, runes, deprecations.

Source: lightningd v26.06 (jsonrpc.c, plugin.c, pay.c); what differs in hosts before is told by `version`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import host_methods
from pay.sim.lightningd.connections import connected_peers, connection
from pay.sim.lightningd.dispatch import Dispatcher, Recorded
from pay.sim.lightningd.faults import LightningdFaults, hits
from pay.sim.lightningd.gossip_file import GossipFile
from pay.sim.lightningd.heights import Heights
from pay.sim.lightningd.log import Log, LogLine
from pay.sim.lightningd.own_node import OwnNode
from pay.sim.lightningd.payments.database import Database, Payment
from pay.sim.lightningd.payments.htlc_table import HtlcTable
from pay.sim.lightningd.payments.sendpay import Payments
from pay.sim.lightningd.plugins.builtin import builtin_plugins
from pay.sim.lightningd.plugins.configs import configured
from pay.sim.lightningd.plugins.process import PluginDied, PluginProcess, PluginState
from pay.sim.lightningd.plugins.registry import OptionTaken, Plugins
from pay.sim.lightningd.rpc.client import call
from pay.sim.lightningd.rpc.server import RpcServer
from pay.sim.lightningd.settings import Settings
from pay.sim.network.channel import SimPeer
from pay.sim.network.encoding.gossip import feature_bytes
from pay.sim.network.world import World
from pay.units import NodeId

DEFAULT_VERSION = "v26.06.6"
DEFAULT_PLUGIN = Path(__file__).resolve().parents[3] / "plugin.py"
KILL_GRACE_S = 5.0
"""How long a plugin may live on after its node was killed, before it is reported and ended."""


class LightningdDied(Exception):
    """It cannot start, or an important plugin took it down; says why."""


class Lightningd:
    """What runs one node of `world`, with plugins and a socket, in one asyncio process.

    Parameters
    ----------
    world
        Must run on a `RealClock` over the loop this node runs on.
    us
        Which node of the world it is.
    directory
        What `--lightning-dir` is to lightningd; a node started again with the same one goes on where it was.
    plugin
        Executables to start; None for none, by default the project's own.
    options
        Command line, e.g. `{"pay-retries": 3, "disable-mpp": True}`; a name that nobody owns stops the start.
    version
        What the host says it is; it behaves accordingly where plugins can tell.
    network
        By default the world's chain.
    builtin_pay
        Whether the builtin pay plugin is there as well and owns `pay` (and `listpays` before v26.06).
    important
        Whether the death of a plugin of the start is the death of the node.
    environment
        Of the plugins' processes, beside our own and lightningd's.

    Attributes
    ----------
    faults
        Misbehaviour of this node, may be changed at any time.
    recorded
        Commands that came in, oldest first.
    row_watchers
        Called with every row of the payments table that is new or has changed, before anybody is told.
    lines
        The log, also in the file `log` of the directory.
    last_words
        What lightningd says where it died of a fault of its own; None where it did not.
    """

    def __init__(
        self,
        world: World,
        us: NodeId,
        directory: Path,
        plugin: Path | str | Sequence[Path | str] | None = DEFAULT_PLUGIN,
        options: Mapping[str, Any] | None = None,
        version: str = DEFAULT_VERSION,
        network: str | None = None,
        *,
        developer: bool = False,
        allow_deprecated: bool = False,
        builtin_pay: bool = False,
        important: bool = False,
        environment: Mapping[str, str] | None = None,
    ):
        self.world = world
        self.us = us
        self.own = OwnNode(world, us)
        network = network or world.chain
        self.directory = Path(directory).resolve() / network
        self.rpc_path = self.directory / "lightning-rpc"
        self.recorded: deque[Recorded] = deque(maxlen=100_000)
        self.row_watchers: list[Callable[[Payment], None]] = []
        self.running = False
        self.last_words: str | None = None
        self._dying: asyncio.Future[list[str]] | None = None
        self._plugin_paths = [Path(plugin)] if isinstance(plugin, Path | str) else [Path(p) for p in plugin or ()]
        self._given_options = dict(options or {})
        self._important = important
        self._tasks: set[asyncio.Future[Any]] = set()
        self._faults = LightningdFaults()
        self._log = Log(self._alarm)
        self.heights = Heights(self.own, self.notify)
        self.htlcs = HtlcTable()
        self._stopped: asyncio.Event = asyncio.Event()
        features = feature_bytes(self.own.peer.features).hex()
        self.settings = Settings(
            self.directory, version, network, developer, allow_deprecated, builtin_pay,
            {"init": features, "node": features, "channel": "", "invoice": "024100"}, dict(environment or {}),
        )  # fmt: skip

    @property
    def faults(self) -> LightningdFaults:
        return self._faults

    @faults.setter
    def faults(self, faults: LightningdFaults) -> None:
        self._faults.become(faults)

    @property
    def lines(self) -> Sequence[LogLine]:
        """The last lines of the log."""
        return self._log.lines

    @property
    def version(self) -> str:
        return self.settings.version

    @property
    def network(self) -> str:
        return self.settings.network

    @property
    def peer(self) -> SimPeer:
        return self.own.peer

    @property
    def height(self) -> int:
        return self.own.height

    @property
    def plugin_pids(self) -> set[int]:
        return self.plugins.pids

    # Life.

    async def __aenter__(self) -> Lightningd:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Come up, plugins included.

        Raises
        ------
        LightningdDied
            An option that nobody owns, or an important plugin that did not start. A plugin that is not
            important and fails is only logged, as lightningd does.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self._log.open(self.directory / "log")
        self.db = Database(self.directory / "lightningd.sqlite3")
        shown = {"alias": self.peer.name, "color": self.us.hex()[:6]}
        self.configs = configured(self.settings, shown, self._given(), self.db)
        log, settings = self._log.write, self.settings
        disabled = self._given_options.get("disable-plugin", [])
        builtin = builtin_plugins(settings, [disabled] if isinstance(disabled, str) else disabled)
        self.plugins = Plugins(
            settings, self.configs, log, builtin, lambda: host_methods(builtin, self._faults), self._lose_important
        )
        self.payments = Payments(
            self.own, self.db, self._faults, log, self.notify, self.row_watchers, self._crash_soon
        )
        context = Context(
            self.own, settings, self._faults, self.db, self.configs, self.plugins, self.payments, self.heights,
            self.htlcs, log, self.notify, self._stop_soon,
        )  # fmt: skip
        self.dispatcher = Dispatcher(context, self.recorded.append, self._spawn, self._die)
        self._server = RpcServer(self.rpc_path, self.dispatcher.take)
        self._gossip = GossipFile(self.world, self.directory / "gossip_store", settings.release)
        self._stopped.clear()
        self.last_words, self._dying = None, None
        self.running = True
        self.world.block_listeners.append(self.heights.block_added)
        try:
            await self._start_plugins()
        except BaseException:
            await self._tear_down()
            raise
        self.payments.attach()
        for peer_id in connected_peers(self.own):
            self.notify("connect", connection(self._faults, peer_id))

    def _given(self) -> dict[str, Any]:
        """The command line."""
        kind = "important-plugin" if self._important else "plugin"
        plugins = {kind: list(map(str, self._plugin_paths))} if self._plugin_paths else {}
        return {**plugins, **self._given_options}

    async def _start_plugins(self) -> None:
        for builtin in self.plugins.builtin:
            self.plugins.start_builtin(builtin)
        for path in self._plugin_paths:
            if self._plugin_paths.count(path) > 1:
                raise LightningdDied(f"--plugin={path}: Failed to register {path}: Invalid argument")
        started = []
        for path in self._plugin_paths:
            try:
                started.append(await self.plugins.start(path, important=self._important))
            except PluginDied as death:
                self._plugin_failed(path, death)
            except OptionTaken as taken:
                raise LightningdDied(str(taken)) from None
        self.plugins.settle()
        if self.configs.unclaimed():
            raise LightningdDied(f"{self.configs.unclaimed()[0]}: unknown option")
        await self._server.start()
        for plugin in started:
            try:
                await self.plugins.configure(plugin)
            except PluginDied as death:
                self._plugin_failed(plugin.path, death)
        self.plugins.starting_up = False

    def _plugin_failed(self, path: Path, death: PluginDied) -> None:
        self._log.write("unusual", "plugin-manager", f"{path}: {death}")
        if not self.running:
            raise LightningdDied(f"{path}: {death}") from death

    async def stop(self) -> None:
        """Shut down in order: plugins are told, callers are not answered any more."""
        if self._dying is not None:
            await self._dying
        if not self.running:
            return
        self._end()
        await self.plugins.shut_down()
        await self._tear_down()

    async def kill(self, grace_s: float = KILL_GRACE_S) -> list[str]:
        """Die as by `kill -9`: nothing is told to anybody, pipes and sockets just break.

        Returns
        -------
        list[str]
            Plugins that did not notice within `grace_s` and were ended by force.
        """
        if not self.running:
            return []
        self._end()
        return await self._break_off(grace_s)

    async def _break_off(self, grace_s: float) -> list[str]:
        self.plugins.shutting_down = True
        orphans = list(self.plugins.all)
        for plugin in orphans:
            plugin.abandon()
        await self._tear_down(orphaned=True)
        noticed = await asyncio.gather(*(plugin.gone(grace_s) for plugin in orphans))
        await asyncio.gather(*(plugin.buried() for plugin in self.plugins.ever))
        return [plugin.name for plugin, by_itself in zip(orphans, noticed, strict=True) if not by_itself]

    async def restart(self) -> None:
        """Start again from the directory, after `stop` or `kill`."""
        await self.start()

    async def refuse_connections(self) -> None:
        """From now on connecting fails; connections that are there go on."""
        self._server.stop_listening()

    async def accept_connections(self) -> None:
        """Clients are welcome again."""
        await self._server.start()

    async def stopped(self) -> None:
        """Wait until somebody stops the node (the command `stop`, or an important plugin that died)."""
        await self._stopped.wait()

    def _stop_soon(self) -> None:
        self._stopping = asyncio.ensure_future(self.stop())

    def _crash_soon(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.create_task(self.kill()))

    def _die(self, words: str) -> None:
        """A fault of lightningd itself: it says so, and is gone; nothing more is carried out, answered or told."""
        if not self.running:
            return
        self._log.write("broken", "lightningd", words)
        self.last_words = words
        self._end()
        self._server.drop_everybody()
        self._dying = asyncio.ensure_future(self._break_off(KILL_GRACE_S))

    def _end(self) -> None:
        """Nothing is carried out or told any more; what belongs to this run is let go of later."""
        self.running = False
        self.payments.end()
        self.dispatcher.end()

    async def _tear_down(self, orphaned: bool = False) -> None:
        """Let go of everything; with `orphaned` the plugins live on without us for now."""
        self._end()
        with contextlib.suppress(ValueError):
            self.world.block_listeners.remove(self.heights.block_added)
        self._gossip.close()
        await self._server.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.plugins.shutting_down = True
        for plugin in list(self.plugins.all):
            if plugin.state is not PluginState.DEAD:
                plugin.kill("node stops", "debug")
        if not orphaned:
            await asyncio.gather(*(plugin.buried() for plugin in self.plugins.ever))
        self.db.close()
        self._log.close()
        self._stopped.set()

    def _lose_important(self, plugin: PluginProcess) -> None:
        self._end()
        if not self.plugins.starting_up:
            self._stopping = asyncio.ensure_future(self._tear_down())

    # Commands.

    async def call(
        self, method: str, params: Any = None, notify: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """One command over the socket, as any client would. Raises RpcError, ConnectionError."""
        return await call(self.rpc_path, method, params, notify)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something beside; it ends with the node."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._report_bug)

    def _report_bug(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._log.write("broken", "lightningd", f"BUG: {task.exception()!r}")

    # Telling.

    def notify(self, topic: str, payload: dict[str, Any]) -> None:
        """A notification to the plugins that want it, subject to faults."""
        if not self.running or hits(self._faults.drop, topic):
            return
        delay_s = self._faults.late_s.get(topic, self._faults.late_s.get("*", 0.0))
        for _ in range(2 if hits(self._faults.double, topic) else 1):
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, self._notify_late, self.plugins, topic, payload)
            else:
                self.plugins.notify(topic, payload)

    def _notify_late(self, plugins: Plugins, topic: str, payload: dict[str, Any]) -> None:
        if self.running and plugins is self.plugins:
            plugins.notify(topic, payload)

    def _alarm(self, line: LogLine) -> None:
        self.notify("warning", line.warning(self.world.clock.now()))
