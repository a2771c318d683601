"""The cheapest plan there is, and the most that can be sent, on a small network: SciPy's MILP over its arcs.

Each part is a flow of its own from us to the recipient: on an arc it has an amount and whether it uses it, a node
takes in what it sends on and its fee, and each node is left once. So the amounts, fees, HTLC limits and slots are
those of BOLT 7, but for what integers round down: less than 1 msat a hop. Of parallel channels of others 3 % stay
free, since their owner chooses which of them a part takes. The planner is less strict: it fills one with the first
part of a plan, and where no other beside it could carry the part. So a plan may cost less than that optimum, but
none less than the one that spares nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from pay.units import ScidDir
from tests.support.networks import SAT, US, Net

UNIT = float(SAT)


@dataclass(frozen=True)
class _Arc:
    """Amounts in sat; `slots` bounds the parts of a channel of ours."""

    start: str
    end: str
    fee: float
    rate: float
    low: float
    high: float
    room: float
    cltv: int = 0
    slots: int = 1_000


@dataclass
class Optimum:
    """The plans of one network.

    Parameters
    ----------
    net, to
        The recipient's name.
    parts
        The most that a plan may have.
    max_delay
        Blocks of a part, the recipient's own not counted.
    seconds
        That one question may take; a longer one raises TimeoutError.
    sparing
        Whether those 3 % stay free: without it the optimum is a bound for every plan, not an aim.
    """

    net: Net
    to: str
    parts: int
    max_delay: int | None = None
    seconds: float = 30.0
    sparing: bool = True

    def fee_msat(self, amount_msat: int) -> float | None:
        """The least fee of a plan that delivers so much, msat; None if there is none."""
        solved = self._solved(amount_msat)
        return None if solved is None else max(solved - amount_msat, 0.0)

    def most_msat(self) -> float:
        """The most that a plan can deliver, msat."""
        return self._solved(None) or 0.0

    def _arcs(self) -> Iterator[_Arc]:
        for channel in self.net.ours:
            if channel.usable and channel.free_htlcs:
                high = min(channel.htlc_max_msat, channel.spendable_msat) / UNIT
                peer = channel.peer[1:].decode().rstrip(".")
                low, room = channel.htlc_min_msat / UNIT, channel.spendable_msat / UNIT
                yield _Arc(US, peer, 0.0, 0.0, low, high, room, 0, channel.free_htlcs)
        beside = parallel(self.net) if self.sparing else set()
        for named, (start, end, policy, capacity) in self.net.policies.items():
            room = capacity * (0.97 if named in beside else 1.0) / UNIT
            if policy.enabled and start not in (US, self.to) and end != US:
                yield _Arc(
                    start, end, policy.fee_base_msat / UNIT, policy.fee_ppm / 1e6, policy.htlc_min_msat / UNIT,
                    min(policy.htlc_max_msat, capacity) / UNIT, room, policy.cltv_delta,
                )  # fmt: skip

    def _solved(self, amount_msat: int | None) -> float | None:
        arcs, rows = list(self._arcs()), _Rows()
        count, most = len(arcs), sum(arc.room for arc in arcs if arc.start == US)
        size = 2 * count * self.parts

        def flow(part: int, arc: int) -> int:
            return part * count + arc

        def used(part: int, arc: int) -> int:
            return size // 2 + part * count + arc

        nodes = sorted({arc.start for arc in arcs} | {arc.end for arc in arcs} | {self.to})
        for part in range(self.parts):
            for at, arc in enumerate(arcs):
                rows.add({flow(part, at): 1.0, used(part, at): -min(arc.high, most)}, high=0.0)
                rows.add({flow(part, at): 1.0, used(part, at): -arc.low}, low=0.0)
            for node in (node for node in nodes if node not in (US, self.to)):
                terms: dict[int, float] = {}
                for at, arc in enumerate(arcs):
                    if arc.end == node:
                        terms[flow(part, at)] = 1.0
                    if arc.start == node:
                        terms[flow(part, at)], terms[used(part, at)] = -1.0 - arc.rate, -arc.fee
                rows.add(terms, 0.0, 0.0)
            for node in (node for node in nodes if node != self.to):
                rows.add({used(part, at): 1.0 for at, arc in enumerate(arcs) if arc.start == node}, high=1.0)
            if self.max_delay is not None:
                cltvs = {used(part, at): float(arc.cltv) for at, arc in enumerate(arcs)}
                rows.add(cltvs, high=float(self.max_delay))
            if part:
                sent = {flow(part - 1, at): 1.0 for at, arc in enumerate(arcs) if arc.start == US}
                rows.add(sent | {flow(part, at): -1.0 for at, a in enumerate(arcs) if a.start == US}, low=0.0)
        for at, arc in enumerate(arcs):
            rows.add({flow(part, at): 1.0 for part in range(self.parts)}, high=arc.room)
            if arc.slots < self.parts:
                rows.add({used(part, at): 1.0 for part in range(self.parts)}, high=float(arc.slots))
        ends = {flow(p, at): 1.0 for p in range(self.parts) for at, a in enumerate(arcs) if a.end == self.to}
        goal = np.zeros(size)
        if amount_msat is None:
            goal[list(ends)] = -1.0
        else:
            rows.add(ends, amount_msat / UNIT, amount_msat / UNIT)
            sums = [flow(p, at) for p in range(self.parts) for at, a in enumerate(arcs) if a.start == US]
            goal[sums] = 1.0
        kinds = np.repeat([0, 1], size // 2)
        upper = np.where(kinds == 1, 1.0, np.inf)
        options = {"time_limit": self.seconds, "mip_rel_gap": 1e-6}
        bounds = Bounds(0.0, upper)
        limits = rows.constraint(size)
        result = milp(goal, constraints=limits, integrality=kinds, bounds=bounds, options=options)
        if result.status == 1:
            raise TimeoutError(f"no optimum within {self.seconds} s")
        if result.x is None:
            return None
        # What is used is 0 or 1 to within a millionth, which would carry some msat for nothing: now exactly. Where
        # something used hangs on such a millionth, it is asked once more without what is not used.
        for _ in range(2):
            exact = np.where(kinds == 1, np.rint(result.x), upper)
            fixed = milp(goal, constraints=limits, bounds=Bounds(np.where(kinds == 1, exact, 0.0), exact))
            if fixed.x is not None:
                return abs(float(goal @ fixed.x)) * UNIT
            fewer = Bounds(0.0, exact)
            result = milp(goal, constraints=limits, integrality=kinds, bounds=fewer, options=options)
            if result.x is None:
                break
        raise TimeoutError("no optimum in whole numbers")


class _Rows:
    """Linear constraints in the making."""

    def __init__(self) -> None:
        self.row: list[int] = []
        self.column: list[int] = []
        self.value: list[float] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def add(self, terms: dict[int, float], low: float = -np.inf, high: float = np.inf) -> None:
        self.row += [len(self.low)] * len(terms)
        self.column += terms.keys()
        self.value += terms.values()
        self.low.append(low)
        self.high.append(high)

    def constraint(self, size: int) -> LinearConstraint:
        matrix = coo_array((self.value, (self.row, self.column)), shape=(len(self.low), size))
        return LinearConstraint(matrix.tocsr(), self.low, self.high)


@dataclass(frozen=True)
class Drawn:
    """A small network, and in how many parts at most it is to be paid to `a`."""

    net: Net
    parts: int


def drawn(seed: int, *, fees: bool = True) -> Drawn:
    """Four to seven nodes; channels of very different sizes, some with low HTLC maxima, some with minima, some
    parallel; one to three channels of ours, sometimes two with the same peer."""
    rng, net, number = random.Random(seed), Net(), 0
    nodes = "abcdefg"[: rng.randint(4, 7)]
    for _ in range(rng.randint(len(nodes), 2 * len(nodes) + 1)):
        number += 1
        one, other = rng.sample(nodes, 2)
        size = rng.choice([50, 100, 200, 400, 800]) * rng.randint(500, 1_500) * SAT
        high = rng.choice([None, None, None, size // 2, size // 4])
        ppm, base = rng.choice([0, 10, 100, 500, rng.randint(1, 5_000)]), rng.choice([0, 0, 1_000])
        if not fees:
            ppm, base = 0, 0
        low = rng.choice([1, 1, 1, 1_000, 5_000 * SAT])
        cltv = rng.choice([10, 40, 80, 144])
        net.link(number, one, other, size, high=high, low=low, cltv=cltv, ppm=ppm, base=base)
    for _ in range(rng.randint(1, 3)):
        number += 1
        size = rng.choice([100, 200, 400, 800]) * rng.randint(500, 1_500) * SAT
        net.own(number, rng.choice(nodes[1:]), size, max_htlcs=rng.choice([30, 30, 2]))
    return Drawn(net, rng.choice([2, 3, 4, 6]))


def parallel(net: Net) -> set[ScidDir]:
    """Channels of others beside which there is another: which of them is used is not ours to say."""
    ends: dict[tuple[str, str], list[ScidDir]] = {}
    for named, (start, end, *_) in net.policies.items():
        ends.setdefault((start, end), []).append(named)
    return {named for beside in ends.values() if len(beside) > 1 for named in beside}


@dataclass(frozen=True)
class Case:
    """A question that has an answer: so much for at most that fee; `least_fee_msat` is the optimum, sparing."""

    seed: int
    drawn: Drawn
    amount_msat: int
    max_fee_msat: int
    least_fee_msat: float


def tight(seed: int, seconds: float = 20.0) -> Case | None:
    """A part of what can be sent, for 1.02 times the least fee and what integers may round; None where nothing can
    be sent, or the optimum is not known in time."""
    network = drawn(seed)
    optimum = Optimum(network.net, "a", network.parts, seconds=seconds)
    try:
        amount = int(optimum.most_msat() * random.Random(seed + 1).choice([0.2, 0.4, 0.6, 0.8, 0.9]))
        fee = optimum.fee_msat(amount) if amount else None
    except TimeoutError:
        return None
    return None if fee is None else Case(seed, network, amount, int(fee * 1.02) + 50, fee)


def near_the_most(seed: int, *, fees: bool, seconds: float = 20.0) -> Case | None:
    """97 to 100 % of what can be sent, for any fee."""
    network = drawn(seed, fees=fees)
    try:
        most = Optimum(network.net, "a", network.parts, seconds=seconds).most_msat()
    except TimeoutError:
        return None
    amount = int(most * random.Random(seed + 1).choice([1, 0.999, 0.99, 0.97])) - 2
    return Case(seed, network, amount, 10**15, 0.0) if amount > 0 else None
