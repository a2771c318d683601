"""The frontier: what first-try success costs in fees, over the prices that a plan is made by.

One node after another pays through a single hub, as a user does who has one good channel: hubs of 5 to 200
channels, drawn by the number of channels, each its own payees. Every payment knows nothing of those before. What
is varied: the price of a failure (a constant and a share of the amount), the price of a further part (likewise)
and the prior. Beside it, the cost formula of the host's builtin `pay` in the same session. Balances are

    uniform, bimodal   as drawn, and put back after each payment
    moving             uniform at first; what a payment moved stays moved, and a twentieth of it flows back with
                       each later payment: drained by us, refilled by others

    paid       within forty HTLCs, of payments that the all-knowing sender of `truth` can make in sixteen parts
    first try  without a failed HTLC
    HTLCs      of a payment that was made, parts and failures; of them failed
    fee ppm    in millionths of what was paid, over payments that all ways made
    cost ×     the same fees and the price of locked time, beside the all-knowing sender (balances as drawn)

Fees may be as high as 5 %: what counts is what is wanted. `.bench/frontier.json` has all points,
`.bench/frontier.svg` is the picture.

    python -m tests.bench frontier            all of it: 24 hubs, up to 10 payees each (3 of large payments)
    python -m tests.bench.frontier --quick    10 hubs, up to 3 payees each (1), a few of the points
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pay.liquidity.beliefs import LiquidityBeliefs
from pay.liquidity.prior import DEFAULT_PRIOR, PRIORS, Prior
from pay.routing.find import Planner
from pay.routing.halving import plan_cautiously
from pay.routing.query import BLOCKS_PER_YEAR
from pay.sim.network.channel import SimChannel
from pay.sim.network.world import World
from pay.units import NodeId
from tests.bench.arguments import existing
from tests.bench.others import host_pay, incautious
from tests.bench.picture import Point, draw
from tests.bench.setting import SAT, USUAL, Setting
from tests.bench.table import heading, row
from tests.bench.truth import Truth
from tests.support.checkout import ROOT
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits, Story

AMOUNTS_MSAT = tuple(sat * SAT for sat in (10_000, 100_000, 500_000, 2_000_000))
WORLDS = ("uniform", "bimodal", "moving")
HUBS, PAYEES = 24, 10
QUICK_HUBS, QUICK_PAYEES = 10, 3
_LARGE_MSAT = 1_000_000 * SAT
"""Such payments take twenty times as long as others: a third as many are made."""

PARTS = 16
MOST_ATTEMPTS = 40
RESULTS = ROOT / ".bench"

_LEAST_CHANNELS, _MOST_CHANNELS = 5, 200
_OWN_MSAT = 50_000_000 * SAT
"""Of our only channel: it never stands in the way."""

_BACK = 0.05
"""Of what we moved, this flows back with each later payment."""

_SEED = 11
_BLOCK_PRICE = Limits().riskfactor / 100 / BLOCKS_PER_YEAR


class Way(NamedTuple):
    """How routes are chosen, and what the picture calls it."""

    series: str
    label: str
    failure_cost_msat: int = USUAL.failure_cost_msat
    failure_cost_ppm: int = USUAL.failure_cost_ppm
    part_cost_msat: int = USUAL.part_cost_msat
    part_cost_ppm: int = USUAL.part_cost_ppm
    prior: Prior = DEFAULT_PRIOR
    planner: Planner = plan_cautiously
    randomness: float = 0.0


DEFAULT = Way("default", "default")
_HOST = Way("the host's formula", "host", planner=incautious(host_pay))
_QUICK_WAYS = (
    DEFAULT,
    _HOST,
    *(Way("failure price, ppm", f"{ppm}", failure_cost_ppm=ppm) for ppm in (0, 100, 400, 1_000)),
)
WAYS = (
    DEFAULT,
    _HOST,
    *(Way("failure price, ppm", f"{ppm}", failure_cost_ppm=ppm) for ppm in (0, 50, 100, 200, 400, 1_000, 3_000)),
    *(
        Way("failure price, sat", f"{sat}", failure_cost_msat=sat * SAT, failure_cost_ppm=0)
        for sat in (0, 3, 10, 30, 100, 300)
    ),
    *(
        Way("part price, sat + ppm", f"{sat}+{ppm}", part_cost_msat=sat * SAT, part_cost_ppm=ppm)
        for sat, ppm in ((0, 0), (10, 0), (10, 7), (10, 20), (20, 50), (100, 200))
    ),
    *(
        Way(f"{prior.name} prior, failure ppm", f"{ppm}", failure_cost_ppm=ppm, prior=prior)
        for prior in PRIORS.values()
        if prior is not DEFAULT_PRIOR
        for ppm in (0, 100, 400, 1_000)
    ),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A payment to be made, and what it costs an all-knowing sender, msat."""

    us: NodeId
    payee: NodeId
    amount_msat: int
    least_msat: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it; `cost_msat` is the fee and the price of locked time."""

    paid: bool
    htlcs: int
    failed: int
    fee_msat: int = 0
    cost_msat: float = 0.0


class Figures(NamedTuple):
    """A cell of the table; shares from 0 to 1, means of payments made, `plus_minus` of the first tries."""

    paid: float
    first_try: float
    plus_minus: float
    htlcs: float
    failed: float
    fee_ppm: float
    cost_ratio: float


def run(setting: Setting) -> dict[str, float]:
    """As `make bench` does: all of it, or of everything a little."""
    if setting.quick:
        return measure(setting, "frontier-few", _QUICK_WAYS[:3], 2, 2, WORLDS[:1], AMOUNTS_MSAT[:2])
    return measure(setting, "frontier")


def measure(
    setting: Setting,
    name: str,
    ways: Sequence[Way] = WAYS,
    hubs: int = HUBS,
    payees: int = PAYEES,
    kinds: Sequence[str] = WORLDS,
    amounts_msat: Sequence[int] = AMOUNTS_MSAT,
) -> dict[str, float]:
    """Print the tables, write points and picture under this name, and return the default's figures."""
    points: list[Point] = []
    figures: dict[str, float] = {}
    made: dict[tuple[int, World], list[Case]] = {}
    for kind in kinds:
        world = setting.world("bimodal" if kind == "bimodal" else "uniform", _SEED)
        senders = behind_hubs(world, hubs)
        for amount in amounts_msat:
            if (amount, world) not in made:
                some = payees if amount < _LARGE_MSAT else max(1, payees // 3)
                made[amount, world] = make_cases(setting, world, senders, some, amount)
            cases = made[amount, world]
            panel = f"{kind} balances, {amount // SAT:,} sat"
            heading(
                f"{panel}, {len(cases)} payments",
                "paid", "first try", "±", "HTLCs", "failed", "fee ppm", "cost ×", "took",
            )  # fmt: skip
            outcomes: dict[Way, list[Outcome]] = {}
            took: dict[Way, float] = {}
            for way in ways:
                began = time.process_time()
                outcomes[way] = payments(setting, world, way, cases, moving=kind == "moving")
                took[way] = 1000 * (time.process_time() - began) / max(1, len(cases))
            for way, found in compared(cases, outcomes).items():
                _print(way, found, took[way])
                points.append(
                    Point(panel, way.series, way.label, found.fee_ppm, found.first_try, found.plus_minus)
                )
                if way.series == DEFAULT.series:
                    short = f"frontier_{kind}_{amount // SAT}"
                    figures |= {f"{short}_first_try": found.first_try, f"{short}_fee_ppm": found.fee_ppm}
            print()
    RESULTS.mkdir(exist_ok=True)
    title = "Fee against first-try success, in the box"
    (RESULTS / f"{name}.json").write_text(json.dumps({"title": title, "points": points}, indent=1) + "\n")
    (RESULTS / f"{name}.svg").write_text(draw(points, title))
    return figures


def behind_hubs(world: World, count: int) -> list[NodeId]:
    """Nodes of ours, each with one channel to another hub; the same ones for the same world."""
    names = [f"user {number}" for number in range(count)]
    there = {peer.name: peer.id for peer in world.nodes.values() if peer.name.startswith("user ")}
    if set(names) <= there.keys():
        return [there[name] for name in names]
    draw_hub = random.Random(_SEED)
    by_size: dict[int, list[NodeId]] = {}
    for node, peer in world.nodes.items():
        open_ones = sum(channel.policies[channel.side(node)].enabled for channel in peer.channels)
        if _LEAST_CHANNELS <= open_ones <= _MOST_CHANNELS:
            by_size.setdefault(open_ones, []).append(node)
    for name in names:
        size = round(math.exp(draw_hub.uniform(math.log(_LEAST_CHANNELS), math.log(_MOST_CHANNELS))))
        nearest = min(by_size, key=lambda have, size=size: abs(have - size))  # type: ignore[misc]
        hub = by_size[nearest].pop(draw_hub.randrange(len(by_size[nearest])))
        if not by_size[nearest]:
            del by_size[nearest]
        us = world.add_node(name)
        world.add_channel(us.id, hub, _OWN_MSAT, _OWN_MSAT * 9 // 10, announced=False)
        there[name] = us.id
    return [there[name] for name in names]


def make_cases(
    setting: Setting, world: World, senders: Iterable[NodeId], payees: int, amount_msat: int
) -> list[Case]:
    """Payments that can be made, so many of each sender or as many as there are among twice that number."""
    cases: list[Case] = []
    for number, us in enumerate(senders):
        truth = Truth(world, us)
        found: list[Case] = []
        for payee in setting.payees(2 * payees, amount_msat, seed=_SEED * 1_000 + number):
            if len(found) < payees and payee != world.nodes[us].channels[0].peer_of(us).id:
                cheapest = truth.cheapest(payee, amount_msat, PARTS, (1, 4), _BLOCK_PRICE)
                if cheapest is not None:
                    found.append(Case(us, payee, amount_msat, cheapest.cost_msat))
        cases += found
    return cases


def payments(setting: Setting, world: World, way: Way, cases: Sequence[Case], *, moving: bool) -> list[Outcome]:
    """All cases one after the other, in an order of their own where balances move."""
    kept = {channel: (*channel.balances_msat,) for channel in world.channels.values()}
    senders: dict[NodeId, Sender] = {}
    order = random.Random(_SEED).sample(range(len(cases)), len(cases)) if moving else range(len(cases))
    outcomes: dict[int, Outcome] = {}
    moved: set[SimChannel] = set()
    for at in order:
        case = cases[at]
        sender = senders.setdefault(case.us, Sender(world, case.us, setting.graph, way.planner))
        sender.beliefs = LiquidityBeliefs(prior=way.prior) if way.planner is plan_cautiously else None
        limits = Limits(
            maxfee_msat=case.amount_msat // 20, retry_for_s=1e9, max_parts=PARTS,
            min_part_msat=USUAL.min_part_msat, failure_cost_msat=way.failure_cost_msat,
            failure_cost_ppm=way.failure_cost_ppm, part_cost_msat=way.part_cost_msat,
            part_cost_ppm=way.part_cost_ppm, randomness=way.randomness, seed=at,
            max_attempts=MOST_ATTEMPTS,
        )  # fmt: skip
        story = sender.pay(case.payee, case.amount_msat, limits)
        outcomes[at] = _outcome(story)
        for part in story.parts:
            if part.told == "paid":
                moved.update(channel for named in part.channels for channel in world.parallel(named))
        moved = {channel for channel in moved if _flows_back(channel, kept[channel], _BACK if moving else 1.0)}
    for channel in moved:
        channel.balances_msat[:] = kept[channel]
    return [outcomes[at] for at in range(len(cases))]


def _flows_back(channel: SimChannel, at_first: tuple[int, int], share: float) -> bool:
    """Moves a balance so far towards what it was; whether there is more to come."""
    away = channel.balances_msat[0] - at_first[0]
    back = away if share >= 1 or abs(away) < SAT else int(away * share)
    channel.balances_msat[0] -= back
    channel.balances_msat[1] += back
    return back != away


def _outcome(story: Story) -> Outcome:
    failed = sum(part.told != "paid" for part in story.parts)
    if not story.paid:
        return Outcome(False, len(story.parts), failed)
    routes = [part.route for part in story.parts if part.told == "paid"]
    time_msat = sum(
        route.amount_msat * (route.delay_blocks - route.hops[-1].delay_blocks) * _BLOCK_PRICE for route in routes
    )
    return Outcome(True, len(story.parts), failed, story.fee_msat, story.fee_msat + time_msat)


def compared(cases: Sequence[Case], outcomes: dict[Way, list[Outcome]]) -> dict[Way, Figures]:
    """Of each way: shares of all cases, fees and HTLCs of those that all ways paid."""
    by_all = [at for at in range(len(cases)) if all(found[at].paid for found in outcomes.values())]
    amount = max(1, sum(cases[at].amount_msat for at in by_all))
    least = max(1.0, sum(cases[at].least_msat for at in by_all))
    return {way: _figures(found, by_all, amount, least) for way, found in outcomes.items()}


def _figures(found: Sequence[Outcome], by_all: Sequence[int], amount: int, least: float) -> Figures:
    count = max(1, len(found))
    first = sum(one.paid and not one.failed for one in found) / count
    both = [found[at] for at in by_all]
    return Figures(
        paid=sum(one.paid for one in found) / count,
        first_try=first,
        plus_minus=1.96 * math.sqrt(first * (1 - first) / count),
        htlcs=sum(one.htlcs for one in both) / max(1, len(both)),
        failed=sum(one.failed for one in both) / max(1, len(both)),
        fee_ppm=1e6 * sum(one.fee_msat for one in both) / amount,
        cost_ratio=sum(one.cost_msat for one in both) / least,
    )


def _print(way: Way, found: Figures, took_ms: float) -> None:
    row(
        f"{way.series}: {way.label}" if way.label != way.series else way.series,
        f"{100 * found.paid:.1f} %", f"{100 * found.first_try:.1f} %", f"{100 * found.plus_minus:.1f}",
        f"{found.htlcs:.2f}", f"{found.failed:.2f}", f"{found.fee_ppm:.1f}", f"{found.cost_ratio:.3f}",
        f"{took_ms:.0f} ms",
    )  # fmt: skip


def main() -> int:
    from tests.support.checkout import SNAPSHOT

    parser = argparse.ArgumentParser(prog="python -m tests.bench.frontier")
    parser.add_argument("--network", type=existing, default=SNAPSHOT if SNAPSHOT.exists() else None)
    parser.add_argument("--quick", action="store_true", help="fewer payments and points: a few minutes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        setting = Setting(args.network, Path(directory))
        if args.quick:
            measure(setting, "frontier", _QUICK_WAYS, QUICK_HUBS, QUICK_PAYEES)
        else:
            measure(setting, "frontier")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
