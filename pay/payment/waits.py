"""What a payment has waited for so far, and what it waits for now: the memory of its patience."""

from __future__ import annotations

from collections import Counter

from pay.feedback.blame import Speaker
from pay.payment import events as ev
from pay.payment.patience import PEERS_S, Outlook, Pause, PauseForPeers, Sign, Wait, is_limited
from pay.payment.terms import Terms
from pay.routing.query import NoRoute, NoRouteReason, Restrictions
from pay.units import NodeId

_ASKED_AGAIN = frozenset({Wait.PHONE, Wait.PHONE_OR_MONEY, Wait.NEIGHBOURS, Wait.TROUBLE})
"""After these somebody is asked again who has refused."""

MANY_DOORS = 3
"""Neighbours of a recipient that all say that it is away: no single one of them speaks for it."""


class Waits:
    """Of one payment.

    Attributes
    ----------
    what_for, until_s
        Of the pause that it is in, or was in last; None before the first.
    woken
        Whoever refused is asked again with the next part.
    """

    def __init__(self) -> None:
        self.what_for: Wait | None = None
        self.until_s = 0.0
        self.woken = False
        self._local_failures = 0
        self._why: NoRoute | None = None
        self._naps: Counter[Wait] = Counter()
        self._asked: set[NodeId] = set()
        self._peers_until_s: float | None = None

    def outlook(
        self,
        why: NoRoute,
        known: Restrictions,
        terms: Terms,
        now: float,
        *,
        out: bool,
        late: bool,
    ) -> Outlook:
        """How the payment stands that has no route; `late` is whether the late routes of `why` may be sent, `out`
        whether parts of it are out."""
        refused = why.reason is NoRouteReason.RECIPIENT_REFUSES
        signs = {
            Sign.STARTING: now < terms.patient_until_s,
            Sign.BUSY: why.busy,
            Sign.CROWDED: bool(known.crowds),
            Sign.PARTS_OUT: out,
            Sign.LATE: late,
            Sign.REFUSED: refused,
            Sign.MONEY: refused and why.money,
            Sign.MANY: refused and why.doors >= MANY_DOORS,
            Sign.PHONE: bool(terms.wakeable) and known.doors.keys() <= terms.wakeable,
            Sign.RESTING: why.resting,
        }
        until_s = now + PEERS_S if self._peers_until_s is None else self._peers_until_s
        return Outlook(
            frozenset(sign for sign, there in signs.items() if there),
            terms.limits.deadline_s - now,
            tuple(sorted(self._naps.items(), key=lambda nap: nap[0].value)),
            tuple(peer for peer in why.away if peer not in self._asked),
            max(0.0, until_s - now) if why.away else 0.0,
        )

    def naps(self, what_for: Wait) -> int:
        """How many pauses of that kind there were."""
        return self._naps[what_for]

    def part_failed(self, speaker: Speaker) -> int:
        """How many failures in a row were those of our own channels."""
        self._local_failures = self._local_failures + 1 if speaker is Speaker.US else 0
        return self._local_failures

    def begin(self, wait: Pause | PauseForPeers, why: NoRoute | None, now: float, deadline_s: float) -> bool:
        """Note a pause, and why there was no route; whether it is the first of its kind."""
        self.what_for, self.until_s = wait.what_for, min(now + wait.seconds, deadline_s)
        self._why, self._local_failures, self.woken = why, 0, wait.what_for in _ASKED_AGAIN
        self._naps[wait.what_for] += 1
        return self._naps[wait.what_for] == 1

    def asked(
        self, wait: Pause | PauseForPeers, why: NoRoute | None, now: float, deadline_s: float
    ) -> list[ev.AskPeers]:
        """Whom the pause asks; all that are missed are waited for until the same moment."""
        if why is None or isinstance(wait, Pause):
            return []
        self._asked.update(wait.peers)
        if self._peers_until_s is None:
            self._peers_until_s = min(now + PEERS_S, deadline_s)
        return [ev.AskPeers(wait.peers, why.away, self._peers_until_s)]

    def cut_short(self) -> NoRoute | None:
        """Why there was no route, where time is up in a pause that would not have gone on until then."""
        return self._why if self.what_for is not None and is_limited(self.what_for) else None

    def sent(self) -> None:
        """A part goes out: what was taken by what is in flight is no more."""
        self._naps[Wait.BUSY], self.woken = 0, False
        self.what_for = None if self.what_for is Wait.BUSY else self.what_for
