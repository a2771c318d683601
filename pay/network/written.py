"""Which arcs were written lately, for those who keep something computed from the graph's arrays.

Gossip changes a few policies at a time; who follows them saves computing everything afresh.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int32]

MOST = 2_048
"""Arcs in a row before it is cheaper to take the columns afresh than to follow them."""


class Written:
    """A short memory of changes.

    Attributes
    ----------
    changes
        Counts them all.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._arcs: list[tuple[int, Numbers]] = []
        self._known_from = 0
        self._count = 0

    def note(self, arcs: Numbers) -> None:
        """The policies of these arcs were written."""
        if len(arcs):
            self.changes += 1
            self._arcs.append((self.changes, arcs))
            self._count += len(arcs)
            if self._count > MOST:
                self._forget()

    def grew(self) -> None:
        """Channels or nodes were added, or are not what they were: nothing that was computed holds."""
        self.changes += 1
        self._forget()

    def since(self, changes: int) -> Numbers | None:
        """The arcs written since `changes` was so, int32[k]; None if more changed than is remembered."""
        if changes < self._known_from:
            return None
        arcs = [arcs for at, arcs in self._arcs if at > changes]
        return np.unique(np.concatenate(arcs)) if arcs else np.zeros(0, np.int32)

    def _forget(self) -> None:
        self._arcs, self._count, self._known_from = [], 0, self.changes
