"""What a wrong belief costs: the same payments with memory and without, in worlds that do not ask what is
believed.

One user pays every minute, 50,000 to 500,000 sat, to payees of whom the n-th most popular is paid 1/n as often
as the first. In each world no money is made or lost, only its owners change, and our own channels are filled up
again after each payment. What becomes of what we have sent over the channels of others:

    moving     it stays where it went, and others pay too, as in `learning`
    spent      it stays where it went, and nobody else pays
    refilled   half of it comes back in each ten minutes
    lying      the same, and of the hundred nodes with the most channels fifteen say of every second HTLC that
               their channel is empty
    static     it is back before the next payment (as with a simulator whose balances never move)
    narrow     the same, our only peer has five channels, the cheapest of them is empty, all payees as popular

The network is a small one, so that ways are used again soon; balances of either kind, so twelve worlds. In each
every payment is made twice from the same balances: with beliefs that last, and, undone, with beliefs that begin
anew. Fees are limited as by default. Compared are payments that were made both ways.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from pay.liquidity.beliefs import LiquidityBeliefs
from pay.network import ChannelGraph
from pay.sim.network.channel import SimChannel, SimPeer
from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.faults import Faults
from pay.sim.network.liars import Claim, Liar, Lie, Role
from pay.sim.network.world import World
from pay.units import NodeId
from tests.bench.calibration import Record, Recorder, report
from tests.bench.learning import MOST_ATTEMPTS, Order, Traffic, draw_orders, pass_time
from tests.bench.quality import BALANCES, PARTS
from tests.bench.setting import SAT, USUAL, Setting, ours
from tests.bench.table import heading, row
from tests.bench.truth import Truth
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits, Story

PAYMENTS = 100
"""In each world, one a minute."""

SMALL_NODES = 1_500

LEAST_MSAT, MOST_MSAT = 50_000 * SAT, 500_000 * SAT
EVERY_S = 60.0
PAYEES = 60
"""Drawn; paid are those who could be paid the largest amount at the start."""

RETURN_HALF_LIFE_S = 600.0
"""In the worlds `refilled` and `lying`."""

LIARS = 15
WORLDS = ("moving", "spent", "refilled", "lying", "static", "narrow")
NARROW_CHANNELS = 5

Beliefs = Callable[[], LiquidityBeliefs]


@dataclass(slots=True)
class Tally:
    """By number of the payment: fees of those that were made, and of all the parts, and those that failed."""

    fees_msat: dict[int, int] = field(default_factory=dict)
    parts: dict[int, int] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)

    def add(self, at: int, story: Story) -> None:
        self.parts[at] = len(story.parts)
        self.failed[at] = sum(part.told != "paid" for part in story.parts)
        if story.paid:
            self.fees_msat[at] = story.fee_msat


@dataclass(frozen=True, slots=True)
class Compared:
    """With memory and without, of the payments that both made."""

    fees: tuple[int, int]
    failed: tuple[int, int]
    parts: tuple[int, int]
    paid: tuple[int, int]
    both: int

    @classmethod
    def of(cls, pair: dict[bool, Tally]) -> Compared:
        both = pair[True].fees_msat.keys() & pair[False].fees_msat.keys()
        with_it, without = pair[True], pair[False]

        def sums(name: str) -> tuple[int, int]:
            return (
                sum(getattr(with_it, name)[at] for at in both),
                sum(getattr(without, name)[at] for at in both),
            )

        paid = len(with_it.fees_msat), len(without.fees_msat)
        return cls(sums("fees_msat"), sums("failed"), sums("parts"), paid, len(both))

    @property
    def fee_ratio(self) -> float:
        return self.fees[0] / max(1, self.fees[1])

    @property
    def failed_ratio(self) -> float:
        return self.failed[0] / max(1, self.failed[1])


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures."""
    payments = setting.few(PAYMENTS, 8)
    figures: dict[str, float] = {}
    worst_fee = worst_failed = 0.0
    record = Record()
    small = Setting(None, setting.directory, nodes=SMALL_NODES)
    for balances in BALANCES:
        heading(
            f"{payments} payments, {balances} balances", "paid", "HTLCs", "failed", "fee, ppm", "fee ×", "failed ×"
        )
        failed = [0, 0]
        for name in WORLDS:
            orders = make_orders(small, name, balances, payments, seed=11)
            pair = sequence(small, name, balances, orders, remembering=partial(Recorder, record))
            found = Compared.of(pair)
            _print(name, found, orders, pair)
            failed = [total + more for total, more in zip(failed, found.failed, strict=True)]
            worst_fee, worst_failed = max(worst_fee, found.fee_ratio), max(worst_failed, found.failed_ratio)
            figures[f"regret_fee_{name}_{balances}"] = found.fee_ratio
            figures[f"regret_failed_{name}_{balances}"] = found.failed_ratio
        aim = {"uniform": "≤ 0.45", "bimodal": "≤ 0.3"}[balances]
        ratio = figures[f"memory_ratio_{balances}"] = failed[0] / max(1, failed[1])
        row("failed parts with memory / without, all worlds", f"{ratio:.2f}", aim)
        print()
    figures |= {"regret_fee": worst_fee, "regret_failed": worst_failed}
    row("fees with memory / without, the worst world", f"{worst_fee:.3f}", "≤ 1.05")
    row("failed parts with memory / without, the worst world", f"{worst_failed:.2f}", "≤ 1.05")
    print()
    return {**figures, **report("with memory, all worlds", record)}


def _print(name: str, found: Compared, orders: Sequence[Order], pair: dict[bool, Tally]) -> None:
    both = pair[True].fees_msat.keys() & pair[False].fees_msat.keys()
    amount = max(1, sum(orders[at].amount_msat for at in both))
    for at, words in enumerate(("with memory", "without")):
        last = (f"{found.fee_ratio:.3f}", f"{found.failed_ratio:.2f}") if not at else ()
        row(
            f"{name}, {words}",
            f"{100 * found.paid[at] / len(orders):.1f} %",
            f"{found.parts[at] / max(1, found.both):.2f}",
            f"{found.failed[at] / max(1, found.both):.2f}",
            f"{found.fees[at] * 1e6 / amount:.0f}",
            *last,
        )


def make_orders(
    setting: Setting, name: str, balances: str, count: int, seed: int, world_seed: int = 3
) -> list[Order]:
    """The same for the same seed."""
    draw = random.Random(seed)
    world = setting.world(balances, world_seed)
    truth = _truth(world, _payer(world, name == "narrow", setting.graph).id)
    drawn = setting.payees(PAYEES, MOST_MSAT, seed=seed)
    payees = [payee for payee in drawn if truth.max_flow_msat(payee, MOST_MSAT) >= MOST_MSAT]
    popularity = [1.0] * len(payees) if name == "narrow" else None
    return draw_orders(draw, payees, count, (LEAST_MSAT, MOST_MSAT), popularity)


def sequence(
    setting: Setting,
    name: str,
    balances: str,
    orders: Iterable[Order],
    new: Beliefs = LiquidityBeliefs,
    remembering: Beliefs = LiquidityBeliefs,
    world_seed: int = 3,
) -> dict[bool, Tally]:
    """All payments of `orders` in the world of that name, with memory and without; then balances are as drawn.

    Each is made twice from the same balances: by a sender that knows nothing, which is undone, and by the one that
    remembers. So both meet the same world, and what differs is what was believed.
    """
    world = setting.world(balances, world_seed)
    us, tallies = _payer(world, name == "narrow", setting.graph), {False: Tally(), True: Tally()}
    before = {channel: (*channel.balances_msat,) for channel in world.channels.values()}
    lying = _liars(world, us.id) if name == "lying" else []
    sender, memory = Sender(world, us.id, setting.graph), remembering()
    traffic = Traffic(world, us.id, balances)
    touched: set[SimChannel] = set()
    for at, order in enumerate(orders):
        if name == "moving":
            traffic.flow(random.Random(order.traffic), int(EVERY_S))
        pass_time(world, EVERY_S)
        stays = {"refilled": 0.5 ** (EVERY_S / RETURN_HALF_LIFE_S), "static": 0.0, "narrow": 0.0}
        _give_back(touched, before, stays.get("refilled" if name == "lying" else name, 1.0))
        for channel in us.channels:
            channel.balances_msat[:] = before[channel]
        for remembers, tally in tallies.items():
            sender.beliefs = memory if remembers else new()
            limits = Limits(max_parts=PARTS, min_part_msat=USUAL.min_part_msat, max_attempts=MOST_ATTEMPTS)
            found = {channel: (*channel.balances_msat,) for channel in world.channels.values()}
            story = sender.pay(order.payee, order.amount_msat, limits)
            tally.add(at, story)
            # A part may have taken a channel beside the one that it named.
            paid = [part for part in story.parts if part.told == "paid"]
            used = {c for part in paid for named in part.channels for c in world.parallel(named)}
            if remembers:
                touched |= used
            else:
                _give_back(used, found, 0.0)
    _give_back(set(before), before, 0.0)
    for node in lying:
        world.set_faults(node, None)
    return tallies


def _payer(world: World, narrow: bool, graph: ChannelGraph) -> SimPeer:
    """Us: with five channels to well-connected nodes, or with one to a node that has five others."""
    if not narrow:
        return ours(world, "small")
    if all(peer.name != "narrow" for peer in reversed(world.nodes.values())):
        able = [
            peer
            for peer in world.nodes.values()
            if len(peer.channels) == NARROW_CHANNELS and graph.node_number(peer.id) is not None
        ]
        us, peer = world.add_node("narrow"), max(able, key=_reach).id
        channels = list(world.nodes[peer].channels)
        cheapest = min(
            channels,
            key=lambda c: (policy := c.policies[c.side(peer)]).fee_ppm * MOST_MSAT + policy.fee_base_msat * 10**6,
        )
        side, size = cheapest.side(peer), sum(cheapest.balances_msat)
        cheapest.balances_msat[side], cheapest.balances_msat[1 - side] = 0, size
        world.add_channel(us.id, peer, 20 * MOST_MSAT, 15 * MOST_MSAT, announced=True)
    return ours(world, "narrow")


def _reach(peer: SimPeer) -> tuple[int, int, NodeId]:
    """How many channels of a node forward the largest amount, and how many channels their far ends have."""
    able = [c for c in peer.channels if c.policies[c.side(peer.id)].enabled and c.capacity_msat >= 2 * MOST_MSAT]
    return len(able), sum(len(channel.peer_of(peer.id).channels) for channel in able), peer.id


@cache
def _truth(world: World, us: NodeId) -> Truth:
    return Truth(world, us)


def _give_back(touched: set[SimChannel], before: dict[SimChannel, tuple[int, int]], stays: float) -> None:
    """Of what has moved since the start only the share `stays` is left."""
    if stays == 1.0:
        return
    for channel in touched:
        first, second = before[channel]
        moved = round((channel.balances_msat[1] - second) * stays)
        channel.balances_msat[:] = first - moved, second + moved


def _liars(world: World, us: NodeId) -> list[NodeId]:
    """Forwarders that refuse every second HTLC, whatever they have; the same in every run."""
    peers = {channel.peer_of(us).id for channel in world.nodes[us].channels}
    able = sorted(world.nodes.keys() - {us} - peers, key=lambda node: (-len(world.nodes[node].channels), node))
    chosen = random.Random(5).sample(able[:100], LIARS)
    lie = Lie(int(FailCode.TEMPORARY_CHANNEL_FAILURE), Claim.ABSENT)
    for node in chosen:
        places = (Role.FORWARDER, Role.LAST_BUT_ONE)
        world.set_faults(node, Faults(liar=Liar([lie, None], places)))
    return chosen
