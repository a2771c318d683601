"""What runs on the driver's loop once the host has said who it is: discovery, then the serving of calls.

At start the host's identity, chain and gossip are looked up; cln-xpay is kept from answering `pay` in our place.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pay import __version__
from pay.app import options
from pay.app.front_door import Door, State
from pay.app.log_level import host_level
from pay.app.names import Names
from pay.app.neighbour import Neighbour
from pay.app.written_options import SOON_S, WrittenOptions
from pay.commands.form.command import Command, Context
from pay.engine.doubt import Doubt
from pay.engine.foresight import Foresight
from pay.engine.hosts_xpay import HostsXpay
from pay.engine.live.announcements import Announcements
from pay.engine.live.reconciliation import RECONCILE_S
from pay.engine.live.register import Register
from pay.engine.live.runner import Runner
from pay.engine.open_calls import OpenCalls
from pay.engine.paying import QUICK_S, Paying
from pay.engine.preparation import Preparation
from pay.engine.records.journal import Journal
from pay.engine.recovery import Recovery
from pay.engine.shadowing import Shadowing
from pay.errors import BUG, PayError
from pay.host.addresses import Addresses
from pay.host.calls import CallError, Host, Unanswered
from pay.host.chain import Chain
from pay.host.dead_rows import DOUBT_S, DeadRows, host_started_s
from pay.host.host_plugin import ORIGIN, HostPlugin
from pay.host.launch import host_run
from pay.host.rpc import ANSWER_TIMEOUT_S, HostRpc
from pay.host.version import TRANSIENT_SINCE, HostInfo, Version
from pay.log_events import EventLog, LogEvent
from pay.router.liquidity_store import WRITE_EVERY_S, LiquidityStore
from pay.router.planning import Planning
from pay.router.scorer import Scorer
from pay.units import NodeId

log = EventLog("pay")

R = TypeVar("R")


class Caller(Protocol):
    """Who called a command, and may have gone away since."""

    def succeed(self, result: dict[str, Any]) -> None: ...
    async def succeed_at_length(self, result: dict[str, Any]) -> None: ...
    def fail(self, error: PayError) -> None: ...
    def tell(self, message: str, level: str = "info") -> None: ...


class Service:
    """Everything behind the commands.

    Parameters
    ----------
    rpc_path, directory
        The host's socket and its directory, where the gossip_store is.
    host_restarted
        The host itself has just started, and we with it.
    began_s
        Unix time of the start of this process.
    door
        Is told how far we are, and what is in work.
    hooks_pay
        `pay` is another plugin's.
    switched_off
        cln-xpay was told at `init` to leave `pay` alone.
    """

    def __init__(
        self,
        plugin: HostPlugin,
        version: Version,
        rpc_path: str,
        directory: str,
        host_restarted: bool,
        began_s: float,
        door: Door,
        hooks_pay: bool,
        switched_off: bool,
    ):
        self._plugin = plugin
        self._version = version
        self._directory = directory
        self._host_restarted = host_restarted
        self._began_s = began_s
        self._door = door
        self._host = Host(HostRpc(rpc_path, options.seconds(plugin, options.DEV_ANSWER, ANSWER_TIMEOUT_S)))
        scorer = Scorer(options.AsSet(plugin, options.remembering))
        self._planning = Planning(str(Path(directory) / "gossip_store"), scorer)
        every_s = options.seconds(plugin, options.DEV_LIQUIDITY, WRITE_EVERY_S)
        self._liquidity_store = LiquidityStore(self._host, self._planning, every_s)
        self._register = Register(door.names)
        self._addresses = Addresses()
        self._chain = Chain(self._host)
        self._runner: Runner | None = None
        self._context = Context(
            self._host,
            self._planning,
            self._register,
            OpenCalls(door.names),
            self._liquidity_store,
            asyncio.get_running_loop().create_future(),
            began_s=time.time(),
            version=version,
        )
        self._names = Names(self._host) if hooks_pay else None
        self._lasting = WrittenOptions(self._host, plugin.options, directory)
        allowed = options.flag(plugin, options.ALLOW_XPAY)
        self.neighbour = Neighbour(self._host, rpc_path, version, host_run(), allowed, switched_off)

    async def start(self) -> None:
        """Find out what the host is; calls wait for it, and plans for the graph."""
        # First of all, where it was not done at `init`: until it is cln-xpay takes every `pay` that arrives.
        await self.neighbour.look()
        await self._mend_options()
        await self._heed_hosts_options()
        loading = asyncio.create_task(self._planning.load())
        # What the host counts expiries from, as near to its own start as we can tell.
        headers = asyncio.create_task(self._chain.begin())
        level = asyncio.create_task(host_level(self._host))
        we = await self._host.identity()
        info = HostInfo(us=we.us, network=we.network, owns_listpays=await self._has_command("listpays"))
        reconcile_s = options.seconds(self._plugin, options.DEV_RECONCILE, RECONCILE_S)
        # A host that starts takes no command before its plugins have been started.
        host_began_s = self._began_s if self._host_restarted else host_started_s(self._began_s)
        dead_rows = DeadRows(self._host, host_began_s, self._host_restarted, min(reconcile_s, DOUBT_S))
        journal = Journal(self._host)
        shadowing = Shadowing(self._host, info.us, self._planning)
        runner = Runner(
            self._host,
            self._planning,
            info.us,
            self._register,
            Announcements(self._plugin.announce),
            journal,
            dead_rows,
            reconcile_s,
            self._addresses,
        )
        doubt = Doubt(self._host, self._register, 2 * reconcile_s)
        paying = Paying(
            self._host,
            info,
            self._register,
            runner,
            journal,
            dead_rows,
            Preparation(
                self._host,
                NodeId(info.us),
                self._register,
                shadowing,
                self._chain,
                options.AsSet(self._plugin, options.settings),
                Foresight(self._planning, shadowing, runner.own, self._register),
            ),
            doubt,
            min(QUICK_S, 2 * reconcile_s),
            HostsXpay(self._host, self._version),
        )
        self._context.height = max(self._context.height, we.height)
        runner.block_added(self._context.height)
        self._chain.block_added(self._context.height)
        # Before any call is served: one for a payment that an earlier run began must find it here. The runner
        # hears of outcomes from now on, so that none falls between the look and the watching.
        self._runner = runner
        recovery = Recovery(
            self._host,
            journal,
            self._register,
            runner,
            dead_rows,
            NodeId(info.us),
            info.network,
            self._host_restarted,
        )
        doubt.earlier = await recovery.run()
        self._context.paying.set_result(paying)
        self._door.state = State.READY
        logging.getLogger("pay").setLevel(await level)
        log.info(
            LogEvent.STARTED,
            "version=%s clnpay=%s id=%s network=%s listpays=%s",
            self._version,
            __version__,
            info.us.hex(),
            info.network,
            "host" if info.owns_listpays else "missing",
        )
        await loading
        # What is there now stays, so the collector need not look through it.
        gc.freeze()
        await headers
        await journal.forget_totals()
        await self.option_set()
        look = self._names.look() if self._names is not None else asyncio.sleep(0)
        await asyncio.gather(self._liquidity_store.run(), self._forget_earlier(recovery, doubt), look)

    def give_up(self, error: PayError) -> None:
        """There is no start: calls that wait for it are answered so."""
        self._context.paying.set_exception(error)

    async def serve(self, command: Command[R], wanted: R, only_check: bool, caller: Caller) -> None:
        """Answer a call of one of our commands, or of `check` for it."""
        try:
            if only_check:
                assert command.check is not None, "what `read` says all of is not handed over"
                await command.check(wanted, self._context)
                caller.succeed({"command_to_check": command.name})
                return
            answer = await command.answer(wanted, self._context, caller.tell)
            if command.long:
                await caller.succeed_at_length(answer)
                return
        except PayError as error:
            caller.fail(error)
        except Exception as error:
            if only_check:
                log.broken(LogEvent.CHECK_CRASHED)
            else:
                event = command.bug
                log.broken(event)
            caller.fail(PayError(BUG, f"Internal error, which says nothing of any payment: {error!r}"))
        else:
            caller.succeed(answer)

    async def notification(self, topic: str, fields: dict[str, Any]) -> None:
        match topic:
            case "block_added":
                height = self._context.height = int((fields.get("block") or fields)["height"])
                self._chain.block_added(height)
                if self._runner is not None:
                    self._runner.block_added(height)
            case "sendpay_success":
                if self._runner is not None:
                    self._runner.sendpay_success(fields)
            case "sendpay_failure":
                if self._runner is not None:
                    self._runner.sendpay_failure(fields)
            case "pay_part_start" | "pay_part_end":
                by = fields.get(ORIGIN)
                # Ours come back to us as well.
                if self._runner is not None and isinstance(by, str) and by != self._plugin.name:
                    self._runner.learning.hear(topic, by, fields, time.time())
            case "connect":
                self._addresses.connected(fields)
            case "plugin_stopped":
                if self._names is not None:
                    await self._names.stopped(fields)
            case "plugin_started":
                await self._context.started()
                await self.neighbour.look()

    async def _forget_earlier(self, recovery: Recovery, doubt: Doubt) -> None:
        await asyncio.sleep(doubt.quiet_in_s())
        await recovery.forget()

    async def option_set(self) -> None:
        """An option of ours was changed."""
        if not self._host_restarted:
            await self._lasting.look(SOON_S)

    # --- steps ------------------------------------------------------------------------------------------

    async def _mend_options(self) -> None:
        """Say which values of the configuration are none, and let the host show what is used instead."""
        for bad in options.bad_values(self._plugin):
            log.unusual(LogEvent.OPTION_REFUSED, "name=%s used=%s reason=%r", bad.name, bad.used, bad.problem)
            if self._version.since(TRANSIENT_SINCE):
                try:
                    await self._host.call("setconfig", {"config": bad.name, "val": bad.used, "transient": True})
                except (CallError, Unanswered) as error:
                    log.unusual(LogEvent.OPTION_SHOWN_WRONGLY, "name=%s error=%r", bad.name, str(error))

    async def _heed_hosts_options(self) -> None:
        """Where the host's `pay` has `disable-mpp`, it is set there, and meant for us as well."""
        name = options.DISABLE_MPP
        if name not in self._plugin.options:
            try:
                found = (await self._host.patient("listconfigs", {"config": name}))["configs"][name]
                self._plugin.heed(name, found["set"])
            except (CallError, LookupError, TypeError):
                return  # nobody has it

    async def _has_command(self, name: str) -> bool:
        try:
            await self._host.patient("help", {"command": name})
        except CallError:
            return False
        return True
