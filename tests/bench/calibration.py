"""Chance said against what happened: whether seven of ten pass where we say 0.7; and others' formulas beside it.

`calibration` is pure and knows nothing of payments. `Recorder` is beliefs that write down, for each channel that a
part of ours reached, the chance they gave it just before they were told; and what formulas of other senders, told
the same, would have given:

    lnd apriori   0.6 for what is not known (less near the capacity), 0.95 for what passed, half of a refusal
                  forgotten in an hour, the other channels of the node with half the weight
    lnd bimodal   density exp(-x/s) + exp((x-c)/s), s = 300,000 sat, within bounds that fade with 7 days
    LDK           density 128 (1/256 + 9 (x-1/2)^8), within bounds of which half is forgotten in 30 minutes

Written from their documentation, with their default constants; by channel, where lnd has pairs of nodes, and
without LDK's histograms and lnd's weight of other channels in the bimodal one. No chance counts as more certain
than 0.999.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

from pay.liquidity.beliefs import LiquidityBeliefs
from pay.liquidity.chance import chance_of
from pay.liquidity.observation import Moved, Observation, Passed, Refused
from pay.liquidity.prior import DEFAULT_PRIOR, PRIORS, Prior
from pay.units import NodeId, ScidDir
from tests.bench.table import heading, row

BINS = 10
SUREST = 0.999

Outcome = Passed | Refused | Moved


class Bin(NamedTuple):
    """Of so many outcomes: the mean chance said, and the share that happened."""

    count: int
    said: float
    happened: float

    @property
    def points(self) -> float:
        """How many percentage points too much was said."""
        return 100 * (self.said - self.happened)

    @property
    def error_points(self) -> float:
        """What chance alone makes of the share that happened, one standard deviation."""
        return 100 * math.sqrt(self.said * (1 - self.said) / self.count) if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Bins of equal count by the chance said, least first; mean log-loss in nats (0.69: no better than a coin)."""

    bins: tuple[Bin, ...]
    log_loss: float

    @property
    def worst_points(self) -> float:
        """Of the bin that is furthest off."""
        return max((abs(one.points) for one in self.bins), default=0.0)


def calibration(said: Sequence[float], happened: Sequence[bool], bins: int = BINS) -> Calibration:
    """Compare chances said with what happened.

    Parameters
    ----------
    said
        Chances, 0 to 1.
    happened
        As many.
    bins
        Their counts differ by one at most; fewer where there are fewer outcomes.

    Raises
    ------
    ValueError
        If one is longer than the other.
    """
    pairs = sorted(zip(said, happened, strict=True), key=lambda pair: pair[0])
    count = min(bins, len(pairs))
    cuts = [len(pairs) * at // count for at in range(count + 1)] if count else [0]
    found = []
    for first, last in pairwise(cuts):
        within = pairs[first:last]
        size = len(within)
        found.append(Bin(size, sum(p for p, _ in within) / size, sum(was for _, was in within) / size))
    return Calibration(tuple(found), log_loss(said, happened))


def log_loss(said: Sequence[float], happened: Sequence[bool]) -> float:
    """Mean of `-ln` of what was said of what happened, nats."""
    nats = 0.0
    for chance, was in zip(said, happened, strict=True):
        sure = min(max(chance, 1 - SUREST), SUREST)
        nats -= math.log(sure if was else 1 - sure)
    return nats / max(1, len(said))


def show(title: str, found: Calibration) -> None:
    heading(title, "said", "happened", "points", "± chance", "outcomes")
    for number, one in enumerate(found.bins, 1):
        row(
            f"bin {number}", f"{one.said:.3f}", f"{one.happened:.3f}", f"{one.points:+.1f}",
            f"{one.error_points:.1f}", f"{one.count}",
        )  # fmt: skip
    row("furthest off", "", "", f"{found.worst_points:.1f}")


class Formula(Protocol):
    """Of another sender."""

    def chance(self, of: Outcome, now_s: float) -> float: ...

    def learn(self, of: Outcome, now_s: float) -> None: ...


@dataclass(slots=True)
class _Last:
    """Of one direction: what passed last, and what was refused, each with its time; 0 for nothing."""

    passed_msat: int = 0
    passed_s: float = 0.0
    refused_msat: int = 0
    refused_s: float = 0.0


@dataclass(slots=True)
class LndApriori:
    half_life_s: float = 3_600.0
    hop: float = 0.6
    before: float = 0.95
    weight: float = 0.5
    _known: dict[ScidDir, _Last] = field(default_factory=dict)
    _of_node: dict[NodeId | None, set[ScidDir]] = field(default_factory=dict)

    def chance(self, of: Outcome, now_s: float) -> float:
        amount, known = of.amount_msat, self._known.get(of.channel, _Last())
        node = self._node(of, now_s)
        if known.passed_msat >= amount:
            return self.before
        if not known.refused_msat or known.refused_msat > amount:
            return node
        return node * (1 - 2.0 ** ((known.refused_s - now_s) / self.half_life_s))

    def learn(self, of: Outcome, now_s: float) -> None:
        known = self._known.setdefault(of.channel, _Last())
        self._of_node.setdefault(of.forwarder, set()).add(of.channel)
        if isinstance(of, Refused):
            known.refused_msat, known.refused_s = of.amount_msat, now_s
            known.passed_msat = min(known.passed_msat, of.amount_msat - 1)
        else:
            known.passed_msat, known.passed_s = max(known.passed_msat, of.amount_msat), now_s
            if known.refused_msat <= of.amount_msat:
                known.refused_msat = 0

    def _node(self, of: Outcome, now_s: float) -> float:
        amount, size = of.amount_msat, of.capacity_msat
        near = (amount - 0.9999 * size) / (0.025 * size)
        base = self.hop * max(0.5, 1 - 1 / (1 + math.exp(-near)))
        total = 1 / (1 - self.weight) - 1
        sum_ = base * total
        for channel in self._of_node.get(of.forwarder, ()):
            known = self._known[channel]
            if known.passed_msat >= amount:
                total, sum_ = total + 1, sum_ + self.before
            elif known.refused_msat and known.refused_msat <= amount:
                total += 2.0 ** ((known.refused_s - now_s) / self.half_life_s)
        return sum_ / total


@dataclass(slots=True)
class LndBimodal:
    scale_msat: float = 300_000_000.0
    fades_s: float = 7 * 86_400.0
    _known: dict[ScidDir, _Last] = field(default_factory=dict)

    def chance(self, of: Outcome, now_s: float) -> float:
        known, size = self._known.get(of.channel, _Last()), of.capacity_msat
        low = known.passed_msat * math.exp((known.passed_s - now_s) / self.fades_s)
        high = float(size)
        if known.refused_msat:
            high -= (size - known.refused_msat) * math.exp((known.refused_s - now_s) / self.fades_s)
        if of.amount_msat <= low:
            return 1.0
        if of.amount_msat >= high or low >= high:
            return 0.0
        whole = self._mass(low, high, size)
        return self._mass(of.amount_msat, high, size) / whole if whole > 0 else 0.0

    def learn(self, of: Outcome, now_s: float) -> None:
        known = self._known.setdefault(of.channel, _Last())
        if isinstance(of, Refused):
            known.refused_msat, known.refused_s = of.amount_msat, now_s
            if known.passed_msat >= of.amount_msat:
                known.passed_msat = 0
        else:
            known.passed_msat, known.passed_s = max(known.passed_msat, of.amount_msat), now_s
            if known.refused_msat <= of.amount_msat:
                known.refused_msat = 0

    def _mass(self, low: float, high: float, size: int) -> float:
        s = self.scale_msat
        near = math.exp(-low / s) - math.exp(-high / s)
        far = math.exp((high - size) / s) - math.exp((low - size) / s)
        return near + far


@dataclass(slots=True)
class Ldk:
    half_life_s: float = 1_800.0
    _known: dict[ScidDir, tuple[float, float, float]] = field(default_factory=dict)

    def chance(self, of: Outcome, now_s: float) -> float:
        low, high = self._bounds(of, now_s)
        size, amount = of.capacity_msat, of.amount_msat
        if amount <= low:
            return 1.0
        if amount >= high:
            return 0.0
        below_high, below, below_low = (self._below(x / size) for x in (high, amount, low))
        return (below_high - below) / (below_high - below_low)

    def learn(self, of: Outcome, now_s: float) -> None:
        low, high = self._bounds(of, now_s)
        amount = of.amount_msat
        match of:
            case Refused():
                high = min(high, amount)
                low = min(low, high)
            case Passed() | Moved():
                low = max(low, amount)
                high = max(low, high)
        if isinstance(of, Moved):
            low, high = max(0.0, low - amount), max(0.0, high - amount)
        self._known[of.channel] = low, of.capacity_msat - high, now_s

    def _bounds(self, of: Outcome, now_s: float) -> tuple[float, float]:
        low, lack, at_s = self._known.get(of.channel, (0.0, 0.0, now_s))
        left = 2.0 ** ((at_s - now_s) / self.half_life_s)
        return low * left, of.capacity_msat - lack * left

    @staticmethod
    def _below(share: float) -> float:
        return share / 2 + 128 * (share - 0.5) ** 9 + 0.25


@dataclass(slots=True)
class Record:
    """What was said of each outcome, by whom, and what happened."""

    happened: list[bool] = field(default_factory=list)
    said: dict[str, list[float]] = field(default_factory=dict)

    def add(self, said: dict[str, float], happened: bool) -> None:
        self.happened.append(happened)
        for name, chance in said.items():
            self.said.setdefault(name, []).append(chance)


OURS = "ours"


class Recorder(LiquidityBeliefs):
    """Beliefs that write into `record` what they, and others, said of each channel before they were told.

    `prior` is that of the option's default; None is its `auto`.
    """

    def __init__(self, record: Record, prior: Prior | None = DEFAULT_PRIOR):
        super().__init__(prior=prior)
        self._record = record
        self._others: dict[str, Formula] = {
            "lnd apriori": LndApriori(), "lnd bimodal": LndBimodal(), "LDK": Ldk(),
        }  # fmt: skip

    def learn(self, observations: Sequence[Observation], now_s: float) -> None:  # type: ignore[override]
        channels = [of for of in observations if isinstance(of, Passed | Refused | Moved) and not of.beside]
        knowledge = self.knowledge(now_s)
        for of in channels:
            low, high, size = knowledge.of(of.channel) or (0, of.capacity_msat, of.capacity_msat)
            said = {
                f"{OURS}, {name}": chance_of(prior, of.amount_msat, 0, low, high, size)
                for name, prior in PRIORS.items()
            }
            said[OURS] = said[f"{OURS}, {self.prior.name}"]
            said |= {name: formula.chance(of, now_s) for name, formula in self._others.items()}
            self._record.add(said, not isinstance(of, Refused))
            for formula in self._others.values():
                formula.learn(of, now_s)
        super().learn(observations, now_s)


def report(title: str, record: Record) -> dict[str, float]:
    """Print ours in bins, and everybody's log-loss; return the figures."""
    found = calibration(record.said[OURS], record.happened)
    show(f"{title}: chance said against what happened", found)
    losses = {name: log_loss(said, record.happened) for name, said in record.said.items()}
    heading(f"{title}: surprise, nats an outcome", "nats")
    for name, nats in losses.items():
        row(name, f"{nats:.4f}")
    print()
    keys = {OURS: "ours", "lnd apriori": "lnd_apriori", "lnd bimodal": "lnd_bimodal", "LDK": "ldk"}
    figures = {f"log_loss_{key}": losses[name] for name, key in keys.items()}
    return {**figures, "calibration_worst_points": found.worst_points}
