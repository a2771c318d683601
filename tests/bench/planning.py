"""How long a plan takes: one path, split, right after gossip changed; beside networkx and the host's commands.

Most questions are frugal ones: one path or 16 parts, nothing drawn, nothing known, so that what is beside them has
the same to do. What a payment of the plugin asks, with all options as they come and with memory, stands apart.

A plan is timed as the plugin makes it: the overlay of the payment, the routes, their verification. networkx
searches the whole graph from the payee on the same weights, its graph built beforehand. The host answers over
its socket, on the same store, from our best-connected peer (a node that is not in the graph cannot be a source
there).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from pay.liquidity.knowledge import NOTHING_KNOWN, Knowledge
from pay.network import ChannelGraph, Overlay, OwnChannel
from pay.routing import NoRoute, RouteQuery, check, plan
from pay.routing.costs import Prices
from pay.routing.find import find
from pay.routing.problem import Problem
from pay.routing.query import BLOCKS_PER_YEAR, Situation
from pay.units import NodeId
from tests.bench import host
from tests.bench.setting import SAT, Setting, default_query, ours, query, remembered
from tests.bench.table import heading, row, spread
from tests.support.worlds.sender import Sender

SINGLE_MSAT = (1_000 * SAT, 10_000 * SAT, 100_000 * SAT)
SPLIT_MSAT = (1_000_000 * SAT, 2_000_000 * SAT, 5_000_000 * SAT)
PARTS = 16

_PAYEES, _WARM_UP, _SLOW, _STALE, _HOSTED = 200, 20, 5, 15, 25


def run(setting: Setting) -> dict[str, float]:
    """Print the table and return its figures."""
    graph, world = setting.graph, setting.world()
    us = ours(world).id
    own = Sender(world, us, graph).own_channels()
    heading("one plan", "median", "p99", "should be")
    for payee in setting.payees(_WARM_UP, SINGLE_MSAT[0]):
        timed(graph, own, query(us, payee, SINGLE_MSAT[0]))
    single, split = _Times(), _Times()
    for amount in SINGLE_MSAT:
        single.add(_amount(setting, own, us, amount, 1))
    for amount in SPLIT_MSAT:
        split.add(_amount(setting, own, us, amount, PARTS))
    spread("all, one path", single.found_ms, "ms", "≤ 2 ms", 2)
    spread(f"all, up to {PARTS} parts", split.found_ms, "ms", "≤ 12 ms", 2)
    everything = single.found_ms + single.none_ms + split.found_ms + split.none_ms
    spread("all, with those that end without a route", everything, "ms", "p99 ≤ 40 ms", 2)
    row("slowest of all", f"{max(everything):.0f} ms")
    default_ms, again_ms, default_parts = _default(setting, own, us)
    spread("all, with default options", default_ms, "ms", "", 2)
    spread("the same, a payment's next plan", again_ms, "ms", "", 2)
    row("parts of a plan with default options", f"{statistics.mean(default_parts):.1f}")
    _parts_of_it(setting, own, us)
    spread("one path, right after a channel_update", _stale_ms(setting, own, us), "ms", "", 2)
    mean = statistics.mean(split.parts) if split.parts else 0.0
    row("plans that split", str(len(split.parts)), f"{mean:.1f} parts")
    figures = {
        "plan_single_ms_p50": statistics.median(single.found_ms),
        "plan_split_ms_p50": statistics.median(split.found_ms),
        "plan_default_ms_p50": statistics.median(default_ms),
        "plan_default_again_ms_p50": statistics.median(again_ms),
        "plan_ms_p99": float(np.percentile(everything, 99)),
        "plan_ms_max": max(everything),
        "plans_that_split": float(len(split.parts)),
    }
    return figures | _networkx(setting, us, own) | _hosted(setting, us, own)


@dataclass(slots=True)
class _Times:
    """Plans by how they ended; `parts` of those that split."""

    found_ms: list[float] = field(default_factory=list)
    none_ms: list[float] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)

    def add(self, other: _Times) -> None:
        self.found_ms += other.found_ms
        self.none_ms += other.none_ms
        self.parts += other.parts


def _amount(setting: Setting, own: Sequence[OwnChannel], us: NodeId, amount: int, most: int) -> _Times:
    times = _Times()
    for payee in setting.payees(setting.few(_PAYEES, 25), amount):
        took, count = timed(setting.graph, own, query(us, payee, amount, max_parts=most))
        (times.found_ms if count else times.none_ms).append(took)
        if count > 1:
            times.parts.append(count)
    none = f"{len(times.none_ms)} no route" if times.none_ms else ""
    kind = "one path" if most == 1 else f"up to {most} parts"
    spread(f"{amount // SAT:,} sat, {kind}", times.found_ms, "ms", none, 2)
    return times


def _default(
    setting: Setting, own: Sequence[OwnChannel], us: NodeId
) -> tuple[list[float], list[float], list[int]]:
    """As a payment of the plugin asks: 30 parts, routes that vary, 500 channels remembered.

    Milliseconds of the first plan and of another one of the same payment, and the parts.
    """
    first_ms, again_ms, parts = list[float](), list[float](), list[int]()
    known = remembered(setting.graph)
    for amount in (*SINGLE_MSAT, SPLIT_MSAT[0]):
        found_ms = []
        for number, payee in enumerate(setting.payees(setting.few(_PAYEES, 25), amount)):
            asked = default_query(us, payee, amount, seed=number + 1)
            took, count = timed(setting.graph, own, asked, known)
            if count:
                found_ms.append(took)
                parts.append(count)
                again_ms.append(timed(setting.graph, own, asked, known)[0])
        spread(f"{amount // SAT:,} sat, default options", found_ms, "ms", "", 2)
        first_ms += found_ms
    return first_ms, again_ms, parts


def timed(
    graph: ChannelGraph, own: Sequence[OwnChannel], asked: RouteQuery, known: Knowledge = NOTHING_KNOWN
) -> tuple[float, int]:
    """Milliseconds that a plan took, and in how many routes it ended."""
    began = time.perf_counter()
    answer = find(graph, Situation(asked, own), known)
    took = (time.perf_counter() - began) * 1000
    return took, 0 if isinstance(answer, NoRoute) else len(answer)


def _parts_of_it(setting: Setting, own: Sequence[OwnChannel], us: NodeId) -> None:
    """Where the time of one path goes, and one search of the whole graph by SciPy alone: nearer is hard to get."""
    graph, amount = setting.graph, SINGLE_MSAT[-1]
    overlay_ms, costs_ms, check_ms, search_ms = [], [], [], []
    arcs, weights = objective(graph, query(us, us, amount))
    order = np.argsort(graph.target[arcs], kind="stable")
    starts = graph.source[arcs][order]
    indptr = np.searchsorted(graph.target[arcs][order], np.arange(graph.n_nodes + 1)).astype(np.int32)
    matrix = csr_array((weights[order], starts, indptr), shape=(graph.n_nodes, graph.n_nodes))
    for payee in setting.payees(setting.few(_PAYEES // 2, 12), amount):
        asked = query(us, payee, amount)
        began = time.perf_counter()
        overlay = Overlay(graph, us, own, recipient=payee)
        built = time.perf_counter()
        overlay_ms.append((built - began) * 1000)
        routes = plan(overlay, asked)
        if isinstance(routes, NoRoute):
            continue
        problem = Problem.of(overlay, payee, {})
        assert problem is not None
        began = time.perf_counter()
        problem.arcs.usable(amount).costs.weights(Prices.of(asked))
        costs_ms.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        check(overlay, asked, routes)
        checked = time.perf_counter()
        dijkstra(matrix, indices=graph.node_number(payee), return_predecessors=True)
        check_ms.append((checked - began) * 1000)
        search_ms.append((time.perf_counter() - checked) * 1000)
    spread("of one path of 100,000 sat: the overlay", overlay_ms, "ms", "", 2)
    spread("the costs of all arcs", costs_ms, "ms", "", 2)
    spread("the verification", check_ms, "ms", "", 2)
    spread("SciPy's search alone, the whole graph", search_ms, "ms", "", 2)


def _stale_ms(setting: Setting, own: Sequence[OwnChannel], us: NodeId) -> list[float]:
    """With gossip between two plans, what is kept from one to the next is void."""
    graph, result = setting.graph, []
    for payee in setting.payees(_STALE, SINGLE_MSAT[-1]):
        named = graph.scid_dir(0)
        known = graph.policy(named)
        assert known is not None
        graph.set_policy(named, replace(known))
        result.append(timed(graph, own, query(us, payee, SINGLE_MSAT[-1]))[0])
    return result


# --- networkx -------------------------------------------------------------------------------------------------


def _networkx(setting: Setting, us: NodeId, own: Sequence[OwnChannel]) -> dict[str, float]:
    """Its Dijkstra from the payee on the same weights, over all that carries the amount, beside our plans."""
    graph, slow_ms, fast_ms = setting.graph, [], []
    for amount in SINGLE_MSAT:
        payees = setting.payees(_SLOW, amount)
        backwards = reversed_graph(graph, query(us, payees[0], amount))
        for payee in payees:
            took = [timed(graph, own, query(us, payee, amount)) for _ in range(3)]
            if not took[0][1]:
                continue
            began = time.perf_counter()
            nx.single_source_dijkstra_path_length(backwards, graph.node_number(payee), weight="weight")
            slow_ms.append((time.perf_counter() - began) * 1000)
            fast_ms.append(statistics.median(ms for ms, _ in took))
    ratio = statistics.median(slow_ms) / statistics.median(fast_ms)
    spread("networkx's Dijkstra, the whole graph", slow_ms, "ms", "")
    row("times as long", f"{ratio:.1f}", "", "≥ 10")
    return {"networkx_ms_p50": statistics.median(slow_ms), "networkx_ratio": ratio}


def reversed_graph(graph: ChannelGraph, asked: RouteQuery) -> nx.DiGraph:
    """The arcs that can carry the amount, turned round, weighed by the planner's objective."""
    arcs, weight = objective(graph, asked)
    result = nx.DiGraph()
    for end, start, cost in zip(graph.target[arcs].tolist(), graph.source[arcs].tolist(), weight, strict=True):
        known = result.get_edge_data(end, start)
        if known is None or known["weight"] > cost:
            result.add_edge(end, start, weight=float(cost))
    return result


def objective(graph: ChannelGraph, asked: RouteQuery) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The arcs that can carry the amount, and what the planner's objective says of each, msat."""
    amount = asked.amount_msat
    able = graph.enabled & (graph.htlc_min_msat <= amount)
    able &= np.minimum(graph.htlc_max_msat, graph.capacity_msat) >= amount
    arcs = np.flatnonzero(able)
    fee = graph.fee_base_msat[arcs] + amount * graph.fee_ppm[arcs] / 1e6
    time_cost = graph.cltv_delta[arcs] * (amount * asked.preferences.riskfactor / (100 * BLOCKS_PER_YEAR))
    room = graph.capacity_msat[arcs] + 1
    return arcs, fee + time_cost - asked.nat_msat * np.log((room - amount) / room)


# --- the host ---------------------------------------------------------------------------------------------------


def _hosted(setting: Setting, us: NodeId, own: Sequence[OwnChannel]) -> dict[str, float]:
    """`getroute` and `getroutes` of the lightningd on the PATH, beside our plans of the same payees."""
    if setting.network is None:
        row("lightningd", "skipped: it knows the public network only")
        return {}
    started = host.start(setting.store, setting.directory)
    if isinstance(started, str):
        row("lightningd", f"skipped: {started}")
        return {}
    with started as node:
        return _beside(node, setting.graph, us, own, setting.payees(_HOSTED, SPLIT_MSAT[0]))


def _beside(
    node: host.Host, graph: ChannelGraph, us: NodeId, own: Sequence[OwnChannel], payees: Sequence[NodeId]
) -> dict[str, float]:
    def degree(peer: NodeId) -> int:
        number = graph.node_number(peer)
        return 0 if number is None else len(graph.arcs_into(number))

    source = max((channel.peer for channel in own), key=degree)
    single, split = SINGLE_MSAT[-1], SPLIT_MSAT[0]
    getroute: dict[str, Any] = {"amount_msat": single, "riskfactor": 10, "fromid": source.hex(), "cltv": 18}
    getroutes: dict[str, Any] = {
        "amount_msat": split, "source": source.hex(), "layers": [], "maxfee_msat": split // 20, "final_cltv": 18,
    }  # fmt: skip
    one_ms = node.timed("getroute", [{**getroute, "id": payee.hex()} for payee in payees])
    many_ms = node.timed("getroutes", [{**getroutes, "destination": payee.hex()} for payee in payees])
    our_one = [timed(graph, own, query(us, payee, single)) for payee in payees]
    our_many = [timed(graph, own, query(us, payee, split, max_parts=PARTS)) for payee in payees]
    figures: dict[str, float] = {}
    pairs = (("getroute", one_ms, our_one, single, 3), ("getroutes", many_ms, our_many, split, 15))
    for name, theirs, mine, amount, least in pairs:
        # Where either has no answer, the time says nothing of the search.
        both = [
            (their, our) for their, (our, count) in zip(theirs, mine, strict=True) if their is not None and count
        ]
        if not both:
            row(f"lightningd's {name}", "no answer")
            continue
        spread(f"lightningd's {name}, {amount // SAT:,} sat, {len(both)} payees", [t for t, _ in both], "ms", "")
        ratio = statistics.median(t for t, _ in both) / statistics.median(o for _, o in both)
        row("times as long", f"{ratio:.1f}", "", f"≥ {least}")
        figures[f"{name}_ms_p50"] = statistics.median(t for t, _ in both)
        figures[f"{name}_ratio"] = ratio
    return figures
