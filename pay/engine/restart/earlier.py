"""What an earlier run of this plugin had begun: an order of it may still be queued in the host, unseen.

A command outlives its connection, so a `sendpay` that waits in a slow hook is carried out although we have died
since. The journal says of which payments that may be; where the journal cannot be read, it may be any. If the host
was started together with us nothing is queued in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Earlier:
    """Payments of earlier runs.

    Parameters
    ----------
    groups
        By payment_hash the group that was begun; 0 where the journal has the payment and not the group.
    any_hash
        The journal could not be read.
    queued
        The host runs on, so that an order may be queued in it.
    """

    groups: Mapping[bytes, int] = field(default_factory=dict)
    any_hash: bool = False
    queued: bool = False

    def group(self, payment_hash: bytes) -> int:
        """The host mixes parts of one group only, so the next one comes after this."""
        return self.groups.get(payment_hash, 0)

    def may_come(self, payment_hash: bytes) -> bool:
        """Whether an order of it may come out of the host's queue."""
        return self.queued and (self.any_hash or payment_hash in self.groups)

    @property
    def anything_may_come(self) -> bool:
        return self.queued and (self.any_hash or bool(self.groups))
