"""The register of the node's plugins: who owns which method, option and topic; starting and stopping them.

Rules that a plugin can trip over and that are kept here: a method or option name belongs to the first
that registers it and the later plugin is killed, and with it the node that is starting if it was an option; an
important plugin takes the node down with it. Source: lightningd's plugin.c, plugin_hook.c, plugin_control.c.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from pay.sim.lightningd.plugins.builtin import BuiltinPlugin
from pay.sim.lightningd.plugins.configs import Configs, OptionError, option_of_manifest
from pay.sim.lightningd.plugins.hooks import Hooks, Member
from pay.sim.lightningd.plugins.process import PluginDied, PluginProcess, PluginState, Progress
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.settings import Settings
from pay.sim.lightningd.telling import WriteLog

STARTUP_TIMEOUT_S = 60.0
SHUTDOWN_TIMEOUT_S = 30.0
NATIVE_TOPICS = frozenset({
    "connect", "disconnect", "warning", "custommsg", "onionmessage_forward_fail", "invoice_payment",
    "invoice_creation", "channel_opened", "channel_state_changed", "forward_event", "sendpay_success",
    "sendpay_failure", "coin_movement", "balance_snapshot", "block_added", "openchannel_peer_sigs",
    "channel_open_failed", "shutdown", "deprecated_oneshot", "log", "plugin_started", "plugin_stopped",
})  # fmt: skip


class OptionTaken(Exception):
    """A plugin of the node's start has an option that is there already: the node does not start; says why."""


class Plugins:
    """The plugins, their registrations, and what is sent to them.

    Parameters
    ----------
    builtin
        lightningd's own; they come first.
    host_methods
        Names of the methods that are not of `all`.
    """

    def __init__(
        self,
        settings: Settings,
        configs: Configs,
        log: WriteLog,
        builtin: Sequence[BuiltinPlugin],
        host_methods: Callable[[], set[str]],
        on_important_death: Callable[[PluginProcess], None],
    ):
        self.settings = settings
        self.configs = configs
        self.all: list[PluginProcess] = []
        self.ever: list[PluginProcess] = []
        """Those that are gone as well."""
        self.important: set[PluginProcess] = set()
        self.hooks = Hooks(settings.release >= (25, 12), log)
        self.builtin = builtin
        self.starting_up = True
        self.shutting_down = False
        self._log = log
        self.host_methods = host_methods
        self._on_important_death = on_important_death
        self._ids = itertools.count()
        self._indices = itertools.count()
        self._why_dead: dict[PluginProcess, str] = {}
        self._stranded: list[tuple[PluginProcess, asyncio.Future[None]]] = []

    @property
    def pids(self) -> set[int]:
        """Processes of those that are there."""
        return {plugin.pid for plugin in self.all}

    def owner(self, method: str) -> PluginProcess | None:
        """The plugin that registered this method."""
        return next((p for p in self.all if method in p.methods), None)

    def holder(self, method: str) -> Member | None:
        """The same, with lightningd's own plugins."""
        return self.owner(method) or next((p for p in self.builtin if p.active and method in p.methods), None)

    def deprecates(self, method: str) -> bool:
        """Whether its owner has declared it deprecated."""
        owner = self.owner(method)
        declared = owner.manifest.get("rpcmethods", []) if owner is not None else []
        return any(each["name"] == method and each.get("deprecated", False) is not False for each in declared)

    def start_builtin(self, plugin: BuiltinPlugin) -> None:
        """Start one of lightningd's own. Raises PluginDied where somebody has one of its names."""
        for method in plugin.methods:
            if (problem := self._taken(method)) is not None:
                raise PluginDied(problem)
        try:
            for own in plugin.options:
                own.values.clear()
                self.configs.declare(own)
        except OptionError as error:
            self.configs.withdraw(str(plugin.path))
            raise PluginDied(str(error)) from None
        self.hooks.register(plugin, plugin.hooks)
        plugin.index = next(self._indices)
        if not self.starting_up:
            self._put_in_order(f"plugin-{plugin.name}")
            self.notify("plugin_started", _describe(plugin))

    def stop_builtin(self, plugin: BuiltinPlugin) -> None:
        """It is gone, and its names are free."""
        plugin.index = -1
        self.configs.withdraw(str(plugin.path))
        self.hooks.withdraw(plugin)
        self.notify("plugin_stopped", _describe(plugin))

    async def start(
        self, path: Path, parameters: dict[str, Any] | None = None, important: bool = False,
        id_prefix: str | None = None,
    ) -> PluginProcess:  # fmt: skip
        """Start a plugin: getmanifest, then init – later, by `configure`, while the node itself is starting.

        Raises
        ------
        PluginDied
            It was killed, exited, disabled itself, or clashed with another one.
        """
        path = path.resolve()
        plugin = PluginProcess(
            path, lambda level, text: self._log(level, f"plugin-{path.name}", text), self._forward, self._gone
        )
        arguments = ["--developer"] if self.settings.developer else []
        ours = {"LIGHTNINGD_PLUGIN": "1", "LIGHTNINGD_VERSION": self.settings.version}
        environment = {**self.settings.environment, **ours}
        try:
            await plugin.spawn(self.settings.directory, environment, arguments)
        except OSError as error:
            raise PluginDied(f"opening pipe: {error.strerror}") from error
        plugin.index = next(self._indices)
        self.all.append(plugin)
        self.ever.append(plugin)
        if important:
            self.important.add(plugin)
        await self._in_time(plugin, self._introduce(plugin, parameters or {}, id_prefix))
        if self.starting_up and id_prefix is not None:
            stranded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._stranded.append((plugin, stranded))
            await stranded
        elif not self.starting_up:
            self._put_in_order(f"plugin-{plugin.name}")
            await self._rescue()
            await self.configure(plugin)
        return plugin

    async def _rescue(self) -> None:
        """Those that were started by a call while the node started go on with the next one that is started."""
        stranded, self._stranded = self._stranded, []
        for plugin, go_on in stranded:
            try:
                await self.configure(plugin)
            except PluginDied as death:
                go_on.set_exception(death)
            else:
                go_on.set_result(None)

    def settle(self) -> None:
        """All manifests of the node's start are in."""
        self._put_in_order("plugin-manager")

    def _put_in_order(self, source: str) -> None:
        """Make the order of the hooks; those that are new and whose wishes cannot be met are ended."""
        for member in self.hooks.order(source):
            if isinstance(member, PluginProcess) and member.state is PluginState.CONFIGURING:
                member.kill("Cannot meet required hook dependencies", "unusual")

    async def configure(self, plugin: PluginProcess) -> None:
        """Send init and wait for its answer. Raises PluginDied."""
        if plugin.state is PluginState.DEAD:
            # Over what its manifest says: it would never answer.
            raise PluginDied(self._why_dead.get(plugin, "exited"))
        await self._in_time(plugin, self._configure(plugin))
        self.notify("plugin_started", _describe(plugin))

    async def _in_time(self, plugin: PluginProcess, step: Coroutine[Any, Any, None]) -> None:
        try:
            await asyncio.wait_for(step, STARTUP_TIMEOUT_S)
        except TimeoutError:
            plugin.kill(f"timed out {plugin.state.value}", "unusual")
        if plugin.state is PluginState.DEAD:
            raise PluginDied(self._why_dead.get(plugin, "exited"))

    async def _introduce(self, plugin: PluginProcess, parameters: dict[str, Any], id_prefix: str | None) -> None:
        params = {"allow-deprecated-apis": self.settings.allow_deprecated}
        manifest = (await self.request(plugin, "getmanifest", params, id_prefix)).get("result")
        if plugin.state is PluginState.DEAD:
            return
        if not isinstance(manifest, dict):
            plugin.kill("Invalid/missing result tok in getmanifest answer", "unusual")
        elif "disable" in manifest:
            self.important.discard(plugin)
            plugin.kill(f"disabled itself: {manifest['disable']}")
        else:
            problem = self._register(plugin, manifest, parameters)
            if problem is not None:
                plugin.kill(problem, "unusual")
            elif not self.starting_up and not plugin.dynamic:
                plugin.kill("Not a dynamic plugin")
            else:
                plugin.state = PluginState.CONFIGURING

    async def _configure(self, plugin: PluginProcess) -> None:
        answer = await self.request(plugin, "init", self._init_params(plugin))
        if plugin.state is PluginState.DEAD:
            return
        result = answer.get("result")
        if isinstance(result, dict) and "disable" in result:
            self.important.discard(plugin)
            plugin.kill(f"disabled itself at init: {result['disable']}", "debug")
        else:
            plugin.state = PluginState.READY

    def _init_params(self, plugin: PluginProcess) -> dict[str, Any]:
        owned = [o for o in self.configs.options.values() if o.plugin == str(plugin.path)]
        options = {o.name: value for o in owned if (value := o.told()) is not None}
        configuration = {
            "lightning-dir": str(self.settings.directory),
            "rpc-file": "lightning-rpc",
            "startup": self.starting_up,
            "network": self.settings.network,
            "feature_set": dict(self.settings.feature_set),
        }
        return {"options": options, "configuration": configuration}

    def _register(self, plugin: PluginProcess, manifest: dict[str, Any], parameters: dict[str, Any]) -> str | None:
        """Take over a manifest; what is wrong with it, if anything."""
        for name in ("options", "rpcmethods"):
            if not isinstance(manifest.get(name), list):
                missing = "was not found in the manifest" if name not in manifest else "is not an array"
                return f'"result.{name}" {missing}'
        if manifest.get("nonnumericids") is False:
            return "Plugin does not allow nonnumericids"
        for topic in manifest.get("notifications", []):
            if topic["method"] in NATIVE_TOPICS:
                return (
                    f'plugin attempted to register a native notification topic "{topic["method"]}",'
                    " these may however only be sent by lightningd"
                )
        try:
            for declared in manifest["options"]:
                new = option_of_manifest(declared, str(plugin.path))
                if self.starting_up and new.name in self.configs.options:
                    text = f"error starting plugin '{plugin.path}': option name '{new.name}' is already taken"
                    raise OptionTaken(text)
                self.configs.declare(new)
            problem = self._register_methods(manifest) or self.hooks.register(plugin, manifest.get("hooks", []))
            if problem is not None:
                return problem
            for name, value in parameters.items():
                option = self.configs.options.get(name)
                if option is None or option.plugin != str(plugin.path):
                    return f"unknown parameter {name}"
                self.configs.give(name, value, "pluginstart")
        except OptionError as error:
            return str(error)
        plugin.manifest = manifest
        return None

    def _register_methods(self, manifest: dict[str, Any]) -> str | None:
        for method in manifest["rpcmethods"]:
            name = method.get("name")
            if not isinstance(name, str):
                return f'rpcmethod does not have a string "name": {method}'
            if not isinstance(method.get("usage"), str):
                return '"usage" not provided by plugin'
            if (problem := self._taken(name)) is not None:
                return problem
        return None

    def _taken(self, method: str) -> str | None:
        """In which words it is said that somebody has a method of this name already."""
        holder = self.holder(method)
        if holder is None and method not in self.host_methods():
            return None
        owner = f" by plugin {holder.path}" if holder is not None else ""
        return f'Could not register method "{method}", a method with that name is already registered{owner}'

    async def stop(self, plugin: PluginProcess) -> None:
        """`plugin stop`: tell it if it wants to know, then kill it."""
        self.important.discard(plugin)
        if plugin.subscribed("shutdown") and plugin.state is PluginState.READY:
            plugin.send({"jsonrpc": "2.0", "method": "shutdown", "params": {"shutdown": {}}})
            if await plugin.gone(SHUTDOWN_TIMEOUT_S):
                # Its reader sees the end of the pipe and takes it off the list.
                while plugin in self.all:
                    await asyncio.sleep(0)
            else:
                self._log("unusual", f"plugin-{plugin.name}", "Timeout on shutdown: killing anyway")
        plugin.kill("stopped by lightningd via RPC")
        # What it was asked and has not answered goes on before anybody hears that it is gone.
        await asyncio.sleep(0)

    async def shut_down(self) -> None:
        """The node stops: everybody is told, has time, is killed."""
        self.shutting_down = True
        plugins = list(self.all)
        for plugin in plugins:
            if plugin.subscribed("shutdown") and plugin.state is PluginState.READY:
                plugin.send({"jsonrpc": "2.0", "method": "shutdown", "params": {"shutdown": {}}})
            else:
                plugin.kill("node stops", "debug")
        await asyncio.gather(*(plugin.gone(SHUTDOWN_TIMEOUT_S) for plugin in plugins))

    def request(
        self, plugin: PluginProcess, method: str, params: Any, id_prefix: str | None = None,
        progress: Progress | None = None,
    ) -> asyncio.Future[dict[str, Any]]:  # fmt: skip
        """Ask a plugin something of the node's own."""
        message = {"jsonrpc": "2.0", "id": "", "method": method, "params": params}
        request_id = self._request_id(method, id_prefix)
        if self.settings.release < (25, 5) and plugin.state is PluginState.STARTING:
            # Whether it reads an id that is no number is in its manifest.
            return plugin.request(next(self._ids), message, progress)
        return plugin.request(request_id, message, progress)

    def pass_on(self, plugin: PluginProcess, command: Command, method: str) -> asyncio.Future[dict[str, Any]]:
        """Let a plugin answer a command, sent now, as it came in; the future gives the whole answer object."""
        return plugin.request(self._request_id(method, command.id_prefix), command.request, command.notify)

    def _request_id(self, method: str, id_prefix: str | None) -> str:
        """Ids as lightningd makes them: whose request, which method, which number."""
        prefix = f"{id_prefix}/" if id_prefix else ""
        return f"{prefix}cln:{method}#{next(self._ids)}"

    def notify(self, topic: str, payload: dict[str, Any]) -> None:
        """Tell all subscribers something of the node's own: wrapped under the topic's name."""
        self._tell(topic, {"jsonrpc": "2.0", "method": topic, "params": {topic: payload}})

    def tell_of(self, origin: str, topic: str, payload: dict[str, Any]) -> None:
        """Tell all subscribers what one of lightningd's own plugins says."""
        self._hand_on(topic, origin, {topic: payload})

    def _tell(self, topic: str, message: dict[str, Any]) -> None:
        for plugin in self.all:
            if plugin.state is PluginState.READY and plugin.subscribed(topic):
                plugin.send(message)

    def _forward(self, plugin: PluginProcess, topic: str, params: Any) -> None:
        if topic not in plugin.topics:
            self._log(
                "unusual", f"plugin-{plugin.name}",
                f'Plugin attempted to send a notification to topic "{topic}" it hasn\'t declared in its'
                " manifest, not forwarding to subscribers.",
            )  # fmt: skip
        else:
            self._hand_on(topic, plugin.name, params)

    def _hand_on(self, topic: str, origin: str, params: Any) -> None:
        """A plugin's own notification, in the form of the release."""
        if self.settings.release >= (25, 9):
            self._tell(topic, {"jsonrpc": "2.0", "method": topic, "origin": origin, "params": params})
        else:
            wrapped = {"origin": origin, "payload": params}
            self._tell(topic, {"jsonrpc": "2.0", "method": topic, "params": wrapped})

    def _gone(self, plugin: PluginProcess, reason: str) -> None:
        self._why_dead[plugin] = reason
        self.configs.withdraw(str(plugin.path))
        with contextlib.suppress(ValueError):
            self.all.remove(plugin)
        self.hooks.withdraw(plugin)
        if self.shutting_down:
            return
        if plugin in self.important:
            self._log("broken", f"plugin-{plugin.name}", "Plugin marked as important, shutting down lightningd!")
            self._on_important_death(plugin)
        self.notify("plugin_stopped", _describe(plugin))

    def refuse_unknown(self, name: str) -> PluginProcess | BuiltinPlugin:
        """The plugin that `plugin stop` means. Raises RpcError."""
        active = [builtin for builtin in self.builtin if builtin.active]
        everybody: list[PluginProcess | BuiltinPlugin] = [*active, *self.all]
        for plugin in everybody:
            if plugin.name == name or ("/" in name and plugin.path == Path(name).resolve()):
                return plugin
        raise RpcError(-32602, f"Could not find plugin {name}")


def _describe(plugin: Member) -> dict[str, Any]:
    return {"plugin_name": plugin.name, "plugin_path": str(plugin.path), "methods": plugin.methods}
