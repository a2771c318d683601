"""Misbehaviour of the stand-in itself on request: what its sockets, pipes and notifications do wrong.

Set on `Lightningd.faults` at any time; it takes hold of what happens from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class LightningdFaults:
    """How the stand-in misbehaves. Sets of methods and topics name what is hit; "*" is all."""

    hang: set[str] = field(default_factory=set)
    """Commands that are carried out but not answered before `Dispatcher.release`."""
    hold: set[str] = field(default_factory=set)
    """Commands that wait before they are carried out, as behind a hook or a signer that takes its time, until
    `Dispatcher.release`. They outlive their callers, as lightningd's commands do, but not the node."""
    hold_if: dict[str, Callable[[Any], bool]] = field(default_factory=dict)
    """The same for those calls of a command whose `params` fit."""
    missing: set[str] = field(default_factory=set)
    """Commands that this host does not have, for no caller: `decode`, where disable-plugin=offers."""
    ignore: set[str] = field(default_factory=set)
    """Commands that are neither carried out nor answered, ever."""
    errors: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Commands that fail with this code and message without being carried out."""
    delay_s: dict[str, float] = field(default_factory=dict)
    """Commands that start this many seconds late."""
    garbage: set[str] = field(default_factory=set)
    """Commands answered with something that is not JSON, after having been carried out."""
    empty: set[str] = field(default_factory=set)
    """Commands answered with an object without members, after having been carried out."""
    hang_up: set[str] = field(default_factory=set)
    """Commands after which the connection is closed instead of answered."""
    only_plugin: bool = False
    """Whether the faults of commands above spare all connections but those of the plugins' own process."""
    unlisted: set[bytes] = field(default_factory=set)
    """Peers that announce no address: `connect` finds them by host and port only."""
    callers: set[bytes] = field(default_factory=set)
    """Peers that have dialled us, not we them."""
    drop: set[str] = field(default_factory=set)
    """Notifications that are not sent."""
    double: set[str] = field(default_factory=set)
    """Notifications that are sent twice."""
    late_s: dict[str, float] = field(default_factory=dict)
    """Notifications that come this many seconds late."""
    early_outcomes: bool = False
    """Outcomes are announced before `sendpay` is answered (its answer waits for them)."""
    no_commitment: bool = False
    """`sendpay` leaves its row and no HTLC, until the node is killed; restarts do not bring the HTLC."""
    commitment_delay_s: float = 0.0
    """Seconds from the answer of `sendpay` to the HTLC."""
    decline_preapproval: bool = False
    """`preapproveinvoice` answers 213."""
    headers_ahead: int = 0
    """Blocks of which bitcoind has only the headers yet: `getchaininfo`'s headercount without its blockcount."""

    def become(self, other: LightningdFaults) -> None:
        """Misbehave as `other` says: the same sets and values, in this one object that everybody holds."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))

    def holds(self, method: str, params: Any) -> bool:
        """Whether a command is to wait."""
        fits = self.hold_if.get(method)
        return hits(self.hold, method) or (fits is not None and fits(params))


def hits(names: set[str] | dict[str, float] | dict[str, tuple[int, str]], name: str) -> bool:
    """Whether `name`, or everything, is named."""
    return name in names or "*" in names
