"""Turns what sessions say into calls, and what the host answers into events; runs any number of them on one loop.

Every session is told one thing at a time, on the loop's thread. What takes time – a plan, a call – is a task that
ends in an event. Outcomes come by notification; every half a minute what is out is compared with the host's table,
so that a lost notification is found.

An exception inside one session ends that payment alone: no new part is sent, its parts are watched to their end in
the host's table, and only then its callers read -1, or the success that came all the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from pay.errors import Code, PayError
from pay.node.announcements import Announcements
from pay.node.crashed import end_of_crashed, settle_crashed
from pay.node.facade import CallError, Node, PartOrder, read_failure
from pay.node.holdings import OwnChannels
from pay.node.journal import Entry, Journal
from pay.node.learning import Learning, in_flight
from pay.node.orphans import Orphans
from pay.node.past import paid_before, repeat_json
from pay.node.planning import Planning
from pay.node.progress import tell_progress
from pay.node.reconciliation import RECONCILE_S, Reconciliation
from pay.node.reconnects import Reconnects
from pay.node.running import Running, Waiter
from pay.node.sender import Sender
from pay.node.words import brief
from pay.payment import events as ev
from pay.payment.attempt import Terms
from pay.payment.report import error_data, success_json
from pay.payment.session import PaymentSession
from pay.payment.states import State
from pay.payment.status import PartTimes
from pay.routing.query import NoRoute, Route

log = logging.getLogger("pay")

CHANNELS_S = 60.0
"""So long at least, and for all of `retry_for`, the host is given to list our channels. Without them nothing more
can be sent, and who waits for a first part is told so."""


class Driver:
    """All live payments of this plugin.

    Parameters
    ----------
    detour
        Called with a waiter whose payment turned out to be somebody else's: looks at the host's past again.
    announcements
        For other plugins.
    on_ended
        A payment is over, its last part too.
    reconcile_s
        How often parts that are out are compared with the host's table.
    """

    def __init__(
        self,
        node: Node,
        planning: Planning,
        us: bytes,
        detour: Callable[[Waiter], Coroutine[Any, Any, None]],
        announcements: Announcements,
        on_ended: Callable[[Running], None],
        journal: Journal,
        orphans: Orphans,
        reconcile_s: float = RECONCILE_S,
    ):
        self._node = node
        self._planning = planning
        self._detour = detour
        self._announcements = announcements
        self._on_ended = on_ended
        self._journal = journal
        self._orphans = orphans
        self._height = 0
        self._own = OwnChannels(node, us)
        self._reconnects = Reconnects(node, us)
        self._sender = Sender(node, self.post)
        self._reconciliation = Reconciliation(node, self._sender, orphans, self.post, reconcile_s)
        self.payments: dict[bytes, Running] = {}
        self._learning = Learning(planning, self.payments)

    def start(self, running: Running, adopted: tuple[ev.AdoptedPart, ...] = ()) -> None:
        """Begin a payment, or watch the parts that were found."""
        terms = running.session.terms
        self.payments[terms.payment_hash] = running
        log.info(
            "payment_start %s amount_msat=%d shadow_msat=%d destination=%s maxfee_msat=%d maxdelay=%d watched=%s",
            running.name,
            terms.asked_msat,
            terms.shadow_fee_msat,
            terms.destination.hex(),
            terms.max_fee_msat,
            terms.max_delay_blocks,
            terms.watched,
        )
        if running.order is not None and not adopted and not terms.to_self:
            running.in_journal = True
            running.journalled = self._detached(self._write_down(running, running.order))
        self.post(running, ev.Started(adopted))
        self._task(running, self._reconciliation.run(running, at_once=bool(adopted)))
        self._task(running, tell_progress(running))

    def paid_before(self, running: Running) -> None:
        """A payment of ours was paid while this plugin did not run."""
        log.info("payment_was_paid %s", running.name)
        self._announcements.paid(running)

    async def _write_down(self, running: Running, order: PartOrder) -> None:
        await self._journal.write(Entry(running.session.terms, order))

    def _close_entry(self, running: Running) -> None:
        """What is over needs no entry in the journal."""
        if running.in_journal:
            running.in_journal = False
            self._detached(self._strike_out(running))

    async def _strike_out(self, running: Running) -> None:
        """Remove its entry, not before it was written; by then it may be that of the next try."""
        if running.journalled is not None:
            await asyncio.wait({running.journalled})
        payment_hash = running.session.terms.payment_hash
        following = self.payments.get(payment_hash)
        if following is None or following is running or not following.in_journal:
            await self._journal.remove(payment_hash.hex())

    # --- what the host tells ----------------------------------------------------------------------------

    def block_added(self, height: int) -> None:
        self._height = max(self._height, height)
        for running in list(self.payments.values()):
            if running.height_wanted is not None and self._height >= running.height_wanted:
                running.height_wanted = None
                self.post(running, ev.HeightReached(self._height))

    def sendpay_success(self, fields: dict[str, Any]) -> None:
        running = self._of(fields)
        if running is not None:
            running.saw_row(fields)
            preimage = bytes.fromhex(fields["payment_preimage"])
            self.post(running, ev.AttemptSettled(int(fields.get("partid", 0)), preimage))

    def sendpay_failure(self, fields: dict[str, Any]) -> None:
        data = fields.get("data") or {}
        running = self._of(data)
        if running is not None:
            running.saw_row(data)
            failure = read_failure(int(fields.get("code", 0)), str(fields.get("message", "")), data)
            partid = int(data.get("partid", 0))
            self.post(running, ev.AttemptFailed(partid, failure, running.sent_height(partid)))

    def _of(self, fields: dict[str, Any]) -> Running | None:
        running = self.payments.get(bytes.fromhex(fields.get("payment_hash", "")))
        if running is None or running.session.terms.groupid != int(fields.get("groupid", 0)):
            return None
        return running

    # --- events in, actions out -------------------------------------------------------------------------

    def post(self, running: Running, event: ev.Event) -> None:
        """Tell a session what happened and do what it says."""
        if running.crashed:
            return
        try:
            log.debug("event %s %s state=%s", running.name, brief(event), running.session.state.value)
            actions = running.session.handle(event, time.time())
            self._note_times(running)
            for action in actions:
                log.debug("action %s %s", running.name, brief(action))
                self._do(running, action)
            if isinstance(event, ev.AttemptFailed):
                self._reconnects.after(running, event.partid, event.failure)
        except Exception:
            log.exception("session_crashed %s", running.name)
            self._crash(running)
            return
        if running.session.state is State.DONE:
            self._forget(running)

    def _note_times(self, running: Running) -> None:
        """When parts began and ended, for people's eyes and for other plugins."""
        now = time.time()
        for partid, attempt in running.session.attempts.items():
            times = running.times.get(partid)
            if times is None:
                running.times[partid] = PartTimes(attempt.started_s, None, self._height)
                self._announcements.part_started(running, attempt)
            elif times.ended_s is None and not attempt.live:
                running.times[partid] = replace(times, ended_s=now)
                self._announcements.part_ended(running, attempt, now - times.started_s)
                self._learning.part_ended(attempt)

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
                running.timer = loop.call_later(
                    max(0.0, at_s - time.time()), self.post, running, ev.TimerFired()
                )
            case ev.WaitHeight(height):
                running.height_wanted = height
                if self._height >= height:
                    self.block_added(self._height)
            case ev.Notify(message):
                for waiter in running.waiters:
                    waiter.caller.tell(message)
            case ev.Finish(result):
                self._finish(running, result)

    def _finish(self, running: Running, result: ev.Result) -> None:
        session = running.session
        running.announced = True
        if session.terms.watched:
            self._look_again(running, result)
            return
        match result:
            case ev.Paid():
                log.info(
                    "payment_paid %s amount_msat=%d sent_msat=%d parts=%d seconds=%.2f",
                    running.name,
                    result.amount_msat,
                    result.sent_msat,
                    result.parts,
                    time.time() - session.terms.created_at_s,
                )
                terms = session.terms
                answer = success_json(
                    replace(terms, created_at_s=running.created_at_s or terms.created_at_s), result
                )
                for waiter in running.take_waiters():
                    waiter.caller.succeed(answer)
                self._announcements.paid(running)
                # Nothing may be added any more, and a later run is not to tell of it again.
                self._close_entry(running)
            case ev.NotPaid(error):
                full = PayError(error.code, error.message, error_data(session, error))
                log.info(
                    "payment_failed %s code=%d attempts=%d message=%r",
                    running.name,
                    error.code,
                    len(session.attempts),
                    error.message,
                )
                for waiter in running.take_waiters():
                    waiter.caller.fail(full)
                self._announcements.failed(running, full)
            case ev.Elsewhere(reason):
                log.info("payment_elsewhere %s reason=%r", running.name, reason)
                self.payments.pop(session.terms.payment_hash, None)
                self._close_entry(running)
                for waiter in running.take_waiters():
                    waiter.detours += 1
                    self._detached(self._detour(waiter))

    def _look_again(self, running: Running, result: ev.Result) -> None:
        """What another sender's parts came to is asked of the host's table: he may have sent more meanwhile."""
        log.info("watched_over %s result=%s", running.name, type(result).__name__)
        match result:
            case ev.Paid():
                self._announcements.paid(running)
            case ev.NotPaid(error):
                self._announcements.failed(running, error)
            case ev.Elsewhere():
                pass
        waiters = running.take_waiters()  # forgetting drops them
        self._forget(running)
        for waiter in waiters:
            if isinstance(result, ev.NotPaid):
                error = result.error
                waiter.verdict = PayError(error.code, error.message, error_data(running.session, error))
            self._detached(self._detour(waiter))

    def _forget(self, running: Running) -> None:
        payment_hash = running.session.terms.payment_hash
        if self.payments.get(payment_hash) is running:
            del self.payments[payment_hash]
            self._on_ended(running)
            self._close_entry(running)
        running.parts_out.clear()
        if running.timer is not None:
            running.timer.cancel()
        for task in running.tasks - running.sending:
            if task is not asyncio.current_task():
                task.cancel()

    # --- tasks ------------------------------------------------------------------------------------------

    async def _find(self, running: Running, action: ev.FindRoutes) -> None:
        """Ask the planner; an answer to a question that is no longer asked is dropped by the session."""
        running.question = action
        try:
            answer = await self._planned(running, action)
            if isinstance(answer, NoRoute) and await self._reconnects.helped(running, action, answer):
                answer = await self._planned(running, action)
        except (CallError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            self.post(running, ev.Cancelled(PayError(Code.OTHER, f"The node did not list its channels: {why}")))
            return
        except Exception as error:
            log.exception("plan_failed %s", running.name)
            self.post(running, ev.Cancelled(PayError(Code.OTHER, f"Internal error in the planner: {error!r}")))
            return
        if isinstance(answer, NoRoute):
            self.post(running, ev.NoRouteFound(action.query_id, answer))
        else:
            self.post(running, ev.RoutesFound(action.query_id, answer))

    async def _planned(self, running: Running, action: ev.FindRoutes) -> tuple[Route, ...] | NoRoute:
        patience_s = max(CHANNELS_S, running.session.terms.deadline_s - time.time())
        own = await asyncio.wait_for(self._own.now(self.payments.values()), patience_s)
        held = in_flight(self.payments.values()).held()
        return await self._planning.find(action, running.recipient, own, held)

    def _crash(self, running: Running) -> None:
        running.crashed = True
        if running.timer is not None:
            running.timer.cancel()
        self._detached(self._drain_crashed(running))

    async def _drain_crashed(self, running: Running) -> None:
        """Answer the callers of a crashed session once the host's table shows how it ended."""
        terms = running.session.terms
        past = await end_of_crashed(self._node, self._orphans, running)
        error = PayError(
            Code.OTHER,
            "Internal error in this payment, see the log; nothing of it is out and nothing was paid",
            {"payment_hash": terms.payment_hash.hex(), "status": "failed"},
        )
        waiters = running.take_waiters()
        if past is not None:
            for waiter in waiters:
                waiter.caller.succeed(repeat_json(terms, past, terms.asked_msat))
        else:
            for waiter in waiters:
                waiter.caller.fail(error)
        if not running.announced:
            if past is not None:
                running.session.result = paid_before(past, terms.asked_msat)
                self._announcements.paid(running)
            else:
                running.session.result = ev.NotPaid(error)
                self._announcements.failed(running, error)
        await settle_crashed(self._node, self._orphans, running, paid=past is not None)
        self._forget(running)

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
        log.error("task_failed", exc_info=task.exception())


def new_running(terms: Terms, recipient: Any, order: Any, waiter: Waiter) -> Running:
    """A payment that has not begun yet."""
    return Running(PaymentSession(terms), recipient, order, [waiter])
