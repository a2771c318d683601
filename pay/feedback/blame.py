"""Who says what of whom: the one reading of a failure, from which everything else follows.

An answer is evidence with a speaker. It counts as far as the speaker could know it: a node knows its own outgoing
channels and itself, only the recipient speaks for the recipient, and our own host knows our channels. The first
table is the whole of the reading; the second is what `restrictions` and `observations` make of each kind.

    speaker         code (BOLT 4)                                  kind
    us              temporary channel failure, capacity exceeded   LACKS_BALANCE
    us              the same, too many HTLCs                       NO_SLOT
    us              the same otherwise, unknown next peer          AWAY
    us              anything else                                  UNUSABLE
    on the way,     temporary channel failure                      LACKS_BALANCE
    last but one      with a policy: disabled                      AWAY
                      with a policy that forbids the amount        POLICY
                    fee, delay or amount too low                   POLICY
                    channel disabled, unknown next peer            AWAY
                    any code about a node (NODE)                   NODE_TROUBLE
                    any code about an onion (BADONION)             ONION_TROUBLE
                    what only the recipient can know               NONSENSE
                    anything else                                  UNUSABLE
    recipient       unknown payment, soon, and ahead of our height HEIGHT
                    temporary node failure                         NODE_TROUBLE
                    mpp_timeout                                    PARTS_MISSING
                    amount or delay not as sent, over others       ALTERED
                    anything else                                  REFUSED
    nobody that     an answer came that cannot be read             UNREADABLE
    we can name     no reason was heard                            UNHEARD

    kind            means for this payment                         means for the beliefs
    LACKS_BALANCE   less through that channel; a hint: in smaller  its balance is less; the speaker refuses
                      parts; one that holds parts of ours: fewer
    NO_SLOT         that channel again in a moment                 -
    POLICY          that channel by its newer policy, once;        the speaker refuses
                      without one, or asked again: not any more
    AWAY            that channel again in a moment                 the speaker or the next node is away;
                                                                     the speaker refuses
    UNUSABLE        not that channel                               the speaker refuses
    NODE_TROUBLE    that node again in a moment, if it does not    it is broken
                      say that it lasts; the recipient: another
                      way in
    ONION_TROUBLE   not that channel                               the speaker or the next node spoilt it;
                                                                     the speaker refuses
    NONSENSE        not that channel; that node last of all        the speaker lies
    HEIGHT          again, once we are there                       all on the way worked
    PARTS_MISSING   its way was good; alone: another way in        all on the way worked
    ALTERED         another way in                                 all on the way worked
    REFUSED         over: 203                                      all on the way worked
    UNREADABLE      none of the hops that can be avoided           those on the way share the blame
    UNHEARD         the same                                       -

Whatever a node on the way says, it has refused: who refuses again and again is left while there is another way
(`Restrictions.refusals`, `pay.routing.halving`), and is dearer to later payments. So a node that blames its
neighbour pays for that as well, and no message is free for who sends it.

Source: BOLT 4, "Failure Messages" and "Receiving Failure Codes".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pay.feedback.failure import BADONION, NODE, PERM, FailCode, Failure, read_details
from pay.network.policy import Policy
from pay.routing.query import Hop, Route
from pay.units import NodeId, ScidDir, fee_msat


class Speaker(Enum):
    """Who answered."""

    US = "us"
    ON_THE_WAY = "on_the_way"
    LAST_BUT_ONE = "last_but_one"
    """It forwards to the recipient."""
    RECIPIENT = "recipient"
    UNKNOWN = "unknown"
    """Nobody that could be named."""


class Kind(Enum):
    """What is said; see the table."""

    LACKS_BALANCE = "lacks_balance"
    NO_SLOT = "no_slot"
    POLICY = "policy"
    AWAY = "away"
    UNUSABLE = "unusable"
    NODE_TROUBLE = "node_trouble"
    ONION_TROUBLE = "onion_trouble"
    NONSENSE = "nonsense"
    HEIGHT = "height"
    PARTS_MISSING = "parts_missing"
    ALTERED = "altered"
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    UNHEARD = "unheard"


@dataclass(frozen=True, slots=True)
class Blame:
    """What a failure says.

    Parameters
    ----------
    index
        The speaker's place on the route: 0 is us, i the node behind the i-th hop; None where nobody is known.
    node
        Who speaks; None for us and for nobody.
    channel
        The one that it speaks of, its own outgoing one; None where it has none.
    neighbour
        The node at the end of that channel: if the speaker is not at fault, it is.
    policy
        Of that channel, if one came along.
    respected
        Whether the HTLC kept `policy`: who refuses what its own policy allows has taught nothing.
    height
        The recipient's.
    lasting
        Of a node's trouble: it says that it will last.
    """

    speaker: Speaker
    kind: Kind
    index: int | None = None
    node: NodeId | None = None
    channel: ScidDir | None = None
    neighbour: NodeId | None = None
    policy: Policy | None = None
    respected: bool | None = None
    height: int | None = None
    lasting: bool = False

    @property
    def forwarder(self) -> NodeId | None:
        """The node on the way that refused an HTLC; None if it was not one of those."""
        on_the_way = self.speaker in (Speaker.ON_THE_WAY, Speaker.LAST_BUT_ONE)
        return self.node if on_the_way else None


CROWD = 5
"""Parts that a channel into the recipient holds when it refuses one more: from so many on that is first a sign of
HTLC slots. Phoenix takes 6 HTLCs, other nodes 10 and more; who has fewer parts there has met want of money."""

HELD_S = 120.0
"""A recipient looks at its height when an HTLC arrives: what it refuses later than this it has held, and the chain
has grown meanwhile."""

_FOR_THE_RECIPIENT = frozenset(
    {
        FailCode.UNKNOWN_PAYMENT,
        0x4000 | 16,  # incorrect_payment_amount, of older recipients
        17,  # final_expiry_too_soon, of older recipients
        FailCode.FINAL_INCORRECT_CLTV_EXPIRY,
        FailCode.FINAL_INCORRECT_HTLC_AMOUNT,
        FailCode.MPP_TIMEOUT,
    }
)
"""BOLT 4: of "the final node" only."""

_OF_POLICY = (FailCode.FEE_INSUFFICIENT, FailCode.INCORRECT_CLTV_EXPIRY, FailCode.AMOUNT_BELOW_MINIMUM)


def blame(route: Route | None, failure: Failure, recipient: NodeId, sent_height: int, out_s: float = 0.0) -> Blame:
    """The blame in `failure` of the part that took `route`.

    Parameters
    ----------
    sent_height
        The block that we were at when it was sent: what its CLTVs were counted from.
    out_s
        Seconds from sending it to the answer.

    Notes
    -----
    Without a route (a part of an earlier run, or to ourselves) only the recipient's own word can be told apart.
    """
    if route is None:
        if failure.erring_node == recipient and failure.failcode is not None:
            return _by_recipient(failure, None, recipient, sent_height, out_s)
        return _nobody(failure)
    hops, index, code = route.hops, failure.erring_index, failure.failcode
    if index == 0:
        return Blame(Speaker.US, _own_channel(failure), 0, None, hops[0].scid_dir, hops[0].node)
    if index is None or code is None or not 0 < index <= len(hops):
        return _nobody(failure)
    if index == len(hops):
        return _by_recipient(failure, hops, recipient, sent_height, out_s)
    return _on_the_way(code, failure, hops, index)


def _nobody(failure: Failure) -> Blame:
    return Blame(Speaker.UNKNOWN, Kind.UNREADABLE if failure.unreadable else Kind.UNHEARD)


def _own_channel(failure: Failure) -> Kind:
    # The host's words are all that tells the reasons apart.
    if "Too many HTLCs" in failure.reason:
        return Kind.NO_SLOT
    # A lack of balance leaves smaller amounts possible; with no peer no amount is.
    if failure.failcode == FailCode.TEMPORARY_CHANNEL_FAILURE and "apacity" in failure.reason:
        return Kind.LACKS_BALANCE
    away = failure.failcode in (FailCode.TEMPORARY_CHANNEL_FAILURE, FailCode.UNKNOWN_NEXT_PEER)
    return Kind.AWAY if away else Kind.UNUSABLE


def _by_recipient(
    failure: Failure, hops: tuple[Hop, ...] | None, recipient: NodeId, sent_height: int, out_s: float
) -> Blame:
    kind, height = Kind.REFUSED, None
    match failure.failcode:
        case FailCode.UNKNOWN_PAYMENT:
            height = read_details(failure.failcode, failure.raw_message).height
            # One that was ahead of the block we sent at may have refused because the HTLC looked too short to it.
            if height is not None and height > sent_height and out_s < HELD_S:
                kind = Kind.HEIGHT
        case FailCode.TEMPORARY_NODE_FAILURE:
            kind = Kind.NODE_TROUBLE
        case FailCode.MPP_TIMEOUT:
            kind = Kind.PARTS_MISSING
        case FailCode.FINAL_INCORRECT_CLTV_EXPIRY | FailCode.FINAL_INCORRECT_HTLC_AMOUNT:
            # Somebody on the way may have changed what we sent; on our own channel there is nobody.
            kind = Kind.ALTERED if hops is not None and len(hops) > 1 else Kind.REFUSED
        case _:
            pass
    index = None if hops is None else len(hops)
    return Blame(Speaker.RECIPIENT, kind, index, recipient, height=height)


def _on_the_way(code: int, failure: Failure, hops: tuple[Hop, ...], index: int) -> Blame:
    arriving, leaving = hops[index - 1], hops[index]
    # BOLT 4: an update of another channel is to be ignored; it would let a node push payments away from others.
    update = read_details(code, failure.raw_message).update
    policy = update[1] if update is not None and update[0] == leaving.scid_dir else None
    return Blame(
        Speaker.LAST_BUT_ONE if index == len(hops) - 1 else Speaker.ON_THE_WAY,
        _kind_on_the_way(code, policy, leaving),
        index,
        arriving.node,
        leaving.scid_dir,
        leaving.node,
        policy,
        None if policy is None else _respected(policy, arriving, leaving),
        lasting=bool(code & NODE and code & PERM and not code & BADONION),
    )


def _kind_on_the_way(code: int, policy: Policy | None, leaving: Hop) -> Kind:
    if code & BADONION:
        # The node reports what its successor said: something between the two is broken.
        return Kind.ONION_TROUBLE
    if code & NODE:
        return Kind.NODE_TROUBLE
    if code in _FOR_THE_RECIPIENT:
        return Kind.NONSENSE
    if code == FailCode.TEMPORARY_CHANNEL_FAILURE:
        # There is no code for a maximum, and some nodes have none for a peer that is away: the policy tells.
        if policy is not None and not policy.enabled:
            return Kind.AWAY
        fits = policy is None or policy.htlc_min_msat <= leaving.amount_msat <= policy.htlc_max_msat
        return Kind.LACKS_BALANCE if fits else Kind.POLICY
    if code in _OF_POLICY:
        return Kind.POLICY
    if code in (FailCode.UNKNOWN_NEXT_PEER, FailCode.CHANNEL_DISABLED):
        return Kind.AWAY
    return Kind.UNUSABLE


def _respected(policy: Policy, arriving: Hop, leaving: Hop) -> bool:
    """Whether the HTLC kept what `policy` asks for."""
    given_msat = arriving.amount_msat - leaving.amount_msat
    return (
        policy.enabled
        and given_msat >= fee_msat(leaving.amount_msat, policy.fee_base_msat, policy.fee_ppm)
        and arriving.delay_blocks - leaving.delay_blocks >= policy.cltv_delta
        and policy.htlc_min_msat <= leaving.amount_msat <= policy.htlc_max_msat
    )
