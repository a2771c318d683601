"""The way of a command: faults first, then whose it is, the hooks, and at last who answers it.

Commands are taken in the order of arrival, and those that need not wait are answered at once, so that pipelined
requests see each other's effects in that order. Source: lightningd's jsonrpc.c.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from pay.sim.lightningd.commands import COMMANDS, HostCommand
from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import RawAnswer, host_methods, run
from pay.sim.lightningd.faults import hits
from pay.sim.lightningd.plugins.hooks import Continue, Link, PluginLink, Replace, Return, decide
from pay.sim.lightningd.plugins.xpay import XpayLink
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
    """

    def __init__(
        self,
        context: Context,
        record: Callable[[Recorded], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ):
        self._context = context
        self._faults = context.faults
        self._plugins = context.plugins
        self._record = record
        self._spawn = spawn
        self._xpay = XpayLink(context.configs, context.settings)
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
        known = host_methods(self._context.settings, self._faults)
        if method not in known and self._plugins.owner(method) is None:
            command.fail(RpcError(METHOD_NOT_FOUND, f"Unknown command '{method}'"))
        elif self._chain(command):
            self._spawn(self._through_hooks(command))
        else:
            self._execute(command)

    def _chain(self, command: Command) -> Sequence[Link]:
        """Who is to be asked of this command by `rpc_command`, in order."""
        users = self._plugins.hooks.users("rpc_command")
        links: list[Link] = [self._xpay, *(PluginLink(user, self._plugins.request) for user in users)]
        return [link for link in links if link.wants(command)]

    async def _through_hooks(self, command: Command) -> None:
        match await decide(self._chain(command), command):
            case Continue():
                self._execute(command)
            case Replace(request):
                command.replace(request)
                self._execute(command)
            case Return(answer):
                command.answer({"jsonrpc": "2.0", "id": command.id, **answer})

    def _execute(self, command: Command) -> None:
        plugin = self._plugins.owner(command.method)
        if plugin is not None:
            # Sent now, not when the task gets its turn: a plugin hears things in the order they happen.
            self._spawn(self._answer_with(self._plugins.pass_on(plugin, command, command.method), command))
        elif command.method == "pay" and self._context.settings.builtin_pay:
            command.fail(RpcError(-1, "this is the builtin pay: it is only there to own its name"))
        elif command.method in COMMANDS:
            self._execute_here(COMMANDS[command.method], command)
        else:
            command.fail(RpcError(METHOD_NOT_FOUND, f"Unknown command '{command.method}'"))

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
