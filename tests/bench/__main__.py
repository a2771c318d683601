"""`make bench`: measurements as tables, and the figures in `.bench/latest.json`.

The quick form takes few samples of everything: it shows in a few minutes that all of them work and of which order
they are; its figures go to `.bench/quick.json` and are none to keep.

Times are of this machine on this day; what can be compared across machines are ratios within one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tests.bench import (
    crowded,
    door,
    exact,
    fading,
    finished,
    frontier,
    growth,
    learning,
    load,
    many,
    planning,
    privacy,
    quality,
    regret,
    start,
)
from tests.bench.arguments import existing
from tests.bench.setting import Setting
from tests.support.checkout import ROOT, SNAPSHOT

RESULTS = ROOT / ".bench"


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement, and about how long it takes on two idle cores."""

    run: Callable[[Setting], dict[str, float]]
    full_s: int
    quick_s: int


SECTIONS = {
    "start": Section(start.run, 20, 10),
    "load": Section(load.run, 8, 8),
    "planning": Section(planning.run, 40, 20),
    "growth": Section(growth.run, 30, 10),
    "fading": Section(fading.run, 5, 5),
    "many": Section(many.run, 200, 10),
    "door": Section(door.run, 60, 30),
    "finished": Section(finished.run, 40, 5),
    "crowded": Section(crowded.run, 60, 15),
    "quality": Section(quality.run, 1_800, 40),
    "frontier": Section(frontier.run, 3_600, 30),
    "learning": Section(learning.run, 1_200, 40),
    "regret": Section(regret.run, 1_200, 30),
    "privacy": Section(privacy.run, 600, 20),
    "exact": Section(exact.run, 1_800, 15),
}


class Progress:
    """Which section of how many begins, and about how much time is left: at the pace of this machine so far."""

    def __init__(self, expected_s: dict[str, int]):
        self._expected_s = expected_s
        self._began_s = time.monotonic()

    def left_s(self, done: Sequence[str], spent_s: float) -> float:
        """When these are done and took so long together."""
        expected_s = sum(self._expected_s[name] for name in done)
        pace = spent_s / expected_s if expected_s else 1.0
        return pace * (sum(self._expected_s.values()) - expected_s)

    def sections(self) -> Iterator[str]:
        names = list(self._expected_s)
        for at, name in enumerate(names):
            left = in_words(self.left_s(names[:at], time.monotonic() - self._began_s))
            print(f"{at + 1} of {len(names)}: {name}; about {left} left", flush=True)
            began = time.monotonic()
            yield name
            print(f"{'':50}{time.monotonic() - began:>12.0f} s for {name}\n", flush=True)


def in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of: {', '.join(SECTIONS)}")
    parser.add_argument("--network", type=existing, default=SNAPSHOT if SNAPSHOT.exists() else None)
    quick = in_words(sum(section.quick_s for section in SECTIONS.values()))
    full = in_words(sum(section.full_s for section in SECTIONS.values()))
    parser.add_argument("--quick", action="store_true", help=f"few samples: {quick} instead of {full}")
    args = parser.parse_args(given)
    if unknown := [name for name in args.sections if name not in SECTIONS]:
        parser.error(f"no section {unknown[0]!r}: {', '.join(SECTIONS)}")
    return args


def main(given: Sequence[str]) -> int:
    """Run the sections that were asked for, all unless some are named."""
    args = arguments(given)
    names = args.sections or list(SECTIONS)
    where = args.network.name if args.network else "a generated network of 17,000 nodes"
    print(f"{platform.machine()}, Python {platform.python_version()}, {date.today()}, network: {where}")
    if args.quick:
        print("quick form: few samples, no figures to keep")
    print()
    results = RESULTS / ("quick.json" if args.quick else "latest.json")
    figures: dict[str, float] = json.loads(results.read_text()) if args.sections and results.exists() else {}
    expected_s = {name: SECTIONS[name].quick_s if args.quick else SECTIONS[name].full_s for name in names}
    with tempfile.TemporaryDirectory() as directory:
        setting = Setting(args.network, Path(directory), quick=args.quick)
        for name in Progress(expected_s).sections():
            figures |= SECTIONS[name].run(setting)
    RESULTS.mkdir(exist_ok=True)
    results.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    print(f"figures in {results.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
