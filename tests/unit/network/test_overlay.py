"""What one query sees of the graph, and what it sees beside it.

We are U. The announced network, all policies 1,000 msat + 10 ppm, 34 blocks, 1 sat to 900,000 sat:

    U --1-- A --3-- B --5-- R
     \\--2-- B       A --4-- R          (7: U - R is announced, and not ours any more)

P and Q are nodes that only hints name.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pay.network import NOT_OWN, ChannelGraph, HintHop, Overlay, OwnChannel, Policy
from pay.units import MAX_MSAT, NodeId, Scid, ScidDir, direction_of

U, A, B, R, P, Q = (NodeId(bytes([2]) + bytes([n]) * 32) for n in (3, 1, 2, 4, 5, 6))
POLICY = Policy(1000, 10, 34, 1000, 900_000_000, timestamp=100)
ENDS = {1: (U, A), 2: (U, B), 3: (A, B), 4: (A, R), 5: (B, R), 7: (U, R)}
SIZE_MSAT = 1_000_000_000


def world() -> ChannelGraph:
    graph = ChannelGraph()
    for scid, (one, other) in ENDS.items():
        graph.add_channel(scid, one, other, SIZE_MSAT)
        for direction in (0, 1):
            graph.set_policy(ScidDir(Scid(scid), direction), POLICY)
    return graph


def own(scid: int, peer: NodeId, spendable_msat: int = 400_000_000, **changes: object) -> OwnChannel:
    channel = OwnChannel(
        Scid(scid), direction_of(U, peer), peer, spendable_msat, 100_000_000, 1, 990_000_000, 483, 0, True, True
    )
    return replace(channel, **changes)


OWN = (own(1, A), own(2, B))


def rows(overlay: Overlay) -> dict[tuple[int, bytes, bytes], dict[str, int]]:
    """The extra arcs by (scid, source, target)."""
    extra = overlay.extra
    return {
        (int(extra.scid[n]), overlay.node_id(extra.source[n]), overlay.node_id(extra.target[n])): {
            name: int(getattr(extra, name)[n]) for name in extra._fields
        }
        for n in range(len(extra.scid))
    }


def closed(overlay: Overlay) -> set[str]:
    return {str(overlay.graph.scid_dir(arc)).removeprefix("0x0x") for arc in overlay.closed.tolist()}


def arc(scid: int, start: NodeId, end: NodeId) -> ScidDir:
    return ScidDir(Scid(scid), direction_of(start, end))


def names(*arcs: ScidDir) -> set[str]:
    return {str(one).removeprefix("0x0x") for one in arcs}


OUT_OF_US = names(arc(1, U, A), arc(2, U, B), arc(7, U, R))


def test_own_channels_replace_what_gossip_says_of_the_arcs_out_of_us() -> None:
    """Channel 7 is announced and not ours any more: closed. Ours cost nothing and hold what is spendable."""
    overlay = Overlay(world(), U, OWN)
    assert closed(overlay) == OUT_OF_US
    assert set(rows(overlay)) == {(1, U, A), (2, U, B)}
    first = rows(overlay)[1, U, A]
    assert (first["fee_base_msat"], first["fee_ppm"], first["cltv_delta"]) == (0, 0, 0)
    assert (first["htlc_min_msat"], first["htlc_max_msat"]) == (1, 400_000_000)
    assert first["capacity_msat"] == 400_000_000
    assert (first["own"], first["direction"], first["enabled"]) == (0, direction_of(U, A), 1)
    assert overlay.own == OWN
    assert overlay.n_nodes == overlay.graph.n_nodes


@pytest.mark.parametrize(
    "changes", [{"connected": False}, {"spendable_msat": 0}, {"max_htlcs": 30, "live_htlcs": 30}]
)
def test_a_channel_that_can_send_nothing_is_left_out(changes: dict[str, object]) -> None:
    overlay = Overlay(world(), U, [own(1, A, **changes), own(2, B)])
    assert set(rows(overlay)) == {(2, U, B)}
    assert overlay.own == (own(2, B),)
    assert rows(overlay)[2, U, B]["own"] == 0


def test_limits_that_say_no_limit_fit() -> None:
    """The host reports 2^64 - 1 where a peer set no maximum."""
    overlay = Overlay(world(), U, [own(1, A, htlc_max_msat=2**64 - 1, htlc_min_msat=2**64 - 1)])
    row = rows(overlay)[1, U, A]
    assert (row["htlc_min_msat"], row["htlc_max_msat"]) == (MAX_MSAT, 400_000_000)


def test_we_may_be_unknown_and_our_channels_unannounced() -> None:
    """A wallet with one private channel, named by its alias: we get a number behind the graph's."""
    graph, alias = ChannelGraph(), Scid((1 << 64) - 5)
    graph.add_channel(3, A, B, SIZE_MSAT)
    overlay = Overlay(graph, U, [own(alias, A, announced=False), own(9, P)])
    assert closed(overlay) == set()
    assert set(rows(overlay)) == {(alias, U, A), (9, U, P)}
    assert overlay.n_nodes == graph.n_nodes + 2
    assert overlay.node_number(U) == overlay.source == graph.n_nodes
    assert overlay.node_number(P) == graph.n_nodes + 1
    assert overlay.node_number(Q) is None


def test_a_hint_is_a_chain_of_arcs_to_the_recipient() -> None:
    """A - P - Q: A is announced, P and Q are not. Nothing is known of sizes."""
    hint = (HintHop(A, Scid(50), 1, 2, 3), HintHop(P, Scid(51), 4, 5, 6))
    overlay = Overlay(world(), U, OWN, recipient=Q, hints=[hint])
    assert set(rows(overlay)) == {(1, U, A), (2, U, B), (50, A, P), (51, P, Q)}
    last = rows(overlay)[51, P, Q]
    assert (last["fee_base_msat"], last["fee_ppm"], last["cltv_delta"], last["htlc_min_msat"]) == (4, 5, 6, 0)
    assert last["htlc_max_msat"] == last["capacity_msat"] == MAX_MSAT
    assert (last["own"], last["direction"]) == (NOT_OWN, direction_of(P, Q))
    assert overlay.recipient == overlay.node_number(Q) == overlay.graph.n_nodes
    assert overlay.n_nodes == overlay.graph.n_nodes + 2


def test_several_hints_and_one_given_twice() -> None:
    """The first word on an arc holds."""
    hints = [(HintHop(A, Scid(50), 1, 0, 0),), (HintHop(B, Scid(52), 2, 0, 0),), (HintHop(A, Scid(50), 9, 0, 0),)]
    overlay = Overlay(world(), U, OWN, recipient=Q, hints=hints)
    assert {key: row["fee_base_msat"] for key, row in rows(overlay).items() if row["own"] == NOT_OWN} == {
        (50, A, Q): 1,
        (52, B, Q): 2,
    }


def test_hops_that_lead_nowhere_are_left_out() -> None:
    """From us (our own channel is known better), to us, from the recipient, from a node to itself."""
    hints = [
        (HintHop(U, Scid(60), 0, 0, 0), HintHop(A, Scid(61), 0, 0, 0)),
        (HintHop(B, Scid(62), 0, 0, 0), HintHop(U, Scid(63), 0, 0, 0)),
        (HintHop(Q, Scid(64), 0, 0, 0),),
        (HintHop(P, Scid(65), 0, 0, 0), HintHop(P, Scid(66), 0, 0, 0)),
    ]
    overlay = Overlay(world(), U, OWN, recipient=Q, hints=hints)
    assert {key for key, row in rows(overlay).items() if row["own"] == NOT_OWN} == {(61, A, Q), (66, P, Q)}


def test_a_circular_hint_is_arcs_like_others() -> None:
    hint = tuple(HintHop(node, Scid(70 + n), 0, 0, 0) for n, node in enumerate((A, P, A)))
    overlay = Overlay(world(), U, OWN, recipient=Q, hints=[hint])
    assert {key for key in rows(overlay) if key[0] >= 70} == {(70, A, P), (71, P, A), (72, A, Q)}


def test_a_hint_that_names_an_announced_channel() -> None:
    """Between the same nodes the owner's signed policy holds; between other nodes it is a lie."""
    hints = [(HintHop(A, Scid(4), 0, 0, 0),), (HintHop(B, Scid(4), 0, 0, 0),), (HintHop(B, Scid(5), 0, 0, 0),)]
    overlay = Overlay(world(), U, OWN, recipient=R, hints=hints)
    assert set(rows(overlay)) == {(1, U, A), (2, U, B)}
    assert closed(overlay) == OUT_OF_US


@pytest.mark.parametrize("known", [True, False])
def test_of_a_policy_that_gossip_lacks_or_disables_the_recipient_is_believed(known: bool) -> None:
    """The recipient knows his peers better than gossip that has not come yet; the size is gossip's."""
    graph = world()
    if known:
        graph.set_policy(arc(4, A, R), replace(POLICY, enabled=False, timestamp=101))
    else:
        graph.remove_channels(np.array([4], np.uint64))
        graph.add_channel(4, A, R, SIZE_MSAT)
    overlay = Overlay(graph, U, OWN, recipient=R, hints=[(HintHop(A, Scid(4), 7, 8, 9),)])
    row = rows(overlay)[4, A, R]
    assert (row["fee_base_msat"], row["capacity_msat"], row["htlc_max_msat"]) == (7, SIZE_MSAT, SIZE_MSAT)
    assert closed(overlay) == OUT_OF_US | names(arc(4, A, R))


def test_hints_need_a_recipient() -> None:
    with pytest.raises(ValueError, match="recipient"):
        Overlay(world(), U, OWN, hints=[(HintHop(A, Scid(50), 1, 2, 3),)])


def test_a_learnt_policy_replaces_the_graph_s() -> None:
    """The arc is closed and stands beside the graph with its new values; the size stays."""
    learnt = Policy(5, 6, 7, 8, 800_000_000, timestamp=200)
    overlay = Overlay(world(), U, OWN, policies={arc(3, A, B): learnt})
    row = rows(overlay)[3, A, B]
    assert [row[name] for name in ("fee_base_msat", "fee_ppm", "cltv_delta", "htlc_min_msat")] == [5, 6, 7, 8]
    assert (row["htlc_max_msat"], row["capacity_msat"]) == (800_000_000, SIZE_MSAT)
    assert closed(overlay) == OUT_OF_US | names(arc(3, A, B))


def test_a_learnt_policy_older_than_gossip_s_is_forgotten() -> None:
    """Between the failure and this plan gossip brought a newer one."""
    overlay = Overlay(world(), U, OWN, policies={arc(3, A, B): replace(POLICY, fee_ppm=99, timestamp=99)})
    assert set(rows(overlay)) == {(1, U, A), (2, U, B)}


def test_a_learnt_policy_that_disables_closes_the_arc() -> None:
    """Of a hint as well; our own channels and channels nobody knows are not concerned."""
    off = replace(POLICY, enabled=False, timestamp=200)
    policies = {arc(3, A, B): off, arc(50, A, Q): off, arc(1, U, A): off, arc(99, A, B): off}
    hints = [(HintHop(A, Scid(50), 1, 2, 3),)]
    overlay = Overlay(world(), U, OWN, recipient=Q, hints=hints, policies=policies)
    assert set(rows(overlay)) == {(1, U, A), (2, U, B)}
    assert closed(overlay) == OUT_OF_US | names(arc(3, A, B))


def test_a_learnt_policy_of_a_hint() -> None:
    policies = {arc(50, A, Q): replace(POLICY, fee_ppm=77)}
    overlay = Overlay(world(), U, OWN, recipient=Q, hints=[(HintHop(A, Scid(50), 1, 2, 3),)], policies=policies)
    row = rows(overlay)[50, A, Q]
    assert (row["fee_ppm"], row["htlc_min_msat"], row["htlc_max_msat"]) == (77, 1000, 900_000_000)


def test_a_cap_lowers_what_an_arc_takes() -> None:
    """Of the graph, of a learnt policy, of a hint, of our own; one above the size changes nothing."""
    named = (arc(3, A, B), arc(4, A, R), arc(50, A, P), arc(1, U, A))
    caps = dict.fromkeys(named, 50_000) | {arc(5, B, R): 2 * SIZE_MSAT, arc(99, A, B): 1}
    overlay = Overlay(
        world(), U, OWN, recipient=P, hints=[(HintHop(A, Scid(50), 1, 2, 3),)],
        policies={arc(4, A, R): replace(POLICY, fee_ppm=1)}, caps=caps,
    )  # fmt: skip
    got = {key: (row["htlc_max_msat"], row["capacity_msat"]) for key, row in rows(overlay).items()}
    low = (50_000, 50_000)
    assert got == {
        (1, U, A): low, (2, U, B): (400_000_000, 400_000_000), (3, A, B): low, (4, A, R): low, (50, A, P): low,
    }  # fmt: skip
    assert rows(overlay)[4, A, R]["fee_ppm"] == 1


def test_exclusions_close_whatever_spoke_for_an_arc() -> None:
    """A direction of the graph, one of ours, one of a hint; then nodes, known and unknown to the graph."""
    hints = [(HintHop(A, Scid(50), 1, 2, 3), HintHop(P, Scid(51), 1, 2, 3))]
    channels = frozenset({arc(3, A, B), arc(1, U, A), arc(50, A, P), arc(99, A, B)})
    overlay = Overlay(world(), U, OWN, recipient=Q, hints=hints, excluded_channels=channels)
    assert set(rows(overlay)) == {(2, U, B), (51, P, Q)}
    assert closed(overlay) == OUT_OF_US | names(arc(3, A, B))
    assert overlay.n_excluded == 3
    overlay = Overlay(world(), U, OWN, recipient=Q, hints=hints, excluded_nodes=frozenset({B, P, NodeId(b"?")}))
    assert set(rows(overlay)) == {(1, U, A)}
    both_ways = {one for scid in (3, 5, 2) for one in (ScidDir(Scid(scid), 0), ScidDir(Scid(scid), 1))}
    assert closed(overlay) == OUT_OF_US | names(*both_ways)
    assert len(overlay.closed) == len(set(overlay.closed.tolist()))


def test_the_same_overlay_without_its_exclusions() -> None:
    caps = {arc(3, A, B): 5}
    overlay = Overlay(world(), U, OWN, recipient=R, excluded_nodes=frozenset({A}), caps=caps)
    assert overlay.n_excluded > 0
    free = overlay.without_exclusions()
    assert (free.n_excluded, set(rows(free))) == (0, {(1, U, A), (2, U, B), (3, A, B)})
    assert free.recipient == overlay.recipient


def test_the_graph_is_left_as_it_was() -> None:
    graph = world()
    columns = ("enabled", "fee_ppm", "htlc_max_msat", "capacity_msat")
    before = {name: getattr(graph, name).copy() for name in columns}
    Overlay(
        graph, U, OWN, recipient=R, hints=[(HintHop(P, Scid(50), 1, 2, 3),)], excluded_nodes=frozenset({B}),
        policies={arc(4, A, R): replace(POLICY, fee_ppm=1)}, caps={arc(3, A, B): 1},
    )  # fmt: skip
    assert graph.node_number(P) is None
    for name, column in before.items():
        np.testing.assert_array_equal(getattr(graph, name), column)


def test_the_columns_have_the_types_of_the_graph_s() -> None:
    """So that rows can be joined without conversion; also when there is none."""
    graph = world()
    for overlay in (Overlay(graph, U, OWN), Overlay(graph, U, ())):
        for name in ("source", "target", "fee_ppm", "cltv_delta", "htlc_max_msat", "capacity_msat", "enabled"):
            assert getattr(overlay.extra, name).dtype == getattr(graph, name).dtype, name
        assert overlay.extra.scid.dtype == graph.scids.dtype
        assert overlay.closed.dtype == np.int32
