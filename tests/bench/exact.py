"""Plans of several parts on small drawn networks, against exact optima by SciPy's MILP.

Three questions each: a fee limit of 1.02 times the optimum; 97 to 100 % of what can be sent, with fees and not.
500 networks are the same in every run and 500 are fresh; `EXACT_NETWORKS` is another number. A network whose
optimum takes longer than ten seconds is left out. "Impossible" is a plan that is missed and called so.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from pay.routing import NoRoute, NoRouteReason
from pay.routing.find import find
from pay.routing.query import Situation
from tests.bench.setting import Setting
from tests.bench.table import heading, row
from tests.support.networks import query
from tests.support.optimum import Case, near_the_most, tight

NETWORKS = int(os.environ.get("EXACT_NETWORKS", "500"))
_SECONDS = 10.0

_UNPROVEN = frozenset({NoRouteReason.GAVE_UP, NoRouteReason.TOO_EXPENSIVE})


@dataclass(slots=True)
class _Count:
    """Of one question, over many networks; seeds of those that were missed."""

    asked: int = 0
    missed: list[int] = field(default_factory=list)
    impossible: int = 0
    took_ms: list[float] = field(default_factory=list)

    def add(self, case: Case) -> None:
        net, parts = case.drawn.net, case.drawn.parts
        asked = query("a", case.amount_msat, max_parts=parts, max_fee_msat=case.max_fee_msat)
        began = time.perf_counter()
        answer = find(net.graph, Situation(asked, net.ours))
        self.took_ms.append(1_000 * (time.perf_counter() - began))
        self.asked += 1
        if isinstance(answer, NoRoute):
            self.missed.append(case.seed)
            too_dear = answer.reason is NoRouteReason.TOO_EXPENSIVE and "found" not in answer.message
            self.impossible += answer.reason not in _UNPROVEN or too_dear

    @property
    def share(self) -> float:
        return len(self.missed) / max(1, self.asked)


def _tight(seed: int) -> Case | None:
    return tight(seed, _SECONDS)


def _near(seed: int) -> Case | None:
    return near_the_most(seed, fees=True, seconds=_SECONDS)


def _near_free(seed: int) -> Case | None:
    return near_the_most(seed, fees=False, seconds=_SECONDS)


_QUESTIONS: dict[str, Callable[[int], Case | None]] = {
    "1.02 times the least fee": _tight,
    "97 to 100 % of what can be sent": _near,
    "the same without fees": _near_free,
}


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures."""
    networks = setting.few(NETWORKS, 10)
    first = random.SystemRandom().randrange(10**6, 10**9)
    heading("plans beside the optimum", "networks", "missed", "impossible", "median", "slowest")
    counts = {
        (name, kind): _counted(question, seeds)
        for name, question in _QUESTIONS.items()
        for kind, seeds in (("fixed", range(networks)), ("fresh", range(first, first + networks)))
    }
    for (name, kind), count in counts.items():
        row(
            f"{name}, {kind}", f"{count.asked}", f"{100 * count.share:.1f} %", f"{count.impossible}",
            f"{statistics.median(count.took_ms or [0.0]):.1f} ms", f"{max(count.took_ms, default=0.0):.0f} ms",
        )  # fmt: skip
        if count.missed:
            print(f"    missed: {', '.join(map(str, count.missed[:20]))}")
    print()
    worst = {name: max(counts[name, kind].share for kind in ("fixed", "fresh")) for name in _QUESTIONS}
    tightest, *near = worst.values()
    return {
        "exact_missed_tight": tightest,
        "exact_missed_near_most": max(near),
        "exact_called_impossible": float(sum(count.impossible for count in counts.values())),
    }


def _quietly() -> None:
    """The solver writes lines of its own to the process's output, past Python."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _counted(question: Callable[[int], Case | None], seeds: Iterable[int]) -> _Count:
    count = _Count()
    with ProcessPoolExecutor(2, initializer=_quietly) as pool:
        for case in pool.map(question, seeds, chunksize=4):
            if case is not None:
                count.add(case)
    return count
