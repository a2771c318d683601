"""One payment as a pure state machine: it is told what happened and says what to do next.

`handle(event, now)` is the only thing that changes a session; the same events give the same actions. What holds
after every event is in `invariants`.

What it does not do: choose routes (the planner), know balances (the beliefs), speak JSON (`commands`).
"""

from __future__ import annotations

from pay.feedback.blame import Blame, Kind, blame
from pay.feedback.failure import Failure
from pay.payment import events as ev
from pay.payment import verdict as words
from pay.payment.attempt import Attempt, FailedPart
from pay.payment.ending import Ending
from pay.payment.invariants import SessionError, check
from pay.payment.late import LateGossip
from pay.payment.learnt import Learnt
from pay.payment.ledger import Ledger
from pay.payment.patience import (
    AwaitParts,
    End,
    GiveUp,
    Pause,
    PauseForPeers,
    PlanAnew,
    TryLate,
    Wait,
    after_failure,
    decide,
    waiting,
)  # fmt: skip
from pay.payment.route_query import RouteQueries
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
    waits
        What was and is waited for.
    """

    def __init__(self, terms: Terms):
        self.terms = terms
        self.state = State.WAITING_ROUTES
        self._ledger = Ledger(terms)
        self.attempts = self._ledger.attempts
        self._ending = Ending(terms, self._ledger)
        self._queries = RouteQueries()
        self._unix_s = terms.created_at_s
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
        """RouteQueries asked of the planner."""
        return self._queries.asked

    @property
    def verdict(self) -> ev.NotPaid | ev.Elsewhere | None:
        """What the answer will be if nothing that is out settles; None while more may be tried."""
        return self._ending.verdict

    @property
    def result(self) -> ev.Result | None:
        """What `Finish` answered; None before that."""
        return self._ending.result

    @property
    def paid(self) -> ev.Paid | None:
        """The success, with the figures of now: parts that were out when it was answered may have ended since."""
        return self._ending.paid

    @property
    def failures(self) -> list[FailedPart]:
        """Of parts, in their order."""
        return self._ledger.failures

    @property
    def delivered_msat(self) -> int:
        return self._ledger.sums.delivered_msat

    @property
    def in_flight_msat(self) -> int:
        return self._ledger.sums.in_flight_msat

    @property
    def status(self) -> SessionStatus:
        return self._ending.status

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
            decided = self.verdict is not None
            check(self.terms, self._ledger, self.result, self._queries.requested_msat, decided, actions)
        return actions

    def _dispatch(self, event: ev.Event, now: float) -> list[ev.Action]:
        match event:
            case ev.Started(found):
                return self._start(found, now)
            case ev.RoutesFound(query_id, routes):
                return self._send(routes, now) if self._queries.answered(query_id) else []
            case ev.NoRouteFound(query_id, why):
                return self._give_up(why, now) if self._queries.answered(query_id) else []
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

    def _start(self, found: tuple[ev.FoundPart, ...], now: float) -> list[ev.Action]:
        if self._queries.asked or self.attempts:
            return []
        self._ledger.take_up(found, now)
        self._many = len(found) > self.terms.limits.parts.usual_parts
        if self.terms.watched:
            return self._conclude(ev.NotPaid(words.watched_failed(self.terms)))
        if found and self._ledger.left_msat <= 0:
            self.state = State.IN_FLIGHT
            return [ev.WakeAt(self.terms.limits.deadline_s)]
        if self.terms.to_self:
            if (over := self._over(now)) is not None:
                return over
            # The host takes a payment to ourselves with partid 0 only, and there is no other route to try.
            self.state = State.IN_FLIGHT
            return [ev.SendAttempt(self._ledger.create_to_us(now), None)]
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
            case Pause() | PauseForPeers() as wait:
                return self._pause(wait, now, why)
            case AwaitParts():
                self.state = State.IN_FLIGHT
                return []
            case TryLate():
                return self._send(self._late.take(why, now), now, late=True)
            case GiveUp(End.TIME, what_for):
                return self._conclude(self._ending.too_late(what_for))
            case GiveUp():
                return self._conclude(self._ending.no_route(why, self._late))

    def _settled(self, partid: int, preimage: bytes) -> list[ev.Action]:
        attempt = self.attempts.get(partid)
        if attempt is None or attempt.status is AttemptStatus.SETTLED:
            return []
        # A part that was reported failed and has a preimage all the same is paid: the preimage is the truth.
        self._ledger.mark(partid, AttemptStatus.SETTLED)
        self._learnt.settled(partid)
        self._queries.close()
        actions = self._ending.answer(self._ledger.paid(preimage)) if self.result is None else []
        self.state = self._draining_paid()
        return actions

    def _failed(self, partid: int, failure: Failure, sent_height: int, now: float) -> list[ev.Action]:
        attempt = self.attempts.get(partid)
        if attempt is None or not attempt.live:
            return []
        out_s = now - attempt.started_s
        said = blame(attempt.route, failure, self.terms.destination, sent_height, out_s)
        self._ledger.fail(partid, failure, said)
        if self.state is State.DRAINING_PAID:
            self.state = self._draining_paid()
            return []
        told = ev.Notify(words.part_failed(attempt, failure))
        return [told, *self._go_on(attempt, failure, said, now)]

    def _go_on(self, attempt: Attempt, failure: Failure, said: Blame, now: float) -> list[ev.Action]:
        """What follows from a part's failure."""
        partid, terms = attempt.partid, self.terms
        crowded = self._learnt.failed(attempt, said, self.live)
        # Of a payment to ourselves the host's word is the recipient's, unless there is a verdict already.
        if said.kind is Kind.REFUSED or (terms.to_self and self.verdict is None):
            return self._conclude(ev.NotPaid(words.refused(terms, attempt.route, failure)))
        if self.verdict is not None:
            return self._conclude(self.verdict)
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
            self.state = self._draining_paid()
            return []
        return self._conclude(ev.Elsewhere(reason))

    def _crashed(self, result: ev.Paid | ev.NotPaid, settled: frozenset[int] | None) -> list[ev.Action]:
        self._queries.close()
        if settled is not None:
            self._ledger.close(settled)
        actions = self._ending.answer(result) if self.result is None else []
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
            return self._conclude(self._ending.no_route(why, self._late))
        what_for = self.waits.what_for if self.state is State.PAUSING else None
        return self._conclude(self._ending.too_late(what_for))

    # --- steps --------------------------------------------------------------------------------------------

    def _wake(self, now: float) -> list[ev.Action]:
        """A pause is over: what was left alone for it may be tried again."""
        self._learnt.paused(self.waits.what_for, parts_out=bool(self.live))
        return [ev.WakeAt(self.terms.limits.deadline_s), *self._request(now)]

    def _wait_for_height(self, height: int, partid: int, now: float) -> list[ev.Action]:
        if (over := self._over(now)) is not None:
            return over
        self._queries.close()
        self._ledger.mark(partid, AttemptStatus.RETRYING)
        self._height_wanted = max(height, self._height_wanted)
        self.state = State.WAITING_HEIGHT
        return [
            ev.Notify(f"The recipient was ahead of us, at block {height}: trying again from there"),
            ev.WaitHeight(self._height_wanted),
            # Nothing else is sure to end this wait, and an earlier timer may have come while parts were out.
            ev.WakeAt(self.terms.limits.deadline_s),
        ]

    def _pause(self, wait: Pause | PauseForPeers, now: float, why: NoRoute | None = None) -> list[ev.Action]:
        if (over := self._over(now)) is not None:
            return over
        self._queries.close()
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
        return [self._queries.find(self.terms, self._ledger, self._learnt, late, many=many)]

    def _over(self, now: float) -> list[ev.Action] | None:
        """The end, where no further part may be sent."""
        stop = self._ending.over(now, self._unix_s)
        return None if stop is None else self._conclude(stop)

    def _conclude(self, verdict: ev.NotPaid | ev.Elsewhere) -> list[ev.Action]:
        """No new parts; answer now if nothing is out, else once nothing is."""
        self._queries.close()
        verdict = self._ending.decide(verdict)
        if self.live:
            told = self.state is State.DRAINING_FAILED or self.terms.watched
            self.state = State.DRAINING_FAILED
            return [] if told else self._ending.still_out()
        self.state = State.DONE
        return self._ending.answer(verdict)

    def _draining_paid(self) -> State:
        """It is paid: whether anything of it is still out."""
        return State.DRAINING_PAID if self.live else State.DONE
