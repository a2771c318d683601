"""The guesser that the privacy bench measures with: right where it can be known, and no better."""

from __future__ import annotations

import pytest

from tests.bench.guessing import Onward, Watcher
from tests.bench.privacy import entropy
from tests.support.networks import Net, node

AMOUNT = 1_000_000


@pytest.fixture(scope="module")
def watched() -> tuple[Net, Onward]:
    """l ─ n ─ v ─ w, 40 blocks each and the only way; l watches what it forwards to n."""
    net = Net()
    for number, (start, end) in enumerate(["ln", "nv", "vw"], start=1):
        net.link(number, start, end, cltv=40)
    return net, Watcher(net.graph, AMOUNT, [node(name) for name in "nvw"]).onward(node("l"), node("n"))


@pytest.mark.parametrize(("left", "payee"), [(18, "n"), (80, "n"), (80 + 40, "v"), (18 + 80, "w"), (24 + 40, "v")])
def test_blocks_tell_who_is_paid(left: int, payee: str, watched: tuple[Net, Onward]) -> None:
    """Without shadows: what is left is a usual final delay and the deltas of the way behind n."""
    net, onward = watched
    assert onward.guess(left, shadowed=False) == net.graph.node_number(node(payee))


def test_with_shadows_they_tell_less(watched: tuple[Net, Onward]) -> None:
    """120 blocks may be n's with a shadow of 40 as well, and a whole number of sats would tell that they are. With
    nobody behind v, it is v whatever the shadow."""
    net, onward = watched
    assert onward.guess(80 + 40, shadowed=True, digits=1_000.0) == net.graph.node_number(node("n"))
    lone = Watcher(net.graph, AMOUNT, [node("v")]).onward(node("n"), node("v"))
    assert lone.guess(18 + 40, shadowed=True) == net.graph.node_number(node("v"))


def test_bits() -> None:
    assert entropy([1, 1, 1, 1]) == 2.0 and entropy([7]) == 0.0
    assert entropy([3, 1]) == pytest.approx(0.8113, abs=1e-4)
