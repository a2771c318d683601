"""Whether anything of a payment may still come from where it is not seen: asked before an error is given.

Another sender of this node may be between two of its tries, and an order of an earlier run of ours may be queued
in the host. Neither shows in the host's table, so that takes a wait and a second look.
"""

from __future__ import annotations

import asyncio
import time

from pay.engine.live.register import Register
from pay.engine.live.running import Tell
from pay.engine.records.journal import Earlier
from pay.engine.records.paid_before import Unpaid, record_of
from pay.host.calls import Host
from pay.log_events import EventLog, LogEvent

log = EventLog("pay")

JUST_NOW_S = 0.25
"""What the table showed so short ago is what it shows."""

OTHERS_S = 10.0
"""So long another sender that was seen is given between two of its tries before an error of ours is believed."""

EARLIER_S = 60.0
"""So long after our start an order of an earlier run may still be in the host's queue: behind a slow hook."""


class Doubt:
    """Waits until it is certain that nothing comes.

    Parameters
    ----------
    most_s
        The most that `OTHERS_S` and `EARLIER_S` come to.

    Attributes
    ----------
    earlier
        What an earlier run of ours began. Set before the first call.
    """

    def __init__(self, host: Host, register: Register, most_s: float = EARLIER_S):
        self._host = host
        self._register = register
        self._others_s = min(OTHERS_S, most_s)
        self._quiet_at_s = time.monotonic() + min(EARLIER_S, most_s)
        self.earlier = Earlier()

    async def is_over(self, payment_hash: bytes, others: bool, looked_s: float, tell: Tell) -> bool:
        """Whether an error may be given: nothing is out for the hash, nor can come from where it is not seen.

        `others` if another sender of it was seen; `looked_s`: when the host's table was looked at for the call.
        """
        earlier_s = self.quiet_in_s() if self.earlier.may_come(payment_hash) else 0.0
        wait_s = max(self._others_s if others else 0.0, earlier_s)
        if wait_s > 0:
            whose = "another sender" if others else "an earlier run of this plugin"
            log.debug(
                LogEvent.ANSWER_WAITS, "payment_hash=%s seconds=%.0f for=%r", payment_hash.hex(), wait_s, whose
            )
            tell(f"Not paid, but {whose} may still have a part on its way: looking again in {wait_s:.0f} s")
            await asyncio.sleep(wait_s)
        if self._register.has(payment_hash):
            return False
        if wait_s <= 0 and time.monotonic() - looked_s < JUST_NOW_S:
            return True
        return isinstance(record_of(await self._host.rows(payment_hash)), Unpaid)

    def quiet_in_s(self) -> float:
        """Until nothing of an earlier run can come any more."""
        return max(0.0, self._quiet_at_s - time.monotonic())
