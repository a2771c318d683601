"""What is kept of a graph from one plan to the next follows the graph."""

from __future__ import annotations

import numpy as np

from pay.network import ChannelGraph, Policy
from pay.network import written as written_module
from pay.routing.arcs import GraphRows
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
    """What is kept is what would be made afresh."""
    kept = GraphRows.of(graph)
    afresh = GraphRows.of(ladder_copy(graph))
    for mine, theirs in zip(_columns(kept), _columns(afresh), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    return kept


def _columns(rows: GraphRows) -> tuple[np.ndarray, ...]:
    return *rows.rows, rows.start, rows.arc, rows.row


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
