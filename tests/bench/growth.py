"""How time and memory grow with the network: generated ones of one, four and sixteen times a size.

Plans of a frugal question (one path or 16 parts, nothing drawn, nothing known), and of what a payment asks with
all options as they come and with memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pay.network import GossipStore, OwnChannel
from pay.units import NodeId, Scid
from tests.bench.planning import PARTS, SINGLE_MSAT, SPLIT_MSAT, timed
from tests.bench.setting import SAT, Setting, default_query, query, remembered
from tests.bench.table import heading, row

LEAST_NODES = 1_250
TIMES = (1, 4, 16)
_PAYEES, _LOADS, _WARM_UP = 60, 3, 5


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures; the network of `setting` is not used."""
    heading("growth, generated networks", *(f"{times}×" for times in TIMES))
    cells: dict[str, list[str]] = {}
    figures: dict[str, float] = {}
    for times in TIMES[:-1] if setting.quick else TIMES:
        with TemporaryDirectory() as directory:
            network = Setting(None, Path(directory), LEAST_NODES * times, setting.quick)
            for name, (value, text) in _measured(network).items():
                cells.setdefault(name, []).append(text)
                figures[f"{name}_{times}x"] = value
    for name, texts in cells.items():
        row(name.replace("_", " "), *texts)
    return {f"growth_{name}": value for name, value in figures.items()}


def _measured(setting: Setting) -> dict[str, tuple[float, str]]:
    path, load_s = setting.store, []
    path.read_bytes()
    for _ in range(_LOADS):
        began = time.perf_counter()
        with path.open("rb", buffering=0) as file:
            GossipStore().read(file)
        load_s.append(time.perf_counter() - began)
    graph = setting.graph
    load = statistics.median(load_s)
    result = {
        "nodes": (float(graph.n_nodes), f"{graph.n_nodes:,}"),
        "channels": (float(graph.n_channels), f"{graph.n_channels:,}"),
        "store_mb": (path.stat().st_size / 1e6, f"{path.stat().st_size / 1e6:.1f}"),
        "load_s": (load, f"{load:.3f}"),
        "arrays_mb": (graph.nbytes / 1e6, f"{graph.nbytes / 1e6:.1f}"),
    }
    us, own = joined(setting)
    for name, amount, most in (("one_path_ms", SINGLE_MSAT[-1], 1), ("split_ms", SPLIT_MSAT[0], PARTS)):
        payees = setting.payees(setting.few(_PAYEES, 10), amount)
        for payee in payees[:_WARM_UP]:
            timed(graph, own, query(us, payee, amount, max_parts=most))
        found = [timed(graph, own, query(us, payee, amount, max_parts=most)) for payee in payees]
        ms = [took for took, count in found if count]
        result[name] = _median(ms)
    known = remembered(graph)
    for name, amount in (("default_ms", SINGLE_MSAT[-1]), ("default_large_ms", SPLIT_MSAT[0])):
        ms = []
        for number, payee in enumerate(setting.payees(setting.few(_PAYEES, 10), amount)):
            took, count = timed(graph, own, default_query(us, payee, amount, seed=number + 1), known)
            if count and number >= _WARM_UP:
                ms.append(took)
        result[name] = _median(ms)
    return result


def _median(ms: Sequence[float]) -> tuple[float, str]:
    return (statistics.median(ms), f"{statistics.median(ms):.2f}") if ms else (0.0, "none")


def joined(setting: Setting) -> tuple[NodeId, list[OwnChannel]]:
    """A node that is not in the graph, with a channel of six million sat to each of the five largest."""
    graph = setting.graph
    grouped = graph.by_target()
    degree = grouped.start[1:] - grouped.start[:-1]
    largest = degree.argsort(kind="stable")[::-1][:5].tolist()
    us = NodeId(b"\x02" + bytes(32))
    first = OwnChannel(
        Scid(1 << 40), 0, graph.node_id(largest[0]), 6_000_000 * SAT, 0, 1, 6_000_000 * SAT, 483, 0, True, False
    )
    return us, [
        replace(first, scid=Scid(n + 1 << 40), peer=graph.node_id(number)) for n, number in enumerate(largest)
    ]
