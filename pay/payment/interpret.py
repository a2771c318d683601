"""From (route, failure) to what follows: one pure function, one table.

What a node says is believed as far as it can know: about its own outgoing channel, about itself, and, if it is
the recipient, about the payment. Our own host knows why our channel refused. An answer that cannot be read
teaches only that something on this route should not be tried again by this payment.

    who answers            what it may say                        what follows
    us                     our channel cannot                     that channel not with this amount, or not at all
    a node on the way      its channel lacks balance              at most a little less through that channel
                           fee, delay, minimum too low            its newer policy once, else not that channel
                           its channel or peer is away            not that channel; behind a hint: in a moment
                           it is itself broken                    not that node
    the recipient          unknown payment, and is ahead of us    wait for its height
                           unknown payment                        over: 203
                           parts missing, node trouble            another way in
    nobody readable        -                                      none of the hops that can be avoided

Source: BOLT 4, "Failure Messages" and "Receiving Failure Codes".
"""

from __future__ import annotations

from dataclasses import dataclass

from pay.network.policy import Policy
from pay.payment.failure import BADONION, NODE, FailCode, Failure, FailureDetails, read_details
from pay.routing.query import Hop, Route
from pay.units import NodeId, ScidDir, fee_msat


@dataclass(frozen=True, slots=True)
class CapChannel:
    """An HTLC of more than `amount_msat` is known not to pass."""

    channel: ScidDir
    amount_msat: int


@dataclass(frozen=True, slots=True)
class ExcludeChannel:
    channel: ScidDir


@dataclass(frozen=True, slots=True)
class ExcludeNode:
    node: NodeId


@dataclass(frozen=True, slots=True)
class SleepingChannel:
    """Whoever is behind the last channel of a route hint may need a moment to wake up."""

    channel: ScidDir


@dataclass(frozen=True, slots=True)
class NewPolicy:
    """The channel asks something else than gossip says; for this payment only."""

    channel: ScidDir
    policy: Policy


Lesson = CapChannel | ExcludeChannel | ExcludeNode | SleepingChannel | NewPolicy


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a failed part means for its payment.

    Parameters
    ----------
    lessons
        For the next routes of this payment.
    refused
        The recipient refuses for good.
    wait_for_height
        The recipient has seen this block and we have not: try again once we have.
    """

    lessons: tuple[Lesson, ...] = ()
    refused: bool = False
    wait_for_height: int | None = None


def interpret(
    route: Route, failure: Failure, our_height: int, wakeable: frozenset[ScidDir] = frozenset()
) -> Outcome:
    """What follows from `failure` of the part that took `route` while we were at block `our_height`.

    `wakeable` are the last channels of route hints.
    """
    hops, index = route.hops, failure.erring_index
    if index == 0:
        return _own_channel(hops[0], failure)
    if index is None or index > len(hops) or failure.failcode is None:
        return Outcome(_avoid_unknown(hops))
    if index == len(hops):
        return _recipient(hops, failure, our_height)
    if failure.failcode == FailCode.UNKNOWN_NEXT_PEER and hops[index].scid_dir in wakeable:
        return Outcome((SleepingChannel(hops[index].scid_dir),))
    return Outcome(_on_the_way(hops, index, failure))


def is_final(failure: Failure) -> bool:
    """Whether the recipient, if it is the one who says so, refuses for good."""
    temporary = (FailCode.TEMPORARY_NODE_FAILURE, FailCode.MPP_TIMEOUT)
    return failure.failcode is not None and failure.failcode not in temporary


def _own_channel(hop: Hop, failure: Failure) -> Outcome:
    # A lack of balance leaves smaller amounts possible; with no slot or no peer no amount is.
    if failure.failcode == FailCode.TEMPORARY_CHANNEL_FAILURE and "apacity" in failure.reason:
        return Outcome((CapChannel(hop.scid_dir, hop.amount_msat - 1),))
    return Outcome((ExcludeChannel(hop.scid_dir),))


def _recipient(hops: tuple[Hop, ...], failure: Failure, our_height: int) -> Outcome:
    code = failure.failcode
    assert code is not None
    if code == FailCode.UNKNOWN_PAYMENT:
        height = read_details(code, failure.raw_message).height
        if height is not None and height > our_height:
            return Outcome(wait_for_height=height)
        return Outcome(refused=True)
    if code in (FailCode.TEMPORARY_NODE_FAILURE, FailCode.MPP_TIMEOUT):
        return Outcome((ExcludeChannel(hops[-1].scid_dir),))
    # Somebody on the way may have changed what we sent; on our own channel there is nobody.
    tampered = code in (FailCode.FINAL_INCORRECT_CLTV_EXPIRY, FailCode.FINAL_INCORRECT_HTLC_AMOUNT)
    if tampered and len(hops) > 1:
        return Outcome((ExcludeChannel(hops[-1].scid_dir),))
    return Outcome(refused=True)


def _on_the_way(hops: tuple[Hop, ...], index: int, failure: Failure) -> tuple[Lesson, ...]:
    code = failure.failcode
    assert code is not None
    arriving, leaving = hops[index - 1], hops[index]
    if code & BADONION:
        # The node reports what its successor said: something between the two is broken.
        return (ExcludeChannel(leaving.scid_dir),)
    if code & NODE:
        return (ExcludeNode(arriving.node),)
    details = read_details(code, failure.raw_message)
    match code:
        case FailCode.TEMPORARY_CHANNEL_FAILURE:
            cap = CapChannel(leaving.scid_dir, leaving.amount_msat - 1)
            return (cap, *_newer_policy(arriving, leaving, details))
        case FailCode.FEE_INSUFFICIENT | FailCode.INCORRECT_CLTV_EXPIRY | FailCode.AMOUNT_BELOW_MINIMUM:
            return _newer_policy(arriving, leaving, details) or (ExcludeChannel(leaving.scid_dir),)
        case _:
            return (ExcludeChannel(leaving.scid_dir),)


def _newer_policy(arriving: Hop, leaving: Hop, details: FailureDetails) -> tuple[NewPolicy, ...]:
    """The policy in the failure, if it is of the failing channel and asks more than the route gave.

    A node that refuses what its own policy allows would refuse it again: then there is nothing to learn.
    """
    if details.update is None:
        return ()
    channel, policy = details.update
    if channel != leaving.scid_dir:
        return ()
    given_msat = arriving.amount_msat - leaving.amount_msat
    kept = (
        policy.enabled
        and given_msat >= fee_msat(leaving.amount_msat, policy.fee_base_msat, policy.fee_ppm)
        and arriving.delay_blocks - leaving.delay_blocks >= policy.cltv_delta
        and policy.htlc_min_msat <= leaving.amount_msat <= policy.htlc_max_msat
    )
    return () if kept else (NewPolicy(channel, policy),)


def _avoid_unknown(hops: tuple[Hop, ...]) -> tuple[Lesson, ...]:
    """Who failed is unknown: leave out what lies between our peer and the last channel, where there is any.

    The first channel is ours, and the recipient may have only one way in, so these two go last.
    """
    if len(hops) == 1:
        return (ExcludeChannel(hops[0].scid_dir),)
    between = hops[1:-1] or hops[-1:]
    return tuple(ExcludeChannel(hop.scid_dir) for hop in between)
