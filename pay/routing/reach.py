"""Which amounts find any way from our peers to the recipient, whatever it costs.

Each question is a reachability search over the arcs that remain when one kind of obstacle is lifted (the
amount, the exclusions, the disabled flags), a fraction of a millisecond each. The largest amount that could
be sent is found by halving, since a channel that carries an amount also carries less (minima aside).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order

from pay.routing.exact import most_own
from pay.routing.terrain import Terrain
from pay.units import MAX_MSAT


class Reach:
    """Which amounts find any way from our peers to the recipient, whatever it costs."""

    def __init__(self, terrain: Terrain):
        self.terrain = terrain

    def carries(self, amount_msat: int) -> bool:
        """Whether some path's channels all carry the amount."""
        return self._reached(*self.terrain.arcs.carrying(amount_msat), amount_msat)

    def carries_mean(self, amount_msat: int, parts: int) -> bool:
        """Whether some path carries what the largest of so many parts of an amount is at least, minima aside."""
        mean_msat = -(-amount_msat // parts)
        return self._reached(*self.terrain.arcs.carrying(mean_msat, amount_msat - mean_msat), mean_msat)

    def some_way(self) -> bool:
        """Whether enabled channels lead there at all."""
        arcs = self.terrain.arcs
        mask = arcs.known.rows.most_msat >= 0
        mask[arcs.closed] = False
        return self._reached(mask, arcs.extra.enabled, 0)

    def any_way(self) -> bool:
        """Whether channels lead there at all, disabled ones too."""
        terrain, overlay = self.terrain, self.terrain.overlay
        graph, extra = overlay.graph, overlay.extra
        mask = np.ones(graph.n_arcs, np.bool_)
        mask[overlay.closed] = False
        source, target = (
            np.concatenate((getattr(graph, end)[mask], getattr(extra, end))) for end in ("source", "target")
        )
        n = terrain.arcs.n_nodes
        backwards = coo_array((np.ones(len(source)), (target, source)), shape=(n, n)).tocsr()
        return _meets(backwards, terrain.target, terrain.peers)

    def most(self, below_msat: int) -> int:
        """The largest amount below `below_msat` that `carries`, to within 0.4 % or 1 sat; 0 if none does."""
        own = [most_own(channel) for channels in self.terrain.peers.values() for channel in channels]
        low, high = 0, min(below_msat, max(own) + 1, largest_into(self.terrain)[1] + 1)
        if self.carries(high - 1):
            return high - 1
        while high - low > max(1_000, low // 256):
            middle = (low + high) // 2
            low, high = (middle, high) if self.carries(middle) else (low, middle)
        return low

    def least(self, above_msat: int) -> int | None:
        """The smallest amount above `above_msat` that `carries`, to within 0.1 % or 1 msat; None if none does."""
        low, high = above_msat, 2 * above_msat + 1
        while not self.carries(high):
            low, high = high, 2 * high
            if low > MAX_MSAT:
                return None
        while high - low > max(1, low // 1_024):
            middle = (low + high) // 2
            low, high = (low, middle) if self.carries(middle) else (middle, high)
        return high

    def _reached(self, in_graph: NDArray[np.bool_], in_extra: NDArray[np.bool_], amount_msat: int) -> bool:
        terrain = self.terrain
        wanted = [n for n, own in terrain.peers.items() if max(map(most_own, own)) >= amount_msat]
        source, indptr = terrain.arcs.chosen(in_graph, in_extra)
        n = terrain.arcs.n_nodes
        return _meets(csr_array((np.ones(len(source)), source, indptr), shape=(n, n)), terrain.target, wanted)


def _meets(backwards: csr_array, target: int, wanted: Iterable[int]) -> bool:
    """Whether one of the wanted nodes leads to the target."""
    reached = breadth_first_order(backwards, target, return_predecessors=False)
    return not set(wanted).isdisjoint(reached.tolist())


def largest_into(terrain: Terrain) -> tuple[int, int]:
    """The open channel into the recipient that takes the largest HTLC, ours included: scid and msat; 0 if none."""
    arcs, target = terrain.arcs, terrain.target
    known = np.flatnonzero(arcs.known.rows.target == target)
    known = known[~np.isin(known, arcs.closed)]
    extra = np.flatnonzero(arcs.extra_rows.target == target)
    ends = list(zip(arcs.known.rows.most_msat[known].tolist(),
                    arcs.graph.scids[arcs.known.arc[known] >> 1].tolist(), strict=True))  # fmt: skip
    ends += zip(arcs.extra_rows.most_msat[extra].tolist(), arcs.extra_scid[extra].tolist(), strict=True)
    ends += [(most_own(channel), int(channel.scid)) for channel in terrain.peers.get(target, ())]
    most, scid = max(ends, default=(0, 0))
    return scid, max(most, 0)
