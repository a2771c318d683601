"""The way of a command: faults first, then whose it is, the hooks, and at last who answers it.

Commands are taken in the order of arrival, and those that need not wait are answered at once, so that pipelined
requests see each other's effects in that order. Source: lightningd's jsonrpc.c.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pay.sim.lightningd.commands import COMMANDS, HostCommand
from pay.sim.lightningd.commands.table import CheckDone, RawAnswer, Result
from pay.sim.lightningd.interception import intercept
from pay.sim.lightningd.jsonstream import RpcError
from pay.sim.lightningd.node_faults import hits
from pay.sim.lightningd.params import read_params
from pay.sim.lightningd.plugin_process import PluginProcess
from pay.sim.lightningd.rpc_server import Command

if TYPE_CHECKING:
    from pay.sim.lightningd.node import SimNode

METHOD_NOT_FOUND = -32601


@dataclass(frozen=True, slots=True)
class Recorded:
    """A command as it came in."""

    method: str
    params: Any
    peer_pid: int
    """Process of the caller: `SimNode.plugin_pids` tells whether it was a plugin."""
    at_s: float
    """Of the loop's clock."""


class Dispatcher:
    """Takes the commands of one node."""

    def __init__(self, node: SimNode):
        self._node = node
        self.held: list[Command] = []
        """Commands that wait to be carried out."""
        self._unsaid: list[tuple[Command, bytes]] = []

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
        self._node.recorded.append(Recorded(command.method, command.params, pid, now_s))
        faulty = not self._node.faults.only_plugin or pid in self._node.plugin_pids
        if faulty:
            command.silenced = self._spoil
            if hits(self._node.faults.ignore, command.method):
                return
            error = self._node.faults.errors.get(command.method) or self._node.faults.errors.get("*")
            if error is not None:
                command.fail(RpcError(*error))
                return
            if self._node.faults.holds(command.method, command.params):
                self.held.append(command)
                return
            delay_s = self._node.faults.delay_s.get(command.method, self._node.faults.delay_s.get("*", 0.0))
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, self._route, command)
                return
        self._route(command)

    def _spoil(self, command: Command, answer: bytes) -> bool:
        """What becomes of an answer where faults are set; True if it is not sent as it is."""
        connection = command.connection
        if hits(self._node.faults.hang, command.method):
            self._unsaid.append((command, answer))
            return True
        if connection is not None and hits(self._node.faults.garbage, command.method):
            connection.send_raw(b'{"jsonrpc":"2.0","id":,,,}\n\n')
            return True
        if connection is not None and hits(self._node.faults.empty, command.method):
            connection.send({"jsonrpc": "2.0", "id": command.id, "result": {}})
            return True
        if connection is not None and hits(self._node.faults.hang_up, command.method):
            connection.close()
            return True
        return False

    def _route(self, command: Command) -> None:
        """To whom it belongs, past the hooks."""
        if not self._node.running or self._node.dispatcher is not self:
            return  # came in before the node died
        method, plugins = command.method, self._node.plugins
        if method not in self._node.host_methods() and plugins.owner(method) is None:
            command.fail(RpcError(METHOD_NOT_FOUND, f"Unknown command '{method}'"))
        elif plugins.hooked("rpc_command", method) or intercept(self._node, command) is not None:
            self._node.spawn(self._through_hooks(command))
        else:
            self._execute(command)

    async def _through_hooks(self, command: Command) -> None:
        """`rpc_command`: the first plugin that does not say "continue" decides."""
        stub = intercept(self._node, command)
        if stub is not None:
            command.fail(stub)
            return
        for plugin in self._node.plugins.hooked("rpc_command", command.method):
            params = {"rpc_command": command.request}
            answer = await self._node.plugins.request(plugin, "rpc_command", params, command.id_prefix)
            result = answer.get("result", {})
            if "replace" in result:
                command.request = {**result["replace"], "id": command.id}
                command.method = str(command.request.get("method"))
                break
            if "return" in result:
                command.answer({"jsonrpc": "2.0", "id": command.id, **result["return"]})
                return
        self._execute(command)

    def _execute(self, command: Command) -> None:
        plugin = self._node.plugins.owner(command.method)
        if plugin is not None:
            # Sent now, not when the task gets its turn: a plugin hears things in the order they happen.
            self._node.spawn(self._answer_with(self._forward(plugin, command, command.method), command))
        elif command.method == "pay" and self._node.builtin_pay:
            command.fail(RpcError(-1, "this is the builtin pay: it is only there to own its name"))
        elif command.method in COMMANDS:
            self._execute_here(COMMANDS[command.method], command)
        else:
            command.fail(RpcError(METHOD_NOT_FOUND, f"Unknown command '{command.method}'"))

    def _execute_here(self, entry: HostCommand, command: Command) -> None:
        try:
            answer = self.run_host_command(entry, command, command.params)
        except RpcError as error:
            command.fail(error)
            return
        if isinstance(answer, RawAnswer):
            command.succeed_raw(answer.text)
        elif isinstance(answer, dict):
            command.succeed(answer)
        else:
            self._node.spawn(self._answer_later(answer, command))

    async def _answer_later(self, answer: Awaitable[dict[str, Any]], command: Command) -> None:
        try:
            command.succeed(await answer)
        except RpcError as error:
            command.fail(error)

    def run_host_command(self, entry: HostCommand, command: Command, params: Any) -> Result:
        """Read the parameters and call the handler. Raises RpcError, and CheckDone when only checking."""
        verbose = self._node.developer or command.check_only
        args = read_params(entry.params, params, allow_extra=entry.allow_extra, verbose=verbose)
        if command.check_only and not entry.checks_itself:
            raise CheckDone
        return entry.handler(self._node, command, args)

    async def _answer_with(self, answer: asyncio.Future[dict[str, Any]], command: Command) -> None:
        command.answer(await answer)

    async def pass_to(self, plugin: PluginProcess, command: Command, method: str) -> dict[str, Any]:
        """Let a plugin answer; its result. Raises RpcError for its error."""
        answer = await self._forward(plugin, command, method)
        if "result" not in answer:
            error = answer.get("error", {})
            raise RpcError(int(error.get("code", -1)), str(error.get("message")), error.get("data"))
        result: dict[str, Any] = answer["result"]
        return result

    def _forward(self, plugin: PluginProcess, command: Command, method: str) -> asyncio.Future[dict[str, Any]]:
        request_id = self._node.plugins.request_id(method, command.id_prefix)
        return plugin.request(request_id, command.request, command.notify)
