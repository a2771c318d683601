"""The columns of the graph: look-ups, growth, grouping; the index beside a dict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pay.network import ChannelGraph, Policy
from pay.network.checksum import crc32c
from pay.network.graph import policy_columns
from pay.network.index import ScidIndex
from pay.network.names import NodeNames
from pay.units import NodeId, Scid, ScidDir

A, B, C, D = (NodeId(bytes([2]) + bytes([n]) * 32) for n in range(4))
POLICY = Policy(1000, 10, 34, 1, 990_000_000, timestamp=100)


def triangle() -> ChannelGraph:
    """A - B (5), B - C (6), A - C (7), and D alone with A by a channel without a policy (8)."""
    graph = ChannelGraph()
    for scid, ends in ((5, (A, B)), (6, (C, B)), (7, (A, C)), (8, (D, A))):
        graph.add_channel(scid, *ends, capacity_msat=scid * 1_000_000)
        for direction in (0, 1) if scid != 8 else ():
            graph.set_policy(ScidDir(Scid(scid), direction), POLICY)
    return graph


def test_look_ups() -> None:
    graph = triangle()
    assert (graph.n_nodes, graph.n_channels, graph.n_arcs) == (4, 4, 8)
    assert graph.node_id(graph.node_number(C) or -1) == C
    assert graph.node_number(b"\2" + b"\7" * 32) is None
    assert graph.arc_number(ScidDir(Scid(6), 1)) == 3
    assert graph.scid_dir(3) == ScidDir(Scid(6), 1)
    assert graph.policy(ScidDir(Scid(6), 1)) == POLICY
    assert graph.policy(ScidDir(Scid(8), 1)) is None
    assert graph.policy(ScidDir(Scid(9), 1)) is None
    assert [graph.size_msat(scid) for scid in (8, 9)] == [8_000_000, None]
    assert (graph.alias(A), graph.features(A)) == (None, None)


def test_direction_0_leads_from_the_lesser_id() -> None:
    """BOLT 7; whatever order the ends are given in."""
    graph = triangle()
    for arc in range(0, graph.n_arcs, 2):
        assert graph.node_id(graph.source[arc]) < graph.node_id(graph.target[arc])
        assert (graph.source[arc], graph.target[arc]) == (graph.target[arc + 1], graph.source[arc + 1])


def test_grouped_by_destination_as_a_loop_would() -> None:
    graph = triangle()
    for _ in range(2):
        grouped = graph.by_target()
        for node in range(graph.n_nodes):
            expected = [arc for arc in range(graph.n_arcs) if graph.target[arc] == node]
            assert graph.arcs_into(node).tolist() == expected
            assert sorted((graph.arcs_into(node) ^ 1).tolist()) == [
                arc for arc in range(graph.n_arcs) if graph.source[arc] == node
            ]
        assert grouped.source.tolist() == [graph.source[arc] for arc in grouped.arcs]
        assert graph.by_target() is grouped
        graph.add_channel(9, B, D)


def test_a_node_without_channels_has_an_empty_group() -> None:
    graph = triangle()
    graph.by_target()
    before = graph.changes
    number = graph.number_nodes([b"\3" * 33])[0]
    assert graph.changes > before
    assert graph.arcs_into(int(number)).tolist() == []


def test_growth_keeps_what_was_there() -> None:
    """5,000 channels one by one, each looked up after all; the index and the arrays grow many times."""
    graph = ChannelGraph()
    scids = np.random.default_rng(1).permutation(5000)
    for scid in scids.tolist():
        graph.add_channel(scid, A, B, scid * 1000 + 1000)
    assert graph.find_channels(scids.astype(np.uint64)).tolist() == list(range(5000))
    assert graph.capacity_msat[::2].tolist() == [scid * 1000 + 1000 for scid in scids.tolist()]
    assert not graph.enabled.any()


def test_a_known_channel_keeps_its_ends_and_policies() -> None:
    graph = triangle()
    number = graph.channel_number(5)
    assert graph.add_channel(5, C, D, 1) == number
    assert graph.policy(ScidDir(Scid(5), 0)) == POLICY
    assert graph.size_msat(5) == 5_000_000


def test_of_many_updates_the_newest_holds_and_of_equals_the_last() -> None:
    graph = triangle()
    rows = [Policy(base, 0, 0, 0, 0, timestamp=time) for base, time in ((1, 200), (2, 300), (3, 300), (4, 250))]
    assert graph.update_arcs(np.zeros(4, np.int32), policy_columns(rows)) == 1
    assert graph.policy(ScidDir(Scid(5), 0)) == rows[2]
    assert graph.update_arcs(np.zeros(4, np.int32), policy_columns([POLICY] * 4)) == 0


def test_a_removed_channel_is_neither_found_nor_enabled_and_may_return() -> None:
    graph = triangle()
    before = graph.changes
    assert graph.remove_channels(np.array([6, 6, 99], np.uint64)) == 1
    assert graph.changes > before
    assert graph.channel_number(6) is None
    assert graph.enabled.tolist() == [True, True, False, False, True, True, False, False]
    assert graph.add_channel(6, B, C, 77_000) == 4
    assert graph.size_msat(6) == 77_000


def test_a_policy_of_an_unknown_channel() -> None:
    with pytest.raises(KeyError, match="0x0x9/1"):
        triangle().set_policy(ScidDir(Scid(9), 1), POLICY)


@pytest.mark.parametrize("key", [-1, 1 << 64, 1 << 70])
def test_a_number_that_is_no_scid(key: int) -> None:
    assert triangle().channel_number(key) is None


@given(st.lists(st.tuples(st.sampled_from("pppd"), st.sets(st.integers(0, 40) | st.integers(0, (1 << 64) - 1)))))
@settings(max_examples=60, deadline=None)
def test_the_index_beside_a_dict(steps: list[tuple[str, set[int]]]) -> None:
    index, model = ScidIndex(), dict[int, int]()
    for at, (what, keys) in enumerate(steps):
        batch = np.array(sorted(keys), np.uint64)
        if what == "p":
            rows = np.arange(len(keys), dtype=np.int32) + np.int32(100 * at)
            index.put(batch, rows)
            model.update(zip(batch.tolist(), rows.tolist(), strict=True))
        else:
            index.drop(batch)
            for key in keys:
                model.pop(key, None)
    asked = sorted({key for _, keys in steps for key in keys} | {7})
    assert index.find(np.array(asked, np.uint64)).tolist() == [model.get(key, -1) for key in asked]
    assert [index.get(key) for key in asked] == [model.get(key) for key in asked]


def test_names_are_printable_and_the_newest() -> None:
    """An alias may hold anything; a terminal must not take it for a command."""
    names = NodeNames()
    assert names.put(3, b"\x1b[31mred\0\0", b"\x02\x00", 10)
    assert names.alias(3) == "\ufffd[31mred"
    assert names.features(3) == 1 << 9
    assert not names.put(3, b"old", b"", 9)
    assert names.put(3, b"caf\xc3\xa9 \xff", b"", 10)
    assert (names.alias(3), names.features(3)) == ("café \ufffd", 0)
    assert (names.alias(2), names.features(2), names.alias(99)) == (None, None, None)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9, 64, 138])
def test_checksums_of_rows_beside_a_loop(length: int) -> None:
    """CRC-32C bit by bit; "123456789" gives 0xe3069283."""

    def plain(data: bytes, start: int) -> int:
        state = start ^ 0xFFFFFFFF
        for byte in data:
            state ^= byte
            for _ in range(8):
                state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
        return state ^ 0xFFFFFFFF

    assert plain(b"123456789", 0) == 0xE3069283
    rng = np.random.default_rng(length)
    rows, start = rng.integers(0, 256, (9, length), np.uint8), rng.integers(0, 1 << 32, 9, np.uint32)
    expected = [plain(row.tobytes(), int(begin)) for row, begin in zip(rows, start, strict=True)]
    assert crc32c(rows, start).tolist() == expected
