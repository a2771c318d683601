"""What is kept of a graph from one plan to the next follows the graph."""

from __future__ import annotations

import numpy as np

from pay.network import ChannelGraph, Policy
from pay.network import written as written_module
from pay.routing.arcs import DEAD, GraphRows
from pay.units import Scid, ScidDir


def ladder() -> ChannelGraph:
    """Forty channels between ten nodes, both directions open."""
    graph = ChannelGraph()
    for number in range(40):
        ends = sorted((number % 10, (number * 7 + 1 + number // 10) % 10 + 10))
        graph.add_channel(number, *(b"\2" + bytes([end]) * 32 for end in ends), 10**9)
        for direction in (0, 1):
            graph.set_policy(ScidDir(Scid(number), direction), Policy(1, number, 40, 1, 10**8, timestamp=1))
    return graph


def assert_fresh(graph: ChannelGraph) -> GraphRows:
    """The open rows that are kept are those that would be made afresh, each where it is looked for."""
    kept = GraphRows.of(graph)
    assert _open(kept) == _open(GraphRows.of(ladder_copy(graph)))
    assert (kept.row[kept.arc] == kept.number).all()
    return kept


def _open(rows: GraphRows) -> list[tuple[int, ...]]:
    found = []
    for target in range(len(rows.start) - 1):
        for at in range(rows.start[target], rows.start[target + 1]):
            assert rows.rows.target[at] == target
            found.append((int(rows.arc[at]), *(int(column[at]) for column in rows.rows)))
    return [row for row in found if row[-1] >= 0]


def ladder_copy(graph: ChannelGraph) -> ChannelGraph:
    """The same graph without a past."""
    fresh = ChannelGraph()
    fresh.number_nodes([graph.node_id(number) for number in range(graph.n_nodes)])
    fresh.add_channels(graph.scids.copy(), graph.source[::2], graph.target[::2], graph.capacity_msat[::2].copy())
    for name in ("fee_base_msat", "fee_ppm", "cltv_delta", "htlc_min_msat", "htlc_max_msat", "enabled"):
        getattr(fresh, name)[:] = getattr(graph, name)
    return fresh


def test_policies_that_change_are_followed_without_starting_afresh() -> None:
    """New fees, a direction that closes, a channel that goes: the same rows, brought up to date."""
    graph = ladder()
    kept = GraphRows.of(graph)
    graph.set_policy(ScidDir(Scid(3), 0), Policy(5, 6, 7, 8, 9 * 10**6, timestamp=2))
    graph.set_policy(ScidDir(Scid(4), 1), Policy(5, 6, 7, 8, 9, enabled=False, timestamp=2))
    assert assert_fresh(graph) is kept
    graph.remove_channels(np.array([7], np.uint64))
    assert assert_fresh(graph) is kept


def test_an_arc_that_opens_is_taken_in() -> None:
    """A direction that was closed when the rows were made was not among them."""
    graph = ladder()
    named = ScidDir(Scid(4), 1)
    graph.set_policy(named, Policy(5, 6, 7, 8, 10**6, enabled=False, timestamp=2))
    kept = GraphRows.of(ladder_copy(graph))
    assert len(kept.arc) == graph.n_arcs - 1
    graph.set_policy(named, Policy(5, 6, 7, 8, 10**6, timestamp=3))
    assert len(assert_fresh(graph).arc) == graph.n_arcs


def test_arcs_out_of_ends_of_the_network_are_left_out() -> None:
    """0 ═ 1 ═ 2 ═ 0 is a ring (two channels between 1 and 2); 3 hangs on 2 and 4 on 3; 5 ═ 6 hang together. What
    leads out of 3 and of 4 is on no path from elsewhere, nor is anything of 5 and 6."""
    graph = ChannelGraph()
    ends = [(0, 1), (1, 2), (1, 2), (0, 2), (2, 3), (3, 4), (5, 6)]
    for number, (low, high) in enumerate(ends):
        graph.add_channel(number, b"\2" + bytes([low]) * 32, b"\2" + bytes([high]) * 32, 10**9)
        for direction in (0, 1):
            graph.set_policy(ScidDir(Scid(number), direction), Policy(1, number, 40, 1, 10**8, timestamp=1))
    kept = GraphRows.of(graph)
    gone = {(int(graph.source[arc]), int(graph.target[arc])) for arc in np.flatnonzero(kept.row == DEAD)}
    number = {graph.node_id(at)[1]: at for at in range(graph.n_nodes)}
    assert gone == {(number[a], number[b]) for a, b in [(3, 2), (4, 3), (5, 6), (6, 5)]}
    assert {at for at in range(graph.n_nodes) if kept.leads_nowhere[at]} == {number[a] for a in (3, 4, 5, 6)}


def test_a_graph_that_grew_is_taken_afresh() -> None:
    graph = ladder()
    kept = GraphRows.of(graph)
    graph.add_channel(99, b"\2" * 33, b"\3" * 33, 5)
    assert assert_fresh(graph) is not kept


def test_more_changes_than_are_remembered_are_taken_afresh(monkeypatch) -> None:
    monkeypatch.setattr(written_module, "MOST", 3)
    graph = ladder()
    kept = GraphRows.of(graph)
    for number in range(4):
        graph.set_policy(ScidDir(Scid(number), 0), Policy(50 + number, 6, 7, 8, 10**6, timestamp=2))
    assert assert_fresh(graph) is not kept
