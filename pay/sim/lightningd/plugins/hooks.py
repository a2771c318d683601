"""Hooks: who is to be asked before something happens, in which order, and what the asked may say.

A plugin names the hooks it uses in its manifest, with filters if it is to be asked of some cases only. What asks a
hook walks the chain of its users; each user is a `Link`, be it a plugin or something of lightningd's own.

Source: lightningd's plugin_hook.c, and jsonrpc.c for `rpc_command`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pay.sim.lightningd.plugins.process import PluginProcess
from pay.sim.lightningd.rpc.command import Command

HOOKS = frozenset({
    "rpc_command", "htlc_accepted", "invoice_payment", "peer_connected", "db_write", "commitment_revocation",
    "openchannel", "openchannel2", "openchannel2_changed", "openchannel2_sign", "rbf_channel", "custommsg",
    "onion_message_recv", "onion_message_recv_secret", "recover",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class HookUser:
    """One plugin's use of one hook; `filters` None is all cases."""

    plugin: PluginProcess
    filters: tuple[str, ...] | None

    def wants(self, case: str) -> bool:
        return self.filters is None or case in self.filters


class Hooks:
    """The users of every hook, in the order in which they registered.

    Parameters
    ----------
    filtering
        Whether this release heeds filters.
    """

    def __init__(self, filtering: bool):
        self._filtering = filtering
        self._users: dict[str, list[HookUser]] = {}

    def register(self, plugin: PluginProcess, declared: Sequence[Any]) -> str | None:
        """Take over the `hooks` of a manifest; what is wrong with them, if anything."""
        for hook in declared:
            name, filters = (hook["name"], hook.get("filters")) if isinstance(hook, dict) else (hook, None)
            if name not in HOOKS:
                return f"Unknown hook name {name}"
            heeded = None if filters is None or not self._filtering else tuple(filters)
            self._users.setdefault(name, []).append(HookUser(plugin, heeded))
        return None

    def withdraw(self, plugin: PluginProcess) -> None:
        """The plugin is gone."""
        for users in self._users.values():
            users[:] = [user for user in users if user.plugin is not plugin]

    def users(self, hook: str) -> Sequence[HookUser]:
        """Its chain."""
        return self._users.get(hook, ())


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on: ask the next one, or carry the command out."""


@dataclass(frozen=True, slots=True)
class Replace:
    """Carry out this request instead."""

    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Return:
    """Answer this at once: an object with `result` or `error`."""

    answer: dict[str, Any]


Verdict = Continue | Replace | Return


class Link(Protocol):
    """One user of `rpc_command`."""

    def wants(self, command: Command) -> bool:
        """Whether it is to be asked of this command."""

    async def ask(self, command: Command) -> Verdict:
        """What it says."""


@dataclass(frozen=True, slots=True)
class PluginLink:
    """A plugin that uses `rpc_command`."""

    user: HookUser
    request: Callable[[PluginProcess, str, Any, str], Awaitable[dict[str, Any]]]
    """Asks a plugin: (plugin, method, params, prefix of the id)."""

    def wants(self, command: Command) -> bool:
        return self.user.wants(command.method)

    async def ask(self, command: Command) -> Verdict:
        params = {"rpc_command": command.request}
        answer = await self.request(self.user.plugin, "rpc_command", params, command.id_prefix)
        result = answer.get("result", {})
        if "replace" in result:
            return Replace(result["replace"])
        return Return(result["return"]) if "return" in result else Continue()


async def decide(chain: Sequence[Link], command: Command) -> Verdict:
    """Ask one after the other; the first that does not let the command go on decides.

    Knowingly not done: lightningd goes on to ask after the first change, and takes a second one for a mistake,
    which it logs and ignores; what is no verdict at all it logs as well.
    """
    for link in chain:
        verdict = await link.ask(command)
        if not isinstance(verdict, Continue):
            return verdict
    return Continue()
