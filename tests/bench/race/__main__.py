"""`make race`: `pay`, `xpay` and ours pay the same invoices from the same node on a simulated mainnet.

For each hub our node has one channel, to that hub; behind it Core Lightning's `channeld_fakenet` plays the public
network as it was recorded on 2026-02-03, with hidden balances, drawn uniformly, that never move. Hubs, payees
and balances are drawn from --seed: the same seed is the same race. Every sender pays all invoices of a hub, in the
same order, before the next one does; who begins changes from hub to hub.

Tables go to stdout, progress to stderr, every payment to the file of --json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.arguments import Unreadable, existing, positive, positives, writable
from tests.bench.race.drawing import MOST_INVOICES, Hub, Topology, draw_hubs, draw_orders
from tests.bench.race.hub import HubRace, Plan
from tests.bench.race.network import Ways
from tests.bench.race.points import write as write_points
from tests.bench.race.record import Memory, Payment, Results, load
from tests.bench.race.senders import Limits, Ours, Pay, Sender, Xpay, read_variant
from tests.bench.race.snapshot import Snapshot
from tests.bench.race.surprise import lines as surprise_lines
from tests.bench.race.table import tables
from tests.bench.race.tree import Tree, Unusable, find_tree, version
from tests.support.checkout import PLUGIN, ROOT

BENCH = ROOT / ".bench"
AMOUNTS_SAT = (1_000, 10_000, 100_000, 500_000, 2_000_000, 4_000_000)
SAVED_EVERY = 50
"""Payments: --show prints the tables of a race that is still on."""

SHOWN = frozenset({"date", "machine", "lightningd", "snapshot", "senders", "hubs"})
"""What stands above the tables, of `head`."""

STOPPED = 130
"""Exit status of what was interrupted, as shells have it."""

QUICK: dict[str, Any] = {
    "hubs": 2, "payees": 4, "amounts": (10_000, 100_000, 500_000), "side_by_side": 2, "retry_for": 15,
}  # fmt: skip
FULL: dict[str, Any] = {"hubs": 10, "payees": 20, "amounts": AMOUNTS_SAT, "side_by_side": 1}


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line, checked."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tests.bench.race", description=__doc__, formatter_class=plain)
    add = parser.add_argument
    add("--quick", action="store_true", help="2 hubs, 4 payees, 3 amounts: less than five minutes")
    add("--hubs", type=positive, metavar="N", help="as many, of 5 to 200 channels, drawn (default 10)")
    add(
        "--hub",
        type=int,
        action="append",
        default=[],
        metavar="NUMBER",
        help="this node of the snapshot instead of drawn ones; may be repeated",
    )
    add("--payees", type=positive, metavar="N", help="for every amount, over every hub (default 20)")
    add("--amounts", type=positives, metavar="SAT,SAT", help=f"default {','.join(map(str, AMOUNTS_SAT))}")
    add("--seed", type=int, default=1, help="of hubs, payees and balances (default 1)")
    add("--balances", type=int, metavar="SEED", help="of balances and latencies alone (default: --seed)")
    add(
        "--memory",
        choices=["reset", "kept", "both"],
        default="reset",
        help="forget after each payment, or do not (default reset)",
    )
    add("--senders", default="pay,xpay,ours", help="default pay,xpay,ours")
    add("--set", action="append", default=[], metavar="OPTION=VALUE", help="start ours with it; may be repeated")
    add(
        "--ours",
        action="append",
        default=[],
        metavar="NAME:OPTION=VALUE,…",
        help="another sender, ours-NAME, with these options beside those of --set; may be repeated; a picture "
        "joins ours and all these, but of names SERIES/LABEL those of one series; plugin=… among them races "
        "another checkout's plugin.py",
    )
    add("--plugin", type=Path, default=None, help="race this plugin.py as ours (default: this checkout's)")
    add("--retry-for", type=positive, metavar="SECONDS", help="for all (default: each sender's own, 60)")
    add("--maxfeepercent", type=float, help="for all, exemptfee 0 (default: each sender's own; xpay's is 1 %%)")
    add("--max-htlcs", type=positive, default=483, help="at once in our own channel (default 483)")
    add("--side-by-side", type=positive, metavar="N", help="hubs at the same time; each takes a core (default 1)")
    add("--json", type=writable, metavar="FILE", help="where every payment goes (default .bench/race-….json)")
    add("--show", type=existing, metavar="FILE", help="print the tables of an earlier race and end")
    add(
        "--points",
        type=writable,
        metavar="FILE",
        help="also write fee against first try, for python -m tests.bench.picture FILE PICTURE.svg",
    )
    add("--by-hub", action="store_true", help="a table a hub as well")
    add("--keep", action="store_true", help="leave the nodes' directories and logs in the temporary directory")
    args = parser.parse_args(given)
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.payees * len(args.amounts) > MOST_INVOICES:
        parser.error(f"payees × amounts may be {MOST_INVOICES} at most: no more preimages are known")
    try:
        args.line_up = line_up(args)
    except ValueError as error:
        parser.error(str(error))
    return args


def line_up(args: argparse.Namespace) -> list[Sender]:
    """Who races, by the command line.

    Raises
    ------
    ValueError
        It names nobody, or options that are not of the form.
    """
    shared = read_variant(f"ours:{','.join(args.set)}")[1]
    usual = PLUGIN if args.plugin is None else _plugin(args.plugin)
    known: dict[str, Sender] = {"pay": Pay(), "xpay": Xpay(), "ours": Ours("ours", shared, usual)}
    names = [name for name in args.senders.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no sender {unknown[0]!r}: {', '.join(known)}")
    variants = [read_variant(text) for text in args.ours]
    chosen = [
        *(known[name] for name in names),
        *(_variant(name, {**shared, **options}, usual) for name, options in variants),
    ]
    called = [sender.name for sender in chosen]
    twice = [name for name in called if called.count(name) > 1]
    if twice:
        raise ValueError(f"two senders are called {twice[0]}")
    if not chosen:
        raise ValueError("nobody races")
    return chosen


def _variant(name: str, options: dict[str, str], usual: Path) -> Ours:
    """`plugin` among the options is that of another checkout."""
    plugin = _plugin(Path(options.pop("plugin", usual)))
    return Ours(f"ours-{name}", options, plugin)


def _plugin(path: Path) -> Path:
    plugin = path.resolve()
    if plugin.name != PLUGIN.name or not plugin.is_file():
        raise ValueError(f"no {PLUGIN.name}: {plugin}")
    return plugin


def plans(args: argparse.Namespace, topology: Topology) -> list[Plan]:
    """One a hub.

    Raises
    ------
    Unusable
        --hub names a node that the snapshot does not have.
    """
    channels = {number: int(count) for number, count in enumerate(topology.channels)}
    for number in args.hub:
        if number not in channels:
            raise Unusable(f"no hub {number}: nodes of the snapshot are 0 to {len(channels) - 1}")
    drawn = draw_hubs(channels, args.hubs, args.seed)
    hubs = [Hub(number, channels[number]) for number in args.hub] or drawn
    able = {sat * 1000: topology.able(sat * 1000) for sat in args.amounts}
    balances = args.seed if args.balances is None else args.balances
    modes = list(Memory) if args.memory == "both" else [Memory(args.memory)]
    limits = Limits(args.retry_for, args.maxfeepercent)
    return [
        Plan(
            hub, draw_orders(able, hub.number, args.payees, args.seed), rotated(args.line_up, place), modes,
            limits, Ways(balances, args.max_htlcs), balances, args.keep,
        )
        for place, hub in enumerate(hubs)
    ]  # fmt: skip


def rotated(senders: list[Sender], by: int) -> list[Sender]:
    """Another one begins at every hub: the machine may be busier at one time than at another."""
    start = by % len(senders)
    return senders[start:] + senders[:start]


class Race:
    """All hubs, some of them side by side; keeps the results and says how far it is."""

    def __init__(self, all_plans: list[Plan], snapshot: Snapshot, results: Results, file: Path):
        self._snapshot = snapshot
        self._results = results
        self._file = file
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._all = sum(len(plan.orders) * len(plan.senders) * len(plan.modes) for plan in all_plans)
        self._hubs = [
            HubRace(plan, snapshot.tree, snapshot.store(plan.hub.number), self._done) for plan in all_plans
        ]

    def run(self, side_by_side: int) -> None:
        with ThreadPoolExecutor(side_by_side) as executor:
            futures = [executor.submit(self._one, hub) for hub in self._hubs]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                # From here on nothing may interrupt what ends the processes.
                for name in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(name, signal.SIG_IGN)
                executor.shutdown(wait=False, cancel_futures=True)
                for hub in self._hubs:
                    hub.stop()
                raise
            finally:
                self._results.save(self._file)

    def _one(self, hub: HubRace) -> None:
        why = hub.run()
        with self._lock:
            if why is not None:
                self._results.broken.append(why)
                print(f"\n{why}", file=sys.stderr)
            self._results.save(self._file)

    def _sizes(self, payment: Payment) -> dict[str, int]:
        known = self._snapshot.capacity_msat
        scids = {hop.scid for part in payment.parts for hop in part.hops}
        return {scid: known[scid] for scid in scids if scid in known}

    def _done(self, payment: Payment) -> None:
        with self._lock:
            self._results.payments.append(payment)
            self._results.capacity_msat.update(self._sizes(payment))
            count = len(self._results.payments)
            if count % SAVED_EVERY == 0:
                self._results.save(self._file)
            if count % 5 == 0 or count == self._all:
                minutes = (time.monotonic() - self._began) / 60
                print(f"\r{count} of {self._all} payments, {minutes:.1f} min", end="", file=sys.stderr, flush=True)


def head(args: argparse.Namespace, tree: Tree, all_plans: list[Plan]) -> dict[str, Any]:
    """What was raced where, for the results."""
    shown = {name: value for name, value in vars(args).items() if name != "line_up" and value is not None}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "lightningd": version(["lightningd"]),
        "snapshot": tree.snapshot.name,
        "arguments": {name: str(value) if isinstance(value, Path) else value for name, value in shown.items()},
        "senders": {sender.name: _shown(sender) for sender in args.line_up},
        "hubs": {plan.hub.number: plan.hub.channels for plan in all_plans},
    }  # fmt: skip


def _shown(sender: Sender) -> dict[str, str]:
    if not isinstance(sender, Ours):
        return {}
    return sender.options if sender.plugin == PLUGIN else {"plugin": str(sender.plugin), **sender.options}


def show(results: Results, args: argparse.Namespace) -> None:
    """Head and tables on stdout, points into their file."""
    setting = results.setting
    if args.points is not None:
        title = f"{setting['date']}, lightningd {setting['lightningd']}, {len(setting['hubs'])} hubs"
        write_points(args.points, title, results.payments, list(setting["senders"]))
    print(f"{setting['date']}, {setting['machine']}, lightningd {setting['lightningd']}, {setting['snapshot']}")
    print("hubs (node of the snapshot: channels): " + ", ".join(f"{n}: {c}" for n, c in setting["hubs"].items()))
    for name, options in setting["senders"].items():
        if options:
            print(f"{name}: {json.dumps(options)}")
    for line in results.broken:
        print(f"not raced to the end: {line}")
    print()
    for line in tables(results.payments, list(setting["senders"]), args.by_hub):
        print(line)
    for line in surprise_lines(results.payments, list(setting["senders"]), results.capacity_msat):
        print(line)


def main(given: Sequence[str]) -> int:
    """Race, or say in one line why not."""
    args = arguments(given)
    if args.show is not None:
        try:
            results = load(args.show)
            if missing := SHOWN - results.setting.keys():
                raise Unreadable(f"{args.show} does not say of its race: {', '.join(sorted(missing))}")
            show(results, args)
        except Unreadable as reason:
            print(reason, file=sys.stderr)
            return 1
        return 0
    try:
        tree = find_tree(os.environ)
    except Unusable as reason:
        print(reason, file=sys.stderr)
        return 1
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)
    try:
        return race(args, tree)
    except Unusable as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped before the race began", file=sys.stderr)
        return STOPPED


def race(args: argparse.Namespace, tree: Tree) -> int:
    """Race, print the tables, also of a race that was stopped, and keep the payments."""
    snapshot = Snapshot(tree, BENCH / "race")
    all_plans = plans(args, snapshot.topology)
    results = Results(head(args, tree, all_plans))
    file = args.json or BENCH / f"race-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    runner = Race(all_plans, snapshot, results, file)
    code = 0
    try:
        runner.run(args.side_by_side)
    except KeyboardInterrupt:
        print("\nstopped: what was raced so far", file=sys.stderr)
        code = STOPPED
    print(file=sys.stderr)
    show(results, args)
    print(f"\nevery payment is in {file}")
    return code or (1 if results.broken else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
