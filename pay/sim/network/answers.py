"""The failure message that a node writes about an HTLC: the true one, or the one of a liar.

Source: BOLT 4, "Returning Errors", "Failure Messages".
"""

from __future__ import annotations

from dataclasses import replace

from pay.sim.network.channel import SimChannel, SimPeer
from pay.sim.network.encoding.failures import BADONION, UPDATE, FailCode, channel_update, failure
from pay.sim.network.forwarding import Forward
from pay.sim.network.liars import Claim, Liar, Lie
from pay.sim.network.state import NetworkState
from pay.units import Scid


def true_answer(
    state: NetworkState, asked: Forward, code: int, channel: SimChannel | None, direction: int = 0
) -> bytes:
    """The failure message of a forwarding (or faulty) node, with the channel_update that goes with it.

    Parameters
    ----------
    channel, direction
        The one the HTLC would have gone on over; None where there is none.
    """
    node, outgoing = asked.node, asked.hop
    update = b""
    if channel is not None and not (node.faults is not None and node.faults.hides_updates):
        # BOLT 4: MUST set `short_channel_id` to the one used by the incoming onion.
        update = state.channel_update(channel, direction, outgoing.scid)
    own_expiry = code == FailCode.FINAL_INCORRECT_CLTV_EXPIRY
    return failure(
        code,
        # BOLT 4: the amount of the outgoing HTLC if it is too small, of the incoming one if the fee is.
        htlc_msat=outgoing.amount_msat if code == FailCode.AMOUNT_BELOW_MINIMUM else asked.incoming_msat,
        cltv_expiry=asked.incoming_expiry if own_expiry else outgoing.cltv_expiry,
        height=state.height_of(node),
        update=update,
        onion_hash=state.noise(32) if code & BADONION else bytes(32),
    )


def told_lie(state: NetworkState, asked: Forward, liar: Liar, lie: Lie) -> bytes:
    """The failure message of a lie with a readable code; its name for the channel is the one of the onion."""
    assert lie.code is not None
    node = asked.node
    channel = state.find_channel(asked.hop.scid, node.id)
    update = _claimed(state, node, liar, lie, channel, asked.hop.scid) if lie.code & UPDATE else b""
    return failure(
        lie.code,
        htlc_msat=asked.incoming_msat,
        cltv_expiry=asked.incoming_expiry,
        height=state.height_of(node) if lie.height is None else lie.height,
        update=update,
        onion_hash=state.noise(32) if lie.code & BADONION else bytes(32),
    )


def _claimed(
    state: NetworkState, node: SimPeer, liar: Liar, lie: Lie, channel: SimChannel | None, scid: Scid
) -> bytes:
    if lie.claim is Claim.ABSENT:
        return b""
    if lie.claim is Claim.FOREIGN:
        others = [c for c in state.channels.values() if node not in c.nodes and c.announced]
        return state.channel_update(others[liar.told % len(others)], liar.told % 2) if others else b""
    if channel is None:
        return b""
    direction = channel.side(node.id)
    policy = channel.policies[direction]
    match lie.claim:
        case Claim.TRUE:
            return state.channel_update(channel, direction, scid)
        case Claim.DEARER:
            policy = replace(policy, fee_base_msat=policy.fee_base_msat + liar.told)
        case Claim.SLOWER:
            policy = replace(policy, cltv_delta=policy.cltv_delta + liar.told)
        case Claim.GIVEN:
            policy = policy if lie.policy is None else lie.policy
    # Newer than whatever is known of the channel, else nobody need believe it.
    newest = max(int(state.clock.now()), channel.policies[direction].timestamp)
    policy = replace(policy, timestamp=newest + liar.told)
    secret = node.secret if node.has_secret else None
    return channel_update(state.chain, scid, direction, policy, secret=secret, announced=channel.announced)
