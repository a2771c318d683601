"""Beliefs against the truth of a world in which nobody else pays, and the laws of forgetting and merging.

            ┌─ B ═══╗        A has much to send to B, C and D. Between B and C are two channels of
        A ──┼─ C ═══╬── E    different size, between C and D two of the same; E hangs on all of them.
            └─ D ═══╝

Parts of any size go any way, many at a time, with latencies of their own; they settle, are refused on the way, are
refused by the recipient, or are held and let go later. What they teach is learnt in the order in which answers
arrive. Whenever nothing is out, the bounds must contain what each side can truly forward.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pay.feedback.failure import Failure
from pay.feedback.observations import Ended, observations
from pay.liquidity import facts
from pay.liquidity.beliefs import Believed, LiquidityBeliefs
from pay.liquidity.experience import NodeBelief
from pay.liquidity.facts import Table
from pay.liquidity.forgetting import HalfLives
from pay.liquidity.in_flight import Fate, InFlight, Part
from pay.liquidity.observation import Beside, Moved, Observation, Passed, Refused, Seen
from pay.liquidity.portable import from_json, to_json
from pay.router.places import place_in
from pay.routing.query import Hop, Route
from pay.sim.network.channel import SimChannel
from pay.sim.network.clock import VirtualClock
from pay.sim.network.htlc import Failed, FinalPayload, HtlcOutcome, LocalFailure, Settled, WireHop
from pay.sim.network.world import World
from pay.units import NodeId, Scid, ScidDir, direction_of, fee_msat
from tests.support.payments import blamed
from tests.support.worlds.sender import Sender

MANY = int(os.environ.get("LIQUIDITY_EXAMPLES", "60"))
"""Towns that are tried: a few seconds' worth; 3,000 before something is changed here."""

SAT = 1_000
SIZE = 10_000_000 * SAT
PATHS = ["ABC", "ACB", "ABCD", "ACD", "ADC", "ADCB", "ACDE", "ABE", "ABCE", "ADCE", "ADEB", "ACBE", "ABED"]

PARTS = st.tuples(
    st.sampled_from(PATHS),
    st.lists(st.integers(0, 1), min_size=3, max_size=3),  # which of parallel channels is named
    st.floats(0, 1),  # how much, from little to all of the smallest channel
    st.sampled_from(["pay", "pay", "unknown", "hold and pay", "hold and refuse"]),
    st.floats(0, 3),  # seconds until the next
)


@dataclass
class Out:
    """One part of ours in the world."""

    route: Route
    began_s: float
    fate: Fate = Fate.OUT
    ended_s: float | None = None

    @property
    def part(self) -> Part:
        holds = tuple((hop.scid_dir, hop.amount_msat) for hop in self.route.hops[1:])
        return Part(holds, self.fate, self.began_s, self.ended_s)


class Town:
    """The world, who pays in it, and what he believes."""

    def __init__(self, shares: list[float], latencies: list[float]):
        self.clock = VirtualClock()
        self.world = World(self.clock)
        self.nodes = {name: self.world.add_node(name).id for name in "ABCDE"}
        pairs = [("BC", 1.0), ("BC", 0.3), ("CD", 1.0), ("CD", 1.0), ("BE", 0.5), ("CE", 1.0), ("DE", 1.0)]
        for peer in "BCD":
            self.world.add_channel(self.nodes["A"], self.nodes[peer], 20 * SIZE, 19 * SIZE)
        self.named: dict[frozenset[NodeId], list[SimChannel]] = {}
        for (pair, size), share, latency in zip(pairs, shares, latencies, strict=True):
            start, end = (self.nodes[name] for name in pair)
            capacity = int(size * SIZE)
            channel = self.world.add_channel(start, end, capacity, int(share * capacity), latency_s=latency)
            self.named.setdefault(frozenset((start, end)), []).append(channel)
        for channel in self.world.nodes[self.nodes["A"]].channels:
            self.named[frozenset(node.id for node in channel.nodes)] = [channel]
        self.graph = Sender(self.world, self.nodes["A"]).graph
        self.beliefs = LiquidityBeliefs()
        self.parts: list[Out] = []
        self.learnt: list[Observation] = []

    def send(self, path: str, which: list[int], share: float, kind: str) -> None:
        """One part along `path`; what it teaches is learnt when its answer comes."""
        names = [(self.nodes[a], self.nodes[b]) for a, b in pairwise(path)]
        channels = [self.named[frozenset(pair)] for pair in names]
        chosen = [group[k % len(group)] for group, k in zip(channels, [0, *which], strict=False)]
        hops, amount, delay = [], 1 + int(share**2 * min(c.capacity_msat for c in chosen)), 10
        for (start, end), channel in reversed(list(zip(names, chosen, strict=True))):
            direction = direction_of(start, end)
            hops.append(Hop(channel.scid, direction, end, amount, delay))
            policy = channel.policies[direction]
            amount += fee_msat(amount, policy.fee_base_msat, policy.fee_ppm)
            delay += policy.cltv_delta
        out = Out(Route(tuple(hops[::-1]), 1.0), self.clock.now())
        invoice = self.world.create_invoice(self.nodes[path[-1]], hops[0].amount_msat, hold="hold" in kind)
        if kind != "unknown":
            final = FinalPayload(invoice.payment_secret, hops[0].amount_msat)
        else:
            final = FinalPayload(bytes(32), hops[0].amount_msat)
        if "hold" in kind:
            end_it = self.world.release_invoice if kind == "hold and pay" else self.world.cancel_invoice
            self.clock.call_later(4.0 + 3 * share, lambda: end_it(invoice))
        height = self.world.height
        wire = [WireHop(h.scid, h.node, h.amount_msat, height + h.delay_blocks) for h in out.route.hops]
        self.parts.append(out)
        try:
            self.world.send(
                self.nodes["A"], wire, invoice.payment_hash, final, lambda outcome: self.ended(out, outcome)
            )
        except LocalFailure:
            self.parts.remove(out)

    def ended(self, out: Out, outcome: HtlcOutcome) -> None:
        out.ended_s = self.clock.now()
        said = None
        if isinstance(outcome, Settled):
            out.fate = Fate.SETTLED
        else:
            assert isinstance(outcome, Failed)
            out.fate = Fate.FAILED
            failure = Failure(outcome.erring_index, outcome.failcode, outcome.text, outcome.message)
            said = blamed(out.route, failure)
        others = InFlight(tuple(other.part for other in self.parts if other is not out)).since(out.began_s)
        seen = observations(
            Ended(out.route, said, out.ended_s - out.began_s, others),
            lambda before, hop: place_in(self.graph, before, hop),
        )
        self.learnt += seen
        self.beliefs.learn(seen, self.clock.now())

    def check(self) -> None:
        """The bounds contain what each side can forward."""
        assert not self.world.in_flight
        knowledge = self.beliefs.knowledge(self.clock.now())
        for channel in self.world.channels.values():
            for side, node in enumerate(channel.nodes):
                bounds = knowledge.of(ScidDir(channel.scid, side))
                if bounds is not None:
                    low, high, capacity = bounds
                    assert capacity == channel.capacity_msat
                    assert low <= channel.spendable_msat(node.id) <= high, (channel, side, bounds)


@settings(deadline=None, max_examples=MANY)
@given(
    st.lists(st.floats(0, 1), min_size=7, max_size=7),
    st.lists(st.sampled_from([0.01, 0.1, 0.5, 2.0]), min_size=7, max_size=7),
    st.lists(PARTS, max_size=25),
)
def test_bounds_contain_the_truth_where_nobody_else_pays(
    shares: list[float], latencies: list[float], parts: list[Any]
) -> None:
    """Where nodes forward by the peer, not by the channel, as BOLT 4 lets them and ours are taken to."""
    town = Town(shares, latencies)
    for path, which, share, kind, pause_s in parts:
        town.send(path, which, share, kind)
        town.clock.advance(pause_s)
        if not town.world.in_flight:
            town.check()
    town.clock.run_until_idle()
    town.check()
    assert InFlight(tuple(out.part for out in town.parts)).held() == {}, "nothing is out"


def test_a_town_that_pays_teaches_something() -> None:
    """The property above would hold of beliefs that never learn: this town's payments leave narrow bounds."""
    town = Town([0.5] * 7, [0.1] * 7)
    for share in (0.3, 0.5, 0.6, 0.7, 0.8):
        for path in PATHS:
            town.send(path, [0, 1, 0], share, "pay")
            town.clock.run_until_idle()
            town.check()
    knowledge = town.beliefs.knowledge(town.clock.now())
    widths = (knowledge.high_msat - knowledge.low_msat) / knowledge.capacity_msat
    assert len(knowledge) == 7 and (widths < 0.7).sum() == 12 and widths.min() < 0.1
    assert {type(seen) for seen in town.learnt} >= {Moved, Passed, Refused}


# --- forgetting and merging -----------------------------------------------------------------------------------

NOW = 1_700_000_000.0
SCIDS = [Scid(n) for n in (1, 2, 3)]
CAPACITY = {Scid(1): 1_000_000_000, Scid(2): 50_000_000, Scid(3): 7}
AMOUNTS = st.integers(1, 1_100_000_000)
CHANNELS = st.builds(ScidDir, st.sampled_from(SCIDS), st.integers(0, 1))
BESIDE = st.sampled_from([(), (), (Beside(Scid(2), 50_000_000),)])
LESSONS: st.SearchStrategy[Observation] = st.one_of(
    st.builds(lambda c, a, b: Passed(c, CAPACITY[c.scid], a, _but(c, b)), CHANNELS, AMOUNTS, BESIDE),
    st.builds(lambda c, a, b: Refused(c, CAPACITY[c.scid], a, _but(c, b)), CHANNELS, AMOUNTS, BESIDE),
    st.builds(lambda c, a, b: Moved(c, CAPACITY[c.scid], a, 0, _but(c, b)), CHANNELS, AMOUNTS, BESIDE),
    st.builds(lambda c, a: Seen(c, CAPACITY[c.scid], a % CAPACITY[c.scid], 0), CHANNELS, AMOUNTS),
)
STORIES = st.lists(st.tuples(LESSONS, st.floats(0, 20_000)), max_size=12)


def _but(channel: ScidDir, beside: tuple[Beside, ...]) -> tuple[Beside, ...]:
    return tuple(other for other in beside if other.scid != channel.scid)


def learnt(story: list[tuple[Observation, float]], half_lives: HalfLives | None = None) -> LiquidityBeliefs:
    """The beliefs at `NOW`, the end of the story."""
    beliefs, now = LiquidityBeliefs(half_lives), NOW - sum(pause_s for _, pause_s in story)
    for lesson, pause_s in story:
        beliefs.learn([lesson], min(now, NOW))
        now += pause_s
    return beliefs


@given(STORIES, st.lists(st.floats(0, 200_000), min_size=2, max_size=5))
def test_forgetting_only_widens(story: list[tuple[Observation, float]], pauses: list[float]) -> None:
    beliefs = learnt(story)
    now, before = NOW, beliefs.knowledge(NOW)
    for pause_s in pauses:
        now += pause_s
        after = beliefs.knowledge(now)
        assert (after.low_msat <= before.low_msat).all() and (after.high_msat >= before.high_msat).all()
        assert (after.low_msat >= 0).all() and (after.high_msat <= after.capacity_msat).all()
        assert (after.low_msat <= after.high_msat).all()
        before = after
    nothing = beliefs.knowledge(NOW + 1e9)
    assert not nothing.low_msat.any() and (nothing.high_msat == nothing.capacity_msat).all()


@given(STORIES)
def test_half_is_forgotten_in_each_half_life(story: list[tuple[Observation, float]]) -> None:
    half_lives = HalfLives(failure_s=100.0, success_s=7_000.0)
    beliefs = learnt([(lesson, 0.0) for lesson, _ in story], half_lives)
    now = beliefs.believed().channels.value_msat
    one = beliefs.knowledge(NOW + 7_000)
    rows = np.searchsorted(one.scid, beliefs.believed().channels.scid)
    assert (abs(one.low_msat[:, rows] - now[:2] / 2) <= 1).all(), "refusals are gone, of successes half is left"


@given(STORIES)
def test_what_counts_of_a_row_is_what_counts_of_the_table(story: list[tuple[Observation, float]]) -> None:
    """A row that was learnt is not looked through for contradictions again: it has none."""
    beliefs = learnt(story)
    value, speaks = facts.holding(beliefs._table, beliefs._half_life_s)
    assert np.array_equal(value, beliefs._value) and np.array_equal(speaks, beliefs._speaks)


FACTS = st.tuples(st.integers(0, 10**9), st.sampled_from([NOW - 50_000, NOW - 1, NOW]))
TABLES = st.dictionaries(
    st.sampled_from(SCIDS),
    st.tuples(st.sampled_from([10**9, 2 * 10**9]), st.lists(FACTS, min_size=4, max_size=4)),
).map(
    lambda rows: facts.table_of(
        (scid, size, tuple(v for v, _ in row), tuple(t if v else 0.0 for v, t in row))
        for scid, (size, row) in rows.items()
    )
)
NODES = st.lists(
    st.builds(
        NodeBelief,
        st.sampled_from([NodeId(b"\2" + bytes(32)), NodeId(b"\3" + bytes(32))]),
        st.sampled_from([0.0, 1.5, 3.0]),
        st.sampled_from([0.0, NOW - 3_600, NOW]),
        st.sampled_from([0.0, 1.0, 2.0]),
        st.sampled_from([0.0, NOW - 3_600, NOW]),
    ),
    unique_by=lambda belief: belief.node,
    max_size=2,
).map(tuple)
BELIEVED = st.builds(Believed, TABLES, NODES)


def merged(*all_of_it: Believed) -> Believed:
    """What is kept after merging these in their order, contradicted facts included."""
    beliefs = LiquidityBeliefs()
    for one in all_of_it:
        beliefs.merge(one, NOW)
    return replace(beliefs.believed(), channels=beliefs._table)


def same(one: Believed, other: Believed) -> bool:
    tables = (one.channels, other.channels)
    columns = [[getattr(table, name) for name in Table.__slots__] for table in tables]
    return one.nodes == other.nodes and all(map(np.array_equal, *columns))


@given(BELIEVED, BELIEVED, BELIEVED)
def test_merging_is_a_union(a: Believed, b: Believed, c: Believed) -> None:
    assert same(merged(a, b), merged(b, a)), "commutative"
    assert same(merged(merged(a, b), c), merged(a, merged(b, c))), "associative"
    assert same(merged(a, b, b, a), merged(a, b)), "idempotent"


@given(STORIES)
def test_what_is_believed_survives_being_handed_on(story: list[tuple[Observation, float]]) -> None:
    """All but what comes back of our own payments: that is followed by who made them, for minutes or hours."""
    beliefs, copy = learnt(story), LiquidityBeliefs()
    copy.merge(beliefs.believed(), NOW)
    for now in (NOW, NOW + 10_000):
        one, other = beliefs.knowledge(now), copy.knowledge(now)
        for scid in set(one.scid.tolist()) - set(beliefs._returning.coming_back(now)):
            for side in (0, 1):
                believed, taken = (of.of(ScidDir(Scid(scid), side)) for of in (one, other))
                assert believed is not None
                if taken is None:
                    assert believed.low_msat == 0
                    continue
                # Faded in two steps, and rounded twice.
                assert 0 <= believed.low_msat - taken.low_msat <= 1
                assert 0 <= taken.high_msat - believed.high_msat <= 1


OF_ONE: st.SearchStrategy[Observation] = st.builds(
    lambda kind, side, amount: kind(ScidDir(Scid(1), side), CAPACITY[Scid(1)], amount),
    st.sampled_from([Passed, Refused]), st.integers(0, 1), st.integers(1, CAPACITY[Scid(1)]),
)  # fmt: skip


@given(st.lists(st.tuples(OF_ONE, st.sampled_from([0, 20_000, 100_000])), min_size=2, max_size=6))
def test_what_is_exported_is_taken_back_and_exported_again(story: list[tuple[Observation, float]]) -> None:
    """Whatever was learnt when: no bound is reversed in an export, though an older one may have been the wider."""
    beliefs, copy = learnt(story, HalfLives(failure_s=50_000.0, success_s=20_000.0)), LiquidityBeliefs()
    copy.half_lives = beliefs.half_lives
    exported = json.loads(json.dumps(to_json(beliefs.believed())))
    copy.merge(from_json(exported, NOW), NOW)
    assert to_json(copy.believed()) == exported
