"""A stand-in for lightningd in one asyncio process: plugins, `lightning-rpc`, payments over a simulated world.

It starts plugins as lightningd does, serves any client of lightningd, answers with lightningd's keys, types
and error codes, and has its holes: the table of payments survives a kill, HTLCs survive in the network, commands
survive their callers. What it knowingly does not do: channels that open or close, forwarding through us,
onions, BOLT 12, runes, deprecations.

Source: lightningd v26.06 (jsonrpc.c, plugin.c, pay.c); what differs in hosts before is told by `version`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from pay.sim.lightningd.commands import COMMANDS
from pay.sim.lightningd.configs import Configs, Option, builtin_options
from pay.sim.lightningd.connections import tell_all_connected
from pay.sim.lightningd.dispatch import Dispatcher, Recorded
from pay.sim.lightningd.gossip_file import GossipFile
from pay.sim.lightningd.heights import Heights
from pay.sim.lightningd.htlc_table import HtlcTable
from pay.sim.lightningd.interception import XPAY_PATH, XPAY_SINCE, xpay_option
from pay.sim.lightningd.jsonstream import RpcError
from pay.sim.lightningd.node_faults import NodeFaults, hits
from pay.sim.lightningd.node_log import LogLine
from pay.sim.lightningd.params import INVALID_PARAMS
from pay.sim.lightningd.payments import Payments
from pay.sim.lightningd.payments_db import Database, Payment
from pay.sim.lightningd.plugin_process import PluginDied, PluginProcess, PluginState
from pay.sim.lightningd.plugins import BUILTIN_PLUGINS, Plugins, PluginSettings
from pay.sim.lightningd.rpc_server import Command, RpcServer, call
from pay.sim.network.channel import SimChannel, SimPeer
from pay.sim.network.encoding.gossip import feature_bytes
from pay.sim.network.world import World
from pay.units import NodeId

DEFAULT_VERSION = "v26.06.6"
DEFAULT_PLUGIN = Path(__file__).resolve().parents[3] / "plugin.py"
KILL_GRACE_S = 5.0
"""How long a plugin may live on after its node was killed, before it is reported and ended."""


class NodeDied(Exception):
    """The node cannot start, or an important plugin took it down; says why."""


class SimNode:
    """A node of `world` with plugins and a socket.

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
        self.peer: SimPeer = world.nodes[us]
        self.version = version
        self.network = network or world.chain
        self.directory = Path(directory).resolve() / self.network
        self.rpc_path = self.directory / "lightning-rpc"
        self.developer = developer
        self.builtin_pay = builtin_pay
        self.faults = NodeFaults()
        self.recorded: deque[Recorded] = deque(maxlen=100_000)
        self.lines: deque[LogLine] = deque(maxlen=100_000)
        self.running = False
        self._plugin_paths = [Path(plugin)] if isinstance(plugin, Path | str) else [Path(p) for p in plugin or ()]
        self._given_options = dict(options or {})
        self._important = important
        self._tasks: set[asyncio.Future[Any]] = set()
        self.heights = Heights(self)
        self.htlcs = HtlcTable()
        self.row_watchers: list[Callable[[Payment], None]] = []
        self._log_file: TextIO | None = None
        self._stopped: asyncio.Event = asyncio.Event()
        node_features = feature_bytes(self.peer.features).hex()
        self.feature_set = {"init": node_features, "node": node_features, "channel": "", "invoice": "024100"}
        self.settings = PluginSettings(
            self.directory, version, self.network, developer, allow_deprecated, self.feature_set,
            dict(environment or {}),
        )  # fmt: skip

    @property
    def release(self) -> tuple[int, int]:
        """(year, month) of the version."""
        return self.settings.release

    @property
    def height(self) -> int:
        return self.world.height + self.peer.extra_height

    @property
    def plugin_pids(self) -> set[int]:
        return {plugin.pid for plugin in self.plugins.all}

    def own_channels(self) -> list[SimChannel]:
        return self.peer.channels

    # Life.

    async def __aenter__(self) -> SimNode:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Come up, plugins included.

        Raises
        ------
        NodeDied
            An option that nobody owns, or an important plugin that did not start. A plugin that is not
            important and fails is only logged, as lightningd does.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self._log_file = (self.directory / "log").open("a", buffering=1)
        self.db = Database(self.directory / "lightningd.sqlite3")
        self._set_up_configs()
        self.plugins = Plugins(self.settings, self.configs, self.log, self.host_methods, self._lose_important)
        self.payments = Payments(self)
        self.dispatcher = Dispatcher(self)
        self._server = RpcServer(self.rpc_path, self.dispatcher.take)
        self._gossip = GossipFile(self.world, self.directory / "gossip_store", self.release)
        self._stopped.clear()
        self.running = True
        self.world.block_listeners.append(self.heights.block_added)
        try:
            await self._start_plugins()
        except BaseException:
            await self._tear_down()
            raise
        self.payments.attach()
        tell_all_connected(self)

    async def _start_plugins(self) -> None:
        started = []
        for path in self._plugin_paths:
            try:
                started.append(await self.plugins.start(path, important=self._important))
            except PluginDied as death:
                self._plugin_failed(path, death)
        if self.configs.unclaimed():
            raise NodeDied(f"--{self.configs.unclaimed()[0]}: unrecognized option")
        await self._server.start()
        for plugin in started:
            try:
                await self.plugins.configure(plugin)
            except PluginDied as death:
                self._plugin_failed(plugin.path, death)
        self.plugins.starting_up = False

    def _plugin_failed(self, path: Path, death: PluginDied) -> None:
        self.log("unusual", "plugin-manager", f"{path}: {death}")
        if not self.running:
            raise NodeDied(f"{path}: {death}") from death

    async def stop(self) -> None:
        """Shut down in order: plugins are told, callers are not answered any more."""
        if not self.running:
            return
        self.payments.detach()
        self.running = False
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
        self.payments.detach()
        self.running = False
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

    def stop_soon(self) -> None:
        """Stop, from within a callback."""
        self._stopping = asyncio.ensure_future(self.stop())

    def builtin_plugins(self) -> list[dict[str, Any]]:
        """What `plugin list` shows of lightningd's own plugins: those that one would miss."""
        names = ["bcli", "topology"]
        names += ["offers"] * ("decode" not in self.faults.missing) + ["pay"] * self.builtin_pay
        shown = [{"name": f"{BUILTIN_PLUGINS}/{name}", "active": True, "dynamic": False} for name in names]
        if self.release >= XPAY_SINCE:
            shown.append({"name": XPAY_PATH, "active": True, "dynamic": True})
        return shown

    async def _tear_down(self, orphaned: bool = False) -> None:
        """Let go of everything; with `orphaned` the plugins live on without us for now."""
        self.running = False
        self.payments.detach()
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
        if self._log_file is not None:
            self._log_file.close()
            self._log_file = None
        self._stopped.set()

    def _lose_important(self, plugin: PluginProcess) -> None:
        self.running = False
        if not self.plugins.starting_up:
            self._stopping = asyncio.ensure_future(self._tear_down())

    def _set_up_configs(self) -> None:
        self.configs = Configs()
        settings = {
            "alias": self.peer.name, "color": self.us.hex()[:6],
            "lightning-dir": str(self.directory.parent), "network": self.network,
        }  # fmt: skip
        for option in builtin_options(settings):
            self.configs.declare(option)
        if self.release >= XPAY_SINCE:
            self.configs.declare(xpay_option(self.release))
        if self.developer:
            self.configs.give("developer", True, "cmdline")
        if self._plugin_paths:
            kind = "important-plugin" if self._important else "plugin"
            self.configs.give(kind, list(map(str, self._plugin_paths)), "cmdline")
        for name, value in self._given_options.items():
            self.configs.give(name, value, "cmdline")
        for row in self.db.query("SELECT name, value FROM setconfig"):
            self.configs.give(row["name"], json.loads(row["value"]), self.setconfig_source)

    @property
    def setconfig_source(self) -> str:
        """Where lightningd writes what is set for good, as `listconfigs` shows it."""
        return f"{self.directory}/config.setconfig:2"

    def remember_config(self, name: str, values: list[str]) -> None:
        """A `setconfig` that is to last."""
        self.db.query("REPLACE INTO setconfig VALUES (?, ?)", name, json.dumps(values))

    # Commands.

    async def call(
        self, method: str, params: Any = None, notify: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """One command over the socket, as any client would. Raises RpcError, ConnectionError."""
        return await call(self.rpc_path, method, params, notify)

    def host_methods(self) -> set[str]:
        """Names of the commands that this version of the host has."""
        names = set(COMMANDS)
        if self.builtin_pay:
            names.add("pay")
        elif self.release < (26, 6):
            names.discard("listpays")
        return names - self.faults.missing

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something beside; it ends with the node."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._report_bug)

    def _report_bug(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.log("broken", "lightningd", f"BUG: {task.exception()!r}")

    def find_option(self, name: str, command: Command) -> Option:
        """Raises RpcError in lightningd's words."""
        option = self.configs.options.get(name)
        if option is None:
            raise self.bad_param("config", "Unknown config option", name, command)
        return option

    def bad_param(self, name: str, problem: str, value: Any, command: Command) -> RpcError:
        """A refusal that comes after the parameters were read."""
        verbose = self.developer or command.check_only
        shown = f"token '{json.dumps(value)}'" if verbose else "token (see logs for details)"
        return RpcError(INVALID_PARAMS, f"{name}: {problem}: invalid {shown}")

    # Telling.

    def notify(self, topic: str, payload: dict[str, Any]) -> None:
        """A notification to the plugins that want it, subject to faults."""
        if not self.running or hits(self.faults.drop, topic):
            return
        delay_s = self.faults.late_s.get(topic, self.faults.late_s.get("*", 0.0))
        for _ in range(2 if hits(self.faults.double, topic) else 1):
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, self._notify_late, self.plugins, topic, payload)
            else:
                self.plugins.notify(topic, payload)

    def _notify_late(self, plugins: Plugins, topic: str, payload: dict[str, Any]) -> None:
        if self.running and plugins is self.plugins:
            plugins.notify(topic, payload)

    def log(self, level: str, source: str, text: str) -> None:
        line = LogLine(level, source, text)
        self.lines.append(line)
        if self._log_file is not None:
            self._log_file.write(f"{line}\n")
        if level in ("unusual", "broken") and self.running:
            self.notify("warning", line.warning(self.world.clock.now()))
