"""How each command reaches us: as a method under its own name, or led to one of another name by the hook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pay.app.entry import Entry
from pay.commands.form.command import Command
from pay.host.version import HOOK_FILTERS_SINCE, XPAY_OWNS_LISTPAYS_SINCE, Version

Commands = Mapping[str, Command[Any]]

OF_PAY = frozenset({"pay", "paystatus"})
"""The host's builtin `pay` has both, so both are ours or both are hooked."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Names as the host has them.

    Parameters
    ----------
    owned
        Methods of ours under their own names.
    hooked
        Commands that another plugin has, or nobody.
    """

    owned: Commands
    hooked: Commands


def reach(entry: Entry, version: Version, commands: Iterable[Command[Any]]) -> Reach:
    """How they do with this way in."""
    owned: dict[str, Command[Any]] = {}
    hooked: dict[str, Command[Any]] = {}
    if entry is not Entry.ABSENT:
        for command in commands:
            if _is_owned(command.name, entry, version):
                owned[command.name] = command
            elif version.since(HOOK_FILTERS_SINCE):
                # An older host would ask of every command that anybody calls.
                hooked[command.name] = command
    assert all(command.shared is not None for command in hooked.values()), "it says which calls of it are ours"
    return Reach(owned, hooked)


def _is_owned(name: str, entry: Entry, version: Version) -> bool:
    if name in OF_PAY:
        return entry is Entry.OWN
    if name == "listpays":
        # Before, the host's own `pay` plugin has it, and it goes with it.
        return entry is Entry.OWN and not version.since(XPAY_OWNS_LISTPAYS_SINCE)
    return name != "xpay"
