"""One payment as a pure state machine: it is told what happened and says what to do next.

`handle(event, now)` is the only thing that changes a session; the same events give the same actions. It holds
these invariants, checked after every event:

1. delivered + in flight + requested is never more than the amount (the shadow fee, fixed before the first part, is
   in it), and there is no query for 0 msat. The host does not refuse a part that exceeds the total, so this is the
   only guard. A part without an answer is in flight.
2. Fees delivered, in flight and planned, and the shadow fee, stay within the limit; so does every CLTV.
3. No part is sent after a preimage, after the deadline, or after the recipient refused.
4. `Finish` comes exactly once; an error only when nothing is in flight; the first preimage is a success.
5. Answers to old queries are ignored.

What it does not do: choose routes (the planner), know balances (the beliefs), speak JSON (`report`).
"""

from __future__ import annotations

from dataclasses import replace

from pay.feedback.blame import Blame, Kind, blame
from pay.feedback.failure import Failure
from pay.payment import events as ev
from pay.payment import verdict as words
from pay.payment.attempt import Attempt, FailedPart
from pay.payment.invariants import SessionError, check
from pay.payment.late import LateGossip
from pay.payment.learnt import Learnt
from pay.payment.ledger import Ledger
from pay.payment.patience import (
    AskPeers,
    AwaitParts,
    End,
    GiveUp,
    Pause,
    PlanAnew,
    TryLate,
    Wait,
    after_failure,
    decide,
    waiting,
)  # fmt: skip
from pay.payment.question import Questions
from pay.payment.staging import Staging
from pay.payment.states import TRANSITIONS, AttemptStatus, SessionStatus, State
from pay.payment.terms import Terms
from pay.payment.waits import Waits
from pay.routing.query import NoRoute, Route


class PaymentSession:
    """One payment: parts of one group, until a preimage or until nothing is out and nothing left to try.

    Parameters
    ----------
    terms
        What is to be paid and within which limits; never changes.

    Attributes
    ----------
    attempts
        By partid, in the order they were made.
    result, waits
        What `Finish` answered, or None; what was and is waited for.
    """

    def __init__(self, terms: Terms):
        self.terms = terms
        self.state = State.WAITING_ROUTES
        self._ledger = Ledger(terms)
        self.attempts = self._ledger.attempts
        self.failures: list[FailedPart] = []
        self.result: ev.Result | None = None
        self._questions = Questions()
        self._unix_s = terms.created_at_s
        self._verdict: ev.NotPaid | ev.Elsewhere | None = None
        self._height_wanted = 0
        self.waits = Waits()
        self._late = LateGossip()
        self._staging = Staging()
        self._many = False
        self._learnt = Learnt(terms)

    # --- what others may see ------------------------------------------------------------------------------

    @property
    def live(self) -> list[Attempt]:
        """Parts that may still settle."""
        return self._ledger.live

    @property
    def queries(self) -> int:
        """Questions asked of the planner."""
        return self._questions.asked

    @property
    def verdict(self) -> ev.NotPaid | ev.Elsewhere | None:
        """What the answer will be if nothing that is out settles; None while more may be tried."""
        return self._verdict

    @property
    def paid(self) -> ev.Paid | None:
        """The success, with the figures of now: parts that were out when it was answered may have ended since."""
        return self._ledger.as_of_now(self.result)

    @property
    def delivered_msat(self) -> int:
        return self._ledger.delivered_msat

    @property
    def in_flight_msat(self) -> int:
        return self._ledger.in_flight_msat

    @property
    def status(self) -> SessionStatus:
        match self.result:
            case ev.Paid():
                return SessionStatus.SUCCESS
            case ev.NotPaid() | ev.Elsewhere():
                return SessionStatus.FAILED
            case None:
                return SessionStatus.INFLIGHT if self.attempts else SessionStatus.CREATED

    # --- the one way in -----------------------------------------------------------------------------------

    def handle(self, event: ev.Event, now: float, unix_s: float | None = None) -> list[ev.Action]:
        """Take one event and say what to do.

        Parameters
        ----------
        now
            Seconds, by the clock of the deadline and of all waits: it only goes forward.
        unix_s
            The time on the wall, which an invoice's expiry goes by and which anybody may set; `now`, if not given.

        Raises
        ------
        SessionError
            Where the machine would break an invariant.
        """
        before = self.state
        allowed = TRANSITIONS.get((before, type(event)))
        if allowed is None:
            return []
        self._unix_s = now if unix_s is None else unix_s
        actions = self._dispatch(event, now)
        if self.state is not State.IN_FLIGHT:
            self._staging.drop()
        # News that is old or told twice (a void query, a part that is over) leaves every state as it is.
        if self.state is not before and self.state not in allowed:
            raise SessionError(f"{before.name} went to {self.state.name} on {type(event).__name__}")
        if not isinstance(event, ev.Crashed):
            decided = self._verdict is not None
            check(self.terms, self._ledger, self.result, self._questions.requested_msat, decided, actions)
        return actions

    def _dispatch(self, event: ev.Event, now: float) -> list[ev.Action]:
        match event:
            case ev.Started(adopted):
                return self._start(adopted, now)
            case ev.RoutesFound(query_id, routes):
                return self._send(routes, now) if self._questions.answered(query_id) else []
            case ev.NoRouteFound(query_id, why):
                return self._give_up(why, now) if self._questions.answered(query_id) else []
            case ev.AttemptAccepted(partid):
                self._ledger.mark(partid, AttemptStatus.INFLIGHT, only_from=AttemptStatus.CREATED)
                return []
            case ev.AttemptSettled(partid, preimage):
                return self._settled(partid, preimage)
            case ev.AttemptFailed(partid, failure, sent_height):
                return self._failed(partid, failure, sent_height + self.terms.behind_blocks, now)
            case ev.HashTaken(partid, reason):
                return self._taken(partid, reason)
            case ev.TimerFired():
                return self._timer(now)
            case ev.PeersBack():
                return self._wake(now)
            case ev.HeightReached(height):
                return self._request(now) if height >= self._height_wanted else []
            case ev.Cancelled(error):
                return self._conclude(ev.NotPaid(words.cancelled(error)))
            case ev.Crashed(result, settled):
                return self._crashed(result, settled)

    # --- events -------------------------------------------------------------------------------------------

    def _start(self, adopted: tuple[ev.AdoptedPart, ...], now: float) -> list[ev.Action]:
        if self._questions.asked or self.attempts:
            return []
        self._ledger.adopt(adopted, now)
        self._many = len(adopted) > self.terms.limits.parts.usual_parts
        if self.terms.watched:
            return self._conclude(ev.NotPaid(words.watched_failed(self.terms)))
        if adopted and self._ledger.left_msat <= 0:
            self.state = State.IN_FLIGHT
            return [ev.WakeAt(self.terms.limits.deadline_s)]
        if self.terms.to_self:
            if (over := self._over(now)) is not None:
                return over
            # The host takes a payment to ourselves with partid 0 only, and there is no other route to try.
            amount = self.terms.amount_msat
            self.attempts[0] = Attempt(0, None, amount, amount, AttemptStatus.CREATED, now)
            self.state = State.IN_FLIGHT
            return [ev.SendAttempt(0, None)]
        return [ev.WakeAt(self.terms.limits.deadline_s), *self._request(now)]

    def _send(self, routes: tuple[Route, ...], now: float, *, late: bool = False) -> list[ev.Action]:
        if (over := self._over(now)) is not None:
            return over
        planned_msat, left_msat = sum(route.amount_msat for route in routes), self._ledger.left_msat
        if planned_msat != left_msat or any(route.amount_msat <= 0 for route in routes):
            raise SessionError(f"a plan for {planned_msat} msat where {left_msat} msat are left to pay")
        self._many |= len(routes) > self.terms.limits.parts.usual_parts
        actions: list[ev.Action] = []
        if not late:
            last_s = min(self.terms.limits.deadline_s, now + self.terms.expires_at_s - self._unix_s)
            routes = self._staging.stage(routes, self.attempts.values(), now, last_s, scout=self.waits.woken)
        for route in routes:
            partid = self._ledger.create(route, now, late=late)
            self._learnt.planned(partid)
            actions.append(ev.SendAttempt(partid, route))
        self.waits.sent()
        self.state = State.IN_FLIGHT
        return [*actions, ev.WakeAt(self._staging.until_s)] if self._staging else actions

    def _give_up(self, why: NoRoute, now: float) -> list[ev.Action]:
        """No route: what is worth a wait, and what is the end, see `patience`."""
        late, known = 0 < len(why.late) <= self._late.left(now), self._learnt.restrictions
        match decide(self.waits.outlook(why, known, self.terms, now, out=bool(self.live), late=late)):
            case Pause() | AskPeers() as wait:
                return self._pause(wait, now, why)
            case AwaitParts():
                self.state = State.IN_FLIGHT
                return []
            case TryLate():
                return self._send(self._late.take(why, now), now, late=True)
            case GiveUp(End.TIME, what_for):
                return self._too_late(what_for)
            case GiveUp():
                return self._no_route(why)

    def _no_route(self, why: NoRoute) -> list[ev.Action]:
        why, sent = self._late.why or why, (len(self.attempts), self._late.parts)
        return self._conclude(ev.NotPaid(words.no_route(self.terms, why, self.failures, *sent)))

    def _settled(self, partid: int, preimage: bytes) -> list[ev.Action]:
        attempt = self.attempts.get(partid)
        if attempt is None or attempt.status is AttemptStatus.SETTLED:
            return []
        # A part that was reported failed and has a preimage all the same is paid: the preimage is the truth.
        self._ledger.mark(partid, AttemptStatus.SETTLED)
        self._learnt.settled(partid)
        self._questions.close()
        actions = self._finish(self._ledger.paid(preimage)) if self.result is None else []
        self.state = State.DRAINING_PAID if self.live else State.DONE
        return actions

    def _failed(self, partid: int, failure: Failure, sent_height: int, now: float) -> list[ev.Action]:
        attempt = self.attempts.get(partid)
        if attempt is None or not attempt.live:
            return []
        self.failures.append(FailedPart(partid, failure))
        out_s = now - attempt.started_s
        said = blame(attempt.route, failure, self.terms.destination, sent_height, out_s)
        self.attempts[partid] = replace(attempt, status=AttemptStatus.FAILED, failure=failure, blame=said)
        if self.state is State.DRAINING_PAID:
            self.state = State.DRAINING_PAID if self.live else State.DONE
            return []
        told = ev.Notify(words.part_failed(attempt, failure))
        return [told, *self._go_on(attempt, failure, said, now)]

    def _go_on(self, attempt: Attempt, failure: Failure, said: Blame, now: float) -> list[ev.Action]:
        """What follows from a part's failure."""
        partid, terms = attempt.partid, self.terms
        crowded = self._learnt.failed(attempt, said, self.live)
        # Of a payment to ourselves the host's word is the recipient's, unless there is a verdict already.
        if said.kind is Kind.REFUSED or (terms.to_self and self._verdict is None):
            return self._conclude(ev.NotPaid(words.refused(terms, attempt.route, failure)))
        if self._verdict is not None:
            return self._conclude(self._verdict)
        if said.kind is Kind.HEIGHT and said.height is not None:
            return self._wait_for_height(said.height, partid, now)
        if self.state in (State.WAITING_HEIGHT, State.PAUSING):
            self._ledger.mark(partid, AttemptStatus.RETRYING)
            return []
        in_a_row, naps = self.waits.part_failed(said.speaker), self.waits.naps(Wait.OWN_CHANNELS)
        match after_failure(in_a_row, naps, crowded):
            case Pause() as pause:
                self._ledger.mark(partid, AttemptStatus.RETRYING)
                return self._pause(pause, now)
            case PlanAnew():
                return self._request(now, retried=partid)

    def _taken(self, partid: int | None, reason: str) -> list[ev.Action]:
        if partid is not None:
            attempt = self.attempts.get(partid)
            if attempt is None or not attempt.live:
                return []
            self._ledger.mark(partid, AttemptStatus.FAILED)
        if self.state is State.DRAINING_PAID:
            self.state = State.DRAINING_PAID if self.live else State.DONE
            return []
        return self._conclude(ev.Elsewhere(reason))

    def _crashed(self, result: ev.Paid | ev.NotPaid, settled: frozenset[int] | None) -> list[ev.Action]:
        self._questions.close()
        if settled is not None:
            self._ledger.close(settled)
        actions = self._finish(result) if self.result is None else []
        self.state = State.DONE if settled is not None else State.DRAINING_PAID
        return actions

    def _timer(self, now: float) -> list[ev.Action]:
        if self.state is State.PAUSING and now < self.terms.limits.deadline_s:
            return [ev.WakeAt(self.waits.until_s)] if now < self.waits.until_s else self._wake(now)
        if self._staging and now < self._staging.until_s:
            return [ev.WakeAt(self._staging.until_s)]
        if now < self.terms.limits.deadline_s:
            sent = self._send(self._staging.routes, now) if self._staging else []
            return [ev.WakeAt(self.terms.limits.deadline_s), *sent]
        if self.state is State.IN_FLIGHT and not self._staging:
            return [ev.Notify(words.time_is_up(self.live, self.terms.limits.deadline_s - self.terms.created_at_s))]
        if self.state is State.WAITING_ROUTES and not self.attempts:
            # The first route is still being looked for: retry_for ends repetitions, not the first try.
            return []
        if self.state is State.PAUSING and (why := self.waits.cut_short()) is not None:
            return self._no_route(why)
        return self._too_late(self.waits.what_for if self.state is State.PAUSING else None)

    # --- steps --------------------------------------------------------------------------------------------

    def _wake(self, now: float) -> list[ev.Action]:
        """A pause is over: what was left alone for it may be tried again."""
        self._learnt.paused(self.waits.what_for, parts_out=bool(self.live))
        return [ev.WakeAt(self.terms.limits.deadline_s), *self._request(now)]

    def _wait_for_height(self, height: int, partid: int, now: float) -> list[ev.Action]:
        if (over := self._over(now)) is not None:
            return over
        self._questions.close()
        self._ledger.mark(partid, AttemptStatus.RETRYING)
        self._height_wanted = max(height, self._height_wanted)
        self.state = State.WAITING_HEIGHT
        return [
            ev.Notify(f"The recipient was ahead of us, at block {height}: trying again from there"),
            ev.WaitHeight(self._height_wanted),
            # Nothing else is sure to end this wait, and an earlier timer may have come while parts were out.
            ev.WakeAt(self.terms.limits.deadline_s),
        ]

    def _too_late(self, waited_for: Wait | None) -> list[ev.Action]:
        tries = len(self.attempts)
        return self._conclude(ev.NotPaid(words.stopped_retrying(self.terms, self.failures, tries, waited_for)))

    def _pause(self, wait: Pause | AskPeers, now: float, why: NoRoute | None = None) -> list[ev.Action]:
        if (over := self._over(now)) is not None:
            return over
        self._questions.close()
        self.state, deadline_s = State.PAUSING, self.terms.limits.deadline_s
        told = [ev.Notify(waiting(wait))] if self.waits.begin(wait, why, now, deadline_s) else []
        return [*told, ev.WakeAt(self.waits.until_s), *self.waits.asked(wait, why, now, deadline_s)]

    def _request(self, now: float, retried: int | None = None) -> list[ev.Action]:
        """Ask for routes for all that is neither delivered nor in flight; older questions become void."""
        if (over := self._over(now)) is not None:
            return over
        if retried is not None:
            self._ledger.mark(retried, AttemptStatus.RETRYING)
        self.state = State.WAITING_ROUTES
        # A payment that had a way in the usual number is not sent in crumbs over what has refused it then.
        many, late = self._many or not self.attempts, self._late.left(now)
        return [self._questions.find(self.terms, self._ledger, self._learnt, late, many=many)]

    def _over(self, now: float) -> list[ev.Action] | None:
        """The end, where no further part may be sent."""
        stop = words.must_stop(self.terms, now, self._unix_s, self.failures, len(self.attempts))
        return None if stop is None else self._conclude(ev.NotPaid(stop))

    def _conclude(self, verdict: ev.NotPaid | ev.Elsewhere) -> list[ev.Action]:
        """No new parts; answer now if nothing is out, else once nothing is."""
        self._questions.close()
        self._ledger.end_retries()
        if not isinstance(self._verdict, ev.Elsewhere):
            # Another group of this hash may still pay: no failure of a part of ours says that it did not.
            self._verdict = verdict
        if self.live:
            told = self.state is State.DRAINING_FAILED or self.terms.watched
            self.state = State.DRAINING_FAILED
            if told or not isinstance(self._verdict, ev.NotPaid):
                return []
            return [ev.Notify(words.still_out(self.live, self._verdict.error.code))]
        self.state = State.DONE
        return self._finish(self._verdict)

    def _finish(self, result: ev.Result) -> list[ev.Action]:
        if self.result is not None:
            raise SessionError("finished twice")
        self.result = result
        self._ledger.end_retries()
        return [ev.Finish(result)]
