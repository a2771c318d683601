"""What a node says to an HTLC that it shall forward: yes, over which channel, or what is wrong.

Errors are chosen in the order of BOLT 4's list where several apply, but for what lightningd looks at first. A node
may use any channel to the next one (BOLT 4, "Non-strict Forwarding"): the named one if that takes the HTLC,
otherwise the one with the most to spend.

Sources: BOLT 2, 4, 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from pay.sim.network.channel import SimChannel, SimPeer, lacks_required_feature
from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.htlc import WireHop
from pay.sim.network.state import NetworkState

MAX_HTLC_CLTV = 2016
"""Blocks that an HTLC may be locked at most (BOLT 4, `max_htlc_cltv`)."""


@dataclass(frozen=True, slots=True)
class Forward:
    """What a node has in hand: the HTLC that came in, and the hop that its onion asks for."""

    node: SimPeer
    incoming_msat: int
    incoming_expiry: int
    """Block height at which the HTLC that came in times out."""
    hop: WireHop
    """The next one; for the recipient, that has no next one, the one that leads to it."""


def complaint(state: NetworkState, asked: Forward, channel: SimChannel, direction: int) -> FailCode | None:
    """What is wrong with forwarding over this channel, in the order of BOLT 4's list; None if nothing is."""
    hop, policy = asked.hop, channel.policies[direction]
    height = state.height_of(asked.node)
    if lacks_required_feature(channel.features):
        return FailCode.REQUIRED_CHANNEL_FEATURE_MISSING
    if hop.amount_msat < policy.htlc_min_msat:
        return FailCode.AMOUNT_BELOW_MINIMUM
    # BOLT 7: accept HTLCs that pay a fee equal to or greater than base + amount * proportional / 1000000.
    fee_msat = policy.fee_base_msat + hop.amount_msat * policy.fee_ppm // 1_000_000
    if asked.incoming_msat - hop.amount_msat < fee_msat:
        return FailCode.FEE_INSUFFICIENT
    # BOLT 4: cltv_expiry - cltv_expiry_delta >= outgoing_cltv_value.
    if asked.incoming_expiry - policy.cltv_delta < hop.cltv_expiry:
        return FailCode.INCORRECT_CLTV_EXPIRY
    if hop.cltv_expiry <= height:
        return FailCode.EXPIRY_TOO_SOON
    if not policy.enabled:
        return FailCode.CHANNEL_DISABLED
    if hop.cltv_expiry > height + MAX_HTLC_CLTV:
        return FailCode.EXPIRY_TOO_FAR
    # No code of its own: lightningd answers so, and the channel_update tells the maximum.
    if hop.amount_msat > policy.htlc_max_msat or channel.refusal(direction, hop.amount_msat) is not None:
        return FailCode.TEMPORARY_CHANNEL_FAILURE
    return None


def other_channel(state: NetworkState, asked: Forward, named: SimChannel, direction: int) -> SimChannel | None:
    """Another channel between the same nodes that takes the HTLC, the one with the most to spend."""
    best: SimChannel | None = None
    for channel in state.parallel(named):
        if (
            channel is not named
            and channel.faults[direction] is None
            and complaint(state, asked, channel, direction) is None
            and (best is None or channel.balances_msat[direction] > best.balances_msat[direction])
        ):
            best = channel
    return best
