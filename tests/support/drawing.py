"""Small random networks for Hypothesis: one with every odd thing, one in which chunks are in each other's way.

A draw of Hypothesis takes 100 us and a small network has a hundred choices, so several are made with one draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from math import prod
from typing import Any

from hypothesis import strategies as st

from pay.network import Policy
from tests.support.networks import SAT, Net

NODES = "abcdef"
PAIRS = [(a, b) for a in NODES for b in NODES if a < b]
AMOUNT = 100_000 * SAT
"""Of a payment over one route."""

CHUNK = 100_000 * SAT
"""Of a payment over several: what the planner places at a time."""


def one_of_each(*options: Sequence[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """A tuple with one of each sequence; shrinks towards the first ones."""

    def taken(number: int) -> tuple[Any, ...]:
        chosen = []
        for some in options:
            number, at = divmod(number, len(some))
            chosen.append(some[at])
        return tuple(chosen)

    return st.integers(0, prod(map(len, options)) - 1).map(taken)


@st.composite
def networks(draw: st.DrawFn, *, tight: bool) -> Net:
    """Tight ones have channels that the amount, or the amount with fees, just does not fit in."""
    net, number = Net(), 0
    sizes = [AMOUNT, AMOUNT + 50, AMOUNT + 2_000, 2 * AMOUNT, 20 * AMOUNT]
    sizes = sizes if tight else [3 * AMOUNT, 20 * AMOUNT, 20 * AMOUNT + 7]
    least = [0, 1, AMOUNT, AMOUNT + 1_000, 2 * AMOUNT] if tight else [0, 1]
    bases, ppms, deltas = [0, 0, 1, 1_000, 5_000], [0, 0, 1, 100, 1_000], [0, 6, 40, 144]
    fields = one_of_each(bases, ppms, deltas, least, sizes, [True, True, True, True, False])
    asks = fields.map(_policy)
    links = one_of_each(list(permutations(NODES, 2)), sizes)
    for _ in range(draw(st.integers(1, 9))):
        (a, b), size = draw(links)
        number += 1
        net.link(number, a, b, size, back=draw(asks), **_link(draw(asks)))
    for name, size in draw(st.lists(one_of_each(NODES, sizes), min_size=1, max_size=3)):
        number += 1
        net.own(number, name, size)
    return net


def _policy(asked: tuple[int, int, int, int, int, bool]) -> Policy:
    return Policy(*asked, timestamp=1)


def _link(asked: Policy) -> dict[str, Any]:
    return {
        "base": asked.fee_base_msat, "ppm": asked.fee_ppm, "cltv": asked.cltv_delta, "low": asked.htlc_min_msat,
        "high": asked.htlc_max_msat, "enabled": asked.enabled,
    }  # fmt: skip


@st.composite
def chunk_networks(draw: st.DrawFn, *, base: bool) -> Net:
    """Channels of one to four chunks, most of one or two so that chunks get into each other's way."""
    net, number = Net(), 0
    sizes = [chunks * CHUNK + 7 for chunks in (1, 1, 1, 2, 4)]
    asks = one_of_each(range(2_001), [0, 1_000] if base else [0], [0, 40, 144], [True, True, True, False])
    for (a, b), size in draw(st.lists(one_of_each(PAIRS, sizes), min_size=4, max_size=14)):
        number += 1
        forth, back = draw(asks), draw(asks)
        policy = Policy(back[1], back[0], back[2], 1, size, back[3], timestamp=1)
        net.link(number, a, b, size, back=policy, ppm=forth[0], base=forth[1], cltv=forth[2], enabled=forth[3])
    for name, chunks in draw(st.lists(one_of_each(NODES[1:], range(1, 5)), min_size=1, max_size=3)):
        number += 1
        net.own(number, name, chunks * (CHUNK + CHUNK // 100))
    return net
