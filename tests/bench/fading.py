"""How fast to forget: how well an old observation foretells the next one where others pay as well.

Twenty thousand channels of 5,000,000 sat, balances uniform. One amount is tried; then others pay for a while,
in both directions, 50,000 sat each as the median; then a similar amount is tried: within minutes, half an hour,
3 and 12 hours. What is believed after the first is the real code's; the figure is what it is surprised by the
outcome of the second, in nats (0 is certain and right, 0.69 a coin), the mean of the four times. How much
others pay is what nobody knows, so it is tried from 0.3 to 30 payments of a channel and hour, and the default
is what is bad nowhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pay.liquidity.beliefs import Believed, LiquidityBeliefs
from pay.liquidity.chance import chance
from pay.liquidity.facts import LACK, LOW, Table
from pay.liquidity.forgetting import DEFAULT_FAILURE_S, DEFAULT_SUCCESS_S, HalfLives
from pay.liquidity.prior import UNIFORM
from tests.bench.table import heading, row

SIZE = 5_000_000_000
CHANNELS = 20_000
HOUR_S = 3_600.0
LATER_H = (0.05, 0.5, 3.0, 12.0)
HALF_LIVES_H = (0.5, 1, 2, 6, 12, 24, 72, 168)
PAYMENTS_PER_H = (0.3, 3.0, 30.0)
NOW = 1_700_000_000.0

Amounts = NDArray[np.int64]


def run(_setting: object = None) -> dict[str, float]:
    """Print the tables and return the worst surprise over ideal forgetting, for the defaults."""
    figures: dict[str, float] = {}
    for kind, default_s in (("refused", DEFAULT_FAILURE_S), ("passed", DEFAULT_SUCCESS_S)):
        heading(f"surprise after an amount {kind}, nats", "not known", *(f"{h:g} h" for h in HALF_LIVES_H))
        lost = []
        for rate in PAYMENTS_PER_H:
            nothing, by_half_life = _surprises(rate, kind == "refused")
            row(f"{rate:g} payments of others an hour", *(f"{nats:.3f}" for nats in (nothing, *by_half_life)))
            lost.append(by_half_life[HALF_LIVES_H.index(default_s / HOUR_S)] - min(by_half_life))
        figures[f"fading_lost_nats_{kind}"] = max(lost)
        row("the default loses at most", f"{max(lost):.3f}")
    return figures


def _surprises(rate: float, refused: bool) -> tuple[float, list[float]]:
    """Mean surprise with nothing known, and for each half-life."""
    random = np.random.default_rng(3)
    balance = (random.random(CHANNELS) * SIZE).astype(np.int64)
    tried = np.minimum(_amounts(random, 100_000_000, 1.3), SIZE * 9 // 10)
    chosen = (balance < tried) == refused
    balance, tried = balance[chosen], tried[chosen]
    nothing, found = [], []
    for hours in LATER_H:
        later = _moved(random, balance, rate * hours)
        again = np.minimum((tried * np.exp(random.normal(0, 0.7, len(tried)))).astype(np.int64), SIZE * 19 // 20)
        passes = later >= again
        size, zero = np.full(len(again), SIZE), np.zeros(len(again), np.int64)
        nothing.append(_surprise(chance(UNIFORM, again, zero, zero, size, size), passes))
        found.append([
            _surprise(chance(UNIFORM, again, zero, *_believed(tried, refused, h, hours), size), passes)
            for h in HALF_LIVES_H
        ])  # fmt: skip
    return float(np.mean(nothing)), np.mean(found, axis=0).tolist()


def _believed(tried: Amounts, refused: bool, half_life_h: float, hours: float) -> tuple[Amounts, Amounts]:
    """Bounds of direction 0 so many hours after each amount was tried."""
    count, half_life_s = len(tried), half_life_h * HOUR_S
    value = np.zeros((4, count), np.int64)
    value[LACK if refused else LOW] = SIZE - tried + 1 if refused else tried
    beliefs = LiquidityBeliefs(HalfLives(half_life_s, half_life_s))
    scid = np.arange(1, count + 1, dtype=np.uint64)
    table = Table(scid, np.full(count, SIZE), value, np.where(value > 0, NOW, 0.0))
    beliefs.merge(Believed(table), NOW)
    knowledge = beliefs.knowledge(NOW + hours * HOUR_S)
    return knowledge.low_msat[0], knowledge.high_msat[0]


def _moved(random: np.random.Generator, balance: Amounts, payments: float) -> Amounts:
    """Balances after so many payments of others, on average; what is not there is not paid."""
    after, left = balance.copy(), random.poisson(payments, len(balance))
    for number in range(int(left.max(initial=0))):
        amount = _amounts(random, 50_000_000, 1.2, len(balance)) * random.choice([-1, 1], len(balance))
        moved = after + amount
        after = np.where((left > number) & (moved >= 0) & (moved <= SIZE), moved, after)
    return after


def _amounts(random: np.random.Generator, median_msat: int, width: float, count: int = CHANNELS) -> Amounts:
    return np.exp(random.normal(np.log(median_msat), width, count)).astype(np.int64)


def _surprise(chances: NDArray[np.float64], passes: NDArray[np.bool_]) -> float:
    certain = np.clip(chances, 1e-6, 1 - 1e-6)
    return float(-np.log(np.where(passes, certain, 1 - certain)).mean())
