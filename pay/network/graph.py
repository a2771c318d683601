"""The announced channels of the network as columns of numbers.

Nodes and channels are numbered from 0 in the order of their appearance; direction d of channel c is the
*arc* `2 * c + d`, and d = 0 leads from the node with the lesser id (BOLT 7). So the other direction of arc a
is `a ^ 1`, and the arcs out of a node are the reverses of those into it. One numpy array holds one property
of all arcs, 61 bytes an arc together; searches run backwards from the recipient, so arcs are grouped by
destination.

A channel_update changes its row in place; a new channel is appended (the arrays grow by half when they are
full); a closed one stays as a row that is not enabled, until the next start. Nothing in here decides whether
an arc is good, and nothing knows of our own channels: see the overlay.

Not thread-safe: whoever reads gossip while somebody plans has to take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from pay.network.index import ScidIndex
from pay.network.names import NodeNames
from pay.network.policy import Policy
from pay.network.written import Written
from pay.units import MAX_MSAT, NodeId, Scid, ScidDir

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]

NEVER = -1
"""The timestamp of an arc of which no channel_update was seen."""

_ARC_COLUMNS: dict[str, type[np.generic]] = {
    "source": np.int32,
    "target": np.int32,
    "fee_base_msat": np.int64,
    "fee_ppm": np.int64,
    "cltv_delta": np.int32,
    "htlc_min_msat": np.int64,
    "htlc_max_msat": np.int64,
    "capacity_msat": np.int64,
    "enabled": np.bool_,
    "timestamp": np.int64,
}
_CHANNEL_COLUMNS: dict[str, type[np.generic]] = {
    "scids": np.uint64, "capacity_known": np.bool_, "routable": np.bool_, "dying": np.bool_
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PolicyColumns:
    """Policies of many arcs, one row each; units as in `Policy`, every array int64 but `enabled` (bool)."""

    fee_base_msat: Ints
    fee_ppm: Ints
    cltv_delta: Ints
    htlc_min_msat: Ints
    htlc_max_msat: Ints
    enabled: Flags
    timestamp: Ints

    def take(self, rows: npt.NDArray[np.intp]) -> PolicyColumns:
        """Some of the rows."""
        return PolicyColumns(
            self.fee_base_msat[rows], self.fee_ppm[rows], self.cltv_delta[rows], self.htlc_min_msat[rows],
            self.htlc_max_msat[rows], self.enabled[rows], self.timestamp[rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ByTarget:
    """All arcs grouped by the node they lead to, as a compressed sparse row matrix of (target, source).

    Attributes
    ----------
    start : int32[n_nodes + 1]
        The arcs into node n are `arcs[start[n]:start[n + 1]]`.
    arcs : int32[n_arcs]
        Arc numbers, ascending within a node.
    source : int32[n_arcs]
        The node each of `arcs` comes from.
    """

    start: Numbers
    arcs: Numbers
    source: Numbers


class ChannelGraph:
    """All that gossip tells of channels and nodes.

    Attributes
    ----------
    source, target : int32[n_arcs]
        Node numbers of each arc's ends.
    fee_base_msat, fee_ppm, htlc_min_msat, htlc_max_msat : int64[n_arcs]
    cltv_delta : int32[n_arcs], blocks
    capacity_msat : int64[n_arcs]
        The channel's size; the direction's htlc_max_msat where the size is not known.
    enabled : bool[n_arcs]
        Whether the arc may be used at all: a policy is known, does not disable it, the channel is open and
        demands no feature of its users (BOLT 7: an unknown even feature bit forbids to route through it).
    timestamp : int64[n_arcs], seconds
        Of the newest channel_update, `NEVER` without one.
    scids : uint64[n_channels]
    dying : bool[n_channels]
        The funding output was spent a few blocks ago: most such channels are closed, some are being spliced.
    written : Written
        Which arcs changed lately.

    The arrays are views that are replaced when channels are added: take them from the graph each time. They
    may be read by anybody and written by nobody else.
    """

    source: Numbers
    target: Numbers
    fee_base_msat: Ints
    fee_ppm: Ints
    cltv_delta: Numbers
    htlc_min_msat: Ints
    htlc_max_msat: Ints
    capacity_msat: Ints
    enabled: Flags
    timestamp: Ints
    scids: Keys
    capacity_known: Flags
    routable: Flags
    dying: Flags

    def __init__(self) -> None:
        self.n_channels = 0
        self.written = Written()
        self._room = 0
        self._full: dict[str, npt.NDArray[np.generic]] = {}
        self._index = ScidIndex()
        self._by_target: ByTarget | None = None
        self._ids: list[NodeId] = []
        self._numbers: dict[bytes, int] = {}
        self._nodes = NodeNames()
        self.reserve(64)

    # -- nodes ---------------------------------------------------------------------------------------------

    @property
    def n_nodes(self) -> int:
        return len(self._ids)

    @property
    def n_arcs(self) -> int:
        return 2 * self.n_channels

    def node_number(self, node: bytes) -> int | None:
        return self._numbers.get(node)

    def node_id(self, number: int) -> NodeId:
        return self._ids[number]

    def number_nodes(self, nodes: Sequence[bytes]) -> Numbers:
        """The numbers of node ids, new ones for those not seen before."""
        known, before = list(map(self._numbers.get, nodes)), len(self._ids)
        for at, number in enumerate(known):
            if number is None:
                known[at] = self._numbers.setdefault(nodes[at], len(self._ids))
                if known[at] == len(self._ids):
                    self._ids.append(NodeId(nodes[at]))
        if len(self._ids) != before:
            self.written.grew()
        return np.array(known, np.int32)

    def alias(self, node: bytes) -> str | None:
        """What the node calls itself, printable; None if it never said."""
        number = self._numbers.get(node)
        return None if number is None else self._nodes.alias(number)

    def features(self, node: bytes) -> int | None:
        """The node's feature bits (BOLT 9) as a number; None if it was never announced."""
        number = self._numbers.get(node)
        return None if number is None else self._nodes.features(number)

    def name_node(self, node: bytes, alias: bytes, features: bytes, timestamp: int) -> bool:
        """Takes in a node_announcement; False if a newer one is known."""
        number = int(self.number_nodes([node])[0])
        before = self.demanding
        taken = self._nodes.put(number, alias, features, timestamp)
        if self.demanding != before:
            self.written.grew()
        return taken

    @property
    def demanding(self) -> frozenset[int]:
        """Numbers of the nodes that no payment may go through: they require features that we do not know. Their
        arcs are `enabled` nevertheless."""
        return self._nodes.demanding

    # -- channels ------------------------------------------------------------------------------------------

    def channel_number(self, scid: int) -> int | None:
        return self._index.get(scid)

    def arc_number(self, scid_dir: ScidDir) -> int | None:
        channel = self._index.get(scid_dir.scid)
        return None if channel is None else 2 * channel + scid_dir.direction

    def scid_dir(self, arc: int) -> ScidDir:
        """The channel and direction of an arc."""
        return ScidDir(Scid(int(self.scids[arc >> 1])), arc & 1)

    def find_channels(self, scids: Keys) -> Numbers:
        """Channel numbers of many short_channel_ids at once, -1 for the unknown."""
        return self._index.find(scids)

    def policy(self, scid_dir: ScidDir) -> Policy | None:
        """What this direction asks; None if the channel or its policy is not known."""
        arc = self.arc_number(scid_dir)
        if arc is None or self.timestamp[arc] == NEVER:
            return None
        return Policy(
            int(self.fee_base_msat[arc]), int(self.fee_ppm[arc]), int(self.cltv_delta[arc]),
            int(self.htlc_min_msat[arc]), int(self.htlc_max_msat[arc]), bool(self.enabled[arc]),
            int(self.timestamp[arc]),
        )  # fmt: skip

    def size_msat(self, scid: int) -> int | None:
        """The capacity of a channel; None if the channel or its funding amount is not known."""
        channel = self._index.get(scid)
        if channel is None or not self.capacity_known[channel]:
            return None
        return int(self.capacity_msat[2 * channel])

    def arcs_into(self, node: int) -> Numbers:
        """The arcs that lead to a node number; `^ 1` gives those out of it."""
        grouped = self.by_target()
        return grouped.arcs[grouped.start[node] : grouped.start[node + 1]]

    def by_target(self) -> ByTarget:
        """The arcs grouped by destination, built anew only when channels or nodes were added."""
        if self._by_target is None or len(self._by_target.start) != self.n_nodes + 1:
            # Stable: arcs stay ascending within a node, so results do not depend on how the graph grew.
            arcs = np.argsort(self.target, kind="stable").astype(np.int32)
            start = np.zeros(self.n_nodes + 1, np.int32)
            np.cumsum(np.bincount(self.target, minlength=self.n_nodes), out=start[1:])
            self._by_target = ByTarget(start, arcs, self.source[arcs])
        return self._by_target

    @property
    def changes(self) -> int:
        """Counts the modifications, for those who keep something computed from the arrays; see `written`."""
        return self.written.changes

    # -- changes -------------------------------------------------------------------------------------------

    def reserve(self, channels: int) -> None:
        """Makes room for so many channels in all. Room that is never used costs no memory."""
        if channels <= self._room:
            return
        rows = {name: (2 * channels, 2 * self.n_channels, kind) for name, kind in _ARC_COLUMNS.items()}
        rows |= {name: (channels, self.n_channels, kind) for name, kind in _CHANNEL_COLUMNS.items()}
        for name, (room, used, kind) in rows.items():
            column = np.empty(room, kind)
            if used:
                column[:used] = self._full[name][:used]
            self._full[name] = column
        self._room = channels
        self._expose()

    def add_channels(
        self,
        scids: Keys,
        source: Numbers,
        target: Numbers,
        capacity_msat: Ints,
        routable: Flags | None = None,
    ) -> Numbers:
        """Appends channels and returns their numbers; one that is known already keeps its row and its ends.

        Parameters
        ----------
        scids : uint64[n]
        source, target : int32[n]
            Node numbers of the lesser and the greater id, as in channel_announcement.
        capacity_msat : int64[n]
            0 where it is not known.
        routable : bool[n]
            False where the channel demands features.
        """
        _, first = np.unique(scids, return_index=True)
        first.sort()
        new = first[self._index.find(scids[first]) < 0]
        start, end = self.n_channels, self.n_channels + len(new)
        if len(new):
            self.reserve(max(end, self._room + self._room // 2) if end > self._room else end)
            self.n_channels = end
            self._expose()
            self._clear(start)
            self.scids[start:] = scids[new]
            self.capacity_known[start:] = capacity_msat[new] > 0
            self.routable[start:] = True if routable is None else routable[new]
            for direction, (tail, head) in enumerate(((source, target), (target, source))):
                rows = slice(2 * start + direction, None, 2)
                self.source[rows], self.target[rows] = tail[new], head[new]
                self.capacity_msat[rows] = np.minimum(capacity_msat[new], MAX_MSAT)
            self._index.put(scids[new], np.arange(start, end, dtype=np.int32))
            self._by_target = None
            self.written.grew()
        return self._index.find(scids)

    def _clear(self, start: int) -> None:
        """The channels from `start` on have no policies yet."""
        for name in _ARC_COLUMNS:
            self._full[name][2 * start : 2 * self.n_channels] = 0
        self.timestamp[2 * start :] = NEVER
        self.dying[start:] = False

    def update_arcs(self, arcs: Numbers, policies: PolicyColumns) -> int:
        """Writes policies in place; of several for one arc, and of the known one, the newest holds.

        With equal timestamps the later row holds. Returns how many rows were written.
        """
        order = np.lexsort((policies.timestamp, arcs))
        ordered = arcs[order]
        last = order[np.append(ordered[1:] != ordered[:-1], True)] if len(order) else order
        last = last[policies.timestamp[last] >= self.timestamp[arcs[last]]]
        rows = arcs[last]
        self.fee_base_msat[rows] = policies.fee_base_msat[last]
        self.fee_ppm[rows] = policies.fee_ppm[last]
        self.cltv_delta[rows] = policies.cltv_delta[last]
        self.htlc_min_msat[rows] = policies.htlc_min_msat[last]
        self.htlc_max_msat[rows] = policies.htlc_max_msat[last]
        self.enabled[rows] = policies.enabled[last] & self.routable[rows >> 1]
        self.timestamp[rows] = policies.timestamp[last]
        unsized = rows[~self.capacity_known[rows >> 1]]
        self.capacity_msat[unsized] = self.htlc_max_msat[unsized]
        self.written.note(rows)
        return len(rows)

    def remove_channels(self, scids: Keys) -> int:
        """Closes channels: they cannot be found nor used any more. Returns how many were known."""
        scids = np.unique(scids)
        channels = self._index.find(scids)
        known = channels >= 0
        self._index.drop(scids[known])
        for direction in (0, 1):
            self.enabled[2 * channels[known] + direction] = False
            self.written.note(2 * channels[known] + direction)
        return int(np.count_nonzero(known))

    def mark_dying(self, scids: Keys) -> None:
        """Notes that the funding of these channels was spent."""
        channels = self._index.find(scids)
        self.dying[channels[channels >= 0]] = True
        self.written.grew()

    # -- one at a time, for graphs made by hand ------------------------------------------------------------

    def add_channel(self, scid: int, node_1: bytes, node_2: bytes, capacity_msat: int = 0) -> int:
        """Adds one channel between two nodes in either order; returns its number."""
        ends = self.number_nodes(sorted((node_1, node_2)))
        sizes = np.array([capacity_msat], np.int64)
        return int(self.add_channels(np.array([scid], np.uint64), ends[:1], ends[1:], sizes)[0])

    def set_policy(self, scid_dir: ScidDir, policy: Policy) -> None:
        """Writes one policy unless a newer one is known. Raises KeyError for an unknown channel."""
        arc = self.arc_number(scid_dir)
        if arc is None:
            raise KeyError(str(scid_dir))
        self.update_arcs(np.array([arc], np.int32), policy_columns([policy]))

    def _expose(self) -> None:
        for name in _ARC_COLUMNS:
            setattr(self, name, self._full[name][: 2 * self.n_channels])
        for name in _CHANNEL_COLUMNS:
            setattr(self, name, self._full[name][: self.n_channels])

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes, unused room included."""
        grouped = self._by_target
        arrays = list(self._full.values())
        arrays += [grouped.start, grouped.arcs, grouped.source] if grouped else []
        return sum(a.nbytes for a in arrays) + self._index.nbytes + self._nodes.nbytes


def policy_columns(policies: Iterable[Policy]) -> PolicyColumns:
    """The rows of `policies` as columns; amounts above all bitcoin there are become that."""
    table = np.array([astuple(policy) for policy in policies], object).reshape(-1, 7)
    base, ppm, cltv, low, high, enabled, timestamp = table.T
    return PolicyColumns(
        base.astype(np.int64), ppm.astype(np.int64), cltv.astype(np.int64),
        np.minimum(low, MAX_MSAT).astype(np.int64), np.minimum(high, MAX_MSAT).astype(np.int64),
        enabled.astype(np.bool_), timestamp.astype(np.int64),
    )  # fmt: skip
