"""The states of a payment and of its attempts, and all transitions as one table.

Two levels that users see: a payment is Created, Inflight, Success or Failed; an attempt is Created, Inflight,
Settled, Retrying (failed, and its amount is being planned again) or Failed. Inside, a session knows what it is
waiting for. "Gave up but parts are out" and "preimage but parts are out" are states, not flags.

`TRANSITIONS` says for each state and event which states may follow. An event that a state does not list is
without meaning there and leaves it as it is. So does a listed one that says nothing new: an answer to a void
query, an outcome told twice.
"""

from __future__ import annotations

from enum import Enum

from pay.payment import events as ev


class SessionStatus(Enum):
    """What a user sees of a payment."""

    CREATED = "Created"
    INFLIGHT = "Inflight"
    SUCCESS = "Success"
    FAILED = "Failed"


class AttemptStatus(Enum):
    """What a user sees of one part."""

    CREATED = "Created"
    INFLIGHT = "Inflight"
    SETTLED = "Settled"
    RETRYING = "Retrying"
    FAILED = "Failed"


class State(Enum):
    """What a session waits for."""

    WAITING_ROUTES = "waiting_routes"
    IN_FLIGHT = "in_flight"
    WAITING_HEIGHT = "waiting_height"
    PAUSING = "pausing"
    """Asks for routes again in a moment, or when a peer is back: see `pay.payment.patience`."""
    DRAINING_FAILED = "draining_failed"
    """The verdict is a failure; parts are out that may still make it a success."""
    DRAINING_PAID = "draining_paid"
    """Answered with the preimage; other parts are still out."""
    DONE = "done"


_R, _I, _H = State.WAITING_ROUTES, State.IN_FLIGHT, State.WAITING_HEIGHT
_Z, _F, _P, _D = State.PAUSING, State.DRAINING_FAILED, State.DRAINING_PAID, State.DONE

TRANSITIONS: dict[tuple[State, type], frozenset[State]] = {
    (_R, ev.Started): frozenset({_R, _I, _F, _D}),
    (_R, ev.RoutesFound): frozenset({_I, _F, _D}),
    (_R, ev.NoRouteFound): frozenset({_I, _Z, _F, _D}),
    (_R, ev.AttemptAccepted): frozenset({_R}),
    (_R, ev.AttemptSettled): frozenset({_P, _D}),
    (_R, ev.AttemptFailed): frozenset({_R, _H, _Z, _F, _D}),
    (_R, ev.HashTaken): frozenset({_F, _D}),
    (_R, ev.TimerFired): frozenset({_R, _F, _D}),
    (_R, ev.Cancelled): frozenset({_F, _D}),
    (_I, ev.AttemptAccepted): frozenset({_I}),
    (_I, ev.AttemptSettled): frozenset({_P, _D}),
    (_I, ev.AttemptFailed): frozenset({_R, _H, _Z, _F, _D}),
    (_I, ev.TimerFired): frozenset({_I, _F}),
    (_I, ev.HashTaken): frozenset({_F, _D}),
    (_I, ev.Cancelled): frozenset({_F, _D}),
    (_H, ev.HeightReached): frozenset({_H, _R, _F, _D}),
    (_H, ev.AttemptAccepted): frozenset({_H}),
    (_H, ev.AttemptSettled): frozenset({_P, _D}),
    (_H, ev.AttemptFailed): frozenset({_H, _F, _D}),
    (_H, ev.HashTaken): frozenset({_F, _D}),
    (_H, ev.TimerFired): frozenset({_H, _F, _D}),
    (_H, ev.Cancelled): frozenset({_F, _D}),
    (_Z, ev.TimerFired): frozenset({_Z, _R, _F, _D}),
    (_Z, ev.PeersBack): frozenset({_R, _F, _D}),
    (_Z, ev.AttemptAccepted): frozenset({_Z}),
    (_Z, ev.AttemptSettled): frozenset({_P, _D}),
    (_Z, ev.AttemptFailed): frozenset({_Z, _H, _F, _D}),
    (_Z, ev.HashTaken): frozenset({_F, _D}),
    (_Z, ev.Cancelled): frozenset({_F, _D}),
    (_F, ev.AttemptAccepted): frozenset({_F}),
    (_F, ev.AttemptSettled): frozenset({_P, _D}),
    (_F, ev.AttemptFailed): frozenset({_F, _D}),
    (_F, ev.HashTaken): frozenset({_F, _D}),
    (_F, ev.Cancelled): frozenset({_F, _D}),
    (_P, ev.AttemptAccepted): frozenset({_P}),
    (_P, ev.AttemptSettled): frozenset({_P, _D}),
    (_P, ev.AttemptFailed): frozenset({_P, _D}),
    (_P, ev.HashTaken): frozenset({_P, _D}),
}
"""(state, event type) -> states that may follow."""

# Whatever a session was at when it crashed, the host's table ends it.
TRANSITIONS |= {(state, ev.Crashed): frozenset({_P, _D}) for state in State if state is not _D}
