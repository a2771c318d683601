"""Where the graph has the channels of a route, and which lie beside them: what an observation brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pay.feedback.observations import Place
from pay.liquidity.observation import Beside
from pay.routing.query import Hop
from pay.units import Scid, fee_msat

if TYPE_CHECKING:
    from pay.network import ChannelGraph


def place_in(graph: ChannelGraph, before: Hop, hop: Hop) -> Place | None:
    """The channel of `hop` in the graph, and those beside it; None if it, or its size, is not known there."""
    arc, capacity = graph.arc_number(hop.scid_dir), graph.size_msat(hop.scid)
    if arc is None or capacity is None:
        return None
    into = graph.arcs_into(int(graph.target[arc]))
    between = into[graph.source[into] == graph.source[arc]].tolist()
    known, sizes = graph.capacity_known, graph.capacity_msat
    fits = [a for a in between if a != arc and known[a >> 1] and sizes[a] >= hop.amount_msat]
    group = {a: Scid(int(graph.scids[a >> 1])) for a in between}
    passing = {a: Beside(group[a], int(graph.capacity_msat[a])) for a in fits}
    refusing = tuple(passing[a] for a in fits if _takes(graph, a, before, hop))
    return Place(capacity, frozenset(group.values()), tuple(passing.values()), refusing)


def _takes(graph: ChannelGraph, arc: int, before: Hop, hop: Hop) -> bool:
    """Whether the policy of `arc` allows what was asked of the channel beside it."""
    fee = fee_msat(hop.amount_msat, int(graph.fee_base_msat[arc]), int(graph.fee_ppm[arc]))
    return bool(
        graph.enabled[arc]
        and before.amount_msat - hop.amount_msat >= fee
        and before.delay_blocks - hop.delay_blocks >= graph.cltv_delta[arc]
        and graph.htlc_min_msat[arc] <= hop.amount_msat <= graph.htlc_max_msat[arc]
    )
