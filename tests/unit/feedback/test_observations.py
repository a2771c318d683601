"""What every end of a part shows of balances and nodes.

The part of 100,000 msat took

    us ─1─ a ─2─ b ─3─ c ─4─ d

with 1,000 msat for each node between, so channel 2 carried 102,000, 3 carried 101,000 and 4 the 100,000. Beside
channel 3 lies channel 33, which would not have taken it, and 34, which would.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pay.engine.live.learning import part_of
from pay.feedback.failure import BADONION, NODE, PERM, FailCode, Failure
from pay.feedback.observations import Ended, Place, observations
from pay.liquidity.beliefs import LiquidityBeliefs
from pay.liquidity.in_flight import Fate, InFlight, Part
from pay.liquidity.observation import (
    Beside,
    Moved,
    NodeFailed,
    NodeWorked,
    Observation,
    Passed,
    Refused,
    Took,
    Trouble,
)
from pay.network import ChannelGraph, Policy
from pay.payment.attempt import Attempt
from pay.payment.states import AttemptStatus
from pay.router.places import place_in
from pay.routing.query import Hop
from pay.units import ScidDir
from tests.support.payments import NOW, blamed, failed, line, node, scid, update_bytes

ROUTE = line(100_000, "abcd")
CHANNEL = [ScidDir(scid(i + 1), i % 2) for i in range(4)]
SIZE = 5_000_000
STRICT, ABLE = Beside(scid(33), 900_000), Beside(scid(34), 800_000)
ALONE = {n: Place(SIZE, frozenset({scid(n)})) for n in (2, 4)}
PLACES = {**ALONE, 3: Place(SIZE, frozenset({scid(3), scid(33), scid(34)}), (STRICT, ABLE), (ABLE,))}

CARRIED = [
    Passed(CHANNEL[1], SIZE, 102_000, forwarder=node("a")),
    Passed(CHANNEL[2], SIZE, 101_000, (STRICT, ABLE), node("b")),
    Passed(CHANNEL[3], SIZE, 100_000, forwarder=node("c")),
]
LACKED = [
    Refused(CHANNEL[1], SIZE, 102_000, forwarder=node("a")),
    Refused(CHANNEL[2], SIZE, 101_000, (ABLE,), node("b")),
    Refused(CHANNEL[3], SIZE, 100_000, forwarder=node("c")),
]
WORKED = [NodeWorked(node(name)) for name in "abc"]
FOR_THE_RECIPIENT = {
    FailCode.UNKNOWN_PAYMENT,
    FailCode.FINAL_INCORRECT_CLTV_EXPIRY,
    FailCode.FINAL_INCORRECT_HTLC_AMOUNT,
    FailCode.MPP_TIMEOUT,
}
NODES = tuple(node(name) for name in "abcd")


def seen(failure: Failure | None, others: InFlight | None = None, seconds: float = 2.0) -> list[Observation]:
    def place(before: Hop, hop: Hop) -> Place | None:
        assert ROUTE.hops[ROUTE.hops.index(hop) - 1] is before
        return PLACES.get(hop.scid >> 40)

    said = None if failure is None else blamed(ROUTE, failure)
    return observations(Ended(ROUTE, said, seconds, others or InFlight()), place)


def refuses(name: str) -> NodeFailed:
    return NodeFailed(node(name), Trouble.REFUSES)


def took(names: str, seconds: float = 2.0) -> Took:
    return Took(tuple(node(name) for name in names), seconds, waited=names == "abcd")


def test_settled() -> None:
    """It moved on every channel but our own."""
    moved = [Moved(one.channel, SIZE, one.amount_msat, 0, one.beside, one.forwarder) for one in CARRIED]
    assert seen(None) == [*moved, *WORKED, took("abcd")]


@pytest.mark.parametrize("code", [FailCode.UNKNOWN_PAYMENT, FailCode.MPP_TIMEOUT, FailCode.TEMPORARY_NODE_FAILURE])
def test_the_recipient_refused(code: FailCode) -> None:
    """Everything passed; why he refuses says nothing of the way, nor of him as somebody who forwards."""
    assert seen(failed(4, code)) == [*CARRIED, *WORKED, took("abcd")]


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_channel_on_the_way_lacked_balance(index: int) -> None:
    expected = [*CARRIED[: index - 1], LACKED[index - 1], *WORKED[: index - 1], took("abcd"[:index])]
    refusal = refuses("abcd"[index - 1])
    assert seen(failed(index, FailCode.TEMPORARY_CHANNEL_FAILURE)) == [*expected, refusal]


@pytest.mark.parametrize("code", sorted(set(FailCode) - {FailCode.TEMPORARY_CHANNEL_FAILURE}), ids=hex)
@pytest.mark.parametrize("index", [1, 2, 3])
def test_any_other_failure_on_the_way_costs_the_speaker(index: int, code: FailCode) -> None:
    """It came so far and was refused. What the speaker says of the next node lowers the names of both."""
    came = [*CARRIED[: index - 1], *WORKED[: index - 1], took("abcd"[:index])]
    here, following = NODES[index - 1 : index + 1]
    refusal = refuses("abcd"[index - 1])
    trouble: list[Observation] = [refusal]
    if code & BADONION:
        trouble += [NodeFailed(here, Trouble.UNREADABLE, 2), NodeFailed(following, Trouble.UNREADABLE, 2)]
    elif code & NODE:
        trouble = [NodeFailed(here, Trouble.BROKEN)]
    elif code in (FailCode.UNKNOWN_NEXT_PEER, FailCode.CHANNEL_DISABLED):
        # That the recipient is away is no reason to avoid anybody: every way ends there.
        both = [NodeFailed(here, Trouble.OFFLINE, 2), NodeFailed(following, Trouble.OFFLINE, 2)]
        trouble = [refusal, *both] if index < 3 else [refusal]
    elif code in FOR_THE_RECIPIENT:
        trouble = [NodeFailed(here, Trouble.LIES)]
    assert seen(failed(index, code)) == [*came, *trouble]


@pytest.mark.parametrize("code", sorted(FailCode), ids=hex)
@pytest.mark.parametrize("index", [1, 2])
def test_no_speaker_comes_off_better_than_whom_it_blames(index: int, code: FailCode) -> None:
    """us ─1─ a ─2─ b ─3─ c: what a says of b, and b of c, is at least as dear to itself."""
    beliefs = LiquidityBeliefs()
    beliefs.learn(seen(failed(index, code)), NOW)
    cost = beliefs.knowledge(NOW).nodes
    here, following = NODES[index - 1 : index + 1]
    assert cost[here].nats > (cost[following].nats if following in cost else 0.0)
    assert cost[here].refusals == 1.0


@pytest.mark.parametrize(
    ("change", "offline"),
    [({"htlc_max_msat": 100_999}, False), ({"htlc_min_msat": 101_001}, False), ({"enabled": False}, True)],
)
def test_a_policy_that_forbids_it_is_no_lack_of_balance(change: dict[str, int], offline: bool) -> None:
    policy = replace(Policy(0, 0, 40, 0, 10**9, True, 7), **change)
    failure = failed(2, FailCode.TEMPORARY_CHANNEL_FAILURE, update=update_bytes(CHANNEL[2], policy))
    away = [NodeFailed(node(name), Trouble.OFFLINE, 2) for name in ("bc" if offline else "")]
    assert seen(failure) == [CARRIED[0], WORKED[0], took("ab"), refuses("b"), *away]


def test_the_policy_of_another_channel_is_no_excuse() -> None:
    other = update_bytes(CHANNEL[1], Policy(0, 0, 40, 0, 1, True, 7))
    failure = failed(2, FailCode.TEMPORARY_CHANNEL_FAILURE, update=other)
    assert LACKED[1] in seen(failure)


@pytest.mark.parametrize(
    "failure",
    [
        failed(0, FailCode.TEMPORARY_CHANNEL_FAILURE, "Capacity exceeded"),
        failed(None, None, "the node has it as failed"),
        failed(5, FailCode.TEMPORARY_CHANNEL_FAILURE),
        failed(-1, FailCode.TEMPORARY_CHANNEL_FAILURE),
        failed(2, None),
    ],
    ids=["our own channel", "reason not heard", "beyond the route", "before it", "no code"],
)
def test_what_teaches_nothing(failure: Failure) -> None:
    assert seen(failure) == []


def test_an_answer_that_nobody_wrote_is_shared_by_those_on_the_way() -> None:
    answer = Failure(None, None, "Malformed error reply", unreadable=True)
    assert seen(answer) == [NodeFailed(node(name), Trouble.UNREADABLE, 3) for name in "abc"]


def test_who_held_it_for_minutes_is_among_those_who_had_it() -> None:
    stuck = seen(failed(2, PERM | 8), seconds=200.0)
    held = [NodeFailed(node(n), Trouble.STUCK, 2) for n in "ab"]
    assert stuck[-4:] == [took("ab", 200.0), *held, refuses("b")]
    assert not [one for one in seen(None, seconds=9_000.0) if isinstance(one, NodeFailed)], "its owner's decision"


def test_parts_beside_it_are_in_the_amounts() -> None:
    """Channel 34 stands for all three of its group; the way back is direction 1 - d."""
    there, back = ScidDir(scid(34), 0), ScidDir(scid(34), 1)
    parts = {
        "out": Part(((there, 10),), Fate.OUT, NOW),
        "failed": Part(((there, 200),), Fate.FAILED, NOW, NOW),
        "settled": Part(((there, 3_000),), Fate.SETTLED, NOW, NOW),
        "out back": Part(((back, 40_000),), Fate.OUT, NOW),
        "failed back": Part(((back, 500_000),), Fate.FAILED, NOW, NOW),
        "settled back": Part(((back, 60_000),), Fate.SETTLED, NOW, NOW),
    }
    others = InFlight(tuple(parts.values()))
    refused = seen(failed(2, FailCode.TEMPORARY_CHANNEL_FAILURE), others)[1]
    assert refused == replace(LACKED[1], amount_msat=101_000 + 10 + 200 + 60_000)
    passed = seen(failed(3, PERM | 8), others)[1]
    assert passed == replace(CARRIED[1], amount_msat=101_000 - 3_000 - 40_000)
    moved = seen(None, others)[1]
    assert moved == Moved(CHANNEL[2], SIZE, 101_000, 60_000, (STRICT, ABLE), node("b"))
    crowded = InFlight((Part(((back, 101_000),), Fate.OUT, NOW),))
    assert [one for one in seen(failed(3, PERM | 8), crowded) if isinstance(one, Passed)] == [CARRIED[0]]


def test_a_channel_of_the_recipient_that_is_full_of_ours_teaches_nothing() -> None:
    """One HTLC more than the five that it holds: that is no word about its balance. On the way it is one."""
    lacks = FailCode.TEMPORARY_CHANNEL_FAILURE
    for index, five in ((3, []), (2, [replace(LACKED[1], amount_msat=101_000 + 5 * 10)])):
        on = InFlight(tuple(Part(((CHANNEL[index], 10),), Fate.OUT, NOW) for _ in range(5)))
        assert [one for one in seen(failed(index, lacks), on) if isinstance(one, Refused)] == five
        assert [one for one in seen(failed(index, lacks), InFlight(on.parts[1:])) if isinstance(one, Refused)]


def test_channels_that_the_graph_does_not_have_teach_nothing() -> None:
    said = blamed(ROUTE, failed(2, FailCode.TEMPORARY_CHANNEL_FAILURE))
    unknown = observations(Ended(ROUTE, said, 2.0, InFlight()), lambda before, hop: None)
    assert unknown == [WORKED[0], took("ab"), refuses("b")]


# --- what is looked up -----------------------------------------------------------------------------------------


def graph_of(*channels: tuple[int, int, Policy | None]) -> ChannelGraph:
    """Channels between b and c: number, capacity, what b asks towards c."""
    graph = ChannelGraph()
    for number, size, policy in channels:
        graph.add_channel(scid(number), node("b"), node("c"), size)
        if policy is not None:
            graph.set_policy(ScidDir(scid(number), 0), policy)
    return graph


def test_a_place_in_the_graph() -> None:
    before, hop = ROUTE.hops[1:3]
    fits = Policy(1_000, 0, 40, 0, 10**9, True, 7)
    graph = graph_of(
        (3, SIZE, fits),
        (4, 200_000, fits),
        (5, 100_999, fits),  # too small
        (6, 300_000, replace(fits, fee_base_msat=1_001)),
        (7, 300_000, replace(fits, cltv_delta=41)),
        (8, 300_000, replace(fits, htlc_min_msat=101_001)),
        (9, 300_000, replace(fits, htlc_max_msat=100_999)),
        (10, 300_000, replace(fits, enabled=False)),
        (11, 300_000, None),
        (12, 0, fits),  # of unknown size
    )
    place = place_in(graph, before, hop)
    assert place is not None and place.capacity_msat == SIZE
    assert place.group == {scid(n) for n in range(3, 13)}
    assert {other.scid for other in place.passing} == {scid(n) for n in (4, 6, 7, 8, 9, 10, 11)}
    assert place.refusing == (Beside(scid(4), 200_000),)


def test_no_place_in_the_graph() -> None:
    before, hop = ROUTE.hops[1:3]
    assert place_in(graph_of((4, SIZE, None)), before, hop) is None, "not there"
    unknown = graph_of((3, 0, Policy(0, 0, 0, 0, 10**9, True, 7)))
    assert place_in(unknown, before, hop) is None, "of unknown size"


def test_an_attempt_as_others_see_it() -> None:
    attempt = Attempt(1, ROUTE, 100_000, 103_000, AttemptStatus.INFLIGHT, NOW)
    holds = ((CHANNEL[1], 102_000), (CHANNEL[2], 101_000), (CHANNEL[3], 100_000))
    assert part_of(attempt, None) == Part(holds, Fate.OUT, NOW)
    assert part_of(replace(attempt, status=AttemptStatus.CREATED), None) == Part(holds, Fate.OUT, NOW)
    settled = replace(attempt, status=AttemptStatus.SETTLED)
    assert part_of(settled, NOW + 1) == Part(holds, Fate.SETTLED, NOW, NOW + 1)
    retried = replace(attempt, status=AttemptStatus.RETRYING)
    assert part_of(retried, NOW + 1) == Part(holds, Fate.FAILED, NOW, NOW + 1)
    assert part_of(replace(attempt, route=None), None) is None, "of somebody else: nobody knows where"
