"""The hook `rpc_command`: who is asked of a command, what each may say, and what becomes of the command.

The users of the hook are asked one after the other, whatever those before them said. The first change counts:
`replace` by another request, or `return` of an answer. A second one is logged and ignored, and those after it are
not asked. There lightningd has a fault that is kept here on purpose: it ends the walk on a way of its own, where
it does not notice that the hook is not in use any more, so that orders made later wait for ever; and where the
command is answered on that way it frees memory twice, which ends the node. Other deaths that are kept: an error as
answer, a returned error without code or message, a command whose owner is gone when its turn comes.

Knowingly not done: a command of lightningd itself that answers later here and at once there (`plugin`, `check`)
does not end the node.

Source: lightningd's jsonrpc.c (rpc_command_hook_callback, replace_command) and plugin_hook.c.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from pay.sim.lightningd.plugins.hooks import Chain, Hooks, HookUser, Member
from pay.sim.lightningd.plugins.process import PLUGIN_TERMINATED
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.telling import WriteLog

NAME = "rpc_command"
INVALID_REQUEST = -32600
DOUBLE_FREE = "FATAL SIGNAL 6"
NO_SUCH_MEMBER = "FATAL SIGNAL 11"


@dataclass(frozen=True, slots=True)
class Replace:
    """Carry out this request instead, which may be no request at all."""

    request: Any


@dataclass(frozen=True, slots=True)
class Return:
    """Answer this at once: an object with `result` or `error`."""

    answer: dict[str, Any]


Change = Replace | Return


class Node(Protocol):
    """What the walk needs of the node."""

    def owner(self, method: str) -> Member | None:
        """The plugin that has this method, one of lightningd's own included; None for lightningd's own methods."""

    def known(self, method: str) -> bool:
        """Whether there is such a method."""

    def refuses(self, method: str) -> bool:
        """Whether it is deprecated, on a host that allows no such methods."""

    def execute(self, command: Command) -> None:
        """Have it carried out."""

    def ask(self, user: HookUser, command: Command) -> Awaitable[dict[str, Any]]:
        """Ask one user of the hook; its whole answer."""

    def die(self, words: str) -> None:
        """The node ends here and now."""


@dataclass(slots=True)
class _Walk:
    """One command on its way through the chain."""

    command: Command
    owner: Member | None
    """Of the command, when it came in."""
    users: list[HookUser | None] | None
    """Who was there when it began, on hosts that keep that; else those count who are there."""
    place: int = -1
    change: Change | None = None


class RpcCommandHook:
    """The walks of one node."""

    def __init__(
        self, node: Node, hooks: Hooks, log: WriteLog, spawn: Callable[[Coroutine[Any, Any, None]], None]
    ):
        self._node = node
        self._hooks = hooks
        self._log = log
        self._spawn = spawn

    @property
    def _chain(self) -> Chain:
        return self._hooks.chain(NAME)

    def pass_through(self, command: Command) -> None:
        """Ask whom it concerns, and carry out what they make of it: at once where nobody is to be asked."""
        self._chain.begin()
        users = None if self._hooks.modern else list(self._chain.users)
        self._next(_Walk(command, self._node.owner(command.method), users))

    def _next(self, walk: _Walk) -> None:
        """Ask the next one, or end."""
        while True:
            walk.place += 1
            users = self._chain.users if walk.users is None else walk.users
            if walk.place >= len(users):
                self._chain.end(self._log)
                self._finish(walk)
                return
            user = users[walk.place]
            here = user is not None and user in self._chain.users
            if user is not None and here and user.wants(walk.command.method):
                # Asked now, not when the task gets its turn: a plugin hears things in the order they happen.
                self._spawn(self._hear(walk, user, self._node.ask(user, walk.command)))
                return

    async def _hear(self, walk: _Walk, user: HookUser, said: Awaitable[dict[str, Any]]) -> None:
        answer = await said
        error = answer.get("error")
        if isinstance(error, dict) and error.get("code") == PLUGIN_TERMINATED:
            self._log("debug", "lightningd", f"Plugin died from {NAME} hook call")
            self._next_after_death(walk, user)
        elif "result" not in answer:
            text = json.dumps(answer)
            self._node.die(f"Plugin {user.plugin.name} for {NAME} returned non-result response {text}")
        elif self._heed(walk, answer["result"]):
            self._next(walk)

    def _next_after_death(self, walk: _Walk, dead: HookUser) -> None:
        """A plugin that ends keeps its methods for this one moment, and nobody answers them any more."""
        users = (self._chain.users if walk.users is None else walk.users)[walk.place + 1 :]
        last = not any(user is not None and user.wants(walk.command.method) for user in users)
        request = walk.change.request if isinstance(walk.change, Replace) else None
        method = request.get("method") if isinstance(request, dict) else None
        if last and method in dead.plugin.methods:
            self._node.die(f"No plugin for {method} ?")
        else:
            self._next(walk)

    def _heed(self, walk: _Walk, said: Any) -> bool:
        """What one user said; whether there is somebody to ask after it."""
        said = said if isinstance(said, dict) else {}
        if "result" in said:
            if said["result"] != "continue":
                self._complain("'result' should only be 'continue'.")
            return True
        if walk.change is not None:
            text = f"{NAME} hook '{walk.command.method}' already modified, ignoring."
            self._log("unusual", "lightningd", text)
            self._end_wrongly(walk)
            return False
        if "replace" in said:
            walk.change = Replace(said["replace"])
        elif isinstance(returned := said.get("return"), dict) and returned.keys() & {"result", "error"}:
            return self._heed_answer(walk, returned)
        else:
            self._complain("")
        return True

    def _heed_answer(self, walk: _Walk, returned: dict[str, Any]) -> bool:
        """An answer for the caller; lightningd does not survive an error without code or message."""
        error = returned.get("error")
        if "result" not in returned:
            if not isinstance(error, dict) or "code" not in error:
                self._node.die(NO_SUCH_MEMBER)
                return False
            if not isinstance(error["code"], int):
                self._complain("'error' object does not contain a code.")
                return True
            if "message" not in error:
                self._node.die(NO_SUCH_MEMBER)
                return False
        walk.change = Return(returned)
        return True

    def _complain(self, problem: str) -> None:
        self._log("broken", "lightningd", f"Bad response to '{NAME}' hook. {problem}")

    def _end_wrongly(self, walk: _Walk) -> None:
        """A second change: the hook stays in use for ever, and an answer given on this way is the node's end."""
        command = walk.command
        if self._replaced_by_a_plugin(walk.change):
            self._finish(walk)
            return
        before, command.silenced = command.silenced, lambda *_: True
        self._finish(walk)
        if command.answered:
            self._node.die(DOUBLE_FREE)
        command.silenced = before

    def _replaced_by_a_plugin(self, change: Change | None) -> bool:
        """Whether the answer comes from a plugin, and so later."""
        if not isinstance(change, Replace) or self._problem_with(change.request) is not None:
            return False
        return self._node.owner(str(change.request["method"])) is not None

    def _finish(self, walk: _Walk) -> None:
        """All have been asked."""
        command = walk.command
        match walk.change:
            case None:
                if self._node.owner(command.method) is not walk.owner:
                    # It was looked up when the command came in, and went away with its plugin.
                    self._node.die(f"No plugin for {command.method} ?")
                else:
                    self._node.execute(command)
            case Return(answer):
                command.answer({"jsonrpc": "2.0", "id": command.id, **_first_of(answer)})
            case Replace(request):
                problem = self._problem_with(request)
                if problem is None:
                    command.replace(request)
                    self._node.execute(command)
                else:
                    text = f"Bad response to '{NAME}' hook: {problem} ({json.dumps(request)})"
                    command.fail(RpcError(INVALID_REQUEST, text))

    def _problem_with(self, request: Any) -> str | None:
        """What keeps a request from being carried out in the place of another."""
        if not isinstance(request, dict):
            return "'replace' must be an object"
        for member in ("method", "params", "id"):
            if member not in request:
                return f"missing '{member}'"
        method = str(request["method"])
        if not self._node.known(method):
            return f"redirected to unknown method '{method}'"
        if self._node.refuses(method):
            return f"redirected to deprecated command '{method}'"
        if request.get("jsonrpc") != "2.0":
            return 'jsonrpc: "2.0" must be specified in the request'
        return None


def _first_of(answer: dict[str, Any]) -> dict[str, Any]:
    """A result counts before an error."""
    name = "result" if "result" in answer else "error"
    return {name: answer[name]}
