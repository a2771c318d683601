"""Turns what sessions say into calls, and what the host answers into events; runs any number of them on one loop.

Every session is told one thing at a time, on the loop's thread. What takes time – a plan, a call – is a task that
ends in an event. Outcomes come by notification; every half a minute what is out is compared with the host's table,
so that a lost notification is found.

An exception inside one session ends that payment alone: no new part is sent, its parts are watched to their end in
the host's table, and only then its callers read -1, or the success that came all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from pay.engine.live.announcements import Announcements, ChannelHints
from pay.engine.live.entries import Entries
from pay.engine.live.learning import Learning
from pay.engine.live.own_channels import OwnChannels
from pay.engine.live.reconciliation import RECONCILE_S, Reconciliation, end_of_crashed, settled_of_crashed
from pay.engine.live.reconnects import Reconnects
from pay.engine.live.register import Register
from pay.engine.live.routes import Foreseen, Routes
from pay.engine.live.running import FIRST_S, Running, tell_progress
from pay.engine.live.sender import Sender, is_of
from pay.engine.records.entry import Entry
from pay.engine.records.journal import Journal
from pay.errors import Broken, Code, PayError
from pay.host.addresses import Addresses
from pay.host.calls import CallError, Host, read_failure
from pay.host.dead_rows import DeadRows
from pay.log_events import EventLog, Level, LogEvent
from pay.payment import events as ev
from pay.payment.standing import PaymentFailed, standing_of
from pay.payment.states import State
from pay.router.planning import Planning
from pay.routing.query import NoRoute

log = EventLog("pay")


class Runner:
    """Carries out what the sessions of the register want.

    Parameters
    ----------
    announcements
        For other plugins.
    reconcile_s
        How often parts that are out are compared with the host's table.
    addresses
        Where we reached our peers.
    """

    def __init__(
        self,
        host: Host,
        planning: Planning,
        us: bytes,
        register: Register,
        announcements: Announcements,
        journal: Journal,
        dead_rows: DeadRows,
        reconcile_s: float = RECONCILE_S,
        addresses: Addresses | None = None,
    ):
        self._host = host
        self._register = register
        self._announcements = announcements
        self._entries = Entries(journal, self._detached, register.live.get)
        self._dead_rows = dead_rows
        self._height = 0
        self.own = OwnChannels(host, us)
        self._routes = Routes(planning, self.own, register.out)
        peers_back = partial(self.post, event=ev.PeersBack())
        self._reconnects = Reconnects(host, self.own, addresses or Addresses(), peers_back)
        self._reconcile_s = reconcile_s
        self._sender = Sender(host, self._entries, self.post)
        self._reconciliation = Reconciliation(host, self._sender, dead_rows, self.post, reconcile_s)
        self._untold: dict[bytes, Running] = {}
        self.learning = Learning(planning, register.out, register.others)
        self._hints = ChannelHints(planning, announcements)

    def start(
        self,
        running: Running,
        found: tuple[ev.FoundPart, ...] = (),
        in_journal: bool = False,
        entry: Entry | None = None,
        foreseen: Foreseen | None = None,
    ) -> None:
        """Begin a payment, with what was `foreseen` of it, or take up the parts that were found.

        `in_journal` if an earlier run wrote it down; the `entry` if that can be read.
        """
        terms = running.session.terms
        self._register.start(running)
        log.info(
            LogEvent.PAYMENT_START,
            "%s amount_msat=%d shadow_msat=%d destination=%s maxfee_msat=%d maxdelay=%d watched=%s",
            running.name,
            terms.asked_msat,
            terms.shadow_fee_msat,
            terms.destination.hex(),
            terms.limits.max_fee_msat,
            terms.limits.max_delay_blocks,
            terms.watched,
        )
        if in_journal:
            self._entries.found(running, entry)
        elif running.order is not None and not found and not terms.to_self:
            self._entries.begin(running, running.order)
        if foreseen is not None:
            self._routes.expect(running, foreseen)
        self.post(running, ev.Started(found))
        reconcile = partial(self._reconciliation.run, running, at_once=True)
        if found:
            # The host has had them: should their rows go, an error would be a guess.
            self._entries.changed(running)
            self._task(running, reconcile())
        else:
            self._later(running, self._reconcile_s, reconcile)
        self._later(running, FIRST_S, partial(tell_progress, running, at_once=True))

    def given_up(self, payment_hash: bytes, error: PayError) -> None:
        """The callers of the payment are told that it was not made: so are other plugins, once."""
        running = self._untold.pop(payment_hash, None)
        if running is not None:
            self._announcements.failed(running, error)

    def paid_before(self, running: Running) -> None:
        """A payment of ours was paid while this plugin did not run."""
        log.info(LogEvent.PAYMENT_WAS_PAID, "%s", running.name)
        self._announcements.paid(running)

    # --- what the host tells ----------------------------------------------------------------------------

    def block_added(self, height: int) -> None:
        self._height = max(self._height, height)
        for running in list(self._register.live.values()):
            if running.height_wanted is not None and self._height >= running.height_wanted:
                running.height_wanted = None
                self.post(running, ev.HeightReached(self._height))

    def sendpay_success(self, fields: dict[str, Any]) -> None:
        payment_hash, groupid = bytes.fromhex(fields["payment_hash"]), int(fields.get("groupid", 0))
        running, partid = self._register.live.get(payment_hash), int(fields.get("partid", 0))
        sent_msat = fields.get("amount_sent_msat")
        if (
            running is not None
            and running.session.terms.groupid == groupid
            and (sent_msat is None or is_of(running, partid, int(sent_msat)))
        ):
            running.saw_row(fields)
            preimage = bytes.fromhex(fields["payment_preimage"])
            self.post(running, ev.AttemptSettled(partid, preimage))
            return
        given_up = self._register.given_up(payment_hash, groupid)
        if given_up is not None:
            # Nobody waits for it any more: this line and the notification are all that anybody hears of it.
            log.unusual(
                LogEvent.PAYMENT_PAID_AFTER_ERROR, "payment_hash=%s groupid=%d", payment_hash.hex(), groupid
            )
            self._announcements.paid_after_all(payment_hash, given_up.bolt11)
        if running is not None:
            self.post(running, ev.HashTaken(None, f"group {groupid} of this hash was paid"))

    def sendpay_failure(self, fields: dict[str, Any]) -> None:
        data = fields.get("data") or {}
        running = self._register.live.get(bytes.fromhex(data.get("payment_hash", "")))
        if running is None or running.session.terms.groupid != int(data.get("groupid", 0)):
            return
        running.saw_row(data)
        failure = read_failure(int(fields.get("code", 0)), str(fields.get("message", "")), data)
        partid = int(data.get("partid", 0))
        self.post(running, ev.AttemptFailed(partid, failure, running.sent_height(partid)))

    # --- events in, actions out -------------------------------------------------------------------------

    def post(self, running: Running, event: ev.Event) -> None:
        """Tell a session what happened and do what it says."""
        if running.crashed:
            return
        try:
            # The words of a line that nobody reads cost more than the line.
            told = log.is_enabled(Level.DEBUG)
            if told:
                log.debug(
                    LogEvent.EVENT, "%s %s state=%s", running.name, ev.brief(event), running.session.state.value
                )
            try:
                actions = running.session.handle(event, running.clock.now(), time.time())
            finally:
                # Also of one that breaks: what it has out holds what it holds.
                self._follow(running)
            self._note_times(running)
            for action in actions:
                if told:
                    log.debug(LogEvent.ACTION, "%s %s", running.name, ev.brief(action))
                self._do(running, action)
            if isinstance(event, ev.AttemptFailed):
                self._reconnects.after(running, event.partid, event.failure)
            if isinstance(event, ev.AttemptAccepted | ev.AttemptFailed):
                self._entries.changed(running)
        except Exception:
            log.broken(LogEvent.SESSION_CRASHED, "%s", running.name)
            self._crash(running)
            return
        if running.session.state is State.DONE:
            self._forget(running)

    def _follow(self, running: Running) -> None:
        """Its parts may have begun or ended."""
        if self._register.live.get(running.session.terms.payment_hash) is running:
            self._register.out.follow(running)

    def _note_times(self, running: Running) -> None:
        """When parts began and ended, for people's eyes and for other plugins."""
        began, ended = running.new_times(self._height)
        for attempt in began:
            self._announcements.part_started(running, attempt)
        for attempt, seconds in ended:
            self._announcements.part_ended(running, attempt, seconds)
            self.learning.part_ended(attempt, attempt.started_s + seconds)
            self._hints.part_ended(running, attempt)

    def _do(self, running: Running, action: ev.Action) -> None:
        match action:
            case ev.FindRoutes():
                self._task(running, self._find(running, action))
            case ev.SendAttempt(partid, route):
                task = self._task(running, self._sender.send(running, partid, route))
                running.sending.add(task)
                task.add_done_callback(running.sending.discard)
            case ev.WakeAt(at_s):
                loop = asyncio.get_running_loop()
                if running.timer is not None:
                    running.timer.cancel()
                wait_s = max(0.0, at_s - running.clock.now())
                running.timer = loop.call_later(wait_s, self.post, running, ev.TimerFired())
            case ev.AskPeers():
                self._reconnects.ask(running, action)
            case ev.WaitHeight(height):
                running.height_wanted = height
                if self._height >= height:
                    self.block_added(self._height)
            case ev.Notify(message):
                running.tell(message)
            case ev.Finish(result):
                self._finish(running, result)

    def _finish(self, running: Running, result: ev.Result) -> None:
        """The answer: told to those who wait and to other plugins, once."""
        session = running.session
        match result:
            case ev.Paid():
                log.info(
                    LogEvent.PAYMENT_PAID,
                    "%s amount_msat=%d sent_msat=%d parts=%d seconds=%.2f",
                    running.name,
                    result.amount_msat,
                    result.sent_msat,
                    result.parts,
                    running.clock.now() - session.terms.created_at_s,
                )
                self._untold.pop(session.terms.payment_hash, None)
                self._announcements.paid(running)
                # Nothing may be added any more, and a later run is not to tell of it again.
                self._entries.end(running)
            case ev.NotPaid(error):
                result = ev.NotPaid(PaymentFailed(error, standing_of(session)))
                log.info(
                    LogEvent.PAYMENT_FAILED,
                    "%s code=%d attempts=%d message=%r",
                    running.name,
                    error.code,
                    len(session.attempts),
                    error.message,
                )
                if running.listeners:
                    # Who waits for it may see that another sender goes on; until then it is not over.
                    self._untold[session.terms.payment_hash] = running
                else:
                    self._announcements.failed(running, result.error)
            case ev.Elsewhere(reason):
                log.info(LogEvent.PAYMENT_ELSEWHERE, "%s reason=%r", running.name, reason)
                self._register.drop(running)
                self._entries.end(running)
        running.answer(result)

    def _forget(self, running: Running) -> None:
        """It is over, its last part too."""
        if self._register.end(running):
            self._entries.end(running)
        self._routes.forget(running)
        running.over.set()
        if running.timer is not None:
            running.timer.cancel()
        for wait in running.waits:
            wait.cancel()
        for task in running.tasks - running.sending:
            if task is not asyncio.current_task():
                task.cancel()

    # --- tasks ------------------------------------------------------------------------------------------

    async def _find(self, running: Running, action: ev.FindRoutes) -> None:
        """Ask the planner; an answer to a question that is no longer asked is dropped by the session."""
        try:
            answer = await self._routes.find(running, action)
        except (CallError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            self.post(running, ev.Cancelled(PayError(Code.OTHER, f"The node did not list its channels: {why}")))
            return
        except Exception as error:
            log.broken(LogEvent.PLAN_FAILED, "%s", running.name)
            self.post(running, ev.Cancelled(PayError(Code.OTHER, f"Internal error in the planner: {error!r}")))
            return
        if isinstance(answer, NoRoute):
            self.post(running, ev.NoRouteFound(action.query_id, answer))
        else:
            self.post(running, ev.RoutesFound(action.query_id, answer))

    def _crash(self, running: Running) -> None:
        running.crashed = True
        if running.timer is not None:
            running.timer.cancel()
        self._detached(self._drain_crashed(running))

    async def _drain_crashed(self, running: Running) -> None:
        """Answer the callers of a crashed session once the host's table shows how it ended."""
        session, terms = running.session, running.session.terms
        paid = await end_of_crashed(self._host, self._dead_rows, running)
        error = PayError(
            Code.OTHER,
            "Internal error in this payment, see the log; nothing of it is out and nothing was paid",
            Broken(terms.payment_hash),
        )
        result = paid or ev.NotPaid(error)
        session.handle(ev.Crashed(result, None if paid else frozenset()), running.clock.now())
        self._follow(running)
        if not running.answered:
            if isinstance(result, ev.Paid):
                self._announcements.paid(running)
            else:
                self._announcements.failed(running, error)
            running.answer(result)
        if paid is not None:
            settled = await settled_of_crashed(self._host, self._dead_rows, running)
            session.handle(ev.Crashed(paid, settled), running.clock.now())
        self._forget(running)

    def _later(self, running: Running, wait_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a task in so many seconds, unless the payment is over by then: most are, and cost a timer."""
        running.waits.append(asyncio.get_running_loop().call_later(wait_s, lambda: self._task(running, work())))

    # --- small things -----------------------------------------------------------------------------------

    def _task(self, running: Running, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._detached(work)
        running.tasks.add(task)
        task.add_done_callback(running.tasks.discard)
        return task

    def _detached(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        _ALIVE.add(task)
        task.add_done_callback(_end)
        return task


_ALIVE: set[asyncio.Task[None]] = set()
"""The loop itself holds tasks only weakly."""


def _end(task: asyncio.Task[None]) -> None:
    _ALIVE.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.broken(LogEvent.TASK_FAILED, trace=task.exception() or False)
