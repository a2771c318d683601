"""From the end of a part to the beliefs, and from them to the datastore's pieces: what the edge does between."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from pay.app import options
from pay.engine.live import learning
from pay.engine.live.learning import Learning
from pay.engine.live.out import Out
from pay.feedback.failure import FailCode, Failure
from pay.feedback.observations import Ended
from pay.liquidity import prior
from pay.liquidity.beliefs import Believed, LiquidityBeliefs
from pay.liquidity.experience import NodeBelief
from pay.liquidity.facts import table_of
from pay.liquidity.forgetting import DEFAULT_FAILURE_S, DEFAULT_SUCCESS_S
from pay.liquidity.in_flight import Fate, InFlight, Part
from pay.liquidity.knowledge import NOTHING_KNOWN
from pay.network import ChannelGraph, OwnChannel
from pay.payment.attempt import Attempt
from pay.payment.states import AttemptStatus
from pay.router import scorer as memory
from pay.router.liquidity_store import PIECE_ENTRIES, cut
from pay.router.scorer import KNOWLEDGE_S, Remembering, Scorer
from pay.units import Scid, ScidDir
from tests.support.payments import NOW, blamed, failed, line, no_balance, node, scid

ROUTE = line(100_000, "abc")
HOLDS = tuple((hop.scid_dir, hop.amount_msat) for hop in ROUTE.hops[1:])
C = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW

    def time(self) -> float:
        return self.now_s


class Told:
    """A planner that only listens."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []

    def learn(self, ended: Ended) -> None:
        self.ended.append(ended)


class Payment:
    """One of the payments in work; by its identity, as those of the driver are."""

    def __init__(self, session: Any):
        self.session = session


class Table(dict[bytes, Any]):
    """Payments in work, each one with its attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.all_out = Out()

    def out(self, name: str, began_s: float = NOW, status: AttemptStatus = AttemptStatus.INFLIGHT) -> Attempt:
        attempt = Attempt(1, ROUTE, 100_000, 102_000, status, began_s)
        terms = SimpleNamespace(payment_hash=name.encode())
        session = SimpleNamespace(attempts={attempt.partid: attempt}, live=[attempt], terms=terms)
        if name.encode() in self:
            self.all_out.leave(self[name.encode()])
        running = self[name.encode()] = Payment(session)
        self.all_out.follow(running)  # type: ignore[arg-type]
        return attempt

    def end(self, name: str, status: AttemptStatus, failure: Failure | None = None) -> Attempt:
        running = self.pop(name.encode())
        (attempt,) = running.session.live
        self.all_out.leave(running)
        said = None if failure is None else blamed(ROUTE, failure)
        return Attempt(1, attempt.route, 100_000, 102_000, status, attempt.started_s, failure, said)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(memory, "time", clock)
    return clock


# --- which parts were out together ----------------------------------------------------------------------------


def test_in_flight_is_nothing_when_nothing_is() -> None:
    table = Table()
    assert table.all_out.held() == {}
    table.out("a")
    table.out("b", status=AttemptStatus.CREATED)
    assert table.all_out.held() == {channel: 2 * amount for channel, amount in HOLDS}
    table.end("a", AttemptStatus.SETTLED)
    table.end("b", AttemptStatus.FAILED)
    assert table.all_out.held() == {}


def test_a_part_is_told_with_those_that_were_out_with_it(clock: Clock) -> None:
    """a ended before c began; b ended while c was out; d is out still."""
    table, told = Table(), Told()
    teller = Learning(told, table.all_out)  # type: ignore[arg-type]
    for name, began_s in {"a": NOW, "b": NOW, "c": NOW + 5, "d": NOW + 6}.items():
        table.out(name, began_s)
    clock.now_s = NOW + 4
    teller.part_ended(table.end("a", AttemptStatus.FAILED, no_balance(1)), clock.now_s)
    clock.now_s = NOW + 7
    teller.part_ended(table.end("b", AttemptStatus.SETTLED), clock.now_s)
    clock.now_s = NOW + 8
    teller.part_ended(table.end("c", AttemptStatus.RETRYING, no_balance(2)), clock.now_s)
    ends = [(one.blame, one.seconds) for one in told.ended]
    assert ends == [(blamed(ROUTE, no_balance(1)), 4), (None, 7), (blamed(ROUTE, no_balance(2)), 3)]
    beside = told.ended[-1].others.parts
    assert set(beside) == {
        Part(HOLDS, Fate.OUT, NOW + 6),
        Part(HOLDS, Fate.SETTLED, NOW, NOW + 7),
    }


def test_what_ended_is_kept_only_while_something_is_out(clock: Clock) -> None:
    table, told = Table(), Told()
    teller = Learning(told, table.all_out)  # type: ignore[arg-type]
    for number in range(50):
        table.out("short", NOW + number)
        table.out("next", NOW + number + 1)
        clock.now_s = NOW + number + 2
        teller.part_ended(table.end("short", AttemptStatus.SETTLED), clock.now_s)
        assert len(teller._ended) <= 2
    teller.part_ended(table.end("next", AttemptStatus.SETTLED), clock.now_s)
    assert not teller._ended


def test_a_part_that_hangs_for_days_does_not_keep_all_that_ended_since(clock: Clock) -> None:
    table, told = Table(), Told()
    teller = Learning(told, table.all_out)  # type: ignore[arg-type]
    table.out("stuck")
    for _ in range(learning._MOST_ENDED + 10):
        table.out("short")
        teller.part_ended(table.end("short", AttemptStatus.SETTLED), clock.now_s)
    assert len(teller._ended) == learning._MOST_ENDED


def test_parts_of_others_and_parts_that_were_taken_back_teach_nothing(clock: Clock) -> None:
    table, told = Table(), Told()
    teller = Learning(told, table.all_out)  # type: ignore[arg-type]
    teller.part_ended(Attempt(1, None, 1, 1, AttemptStatus.SETTLED, NOW), clock.now_s)
    teller.part_ended(Attempt(1, ROUTE, 1, 1, AttemptStatus.FAILED, NOW), clock.now_s)
    assert told.ended == []


def test_trouble_in_learning_is_said_once_and_goes_no_further(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    broken = SimpleNamespace(learn=lambda ended: 1 / 0)
    teller = Learning(broken, Out())  # type: ignore[arg-type]
    for _ in range(3):
        teller.part_ended(Attempt(1, ROUTE, 1, 1, AttemptStatus.SETTLED, NOW), clock.now_s)
    assert [record.message for record in caplog.records if "learning_failed" in record.message] == [
        "learning_failed: payments go on without what would have been known"
    ]


# --- on the planner's thread ----------------------------------------------------------------------------------


def remembering(**changes: Any) -> Remembering:
    usual = {"failure_s": DEFAULT_FAILURE_S, "success_s": DEFAULT_SUCCESS_S, "prior": "uniform"}
    return Remembering(**{**usual, **changes})


def graph() -> ChannelGraph:
    """Channel 2 from a to b and 3 from b to c, as the route has them, and our own channel 1 to a."""
    graph = ChannelGraph()
    graph.add_channel(scid(1), node("a"), node("us"), C)
    graph.add_channel(scid(2), node("b"), node("a"), C)
    graph.add_channel(scid(3), node("b"), node("c"), C)
    return graph


def test_what_a_part_shows_is_known_to_the_next_plan(clock: Clock) -> None:
    kept = Scorer(remembering)
    assert len(kept.knowledge()) == 0
    kept.learn([Ended(ROUTE, blamed(ROUTE, no_balance(2)), 1.0, InFlight())], graph(), NOW)
    known = kept.knowledge().of(ROUTE.hops[2].scid_dir)
    assert known is not None and known.high_msat == 99_999
    assert kept.knowledge().of(ROUTE.hops[1].scid_dir) is not None


def test_a_part_that_cannot_be_read_costs_those_that_ended_with_it_nothing(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    kept, unreadable = Scorer(remembering), Ended(None, None, 1.0, InFlight())  # type: ignore[arg-type]
    readable = Ended(ROUTE, blamed(ROUTE, no_balance(2)), 1.0, InFlight())
    with caplog.at_level(logging.ERROR):
        kept.learn([unreadable, readable, unreadable], graph(), NOW)
    assert kept.knowledge().of(ROUTE.hops[2].scid_dir) is not None
    assert len(caplog.records) == 1, "said once"


def test_a_plan_may_use_what_the_last_one_knew_for_a_moment(clock: Clock) -> None:
    """As long as nothing was learnt: a planner that is asked twice finds its rows again."""
    kept = Scorer(remembering)
    kept.learn([Ended(ROUTE, None, 1.0, InFlight())], graph(), NOW)
    first = kept.knowledge()
    clock.now_s += KNOWLEDGE_S / 2
    assert kept.knowledge() is first
    clock.now_s += KNOWLEDGE_S
    second = kept.knowledge()
    assert second is not first
    kept.learn([Ended(ROUTE, None, 1.0, InFlight())], graph(), NOW)
    assert kept.knowledge() is not second


def test_options_hold_at_once(clock: Clock) -> None:
    now = [remembering()]
    kept = Scorer(lambda: now[0])
    kept.learn([Ended(ROUTE, blamed(ROUTE, no_balance(2)), 1.0, InFlight())], graph(), NOW)
    assert kept.knowledge().prior is prior.UNIFORM
    now[0] = remembering(prior="mixed", failure_s=1.0)
    kept.learn([Ended(ROUTE, blamed(ROUTE, failed(3, FailCode.UNKNOWN_PAYMENT)), 1.0, InFlight())], graph(), NOW)
    clock.now_s += 60
    assert kept.knowledge().prior is prior.MIXED
    known = kept.knowledge().of(ROUTE.hops[2].scid_dir)
    assert known is not None and known.high_msat == C


def test_the_names_of_priors_and_the_half_lives_are_those_of_the_beliefs() -> None:
    """The manifest cannot wait for numpy, so they are written down twice."""
    assert set(options.PRIOR.words) == {options.BEST_PRIOR, *prior.PRIORS}
    assert options.PRIOR.default == prior.DEFAULT_PRIOR.name
    defaults = {option.name: option.default for option in options.DYNAMIC}
    assert defaults["pay-failure-half-life"] == DEFAULT_FAILURE_S
    assert defaults["pay-success-half-life"] == DEFAULT_SUCCESS_S


def own(spendable: int, receivable: int, **changes: Any) -> OwnChannel:
    fields = {"htlc_min_msat": 0, "htlc_max_msat": C, "max_htlcs": 10, "live_htlcs": 0, "connected": True}
    return OwnChannel(scid(1), 1, node("a"), spendable, receivable, **{**fields, "announced": True, **changes})


def test_our_own_channels_are_taken_in_when_they_change(clock: Clock) -> None:
    kept, here = Scorer(remembering), ScidDir(scid(1), 1)
    kept.see_own([own(300, 400)], graph(), NOW)
    assert kept.knowledge().of(here) == (300, 300, C)
    changes = kept.beliefs().changes
    kept.see_own([own(300, 400)], graph(), NOW)
    assert kept.beliefs().changes == changes
    for busy in (own(7, 400, live_htlcs=1), own(7, 400, announced=False), own(7, 400, connected=False), own(C, 1)):
        kept.see_own([busy], graph(), NOW)
    assert kept.knowledge().of(here) == (300, 300, C)
    kept.beliefs().reset()
    kept.see_own([own(300, 400)], graph(), NOW)
    assert kept.knowledge().of(here) == (300, 300, C), "known again after all was forgotten"


def test_trouble_on_the_planners_thread_costs_knowledge_only(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Scorer(remembering)
    nothing: Any = None
    with caplog.at_level(logging.ERROR):
        kept.learn([Ended(ROUTE, None, 1.0, InFlight())], nothing, NOW)
        kept.see_own([own(1, 1)], nothing, NOW)
        monkeypatch.setattr(LiquidityBeliefs, "knowledge", lambda self, now_s: 1 / 0)
        assert kept.knowledge() is NOTHING_KNOWN
    assert len(caplog.records) == 1, "said once"


# --- the pieces in the datastore ------------------------------------------------------------------------------


def many(channels: int, nodes: int = 0) -> Believed:
    rows = ((n << 40 | 1, C, (n, 0, 0, n), (NOW, 0.0, 0.0, NOW)) for n in range(1, channels + 1))
    troubled = (NodeBelief(node(f"{n:05}"), 1.0, NOW) for n in range(nodes))
    return Believed(table_of(rows), tuple(troubled))


@pytest.mark.parametrize(
    ("entries", "pieces"), [(0, 0), (1, 1), (PIECE_ENTRIES, 1), (PIECE_ENTRIES + 1, 2), (20_000, 128)]
)
def test_pieces_are_of_moderate_size(entries: int, pieces: int) -> None:
    cuts = cut(many(entries))
    assert len(cuts) == pieces
    assert all(len(text) < 100_000 for text in cuts.values())
    found = [c["short_channel_id"] for text in cuts.values() for c in json.loads(text)["channels"]]
    assert len(found) == len(set(found)) == entries


def test_a_change_touches_one_piece() -> None:
    before, beliefs = cut(many(2_000, 100)), LiquidityBeliefs()
    beliefs.merge(many(2_000, 100), NOW)
    beliefs.merge(Believed(table_of([(1 << 40 | 1, C, (C, 0, 0, 0), (NOW, 0.0, 0.0, 0.0))])), NOW)
    after = cut(beliefs.believed())
    assert before.keys() == after.keys()
    assert sum(before[name] != after[name] for name in before) == 1
    assert Scid(1 << 40 | 1) in beliefs.knowledge(NOW).scid.tolist()
