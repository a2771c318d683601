"""The table of the host's own commands and how one is declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.faults import LightningdFaults
from pay.sim.lightningd.plugins.builtin import OF_PLUGINS, BuiltinPlugin
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.params import Param, had, read_params

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A result that is JSON already, for answers too large to be made of objects."""

    text: bytes


Result = Answer | RawAnswer | Awaitable[Answer]
Handler = Callable[[Context, Command, dict[str, Any]], Result]


class CheckDone(Exception):
    """`check` got as far as it can without changing anything: all is well."""


@dataclass(frozen=True, slots=True)
class HostCommand:
    """A command that the host answers itself."""

    name: str
    params: Sequence[Param]
    handler: Handler
    allow_extra: bool = False
    checks_itself: bool = False
    """Whether the handler goes on checking after its parameters were read, and calls `checked`."""


COMMANDS: dict[str, HostCommand] = {}


def host_methods(builtin: Iterable[BuiltinPlugin], faults: LightningdFaults) -> set[str]:
    """Names of the commands that this host has: those of its own plugins are there while the plugins are."""
    of_plugins = {method for plugin in builtin if plugin.active for method in plugin.methods}
    return ((set(COMMANDS) - OF_PLUGINS) | (of_plugins & COMMANDS.keys())) - faults.missing


def host_command(
    name: str, *params: Param, allow_extra: bool = False, checks_itself: bool = False
) -> Callable[[Handler], Handler]:
    """Declare the function below as the command `name`."""

    def declare(handler: Handler) -> Handler:
        COMMANDS[name] = HostCommand(name, params, handler, allow_extra, checks_itself)
        return handler

    return declare


def checked(command: Command) -> None:
    """Ends a command that is only checked; what follows changes something. Raises CheckDone."""
    if command.check_only:
        raise CheckDone


def run(entry: HostCommand, context: Context, command: Command, params: Any) -> Result:
    """Read the parameters and call the handler. Raises RpcError, and CheckDone when only checking."""
    verbose = context.settings.developer or command.check_only
    known = had(entry.params, context.settings.release, context.settings.developer)
    args = read_params(known, params, allow_extra=entry.allow_extra, verbose=verbose)
    if command.check_only and not entry.checks_itself:
        raise CheckDone
    return entry.handler(context, command, args)
