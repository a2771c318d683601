"""`make bench`: measurements as tables, and the figures in `.bench/latest.json`.

Times are of this machine on this day; what can be compared across machines are ratios within one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from datetime import date
from pathlib import Path

from tests.bench import start

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = ROOT.parent / "shared" / "data" / "mainnet-2026-02-03.gossip_store.xz"
RESULTS = ROOT / ".bench" / "latest.json"


def main() -> int:
    """Run everything that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--network", type=Path, default=SNAPSHOT if SNAPSHOT.exists() else None)
    args = parser.parse_args()
    where = args.network.name if args.network else "a generated network of 17,000 nodes"
    print(f"{platform.machine()}, Python {platform.python_version()}, {date.today()}, network: {where}\n")
    figures: dict[str, float] = {}
    figures |= start.run(args.network)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    print(f"\nfigures in {RESULTS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
