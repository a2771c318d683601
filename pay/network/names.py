"""What nodes say of themselves: alias and features, for people's eyes and for the choice of the onion.

Most of the 15,000 announced nodes share a few hundred sets of features, so a set is kept once and a node has
its number; an alias is the 32 bytes of the message (BOLT 7, node_announcement).
"""

from __future__ import annotations

import numpy as np

from pay.network.features import node_demands_unknown

_ALIAS_BYTES = 32


class NodeNames:
    """One row per node number; rows appear when they are written. Not thread-safe."""

    __slots__ = ("_aliases", "_demanding", "_demands", "_feature_sets", "_features", "_set_numbers", "_timestamps")

    def __init__(self) -> None:
        self._aliases = np.zeros(0, f"S{_ALIAS_BYTES}")
        self._features = np.zeros(0, np.int32)
        self._timestamps = np.zeros(0, np.int64)
        self._feature_sets: list[int] = []
        self._set_numbers: dict[bytes, int] = {}
        self._demands: list[bool] = []
        self._demanding: set[int] = set()

    def put(self, number: int, alias: bytes, features: bytes, timestamp: int) -> bool:
        """Keeps the announcement if none as new is known. Says whether it did."""
        if number >= len(self._timestamps):
            self._grow(number + 1)
        if timestamp < self._timestamps[number]:
            return False
        if features not in self._set_numbers:
            self._set_numbers[features] = len(self._feature_sets)
            self._feature_sets.append(int.from_bytes(features, "big"))
            self._demands.append(node_demands_unknown(self._feature_sets[-1]))
        self._aliases[number] = alias
        self._features[number] = self._set_numbers[features]
        self._timestamps[number] = timestamp
        if self._demands[self._set_numbers[features]]:
            self._demanding.add(number)
        else:
            self._demanding.discard(number)
        return True

    @property
    def demanding(self) -> frozenset[int]:
        """The nodes that payments must not go through; see `features`."""
        return frozenset(self._demanding)

    def alias(self, number: int) -> str | None:
        """The alias without padding; what a terminal may take for a command is replaced by a mark."""
        if number >= len(self._timestamps) or self._timestamps[number] < 0:
            return None
        text = bytes(self._aliases[number]).decode("utf-8", "replace")
        return "".join(c if c.isprintable() else "\ufffd" for c in text)

    def features(self, number: int) -> int | None:
        """The feature bits as a number, bit 0 the least."""
        if number >= len(self._timestamps) or self._timestamps[number] < 0:
            return None
        return self._feature_sets[int(self._features[number])]

    def _grow(self, rows: int) -> None:
        rows += rows // 2 + 16
        known = len(self._timestamps)
        aliases = np.zeros(rows, f"S{_ALIAS_BYTES}")
        aliases[:known] = self._aliases
        features = np.zeros(rows, np.int32)
        features[:known] = self._features
        timestamps = np.full(rows, -1, np.int64)
        timestamps[:known] = self._timestamps
        self._aliases, self._features, self._timestamps = aliases, features, timestamps

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, in bytes."""
        return int(self._aliases.nbytes) + self._features.nbytes + self._timestamps.nbytes
