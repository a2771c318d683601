"""What was sent may come back: at which rate is learnt from what passes over the same channel, and what not."""

from __future__ import annotations

import pytest

from pay.liquidity import returning
from pay.liquidity.beliefs import LiquidityBeliefs
from pay.liquidity.facts import reserved_by_one
from pay.liquidity.observation import Beside, Moved, Passed, Refused
from pay.liquidity.prior import BIMODAL, UNIFORM
from pay.units import Scid, ScidDir
from tests.support.payments import NOW

SAT = 1_000
C = 1_000_000 * SAT
MINUTE, HOUR = 60.0, 3_600.0
HERE, BACK = ScidDir(Scid(5), 0), ScidDir(Scid(5), 1)


def moved(sat: int, channel: ScidDir = HERE) -> Moved:
    return Moved(channel, C, sat * SAT)


def refused(sat: int, channel: ScidDir = HERE) -> Refused:
    return Refused(channel, C, sat * SAT)


def bounds(beliefs: LiquidityBeliefs, channel: ScidDir = HERE, now_s: float = NOW) -> tuple[int, int]:
    found = beliefs.knowledge(now_s).of(channel)
    assert found is not None
    return found.low_msat // SAT, found.high_msat // SAT


def always_back(beliefs: LiquidityBeliefs, times: int, channel: ScidDir = HERE) -> list[str]:
    """400,000 sat pass again and again, as where balances never move."""
    used = []
    for _ in range(times):
        beliefs.learn([moved(400_000, channel)], NOW)
        used.append(beliefs.returns)
    return used


def test_what_passes_again_and_again_is_back_at_once() -> None:
    """Were it gone, the second had 34 %, the third none: charged 1.08 and then 3 nats more than who foresaw it."""
    beliefs = LiquidityBeliefs()
    assert always_back(beliefs, 4) == ["never", "never", "at_once", "at_once"]
    assert bounds(beliefs) == (400_000, 1_000_000), "it is there as it was before"
    assert bounds(beliefs, BACK) == (0, 600_000)


def test_what_is_refused_afterwards_is_gone() -> None:
    """Ten channels carry 400,000 sat once, and then not again."""
    beliefs = LiquidityBeliefs()
    for number in range(10):
        channel = ScidDir(Scid(number + 1), 0)
        beliefs.learn([moved(400_000, channel), refused(400_000, channel)], NOW)
        assert beliefs.returns == "never"
    scores = beliefs.believed().returns
    assert scores.outcomes == pytest.approx(10, rel=0.01)
    # Who says that it is gone gives 64 % to that; who is sure that it is there, 2 %.
    assert scores.mean_nats("never") == pytest.approx(0.44, abs=0.01)
    assert scores.mean_nats("at_once") == pytest.approx(3.91, abs=0.01)


def test_where_balances_are_believed_to_lie_is_no_argument_for_or_against_it() -> None:
    """A channel that was full and has moved 400,000 sat is neither full nor empty; what is left of it is there."""
    scores = []
    for prior in (UNIFORM, BIMODAL):
        beliefs = LiquidityBeliefs(prior=prior)
        always_back(beliefs, 2)
        beliefs.learn([refused(400_000)], NOW)
        scores.append(beliefs.believed().returns)
        assert beliefs.returns == "never"
    assert scores[0] == scores[1]


def test_what_is_refused_soon_and_passes_later_comes_back_in_between() -> None:
    """Each channel: 400,000 sat go, a minute later they are not there, an hour later they are."""
    beliefs = LiquidityBeliefs()
    for number in range(20):
        channel, now = ScidDir(Scid(number + 1), 0), NOW + number * HOUR
        beliefs.learn([moved(400_000, channel)], now)
        beliefs.learn([refused(390_000, channel)], now + MINUTE)
        beliefs.learn([Passed(channel, C, 400_000 * SAT)], now + HOUR)
    assert beliefs.returns == "minutes"


def test_it_comes_back_while_nothing_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of 400,000 sat in ten minutes; of the other side nothing was known."""
    monkeypatch.setattr(returning, "RETURNS_S", {"never": float("inf"), "minutes": 600.0})
    beliefs = LiquidityBeliefs()
    monkeypatch.setattr(returning.Returning, "used", property(lambda self: "minutes"))
    beliefs.learn([moved(400_000)], NOW)
    kept = reserved_by_one(C) // SAT
    assert bounds(beliefs) == (0, 600_000 + kept)
    low, high = bounds(beliefs, now_s=NOW + 600)
    assert (low, high) == (200_000, pytest.approx(800_000 + kept, rel=0.02))
    assert bounds(beliefs, BACK, NOW + 600)[0] == pytest.approx(200_000 - kept, abs=10_000)
    low, high = bounds(beliefs, now_s=NOW + 6_000)
    assert (low, high) == (399_609, 1_000_000)


def test_what_contradicts_wins_at_once_and_what_is_out_still_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes later half should be back; a tenth is refused, so it is not. Then the other half comes."""
    monkeypatch.setattr(returning.Returning, "used", property(lambda self: "minutes"))
    beliefs = LiquidityBeliefs()
    beliefs.learn([moved(400_000)], NOW)
    beliefs.learn([refused(100_000)], NOW + 600)
    assert bounds(beliefs, now_s=NOW + 600) == (0, 99_999)
    assert bounds(beliefs, now_s=NOW + 1_200)[1] == pytest.approx(200_000, rel=0.03)


def test_another_explanation_holds_for_all_that_was_moved_at_once() -> None:
    """Over 7 went 300,000 sat long before 5 showed that they are back."""
    beliefs, other = LiquidityBeliefs(), ScidDir(Scid(7), 1)
    beliefs.learn([moved(300_000, other)], NOW)
    assert bounds(beliefs, other) == (0, 700_000 + reserved_by_one(C) // SAT)
    always_back(beliefs, 3)
    assert bounds(beliefs, other) == (300_000, 1_000_000)


def test_what_goes_there_and_back_leaves_nothing_out() -> None:
    beliefs = LiquidityBeliefs()
    for _ in range(10):
        beliefs.learn([moved(400_000), moved(400_000, BACK)], NOW)
    assert beliefs.returns == "never", "it was there because it had been brought"


def test_over_channels_beside_others_nothing_is_followed() -> None:
    beliefs = LiquidityBeliefs()
    for _ in range(10):
        beliefs.learn([Moved(HERE, C, 400_000 * SAT, 0, (Beside(Scid(6), C),))], NOW)
    assert beliefs.returns == "never" and beliefs.believed().returns.outcomes == 0


def test_the_channel_that_was_used_least_lately_is_followed_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returning, "MOST_FOLLOWED", 2)
    beliefs = LiquidityBeliefs()
    for number in (1, 2, 1, 3):
        beliefs.learn([moved(400_000, ScidDir(Scid(number), 0))], NOW)
    assert [scid for scid, _ in beliefs._returning.followed()] == [1, 3]
