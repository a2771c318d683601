"""`make bench`: measurements as tables, and the figures in `.bench/latest.json`.

Times are of this machine on this day; what can be compared across machines are ratios within one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from tests.bench import (
    crowded,
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

RESULTS = ROOT / ".bench" / "latest.json"


SECTIONS: dict[str, Callable[[Setting], dict[str, float]]] = {
    "start": lambda setting: start.run(setting.network),
    "load": load.run,
    "planning": planning.run,
    "growth": growth.run,
    "fading": fading.run,
    "many": lambda _setting: many.run(),
    "finished": lambda _setting: finished.run(),
    "crowded": lambda _setting: crowded.run(),
    "quality": quality.run,
    "frontier": frontier.run,
    "learning": learning.run,
    "regret": regret.run,
    "privacy": privacy.run,
    "exact": exact.run,
}

SLOW = frozenset(
    {"many", "finished", "crowded", "quality", "frontier", "learning", "regret", "privacy", "exact"}
)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of: {', '.join(SECTIONS)}")
    parser.add_argument("--network", type=existing, default=SNAPSHOT if SNAPSHOT.exists() else None)
    parser.add_argument("--quick", action="store_true", help="without the slow ones: a minute")
    args = parser.parse_args(given)
    if unknown := [name for name in args.sections if name not in SECTIONS]:
        parser.error(f"no section {unknown[0]!r}: {', '.join(SECTIONS)}")
    return args


def main(given: Sequence[str]) -> int:
    """Run the sections that were asked for, all unless some are named."""
    args = arguments(given)
    names = args.sections or [name for name in SECTIONS if not (args.quick and name in SLOW)]
    where = args.network.name if args.network else "a generated network of 17,000 nodes"
    print(f"{platform.machine()}, Python {platform.python_version()}, {date.today()}, network: {where}\n")
    figures: dict[str, float] = json.loads(RESULTS.read_text()) if args.sections and RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as directory:
        setting = Setting(args.network, Path(directory))
        for name in names:
            began = time.monotonic()
            figures |= SECTIONS[name](setting)
            print(f"{'':50}{time.monotonic() - began:>12.0f} s for {name}\n", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    print(f"figures in {RESULTS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
