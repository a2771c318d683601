"""What memory is worth: a sequence of payments on the public network, while others pay too.

One user pays every minute, the amounts log-uniform, the payees drawn from a few hundred by popularity (the n-th
most popular 1/n as often as the first). It pays once with beliefs that last, and once with beliefs that begin
anew with every payment; same payees, same amounts, same traffic of others. Balances are of either kind, and so are
the beliefs that it starts from.

Traffic is random walks over channels that move an amount where every channel on the way has it. So that the
balances stay distributed as they were drawn, a walk goes through with the chance that Metropolis' rule gives it:
for uniform balances always, for bimodal ones the less often the more it evens them out. Our own channels are
filled up again after each payment; what our payments do to the channels of others stays.

    paid      of all payments; not all of them are possible
    HTLCs     of a payment that is made with memory and without, parts and failures; of them failed
    fee ×     of some payments (every fiftieth), beside what a sender pays that knows all balances at that moment

What it knowingly does not do: let balances depend on fees, or traffic follow the ways that senders prefer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pay.liquidity.beliefs import LiquidityBeliefs
from pay.liquidity.forgetting import HalfLives
from pay.liquidity.prior import DEFAULT_PRIOR, PRIORS, Prior
from pay.sim.network.channel import SimChannel
from pay.sim.network.clock import VirtualClock
from pay.sim.network.networks import BIMODAL_SCALE_MSAT
from pay.sim.network.world import World
from pay.units import NodeId
from tests.bench.quality import BALANCES, PARTS
from tests.bench.setting import SAT, USUAL, Setting, ours
from tests.bench.table import heading, row
from tests.bench.truth import Truth
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits

PAYMENTS = 1_000
"""For either kind of balances: two thousand in all, each made with memory and without."""

EVERY_S = 60.0
OTHERS_S = 1.0
"""Walks a second that others try. Nobody knows how many payments there are; a few a second were estimated."""

PAYEES = 400
LEAST_MSAT, MOST_MSAT = 1_000 * SAT, 500_000 * SAT
WALK_HOPS = 4
MOST_ATTEMPTS = 30
"""Some payments are not possible, and would else take most of the time."""

COMPARED = 50
"""Each so many payments the all-knowing sender is asked: it has to be taught all balances first."""


@dataclass(frozen=True, slots=True)
class Order:
    """A payment to be made, and the seed of the traffic before it."""

    payee: NodeId
    amount_msat: int
    traffic: int


@dataclass(slots=True)
class Tally:
    """What a sequence came to, by number of the payment: of those that were made the fees, of all the parts that
    failed, of some what an all-knowing sender would pay."""

    fees_msat: dict[int, int] = field(default_factory=dict)
    parts: dict[int, int] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    cheapest_msat: dict[int, int] = field(default_factory=dict)


def run(setting: Setting) -> dict[str, float]:
    """Print the tables and return their figures."""
    payments = setting.few(PAYMENTS, 40)
    figures: dict[str, float] = {}
    failed = {True: 0, False: 0}
    for balances in BALANCES:
        heading(f"{payments:,} payments, {balances} balances", "paid", "HTLCs", "failed", "fee ×")
        orders = make_orders(setting, balances, payments, seed=7)
        few = payments // 8
        for prior in (DEFAULT_PRIOR, *(prior for prior in PRIORS.values() if prior is not DEFAULT_PRIOR)):
            # The others only for the first of them: it is what a wrong one costs that counts.
            some = orders if prior is DEFAULT_PRIOR else orders[:few]
            pair = {memory: sequence(setting, balances, some, prior, memory) for memory in (False, True)}
            if prior is DEFAULT_PRIOR:
                _print(f"{prior.name} prior", pair, payments)
            _print(f"the first {few}, {prior.name} prior", pair, few)
            both = pair[True].fees_msat.keys() & pair[False].fees_msat.keys()
            lost = {memory: sum(tally.failed[at] for at in both) for memory, tally in pair.items()}
            figures[f"memory_attempts_ratio_{balances}_{prior.name}"] = lost[True] / max(1, lost[False])
            row("failed parts, with memory / without", "", "", f"{lost[True] / max(1, lost[False]):.2f}", "")
            if prior is DEFAULT_PRIOR:
                failed = {memory: count + lost[memory] for memory, count in failed.items()}
        print()
    ratio = figures["memory_attempts_ratio"] = failed[True] / max(1, failed[False])
    row(f"with memory / without, {DEFAULT_PRIOR.name} prior, all balances", "", "", f"{ratio:.2f}", "≤ 0.7")
    return figures


def _print(name: str, pair: Mapping[bool, Tally], payments: int) -> None:
    """Of the first so many: parts where both paid, fees where that was compared as well."""
    both = {at for at in pair[True].fees_msat.keys() & pair[False].fees_msat.keys() if at < payments}
    compared = both & pair[True].cheapest_msat.keys()
    cheapest = sum(pair[True].cheapest_msat[at] for at in compared)
    for memory, tally in pair.items():
        ratio = sum(tally.fees_msat[at] for at in compared) / max(1, cheapest)
        row(
            f"{name}, {'with memory' if memory else 'without'}",
            f"{100 * sum(at < payments for at in tally.fees_msat) / payments:.1f} %",
            f"{sum(tally.parts[at] for at in both) / max(1, len(both)):.2f}",
            f"{sum(tally.failed[at] for at in both) / max(1, len(both)):.2f}",
            f"{ratio:.3f}",
        )  # fmt: skip


def make_orders(setting: Setting, balances: str, count: int, seed: int, world_seed: int = 3) -> list[Order]:
    """The same for the same seed; to payees who could be paid the largest amount at the start."""
    draw = random.Random(seed)
    world = setting.world(balances, world_seed)
    truth = Truth(world, ours(world, "small").id)
    payees = [
        payee
        for payee in setting.payees(PAYEES, MOST_MSAT, seed=seed)
        if truth.cheapest(payee, MOST_MSAT, PARTS, (1,)) is not None
    ]
    return draw_orders(draw, payees, count, (LEAST_MSAT, MOST_MSAT))


def draw_orders(
    draw: random.Random,
    payees: Sequence[NodeId],
    count: int,
    between_msat: tuple[int, int],
    popularity: Sequence[float] | None = None,
) -> list[Order]:
    """Drawn amounts in whole sat, log-uniform; the n-th payee 1/n as often as the first unless said otherwise."""
    if popularity is None:
        popularity = [1 / (rank + 1) for rank in range(len(payees))]
    least, most = map(math.log, between_msat)
    return [
        Order(
            draw.choices(payees, popularity)[0],
            int(math.exp(draw.uniform(least, most))) // SAT * SAT,
            draw.getrandbits(32),
        )
        for _ in range(count)
    ]


def sequence(
    setting: Setting,
    balances: str,
    orders: Iterable[Order],
    prior: Prior,
    memory: bool,
    half_lives: HalfLives | None = None,
    world_seed: int = 3,
) -> Tally:
    """All payments of `orders`, one after the other, from balances as they were drawn."""
    world = setting.world(balances, world_seed)
    before = {channel: (*channel.balances_msat,) for channel in world.channels.values()}
    us, tally = ours(world, "small"), Tally()
    sender = Sender(world, us.id, setting.graph, beliefs=LiquidityBeliefs(half_lives, prior))
    traffic = Traffic(world, us.id, balances)
    for at, order in enumerate(orders):
        traffic.flow(random.Random(order.traffic), int(EVERY_S * OTHERS_S))
        pass_time(world, EVERY_S)
        for channel in us.channels:
            channel.balances_msat[:] = before[channel]
        if not memory:
            sender.beliefs = LiquidityBeliefs(half_lives, prior)
        elif at % COMPARED == 0:
            cheapest = Truth(world, us.id).cheapest(order.payee, order.amount_msat, PARTS, (1, 4))
            if cheapest is not None:
                tally.cheapest_msat[at] = cheapest.fee_msat
        limits = Limits(
            max_parts=PARTS, min_part_msat=USUAL.min_part_msat, maxfee_msat=order.amount_msat,
            max_attempts=MOST_ATTEMPTS,
        )  # fmt: skip
        story = sender.pay(order.payee, order.amount_msat, limits)
        tally.parts[at] = len(story.parts)
        tally.failed[at] = sum(part.told != "paid" for part in story.parts)
        if story.paid:
            tally.fees_msat[at] = story.fee_msat
    for channel, pair in before.items():
        channel.balances_msat[:] = pair
    return tally


def pass_time(world: World, seconds: float) -> None:
    clock = world.clock
    assert isinstance(clock, VirtualClock)
    clock.advance(seconds)


class Traffic:
    """What others pay."""

    def __init__(self, world: World, us: NodeId, balances: str):
        self._channels = [c for c in world.channels.values() if us not in (c.nodes[0].id, c.nodes[1].id)]
        self._us, self._bimodal = us, balances == "bimodal"

    def flow(self, draw: random.Random, walks: int) -> None:
        for _ in range(walks):
            amount = int(math.exp(draw.uniform(math.log(LEAST_MSAT), math.log(MOST_MSAT))))
            way = self._way(draw)
            if all(channel.balances_msat[side] >= amount for channel, side in way):
                gain = sum(self._gain(channel, side, amount) for channel, side in way) if self._bimodal else 0.0
                if gain >= 0 or draw.random() < math.exp(gain):
                    for channel, side in way:
                        channel.balances_msat[side] -= amount
                        channel.balances_msat[1 - side] += amount

    def _way(self, draw: random.Random) -> list[tuple[SimChannel, int]]:
        """Channels one after the other, none twice."""
        channel, side = draw.choice(self._channels), draw.getrandbits(1)
        way = [(channel, side)]
        while len(way) < WALK_HOPS:
            node = channel.nodes[1 - side]
            channel = draw.choice(node.channels)
            if any(channel is taken for taken, _ in way) or channel.peer_of(node.id).id == self._us:
                break
            side = channel.side(node.id)
            way.append((channel, side))
        return way

    @staticmethod
    def _gain(channel: SimChannel, side: int, amount: int) -> float:
        """By how much the logarithm of the bimodal density rises, if the amount moves."""
        size, have = sum(channel.balances_msat), channel.balances_msat[side]

        def density(x: float) -> float:
            return math.exp(-x / BIMODAL_SCALE_MSAT) + math.exp((x - size) / BIMODAL_SCALE_MSAT)

        after, now = density(have - amount), density(have)
        return math.log(after / now) if after > 0 and now > 0 else 0.0
