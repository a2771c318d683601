"""Which HTLCs followed which, as lightningd tells it, for all senders alike.

`pay`, `xpay` and ours all have a row of lightningd's table of `sendpay`s for each HTLC. Rows are numbered as they
come (`created_index`), and numbered once more when their HTLC ends (`updated_index`). `wait` tells when the second
number grows; how far the first one is at that moment says which rows came before that end, and which after it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.race.network import Node

BEHIND_S = 5.0
"""At most, the thread that listens is behind the table."""


@dataclass
class Ends:
    """At each end that was heard of: its number, and how many rows there had been; both only grow."""

    numbers: list[int] = field(default_factory=list)
    created: list[int] = field(default_factory=list)

    def heard(self, number: int, created: int) -> None:
        """HTLCs up to this number have ended, and so many had been offered."""
        self.numbers.append(number)
        self.created.append(created)

    def created_before(self, number: int) -> int | None:
        """Rows that there were when this end was heard of; None before that."""
        place = bisect_left(self.numbers, number)
        return self.created[place] if place < len(self.numbers) else None


def rounds(rows: Sequence[tuple[int, int]]) -> int:
    """How many HTLCs followed one another.

    Parameters
    ----------
    rows
        In the order of their ends: the number of each, and how many rows there were when it had ended.

    Returns
    -------
    int
        Of the longest chain in which each is offered after the one before it has ended: taking what ends first,
        then what of the rest was offered after that and ends first, finds it.
    """
    count, before = 0, 0
    for created, created_at_end in rows:
        if created > before:
            count, before = count + 1, created_at_end
    return count


class Watch:
    """Listens on a thread until the node is gone."""

    def __init__(self, node: Node):
        self._node = node
        self._ends = Ends()
        threading.Thread(target=self._listen, daemon=True).start()

    def rounds(self, rows: Sequence[dict[str, Any]]) -> int:
        """Of rows of `listsendpays`, all of one payment."""
        ended = sorted((row for row in rows if "updated_index" in row), key=lambda row: row["updated_index"])
        return rounds([(row["created_index"], self._created_before(row["updated_index"])) for row in ended])

    def _created_before(self, number: int) -> int:
        end = time.monotonic() + BEHIND_S
        while time.monotonic() < end:
            found = self._ends.created_before(number)
            if found is not None:
                return found
            time.sleep(0.002)
        raise TimeoutError(f"the end of HTLC {number} was not heard of")

    def _listen(self) -> None:
        reached = 0
        with contextlib.suppress(OSError), self._node.rpc.connection() as ask:
            while True:
                ends = ask("wait", {"subsystem": "sendpays", "indexname": "updated", "nextvalue": reached + 1})
                rows = ask("wait", {"subsystem": "sendpays", "indexname": "created", "nextvalue": 0})
                if ends.result is None or rows.result is None:
                    return
                reached = ends.result["updated"]
                self._ends.heard(reached, rows.result["created"])
