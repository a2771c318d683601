"""Puts the plugin together: the wire on the main thread, the driver's loop on a second, the planner on a third.

The thread that reads stdin only hands over; it is never kept from the next message by a payment, a plan or a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from pyln.client.plugin import PluginLogHandler, Request

from pay.app import entry, front_door, neighbour
from pay.app.entry import Entry
from pay.app.front_door import Door, State, own_name
from pay.app.options import ALLOW_XPAY, add_options, bad_values, flag, served
from pay.app.reach import reach
from pay.commands.form.command import Command
from pay.commands.form.errors import error_json
from pay.commands.table import COMMANDS
from pay.engine.live.announcements import TOPICS
from pay.engine.live.in_work import InWork
from pay.errors import Code, PayError, invalid_param
from pay.host.host_plugin import CHECK, HostPlugin
from pay.host.launch import host_run
from pay.host.pulse import PulsingLoop
from pay.host.rpc import is_own
from pay.host.streaming import encoded
from pay.host.threads import Mailbox
from pay.host.version import NOTIFICATIONS_NAMED_SINCE, OLDEST, PLUGIN_STARTED_SINCE, Version
from pay.log_events import EventLog, LogEvent
from pay.units import show

if TYPE_CHECKING:
    from pay.app.service import Service

_FINISHED = Path(__file__).parents[2] / ".venv" / ".installed"
"""`make install` writes it at its end."""

for _needed in ("numpy", "scipy"):
    # They are imported after the manifest; without them the plugin must not come up at all.
    if find_spec(_needed) is None:
        raise ImportError(f"No module named '{_needed}'")
    if not _FINISHED.exists():
        # Where that was interrupted they can be found and are not whole.
        import_module(_needed)

log = EventLog("pay")

R = TypeVar("R")

DEV_STALL = "clnpay-dev-stall"
"""A plugin whose loop is stuck is what a test cannot have otherwise."""

XPAY = "cln-xpay"
"""It hooks `pay` as well, and the first one who changes a call has it."""

SWITCH_S = 0.0001
"""So long a plan may keep the other threads from their turn: at Python's own 5 ms an answer of the host that comes
during a plan is read after it."""


class UnsupportedHost(Exception):
    """This host cannot be served; the words are for its operator."""


class RequestCaller:
    """The caller of `pay` behind a JSON-RPC request; that he has gone away is nothing to a payment."""

    def __init__(self, plugin: HostPlugin, request: Request):
        self._plugin = plugin
        self._request = request

    def succeed(self, result: dict[str, Any]) -> None:
        self._quietly(lambda: self._plugin.succeed(self._request, result))

    async def succeed_at_length(self, result: dict[str, Any]) -> None:
        """With a result that may be long, and have iterators in place of arrays."""
        with self._quiet():
            await answer_at_length(self._plugin, self._request, result)

    def fail(self, error: PayError) -> None:
        try:
            shown = error_json(error)
        except Exception:
            # Money hangs on the code and the words; what goes with them is help.
            log.broken(LogEvent.HANDLER_FAILED)
            shown = {"code": error.code, "message": error.message}
        self._quietly(lambda: self._plugin.fail(self._request, shown))

    def tell(self, message: str, level: str = "info") -> None:
        self._quietly(lambda: self._request.notify(message, level))

    def _quietly(self, write: Callable[[], None]) -> None:
        with self._quiet():
            write()

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):
            log.broken(LogEvent.ANSWER_NOT_WRITTEN, "id=%s", self._request.id)


async def answer_at_length(plugin: HostPlugin, request: Request, result: dict[str, Any]) -> None:
    """Make the text of a result bit by bit, and write it on a thread that may wait until the host has read it."""
    pieces = await encoded(result)
    await asyncio.to_thread(plugin.set_encoded, request, pieces)


class Application:
    """The plugin: its commands, subscriptions and options, and the loop that serves them."""

    def __init__(self, arguments: Sequence[str]):
        self._began_s = time.time()
        self.version = Version.parse(os.environ.get("LIGHTNINGD_VERSION"))
        if not self.version.since(OLDEST):
            oldest = f"v{OLDEST[0]}.{OLDEST[1]:02d}"
            raise UnsupportedHost(f"lightningd {oldest} or newer is needed, this is {self.version}: upgrade it")
        self.plugin = HostPlugin("--developer" in arguments, self.version.since(NOTIFICATIONS_NAMED_SINCE))
        self.loop = PulsingLoop()
        self._mailbox = Mailbox(self.loop)
        self._service: Service | None = None
        self.door = Door(self.version, self.plugin.developer, {}, InWork(), self.loop.pulse.beats, is_own)
        self._entry: entry.Decision | None = None
        self._rpc_path = ""
        self._switched_off = False
        self.plugin.before_manifest = self._register
        _set_logging()

    def run(self) -> None:
        """Serve until the host closes stdin."""
        if os.environ.get("LIGHTNINGD_PLUGIN") == "1":
            self.plugin.stdout = _stdout_for_us_alone()
        sys.setswitchinterval(SWITCH_S)
        threading.Thread(target=self._run_loop, name="driver", daemon=True).start()
        with contextlib.suppress(OSError, ValueError):
            self.plugin.run()
        # At once, whatever the other threads are at: who answers at the socket from now on is another host, to
        # which nothing of ours must be sent.
        os._exit(0)

    # --- what the host sees -----------------------------------------------------------------------------

    def _register(self, manifest_id: Any) -> None:
        plugin = self.plugin
        decision = self._entry = entry.decide(self.version, manifest_id)
        plugin.init()(self._on_init)
        if decision.entry is Entry.ABSENT:
            return
        commands = reach(decision.entry, self.version, COMMANDS)
        for name, command in commands.owned.items():
            self._add_method(name, command)
        for name, command in commands.hooked.items():
            self._add_method(own_name(name), command, f"What a call of `{name}` that is for this plugin is led to")
        self._add_hook(commands.hooked)
        add_options(plugin, plugin.developer, decision.disable_mpp)
        if plugin.developer:
            plugin.add_raw_method(DEV_STALL, self._on_stall, "seconds", "Let the driver's loop stand still")
        plugin.on_option_set = self._on_option_set
        for topic in TOPICS:
            plugin.add_notification_topic(topic)
        telling = ("plugin_started", "plugin_stopped") if self.version.since(PLUGIN_STARTED_SINCE) else ()
        others = ("pay_part_start", "pay_part_end") if self.version.since(NOTIFICATIONS_NAMED_SINCE) else ()
        for topic in ("sendpay_success", "sendpay_failure", "block_added", "connect", *telling, *others):
            plugin.add_raw_subscription(topic, partial(self._on_notification, topic))
        plugin.add_raw_subscription("shutdown", self._on_shutdown)

    def _add_method(self, name: str, command: Command[Any], about: str | None = None) -> None:
        usage = command.usage(self.version, self.plugin.developer)
        handler = partial(self._on_call, command)
        self.plugin.add_raw_method(name, handler, usage, command.summary if about is None else about)

    def _add_hook(self, hooked: Mapping[str, Command[Any]]) -> None:
        """Ask for the calls of these commands, and for `help` for those that we answer at all times."""
        if not hooked:
            return
        self.door.shared = hooked
        filters = list(hooked)
        if any(command.shared is not None and command.shared.always for command in hooked.values()):
            filters.append(front_door.HELP)
            about = "What a call of `help` for a command of this plugin is led to"
            self.plugin.add_raw_method(own_name(front_door.HELP), self._on_helped, "command", about)
        self.plugin.add_command_hook(partial(front_door.decide, door=self.door), filters, before=[XPAY])

    def _on_init(self, **_kwargs: Any) -> dict[str, Any]:
        assert self._entry is not None, "the manifest comes first"
        log.info(LogEvent.ENTRY_CHOSEN, "entry=%s why=%r", self._entry.entry.value, self._entry.why)
        if self._entry.entry is Entry.ABSENT:
            return {"disable": self._entry.why}
        bad = bad_values(self.plugin)
        if bad and not self.plugin.startup:
            # Somebody has just typed it, and reads this.
            return {"disable": "; ".join(each.problem for each in bad)}
        self.door.served = served(self.plugin)
        directory, name = self.plugin.lightning_dir or ".", self.plugin.rpc_filename or "lightning-rpc"
        self._rpc_path = str(Path(directory) / name)
        if not flag(self.plugin, ALLOW_XPAY):
            # Now: two hooks that lead the first `pay` elsewhere would leave the host's hooks in disorder.
            self._switched_off = neighbour.switched_off_first(self._rpc_path, self.version, host_run())
        self.door.state = State.STARTING
        self._hand_over(self._start(self._rpc_path, directory))
        return {}

    def _on_option_set(self) -> None:
        self.door.served = served(self.plugin)
        self._hand_over(self._option_set())

    def _on_call(self, command: Command[R], request: Request) -> None:
        caller, only_check = RequestCaller(self.plugin, request), request.method == CHECK
        try:
            wanted = command.read(request.params, self.version, self.plugin.developer)
        except PayError as error:
            caller.fail(error)
            return
        if only_check and command.check is None:
            caller.succeed({"command_to_check": command.name})
        else:
            self._hand_over(self._serve(command, wanted, only_check, caller))

    def _on_helped(self, request: Request) -> None:
        """A `help` for a shared command, which the thread that reads can answer alone."""
        caller, name = RequestCaller(self.plugin, request), front_door.helped(request.params)
        command = self.door.shared.get(name) if isinstance(name, str) else None
        if command is None:
            words = f"should be one of {', '.join(self.door.shared)}, not {show(name)}"
            caller.fail(invalid_param("command", words))
        elif request.method == CHECK:
            caller.succeed({"command_to_check": own_name(front_door.HELP)})
        else:
            usage = command.usage(self.version, self.plugin.developer)
            caller.succeed({"help": [{"command": f"{name} {usage}"}], "format-hint": "simple"})

    def _on_stall(self, request: Request) -> None:
        request.set_result({})
        self._mailbox.put(partial(time.sleep, float(request.params[0])))

    def _hooks_pay(self) -> bool:
        return "pay" in self.door.shared

    def _on_shutdown(self, _fields: dict[str, Any]) -> None:
        # The host holds all that must outlive us: the neighbour alone has something to get back.
        if self._service is not None:
            self._service.neighbour.give_back()
        elif self._switched_off:
            neighbour.give_back(self._rpc_path)
        os._exit(0)

    def _on_notification(self, topic: str, fields: dict[str, Any]) -> None:
        self._hand_over(self._tell(topic, fields))

    def _hand_over(self, work: Coroutine[Any, Any, None]) -> None:
        # Nobody waits for it on this side: asyncio's own way makes two futures for who would.
        self._mailbox.put(partial(_begin, work))

    # --- on the driver's loop ---------------------------------------------------------------------------

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _start(self, rpc_path: str, directory: str) -> None:
        try:
            from pay.app.service import Service

            self._service = Service(
                self.plugin, self.version, rpc_path, directory, bool(self.plugin.startup), self._began_s,
                self.door, self._hooks_pay(), self._switched_off,
            )  # fmt: skip
            await self._service.start()
        except Exception:
            if self.door.state is State.STARTING:
                # From now on the host's own commands serve, where it has them.
                self.door.state = State.DOWN
                if self._service is not None:
                    self._service.give_up(_not_started())
            raise

    async def _serve(self, command: Command[R], wanted: R, only_check: bool, caller: RequestCaller) -> None:
        if self._service is None:
            caller.fail(_not_started())
        else:
            await self._service.serve(command, wanted, only_check, caller)

    async def _option_set(self) -> None:
        if self._service is not None:
            await self._service.option_set()

    async def _tell(self, topic: str, fields: dict[str, Any]) -> None:
        if self._service is not None:
            await self._service.notification(topic, fields)


def _not_started() -> PayError:
    return PayError(Code.OTHER, "the payment plugin could not start, see the node's log: this call sent nothing")


def run(arguments: Sequence[str]) -> None:
    """Entry point of `plugin.py`. Raises UnsupportedHost before anything is read or written."""
    Application(arguments).run()


def _stdout_for_us_alone() -> TextIO:
    """Our way to the host; what compiled code prints (SciPy's HiGHS may) goes to stderr."""
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def _set_logging() -> None:
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))
        if isinstance(handler, PluginLogHandler):
            # pyln-client makes "info" of it, which nobody looks at.
            handler.levels[logging.WARNING] = "unusual"
    # Nobody reads who wrote a line, nor on which thread: not looking for it halves what a line costs.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("pay").setLevel(logging.DEBUG)


_AT_WORK: set[asyncio.Task[None]] = set()
"""The loop itself holds tasks only weakly."""


def _begin(work: Coroutine[Any, Any, None]) -> None:
    """On the loop."""
    task = asyncio.get_running_loop().create_task(_logged(work))
    _AT_WORK.add(task)
    task.add_done_callback(_AT_WORK.discard)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.broken(LogEvent.HANDLER_FAILED)
