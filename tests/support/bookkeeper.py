"""An account of a payment's money, kept from outside a session, for `tests/property/test_session.py`.

The `Bookkeeper` sees only what goes into the session and what comes out of it, and knows nothing of its states but
whether it waits for parts."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from pay.commands.form.errors import error_data
from pay.commands.pay import success_json
from pay.errors import Code, PayError
from pay.feedback.failure import FailCode, Failure
from pay.network.policy import Policy
from pay.payment import events as ev
from pay.payment.receipt import Receipt
from pay.payment.session import PaymentSession
from pay.payment.standing import PaymentFailed, standing_of
from pay.payment.states import State
from pay.payment.terms import Terms
from pay.routing.query import Hop, NoRoute, NoRouteReason, Route
from pay.units import NodeId, ScidDir
from tests.support.payments import HEIGHT, NOW, failed, node, scid, unknown_payment, update_bytes

FINAL_WORDS = ("incorrect_or_unknown_payment_details", "invoice expired")
OURS_TO_SAY = {-1, 203, 205, 206, 207, 210}

WORDS = ["WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS", "Invoice expired", "x"]
"""What hosts and nodes may say."""


class Bookkeeper:
    """Feeds a session and checks all that comes out of it against an account of its own.

    Attributes
    ----------
    sent
        partid -> (delivers, leaves us), as ordered by the session.
    out
        Parts that nobody has told the end of.
    log
        All events with their times, and all actions, to be replayed.
    """

    def __init__(self, payment: Terms):
        self.terms, self.limits = payment, payment.limits
        self.session = PaymentSession(payment)
        self.now = NOW
        self.height = HEIGHT
        self.sent: dict[int, tuple[int, int]] = {}
        self.routes: dict[int, Route] = {}
        self.out: set[int] = set()
        self.settled: set[int] = set()
        self.questions: list[ev.FindRoutes] = []
        self.open_question: int | None = None
        self.over = False
        self.elsewhere = False
        self.finishes: list[ev.Result] = []
        self.log: list[tuple[ev.Event, float]] = []
        self.actions: list[list[ev.Action]] = []
        self.wake_at: float | None = None
        self.began: dict[int, float] = {}
        self.forwarded: set[NodeId] = set()
        self.set_back = False
        self.asked: set[NodeId] = set()

    # --- steps --------------------------------------------------------------------------------------------

    def step(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("routes", which, plan):
                self.answer(which, plan)
            case ("no_route", which, reason, *prospects):
                query_id = self._question(which)
                news = query_id == self.open_question
                self.open_question = None if news else self.open_question
                why = NoRoute(reason, "none", fee_msat=7, delay_blocks=9, **dict(*prospects))
                actions = self.tell(ev.NoRouteFound(query_id, why))
                # It ends the search, but where something may soon be otherwise, or parts that are out come back.
                assert not any(isinstance(action, ev.FindRoutes | ev.SendAttempt) for action in actions)
                awaits = self.session.state is State.IN_FLIGHT and bool(self.out)
                self.over |= news and not awaits and not any(isinstance(a, ev.WakeAt) for a in actions)
            case ("accept", which):
                self.tell(ev.AttemptAccepted(self._part(which)))
            case ("settle", which):
                self.settle(self._part(which))
            case ("fail", which, kind):
                self.fail(self._part(which), kind)
            case ("taken", which):
                self.taken(self._part(which))
            case ("timer",):
                self.tell(ev.TimerFired())
            case ("peers",):
                self.tell(ev.PeersBack())
            case ("height", blocks):
                self.height += blocks
                self.tell(ev.HeightReached(self.height))
            case ("cancel", words):
                self.over = True
                self.tell(ev.Cancelled(PayError(Code.OTHER, f"The node said: {words}")))
            case ("start",):
                self.tell(ev.Started())
            case ("clock", seconds):
                self.now += seconds
                self.set_back |= seconds < 0
                if self.wake_at is not None and self.now >= self.wake_at:
                    self.tell(ev.TimerFired())

    def answer(self, which: int, plan: tuple[list[int], int, int, int]) -> None:
        """Routes that keep to their question, whichever that is."""
        query_id = self._question(which)
        asked = next((q.query for q in self.questions if q.query_id == query_id), None)
        if asked is None:
            self.tell(ev.RoutesFound(query_id, (self._route(1, 0, 0, 1),)))
            return
        weights, fee_percent, delay_percent, nodes = plan
        weights = weights[: min(asked.max_parts, asked.amount_msat)]
        amounts = [asked.amount_msat * weight // sum(weights) for weight in weights]
        amounts[0] += asked.amount_msat - sum(amounts)
        amounts = [amount for amount in amounts if amount]
        fee = asked.max_fee_msat * fee_percent // 100 // len(amounts)
        delay = (asked.max_delay - asked.final_cltv) * delay_percent // 100
        routes = tuple(self._route(amount, fee, delay, i, i % nodes) for i, amount in enumerate(amounts))
        void = query_id != self.open_question
        self.open_question = None if not void else self.open_question
        actions = self.tell(ev.RoutesFound(query_id, routes))
        # 5: an answer to an old question, or the same answer again, does nothing.
        assert not (void and actions)

    def settle(self, partid: int) -> None:
        known = partid in self.sent
        was_over = bool(self.finishes)
        if known:
            self.out.discard(partid)
            self.settled.add(partid)
            self.open_question = None
        preimage = bytes([partid % 256]) * 32
        actions = self.tell(ev.AttemptSettled(partid, preimage), known)
        if known and not was_over:
            # 4: the first preimage is a success, at once.
            (finish,) = actions
            assert isinstance(finish, ev.Finish) and isinstance(finish.result, ev.Paid)
            assert finish.result.preimage == preimage
        else:
            assert actions == []

    def fail(self, partid: int, kind: str) -> None:
        news = partid in self.out
        self.out.discard(partid)
        failure = self._failure(partid, kind)
        if partid in self.routes and failure.erring_index is not None:
            self.forwarded |= {hop.node for hop in self.routes[partid].hops[: max(0, failure.erring_index - 1)]}
        if news:
            # A part to ourselves, or of somebody else: there is no other way to try. One of an earlier life
            # of ours, whose route is forgotten, is tried again.
            self.over |= kind == "refused" if partid in self.routes else self.terms.first_partid == 1
        actions = self.tell(ev.AttemptFailed(partid, failure, self.height))
        if not news:
            assert actions == [], "an end that was known already"

    def taken(self, partid: int) -> None:
        if partid in self.out:
            self.out.discard(partid)
            self.over = self.elsewhere = True
        self.tell(ev.HashTaken(partid, "in progress"))

    def resolve(self, ends: list[str]) -> None:
        """Everything that is out ends, and time passes: after that, all callers have an answer."""
        for round_ in range(400):
            if self.finishes and not self.out:
                return
            for i, partid in enumerate(sorted(self.out)):
                end = ends[(round_ + i) % len(ends)]
                if end == "settle":
                    self.settle(partid)
                else:
                    self.fail(partid, end)
            self.now = max(self.now, self.limits.deadline_s + round_)
            if self.open_question is not None:
                self.step(("no_route", 0, NoRouteReason.UNREACHABLE))
            self.step(("timer",))
            self.step(("height", 1_000))
        raise AssertionError("the payment never ends")

    # --- the account ----------------------------------------------------------------------------------------

    def tell(self, event: ev.Event, preimage: bool = False) -> list[ev.Action]:
        tried_before = bool(self.sent)
        self.log.append((event, self.now))
        if isinstance(event, ev.TimerFired):
            self.wake_at = None
        actions = self.session.handle(event, self.now)
        self.actions.append(actions)
        stop = self.over or bool(self.settled) or bool(self.finishes)
        stop |= self.now > self.terms.expires_at_s
        # A first try is made however short retry_for is.
        stop |= tried_before and self.now >= self.limits.deadline_s
        if self.terms.watched:
            stop = True
        for action in actions:
            match action:
                case ev.SendAttempt(partid, route):
                    assert not stop, "3: a part after the end"
                    self._ordered(partid, route)
                case ev.FindRoutes():
                    assert not stop, "3: a question after the end"
                    self._asked(action)
                case ev.WaitHeight(height):
                    assert not stop and height > self.height
                    self.open_question = None
                case ev.Finish(result):
                    self._finished(result)
                case ev.WakeAt(at_s):
                    begins = isinstance(event, ev.Started)
                    assert self.now < at_s <= self.limits.deadline_s or begins or not tried_before
                    self.wake_at = at_s
                case ev.AskPeers(peers, missed, until_s):
                    assert self.now < until_s <= min(self.limits.deadline_s, self.now + 10)
                    assert missed and not self.asked & set(peers) and set(peers) <= set(missed)
                    self.asked |= set(peers)
                case ev.Notify():
                    pass
        self._within_limits()
        if not (self.finishes or self.out or self.open_question):
            assert self.wake_at is not None and self.wake_at <= self.limits.deadline_s, "a wait without an end"
        if any(isinstance(action, ev.SendAttempt) for action in actions):
            self._a_handful()
        return actions

    def _a_handful(self) -> None:
        """7: what waits is sent before long, and five parts at most hang on a node that has forwarded nothing."""
        hanging = Counter[NodeId]()
        for partid in self.out & set(self.routes):
            for place, hop in enumerate(self.routes[partid].hops[:-1], 1):
                if self.now >= self.began[partid] + place / 2:
                    self.forwarded.add(hop.node)
                hanging[hop.node] += 1
        if self.set_back:
            return
        last_s, held_s = min(self.limits.deadline_s, self.terms.expires_at_s), self.now - 30
        if self._committed()[0] < self.terms.amount_msat:
            assert self.wake_at is not None and self.now < self.wake_at < min(self.now + 1.001, last_s)
        most = max((parts for name, parts in hanging.items() if name not in self.forwarded), default=0)
        hurried = last_s - self.now <= 1 or any(self.began.get(partid, NOW) <= held_s for partid in self.out)
        assert most <= 5 or hurried, f"{most} parts on the word of one node"

    def _ordered(self, partid: int, route: Route | None) -> None:
        assert partid not in self.sent, "a partid is never used again"
        assert (partid == 0) == (route is None) == self.terms.to_self
        assert not self.sent or partid > max(self.sent)
        amount = self.terms.amount_msat
        self.sent[partid] = (amount, amount) if route is None else (route.amount_msat, route.sent_msat)
        if route is not None:
            self.routes[partid], self.began[partid] = route, self.now
            assert route.delay_blocks <= self.limits.max_delay_blocks + self.terms.behind_blocks, "2: the delay"
        self.out.add(partid)

    def _asked(self, action: ev.FindRoutes) -> None:
        assert all(action.query_id > old.query_id for old in self.questions)
        self.questions.append(action)
        self.open_question = action.query_id
        query = action.query
        assert query.amount_msat > 0, "1: a question for nothing"
        assert query.max_fee_msat >= 0 and query.max_parts >= 1
        delivered, fees = self._committed()
        assert delivered + query.amount_msat == self.terms.amount_msat, "1: what is missing, no more and no less"
        fees += self.terms.shadow_fee_msat
        assert fees + query.max_fee_msat == self.limits.max_fee_msat, "2: what the others leave of the budget"
        assert query.max_delay == self.limits.max_delay_blocks + self.terms.behind_blocks
        assert query.final_cltv == self.terms.final_cltv + self.terms.behind_blocks
        assert query.shadow_blocks == self.terms.shadow_blocks

    def _finished(self, result: ev.Result) -> None:
        self.finishes.append(result)
        assert len(self.finishes) == 1, "4: two answers"
        self.open_question = None
        match result:
            case ev.Paid():
                assert self.settled
                counted = [self.sent[partid][1] for partid in self.out | self.settled]
                assert result.sent_msat == sum(counted)
                # Numbers start at 1; lower ones than those found were used before.
                assert result.parts == max(len(self.sent), *self.sent)
                assert result.incomplete == bool(self.out)
                assert result.amount_msat == self.terms.amount_msat - self.terms.shadow_fee_msat
                json.dumps(success_json(Receipt(self.terms.payment_hash, self.terms.destination, 0, result)))
            case ev.NotPaid(error):
                assert not self.out and not self.settled, "4: an error while a part is out"
                assert not self.elsewhere, "surely unpaid, while another group may pay"
                assert error.code in OURS_TO_SAY
                self._words_are_kept_for_verdicts(error)
            case ev.Elsewhere():
                assert not self.out and not self.settled and self.elsewhere

    def _words_are_kept_for_verdicts(self, error: PayError) -> None:
        data = error_data(PaymentFailed(error, standing_of(self.session)))
        text = (error.message + json.dumps(data)).lower()
        unknown, expired = (words in text for words in FINAL_WORDS)
        assert unknown <= (error.code == 203 and data.get("failcode") == 0x400F)
        assert expired <= (error.code == 207)
        assert "failed" in {data["status"]} and data["sendpay_tries"] == len(self.sent)
        assert all(attempt["status"] == "failed" for attempt in data["attempts"])

    def _committed(self) -> tuple[int, int]:
        """msat that arrive and msat of fees, of all parts that are paid or may be."""
        counted = [self.sent[partid] for partid in self.out | self.settled]
        return sum(amount for amount, _ in counted), sum(sent - amount for amount, sent in counted)

    def _within_limits(self) -> None:
        if self.terms.watched or self.settled:
            return
        delivered, fees = self._committed()
        assert delivered <= self.terms.amount_msat, "1: more than the amount"
        assert fees + self.terms.shadow_fee_msat <= self.limits.max_fee_msat, "2: more than the fee limit"

    # --- making things up -----------------------------------------------------------------------------------

    def _part(self, which: int) -> int:
        parts = sorted(self.sent, reverse=True)
        return parts[which] if which < len(parts) else 50_000 + which

    def _question(self, which: int) -> int:
        return self.questions[-1 - which].query_id if which < len(self.questions) else 50_000 + which

    def _route(self, amount_msat: int, fee_msat: int, delay: int, number: int, by: int | None = None) -> Route:
        """us ─ a ─ b ─ d, with the whole fee at a; the channels are those of `number`, the nodes those of `by`."""
        base, by = 10 * number + 1, number if by is None else by
        final = self.terms.final_cltv + self.terms.behind_blocks
        return Route(
            (
                Hop(scid(base), 0, node(f"a{by}"), amount_msat + fee_msat, final + delay),
                Hop(scid(base + 1), 1, node(f"b{by}"), amount_msat, final),
                Hop(scid(base + 2), 0, node("d"), amount_msat, final),
            ),
            probability=0.5,
        )

    @property
    def _network_height(self) -> int:
        return self.height + self.terms.behind_blocks

    def _failure(self, partid: int, kind: str) -> Failure:
        code = FailCode.TEMPORARY_CHANNEL_FAILURE
        match kind:
            case "no_balance":
                return failed(1, code)
            case "policy":
                update = update_bytes(ScidDir(scid(2), 1), Policy(9, 9, 50, 1, 10**18, True, 3))
                return failed(1, FailCode.FEE_INSUFFICIENT, update=update)
            case "node":
                return failed(2, FailCode.TEMPORARY_NODE_FAILURE)
            case "own":
                return Failure(0, code, "Capacity exceeded")
            case "own_says_unknown":
                return Failure(0, FailCode.UNKNOWN_PAYMENT, " ".join(WORDS))
            case "mid_says_unknown":
                return unknown_payment(1 + partid % 2, self._network_height + 5)
            case "asleep":
                return failed(2, FailCode.UNKNOWN_NEXT_PEER)
            case "refused":
                return unknown_payment(3, self._network_height)
            case "ahead":
                return unknown_payment(3, self._network_height + 1 + partid % 2)
            case "node_trouble":
                return failed(3, FailCode.MPP_TIMEOUT)
            case "no_reason":
                return Failure(None, None, " ".join(WORDS))
        return Failure(None, 0xC005)


def begin(payment: Terms) -> Bookkeeper:
    book = Bookkeeper(payment)
    half, fee = payment.amount_msat // 2, (payment.limits.max_fee_msat - payment.shadow_fee_msat) // 3
    found: tuple[ev.FoundPart, ...] = ()
    if payment.watched:
        book.over = True
        found = (ev.FoundPart(3, 50_000, 50_500), ev.FoundPart(4, 50_000, 50_700))
    elif payment.first_partid > 1 and half:
        # Ours, from before a restart: one half is out, or all of it.
        found = (ev.FoundPart(3, half, half + fee), ev.FoundPart(4, half, half + fee))[: 1 + half % 2]
    for part in found:
        book.sent[part.partid] = (part.amount_msat, part.sent_msat)
        book.out.add(part.partid)
    book.tell(ev.Started(found))
    return book
