"""How well payments go where balances are hidden: the real session and planner in the box, thousands of payments.

Every payment starts from the same balances and knows nothing of those before. A cell is one amount from one node
to fifty payees, other ones for every node and kind of balances: two hundred an amount. The columns:

    flow      payments for which a maximum flow over the true balances exists, without fees and HTLC limits
    paid      how many of them were made
    known     and of those that the all-knowing sender of `truth` can make in sixteen parts, fees included
    fee ×     the fees of those made by both, beside the least that such a sender can pay
    cost ×    the same with the price of locked time on top of fees, beside a sender who minds both as we do
    1st try   of the payments for which a maximum flow exists, those made without a failed HTLC
    HTLCs     sent for each payment that was made, parts of splits and failures; of them failed

The fee limit is the amount itself, so that what counts is what cannot be found, not what is not wanted. Ours
learns within a payment what its parts show, and nothing beyond it.

Beside it, in the same worlds, the first twenty payees of each cell that the all-knowing sender can pay: ours;
ours with other beliefs about balances of which nothing is known (by the kind of balances one is right, or
nearly, another wrong), where time costs nothing, where routes vary as they do by default, and if it must not
split; where failure costs nothing (cheapest first); and the cost formula of the host's builtin `pay`. In the last
rows, the all-knowing sender in as few parts as it can: what few parts cost where nothing is hidden.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from pay.liquidity.beliefs import LiquidityBeliefs
from pay.liquidity.prior import DEFAULT_PRIOR, PRIORS, Prior
from pay.routing.find import Planner
from pay.routing.halving import plan_cautiously
from pay.routing.query import BLOCKS_PER_YEAR
from pay.sim.network.channel import SimChannel
from pay.sim.network.world import World
from pay.units import NodeId
from tests.bench.others import cheapest_first, host_pay, incautious, one_path
from tests.bench.setting import SAT, USUAL, Setting, ours
from tests.bench.table import heading, row
from tests.bench.truth import Cheapest, Truth
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits, Story

AMOUNTS_MSAT = tuple(sat * SAT for sat in (1_000, 10_000, 100_000, 500_000, 1_000_000, 5_000_000))
BALANCES = ("uniform", "bimodal")
NODES = ("small", "large")
PAYEES = 50
PARTS = 16
_BLOCK_PRICE = Limits().riskfactor / 100 / BLOCKS_PER_YEAR
"""Of a msat that is locked for a block, by the riskfactor of `pay`."""

_FEW_CUTS_MSAT = 10_000 * SAT
"""Up to this amount the all-knowing sender tries fewer ways to split: it is slow there, and they save little."""

_COLUMNS = ("flow", "paid", "known", "1st try", "fee ×", "cost ×", "HTLCs", "failed", "took")


class Way(NamedTuple):
    """How routes are chosen; `prior` None is without any learning. `most_msat` is the largest amount tried."""

    planner: Planner = plan_cautiously
    prior: Prior | None = DEFAULT_PRIOR
    riskfactor: float = Limits().riskfactor
    most_msat: int = AMOUNTS_MSAT[-1]
    randomness: float = 0.0


_OTHERS: dict[str, Way] = {
    "of twenty, ours": Way(),
    **{
        f"of twenty, {prior.name} prior": Way(prior=prior, most_msat=500_000 * SAT)
        for prior in PRIORS.values()
        if prior is not DEFAULT_PRIOR
    },
    "of twenty, time is free": Way(riskfactor=0.0, most_msat=500_000 * SAT),
    "of twenty, varied": Way(randomness=USUAL.randomness),
    "of twenty, one path": Way(incautious(one_path), None, most_msat=500_000 * SAT),
    "of twenty, cheapest first": Way(incautious(cheapest_first), None, most_msat=500_000 * SAT),
    "of twenty, the host's formula": Way(incautious(host_pay), None),
}
_TWENTY = 20
_ALL_KNOWING = "of twenty, all-knowing, in few parts"


class Best(NamedTuple):
    """What an all-knowing sender would do who minds fees alone, one who minds locked time as well, and one who
    makes as few parts as it can."""

    by_fee: Cheapest
    by_cost: Cheapest
    fewest: Cheapest | None


@dataclass(slots=True)
class Cell:
    """Payments of one planner, one amount, one node, one kind of balances."""

    payable: int = 0
    paid: int = 0
    known: int = 0
    paid_known: int = 0
    first: int = 0
    htlcs: int = 0
    failed: int = 0
    fee_msat: int = 0
    cheapest_msat: int = 0
    cost_msat: float = 0.0
    least_cost_msat: float = 0.0
    seconds: float = 0.0

    def add(self, story: Story, cheapest: Best | None) -> None:
        """One that a maximum flow could pay."""
        self.payable += 1
        self.known += cheapest is not None
        if not story.paid:
            return
        self.paid += 1
        failed = sum(part.told != "paid" for part in story.parts)
        self.first += not failed
        self.htlcs += len(story.parts)
        self.failed += failed
        if cheapest is not None:
            self.paid_known += 1
            self.fee_msat += story.fee_msat
            self.cheapest_msat += cheapest.by_fee.fee_msat
            self.cost_msat += story.fee_msat + _time_cost(story)
            self.least_cost_msat += cheapest.by_cost.cost_msat

    def add_known(self, best: Best) -> None:
        """The all-knowing sender in as few parts as it can."""
        self.payable += 1
        self.known += 1
        if best.fewest is not None:
            self.paid += 1
            self.paid_known += 1
            self.first += 1
            self.htlcs += best.fewest.parts
            self.fee_msat += best.fewest.fee_msat
            self.cheapest_msat += best.by_fee.fee_msat
            self.cost_msat += best.fewest.cost_msat
            self.least_cost_msat += best.by_cost.cost_msat

    def plus(self, other: Cell) -> Cell:
        return Cell(*(getattr(self, name) + getattr(other, name) for name in Cell.__slots__))

    @property
    def share(self) -> float:
        return self.paid / max(1, self.payable)

    @property
    def share_known(self) -> float:
        return self.paid_known / max(1, self.known)

    @property
    def fee_ratio(self) -> float:
        return self.fee_msat / max(1, self.cheapest_msat)

    @property
    def cost_ratio(self) -> float:
        return self.cost_msat / max(1, self.least_cost_msat)

    @property
    def first_share(self) -> float:
        return self.first / max(1, self.payable)

    @property
    def attempts(self) -> float:
        return self.htlcs / max(1, self.paid)

    def print(self, name: str) -> None:
        row(
            name, f"{self.payable}", f"{100 * self.share:.1f} %", f"{100 * self.share_known:.1f} %",
            f"{100 * self.first_share:.1f} %", f"{self.fee_ratio:.3f}", f"{self.cost_ratio:.3f}",
            f"{self.attempts:.2f}", f"{self.failed / max(1, self.paid):.2f}",
            f"{1000 * self.seconds / max(1, self.payable):.0f} ms",
        )  # fmt: skip


def run(setting: Setting) -> dict[str, float]:
    """Print the tables and return their figures."""
    cells: dict[tuple[str, str, str, int], Cell] = {}
    amounts = AMOUNTS_MSAT[::3] if setting.quick else AMOUNTS_MSAT
    for balances in BALANCES:
        world = setting.world(balances)
        for node in NODES[: setting.few(len(NODES), 1)]:
            heading(f"{balances} balances, {node} node", *_COLUMNS)
            for amount in amounts:
                for name, cell in _cells(setting, world, balances, node, amount).items():
                    cells[balances, node, name, amount] = cell
                    cell.print(f"{amount // SAT:,} sat, {name}")
            print()
    return _summary(cells)


def _summary(cells: dict[tuple[str, str, str, int], Cell]) -> dict[str, float]:
    heading("all of them", *_COLUMNS)
    figures: dict[str, float] = {}
    ranges = {
        "up to 500,000 sat": lambda amount: amount <= 500_000 * SAT,
        "1,000,000 sat and more": lambda amount: amount > 500_000 * SAT,
    }
    for words, within in ranges.items():
        for name in ("ours", *_OTHERS, _ALL_KNOWING):
            total = Cell()
            for (_, _, planner, amount), cell in cells.items():
                if planner == name and within(amount):
                    total = total.plus(cell)
            if total.payable:
                total.print(f"{words}, {name}")
            planner_name = "_".join(re.findall("[a-z]+", name))
            short = f"{'to_500k' if within(0) else 'from_1m'}_{planner_name}"
            if not total.payable:
                continue
            figures |= {
                f"quality_paid_{short}": total.share,
                f"quality_paid_known_{short}": total.share_known,
                f"quality_fee_ratio_{short}": total.fee_ratio,
                f"quality_cost_ratio_{short}": total.cost_ratio,
                f"quality_attempts_{short}": total.attempts,
                f"quality_first_try_{short}": total.first_share,
            }
            if name == "ours":
                figures |= _aims(total, large=not within(0))
    return figures


def _aims(total: Cell, *, large: bool) -> dict[str, float]:
    """Figures that aims are set for, under short names."""
    if large:
        return {"htlcs_large": total.attempts, "cost_ratio_large": total.cost_ratio}
    return {
        "first_try_share": total.first_share,
        "htlcs_mean": total.attempts,
        "cost_ratio": total.cost_ratio,
    }


def _cells(setting: Setting, world: World, balances: str, node: str, amount: int) -> dict[str, Cell]:
    us = ours(world, node).id
    payees = setting.payees(setting.few(PAYEES, 4), amount, seed=int.from_bytes(f"{balances} {node}".encode()))
    truth = _truth(world, us)
    cuts = (1, 4, 16) if amount > _FEW_CUTS_MSAT else (1, 4)

    def best(payee: NodeId) -> Best | None:
        by_fee = truth.cheapest(payee, amount, PARTS, cuts)
        by_cost = truth.cheapest(payee, amount, PARTS, cuts, _BLOCK_PRICE)
        if by_fee is None or by_cost is None:
            return None
        return Best(by_fee, by_cost, truth.fewest(payee, amount, PARTS, _BLOCK_PRICE))

    payable = [(payee, best(payee)) for payee in payees if truth.max_flow_msat(payee, amount) >= amount]
    first = [pair for pair in payable if pair[1] is not None][:_TWENTY]
    rest = [pair for pair in payable if pair not in first]
    others = {
        name: _cell(setting, world, us, way, first, amount)
        for name, way in _OTHERS.items()
        if amount <= way.most_msat
    }
    ours_all = others["of twenty, ours"].plus(_cell(setting, world, us, Way(), rest, amount))
    knowing = Cell()
    for _, known in first:
        assert known is not None
        knowing.add_known(known)
    return {"ours": ours_all, **others, _ALL_KNOWING: knowing}


@cache
def _truth(world: World, us: NodeId) -> Truth:
    return Truth(world, us)


def _cell(
    setting: Setting,
    world: World,
    us: NodeId,
    way: Way,
    payable: Iterable[tuple[NodeId, Best | None]],
    amount: int,
) -> Cell:
    sender = Sender(world, us, setting.graph, way.planner)
    limits = Limits(
        maxfee_msat=amount, retry_for_s=1e9, max_parts=PARTS, min_part_msat=USUAL.min_part_msat,
        riskfactor=way.riskfactor, randomness=way.randomness,
    )  # fmt: skip
    kept = {channel: (*channel.balances_msat,) for channel in world.channels.values()}
    cell = Cell()
    for payee, cheapest in payable:
        sender.beliefs = None if way.prior is None else LiquidityBeliefs(prior=way.prior)
        began = time.perf_counter()
        story = sender.pay(payee, amount, limits)
        cell.seconds += time.perf_counter() - began
        _put_back(world, kept, story)
        cell.add(story, cheapest)
    return cell


def _time_cost(story: Story) -> float:
    """The price of the time that a payment locked, msat; the recipient's own blocks are not counted."""
    routes = [part.route for part in story.parts if part.told == "paid"]
    return sum(
        route.amount_msat * (route.delay_blocks - route.hops[-1].delay_blocks) * _BLOCK_PRICE for route in routes
    )


def _put_back(world: World, kept: dict[SimChannel, tuple[int, int]], story: Story) -> None:
    """All balances as they were: a part may have taken a channel beside the one that it named."""
    for part in story.parts:
        if part.told == "paid":
            for named in part.channels:
                for channel in world.parallel(named):
                    channel.balances_msat[:] = kept[channel]
