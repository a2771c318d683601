"""What is worth a pause, what another plan, and what is the end: the one table of a payment's patience.

The manual says that `pay` goes on finding routes and retrying until `retry_for` seconds have passed. Beside that
"cannot be paid" is to be said at once where no time changes it. What tells the two apart is who spoke and of what:

- Our own node knows. What its live parts hold comes back, a peer that is away may be asked to come: both are
  waited for, and nobody else has any work with it.
- A node that is in trouble, or whose next peer is away, says so of this moment: a restart takes seconds. If there
  is no way around it, it is asked again, after pauses that double: eight HTLCs in a minute, on the ways that are
  left.
- "Temporary channel failure" is want of money, as a rule. Balances of others change over minutes and not because
  we wait; an operator reads the same HTLC again and again as spam. So it is never waited for, but for phones.
- A phone (the recipient is behind a route hint) is woken by the payment. Who forwards to it has several words for
  "asleep", want of money among them: then it is tried three times more, one HTLC each, in seven seconds.
- The recipient's own channels, public ones: if three or more neighbours say that it is away, it is. One or two may
  have restarted themselves: three looks, in four seconds. So an answer about a recipient that is offline takes no
  minute.
- Where parts are out that hold the recipient's HTLC slots, they come back when it has waited long enough for the
  rest; then fewer and larger parts are planned.

lnd, LDK, eclair and xpay never pause: they end with "no route" at the first moment in which nothing is left to
try. Fiber pauses 20 ms more at each try.

`decide` is for "no route", `after_failure` for a part that failed; both are pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pay.units import NodeId


class Sign(Enum):
    """Of what may be otherwise in a moment, and what speaks against it."""

    STARTING = "starting"
    """The host has just started: our peers may not be connected yet."""
    BUSY = "busy"
    """There would be routes if nothing were in flight."""
    CROWDED = "crowded"
    """Channels into the recipient refuse one HTLC more while they hold others of the payment."""
    PARTS_OUT = "parts_out"
    LATE = "late"
    """There are routes over channels of the recipient that gossip shows as disabled, and they may be tried."""
    REFUSED = "refused"
    """Those channels of the recipient that could be tried have refused, and nothing has reached it."""
    MONEY = "money"
    """And some of them spoke of money, not of a peer that is away."""
    MANY = "many"
    """And they are three or more, so that no single node speaks for all."""
    PHONE = "phone"
    """The recipient is behind route hints: it may be asleep."""
    RESTING = "resting"
    """There would be routes over what said that it is away or in trouble, not counting its channels."""


class Wait(Enum):
    """What a pause is for."""

    PEERS = "peers"
    START = "start"
    BUSY = "busy"
    AT_THE_DOOR = "at_the_door"
    PHONE = "phone"
    PHONE_OR_MONEY = "phone_or_money"
    NEIGHBOURS = "neighbours"
    TROUBLE = "trouble"
    OWN_CHANNELS = "own_channels"


class End(Enum):
    """Which words the answer takes."""

    TIME = "time"
    """210: `retry_for` is over."""
    NO_ROUTE = "no_route"
    """205 or 206, as the planner says."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses of one kind: seconds of the first, twice as long each time up to `most_s`, `times` in all."""

    first_s: float
    most_s: float
    times: int | None = None

    def of(self, number: int) -> float:
        """Of pause `number` in a row, from 0."""
        return min(self.first_s * 2.0 ** min(number, 16), self.most_s)


PEERS_S = 10.0
"""So long in all a payment waits for peers of ours; one that comes at all does so in less, also behind Tor."""

PAUSES: dict[Wait, Pauses] = {
    # Connections to our peers come one after the other.
    Wait.START: Pauses(3.0, 3.0),
    # A part that is paid is over in a second, one that a recipient holds may take a minute.
    Wait.BUSY: Pauses(0.25, 4.0),
    # An HTLC that a recipient refuses is back in less; one that stays out so long has reached it.
    Wait.AT_THE_DOOR: Pauses(2.0, 2.0, 1),
    Wait.PHONE: Pauses(1.0, 16.0),
    Wait.PHONE_OR_MONEY: Pauses(1.0, 4.0, 3),
    Wait.NEIGHBOURS: Pauses(0.5, 2.0, 3),
    Wait.TROUBLE: Pauses(0.5, 16.0),
    # These refusals come at once: a pause keeps them from being a busy loop.
    Wait.OWN_CHANNELS: Pauses(1.0, 8.0),
}


def is_limited(wait: Wait) -> bool:
    """Whether it ends before `retry_for` does: then the answer is that of before, also where it is cut short."""
    return wait is Wait.PEERS or PAUSES[wait].times is not None


LOCAL_FAILURES_IN_A_ROW = 10
"""Refusals of our own channels, after which there is a pause before the next one."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a payment stands that has no route.

    Parameters
    ----------
    left_s
        Until the deadline.
    naps
        How many pauses of each kind it has made.
    peers
        Of ours, that are away, would help and have not been asked yet.
    peers_s
        How long it may still wait for those that were or are asked; 0 where none is missed.
    """

    signs: frozenset[Sign]
    left_s: float
    naps: tuple[tuple[Wait, int], ...] = ()
    peers: tuple[NodeId, ...] = ()
    peers_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Look for routes again in so many seconds."""

    seconds: float
    what_for: Wait


@dataclass(frozen=True, slots=True)
class PauseForPeers:
    """Ask these to connect, and look for routes again when one of those that are missed is back, or then."""

    peers: tuple[NodeId, ...]
    seconds: float
    what_for: Wait


@dataclass(frozen=True, slots=True)
class AwaitParts:
    """Do nothing until one of those that are out comes back."""


@dataclass(frozen=True, slots=True)
class TryLate:
    """Send the routes that there are if gossip is late."""


@dataclass(frozen=True, slots=True)
class PlanAnew:
    """Look for routes at once; `fewer` parts than were sent, and larger ones, where a channel took no more."""

    fewer: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The end; `what_for` is what would have been waited for, if there were time."""

    end: End
    what_for: Wait | None = None


Decision = Pause | PauseForPeers | AwaitParts | TryLate | GiveUp

_S = Sign

TABLE: tuple[tuple[frozenset[Sign], frozenset[Sign], Wait | AwaitParts | TryLate | GiveUp], ...] = tuple(
    (frozenset(needs), frozenset(lacks), then)
    for needs, lacks, then in (
        ((_S.STARTING,), (), Wait.START),
        ((_S.REFUSED, _S.PARTS_OUT), (), Wait.AT_THE_DOOR),
        ((_S.BUSY,), (), Wait.BUSY),
        ((_S.CROWDED, _S.PARTS_OUT), (), AwaitParts()),
        ((_S.LATE,), (), TryLate()),
        ((_S.RESTING,), (), Wait.TROUBLE),
        ((_S.REFUSED, _S.PHONE, _S.MONEY), (), Wait.PHONE_OR_MONEY),
        ((_S.REFUSED, _S.PHONE), (_S.MONEY,), Wait.PHONE),
        ((_S.REFUSED,), (_S.PHONE, _S.MONEY, _S.MANY), Wait.NEIGHBOURS),
        ((), (), GiveUp(End.NO_ROUTE)),
    )
)
"""Signs that must be there, signs that must not, and what follows: the first row that fits. A pause that was made
as often as it may be is no row."""


def decide(of: Outlook) -> Decision:
    """What to do without a route."""
    first = _first(of)
    missed_s = min(of.peers_s, of.left_s)
    match first:
        case Pause(seconds, what_for):
            if of.left_s <= 0:
                return GiveUp(End.TIME, what_for)
            seconds = min(seconds, of.left_s)
            # Who is missed may come back sooner, and costs nobody a look.
            if of.peers and missed_s > 0:
                return PauseForPeers(of.peers, seconds, what_for)
            return Pause(seconds, what_for)
        case GiveUp() if missed_s > 0:
            return PauseForPeers(of.peers, missed_s, Wait.PEERS)
        case GiveUp() | AwaitParts() | TryLate():
            return first
        case PauseForPeers():
            raise AssertionError("no row of the table asks peers")


def _first(of: Outlook) -> Decision:
    naps = dict(of.naps)
    for needs, lacks, then in TABLE:
        if not needs <= of.signs or lacks & of.signs:
            continue
        if not isinstance(then, Wait):
            return then
        pauses, made = PAUSES[then], naps.get(then, 0)
        if pauses.times is None or made < pauses.times:
            return Pause(pauses.of(made), then)
    raise AssertionError("the last row fits always")


def after_failure(local_in_a_row: int, naps: int, crowded: bool) -> Pause | PlanAnew:
    """What to do when a part has failed and may be tried again.

    Parameters
    ----------
    local_in_a_row
        Failures of our own channels, without one of the network between them.
    naps
        Pauses that were made for that.
    crowded
        It was refused by a channel that holds others of the payment.
    """
    if local_in_a_row >= LOCAL_FAILURES_IN_A_ROW:
        return Pause(PAUSES[Wait.OWN_CHANNELS].of(naps), Wait.OWN_CHANNELS)
    return PlanAnew(fewer=crowded)


WORDS: dict[Wait, str] = {
    Wait.PEERS: "our peers that are away were asked to connect",
    Wait.START: "our own peers are only just connecting",
    Wait.BUSY: "all routes are taken by payments in flight",
    Wait.AT_THE_DOOR: "the recipient's channels refuse, and parts are still under way to it",
    Wait.PHONE: (
        "the node before the recipient cannot forward to it now: the recipient is probably offline, or a phone "
        "that sleeps"
    ),
    Wait.PHONE_OR_MONEY: (
        "the node before the recipient does not forward to it now: the recipient is probably offline, or a phone "
        "that sleeps, or has no room to receive that much"
    ),
    Wait.NEIGHBOURS: "the recipient is probably offline",
    Wait.TROUBLE: "what all routes lead over is away or in trouble",
    Wait.OWN_CHANNELS: "our own channels refuse one after another",
}
"""What a caller reads of a wait."""


def waiting(wait: Pause | PauseForPeers) -> str:
    """For callers that wait."""
    most = "" if is_limited(wait.what_for) else ", until retry_for is over"
    return f"Nothing can be sent now: {WORDS[wait.what_for]}. Looking again in {wait.seconds:.2g} s{most}"
