"""`python -m tests.campaign [runs] [--seed N] [--jobs N] [--calm]`: so many runs, and what came of them.

Ends with 1 if anything was wrong; the seeds of such runs are printed, and `--seed` repeats one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.campaign.run import Report, run

RUNS = 200


def main() -> int:
    options = _options()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.runs)
    counts: Counter[str] = Counter()
    bad: list[Report] = []
    # Every run is a node with threads of its own: processes are started fresh.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        for report in pool.map(partial(run, calm=options.calm), seeds):
            counts += report.counts
            if report.wrong:
                bad.append(report)
                print(f"seed {report.seed}:", *report.wrong, sep="\n    ", flush=True)
    width = max(len(name) for name in counts)
    for name, count in counts.items():
        print(f"{name:{width}} {count}")
    print(f"{'wrong runs':{width}} {len(bad)}", *(report.seed for report in bad))
    return 1 if bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=RUNS)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    parser.add_argument("--seed", type=int, help="only this run")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--calm", action="store_true", help="without liars, clock steps and other senders")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
