"""pyln-client's Plugin with its gaps filled: the one place where the wire between lightningd and us is handled.

What pyln-client lacks and this adds: parameters handed over as they came (it binds them to a Python signature and
calls the misfits -32600), errors with `data`, a manifest with `cancheck` and the manual's usage strings,
notifications in the form of the host's own plugins, handlers of those it sends without a look at their signature
each time, and a reader that survives what it cannot parse.

Handlers run on the thread that reads stdin and must return at once: they hand over to the loop of the driver.

While an answer of some megabytes goes out, which takes as long as the host takes to read it, what else there is to
say is put behind it, and nobody waits for that but who writes the long one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from pyln.client import Plugin
from pyln.client.plugin import MethodType, Request, RequestState

from pay.errors import BUG, Code
from pay.host.framing import MessageReader, Unreadable
from pay.log_events import EventLog, LogEvent
from pay.units import show

log = EventLog("pay")

_READ_BYTES = 1 << 16

CHECK = "check"
"""A request of this method has the checked command's name in `checked`."""

ORIGIN = "origin"
"""A notification's field of this name says which plugin sent it, where one did."""

_NAMED_BEFORE = {"channel_hint_update": "channel_hint"}
"""What fields of a topic stood under when those of others stood alone."""

_PLAIN = str.maketrans({"\N{HORIZONTAL ELLIPSIS}": "...", "\N{EN DASH}": "-"})
"""Of the characters of our own words."""

RawHandler = Callable[["Request"], None]

COMMAND_HOOK = "rpc_command"

Redirection = Callable[[dict[str, Any]], str | None]
"""Of a command that somebody calls, its whole request: the method of ours that is called in its place, or None.

It is asked on the thread that reads, while the caller and the plugins behind us wait: it must not wait itself.
There is no other answer, since the others can end the node: an error does; `return` does with a plugin behind us
that changes the call as well (lightningd frees it twice, plugin_hook.c); and so does what is at a hook unanswered
when the command's owner ends.
"""

_GO_ON = {"result": "continue"}


class HostPlugin(Plugin):  # type: ignore[misc]
    """The plugin as lightningd sees it.

    Parameters
    ----------
    developer
        lightningd runs with --developer.
    named_notifications
        Whether what is announced stands under its topic's name.

    Attributes
    ----------
    before_manifest
        Called with the id of the host's request for the manifest: the last moment to register anything.
    hosts_options
        Values of the host's own options that we heed as well.
    name
        Ours, as the host knows it and other plugins read it.
    on_option_set
        Called after each change of an option, on the thread that reads.
    times_set
        Counts those changes.
    """

    def __init__(self, developer: bool = False, named_notifications: bool = True):
        super().__init__(dynamic=True)
        self.name = os.path.basename(sys.argv[0])
        self.developer = developer
        self._named_notifications = named_notifications
        self._raw: dict[str, RawHandler] = {"setconfig": self._on_setconfig}
        self._usages: dict[str, str] = {}
        self.before_manifest: Callable[[Any], None] = lambda _: None
        self.hosts_options: dict[str, Any] = {}
        self.on_option_set: Callable[[], None] = lambda: None
        self.times_set = 0
        self._notified: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._long_turn = threading.Lock()
        self._long_goes_out = False
        self._behind: list[bytes] = []

    def add_raw_method(self, name: str, handler: RawHandler, usage: str, description: str) -> None:
        """Register a command whose handler gets the request with its `params` as they came.

        The handler answers with `request.set_result` or `fail`, now or later, from any thread.
        """
        self.add_method(name, _unbound, background=True, description=description)
        self._raw[name] = handler
        self._usages[name] = usage

    def add_command_hook(self, redirection: Redirection, filters: Collection[str], before: Iterable[str]) -> None:
        """Be asked of every call of a command in `filters`, in front of the plugins named in `before`.

        None of them may be a method of ours: the node ends where a plugin ends that has the method of a call at
        the hook.
        """
        self.add_hook(COMMAND_HOOK, _ignored, background=True, before=list(before), filters=list(filters))
        self._raw[COMMAND_HOOK] = partial(self._on_command, redirection)

    def add_raw_subscription(self, topic: str, handler: Callable[[dict[str, Any]], None]) -> None:
        """Subscribe a handler that gets a notification's fields, whatever they stood under."""
        self.add_subscription(topic, _ignored)
        self._notified[topic] = handler

    def heed(self, name: str, value: Any) -> None:
        """An option of the host's that is meant for us too has this value."""
        self.hosts_options[name] = value
        self.times_set += 1

    def succeed(self, request: Request, result: Any) -> None:
        """Answer as `request.set_result` does, without the stack: it takes as long as all else of an answer."""
        if request.state is not RequestState.PENDING:
            raise ValueError(f"request {request.id} was answered before")
        self._write_locked({"jsonrpc": "2.0", "id": request.id, "result": result})
        request.state, request.termination_tb = RequestState.FINISHED, "answered"

    def set_encoded(self, request: Request, result: Iterable[bytes]) -> None:
        """Answer with pieces of JSON text; returns once the host has taken them: not for the loop's thread."""
        request.state, request.termination_tb = RequestState.FINISHED, "answered in pieces"
        begin = json.dumps({"jsonrpc": "2.0", "id": request.id}, ensure_ascii=False)[:-1] + ', "result": '
        with self._long_turn:
            with self.write_lock:
                self._long_goes_out = True
            try:
                for piece in (begin.encode("utf-8", "replace"), *result, b"}\n\n"):
                    self.stdout.buffer.write(piece)
            finally:
                with self.write_lock:
                    self._long_goes_out = False
                    waiting, self._behind = self._behind, []
                    self.stdout.buffer.write(b"".join(waiting))
                    self.stdout.flush()

    def fail(self, request: Request, error: dict[str, Any]) -> None:
        """Answer with an error, whole: `code`, `message` and what else it has."""
        self._write_locked({"jsonrpc": "2.0", "id": request.id, "error": error})

    def announce(self, topic: str, fields: dict[str, Any]) -> None:
        """Emit a notification for other plugins, in the form of the host's own."""
        if self._named_notifications:
            params = {topic: fields}
        elif topic in _NAMED_BEFORE:
            params = {_NAMED_BEFORE[topic]: fields}
        else:
            params = fields
        self._write_locked({"jsonrpc": "2.0", "method": topic, "params": params})

    def _on_command(self, redirection: Redirection, request: Request) -> None:
        """Answer the hook at once, whatever its question is: an error, or no answer, can end the node."""
        try:
            called = request.params[COMMAND_HOOK]
            method = redirection(called)
            if method is not None and called.keys() >= {"id", "params"}:
                # The caller's own id, and whatever else he has said, goes along untouched.
                replaced = {"replace": {**called, "jsonrpc": "2.0", "method": method}}
                self._write_locked({"jsonrpc": "2.0", "id": request.id, "result": replaced})
                return
        except RecursionError:
            pass  # nested so deep that it can be read and not be written
        except Exception:
            log.broken(LogEvent.HOOK_FAILED)
        self._write_locked({"jsonrpc": "2.0", "id": request.id, "result": _GO_ON})

    def _on_setconfig(self, request: Request) -> None:
        """A new value for one of our dynamic options, or only the question whether it would do."""
        name, value = request.params["config"], request.params.get("val")
        option = self.options[name]
        try:
            if option.on_change is not None:
                option.on_change(self, name, value)
        except ValueError as error:
            self.fail(request, {"code": int(Code.INVALID_PARAMS), "message": str(error)})
            return
        if request.method == "check":
            request.set_result({"command_to_check": "setconfig"})
            return
        option.value = value
        self.times_set += 1
        self.log(f"{LogEvent.OPTION_SET} name={name} value={value}")
        request.set_result({})
        self.on_option_set()

    def get_usage(self) -> str:
        """What somebody reads who runs the plugin himself."""
        started = os.path.abspath(sys.argv[0])
        name = os.path.basename(started)
        return f"{name} is a Core Lightning plugin, started by lightningd --plugin={started}: see README.md"

    # --- overridden -----------------------------------------------------------------------------------

    def log(self, message: str, level: str = "info") -> None:
        # As pyln-client does it, but each line said once and not twice.
        for line in map(_legible, message.split("\n")):
            self._write_locked({"jsonrpc": "2.0", "method": "log", "params": {"level": level, "message": line}})

    def _write_locked(self, obj: Any) -> None:
        # What cannot be encoded (half a surrogate pair that a caller escaped) must not cost the answer.
        message = json.dumps(obj, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
        with self.write_lock:
            if self._long_goes_out:
                self._behind.append(message)
                return
            self.stdout.buffer.write(message)
            self.stdout.flush()

    def _getmanifest(self, request: Request, **kwargs: Any) -> Any:
        self.before_manifest(request.id)
        manifest = super()._getmanifest(**kwargs)
        methods = {method["name"] for method in manifest["rpcmethods"]}
        for hook in manifest["hooks"]:
            assert methods.isdisjoint(hook.get("filters", ())), "a hook on a method of our own can end the node"
        for method in manifest["rpcmethods"]:
            method["usage"] = self._usages[method["name"]]
        manifest["cancheck"] = True
        return manifest

    def _dispatch_request(self, request: Request) -> None:
        name = request.method
        if name == CHECK and isinstance(request.params, dict | list):
            name = request.checked = _checked_command(request)
        handler = self._raw.get(name)
        if handler is None:
            super()._dispatch_request(request)
            return
        try:
            handler(request)
        except Exception as error:
            self.log(traceback.format_exc(), level="unusual")
            self.fail(request, {"code": BUG, "message": f"Internal error: {error!r}"})

    def _dispatch_notification(self, request: Request, origin: Any = None) -> None:
        handler = self._notified.get(request.method)
        if handler is None:
            super()._dispatch_notification(request)
            return
        fields = request.params.get(request.method)
        if not isinstance(fields, dict):
            fields = request.params.get("payload")
        fields = fields if isinstance(fields, dict) else {}
        handler(fields if origin is None else {**fields, ORIGIN: origin})

    def run(self) -> None:
        """Dispatch what the host writes, until it closes stdin."""
        if os.environ.get("LIGHTNINGD_PLUGIN") != "1":
            self.print_usage()
            return
        incoming = MessageReader()
        while chunk := self.stdin.buffer.read1(_READ_BYTES):
            for message in incoming.feed(chunk):
                self._take(message)

    def _take(self, message: Any) -> None:
        if isinstance(message, Unreadable):
            said = f"error={message.error!r} bytes={message.size}"
            self.log(f"{LogEvent.HOST_MESSAGE_UNREADABLE} {said}", level="unusual")
            self._refuse(message)
            return
        try:
            request = self._parse_request(message)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = f"error={error!r} message={show(message)}"
            self.log(f"{LogEvent.HOST_MESSAGE_UNREADABLE} {said}", level="unusual")
            return
        try:
            if request.id is not None:
                self._dispatch_request(request)
            else:
                self._dispatch_notification(request, message.get(ORIGIN))
        except Exception:
            self.log(traceback.format_exc(), level="unusual")

    def _refuse(self, message: Unreadable) -> None:
        """Answer what only its caller can have made unreadable."""
        ident, name = message.fields.get("id"), message.fields.get("method")
        if ident is None:
            return
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": ident}
        if name in self.methods and self.methods[name].mtype is MethodType.HOOK:
            answer["result"] = _GO_ON
        else:
            words = f"the parameters cannot be read: {message.error}"
            answer["error"] = {"code": int(Code.INVALID_PARAMS), "message": words}
        self._write_locked(answer)


def _legible(line: str) -> str:
    """A line in characters that arrive: of each byte of any other lightningd's log makes a question mark."""
    if line.isascii() and line.isprintable():
        return line
    plain = line.translate(_PLAIN).encode("ascii", "backslashreplace").decode("ascii")
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in plain)


def _unbound() -> None:
    """Stands in pyln-client's table for a raw method; never called."""
    raise AssertionError("raw methods are dispatched by HostPlugin")


def _ignored(**_kwargs: Any) -> None:
    """Stands in pyln-client's table for a raw hook; never called."""


def _checked_command(request: Request) -> str:
    """`check COMMAND …` reaches a plugin as method `check`: the command's name, and its params without it."""
    params = request.params
    if isinstance(params, list):
        request.params = params[1:]
        return str(params[0]) if params else ""
    request.params = {key: value for key, value in params.items() if key != "command_to_check"}
    return str(params.get("command_to_check", ""))
