"""Shortest paths from every node to the recipient, by SciPy's compiled Dijkstra.

The search runs backwards: row v of the matrix holds the arcs INTO v, so that one search from the recipient
gives every node's best way there, and with it the best first channel of ours. Parallel arcs stay side by side
in a row (the search takes the better one); which of them a hop uses is decided by the exact pass, which knows
the amount.

SciPy relaxes each stored entry on its own and sums nothing; a weight of zero is an arc like another. Both are
pinned by tests, because the documentation of `csgraph` promises neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

FAR_MSAT = 1e18
"""No route is worth this: weights at or above it close an arc."""

_NONE = -9999
"""SciPy's predecessor of a node without one."""


class Tree(NamedTuple):
    """Each node's best way to the recipient.

    `distance` float64[n] in msat, inf where there is no way; `onward` int32[n] is the next node of that way.
    """

    distance: NDArray[np.float64]
    onward: NDArray[np.int32]

    def path(self, node: int) -> list[int]:
        """The nodes from `node` to the recipient, both included; `node` must have a finite distance."""
        nodes = [node]
        while (after := int(self.onward[nodes[-1]])) != _NONE:
            nodes.append(after)
        return nodes


class Backwards:
    """Arcs to be searched from where they lead.

    Parameters
    ----------
    indptr, source, weights
        The arcs grouped by the node they lead to: `source[indptr[v]:indptr[v + 1]]` lead into v, each at its
        weight, msat >= 0. int32[n + 1], int32[m], float64[m]. What is changed in `weights` later, holds.
    """

    __slots__ = ("_matrix",)

    def __init__(self, indptr: NDArray[np.int32], source: NDArray[np.int32], weights: NDArray[np.float64]):
        n = len(indptr) - 1
        self._matrix = csr_array((weights, source, indptr), shape=(n, n))

    def tree(self, target: int, within_msat: float = FAR_MSAT) -> Tree:
        """The best way to `target` from every node that has one of at most `within_msat`."""
        return Tree(*dijkstra(self._matrix, indices=target, return_predecessors=True, limit=within_msat))

    def nearest_msat(self, target: int) -> float:
        """The least weight of an arc into `target`; inf without one."""
        indptr = self._matrix.indptr
        return float(self._matrix.data[indptr[target] : indptr[target + 1]].min(initial=np.inf))


class Forwards:
    """The same arcs, grouped as in `Backwards`, to be searched from where they start."""

    __slots__ = ("_order", "_start", "_target")

    def __init__(self, indptr: NDArray[np.int32], source: NDArray[np.int32]):
        n, m = len(indptr) - 1, len(source)
        # SciPy sorts by counting, ten times as fast as argsort.
        turned = csr_array((np.arange(m, dtype=np.int32), source, indptr), shape=(n, n)).tocsc()
        self._order, self._target, self._start = turned.data, turned.indices, turned.indptr

    def distances(
        self, weights: NDArray[np.float64], start: Sequence[int], within_msat: float = FAR_MSAT
    ) -> NDArray[np.float64]:
        """From the nearest of these nodes to each, float64[n]; inf where that is more than `within_msat`."""
        n = len(self._start) - 1
        matrix = csr_array((weights[self._order], self._target, self._start), shape=(n, n))
        nearest: NDArray[np.float64] = dijkstra(matrix, indices=start, min_only=True, limit=within_msat)
        return nearest


def shortest_tree(
    indptr: NDArray[np.int32],
    source: NDArray[np.int32],
    weights: NDArray[np.float64],
    target: int,
    within_msat: float = FAR_MSAT,
) -> Tree:
    """One search; see `Backwards`."""
    return Backwards(indptr, source, weights).tree(target, within_msat)
