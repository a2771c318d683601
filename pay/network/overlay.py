"""What one query adds to the graph, changes in it and forbids.

The graph is shared by all payments and is neither copied nor written to. An overlay closes some of its arcs
and adds rows of its own; an arc that is changed is closed and added with its new values. In the order of
their word:

1. Our own channels replace whatever gossip says of the arcs out of us: gossip does not know what is
   spendable.
2. A route hint adds a chain of private arcs to the recipient. Where a hint names an announced channel between
   the same nodes, the policy that its owner signed holds; between other nodes the hint is a lie or a mix-up
   and that hop is left out; if gossip knows no policy or a disabled one, the recipient's word is taken. Hops
   that start at us (our own channels are known better), end at us, leave the recipient or stay where they are
   lead nowhere and are left out; hints that go round in a circle are arcs like others, which no shortest path
   follows.
3. A policy learnt from a failure replaces the graph's or the hint's, unless gossip has had a newer one since.
4. A cap lowers what an arc takes: an HTLC above it is known not to pass.
5. Exclusions close arcs, whoever spoke for them, and whichever of its names a channel of ours is called by.

A hint says nothing of sizes: its arcs take any amount, as if nothing could stop an HTLC there but the
recipient's own choice to name them. Blinded paths are not handled here.

As a last resort the recipient's own channels count as open where gossip has them as disabled: it may just be back,
and gossip late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

import numpy as np

from pay.network.extra import NOT_OWN, ExtraArc, columns_of
from pay.network.graph import NEVER, ChannelGraph, Numbers
from pay.network.hints import HintHop, OwnChannel, RouteHint
from pay.network.policy import Policy
from pay.units import MAX_MSAT, NodeId, ScidDir


@dataclass(frozen=True, slots=True)
class _Said:
    """What the caller said, to build the same overlay but for a part of it."""

    source: NodeId
    own: tuple[OwnChannel, ...]
    recipient: NodeId | None
    hints: tuple[RouteHint, ...]
    excluded_nodes: AbstractSet[NodeId]
    excluded_channels: AbstractSet[ScidDir]
    policies: Mapping[ScidDir, Policy]
    caps: Mapping[ScidDir, int]
    may_be_back: bool = False
    sizes: Mapping[ScidDir, int] = field(default_factory=dict)


class Overlay:
    """The graph as one query sees it.

    Parameters
    ----------
    graph
        Not modified. The overlay holds until channels are added to it.
    source
        We.
    own
        Our channels; those that are not connected, or have nothing to spend or no free HTLC slot, are left out.
    recipient, hints
        Who is to be paid, and the ways to him that the invoice tells. Hints need a recipient.
    excluded_nodes, excluded_channels
        Not to be used; unknown ones are ignored.
    policies
        Learnt from failures of this payment.
    caps
        Largest HTLC, in msat, that may pass a channel direction.
    sizes
        The same of hints, behind each of which there may be several channels: it takes more than one such HTLC.
    may_be_back
        The recipient's own channels are open towards it also where gossip shows them as disabled.

    Attributes
    ----------
    graph
    source : int
        Our node number; like the recipient's it may lie behind the graph's (see `n_nodes`).
    recipient : int or None
    n_nodes : int
        The graph's nodes, then those that only own channels and hints name.
    own, idle : tuple of OwnChannel
        The usable ones, and the others.
    closed : int32[k]
        Arcs of the graph that this query must not use, ascending.
    extra : ExtraArcs
        Arcs that it may use beside the graph's.
    hints : tuple of RouteHint
        Those that were given, usable or not.
    n_excluded : int
        How many arcs, of the graph and of the extra ones, the exclusions closed.

    Raises
    ------
    ValueError
        For hints without a recipient.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        source: NodeId,
        own: Sequence[OwnChannel],
        *,
        recipient: NodeId | None = None,
        hints: Sequence[RouteHint] = (),
        excluded_nodes: AbstractSet[NodeId] = frozenset(),
        excluded_channels: AbstractSet[ScidDir] = frozenset(),
        policies: Mapping[ScidDir, Policy] | None = None,
        caps: Mapping[ScidDir, int] | None = None,
        may_be_back: bool = False,
        sizes: Mapping[ScidDir, int] | None = None,
    ):
        if hints and recipient is None:
            raise ValueError("route hints lead to a recipient, and none is given")
        self._said = _Said(
            source, tuple(own), recipient, tuple(hints),
            excluded_nodes, excluded_channels, policies or {}, caps or {}, may_be_back, sizes or {},
        )  # fmt: skip
        self.graph = graph
        usable = [(channel, _usable(channel)) for channel in own]
        self.own = tuple(channel for channel, does in usable if does)
        self.idle = tuple(channel for channel, does in usable if not does)
        self._unknown: dict[bytes, int] = {}
        self._unknown_ids: list[NodeId] = []
        self._rows: dict[ScidDir, ExtraArc] = {}
        self._closed: set[int] = set()
        self.source = self._number(source)
        self.recipient = None if recipient is None else self._number(recipient)
        self._take_own()
        for hint in hints:
            self._take_hint(hint)
        for arc in self.disabled_into_recipient() if may_be_back else ():
            self._closed.add(arc)
            self._rows[graph.scid_dir(arc)] = self._copy(arc)
        self._take_policies(self._said.policies)
        self._take_caps(self._said.caps)
        self._take_sizes(self._said.sizes)
        self.hints = tuple(hints)
        self.n_excluded = self._exclude(excluded_nodes, excluded_channels)
        self.n_nodes = graph.n_nodes + len(self._unknown_ids)
        self.closed: Numbers = np.array(sorted(self._closed), np.int32)
        self.extra = columns_of(self._rows)

    # -- look-ups ------------------------------------------------------------------------------------------

    def node_number(self, node: bytes) -> int | None:
        """As `ChannelGraph.node_number`, also for the nodes that only this query knows."""
        number = self.graph.node_number(node)
        return self._unknown.get(node) if number is None else number

    @property
    def entries(self) -> frozenset[NodeId]:
        """Where the hints start."""
        return frozenset(hint[0].node for hint in self.hints if hint)

    def node_id(self, number: int) -> NodeId:
        known = self.graph.n_nodes
        return self.graph.node_id(number) if number < known else self._unknown_ids[number - known]

    def without_exclusions(self) -> Overlay:
        """The same but for the exclusions: whether they are what stands in the way."""
        return self._again(replace(self._said, excluded_nodes=frozenset(), excluded_channels=frozenset()))

    def with_exclusions(self, nodes: AbstractSet[NodeId], channels: AbstractSet[ScidDir]) -> Overlay:
        """The same, with these exclusions in place of its own."""
        return self._again(replace(self._said, excluded_nodes=nodes, excluded_channels=channels))

    def without_nodes(self, nodes: Iterable[NodeId]) -> Overlay:
        """The same, with these excluded as well."""
        return self._again(replace(self._said, excluded_nodes=frozenset(nodes) | self._said.excluded_nodes))

    def without_channels(self, channels: Iterable[ScidDir]) -> Overlay:
        """The same, with these excluded as well."""
        said = self._said
        return self._again(replace(said, excluded_channels=frozenset(channels) | said.excluded_channels))

    def with_caps(self, caps: Mapping[ScidDir, int]) -> Overlay:
        """The same, with these caps in place of its own."""
        return self._again(replace(self._said, caps=caps))

    def with_own(self, own: Sequence[OwnChannel]) -> Overlay:
        """The same, with our channels as they are said to be here."""
        return self._again(replace(self._said, own=tuple(own)))

    def with_recipient_back(self) -> Overlay:
        """The same as it is if the recipient is back and gossip late."""
        return self._again(replace(self._said, may_be_back=True))

    def disabled_into_recipient(self) -> list[int]:
        """Arcs of the graph into the recipient that gossip has as disabled and nothing else is known against."""
        graph, to = self.graph, self.recipient
        if to is None or to >= graph.n_nodes:
            return []
        arcs = graph.arcs_into(to)
        known = graph.routable[arcs >> 1] & ~graph.dying[arcs >> 1] & (graph.timestamp[arcs] != NEVER)
        arcs = arcs[known & ~graph.enabled[arcs] & (graph.source[arcs] != self.source)]
        return [arc for arc in arcs.tolist() if arc not in self._closed]

    def _again(self, said: _Said) -> Overlay:
        return Overlay(
            self.graph, said.source, said.own, recipient=said.recipient, hints=said.hints,
            excluded_nodes=said.excluded_nodes, excluded_channels=said.excluded_channels,
            policies=said.policies, caps=said.caps, may_be_back=said.may_be_back, sizes=said.sizes,
        )  # fmt: skip

    # -- building ------------------------------------------------------------------------------------------

    def _number(self, node: NodeId) -> int:
        number = self.node_number(node)
        if number is None:
            number = self._unknown[node] = self.graph.n_nodes + len(self._unknown_ids)
            self._unknown_ids.append(node)
        return number

    def _take_own(self) -> None:
        if self.source < self.graph.n_nodes:
            self._closed.update((self.graph.arcs_into(self.source) ^ 1).tolist())
        for index, channel in enumerate(self.own):
            most = min(channel.htlc_max_msat, channel.spendable_msat)
            self._rows[ScidDir(channel.scid, channel.direction)] = ExtraArc(
                self.source, self._number(channel.peer), 0, 0, 0,
                min(channel.htlc_min_msat, MAX_MSAT), most, channel.spendable_msat, index,
            )  # fmt: skip

    def _take_hint(self, hint: RouteHint) -> None:
        recipient = self._said.recipient
        assert recipient is not None
        ends = [hop.node for hop in hint[1:]] + [recipient]
        for hop, end in zip(hint, ends, strict=False):
            start_number, end_number = self._number(hop.node), self._number(end)
            if start_number in (self.source, self.recipient, end_number) or end_number == self.source:
                continue
            self._take_hint_hop(hop, ScidDir(hop.scid, hop.direction(end)), start_number, end_number)

    def _take_hint_hop(self, hop: HintHop, named: ScidDir, start: int, end: int) -> None:
        if named in self._rows:
            return
        size_msat = MAX_MSAT
        graph, arc = self.graph, self.graph.arc_number(named)
        if arc is not None:
            announced = graph.source[arc] == start and graph.target[arc] == end
            if not announced or graph.enabled[arc] or not graph.routable[arc >> 1]:
                return
            self._closed.add(arc)
            size_msat = graph.size_msat(hop.scid) or MAX_MSAT
        self._rows[named] = ExtraArc(
            start, end, hop.fee_base_msat, hop.fee_ppm, hop.cltv_delta, 0, size_msat, size_msat
        )

    def _take_policies(self, policies: Mapping[ScidDir, Policy]) -> None:
        for named, policy in policies.items():
            row, arc = self._rows.get(named), self._open_arc(named)
            if row is not None and row.own != NOT_OWN:
                continue
            if arc is not None:
                if policy.timestamp < self.graph.timestamp[arc]:
                    continue
                row = self._copy(arc)
                if not self.graph.capacity_known[arc >> 1]:
                    row.capacity_msat = min(policy.htlc_max_msat, MAX_MSAT)
                self._closed.add(arc)
                self._rows[named] = row
            if row is None:
                continue
            if not policy.enabled:
                del self._rows[named]
                continue
            row.fee_base_msat, row.fee_ppm = policy.fee_base_msat, policy.fee_ppm
            row.cltv_delta = policy.cltv_delta
            row.htlc_min_msat = min(policy.htlc_min_msat, MAX_MSAT)
            row.htlc_max_msat = min(policy.htlc_max_msat, MAX_MSAT)

    def _take_caps(self, caps: Mapping[ScidDir, int]) -> None:
        for named, cap_msat in caps.items():
            row, arc = self._rows.get(named), self._open_arc(named)
            if arc is not None and self.graph.enabled[arc] and cap_msat < self.graph.capacity_msat[arc]:
                row = self._rows[named] = self._copy(arc)
                self._closed.add(arc)
            if row is not None:
                row.htlc_max_msat = min(row.htlc_max_msat, max(cap_msat, 0))
                row.capacity_msat = min(row.capacity_msat, max(cap_msat, 0))

    def _take_sizes(self, sizes: Mapping[ScidDir, int]) -> None:
        for named, size_msat in sizes.items():
            row, arc = self._rows.get(named), self._open_arc(named)
            # An invoice's hint may be of a channel that gossip has as well.
            if arc is not None and self.graph.enabled[arc] and size_msat < self.graph.htlc_max_msat[arc]:
                row = self._rows[named] = self._copy(arc)
                self._closed.add(arc)
            if row is not None:
                row.htlc_max_msat = min(row.htlc_max_msat, size_msat)

    def _exclude(self, nodes: AbstractSet[NodeId], called: AbstractSet[ScidDir]) -> int:
        """Closes what is excluded; returns the number of arcs that were open."""
        arcs: set[int] = set()
        channels = _under_route_names(called, self.own)
        for named in channels:
            arc = self.graph.arc_number(named)
            arcs.update(() if arc is None else (arc,))
        numbers = {number for node in nodes if (number := self.node_number(node)) is not None}
        for number in numbers:
            if number < self.graph.n_nodes:
                into = self.graph.arcs_into(number)
                arcs.update(into.tolist(), (into ^ 1).tolist())
        gone = [
            named
            for named, row in self._rows.items()
            if named in channels or row.source in numbers or row.target in numbers
        ]
        for named in gone:
            del self._rows[named]
        count = len(gone) + sum(1 for arc in arcs - self._closed if self.graph.enabled[arc])
        self._closed |= arcs
        return count

    def _open_arc(self, named: ScidDir) -> int | None:
        """The graph's arc of this name, unless it was closed or replaced."""
        arc = self.graph.arc_number(named)
        return None if arc is None or arc in self._closed else arc

    def _copy(self, arc: int) -> ExtraArc:
        graph = self.graph
        return ExtraArc(
            int(graph.source[arc]), int(graph.target[arc]), int(graph.fee_base_msat[arc]),
            int(graph.fee_ppm[arc]), int(graph.cltv_delta[arc]), int(graph.htlc_min_msat[arc]),
            int(graph.htlc_max_msat[arc]), int(graph.capacity_msat[arc]),
        )  # fmt: skip


def _under_route_names(channels: AbstractSet[ScidDir], own: Sequence[OwnChannel]) -> AbstractSet[ScidDir]:
    names = {name: channel.scid for channel in own for name in channel.names} if channels else {}
    return {ScidDir(names.get(named.scid, named.scid), named.direction) for named in channels}


def _usable(channel: OwnChannel) -> bool:
    return channel.usable and channel.free_htlcs > 0
