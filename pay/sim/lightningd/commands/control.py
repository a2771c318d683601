"""Commands about the process itself: plugin, stop, notifications."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, checked, host_command
from pay.sim.lightningd.plugins.builtin import BuiltinPlugin
from pay.sim.lightningd.plugins.process import PluginDied, PluginState
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import INVALID_PARAMS, boolean, req, string, without

PLUGIN_ERROR = -3


@host_command("notifications", req("enable", boolean))
def notifications(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """For the requests that follow on this connection."""
    if command.connection is not None:
        command.connection.notifications = args["enable"]
    return {}


@host_command("stop")
def stop(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    asyncio.get_running_loop().call_later(0.05, context.stop_soon)
    return {"result": "Shutdown complete"}


@host_command("plugin", req("subcommand", string), allow_extra=True, checks_itself=True)
async def plugin(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    rest = without(command.params, "subcommand")
    match args["subcommand"]:
        case "list":
            return _listed(context, "list")
        case "start":
            return await _start(context, command, rest)
        case "stop":
            return await _stop(context, command, rest)
        case "startdir" | "rescan":
            return _listed(context, args["subcommand"])
        case other:
            raise RpcError(INVALID_PARAMS, f"Unknown subcommand '{other}'")


def _named(rest: Any) -> tuple[str, dict[str, Any]]:
    """The plugin that is meant, and options for it."""
    if isinstance(rest, list):
        if not rest:
            raise RpcError(INVALID_PARAMS, "missing required parameter: plugin")
        if len(rest) > 1:
            raise RpcError(INVALID_PARAMS, "Extra parameters must be in object")
        return str(rest[0]), {}
    if "plugin" not in rest:
        raise RpcError(INVALID_PARAMS, "missing required parameter: plugin")
    return str(rest["plugin"]), {name: value for name, value in rest.items() if name != "plugin"}


async def _start(context: Context, command: Command, rest: Any) -> Answer:
    name, options = _named(rest)
    builtin = next((each for each in context.plugins.builtin if str(each.path) == name), None)
    if builtin is not None:
        return _start_builtin(context, builtin)
    path = Path(name)
    if not os.access(path, os.X_OK):
        path = context.settings.directory.parent / "plugins" / name
    if not os.access(path, os.X_OK):
        problem = "Permission denied" if path.exists() else "No such file or directory"
        raise RpcError(INVALID_PARAMS, f"{path} is not executable: {problem}")
    checked(command)
    if any(running.path == path.resolve() for running in context.plugins.all):
        raise RpcError(INVALID_PARAMS, f"{path}: already registered")
    try:
        await context.plugins.start(path, options, id_prefix=command.id_prefix)
    except PluginDied as death:
        raise RpcError(PLUGIN_ERROR, f"{path.resolve()}: {death}") from None
    return _listed(context, "start")


def _start_builtin(context: Context, builtin: BuiltinPlugin) -> Answer:
    """One of the host's own that was stopped."""
    if builtin.active:
        raise RpcError(INVALID_PARAMS, f"{builtin.path}: already registered")
    try:
        context.plugins.start_builtin(builtin)
    except PluginDied as death:
        raise RpcError(PLUGIN_ERROR, f"{builtin.path}: {death}") from None
    return _listed(context, "start")


async def _stop(context: Context, command: Command, rest: Any) -> Answer:
    name, _ = _named(rest)
    found = context.plugins.refuse_unknown(name)
    if not found.dynamic:
        raise RpcError(INVALID_PARAMS, f"{name} cannot be managed when lightningd is up")
    checked(command)
    if isinstance(found, BuiltinPlugin):
        context.plugins.stop_builtin(found)
    else:
        await context.plugins.stop(found)
    return {"command": "stop", "result": f"Successfully stopped {found.name}."}


def _listed(context: Context, subcommand: str) -> Answer:
    own = [
        {"name": str(each.path), "active": True, "dynamic": each.dynamic}
        for each in context.plugins.builtin
        if each.active and not context.faults.missing & set(each.methods)
    ]
    plugins = [
        {"name": str(p.path), "active": p.state is PluginState.READY, "dynamic": p.dynamic}
        for p in context.plugins.all
    ]
    return {"command": subcommand, "plugins": own + plugins}
