"""Explanations that compete: when one is ahead, and what no single voice can do. Numbers can be added up."""

from __future__ import annotations

from math import log

import pytest

from pay.liquidity.beliefs import LiquidityBeliefs
from pay.liquidity.contest import HALF_LIFE_OUTCOMES, MARGIN_NATS, MOST_NATS, Contest, Scores
from pay.liquidity.observation import Moved, Passed, Refused
from pay.liquidity.portable import from_json, to_json
from pay.liquidity.prior import BIMODAL, RESERVED, UNIFORM
from pay.liquidity.returning import RETURNS_S
from pay.units import Scid, ScidDir
from tests.support.payments import NOW, node

SAT = 1_000
C = 1_000_000 * SAT


def contest() -> Contest:
    return Contest(("usual", "other"), "usual")


# --- the contest ------------------------------------------------------------------------------------------------


def test_another_is_used_once_it_was_better_by_the_margin() -> None:
    """Each outcome is worth ln 2 = 0.69: four are 2.8 nats, five are 3.5."""
    of = contest()
    used = []
    for _ in range(5):
        of.hear({"usual": 0.25, "other": 0.5}, happened=True)
        used.append(of.best)
    assert used == ["usual"] * 4 + ["other"] and MARGIN_NATS == 3.0
    assert of.scores.mean_nats("other") == pytest.approx(log(2))
    assert of.scores.mean_nats("usual") == pytest.approx(2 * log(2))
    assert Scores().mean_nats("usual") == 0.0


def test_and_no_longer_once_it_is_not() -> None:
    of = contest()
    for happened in [True] * 5 + [False] * 2:
        of.hear({"usual": 0.25, "other": 0.5}, happened)
    # Twice 0.41 less: 2.7 are left.
    assert of.best == "usual"


def test_one_outcome_is_charged_so_much_and_no_more() -> None:
    of = contest()
    of.hear({"usual": 1.0, "other": 0.0}, happened=True)
    of.hear({"usual": 1.0, "other": 1e-9}, happened=True)
    assert dict(of.scores.nats) == {"usual": 0.0, "other": pytest.approx(2 * MOST_NATS, rel=1e-3)}


def test_half_of_it_is_forgotten_after_a_thousand_outcomes() -> None:
    of = contest()
    of.hear({"usual": 0.5, "other": 1.0}, happened=True)
    for _ in range(int(HALF_LIFE_OUTCOMES)):
        of.hear({"usual": 1.0, "other": 1.0}, happened=True)
    assert dict(of.scores.nats)["usual"] == pytest.approx(log(2) / 2)


def test_a_thousand_refusals_of_one_node_weigh_less_than_two_of_two() -> None:
    """1 + 1/4 + 1/9 + ... is 1.64."""
    alone, two = contest(), contest()
    for number in range(1_000):
        alone.hear({"usual": 0.5, "other": 0.25}, False, node("liar"))
        if number < 2:
            two.hear({"usual": 0.5, "other": 0.25}, False, node(f"n{number}"))
    assert two.scores.outcomes == pytest.approx(2.0, rel=0.001)
    assert alone.scores.outcomes == pytest.approx(1.64, abs=0.01)


def test_scores_are_merged_whole_in_any_order() -> None:
    few, more = Scores(3.0, (("usual", 1.0), ("other", 9.0))), Scores(5.0, (("usual", 8.0), ("other", 1.0)))
    for order in ((few, more, few), (more, few), (more, more)):
        of = contest()
        for one in order:
            of.merge(one)
        assert of.scores == more and of.best == "other"
    of.merge(Scores(1e3, (("usual", 0.0), ("of a later version", 0.0))))
    assert of.scores == more, "nobody knows what the other would have been charged"
    of.merge(Scores(6.0, (("usual", 2.0), ("other", 1.0), ("of a later version", 0.0))))
    assert of.scores == Scores(6.0, (("usual", 2.0), ("other", 1.0)))


# --- priors -----------------------------------------------------------------------------------------------------


def outcomes(passed_sat: int, refused_sat: int, count: int, speaker: str | None = None) -> LiquidityBeliefs:
    """So many channels of as many nodes passed the one amount, and as many refused the other."""
    beliefs = LiquidityBeliefs()
    for number in range(1, 2 * count + 1):
        channel, of = ScidDir(Scid(number), 0), node(speaker or f"n{number}")
        seen = (Passed, Refused)[number % 2](channel, C, (passed_sat, refused_sat)[number % 2] * SAT, (), of)
        beliefs.learn([seen], NOW)
    return beliefs


def test_the_prior_that_foretells_best_is_used() -> None:
    """100,000 sat of a million were refused as often as 900,000 passed: they lie at the ends."""
    assert outcomes(900_000, 100_000, 1).prior is RESERVED
    beliefs = outcomes(900_000, 100_000, 10)
    assert beliefs.prior is BIMODAL is beliefs.knowledge(NOW).prior
    scores = beliefs.believed().priors
    assert scores.outcomes == pytest.approx(20, rel=0.01)
    assert [round(scores.mean_nats(of), 2) for of in ("bimodal", "mixed", "reserved", "uniform")] == [
        1.13, 1.77, 2.26, 2.3,
    ]  # fmt: skip


def test_where_small_and_large_amounts_pass_and_are_refused_as_often_the_usual_one_stays() -> None:
    assert outcomes(500_000, 500_000, 20).prior is RESERVED


def test_one_that_refuses_whatever_it_gets_changes_no_prior() -> None:
    """Fifty channels refuse a hundredth. Of fifty nodes that means that channels run empty; of one, nothing."""
    refused = [Refused(ScidDir(Scid(n), 0), C, C // 100, (), node("liar")) for n in range(1, 51)]
    liar, true = LiquidityBeliefs(), LiquidityBeliefs()
    for number, one in enumerate(refused):
        liar.learn([one], NOW)
        true.learn([Refused(one.channel, C, C // 100, (), node(f"n{number}"))], NOW)
    assert liar.prior is RESERVED and true.prior is BIMODAL


def test_what_follows_from_bounds_is_no_score() -> None:
    """The same refusal again, more of the same, and less of what passed: one outcome in all."""
    beliefs, channel = LiquidityBeliefs(), ScidDir(Scid(1), 0)
    for sat in (400_000, 400_000, 500_000):
        beliefs.learn([Refused(channel, C, sat * SAT)], NOW)
    assert beliefs.believed().priors.outcomes == 1.0


def test_a_prior_that_is_asked_for_is_used_and_all_are_scored() -> None:
    beliefs = outcomes(900_000, 100_000, 10)
    beliefs.fixed_prior = UNIFORM
    assert beliefs.prior is UNIFORM is beliefs.knowledge(NOW).prior
    beliefs.fixed_prior = None
    assert beliefs.prior is BIMODAL


# --- kept and handed on -----------------------------------------------------------------------------------------


def test_scores_are_handed_on_and_forgotten_with_the_rest() -> None:
    beliefs, copy = outcomes(900_000, 100_000, 10), LiquidityBeliefs()
    for _ in range(10):
        beliefs.learn([Moved(ScidDir(Scid(99), 0), C, 400_000 * SAT)], NOW)
    exported = to_json(beliefs.believed())
    assert set(exported["scores"]["returns"]["nats"]) == set(RETURNS_S)
    copy.merge(from_json(exported, NOW), NOW)
    assert copy.prior is BIMODAL and copy.returns == beliefs.returns == "at_once"
    assert to_json(copy.believed())["scores"] == exported["scores"]
    copy.reset()
    assert copy.prior is RESERVED and copy.returns == "never"
    assert to_json(copy.believed())["scores"] == {}


def test_what_earlier_versions_wrote_has_no_scores() -> None:
    old = {"version": 1, "channels": []}
    assert from_json(old, NOW).priors == Scores() == from_json({**old, "nodes": []}, NOW).returns


@pytest.mark.parametrize(
    ("scores", "wrong"),
    [
        (7, ".scores: should be an object, not 7"),
        ({"priors": {"outcomes": 1}}, ".scores.priors.nats: is missing"),
        ({"others": {}}, ".scores: unknown field 'others'"),
        ({"returns": {"outcomes": -1, "nats": {}}}, ".scores.returns.outcomes: should be a number from 0 to 2000"),
        ({"priors": {"outcomes": float("nan"), "nats": {}}}, ".scores.priors.outcomes: should be a number"),
        ({"priors": {"outcomes": 1, "nats": []}}, ".scores.priors.nats: should be an object, not []"),
        ({"priors": {"outcomes": 1, "nats": {"uniform": 5}}}, "from 0 to 4.1, not 5"),
    ],
)
def test_scores_that_make_no_sense_are_refused(scores: object, wrong: str) -> None:
    with pytest.raises(ValueError) as refused:
        from_json({"version": 1, "channels": [], "scores": scores}, NOW)
    assert wrong in str(refused.value)
