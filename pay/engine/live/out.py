"""What is out: the parts of all payments that may still settle, kept as they begin and end.

Each plan must know what all payments hold, of channels of others and of our own, and each part that ends what was
out with it. Looking through all payments for it makes a plan dearer with each payment that is in work. So it is a
value here, which is told of a payment after whatever may have changed its parts; it is at any time what a walk
through all payments would find (tests/property/test_out.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pay.engine.live.running import Running
from pay.liquidity.in_flight import Fate, InFlight, Part
from pay.payment.attempt import Attempt
from pay.payment.states import AttemptStatus
from pay.units import ScidDir

Ordered = dict[tuple[bytes, int], list[tuple[Running, int]]]
"""Live parts by payment_hash and what leaves us for them, msat: a list, since two may be alike in both."""


class Out:
    """Live parts.

    Attributes
    ----------
    changes
        Counts the parts that began, and those that ended.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._live: dict[Running, dict[int, Attempt]] = {}
        self._parts: dict[tuple[Running, int], Part] = {}
        self._held: dict[ScidDir, int] = {}
        self._by_channel: dict[int, Ordered] = {}

    # --- looking --------------------------------------------------------------------------------------------

    @property
    def parts(self) -> Collection[Part]:
        """What is out on channels of others; of parts that were taken up after a restart no route is known."""
        return self._parts.values()

    def in_flight(self) -> InFlight:
        """The same as a value of its own."""
        return InFlight(tuple(self._parts.values()))

    def held(self) -> dict[ScidDir, int]:
        """What is held on each direction of others, msat, as of now; empty when nothing is out."""
        return self._held.copy()

    def over(self, names: Collection[int]) -> Mapping[tuple[bytes, int], list[tuple[Running, int]]]:
        """Live parts over our channel with these names."""
        found = [ordered for name in names if (ordered := self._by_channel.get(name))]
        if len(found) < 2:
            return found[0] if found else {}
        merged: Ordered = {}
        for ordered in found:
            for htlc, parts in ordered.items():
                merged[htlc] = [*merged.get(htlc, ()), *parts]
        return merged

    def attempt(self, running: Running, partid: int) -> Attempt:
        """A live part as it is now."""
        return self._live[running][partid]

    # --- changing -------------------------------------------------------------------------------------------

    def follow(self, running: Running) -> None:
        """Something may have happened to parts of this payment, which is in work."""
        kept = self._live.get(running)
        if kept is None and not running.session.attempts:
            return
        live = {attempt.partid: attempt for attempt in running.session.live}
        if kept is not None:
            for partid in kept.keys() - live.keys():
                self._end(running, kept[partid])
        for partid, attempt in live.items():
            if kept is None or partid not in kept:
                self._begin(running, attempt)
        if live:
            self._live[running] = live
        elif kept is not None:
            del self._live[running]

    def leave(self, running: Running) -> None:
        """It is no longer in work, whatever its parts are."""
        for attempt in self._live.pop(running, {}).values():
            self._end(running, attempt)

    def _begin(self, running: Running, attempt: Attempt) -> None:
        self.changes += 1
        part = part_of(attempt, None)
        if part is None:
            return
        self._parts[running, attempt.partid] = part
        for channel, amount_msat in part.holds:
            self._held[channel] = self._held.get(channel, 0) + amount_msat
        ordered = self._by_channel.setdefault(_first_scid(attempt), {})
        ordered.setdefault(_htlc(running, attempt), []).append((running, attempt.partid))

    def _end(self, running: Running, attempt: Attempt) -> None:
        self.changes += 1
        part = self._parts.pop((running, attempt.partid), None)
        if part is None:
            return
        for channel, amount_msat in part.holds:
            left_msat = self._held[channel] - amount_msat
            if left_msat:
                self._held[channel] = left_msat
            else:
                del self._held[channel]
        ordered, htlc = self._by_channel[_first_scid(attempt)], _htlc(running, attempt)
        ordered[htlc].remove((running, attempt.partid))
        if not ordered[htlc]:
            del ordered[htlc]


def _first_scid(attempt: Attempt) -> int:
    assert attempt.route is not None
    return attempt.route.hops[0].scid


def _htlc(running: Running, attempt: Attempt) -> tuple[bytes, int]:
    return running.session.terms.payment_hash, attempt.sent_msat


def part_of(attempt: Attempt, ended_s: float | None) -> Part | None:
    """An attempt as others must take it into account; None where its route is not known, or it is our own
    channel."""
    if attempt.route is None:
        return None
    fate = Fate.OUT
    if not attempt.live:
        fate = Fate.SETTLED if attempt.status is AttemptStatus.SETTLED else Fate.FAILED
    holds = tuple((hop.scid_dir, hop.amount_msat) for hop in attempt.route.hops[1:])
    return Part(holds, fate, attempt.started_s, ended_s)
