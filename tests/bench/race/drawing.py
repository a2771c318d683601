"""Who races: hubs and payees, drawn from a seed, the same on every machine.

    our node ── hub ── the public network as it was recorded ── payee

A hub is the only peer of our node. Hubs are drawn one from each stratum of equal width in the logarithm of their
number of channels, so that small ones, of which there are most, do not crowd out the others. Payees are drawn
without favour among the nodes that could take the amount twice over several open channels, for all that gossip
tells: a uniform balance is half a channel on average, and payees that nobody can pay tell nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pay.network import ChannelGraph

LEAST_HUB_CHANNELS, MOST_HUB_CHANNELS = 5, 200
LEAST_PAYEE_CHANNELS = 3
ROOM = 2
"""How many times an amount the channels into a payee must be able to take."""

MOST_INVOICES = 256
"""Of a hub: the simulated network knows so many preimages, and a hash is used once by a sender."""


@dataclass(frozen=True, slots=True)
class Hub:
    """A node by its number in the snapshot, and how many channels it has open in both directions."""

    number: int
    channels: int


@dataclass(frozen=True, slots=True)
class Order:
    """One payment to be made: `index` is its place in the order in which each sender pays."""

    index: int
    payee: int
    amount_msat: int


@dataclass(frozen=True, slots=True)
class Topology:
    """What drawing needs to know of the nodes, by their numbers.

    Parameters
    ----------
    channels
        Open in both directions; int64, shape (nodes,).
    into
        Channels open towards the node; int64, shape (nodes,).
    room_msat
        What these can take together, for all that gossip tells; int64, shape (nodes,).
    """

    channels: npt.NDArray[np.int64]
    into: npt.NDArray[np.int64]
    room_msat: npt.NDArray[np.int64]

    def able(self, amount_msat: int) -> list[int]:
        """Nodes that such an amount may be sent to."""
        enough = (self.into >= LEAST_PAYEE_CHANNELS) & (self.room_msat >= ROOM * amount_msat)
        return [int(number) for number in np.flatnonzero(enough)]


def topology(graph: ChannelGraph, ids: Sequence[bytes]) -> Topology:
    """Of a graph whose node `number` has the id `ids[number]`."""
    place = {node: number for number, node in enumerate(ids)}
    number_of = np.array([place[graph.node_id(node)] for node in range(graph.n_nodes)])
    target = number_of[graph.target]
    open_ = graph.enabled
    most = np.minimum(graph.htlc_max_msat, graph.capacity_msat)
    into = np.bincount(target[open_], minlength=len(ids))
    room = np.bincount(target[open_], most[open_], len(ids)).astype(np.int64)
    both = open_[0::2] & open_[1::2]
    ends = np.concatenate([target[0::2][both], target[1::2][both]])
    return Topology(np.bincount(ends, minlength=len(ids)), into, room)


def draw_hubs(channels: Mapping[int, int], count: int, seed: int) -> list[Hub]:
    """As many hubs, from the smallest to the largest; fewer only where there are not as many nodes.

    Parameters
    ----------
    channels
        Of every node, by its number.
    """
    chance = random.Random(f"hubs {seed}")
    left = sorted(n for n, degree in channels.items() if LEAST_HUB_CHANNELS <= degree <= MOST_HUB_CHANNELS)
    width = math.log(MOST_HUB_CHANNELS / LEAST_HUB_CHANNELS) / count
    drawn: list[Hub] = []
    for stratum in range(count):
        if not left:
            break
        low, high = (LEAST_HUB_CHANNELS * math.exp(width * (stratum + end)) for end in (0, 1))
        inside = [n for n in left if low <= channels[n] <= high]
        # Where nobody has so many channels, the nearest who has.
        near = min(left, key=lambda n: (abs(math.log(channels[n] / math.sqrt(low * high))), n))
        number = chance.choice(inside) if inside else near
        left.remove(number)
        drawn.append(Hub(number, channels[number]))
    return sorted(drawn, key=lambda hub: (hub.channels, hub.number))


def draw_orders(
    able: Mapping[int, Sequence[int]], hub: int, payees: int, seed: int
) -> list[Order]:  # fmt: skip
    """What is paid over a hub: as many payees for every amount, the same for all where they can take it.

    Parameters
    ----------
    able
        amount in msat -> numbers of the nodes that it may be sent to.
    """
    chance = random.Random(f"payees {seed} {hub}")
    everyone = sorted({number for numbers in able.values() for number in numbers} - {hub})
    chance.shuffle(everyone)
    pairs: list[tuple[int, int]] = []
    for amount_msat, numbers in sorted(able.items()):
        allowed = set(numbers)
        pairs += [(payee, amount_msat) for payee in everyone if payee in allowed][:payees]
    chance.shuffle(pairs)
    return [Order(index, payee, amount_msat) for index, (payee, amount_msat) in enumerate(pairs)]
