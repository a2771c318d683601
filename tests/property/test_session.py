"""Random events, in any order, against an outside bookkeeper.

A script is a list of steps: answers of the planner (to the question that is open, to void ones, to ones never
asked), outcomes of parts (any part, any number of times, contradicting each other), timers, blocks, a clock that
jumps, cancellation, another group. At its end all that is out is resolved, and everybody must have been answered
exactly once. The `Bookkeeper` sees only what goes into the session and what comes out of it, keeps its own account
of the money, and knows nothing of the machine's states.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pay.payment import events as ev
from pay.payment.session import PaymentSession, SessionError
from pay.payment.states import SessionStatus
from pay.payment.terms import Terms
from pay.routing.query import NoRouteReason
from pay.units import ScidDir
from tests.support.bookkeeper import WORDS, begin
from tests.support.payments import NOW, node, scid, terms

# --- scripts --------------------------------------------------------------------------------------------------

PLANS = st.tuples(
    st.lists(st.integers(1, 5), min_size=1, max_size=4) | st.lists(st.integers(1, 5), min_size=6, max_size=9),
    st.integers(0, 100),
    st.integers(0, 100),
    st.sampled_from([1, 2, 9]),
)
"""Weights of the parts, how much of the fee budget and of the room for delay they use, in percent, and over how
many nodes they go."""

WHICH = st.integers(0, 5)
"""Counted from the newest part or question: 0 is the newest, 5 may be one that never was."""

FAILURES = [
    "no_balance", "no_balance", "unreadable", "policy", "node", "own", "own_says_unknown", "mid_says_unknown",
    "refused", "ahead", "ahead", "node_trouble", "no_reason", "asleep",
]  # fmt: skip

PROSPECTS = st.fixed_dictionaries(
    {
        "busy": st.booleans(),
        "resting": st.booleans(),
        "money": st.booleans(),
        "doors": st.integers(0, 4),
        "away": st.sampled_from([(), (), (node("p"),), (node("p"), node("q"))]),
    }
)
"""What may soon be otherwise where there is no route."""

OFTEN = {
    "routes": (12, st.tuples(st.sampled_from([0, 0, 0, 0, 0, 1, 2, 5]), PLANS)),
    "fail": (12, st.tuples(st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5]), st.sampled_from(FAILURES))),
    "accept": (2, st.tuples(WHICH)),
    "height": (3, st.tuples(st.integers(0, 3))),
    "clock": (2, st.tuples(st.sampled_from([0.001, 0.5, 1, 1, 20, 59.999, 60, 3_600, -30, -0.001]))),
    "timer": (2, st.tuples()),
    "settle": (1, st.tuples(st.sampled_from([0, 1, 1, 2, 3, 5]))),
    "taken": (1, st.tuples(WHICH)),
    "start": (1, st.tuples()),
    "no_route": (2, st.tuples(st.sampled_from([0, 0, 1, 5]), st.sampled_from(list(NoRouteReason)), PROSPECTS)),
    "peers": (1, st.tuples()),
    "cancel": (1, st.tuples(st.sampled_from(WORDS))),
}
"""Steps, how often, and with what: the ends of payments are rarer than what happens on the way."""

KINDS = [kind for kind, (weight, _) in OFTEN.items() for _ in range(weight)]
STEPS = st.sampled_from(KINDS).flatmap(lambda kind: OFTEN[kind][1].map(lambda fields: (kind, *fields)))


def _shadowed(blocks: int, limit: int, kind: str, payment: Terms) -> Terms:
    """With a delay and the largest fee that its limit allows, where we send and it is to somebody else."""
    return payment.with_shadow(blocks, min(blocks, limit // 4)) if kind in ("ours", "resumed") else payment


TERMS = st.builds(
    lambda amount, limit, parts, tries, retry, expiry, kind, blocks, behind: _shadowed(
        blocks,
        limit,
        kind,
        terms(
            amount,
            max_fee_msat=limit,
            max_parts=parts,
            max_attempts=tries,
            deadline_s=NOW + retry,
            expires_at_s=NOW + expiry,
            to_self=kind == "self",
            watched=kind == "watched",
            first_partid=5 if kind == "resumed" else 1,
            behind_blocks=behind,
            wakeable=frozenset(ScidDir(scid(10 * number + 3), 0) for number in range(4)),
        ),
    ),
    st.sampled_from([100_000, 100_000, 100_000, 7, 1, 10**18]),
    st.sampled_from([5_000, 5_000, 10**9, 1, 0]),
    st.sampled_from([9, 9, 4, 3, 2, 1]),
    st.sampled_from([100, 100, 100, 5, 2, 1]),
    st.sampled_from([60, 60, 60, 10_000, 1, 0]),
    st.sampled_from([3_600] * 8 + [30, 0, -1]),
    st.sampled_from(["ours"] * 16 + ["self", "watched", "resumed"]),
    st.sampled_from([0, 0, 40, 400]),
    st.sampled_from([0, 0, 0, 100]),
)

SCRIPTS = st.lists(STEPS, min_size=8, max_size=40)
ENDS = st.lists(st.sampled_from([*FAILURES, "settle"]), min_size=1, max_size=4)
EXAMPLES = settings(max_examples=max(600, settings().max_examples))


@EXAMPLES
@given(TERMS, SCRIPTS, ENDS)
def test_any_events_in_any_order(payment: Terms, script: list, ends: list[str]) -> None:
    """1 to 5 after every step; when all is resolved there was exactly one answer; and 6: told the same again,
    another session does the same."""
    book = begin(payment)
    for step in script:
        book.step(step)
    book.resolve(ends)
    assert len(book.finishes) == 1
    paid = isinstance(book.finishes[0], ev.Paid)
    assert book.session.status is (SessionStatus.SUCCESS if paid else SessionStatus.FAILED)
    again = PaymentSession(payment)
    assert [plain(again.handle(event, now)) for event, now in book.log] == [plain(made) for made in book.actions]


def plain(actions: list[ev.Action]) -> list[Any]:
    """Actions that can be compared: an exception is equal to itself only."""
    return [
        (a.result.error.code, a.result.error.message, a.result.error.facts)
        if isinstance(a, ev.Finish) and isinstance(a.result, ev.NotPaid)
        else a
        for a in actions
    ]


@given(TERMS, SCRIPTS, st.sampled_from(["more", "less", "none", "fee", "delay"]))
def test_a_planner_that_breaks_its_question(payment: Terms, script: list, how: str) -> None:
    """At any point of any payment: an error instead of a part."""
    book = begin(payment)
    for step in script:
        book.step(step)
    if not book.questions:
        return
    query = book.questions[-1].query
    amount, fee, delay = query.amount_msat, query.max_fee_msat, query.max_delay - query.final_cltv
    routes = {
        "more": (book._route(amount + 1, 0, 0, 1),),
        "less": (book._route(amount - 1, 0, 0, 1),),
        "none": (),
        "fee": (book._route(amount, fee + 1, 0, 1),),
        "delay": (book._route(amount, 0, delay + 1, 1),),
    }[how]
    honest, query_id = PaymentSession(payment), book.questions[-1].query_id
    for event, now in book.log:
        honest.handle(event, now)
    waited_for = honest.handle(ev.RoutesFound(query_id, (book._route(amount, fee, delay, 1),)), book.now)
    lie = ev.RoutesFound(query_id, routes)
    if any(isinstance(action, ev.SendAttempt) for action in waited_for):
        with pytest.raises(SessionError):
            book.session.handle(lie, book.now)
    else:
        assert not any(isinstance(action, ev.SendAttempt) for action in book.session.handle(lie, book.now))
