"""Which amounts find any way from our peers to the recipient, whatever it costs.

Each question is a reachability search over the arcs that remain when one kind of obstacle is lifted (the
amount, the exclusions, the disabled flags), a fraction of a millisecond each. The largest amount that a path
takes is found by halving, since a channel that takes an amount also takes less (minima aside).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order

from pay.routing.exact import most_own
from pay.routing.problem import Problem
from pay.units import MAX_MSAT


class Reach:
    """Which amounts find any way from our peers to the recipient, whatever it costs."""

    def __init__(self, problem: Problem):
        self.problem = problem

    def carries(self, amount_msat: int) -> bool:
        """Whether some path's channels all carry the amount."""
        return self._reached(*self.problem.arcs.carrying(amount_msat), amount_msat)

    def carries_mean(self, amount_msat: int, parts: int) -> bool:
        """Whether some path carries what the largest of so many parts of an amount is at least, minima aside."""
        mean_msat = -(-amount_msat // parts)
        return self._reached(*self.problem.arcs.carrying(mean_msat, amount_msat - mean_msat), mean_msat)

    def some_way(self) -> bool:
        """Whether enabled channels lead there at all."""
        arcs = self.problem.arcs
        mask = arcs.known.rows.most_msat >= 0
        mask[arcs.closed] = False
        return self._reached(mask, arcs.extra.enabled, 0)

    def any_way(self) -> bool:
        """Whether channels lead there at all, disabled ones too."""
        problem, overlay = self.problem, self.problem.overlay
        graph, extra = overlay.graph, overlay.extra
        mask = np.ones(graph.n_arcs, np.bool_)
        mask[overlay.closed] = False
        source, target = (
            np.concatenate((getattr(graph, end)[mask], getattr(extra, end))) for end in ("source", "target")
        )
        n = problem.arcs.n_nodes
        backwards = coo_array((np.ones(len(source)), (target, source)), shape=(n, n)).tocsr()
        return _meets(backwards, problem.target, problem.peers)

    def most(self, up_to_msat: int) -> int:
        """The largest amount up to `up_to_msat` that all channels of some path take, minima aside; 0 if none does.

        So no part is larger, whatever fees add on the way.
        """
        own = [most_own(channel) for channels in self.problem.peers.values() for channel in channels]
        low, high = 0, min(up_to_msat, max(own), largest_into(self.problem)[1])
        if self._takes(high):
            return high
        while high - low > max(1_000, low // 256):
            middle = (low + high) // 2
            low, high = (middle, high) if self._takes(middle) else (low, middle)
        # It is what some channel takes: of those between, the largest that does.
        arcs = self.problem.arcs
        sizes = np.unique(np.concatenate((arcs.known.rows.most_msat, arcs.extra_rows.most_msat, own)))
        sizes = sizes[(sizes >= max(low, 1)) & (sizes < high)]
        least, above = 0, len(sizes)
        while least < above:
            middle = (least + above) // 2
            least, above = (middle + 1, above) if self._takes(int(sizes[middle])) else (least, middle)
        return int(sizes[least - 1]) if least else 0

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

    def _takes(self, amount_msat: int) -> bool:
        """Whether some path's channels all take so much, minima aside."""
        return self._reached(*self.problem.arcs.carrying(amount_msat, MAX_MSAT), amount_msat)

    def _reached(self, in_graph: NDArray[np.bool_], in_extra: NDArray[np.bool_], amount_msat: int) -> bool:
        problem = self.problem
        wanted = [n for n, own in problem.peers.items() if max(map(most_own, own)) >= amount_msat]
        source, indptr = problem.arcs.chosen(in_graph, in_extra)
        n = problem.arcs.n_nodes
        return _meets(csr_array((np.ones(len(source)), source, indptr), shape=(n, n)), problem.target, wanted)


def _meets(backwards: csr_array, target: int, wanted: Iterable[int]) -> bool:
    """Whether one of the wanted nodes leads to the target."""
    reached = breadth_first_order(backwards, target, return_predecessors=False)
    return not set(wanted).isdisjoint(reached.tolist())


def largest_into(problem: Problem) -> tuple[int, int]:
    """The open channel into the recipient that takes the largest HTLC, ours included: scid and msat; 0 if none."""
    arcs, target = problem.arcs, problem.target
    known = np.flatnonzero(arcs.known.rows.target == target)
    known = known[~np.isin(known, arcs.closed)]
    extra = np.flatnonzero(arcs.extra_rows.target == target)
    ends = list(zip(arcs.known.rows.most_msat[known].tolist(),
                    arcs.graph.scids[arcs.known.arc[known] >> 1].tolist(), strict=True))  # fmt: skip
    ends += zip(arcs.extra_rows.most_msat[extra].tolist(), arcs.extra_scid[extra].tolist(), strict=True)
    ends += [(most_own(channel), int(channel.scid)) for channel in problem.peers.get(target, ())]
    most, scid = max(ends, default=(0, 0))
    return scid, max(most, 0)
