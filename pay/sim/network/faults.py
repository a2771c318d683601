"""Misbehaviour on request, of a node or of one direction of a channel.

A fault is set on a node (`SimPeer.faults`) or on a channel's direction (`SimChannel.faults[direction]`), may be
changed at any time, and takes hold of HTLCs from then on. What a node does by rule, not by fault (an
empty channel, a stale gossip, a disabled direction) is not here: that is the channel's state.
"""

from __future__ import annotations

from dataclasses import dataclass

from pay.sim.network.liars import Liar


@dataclass(slots=True)
class Faults:
    """How a node, or one direction of a channel, misbehaves.

    On a channel's direction only `silent`, `fail_code`, `fail_times`, `delay_s` and `offline` (the peer is
    there, but not connected over this channel) mean anything, and the node at its start is the one that errs.
    """

    offline: bool = False
    """Not connected to anybody: its peers answer temporary_channel_failure, HTLCs inside stay where they are."""
    silent: bool = False
    """Takes HTLCs and does nothing any more with them, nor with answers on their way back."""
    fail_code: int | None = None
    """Answers every HTLC with this code of BOLT 4, whatever it is about."""
    fail_times: int | None = None
    """How often `fail_code` is still given; None is for ever."""
    liar: Liar | None = None
    """What it answers HTLCs with instead of treating them, one lie after the other."""
    unparsable: bool = False
    """Errors that this node writes, or hands on, arrive as noise."""
    hides_updates: bool = False
    """Leaves the channel_update out of its errors (BOLT 4 allows it)."""
    delay_s: float = 0.0
    """Seconds it takes on top of its latency before it does anything with an HTLC."""
    skim_msat: int = 0
    """Forwards this much less than the onion says."""
    skim_blocks: int = 0
    """Forwards with an expiry this many blocks earlier than the onion says."""

    def take_code(self) -> int | None:
        """The code to answer the HTLC at hand with, counted down; None if it is treated normally."""
        if self.fail_code is None or self.fail_times == 0:
            return None
        if self.fail_times is not None:
            self.fail_times -= 1
        return self.fail_code
