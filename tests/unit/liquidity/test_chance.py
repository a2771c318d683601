"""Priors and the chance of an arc: the columns against the scalars, and both against slow sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pay.liquidity.chance import DOUBT, chance, chance_of
from pay.liquidity.knowledge import NOTHING_KNOWN, Bounds, Knowledge
from pay.liquidity.prior import BIMODAL, MIXED, PRIORS, UNIFORM, Prior
from pay.units import MAX_MSAT, Scid, ScidDir

ALL = pytest.mark.parametrize("prior", PRIORS.values(), ids=lambda prior: prior.name)


def density(prior: Prior, capacity: int) -> list[float]:
    """The chance of every amount that a side can forward in a small channel, from the prior's definition:
    midpoints of its balance's density; what is within the reserve is nothing, the rest is stretched."""
    count, fine = capacity + 1, 40_000
    scale = prior.scale * count
    norm = 2 * scale * (1 - math.exp(-count / scale))
    x = (np.arange(fine) + 0.5) * count / fine
    bimodal = (np.exp(-x / scale) + np.exp(-(count - x) / scale)) / norm
    weight = (prior.uniform / count + (1 - prior.uniform) * bimodal) * count / fine
    kept = prior.reserve * count
    amount = np.where(x < kept, 0, (x - kept) / (1 - prior.reserve)).astype(int)
    return np.bincount(amount, weight, count).tolist()


def some_arcs(seed: int = 1, count: int = 3_000) -> dict[str, np.ndarray]:
    """Arcs of all sizes with bounds of all kinds, among them points, empty channels and what nobody can hold."""
    random = np.random.default_rng(seed)
    capacity = np.exp(random.uniform(0, math.log(MAX_MSAT), count)).astype(np.int64)
    capacity[:5] = [0, 1, 2, MAX_MSAT, 10**9]
    ends = np.sort((random.random((2, count)) * capacity).astype(np.int64), axis=0)
    ends[:, ::7] = ends[0, ::7]
    nothing = random.random(count) < 0.3
    low, high = np.where(nothing, 0, ends[0]), np.where(nothing, capacity, ends[1])
    held = np.where(random.random(count) < 0.5, 0, (random.random(count) * capacity * 0.6).astype(np.int64))
    amount = (random.random(count) * 1.2 * np.minimum(capacity, MAX_MSAT // 4)).astype(np.int64)
    return {"amount": amount, "held": held, "low": low, "high": high, "capacity": capacity}


@ALL
@pytest.mark.parametrize("capacity", [0, 1, 5, 40, 90])
def test_the_priors_are_the_integrals_of_their_densities(prior: Prior, capacity: int) -> None:
    weights = density(prior, capacity)
    assert sum(weights) == pytest.approx(1, rel=1e-3)
    for first in range(capacity + 2):
        assert prior.survival_of(first, capacity) == pytest.approx(sum(weights[first:]), rel=2e-3, abs=1e-9)
        for last in range(first, capacity + 1):
            mass = prior.mass_of(first, last, capacity)
            assert mass == pytest.approx(sum(weights[first : last + 1]), rel=2e-3, abs=1e-9)


@ALL
def test_columns_and_scalars_are_the_same_numbers(prior: Prior) -> None:
    arcs = some_arcs()
    many = chance(prior, *arcs.values())
    one = [chance_of(prior, *row) for row in zip(*(a.tolist() for a in arcs.values()), strict=True)]
    np.testing.assert_allclose(many, one, rtol=1e-9, atol=1e-300)
    assert ((many >= 0) & (many <= 1 + 1e-12)).all()
    survival = prior.survival(arcs["amount"], arcs["capacity"])
    pairs = zip(arcs["amount"].tolist(), arcs["capacity"].tolist(), strict=True)
    np.testing.assert_allclose(survival, [prior.survival_of(*pair) for pair in pairs], rtol=1e-12)


@ALL
def test_an_amount_for_all_arcs_is_that_amount_for_each(prior: Prior) -> None:
    arcs = some_arcs()
    each = {**arcs, "amount": np.full_like(arcs["amount"], 50_000_000)}
    np.testing.assert_array_equal(
        chance(prior, 50_000_000, *list(arcs.values())[1:]), chance(prior, *each.values())
    )


@pytest.mark.parametrize(
    ("amount", "held", "capacity"),
    [(1, 0, 10), (10, 0, 10), (3, 4, 10), (1_000, 0, 10**9), (10**9, 0, 10**9), (5 * 10**11, 10**11, 10**12)],
)
def test_with_nothing_known_the_uniform_prior_is_the_formula_of_the_paper(
    amount: int, held: int, capacity: int
) -> None:
    expected = (capacity - held + 1 - amount) / (capacity - held + 1)
    assert chance_of(UNIFORM, amount, held, 0, capacity, capacity) == pytest.approx(expected, rel=1e-12)


@ALL
def test_what_is_within_the_lower_bound_passes_but_for_doubt(prior: Prior) -> None:
    believed = chance_of(prior, 300, 0, 300, 400, 1_000)
    assert believed == pytest.approx(1 - DOUBT + DOUBT * prior.survival_of(300, 1_000))
    assert chance_of(prior, 300, 0, 299, 400, 1_000) < believed


@ALL
def test_what_is_above_the_upper_bound_is_the_last_resort_and_not_impossible(prior: Prior) -> None:
    refused = chance_of(prior, 301, 0, 0, 300, 1_000)
    assert refused == pytest.approx(DOUBT * prior.survival_of(301, 1_000))
    assert 0 < refused < chance_of(prior, 300, 0, 0, 300, 1_000)
    assert chance_of(prior, 1_001, 0, 0, 300, 1_000) == 0, "more than the channel has ever held"


@ALL
def test_what_is_held_is_part_of_the_balance_that_the_bounds_are_of(prior: Prior) -> None:
    """100 passed and are still out: they say nothing against 50 more within the lower bound of 200."""
    held = chance_of(prior, 50, 100, 200, 900, 1_000)
    assert held == pytest.approx(1, abs=DOUBT)
    assert chance_of(prior, 150, 0, 200, 900, 1_000) * 1.0 == pytest.approx(
        held * chance_of(prior, 100, 0, 200, 900, 1_000)
    )
    assert chance_of(prior, 50, 2_000, 200, 900, 1_000) == 0


@ALL
def test_narrow_bounds_in_the_middle_of_a_bimodal_channel_mean_what_they_say(prior: Prior) -> None:
    """Two survivals are the same float there; the mass between them is not nothing."""
    capacity, middle = 10**15, 5 * 10**14
    assert chance_of(prior, middle + 5, 0, middle, middle + 9, capacity) == pytest.approx(0.5, abs=DOUBT)


def test_bimodal_channels_have_their_balance_at_the_ends() -> None:
    capacity = 10**9
    for prior in (BIMODAL, MIXED):
        assert prior.mass_of(0, capacity // 10, capacity) > 1.5 * UNIFORM.mass_of(0, capacity // 10, capacity)
        assert prior.survival_of(capacity // 2, capacity) == pytest.approx(0.5, abs=prior.reserve)


def test_knowledge_by_direction() -> None:
    knowledge = Knowledge.about({Scid(7): (1_000, 300, 400), Scid(3): (10, 0, 5)})
    assert knowledge.scid.tolist() == [3, 7] and len(knowledge) == 2
    assert knowledge.of(ScidDir(Scid(7), 0)) == Bounds(300, 400, 1_000)
    assert knowledge.of(ScidDir(Scid(7), 1)) == Bounds(600, 700, 1_000)
    assert knowledge.of(ScidDir(Scid(8), 0)) is None
    assert len(NOTHING_KNOWN) == 0 and NOTHING_KNOWN.of(ScidDir(Scid(7), 0)) is None
