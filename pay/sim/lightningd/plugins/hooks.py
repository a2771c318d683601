"""Hooks: which plugins are asked before something happens, and in which order.

A plugin names the hooks it uses in its manifest, with filters if it is to be asked of some cases only, and before
or after whom it wants to be asked. The order is made when all manifests are in, unless the hook is in use then:
the plugin is asked all the same, at the end of the chain, and the order waits until nobody uses the hook.

Source: lightningd's plugin_hook.c. From v25.12 on there are filters, and the order waits for the hook's users;
hosts before that ask of everything, ask whoever was there when a call began, and make the order at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pay.sim.lightningd.telling import WriteLog

HOOKS = frozenset({
    "rpc_command", "htlc_accepted", "invoice_payment", "peer_connected", "db_write", "commitment_revocation",
    "openchannel", "openchannel2", "openchannel2_changed", "openchannel2_sign", "rbf_channel", "custommsg",
    "onion_message_recv", "onion_message_recv_secret", "recover",
})  # fmt: skip


class Member(Protocol):
    """A plugin, as far as a chain needs to know it."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    @property
    def path(self) -> Path: ...

    @property
    def index(self) -> int:
        """The how-manieth plugin of this run of the node it is."""

    @property
    def methods(self) -> list[str]: ...


@dataclass(frozen=True, slots=True, eq=False)
class HookUser:
    """One plugin's use of one hook; `filters` None is all cases."""

    plugin: Member
    filters: tuple[str, ...] | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def wants(self, case: str) -> bool:
        return self.filters is None or case in self.filters

    def means(self, name: str) -> bool:
        """Whether `before` or `after` with this name speaks of it: a path, or the last part of one."""
        path = self.plugin.path
        return path == Path(name) if "/" in name else path.name == name


Users = list[HookUser | None]


@dataclass(slots=True)
class Chain:
    """One hook: its users in order, None for one that is gone.

    Attributes
    ----------
    in_use
        How many calls of it are under way.
    ordered
        The order that waits until there are none.
    """

    name: str
    users: Users = field(default_factory=list)
    in_use: int = 0
    ordered: Users | None = None

    def begin(self) -> None:
        """A call of it begins."""
        self.in_use += 1

    def end(self, log: WriteLog) -> None:
        """A call of it is over; the last one lets the order that waits come true."""
        self.in_use -= 1
        if self.in_use == 0 and self.ordered is not None:
            log("unusual", "lightningd", f"Updating hooks for {self.name} now usage is done.")
            self.users, self.ordered = self.ordered, None

    def withdraw(self, plugin: Member) -> None:
        """The plugin is gone: its place is empty, also in the order that waits."""
        for users in (self.users, self.ordered or []):
            users[:] = [None if user is not None and user.plugin is plugin else user for user in users]


class Hooks:
    """The chains of all hooks.

    Parameters
    ----------
    modern
        Whether this release, v25.12 or later, heeds filters and waits with the order.
    """

    def __init__(self, modern: bool, log: WriteLog):
        self.modern = modern
        self._log = log
        self._chains: dict[str, Chain] = {}

    def chain(self, hook: str) -> Chain:
        return self._chains.setdefault(hook, Chain(hook))

    def register(self, plugin: Member, declared: Sequence[Any]) -> str | None:
        """Take over the `hooks` of a manifest, each at the end of its chain; what is wrong, if anything."""
        for hook in declared:
            entry = hook if isinstance(hook, dict) else {"name": hook}
            name, filters = entry["name"], entry.get("filters")
            if name not in HOOKS:
                return f"Unknown hook name {name}"
            chain = self.chain(name)
            if any(user is not None and user.plugin is plugin for user in chain.users):
                return f"Registered for hook {name} multiple times"
            heeded = None if filters is None or not self.modern else tuple(filters)
            before, after = (tuple(entry.get(side, ())) for side in ("before", "after"))
            chain.users.append(HookUser(plugin, heeded, before, after))
        return None

    def withdraw(self, plugin: Member) -> None:
        """The plugin is gone."""
        for chain in self._chains.values():
            chain.withdraw(plugin)

    def order(self, source: str) -> list[Member]:
        """All manifests are in: make the order of every chain, at once or when it is not in use any more.

        Parameters
        ----------
        source
            In whose name the log says that an order has to wait.

        Returns
        -------
        Those whose wishes contradict each other: there is no order then, and lightningd ends them.
        """
        unmet: list[Member] = []
        for chain in self._chains.values():
            users = [user for user in chain.users if user is not None]
            if not users:
                continue
            ordered, contradicting = _ordered(users, partial(self._say_unknown, chain.name))
            if contradicting:
                unmet += [user.plugin for user in contradicting if user.plugin not in unmet]
                continue
            if self.modern and chain.in_use:
                chain.ordered = list(ordered)
                text = f"Deferring registration of hook {chain.name} until it's not in use."
                self._log("unusual", source, text)
            else:
                chain.users, chain.ordered = list(ordered), None
        return unmet

    def _say_unknown(self, hook: str, user: HookUser, text: str) -> None:
        self._log("debug", f"plugin-{user.plugin.name}", f"hook {hook} {text}")


def _ordered(
    users: Sequence[HookUser], say: Callable[[HookUser, str], None]
) -> tuple[list[HookUser], list[HookUser]]:
    """As all want it, among those who do not mind by their index; and those who cannot have it."""
    behind: dict[HookUser, list[HookUser]] = {user: [] for user in users}
    for user in users:
        for side, names in (("before", user.before), ("after", user.after)):
            for name in names:
                other = next((each for each in users if each.means(name)), None)
                if other is None:
                    say(user, f"{side} unknown plugin {name}")
                elif side == "before":
                    behind[user].append(other)
                else:
                    behind[other].append(user)
    ordered: list[HookUser] = []
    left = list(users)
    while free := [user for user in left if not any(user in behind[other] for other in left)]:
        ordered.append(min(free, key=lambda user: user.plugin.index))
        left.remove(ordered[-1])
    return ordered, left
