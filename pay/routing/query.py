"""What the planner is asked and what it answers: plain values, importable without numpy or SciPy.

A `RouteQuery` says how much must arrive where, within which limits and by which preferences. The answer is a tuple
of `Route`s, each one path of one part, or a `NoRoute` that says why there is none, with numbers.

Amounts and CLTVs follow BOLT 7 ("Routing Example"): a hop carries what arrives at its end, so the
first hop's amount is what leaves us and the difference between two neighbouring hops is the fee of
the node between them. CLTVs are relative to the current height.

What a query does not hold: our channels and hints, and what a payment has learnt (its `Restrictions`), which are
the `Situation` around it; and any clock: effort is bounded by numbers (`max_searches`, `max_parts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from pay.errors import Code
from pay.network.hints import OwnChannel, RouteHint
from pay.network.policy import Policy
from pay.routing.preferences import Preferences
from pay.units import NodeId, Scid, ScidDir

BLOCKS_PER_YEAR = 52_596
"""365.25 days of 144 blocks."""

MAX_HOPS = 20
"""The most payloads of the least size that the 1,300 bytes of a BOLT 4 onion were ever meant to hold."""

DOOR_PARTS = 30
"""HTLCs that every node takes over one channel at a time: CLN and eclair no more unless they are told to, LDK 50,
lnd 483 (BOLT 2, max_accepted_htlcs)."""


@dataclass(frozen=True, slots=True)
class RouteQuery:
    """One question to the planner.

    Parameters
    ----------
    amount_msat
        What must arrive at `destination` with this plan, all routes together.
    final_cltv
        Blocks that the recipient's HTLC must have left.
    max_fee_msat
        The most that all routes together may cost.
    max_delay
        Blocks; the most a route may lock funds, `final_cltv` included.
    max_parts
        The most routes of a plan.
    most_parts, door_parts
        Where there is no way in `max_parts` routes, up to `most_parts`; no more if that is less. More than
        `door_parts` go over one channel into the recipient only where there is no way but that.
    fresh_parts
        Where there is no way so, up to so many over channels that have not refused the payment a part.
    parts_option
        Which of the user's options allows no more parts than that, if it is one's doing and it can be raised.
    late_parts
        Where there is none, so many routes at most over channels of the recipient that gossip shows as disabled.
    max_searches
        Budget of effort: shortest-path searches per plan.
    max_hops
        Channels of a route.
    metadata_bytes
        Size of the payment metadata that the recipient's payload must carry.
    shadow_blocks
        Blocks on top of `final_cltv` for every route of more than one hop, as far as `max_delay` allows.
    """

    source: NodeId
    destination: NodeId
    amount_msat: int
    final_cltv: int
    max_fee_msat: int
    max_delay: int
    preferences: Preferences
    max_parts: int = 1
    max_searches: int = 40
    max_hops: int = MAX_HOPS
    metadata_bytes: int = 0
    shadow_blocks: int = 0
    most_parts: int = 0
    door_parts: int = DOOR_PARTS
    fresh_parts: int = 0
    parts_option: str | None = None
    late_parts: int = 0

    @property
    def nat_msat(self) -> int:
        """Price of one nat of improbability for this amount: a path of probability P costs `nat_msat * -ln P`
        more. 10,000 msat means that 7 sat more are paid for a path that fails half as often."""
        prefer = self.preferences
        return prefer.failure_cost_msat + self.amount_msat * prefer.failure_cost_ppm // 1_000_000

    @property
    def more_part_msat(self) -> int:
        """What each part beyond the first must save for this amount."""
        prefer = self.preferences
        return prefer.part_cost_msat + self.amount_msat * prefer.part_cost_ppm // 1_000_000

    @property
    def with_parts_of_any_size(self) -> RouteQuery:
        """The same question where smaller parts than those preferred are better than none."""
        return replace(self, preferences=replace(self.preferences, min_part_msat=0))


SUSPECT_AFTER = 3
"""Refusals of one node within a payment, after which it is tried again only where there is no other way: one is no
news, and a node that is asked three times has had its chance. More would let a cheap node that refuses all it gets
take every HTLC of a payment."""


class Refusals(NamedTuple):
    """Of a node on the way in one payment: how often it was asked and refused, and how many parts that were.

    Parts that were refused together over one channel are one time: none was sent in spite of another's refusal.
    """

    times: int
    parts: int


class Edge(NamedTuple):
    """Of a route hint: the largest HTLC to try there, msat, and how often that was halved."""

    size_msat: int
    halvings: int


class Crowd(NamedTuple):
    """Of a last channel that refused one part more: how many of the payment it held then, and a cap, if it was for
    want of money all the same."""

    parts: int
    cap_msat: int


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What one payment has learnt so far and its next plan must respect.

    Parameters
    ----------
    caps
        More than so many msat, with what parts of ours already hold there, is known not to pass.
    policies
        Newer than gossip; believed once a channel.
    asleep, asleep_nodes
        Left alone until the payment pauses: what is away or in trouble for a moment, ours without a slot too.
    refusals
        Of nodes on the way, that did not forward.
    doors, reached
        Of the recipient's channels, those that refused a part, with the smallest one, msat (0 where the node
        before it says that it is away, which is not about money); and whether it has ever answered itself.
    edges
        Of route hints, behind each of which there may be several channels.
    crowds, full
        Last channels that refused one part more while they held so many of the payment, and those of them that
        hold as many now: that is a sign of HTLC slots first, so whatever else there is goes before them.
    """

    excluded_nodes: frozenset[NodeId] = frozenset()
    excluded_channels: frozenset[ScidDir] = frozenset()
    caps: Mapping[ScidDir, int] = field(default_factory=dict)
    policies: Mapping[ScidDir, Policy] = field(default_factory=dict)
    asleep: frozenset[ScidDir] = frozenset()
    asleep_nodes: frozenset[NodeId] = frozenset()
    refusals: Mapping[NodeId, Refusals] = field(default_factory=dict)
    doors: Mapping[ScidDir, int] = field(default_factory=dict)
    reached: bool = False
    edges: Mapping[ScidDir, Edge] = field(default_factory=dict)
    crowds: Mapping[ScidDir, Crowd] = field(default_factory=dict)
    full: frozenset[ScidDir] = frozenset()

    @property
    def closed_channels(self) -> frozenset[ScidDir]:
        """Those not to be used now."""
        return self.excluded_channels | self.asleep | self.full

    @property
    def closed_nodes(self) -> frozenset[NodeId]:
        """The same of nodes."""
        return self.excluded_nodes | self.asleep_nodes

    @property
    def awake(self) -> Restrictions:
        """The same after a pause."""
        return replace(self, asleep=frozenset(), asleep_nodes=frozenset())


@dataclass(frozen=True, slots=True)
class Hop:
    """One channel of a route: exactly one element of `sendpay`'s `route`.

    Parameters
    ----------
    node
        The node that the channel leads TO.
    amount_msat
        Amount of the HTLC on this channel: what arrives at `node`.
    delay_blocks
        CLTV of that HTLC above the current height; the last hop's is the query's `final_cltv` and the shadow.
    """

    scid: Scid
    direction: int
    node: NodeId
    amount_msat: int
    delay_blocks: int

    @property
    def scid_dir(self) -> ScidDir:
        return ScidDir(self.scid, self.direction)


@dataclass(frozen=True, slots=True)
class Route:
    """One path of one part, from our own channel to the recipient; never empty.

    Parameters
    ----------
    probability
        Believed chance that every channel of it can forward its amount and every node on it does.
    seconds
        That it takes, as far as that is known.
    """

    hops: tuple[Hop, ...]
    probability: float
    seconds: float = 0.0

    @property
    def amount_msat(self) -> int:
        """What arrives at the recipient."""
        return self.hops[-1].amount_msat

    @property
    def sent_msat(self) -> int:
        """What leaves us."""
        return self.hops[0].amount_msat

    @property
    def fee_msat(self) -> int:
        return self.sent_msat - self.amount_msat

    @property
    def delay_blocks(self) -> int:
        """CLTV of our own HTLC above the current height."""
        return self.hops[0].delay_blocks


class NoRouteReason(Enum):
    """Why there is no route; the values are stable tokens for error data."""

    UNKNOWN_NODE = "unknown_node"
    """The recipient is neither in the graph nor at the end of a route hint."""
    NO_OWN_CHANNELS = "no_own_channels"
    """None of our channels is connected and can send."""
    OWN_CHANNEL = "own_channel"
    """The way would be a channel of ours, with the recipient or the start of a hint, that cannot be used now."""
    INSUFFICIENT_SPENDABLE = "insufficient_spendable"
    """Our own channels together cannot send the amount now."""
    UNREACHABLE = "unreachable"
    """No channels lead from us to the recipient, whatever the amount."""
    RECIPIENT_DISABLED = "recipient_disabled"
    """Every channel towards the recipient is disabled."""
    BAD_HINTS = "bad_hints"
    """The recipient is reached by the invoice's route hints only, and none of them can be used."""
    EXCLUDED = "excluded"
    """There are routes, but each one uses an excluded channel or node."""
    INSUFFICIENT_CAPACITY = "insufficient_capacity"
    """Channels on the way are too small for the amount, or known not to carry it."""
    BELOW_MINIMUM = "below_minimum"
    """The amount is below the smallest HTLC that channels on the way accept."""
    RECIPIENT_REFUSES = "recipient_refuses"
    """All of the recipient's channels have refused, and nothing has reached it."""
    TOO_EXPENSIVE = "too_expensive"
    TOO_LONG = "too_long"
    """Every route locks the funds for more blocks than allowed."""
    TOO_MANY_HOPS = "too_many_hops"
    """Every route has more hops than allowed or than an onion can hold."""
    GAVE_UP = "gave_up"
    """The budget of searches was spent before a route was found; there may be one."""


_LIMITS = frozenset({NoRouteReason.TOO_EXPENSIVE, NoRouteReason.TOO_LONG})


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Why there is no route, with numbers.

    Parameters
    ----------
    message
        Words for the user: amount, limit, next step.
    fee_msat, delay_blocks
        Of the best route that breaks the limit: the cheapest one if it is too expensive, the one
        of the least delay if it is too long. None where no route was found at all.
    max_sendable_msat
        The most that could be sent now, where that is what stands in the way: what reaches the recipient, by a
        plan that was made. If `sendable_bound`, no plan was made: it is no more than this.
    busy
        There would be routes if nothing were in flight: it may be otherwise in a moment.
    late
        Routes if gossip is late and channels of the recipient that it shows as disabled are not.
    resting
        There would be routes over what is left alone for a moment.
    away
        Peers of ours that are not connected: over their channels there would be routes.
    doors, money
        Of a recipient that refuses: how many channels it has, and whether any of them spoke of money.
    """

    reason: NoRouteReason
    message: str
    fee_msat: int | None = None
    delay_blocks: int | None = None
    max_sendable_msat: int | None = None
    busy: bool = False
    sendable_bound: bool = False
    late: tuple[Route, ...] = ()
    resting: bool = False
    away: tuple[NodeId, ...] = ()
    doors: int = 0
    money: bool = False

    @property
    def code(self) -> Code:
        """206 where routes exist but break a limit of the caller, else 205."""
        return Code.ROUTE_TOO_EXPENSIVE if self.reason in _LIMITS else Code.ROUTE_NOT_FOUND


Answer = tuple[Route, ...] | NoRoute


@dataclass(frozen=True, slots=True)
class Situation:
    """A query and all else that its answer depends on, beside the graph and what is believed of it.

    Parameters
    ----------
    own
        Our channels, less what is promised to parts of ours that they do not show yet.
    held
        What parts of ours have under way on channels of others, msat.
    whole
        The question for all of the payment, where parts of it are out: what they hold is not free for the rest
        unless they fail, and then all of it has to be sent.
    """

    query: RouteQuery
    own: Sequence[OwnChannel]
    restrictions: Restrictions = Restrictions()
    hints: Sequence[RouteHint] = ()
    held: Mapping[ScidDir, int] = field(default_factory=dict)
    whole: RouteQuery | None = None
