"""Reading a gossip_store: the whole file beside `pyln.client.Gossmap`, and what is appended to it."""

from __future__ import annotations

import io
import statistics
import time

from pay.network import GossipStore, Policy
from pay.sim.network.encoding import gossip
from pay.sim.network.encoding.failures import CHAIN_HASHES
from pay.sim.network.encoding.store import StoreWriter
from pay.units import ScidDir
from tests.bench.setting import Setting
from tests.bench.table import heading, row

_LOADS, _OTHER_LOADS = 5, 2
_APPENDS, _UPDATES = 9, 1_000


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures."""
    path = setting.store
    heading("the gossip_store", "median", "", "should be")
    path.read_bytes()  # into the page cache
    load_s, graph = [], None
    for _ in range(_LOADS):
        began = time.perf_counter()
        store = GossipStore()
        with path.open("rb", buffering=0) as file:
            store.read(file)
        load_s.append(time.perf_counter() - began)
        graph = store.graph
    assert graph is not None
    graph.by_target()
    load = statistics.median(load_s)
    megabytes = path.stat().st_size / 1e6
    size = f"{megabytes:.1f} MB, {graph.n_nodes:,} nodes, {graph.n_channels:,} channels"
    row(f"load {size}", f"{load:.2f} s", "", "≤ 0.4 s")
    row("arrays", f"{graph.nbytes / 1e6:.1f} MB", "", "≤ 25 MB")
    other_s, same = _gossmap(str(path), graph.n_channels)
    row("pyln.client.Gossmap", f"{other_s:.2f} s", same)
    row("times as long", f"{other_s / load:.1f}", "", "≥ 5")
    appended = _appended_ms(setting)
    row("1,000 channel_updates appended", f"{appended:.1f} ms", "", "≤ 5 ms")
    return {
        "load_s": load,
        "graph_mb": graph.nbytes / 1e6,
        "gossmap_s": other_s,
        "gossmap_time_ratio": other_s / load,
        "appended_ms_per_1000": appended,
    }


def _gossmap(path: str, channels: int) -> tuple[float, str]:
    """Its time, and how many channels it finds."""
    from pyln.client import Gossmap

    seconds, found = [], 0
    for _ in range(_OTHER_LOADS):
        began = time.perf_counter()
        gossmap = Gossmap(path)
        seconds.append(time.perf_counter() - began)
        found = len(gossmap.channels)
    return min(seconds), "same" if found == channels else f"{found - channels:+d} channels"


def _appended_ms(setting: Setting) -> float:
    """Milliseconds to take in a thousand updates of channels all over the graph."""
    path = setting.directory / "appended"
    path.write_bytes(setting.store.read_bytes())
    store, times = GossipStore(), []
    with path.open("rb", buffering=0) as reader, path.open("ab", buffering=0) as end:
        store.read(reader)
        graph = store.graph
        step = max(1, graph.n_channels // _UPDATES)
        for turn in range(_APPENDS):
            end.write(_updates([graph.scid_dir(2 * step * n % graph.n_arcs) for n in range(_UPDATES)], turn))
            began = time.perf_counter()
            report = store.read(reader)
            times.append((time.perf_counter() - began) * 1000)
            assert report.policies == _UPDATES, f"{report.policies} of {_UPDATES} updates were taken in"
    path.unlink()
    return statistics.median(times)


def _updates(channels: list[ScidDir], turn: int) -> bytes:
    """Records as lightningd appends them."""
    file = io.BytesIO()
    writer = StoreWriter(file, CHAIN_HASHES["bitcoin"], uuid=bytes(32))
    start = writer.length
    now = 4_000_000_000 + turn
    policy = Policy(1000, 100 + turn, 40, 1, 10**9, timestamp=now)
    writer.extend((gossip.channel_update(named, policy, CHAIN_HASHES["bitcoin"]), now) for named in channels)
    return file.getvalue()[start:]
