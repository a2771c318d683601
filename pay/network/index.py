"""From short_channel_ids to rows: two sorted arrays and a binary search.

A Python dict of 50,000 integers costs five megabytes and is asked one key at a time; here 100,000 keys are
found in a few milliseconds and a key costs 12 bytes. New keys go to a short sorted tail, which is merged into
the long array when it has grown, so that a single new channel does not move the whole index.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_TAIL = 1024
"""Keys: the tail's least size before it is merged; below it an insertion moves at most 12 kB."""


class ScidIndex:
    """A growing map from uint64 keys to int32 rows. Not thread-safe."""

    __slots__ = ("_keys", "_rows", "_tail_keys", "_tail_rows")

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)
        self._rows = np.empty(0, np.int32)
        self._tail_keys = np.empty(0, np.uint64)
        self._tail_rows = np.empty(0, np.int32)

    def find(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """The row of every key, -1 for the unknown. Shape as `keys`."""
        rows = np.full(len(keys), -1, np.int32)
        for known, values in ((self._keys, self._rows), (self._tail_keys, self._tail_rows)):
            if len(known):
                at, hit = _search(known, keys)
                rows[hit] = values[at[hit]]
        return rows

    def get(self, key: int) -> int | None:
        """The row of one key."""
        if not 0 <= key < 1 << 64:
            return None
        wanted = np.uint64(key)
        for known, values in ((self._tail_keys, self._tail_rows), (self._keys, self._rows)):
            at = int(known.searchsorted(wanted))
            if at < len(known) and known[at] == wanted:
                row = int(values[at])
                return None if row < 0 else row
        return None

    def put(self, keys: npt.NDArray[np.uint64], rows: npt.NDArray[np.int32]) -> None:
        """Adds keys, or moves known ones to another row. No key may come twice in one call."""
        new = np.ones(len(keys), bool)
        for known, values in ((self._keys, self._rows), (self._tail_keys, self._tail_rows)):
            if len(known):
                at, hit = _search(known, keys)
                values[at[hit]] = rows[hit]
                new &= ~hit
        self._tail_keys, self._tail_rows = _merge(self._tail_keys, self._tail_rows, keys[new], rows[new])
        if len(self._tail_keys) > max(_TAIL, len(self._keys) // 16):
            self._keys, self._rows = _merge(self._keys, self._rows, self._tail_keys, self._tail_rows)
            self._tail_keys, self._tail_rows = self._tail_keys[:0], self._tail_rows[:0]

    def drop(self, keys: npt.NDArray[np.uint64]) -> None:
        """Forgets keys. Their places stay until the index is built anew: few channels close in a run."""
        known = keys[self.find(keys) >= 0]
        self.put(known, np.full(len(known), -1, np.int32))

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, in bytes."""
        return sum(a.nbytes for a in (self._keys, self._rows, self._tail_keys, self._tail_rows))


def _search(
    known: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return at, known[at] == keys


def _merge(
    keys: npt.NDArray[np.uint64],
    rows: npt.NDArray[np.int32],
    more_keys: npt.NDArray[np.uint64],
    more_rows: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    if not len(more_keys):
        return keys, rows
    keys, rows = np.concatenate((keys, more_keys)), np.concatenate((rows, more_rows))
    order = np.argsort(keys, kind="stable")
    return keys[order], rows[order]
