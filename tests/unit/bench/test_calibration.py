"""Chance said against what happened, in numbers that can be counted; others' formulas where these are known."""

from __future__ import annotations

from math import exp, log

import pytest

from pay.liquidity.observation import Moved, Passed, Refused
from pay.units import Scid, ScidDir
from tests.bench.calibration import Bin, Ldk, LndApriori, LndBimodal, Record, Recorder, calibration, log_loss
from tests.support.payments import NOW, node

SAT = 1_000
C = 1_000_000 * SAT
HERE = ScidDir(Scid(5), 0)


def test_ten_bins_of_equal_count() -> None:
    """Of a hundred each chance happens as often as it says, but for the largest, which never do."""
    said = [(at + 0.5) / 100 for at in range(100)]
    happened = [at % 10 < round(at // 10) and at < 90 for at in range(100)]
    found = calibration(said[::-1], happened[::-1])
    assert [one.count for one in found.bins] == [10] * 10
    assert found.bins[0] == Bin(10, pytest.approx(0.05), 0.0)
    assert found.bins[4] == Bin(10, pytest.approx(0.45), 0.4)
    assert found.bins[4].points == pytest.approx(5.0)
    assert found.bins[4].error_points == pytest.approx(100 * (0.45 * 0.55 / 10) ** 0.5)
    assert found.worst_points == pytest.approx(95.0)


def test_few_outcomes_make_few_bins() -> None:
    assert [one.count for one in calibration([0.5] * 3, [True] * 3).bins] == [1, 1, 1]
    assert [one.count for one in calibration([0.5] * 7, [True] * 7, bins=3).bins] == [2, 2, 3]
    assert calibration([], []).worst_points == 0.0 == calibration([], []).log_loss
    with pytest.raises(ValueError):
        calibration([0.5], [])


def test_log_loss_is_of_what_happened_and_bounded() -> None:
    assert log_loss([0.5, 0.25], [True, False]) == pytest.approx((log(2) - log(0.75)) / 2)
    assert log_loss([0.0], [True]) == pytest.approx(log(1_000))


def test_what_others_say_of_a_channel() -> None:
    """Half of a million sat, of which nothing is known; refused; and an hour later."""
    asked, refused = Passed(HERE, C, C // 2, (), node("a")), Refused(HERE, C, C // 2, (), node("a"))
    lnd, bimodal, ldk = LndApriori(), LndBimodal(), Ldk()
    assert lnd.chance(asked, NOW) == pytest.approx(0.6)
    assert bimodal.chance(asked, NOW) == pytest.approx(0.5)
    assert ldk.chance(asked, NOW) == pytest.approx(0.5)
    assert ldk.chance(Passed(HERE, C, C // 10), NOW) == pytest.approx(1 - 0.05 + 128 * 0.4**9 - 0.25)
    for formula in (lnd, bimodal, ldk):
        formula.learn(refused, NOW)
        assert formula.chance(asked, NOW) == 0.0
    # Half of the refusal is left; the node is known by it as well.
    assert lnd.chance(asked, NOW + 3_600) == pytest.approx(0.6 / 1.5 / 2)
    assert ldk.chance(asked, NOW + 1_800) == pytest.approx((ldk._below(0.75) - 0.5) / ldk._below(0.75))
    assert 0 < bimodal.chance(asked, NOW + 7 * 86_400) < 0.5
    for formula in (lnd, bimodal, ldk):
        formula.learn(asked, NOW)
    assert (lnd.chance(asked, NOW), bimodal.chance(asked, NOW), ldk.chance(asked, NOW)) == (0.95, 1.0, 1.0)
    ldk.learn(Moved(HERE, C, C // 2), NOW)
    assert ldk.chance(asked, NOW) == 0.0, "it has half of the channel at most, which moved"
    assert bimodal.chance(asked, NOW + 7 * 86_400) == pytest.approx(
        bimodal._mass(C / 2, C, C) / bimodal._mass(C / 2 * exp(-1), C, C)
    )


def test_what_is_recorded_was_said_before_it_was_heard() -> None:
    record = Record()
    beliefs = Recorder(record)
    for _ in range(2):
        beliefs.learn([Refused(HERE, C, C // 2, (), node("a"))], NOW)
    assert record.happened == [False, False]
    assert record.said["ours, uniform"] == [pytest.approx(0.5), pytest.approx(0.025, rel=0.01)]
    assert (
        record.said["ours"]
        == record.said["ours, reserved"]
        == [pytest.approx(0.495), pytest.approx(0.025, rel=0.02)]
    )
    assert record.said["LDK"] == [pytest.approx(0.5), 0.0]
