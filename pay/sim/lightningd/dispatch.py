"""The way of a command: faults first, then whose it is, the hooks, and at last who answers it.

Commands are taken in the order of arrival, and those that need not wait are answered at once, so that pipelined
requests see each other's effects in that order. Source: lightningd's jsonrpc.c.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from pay.sim.lightningd.commands import COMMANDS, HostCommand
from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import RawAnswer, run
from pay.sim.lightningd.faults import hits
from pay.sim.lightningd.plugins.builtin import DEPRECATED
from pay.sim.lightningd.plugins.hooks import HookUser, Member
from pay.sim.lightningd.plugins.process import PluginProcess
from pay.sim.lightningd.plugins.rpc_command import NAME, RpcCommandHook
from pay.sim.lightningd.plugins.xpay import answer_hook
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError

METHOD_NOT_FOUND = -32601


@dataclass(frozen=True, slots=True)
class Recorded:
    """A command as it came in."""

    method: str
    params: Any
    peer_pid: int
    """Process of the caller: `Lightningd.plugin_pids` tells whether it was a plugin."""
    at_s: float
    """Of the loop's clock."""


class Dispatcher:
    """Takes the commands of one node, from its start to its end.

    Parameters
    ----------
    record
        Called with every command that comes in.
    spawn
        Runs something beside, which ends with the node.
    die
        Ends the node as a fault of lightningd does, with these last words.
    """

    def __init__(
        self,
        context: Context,
        record: Callable[[Recorded], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        die: Callable[[str], None],
    ):
        self._context = context
        self._faults = context.faults
        self._plugins = context.plugins
        self._record = record
        self._spawn = spawn
        self._die = die
        self._hook = RpcCommandHook(self, context.plugins.hooks, context.log, spawn)
        self._over = False
        self.held: list[Command] = []
        """Commands that wait to be carried out."""
        self._unsaid: list[tuple[Command, bytes]] = []

    def end(self) -> None:
        """The node is gone: what came in before is not carried out any more."""
        self._over = True

    def release(self, method: str | None = None, fits: Callable[[Any], bool] | None = None) -> int:
        """Carry out what waits, oldest first, and give the answers that were kept back.

        Parameters
        ----------
        method
            Only calls of this command.
        fits
            Only those whose `params` fit.

        Returns
        -------
        How many commands it was. The faults stay as they are: what comes later waits again.
        """

        def wanted(command: Command) -> bool:
            return method in (None, command.method) and (fits is None or fits(command.params))

        let_go = [command for command in self.held if wanted(command)]
        unsaid = [kept for kept in self._unsaid if wanted(kept[0])]
        self.held = [command for command in self.held if not wanted(command)]
        self._unsaid = [kept for kept in self._unsaid if not wanted(kept[0])]
        for command in let_go:
            self._route(command)
        for command, answer in unsaid:
            if command.connection is not None:
                command.connection.send_raw(answer)
        return len(let_go) + len(unsaid)

    def take(self, command: Command) -> None:
        """Called for every request, in the order of arrival; simple commands are answered at once."""
        pid = command.connection.peer_pid if command.connection is not None else 0
        now_s = asyncio.get_running_loop().time()
        self._record(Recorded(command.method, command.params, pid, now_s))
        faulty = not self._faults.only_plugin or pid in self._plugins.pids
        if faulty:
            command.silenced = self._spoil
            if hits(self._faults.ignore, command.method):
                return
            error = self._faults.errors.get(command.method) or self._faults.errors.get("*")
            if error is not None:
                command.fail(RpcError(*error))
                return
            if self._faults.holds(command.method, command.params):
                self.held.append(command)
                return
            delay_s = self._faults.delay_s.get(command.method, self._faults.delay_s.get("*", 0.0))
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, self._route, command)
                return
        self._route(command)

    def _spoil(self, command: Command, answer: bytes) -> bool:
        """What becomes of an answer where faults are set; True if it is not sent as it is."""
        connection = command.connection
        if hits(self._faults.hang, command.method):
            self._unsaid.append((command, answer))
            return True
        if connection is not None and hits(self._faults.garbage, command.method):
            connection.send_raw(b'{"jsonrpc":"2.0","id":,,,}\n\n')
            return True
        if connection is not None and hits(self._faults.empty, command.method):
            connection.send({"jsonrpc": "2.0", "id": command.id, "result": {}})
            return True
        if connection is not None and hits(self._faults.hang_up, command.method):
            connection.close()
            return True
        return False

    def _route(self, command: Command) -> None:
        """To whom it belongs, past the hooks."""
        if self._over:
            return
        method = command.method
        if not self.known(method):
            command.fail(RpcError(METHOD_NOT_FOUND, f"Unknown command '{method}'"))
        elif self.refuses(method):
            command.fail(RpcError(METHOD_NOT_FOUND, f'Command "{method}" is deprecated'))
        else:
            self._hook.pass_through(command)

    # What the hook needs of the node.

    def owner(self, method: str) -> Member | None:
        return self._plugins.holder(method)

    def known(self, method: str) -> bool:
        return self._plugins.owner(method) is not None or method in self._plugins.host_methods()

    def refuses(self, method: str) -> bool:
        settings, plugins = self._context.settings, self._plugins
        if settings.allow_deprecated:
            return False
        since = DEPRECATED.get(method) if plugins.owner(method) is None else None
        return plugins.deprecates(method) or (since is not None and settings.release >= since)

    def ask(self, user: HookUser, command: Command) -> Awaitable[dict[str, Any]]:
        if isinstance(user.plugin, PluginProcess):
            return self._plugins.request(user.plugin, NAME, {"rpc_command": command.request}, command.id_prefix)
        return self._xpay_says(command)

    async def _xpay_says(self, command: Command) -> dict[str, Any]:
        return {"result": answer_hook(self._context.configs, self._context.settings, command.request)}

    def die(self, words: str) -> None:
        self._die(words)

    def execute(self, command: Command) -> None:
        if self._over:
            return
        plugin = self._plugins.owner(command.method)
        if plugin is not None:
            # Sent now, not when the task gets its turn: a plugin hears things in the order they happen.
            self._spawn(self._answer_with(self._plugins.pass_on(plugin, command, command.method), command))
        else:
            self._execute_here(COMMANDS[command.method], command)

    def _execute_here(self, entry: HostCommand, command: Command) -> None:
        try:
            answer = run(entry, self._context, command, command.params)
        except RpcError as error:
            command.fail(error)
            return
        if isinstance(answer, RawAnswer):
            command.succeed_raw(answer.text)
        elif isinstance(answer, dict):
            command.succeed(answer)
        else:
            self._spawn(self._answer_later(answer, command))

    async def _answer_later(self, answer: Awaitable[dict[str, Any]], command: Command) -> None:
        try:
            command.succeed(await answer)
        except RpcError as error:
            command.fail(error)

    async def _answer_with(self, answer: asyncio.Future[dict[str, Any]], command: Command) -> None:
        command.answer(await answer)
