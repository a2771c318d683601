"""What is drawn for nodes, and what is moved between parts."""

from __future__ import annotations

import numpy as np
import pytest

from pay.routing import NoRoute, Route, check, plan
from pay.routing.noise import MEAN, USUAL_RISKFACTOR, fee_noise, noise
from tests.support.networks import SAT, Net, query


def test_half_a_price_is_drawn_and_half_is_not() -> None:
    """Exponentially distributed: the mean is known, and the least is what is not drawn."""
    for randomness in (0.25, 0.5, 1.0):
        drawn = noise(20_000, 5, randomness)
        assert drawn.dtype == np.float32 and drawn.min() >= 1 - randomness
        assert drawn.mean() == pytest.approx(1 - randomness + MEAN * randomness, rel=0.03)


def test_a_node_keeps_its_draw_when_others_come() -> None:
    assert (noise(500, 5, 0.5)[:100] == noise(100, 5, 0.5)).all()
    assert (noise(100, 6, 0.5) != noise(100, 5, 0.5)).any()


def test_what_a_payment_drew_is_kept_for_its_later_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are drawn once; nobody who has them can change them for the next plan."""
    draws = []
    draw = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: draws.append(seed) or draw(seed))
    noise.cache_clear()
    fee_noise.cache_clear()
    for _ in range(3):
        times, fees = noise(100, 7, 0.5), fee_noise(100, 7, 0.5, 0.0)
        assert fees is not None
        for drawn in (times, fees):
            with pytest.raises(ValueError, match="read-only"):
                drawn[0] = 2.0
    assert len(draws) == 2
    noise(100, 8, 0.5)
    assert len(draws) == 3


def test_of_fees_the_more_is_drawn_the_less_time_costs() -> None:
    """At riskfactor 0 all of it on average, half at half the usual; from there on nothing."""
    for riskfactor, share in ((0.0, 1.0), (5.0, 0.5), (9.0, 0.1)):
        drawn = fee_noise(20_000, 5, 1.0, riskfactor)
        assert drawn is not None and drawn.min() >= 0
        assert drawn.mean() == pytest.approx(share, rel=0.03)
    assert fee_noise(10, 5, 1.0, USUAL_RISKFACTOR) is None and fee_noise(10, 5, 0.0, 0.0) is None


def test_equal_payments_go_several_ways_where_time_costs_nothing() -> None:
    """Of six ways of 100 to 105 ppm the first is the best by 1 %: with nothing drawn all payments take it; drawn,
    twenty take at least four, for 3 % more at most, and none costs more than is allowed."""
    net, amount = wide(6), 100_000 * SAT
    taken = {True: set[bytes](), False: set[bytes]()}
    for seed in range(20):
        for drawn in (True, False):
            asked = query(
                "b", amount, riskfactor=0.0, randomness=0.85 * drawn, seed=seed, max_parts=4, max_fee_msat=10_300
            )
            answer = plan(net.overlay("b"), asked)
            assert not isinstance(answer, NoRoute)
            taken[drawn].add(answer[0].hops[1].node)
            assert sum(route.fee_msat for route in answer) <= 10_300
    assert len(taken[False]) == 1 and len(taken[True]) == 4


def wide(ways: int) -> Net:
    """us ─ a ═ b over several nodes of 20,000,000 sat each: 100 ppm, and 1 ppm more from one to the next."""
    net = Net().own(1, "a", 10**12)
    for number in range(ways):
        net.link(100 + number, "a", f"m{number}", 20_000_000 * SAT, ppm=0, cltv=0)
        net.link(200 + number, f"m{number}", "b", 20_000_000 * SAT, ppm=100 + number, cltv=40)
    return net


AMOUNT = 40_000_000 * SAT


def parts(net: Net, **changes: object) -> tuple[Route, ...]:
    asked = query("b", AMOUNT, max_parts=16, failure_cost_msat=10_000_000, **changes)
    answer = plan(net.overlay("b"), asked)
    assert not isinstance(answer, NoRoute)
    check(net.overlay("b"), asked, answer)
    return answer


def test_parts_are_no_multiples_of_anything() -> None:
    """Without randomness each part is so many fortieths of the whole; with any it is not, the sum is what it was,
    another seed has other sizes, and the same one the same."""
    net = wide(4)
    even, odd, other = parts(net), parts(net, randomness=0.3, seed=1), parts(net, randomness=0.3, seed=2)
    assert {part.amount_msat % (AMOUNT // 40) for part in even} == {0}
    assert len(odd) > 1 and all(part.amount_msat % (AMOUNT // 40) for part in odd)
    assert sum(part.amount_msat for part in odd) == AMOUNT
    assert {part.amount_msat for part in odd} != {part.amount_msat for part in other}
    assert odd == parts(net, randomness=0.3, seed=1)


def test_moving_costs_next_to_nothing() -> None:
    """Ten payments cost within 0.5 % of what they cost unmoved."""
    net = wide(4)
    fee = sum(part.fee_msat for part in parts(net))
    odd = [sum(part.fee_msat for part in parts(net, randomness=0.01, seed=seed)) for seed in range(10)]
    assert max(odd) <= fee * 1.005


def test_a_part_that_fills_its_channel_may_only_get_less() -> None:
    """Two ways, one of exactly what is sent over it: no plan is broken by what is moved."""
    for seed in range(20):
        net = Net().own(1, "a", 10**12)
        for number, size in enumerate((1_000_000, 1_010_000)):
            net.link(100 + number, "a", f"m{number}", size * SAT + 1, ppm=0, cltv=0)
            net.link(200 + number, f"m{number}", "b", size * SAT + 1, ppm=0, cltv=40)
        asked = query("b", 2_000_000 * SAT, max_parts=4, randomness=0.5, seed=seed, min_part_msat=900_000 * SAT)
        answer = plan(net.overlay("b"), asked)
        assert not isinstance(answer, NoRoute) and min(part.amount_msat for part in answer) >= 900_000 * SAT


def test_limits_hold_whatever_is_drawn() -> None:
    """The cheapest plan costs just what is allowed: the quiet plan is found for every seed, moved or not."""
    net = wide(4)
    cheapest = sum(part.fee_msat for part in parts(net, riskfactor=0.0))
    for seed in range(10):
        asked = {"max_fee_msat": cheapest, "riskfactor": 1_000.0, "randomness": 1.0, "seed": seed}
        assert sum(part.fee_msat for part in parts(net, **asked)) <= cheapest
