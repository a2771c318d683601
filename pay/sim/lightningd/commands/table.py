"""The table of the host's own commands and how one is declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pay.sim.lightningd.params import Param
from pay.sim.lightningd.rpc_server import Command

if TYPE_CHECKING:
    from pay.sim.lightningd.node import SimNode

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A result that is JSON already, for answers too large to be made of objects."""

    text: bytes


Result = Answer | RawAnswer | Awaitable[Answer]
Handler = Callable[["SimNode", Command, dict[str, Any]], Result]


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
