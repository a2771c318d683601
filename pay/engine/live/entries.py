"""The journal's entry of one payment through its life: before the first part, once parts are out, and at the end.

begin     written before the first part; parts wait for it
mark      once a part has been out for a moment: that the host took it. Else nobody would know of it, should
          its rows be deleted while this plugin is away
end       struck out; of a payment whose amount its caller chose, what it came to is kept
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from pay.engine.live.running import Running
from pay.engine.records.entry import Entry
from pay.engine.records.journal import Journal
from pay.host.calls import PartOrder
from pay.payment.attempt import Attempt
from pay.payment.events import FoundPart
from pay.payment.states import AttemptStatus

MARK_S = 1.0
"""So long a part is out before the journal says that it is: most have ended by then."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Entries:
    """Writes the entries of all payments, one after the other for each of them.

    Parameters
    ----------
    spawn
        Runs work in the background.
    following
        The payment that a payment_hash has now.
    """

    def __init__(self, journal: Journal, spawn: Spawn, following: Callable[[bytes], Running | None]):
        self._journal = journal
        self._spawn = spawn
        self._following = following
        self._last: dict[Running, asyncio.Task[None]] = {}
        self._entries: dict[Running, Entry | None] = {}

    def begin(self, running: Running, order: PartOrder) -> None:
        """Write the entry of a payment that has sent nothing yet."""
        entry = self._entries[running] = Entry(running.session.terms, order)
        self._then(running, self._journal.write(entry))

    def found(self, running: Running, entry: Entry | None) -> None:
        """An earlier run has written the entry; None where it cannot be read."""
        self._entries[running] = entry

    def has(self, running: Running) -> bool:
        return running in self._entries

    async def written(self, running: Running) -> None:
        """Wait until what was begun is in the datastore, or could not be brought there in time."""
        last, entry = self._last.get(running), self._entries.get(running)
        if last is not None and entry is not None and not entry.accepted:
            await asyncio.wait({last})

    def changed(self, running: Running) -> None:
        """The host has taken a part, or one has ended: say so in the entry, if it is still so in a moment."""
        if self._entries.get(running) is not None:
            asyncio.get_running_loop().call_later(MARK_S, self._mark, running)

    def end(self, running: Running) -> None:
        """The payment is over."""
        if self.has(running):
            del self._entries[running]
            self._then(running, self._strike_out(running))

    # --- steps ------------------------------------------------------------------------------------------

    def _mark(self, running: Running) -> None:
        entry = self._entries.get(running)
        if entry is None:
            return
        out = tuple(_part(a) for a in running.session.live if a.status is AttemptStatus.INFLIGHT)
        if {part.partid for part in out} == {part.partid for part in entry.accepted}:
            return
        # The terms stay those of the payment: a session that only watches its parts has none of its limits.
        entry = self._entries[running] = replace(entry, accepted=out)
        self._then(running, self._journal.write(entry))

    async def _strike_out(self, running: Running) -> None:
        """Remove the entry, and keep of it what the host's rows may not show later."""
        payment_hash = running.session.terms.payment_hash
        if running.total_chosen and running.order is not None and running.receipt() is not None:
            await self._journal.keep_total(payment_hash, running.session.terms.asked_msat, int(time.time()))
        if self._of_another(running) is None:
            await self._journal.remove(payment_hash.hex())
        # The next try of it may have written its own entry while this one was being removed.
        entry = self._of_another(running)
        if entry is not None:
            await self._journal.write(entry)

    def _of_another(self, running: Running) -> Entry | None:
        """The entry of the payment that has the hash now."""
        following = self._following(running.session.terms.payment_hash)
        return None if following is None or following is running else self._entries.get(following)

    def _then(self, running: Running, work: Coroutine[Any, Any, Any]) -> None:
        """Do it once what was asked before is done."""
        before = self._last.get(running)

        async def doing() -> None:
            if before is not None:
                await asyncio.wait({before})
            await work

        task = self._last[running] = self._spawn(doing())

        def done(_: object) -> None:
            if self._last.get(running) is task:
                del self._last[running]

        task.add_done_callback(done)


def _part(attempt: Attempt) -> FoundPart:
    return FoundPart(attempt.partid, attempt.amount_msat, attempt.sent_msat, attempt.started_s)
