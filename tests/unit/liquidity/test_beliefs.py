"""What beliefs make of what they are told: one channel at a time, in numbers that can be added up by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pay.liquidity import experience, facts
from pay.liquidity.beliefs import LiquidityBeliefs
from pay.liquidity.experience import USUAL_S, Experience
from pay.liquidity.facts import reserved, reserved_by_one
from pay.liquidity.forgetting import HalfLives
from pay.liquidity.in_flight import Fate, InFlight, Part
from pay.liquidity.knowledge import Bounds, NodeCost
from pay.liquidity.observation import (
    Beside,
    Moved,
    NodeFailed,
    NodeWorked,
    Observation,
    Passed,
    Refused,
    Seen,
    Took,
    Trouble,
)
from pay.liquidity.portable import from_json, to_json
from pay.units import Scid, ScidDir
from tests.support.payments import NOW, node

SAT = 1_000
C = 1_000_000 * SAT
HERE, BACK = ScidDir(Scid(5), 0), ScidDir(Scid(5), 1)
OTHER = Beside(Scid(6), 400_000 * SAT)
BESIDE = (OTHER,)
SLOWLY = HalfLives(failure_s=1_000.0, success_s=4_000.0, node_s=1_000.0)


def told(*seen: Observation, half_lives: HalfLives | None = None) -> LiquidityBeliefs:
    beliefs = LiquidityBeliefs(half_lives)
    for one in seen:
        beliefs.learn([one], NOW)
    return beliefs


def bounds(beliefs: LiquidityBeliefs, channel: ScidDir = HERE, later_s: float = 0.0) -> tuple[int, int]:
    found = beliefs.knowledge(NOW + later_s).of(channel)
    assert found is not None and found.capacity_msat in (C, OTHER.capacity_msat)
    return found.low_msat, found.high_msat


def passed(sat: int, channel: ScidDir = HERE, beside: tuple[Beside, ...] = ()) -> Passed:
    return Passed(channel, C, sat * SAT, beside)


def refused(sat: int, channel: ScidDir = HERE, beside: tuple[Beside, ...] = ()) -> Refused:
    return Refused(channel, C, sat * SAT, beside)


def moved(sat: int, channel: ScidDir = HERE, beside: tuple[Beside, ...] = (), spent: int = 0) -> Moved:
    return Moved(channel, C, sat * SAT, spent * SAT, beside)


# --- one channel ----------------------------------------------------------------------------------------------


def test_what_passed_is_there_and_the_other_side_has_at_most_the_rest() -> None:
    beliefs = told(passed(300_000))
    assert bounds(beliefs) == (300_000 * SAT, C)
    assert bounds(beliefs, BACK) == (0, 700_000 * SAT)


def test_what_was_refused_is_not_there_and_the_other_side_has_the_rest_less_reserves() -> None:
    beliefs = told(refused(300_000))
    assert bounds(beliefs) == (0, 300_000 * SAT - 1)
    assert bounds(beliefs, BACK) == (700_000 * SAT + 1 - reserved(C), C)
    assert 20_000 * SAT < reserved(C) < 30_000 * SAT, "2 % and some fees"


def test_in_a_channel_of_nothing_but_reserves_a_refusal_says_nothing_of_the_other_side() -> None:
    beliefs = told(Refused(HERE, 4_000 * SAT, 1_000 * SAT))
    assert beliefs.knowledge(NOW).of(HERE) == Bounds(0, 1_000 * SAT - 1, 4_000 * SAT)
    assert beliefs.knowledge(NOW).of(BACK) == Bounds(0, 4_000 * SAT, 4_000 * SAT)


def test_of_two_facts_the_stronger_holds() -> None:
    assert bounds(told(passed(300_000), passed(200_000), refused(900_000), refused(950_000))) == (
        300_000 * SAT, 900_000 * SAT - 1,
    )  # fmt: skip


def test_what_moved_is_gone_here_and_there_on_the_other_side() -> None:
    """300,000 of at least 400,000 and less than 600,000: what is left is 100,000 to 300,000."""
    beliefs = told(passed(400_000), refused(600_000), moved(300_000))
    assert bounds(beliefs) == (100_000 * SAT, 300_000 * SAT - 1)
    # The other side may have been below its reserve when it got them.
    assert bounds(beliefs, BACK)[0] == 700_000 * SAT + 1 - reserved(C)
    assert bounds(beliefs, BACK)[1] == 900_000 * SAT


def test_what_moves_to_a_side_of_which_nothing_is_known_may_fill_its_reserve_first() -> None:
    beliefs = told(moved(300_000))
    assert bounds(beliefs, BACK) == (300_000 * SAT - reserved_by_one(C), C)
    assert bounds(beliefs) == (0, 700_000 * SAT + reserved_by_one(C))
    again = told(moved(300_000), moved(200_000))
    assert bounds(again, BACK)[0] == 500_000 * SAT - reserved_by_one(C), "filled by now"
    assert bounds(told(moved(8_000)), BACK) == (0, C), "less than the reserve"


def test_what_may_be_back_already_is_not_counted_on() -> None:
    assert bounds(told(moved(300_000, spent=100_000)), BACK)[0] == 200_000 * SAT - reserved_by_one(C)


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ([passed(500_000), refused(300_000)], (0, 300_000 * SAT - 1)),
        ([refused(300_000), passed(500_000)], (500_000 * SAT, C)),
        ([passed(500_000), passed(600_000, BACK)], (0, 400_000 * SAT)),
        ([refused(300_000), moved(500_000)], (0, 500_000 * SAT + reserved_by_one(C))),
    ],
    ids=["passed, then refused", "refused, then passed", "too much on both sides", "moved what was refused"],
)
def test_the_newer_of_two_that_contradict_each_other_holds(
    story: list[Observation], expected: tuple[int, int]
) -> None:
    """Somebody else paid in between: the older one is over, not trimmed to what is left of it."""
    assert bounds(told(*story)) == expected


def test_what_is_contradicted_is_over_whatever_is_left_of_it() -> None:
    """Less than 100,000 sat; after half a half-life "less than 364,000" is left, which 150,000 do not contradict.
    But nobody has ever seen that: what passed now was not there then. And the other way round."""
    beliefs = told(refused(100_000), half_lives=SLOWLY)
    assert bounds(beliefs, later_s=500)[1] == pytest.approx(363_604 * SAT, abs=SAT)
    beliefs.learn([passed(150_000)], NOW + 500)
    assert bounds(beliefs, later_s=500) == (150_000 * SAT, C)
    back = told(passed(600_000), half_lives=SLOWLY)
    assert bounds(back, later_s=8_000)[0] == 150_000 * SAT
    back.learn([refused(200_000)], NOW + 8_000)
    assert bounds(back, later_s=8_000) == (0, 200_000 * SAT - 1)


def test_two_refusals_that_cannot_both_be_for_balance_hold_for_their_own_sides_only() -> None:
    beliefs = told(refused(100_000), refused(100_000, BACK))
    assert bounds(beliefs) == bounds(beliefs, BACK) == (0, 100_000 * SAT - 1)


def test_our_own_channels_are_known() -> None:
    beliefs = told(passed(900_000), Seen(BACK, C, 200_000 * SAT, 780_000 * SAT))
    assert bounds(beliefs, BACK) == (200_000 * SAT,) * 2
    assert bounds(beliefs) == (780_000 * SAT,) * 2


def test_a_channel_of_another_size_begins_anew() -> None:
    beliefs = told(passed(300_000), Refused(HERE, 2 * C, C))
    assert beliefs.knowledge(NOW).of(HERE) == Bounds(0, C - 1, 2 * C)


def test_more_than_the_channel_is_believed_to_hold_is_all_of_it() -> None:
    assert bounds(told(passed(2_000_000))) == (C, C)
    assert bounds(told(refused(2_000_000))) == (0, C)


# --- channels beside it -----------------------------------------------------------------------------------------


def test_a_refusal_is_of_all_channels_between_the_two_nodes() -> None:
    beliefs = told(refused(300_000, beside=BESIDE))
    assert bounds(beliefs) == bounds(beliefs, ScidDir(OTHER.scid, 0)) == (0, 300_000 * SAT - 1)


def test_what_passed_one_of_several_cannot_be_laid_on_one() -> None:
    beliefs = told(passed(300_000, beside=BESIDE))
    assert bounds(beliefs) == (0, C)
    assert bounds(beliefs, ScidDir(OTHER.scid, 0)) == (0, OTHER.capacity_msat)


def test_what_passed_where_all_were_believed_to_refuse_shows_that_one_belief_is_wrong() -> None:
    beliefs = told(refused(300_000, beside=BESIDE), passed(350_000, beside=BESIDE))
    assert bounds(beliefs) == (0, C)
    still = told(refused(300_000, beside=BESIDE), passed(250_000, beside=BESIDE))
    assert bounds(still) == (0, 300_000 * SAT - 1)


def test_what_moved_over_one_of_several_may_have_moved_over_each() -> None:
    beliefs = told(passed(500_000), refused(300_000, BACK), moved(100_000, beside=BESIDE))
    assert bounds(beliefs)[0] == max(400_000 * SAT, C - 400_000 * SAT + 1 - reserved(C))
    assert bounds(beliefs, BACK)[1] == 400_000 * SAT - 1


# --- parts that were out together: the order of answers is not that of what happened ----------------------------


def amounts(own: int, *others: tuple[ScidDir, int, Fate]) -> tuple[int, int, int]:
    """What a part of `own` msat over HERE shows if it is refused, passes, or settles."""
    parts = InFlight(tuple(Part(((channel, msat),), fate, NOW) for channel, msat, fate in others))
    group = {HERE.scid}
    return (
        own + parts.may_have_kept_out(group, 0),
        own - parts.may_have_let_pass(group, 0),
        own - parts.may_have_spent(group, 0),
    )


@pytest.mark.parametrize(
    ("what", "channel", "fate", "expected"),
    [
        # 100 are there. 80 are in the channel, so 40 are refused; both ways to hear of it.
        ("holds it back", HERE, Fate.OUT, (120, 40, 40)),
        ("failed since, heard of first", HERE, Fate.FAILED, (120, 40, 40)),
        # 100 are there. 40 passed and came back; then 80 settled, and were heard of first: 20 are left.
        ("was quicker", HERE, Fate.SETTLED, (40, -40, 40)),
        # Nothing is there. 80 came from the other side and are not yet heard of: 40 of them passed.
        ("brought it", BACK, Fate.OUT, (40, -40, 40)),
        # Nothing is there. 40 were refused; then 80 came from the other side, and were heard of first. Or: 40 went
        # over to the other side, which sent 80 back.
        ("came too late", BACK, Fate.SETTLED, (120, 40, -40)),
        ("came to nothing", BACK, Fate.FAILED, (40, 40, 40)),
        ("is elsewhere", ScidDir(Scid(9), 0), Fate.OUT, (40, 40, 40)),
    ],
)
def test_a_part_beside_it(what: str, channel: ScidDir, fate: Fate, expected: tuple[int, int, int]) -> None:
    assert amounts(40, (channel, 80, fate)) == expected


def test_in_flight_is_what_is_out_and_nothing_else() -> None:
    out = Part(((HERE, 40), (BACK, 30)), Fate.OUT, NOW)
    over = [Part(((HERE, 500),), fate, NOW, NOW + 1) for fate in (Fate.SETTLED, Fate.FAILED)]
    assert InFlight((out, *over, out)).held() == {HERE: 80, BACK: 60}
    assert InFlight(tuple(over)).held() == {} == InFlight().held()


def test_parts_that_ended_before_are_not_beside_it() -> None:
    parts = [Part(((HERE, n),), Fate.FAILED, NOW, NOW + n) for n in (1, 2, 3)] + [Part((), Fate.OUT, NOW)]
    assert InFlight(tuple(parts)).since(NOW + 2).parts == (*parts[1:],)


# --- time and size ----------------------------------------------------------------------------------------------


def test_each_bound_fades_at_its_own_pace() -> None:
    beliefs = told(passed(400_000), refused(600_000), half_lives=SLOWLY)
    assert bounds(beliefs, later_s=1_000)[1] == C - (400_000 * SAT + 1) // 2
    assert bounds(beliefs, later_s=4_000)[0] == 200_000 * SAT
    assert bounds(beliefs, later_s=4_000)[1] == C - (400_000 * SAT + 1) // 16
    assert bounds(beliefs, later_s=-1_000) == bounds(beliefs), "a clock that was set back"


def test_a_fact_is_as_old_as_what_was_seen_and_not_younger_because_something_else_was() -> None:
    beliefs = told(passed(400_000), half_lives=SLOWLY)
    beliefs.learn([refused(900_000)], NOW + 4_000)
    kept = beliefs.believed().channels
    assert kept.at_s[:, 0].tolist() == [NOW, 0.0, NOW + 4_000, 0.0]
    assert bounds(beliefs, later_s=8_000)[0] == 100_000 * SAT


def test_another_half_life_holds_at_once() -> None:
    beliefs = told(passed(400_000), half_lives=SLOWLY)
    beliefs.half_lives = HalfLives(failure_s=1.0, success_s=1_000.0, node_s=1.0)
    assert bounds(beliefs, later_s=1_000)[0] == 200_000 * SAT


def test_when_there_is_too_much_what_says_least_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MOST_CHANNELS", 20)
    monkeypatch.setattr(facts, "_KEEP", 15)
    beliefs = LiquidityBeliefs()
    for number in range(1, 21):
        beliefs.learn([Passed(ScidDir(Scid(number), 0), C, number * 40_000 * SAT)], NOW)
    assert len(beliefs.knowledge(NOW)) == 20
    beliefs.learn([Passed(ScidDir(Scid(21), 0), C, C // 2)], NOW)
    assert beliefs.knowledge(NOW).scid.tolist() == list(range(7, 22))
    assert beliefs.knowledge(NOW).of(ScidDir(Scid(20), 0)) == Bounds(20 * 40_000 * SAT, C, C)


def test_what_is_handed_out_stays_as_it_is() -> None:
    beliefs = told(passed(300_000))
    before = beliefs.knowledge(NOW)
    beliefs.learn([refused(100_000), Refused(ScidDir(Scid(1), 0), 7, 3), Refused(HERE, 2 * C, 9)], NOW)
    assert before.of(HERE) == Bounds(300_000 * SAT, C, C)


def test_reset_and_restore() -> None:
    beliefs = told(passed(300_000), NodeFailed(node("a"), Trouble.BROKEN))
    kept = beliefs.believed()
    beliefs.reset()
    assert len(beliefs.knowledge(NOW)) == 0 and not beliefs.knowledge(NOW).nodes
    beliefs.merge(kept, NOW)
    assert bounds(beliefs) == (300_000 * SAT, C) and node("a") in beliefs.knowledge(NOW).nodes
    assert np.array_equal(beliefs.believed().channels.value_msat, kept.channels.value_msat)


def test_an_older_fact_is_handed_on_as_what_is_left_of_it_where_else_it_would_contradict() -> None:
    """Over one node 600,000 sat passed; two half-lives later 150,000 of that are believed, and another is refused
    200,000."""
    beliefs, other = LiquidityBeliefs(SLOWLY), LiquidityBeliefs(SLOWLY)
    beliefs.learn([passed(600_000)], NOW)
    other.learn([refused(200_000)], NOW + 8_000)
    beliefs.merge(other.believed(), NOW + 8_000)
    (channel,) = to_json(beliefs.believed())["channels"]
    (here,) = channel["directions"]
    assert (here["low_msat"], here["high_msat"]) == (150_000 * SAT, 200_000 * SAT - 1)
    assert here["low_at"] == here["high_at"] == NOW + 8_000
    copy = LiquidityBeliefs(SLOWLY)
    copy.merge(from_json(to_json(beliefs.believed()), NOW + 8_000), NOW + 8_000)
    assert bounds(copy, later_s=12_000) == bounds(beliefs, later_s=12_000)


def test_what_was_learnt_by_a_clock_that_ran_ahead_is_kept_as_of_now() -> None:
    """For ten years; it fades from now on, and does not outlast what is learnt later."""
    ahead = LiquidityBeliefs(SLOWLY)
    ahead.learn([refused(300_000), NodeFailed(node("a"), Trouble.BROKEN)], NOW + 315_360_000)
    beliefs = LiquidityBeliefs(SLOWLY)
    beliefs.merge(ahead.believed(), NOW)
    assert bounds(beliefs) == (0, 300_000 * SAT - 1) and nats(beliefs) == 2.0
    assert bounds(beliefs, later_s=1_000)[1] == pytest.approx(650_000 * SAT, abs=2)
    assert nats(beliefs, later_s=1_000) == pytest.approx(1.0)


# --- nodes ------------------------------------------------------------------------------------------------------


def nats(beliefs: LiquidityBeliefs, name: str = "a", later_s: float = 0.0) -> float:
    costs = beliefs.knowledge(NOW + later_s).nodes
    return costs[node(name)].nats if node(name) in costs else 0.0


def test_a_node_in_trouble_costs_more_for_a_while() -> None:
    beliefs = told(NodeFailed(node("a"), Trouble.OFFLINE), half_lives=SLOWLY)
    assert nats(beliefs) == 2.0 and nats(beliefs, "b") == 0.0
    assert nats(beliefs, later_s=1_000) == pytest.approx(1.0)
    assert nats(beliefs, later_s=100_000) == 0.0


def test_trouble_adds_up_to_a_limit_and_each_success_halves_it() -> None:
    failure = NodeFailed(node("a"), Trouble.OFFLINE)
    assert nats(told(failure, failure)) == pytest.approx(4.0)
    assert nats(told(*[failure] * 50)) == experience.MOST_NATS
    assert nats(told(failure, NodeWorked(node("a")))) == pytest.approx(1.0)
    assert told(NodeWorked(node("a"))).knowledge(NOW).nodes == {}, "nothing to say of a node that works"


def test_refusals_are_counted_and_nearly_free() -> None:
    """One costs a tenth of a nat, nine nearly one; each HTLC that the node forwards halves price and count."""
    once = NodeFailed(node("a"), Trouble.REFUSES)

    def cost(*seen: Observation, later_s: float = 0.0) -> NodeCost | None:
        found = told(*seen, half_lives=SLOWLY).knowledge(NOW + later_s).nodes.get(node("a"))
        return found and NodeCost(*(round(value, 3) for value in found))

    assert cost(once) == NodeCost(0.1, 0.0, 1.0)
    assert cost(*[once] * 9) == NodeCost(0.9, 0.0, 9.0)
    assert cost(*[once] * 9, NodeWorked(node("a"))) == NodeCost(0.45, 0.0, 4.5)
    assert cost(*[once] * 9, later_s=1_000) == NodeCost(0.45, 0.0, 4.5)
    assert cost(*[once, NodeWorked(node("a"))] * 50) == NodeCost(0.1, 0.0, 1.0), "every other HTLC"
    assert cost(*[once] * 99) == NodeCost(experience.MOST_NATS, 0.0, experience.MOST_REFUSALS)
    for trouble, refusals in {Trouble.BROKEN: 1.0, Trouble.LIES: 1.0, Trouble.OFFLINE: 0.0}.items():
        assert cost(NodeFailed(node("a"), trouble)) == NodeCost(2.0, 0.0, refusals)


def test_blame_is_shared() -> None:
    assert nats(told(NodeFailed(node("a"), Trouble.UNREADABLE, 4))) == pytest.approx(0.5)


def test_the_slow_node_is_found_by_the_ways_it_is_on() -> None:
    """a and b are usual, s takes 8 seconds more; nobody ever says so."""
    beliefs = LiquidityBeliefs()
    for names in ["as", "bs", "ab", "sab"] * 15:
        way = tuple(node(name) for name in names)
        beliefs.learn([Took(way, USUAL_S * len(way) + 8.0 * ("s" in names))], NOW)
    costs = beliefs.knowledge(NOW).nodes
    assert costs[node("s")].seconds == pytest.approx(8.0, abs=1.0)
    assert all(costs[node(n)].seconds < 1.0 for n in "ab" if node(n) in costs)


def test_a_recipient_who_waits_makes_nobody_slow_but_a_quick_answer_clears() -> None:
    way = (node("a"), node("b"))
    assert told(Took(way, 50.0, waited=True)).knowledge(NOW).nodes == {}
    slow, cleared = told(Took(way, 50.0)), told(Took(way, 50.0), *[Took(way, 1.0, waited=True)] * 9)
    assert slow.knowledge(NOW).nodes[node("a")].seconds > 5
    assert cleared.knowledge(NOW).nodes.get(node("a"), (0.0, 0.0))[1] < 0.5


def test_nodes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experience, "MOST_NODES", 20)
    nodes = Experience(1_000.0)
    for n in range(21):
        nodes.learn(NodeFailed(node(f"{n:02}"), Trouble.OFFLINE, suspects=30 - n), NOW)
    assert sorted(nodes.costs(NOW)) == [node(f"{n:02}") for n in range(2, 21)]
