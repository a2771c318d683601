"""All payments of this run, in one place: those about to begin, those in work, and those that are over.

Of what is over, the last are kept for who asks how it went, as many as their attempts allow, and without what only
a payment in work needs; of more it is kept that they were paid, and with what, or that their callers were told
that they were not.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from pay.engine.live.in_work import InWork
from pay.engine.live.others import Others
from pay.engine.live.out import Out
from pay.engine.live.part_times import PartTimes
from pay.engine.live.running import Running, Source
from pay.payment import events as ev
from pay.payment.receipt import Receipt
from pay.payment.standing import Standing, standing_at_the_end, standing_of

MOST_FINISHED = 1_000
MOST_ATTEMPTS = 5_000
"""Kept with their attempts: so many payments, with so many attempts together, 2 kB each."""

MOST_ENDS = 2_000
"""Receipts and refusals kept, a kB each."""


@dataclass(frozen=True, slots=True)
class Known:
    """That a payment was made.

    Parameters
    ----------
    whole
        All of it was ours, so that its figures are certain.
    partids
        The parts that had settled or were out.
    """

    receipt: Receipt
    whole: bool
    partids: frozenset[int]


@dataclass(frozen=True, slots=True)
class GivenUp:
    """That the callers of a payment were told that it was not made; `tried` if parts of it were ordered."""

    groupid: int
    bolt11: str
    tried: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A payment as it is shown.

    Parameters
    ----------
    ours
        We sent its parts.
    times
        By partid.
    """

    standing: Standing
    source: Source
    ours: bool
    times: Mapping[int, PartTimes]


def snapshot_of(running: Running) -> Snapshot:
    """As of now."""
    return Snapshot(standing_of(running.session), running.source, running.ours, dict(running.times))


class Register:
    """Payments by their payment_hash.

    Attributes
    ----------
    live
        Those in work, oldest first.
    out
        Their parts that may still settle: told by who changes a session.
    names
        Has their names and those of the ones about to begin.
    others
        What other plugins of the node tell of theirs.
    """

    def __init__(self, in_work: InWork | None = None) -> None:
        self.names = InWork() if in_work is None else in_work
        self.live: dict[bytes, Running] = {}
        self.out = Out()
        self.others = Others()
        self._beginning: dict[bytes, Running] = {}
        self._finished: deque[Snapshot] = deque()
        self._attempts = 0
        self._paid: OrderedDict[bytes, Known] = OrderedDict()
        self._given_up: OrderedDict[bytes, GivenUp] = OrderedDict()

    # --- looking --------------------------------------------------------------------------------------------

    def beginning_of(self, payment_hash: bytes) -> Running | None:
        """The payment that is about to begin, if there is one."""
        return self._beginning.get(payment_hash)

    def has(self, payment_hash: bytes) -> bool:
        """Whether it is in work, or about to begin."""
        return payment_hash in self.live or payment_hash in self._beginning

    @property
    def busy(self) -> bool:
        """Whether any is in work or about to begin."""
        return bool(self.live or self._beginning)

    def in_work(self) -> list[Running]:
        """With those about to begin: preapproval may keep them waiting, and who looks meanwhile must find them."""
        return [*self.live.values(), *self._beginning.values()]

    def finished(self) -> list[Snapshot]:
        """The last that ended, oldest first."""
        return list(self._finished)

    @property
    def room(self) -> int:
        """How many more that ended could be kept."""
        return MOST_FINISHED - len(self._finished)

    def snapshot(self, running: Running) -> Snapshot:
        """As of now."""
        return snapshot_of(running)

    def ended(self) -> set[bytes]:
        """Payment_hashes of what has ended in this run, as far as anything is kept of it."""
        return {*self._paid, *self._given_up}

    def known(self, payment_hash: bytes) -> Known | None:
        """What is known here of a payment that was made."""
        running = self.live.get(payment_hash)
        known = _known(running) if running is not None else None
        return known or self._paid.get(payment_hash)

    def given_up(self, payment_hash: bytes, groupid: int) -> GivenUp | None:
        """The payment whose callers were told that it was not made, if a part of `groupid` can be of it."""
        given_up = self._given_up.get(payment_hash)
        return given_up if given_up is not None and groupid <= given_up.groupid else None

    def highest_groupid(self, payment_hash: bytes) -> int:
        """Of the payments of this run that failed with parts; those that the host refused left no row there."""
        given_up = self._given_up.get(payment_hash)
        return given_up.groupid if given_up is not None and given_up.tried else 0

    # --- changing -------------------------------------------------------------------------------------------

    def begin(self, running: Running) -> None:
        """It is about to begin."""
        payment_hash = running.session.terms.payment_hash
        assert payment_hash not in self._beginning, "two payments of one hash"
        self._beginning[payment_hash] = running
        self.names.enter(*_names(running))

    def begun(self, running: Running) -> None:
        """It has, or it was declined."""
        del self._beginning[running.session.terms.payment_hash]
        self.names.leave(*_names(running))
        running.has_begun.set()

    def start(self, running: Running) -> None:
        """It is in work from now on."""
        payment_hash = running.session.terms.payment_hash
        assert payment_hash not in self.live, "two payments of one hash"
        self.live[payment_hash] = running
        self.names.enter(*_names(running))

    def remember(self, known: Known) -> None:
        """What was answered from elsewhere: it stays the answer, whatever is deleted there."""
        self._paid[known.receipt.payment_hash] = known
        if len(self._paid) > MOST_ENDS:
            self._paid.popitem(last=False)

    def drop(self, running: Running) -> bool:
        """It is another sender's affair; False where it was not in work any more."""
        payment_hash = running.session.terms.payment_hash
        if self.live.get(payment_hash) is not running:
            return False
        del self.live[payment_hash]
        self.names.leave(*_names(running))
        self.out.leave(running)
        return True

    def end(self, running: Running) -> bool:
        """It is over, its last part too; False where it was before."""
        if not self.drop(running):
            return False
        payment_hash = running.session.terms.payment_hash
        known = _known(running)
        if known is not None:
            self.remember(known)
            self._given_up.pop(payment_hash, None)
        elif isinstance(running.session.result, ev.NotPaid) and running.order is not None:
            self._given_up[payment_hash] = GivenUp(
                running.session.terms.groupid, running.order.bolt11, tried=bool(running.session.attempts)
            )
            if len(self._given_up) > MOST_ENDS:
                self._given_up.popitem(last=False)
        standing = standing_at_the_end(running.session)
        self._finished.append(Snapshot(standing, running.source, running.ours, running.times))
        self._attempts += len(standing.attempts)
        while len(self._finished) > 1 and (len(self._finished) > MOST_FINISHED or self._attempts > MOST_ATTEMPTS):
            self._attempts -= len(self._finished.popleft().standing.attempts)
        return True


def _names(running: Running) -> set[str]:
    names = {running.session.terms.payment_hash.hex()}
    return names if running.source.bolt11 is None else names | {running.source.bolt11}


def _known(running: Running) -> Known | None:
    receipt = running.receipt()
    if receipt is None:
        return None
    counted = frozenset(a.partid for a in running.session.attempts.values() if a.counts)
    return Known(receipt, running.whole, counted)
