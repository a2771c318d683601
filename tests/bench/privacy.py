"""What those who forward our payments can learn: how equal payments spread, and how well the payee is guessed.

Routes: payments of the same amount to the same payee, over and over with other seeds, from a node of 5 and one of
100 channels. Entropy and the most used node's share are of all visits to nodes between, by payee, then averaged;
fees, delays and expected failures are beside those of the routes that nothing varies. Failed HTLCs are of payments
in a world with hidden balances, each payee once.

Where time costs nothing (riskfactor 0), of the same payments: entropy over the ways, all nodes of a plan in order;
without anything drawn it is 0.

Payee: see `guessing`. The routes are ours, with the default randomness, from both nodes.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pay.network import OwnChannel
from pay.routing import NoRoute, Route, RouteQuery
from pay.routing.find import find
from pay.routing.query import Situation
from pay.routing.shadow import shadow_fee_msat, walk
from pay.units import NodeId
from tests.bench.guessing import FINAL_BLOCKS, ROOM_BLOCKS, Watcher
from tests.bench.setting import SAT, USUAL, Setting, ours, query
from tests.bench.table import heading, row
from tests.support.values import varied
from tests.support.worlds.sender import Sender
from tests.support.worlds.story import Limits

DEFAULT = USUAL.randomness
STRENGTHS = (0.0, 0.25, 0.5, DEFAULT, 1.0)
AMOUNTS_MSAT = tuple(sat * SAT for sat in (1_000, 10_000, 100_000, 500_000))
NODES = ("small", "large")
PARTS = 16
_PAYEES, _TIMES = 20, 20
_PAID = 30
_GUESSED = 60
_GUESSED_MSAT = (10_000 * SAT, 100_000 * SAT)


@dataclass(slots=True)
class Spread:
    """Equal payments of one strength, all of them."""

    entropies: list[float] = field(default_factory=list)
    tops: list[float] = field(default_factory=list)
    fee_msat: float = 0.0
    nats: float = 0.0
    blocks: float = 0.0
    paid: int = 0
    failed: int = 0
    htlcs: int = 0
    paid_fee_msat: int = 0

    def add(self, plans: Sequence[tuple[Route, ...]]) -> None:
        """Plans of one payment, each as likely as the others."""
        visits = Counter(hop.node for routes in plans for route in routes for hop in route.hops[:-1])
        if not visits:
            return
        self.entropies.append(entropy(visits.values()))
        self.tops.append(max(visits.values()) / visits.total())
        for routes in plans:
            self.fee_msat += sum(route.fee_msat for route in routes) / len(plans)
            self.nats -= sum(math.log(route.probability) for route in routes) / len(plans)
            self.blocks += max(route.delay_blocks for route in routes) / len(plans)

    @property
    def entropy(self) -> float:
        return sum(self.entropies) / max(1, len(self.entropies))

    @property
    def top(self) -> float:
        return sum(self.tops) / max(1, len(self.tops))


def entropy(counts: Iterable[int]) -> float:
    """Bits."""
    counts = list(counts)
    return -sum(count / sum(counts) * math.log2(count / sum(counts)) for count in counts)


def run(setting: Setting) -> dict[str, float]:
    """Print the tables and return their figures."""
    return _randomness(setting) | _without_time(setting) | _guesses(setting)


# --- routes ---------------------------------------------------------------------------------------------------


def _randomness(setting: Setting) -> dict[str, float]:
    spreads = {strength: Spread() for strength in STRENGTHS}
    for name in NODES:
        us = ours(setting.world(), name).id
        for amount in AMOUNTS_MSAT:
            for payee in setting.payees(setting.few(_PAYEES, 3), amount):
                _equal_payments(setting, us, payee, amount, spreads)
            for strength, spread in spreads.items():
                _pay(setting, us, amount, strength, spread)
    heading("equal payments", "entropy", "top node", "fees ×", "−ln P ×", "blocks ×", "HTLCs", "failed")
    quiet = spreads[0.0]
    for strength, spread in spreads.items():
        row(
            f"pay-randomness={100 * strength:.0f}" + (" (default)" if strength == DEFAULT else ""),
            f"{spread.entropy:.2f} bits", f"{100 * spread.top:.0f} %", f"{spread.fee_msat / quiet.fee_msat:.3f}",
            f"{spread.nats / quiet.nats:.2f}", f"{spread.blocks / quiet.blocks:.2f}",
            f"{spread.htlcs / max(1, spread.paid):.2f}", f"{spread.failed / max(1, spread.paid):.2f}",
        )  # fmt: skip
    print()
    return {
        "randomization_fee_ratio": spreads[DEFAULT].fee_msat / quiet.fee_msat,
        "randomization_attempts_ratio": (spreads[DEFAULT].htlcs / spreads[DEFAULT].paid)
        / (quiet.htlcs / quiet.paid),
        "randomization_entropy_bits": spreads[DEFAULT].entropy,
        "no_randomization_entropy_bits": quiet.entropy,
    }


def _without_time(setting: Setting) -> dict[str, float]:
    """Equal payments of those to whom locked time costs nothing."""
    us, bits, fees, quiet_fees = ours(setting.world()).id, [], 0.0, 0.0
    for amount in AMOUNTS_MSAT:
        for payee in setting.payees(setting.few(_PAYEES, 3), amount):
            own, asked = _own(setting, us), _question(us, payee, amount, riskfactor=0.0)
            quiet = find(setting.graph, Situation(asked, own))
            queries = (varied(asked, randomness=DEFAULT, seed=seed) for seed in range(setting.few(_TIMES, 5)))
            drawn = [find(setting.graph, Situation(query, own)) for query in queries]
            found = [routes for routes in drawn if not isinstance(routes, NoRoute)]
            if isinstance(quiet, NoRoute) or not found:
                continue
            ways = Counter(tuple(hop.node for route in routes for hop in route.hops) for routes in found)
            bits.append(entropy(ways.values()))
            fees += sum(route.fee_msat for routes in found for route in routes) / len(found)
            quiet_fees += sum(route.fee_msat for route in quiet)
    mean, ratio = sum(bits) / max(1, len(bits)), fees / max(1.0, quiet_fees)
    heading("equal payments at riskfactor 0", "entropy", "fees ×")
    row("over the ways of 20", f"{mean:.2f} bits", f"{ratio:.3f}")
    print()
    return {"entropy_bits_riskfactor_0": mean, "fee_ratio_riskfactor_0": ratio}


def _question(us: NodeId, payee: NodeId, amount: int, **changes: object) -> RouteQuery:
    """As the session asks it with its defaults."""
    prefer = {"failure_cost_ppm": USUAL.failure_cost_ppm, "min_part_msat": USUAL.min_part_msat}
    return query(us, payee, amount, max_parts=PARTS, **prefer, **changes)


def _equal_payments(
    setting: Setting, us: NodeId, payee: NodeId, amount: int, spreads: dict[float, Spread]
) -> None:
    own = _own(setting, us)
    plans: dict[float, list[tuple[Route, ...]]] = {}
    for strength in spreads:
        asked = _question(us, payee, amount, randomness=strength)
        seeds = range(setting.few(_TIMES, 5) if strength else 1)
        answers = [find(setting.graph, Situation(varied(asked, seed=seed), own)) for seed in seeds]
        plans[strength] = [answer for answer in answers if not isinstance(answer, NoRoute)]
    if all(plans.values()):
        for strength, found in plans.items():
            spreads[strength].add(found)


def _own(setting: Setting, us: NodeId) -> list[OwnChannel]:
    return Sender(setting.world(), us, setting.graph).own_channels()


def _pay(setting: Setting, us: NodeId, amount: int, strength: float, spread: Spread) -> None:
    """Payments with hidden balances; each changes them for those that follow, the same for every strength."""
    world = setting.world()
    sender = Sender(world, us, setting.graph)
    kept = {channel: (*channel.balances_msat,) for channel in world.channels.values()}
    for number, payee in enumerate(setting.payees(setting.few(_PAID, 5), amount, seed=2)):
        limits = Limits(
            maxfee_msat=amount // 20, retry_for_s=1e9, max_parts=PARTS, min_part_msat=USUAL.min_part_msat,
            seed=number, randomness=strength,
        )  # fmt: skip
        story = sender.pay(payee, amount, limits)
        for part in story.parts:
            if part.told == "paid":
                for named in part.channels:
                    for channel in world.parallel(named):
                        channel.balances_msat[:] = kept[channel]
        if story.paid:
            spread.paid += 1
            spread.htlcs += len(story.parts)
            spread.failed += sum(part.told != "paid" for part in story.parts)


# --- the payee ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Guesses:
    """How many were right, of how many."""

    right: int = 0
    made: int = 0

    def add(self, right: bool) -> None:
        self.right += right
        self.made += 1

    @property
    def share(self) -> float:
        return self.right / max(1, self.made)


_SHADOWS = ("off", "delay", "full")
_KNOWS = ("blocks", "whole sats")


def _guesses(setting: Setting) -> dict[str, float]:
    """The table, and shares of right guesses."""
    table = {(shadow, knows): Guesses() for shadow in _SHADOWS for knows in _KNOWS}
    rng = random.Random(1)
    for amount in _GUESSED_MSAT:
        watcher = Watcher(setting.graph, amount, setting.payees(10**6, amount))
        for name in NODES:
            us = ours(setting.world(), name).id
            for number, payee in enumerate(setting.payees(setting.few(_GUESSED, 4), amount, seed=3)):
                asked = _question(us, payee, amount, seed=number, randomness=DEFAULT)
                found = find(setting.graph, Situation(asked, _own(setting, us)))
                if not isinstance(found, NoRoute) and len(found[0].hops) > 1:
                    _guess(setting, watcher, found[0], rng, number, table)
    heading("the last node before the payee guesses right", *_KNOWS)
    for shadow in _SHADOWS:
        row(f"pay-shadow={shadow}", *(f"{100 * table[shadow, knows].share:.0f} %" for knows in _KNOWS))
    print()
    return {
        "no_shadow_guess_share": table["off", "blocks"].share,
        "shadow_guess_share": table["delay", "blocks"].share,
        "no_shadow_guess_share_whole_sats": table["off", "whole sats"].share,
        "shadow_guess_share_whole_sats": table["delay", "whole sats"].share,
        "shadow_full_guess_share_whole_sats": table["full", "whole sats"].share,
    }


def _guess(
    setting: Setting,
    watcher: Watcher,
    route: Route,
    rng: random.Random,
    seed: int,
    table: dict[tuple[str, str], Guesses],
) -> None:
    """One payment, as the last node before the payee sees it."""
    here, payee = route.hops[-2].node, route.hops[-1].node
    onward = watcher.onward(here, payee)
    truth = setting.graph.node_number(payee)
    (final,) = rng.choices(list(FINAL_BLOCKS), list(FINAL_BLOCKS.values()))
    walked = walk(setting.graph, payee, route.amount_msat, ROOM_BLOCKS, seed)
    extra = shadow_fee_msat(walked.fee_msat, route.amount_msat, route.fee_msat, route.amount_msat // 200, seed)
    for shadow, knows in table:
        left = final if shadow == "off" else final + walked.blocks
        digits = 1.0
        if knows != "blocks":
            digits = _digits(extra if shadow == "full" else 0, shadow)
        table[shadow, knows].add(onward.guess(left, shadow != "off", digits) == truth)


def _digits(extra_msat: int, shadow: str) -> float:
    """How much likelier the last three digits are if this is the invoice's amount, with what was added to it."""
    if shadow != "full":
        return 1_000.0
    # A tenth of a usual fee: 0.1 to 5 sat, so that small figures are a little more likely than large ones.
    return 1.5 if extra_msat % 1_000 < 500 else 0.5
