"""Which call of somebody else's command is ours: decided for each, at once, before the host carries it out.

The hook `rpc_command` asks us of every call of the commands that we share with other plugins of the host. Nothing
of ours may keep such a call: whoever calls waits for it, other plugins too, and a node ends where the owner of a
command ends while a call of it is at a hook. So all that is looked at is the call and this value, on the thread
that reads what the host says. A call that is not ours goes on to the host's own command, as every call does once
this process is gone.

    the call                                            is for
    ─────────────────────────────────────────────────   ─────────────────────────────────────────────────
    made by ourselves                                   the host: else it would come back for ever
    before `init`, or after a start that failed         the host
    about something that we are at                      us, whatever our loop does: the host would refuse a
                                                        payment that may succeed, or show it as failed
    of a command that `pay-serve` leaves out            the host
    with a string that we cannot pay, or parameters     the host: its own answer, or its own error
    that we do not honour
    while what an earlier run left is looked up         us: it waits for that, or there would be two of it
    of a loop that is stuck                             the host, within 0.1 s
    anything else that we serve                         us

`help` for a command that we serve is ours as well. `check` is never asked for: lightningd ends where a `check` is
at a hook, whoever's, while its caller goes away (jsonrpc.c, param_command; tried on v26.06.6).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pay.app.served import SERVED
from pay.commands.form.command import Command, Shared
from pay.engine.live.in_work import InWork
from pay.host.version import Version

HELP = "help"


def own_name(command: str) -> str:
    """The method of ours that a call of the host's command is led to."""
    return f"clnpay-{command}"


class State(Enum):
    """How far we are."""

    UNKNOWN = "before init"
    STARTING = "looking up what an earlier run left"
    READY = "serving"
    DOWN = "not started"


@dataclass(slots=True)
class Door:
    """What is looked at; changed on the driver's loop, by whole values.

    Parameters
    ----------
    shared
        The commands that are hooked, by the host's names of them.
    beats
        Whether the driver's loop takes turns; may take up to 0.1 s to say no.
    is_own
        Whether a call with this id was made by ourselves.
    served
        Names of commands that we are to serve.
    """

    version: Version
    developer: bool
    shared: Mapping[str, Command[Any]]
    names: InWork
    beats: Callable[[], bool]
    is_own: Callable[[Any], bool]
    served: Collection[str] = frozenset(SERVED.names)
    state: State = field(default=State.UNKNOWN)


def decide(called: Mapping[str, Any], door: Door) -> str | None:
    """Our method that a call, as its caller wrote it, is led to; None where it is the host's."""
    name, params = called.get("method"), called.get("params")
    if door.is_own(called.get("id")) or door.state in (State.UNKNOWN, State.DOWN):
        return None
    if not isinstance(params, list | dict):
        return None
    match name:
        case "help":
            name, shared = HELP, _shared(named := helped(params), door)
            ours = shared is not None and shared.always and named in door.served
        case _:
            shared = _shared(name, door)
            ours = shared is not None and _is_ours(name, shared, params, door)
    return own_name(name) if ours and isinstance(name, str) else None


def helped(params: Any) -> Any:
    """The command that somebody wants help for; None where he gives none."""
    if isinstance(params, list):
        return params[0] if params else None
    return params.get("command") if isinstance(params, dict) else None


def _shared(name: Any, door: Door) -> Shared | None:
    return door.shared[name].shared if isinstance(name, str) and name in door.shared else None


def _is_ours(name: Any, shared: Shared, params: Any, door: Door) -> bool:
    if shared.at_work(params, door.names):
        return True
    if name not in door.served or not shared.fits(params, door.version, door.developer):
        return False
    return door.state is State.STARTING or (shared.always and door.beats())
