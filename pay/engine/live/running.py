"""A session with what surrounds it at the edge: the order for its parts, who listens, and its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pay.engine.live.part_times import PartTimes, latest_block
from pay.host.calls import PartOrder
from pay.invoice import Recipient
from pay.payment import events as ev
from pay.payment.attempt import Attempt
from pay.payment.patience import WORDS
from pay.payment.receipt import Receipt
from pay.payment.session import PaymentSession
from pay.payment.states import AttemptStatus, State
from pay.payment.verdict import parts_out
from pay.units import NodeId, format_msat

FIRST_S = 2.0
"""Most payments are over before the first word; a terminal that says nothing for longer is taken for stuck."""

TELL_S = 30.0
"""Between two words."""


class Tell(Protocol):
    """Takes words for one caller that waits."""

    def __call__(self, message: str, level: str = "info") -> None: ...


class PaymentClock:
    """Unix seconds that only go forward, from the moment in which a payment begins.

    What a payment waits for must not take longer because somebody set the clock back. Whether an invoice has
    expired is another matter: that is asked of the clock on the wall.
    """

    def __init__(self) -> None:
        self._began_s = time.time()
        self._steady_s = time.monotonic()

    def now(self) -> float:
        return self._began_s + time.monotonic() - self._steady_s


@dataclass(frozen=True, slots=True)
class Source:
    """Where a payment comes from, as lists of payments show it."""

    bolt11: str | None
    label: str | None
    description: str | None = None


@dataclass(slots=True, eq=False)
class Running:
    """One payment in work.

    Parameters
    ----------
    order
        What its parts say beside their routes; None where parts of somebody else are watched, or of a run of ours
        of which no journal is left.
    found
        Of parts without an order: what their rows say.
    total_known
        Whether we know what its parts will come to.
    total_chosen
        The caller chose what it comes to: the invoice has no amount, or others pay the rest of it.
    created_at_s
        Unix time of the host's first row of it, as every later look at the payment shows it.
    listeners
        The callers that wait.

    Attributes
    ----------
    times
        By partid: when a part was sent and ended, and at which block.
    over
        Set once its last part has ended as well.
    called_back
        Peers that were away and have been asked to come back for it.
    """

    session: PaymentSession
    recipient: Recipient
    order: PartOrder | None
    listeners: list[Tell] = field(default_factory=list)
    found: Source | None = None
    total_known: bool = True
    total_chosen: bool = False
    created_at_s: int | None = None
    clock: PaymentClock = field(default_factory=PaymentClock)
    _answer: ev.Result | None = field(init=False, default=None)
    _answered: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _answered_at: float = field(init=False, default=0.0)
    over: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    sending: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    timer: asyncio.TimerHandle | None = field(init=False, default=None)
    waits: list[asyncio.TimerHandle] = field(init=False, default_factory=list)
    height_wanted: int | None = field(init=False, default=None)
    times: dict[int, PartTimes] = field(init=False, default_factory=dict)
    called_back: set[NodeId] = field(init=False, default_factory=set)
    crashed: bool = field(init=False, default=False)
    has_begun: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _opener: int | None = field(init=False, default=None)
    _group_answered: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    @property
    def ours(self) -> bool:
        """Its parts are of this run or, as the journal says, of an earlier one; else another sender may go on."""
        return self.order is not None

    @property
    def whole(self) -> bool:
        """The session has all of its parts, so that its figures are those of the payment."""
        return not self.session.terms.watched and not self.crashed

    @property
    def source(self) -> Source:
        if self.order is not None:
            return Source(self.order.bolt11, self.order.label, self.order.description)
        return self.found or Source(None, None)

    @property
    def name(self) -> str:
        """As log lines name it."""
        terms = self.session.terms
        return f"payment_hash={terms.payment_hash.hex()} groupid={terms.groupid}"

    def tell(self, message: str) -> None:
        """Say it to all callers that wait."""
        for listener in self.listeners:
            listener(message)

    def waits_with(self) -> str:
        """To a caller whose invoice is in work already."""
        terms = self.session.terms
        seconds = max(0.0, self.clock.now() - terms.created_at_s)
        begun = f"Already being paid, for {seconds:.0f} s now: waiting for that payment"
        if terms.watched:
            return f"{begun}; no part is added"
        fee, blocks = format_msat(terms.limits.max_fee_msat), terms.limits.max_delay_blocks
        return f"{begun}, with its limits: fee {fee}, delay {blocks} blocks"

    async def outcome(self, tell: Tell) -> ev.Result:
        """How it ends, for a caller among the listeners; one that goes away ends nothing."""
        try:
            await self._answered.wait()
            assert self._answer is not None
            return self._answer
        finally:
            with suppress(ValueError):
                self.listeners.remove(tell)

    async def may_send(self, partid: int) -> bool:
        """Whether a part may be sent: at once the first one, the others when the host has answered that.

        Another sender may have begun a group of the same number, and the host would mix both in it.
        """
        if self._opener is None:
            self._opener = partid
        if partid == self._opener:
            return True
        await self._group_answered.wait()
        return not self.crashed and self.session.verdict is None and self.session.result is None

    def group_answered(self) -> None:
        """The host has answered a part: its group is ours, or the session knows that it is not."""
        self._group_answered.set()

    async def ends_soon(self, most_s: float) -> None:
        """Wait until its last part has ended too; until `most_s` after its answer at the most."""
        left_s = self._answered_at + most_s - time.monotonic()
        if not self.over.is_set() and left_s > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), left_s)

    async def begun(self, most_s: float) -> None:
        """Wait until one that is about to begin has, or was declined; so long at the most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.has_begun.wait(), most_s)

    @property
    def answered(self) -> bool:
        return self._answer is not None

    def answer(self, result: ev.Result) -> None:
        """The end for those who wait; the first one stays."""
        if self._answer is None:
            self._answer = result
            self._answered_at = time.monotonic()
            self._answered.set()

    def receipt(self) -> Receipt | None:
        """What callers read of it as of now, if it is paid."""
        paid = self.session.paid
        if paid is None:
            return None
        terms = self.session.terms
        created_at_s = self.created_at_s or int(terms.created_at_s)
        destination = terms.destination if any(terms.destination) else None
        return Receipt(terms.payment_hash, destination, created_at_s, paid)

    # --- what the runner notes -----------------------------------------------------------------------------

    def saw_row(self, fields: dict[str, Any]) -> None:
        """Take in a row of a part of ours, from whatever message it came."""
        if "created_at" in fields:
            self.was_begun(int(fields["created_at"]))

    def was_begun(self, created_at_s: int) -> None:
        """The host dates a row of it so."""
        self.created_at_s = min(created_at_s, self.created_at_s or created_at_s)

    def sent_height(self, partid: int) -> int:
        """The block that we were at when a part was sent; 0 where there is no such part."""
        times = self.times.get(partid)
        return 0 if times is None else times.sent_height

    def lost_outcome(self, partid: int) -> None:
        """The host has deleted what it knew of a part before that was heard of."""
        self.times[partid] = replace(self.times[partid], outcome_lost=True)

    def new_times(self, height: int) -> tuple[list[Attempt], list[tuple[Attempt, float]]]:
        """Note which parts began and ended since the last look, and say so: the new, and the old with seconds."""
        now_s, began, ended = self.clock.now(), [], []
        for partid, attempt in self.session.attempts.items():
            times = self.times.get(partid)
            if times is None:
                # Of a part that was found nobody knows at which block it was sent.
                sent_height = height if attempt.status is AttemptStatus.CREATED else 0
                self.times[partid] = PartTimes(attempt.started_s, None, sent_height)
                began.append(attempt)
            elif times.ended_s is None and not attempt.live:
                self.times[partid] = replace(times, ended_s=now_s)
                ended.append((attempt, now_s - times.started_s))
        return began, ended


async def tell_progress(running: Running, every_s: float = TELL_S, at_once: bool = False) -> None:
    """Tell callers now and then how it stands: a payment that is held says nothing of itself.

    As long as it lives; `at_once` for the first time without a wait.
    """
    while running.session.state is not State.DONE:
        if not at_once:
            await asyncio.sleep(every_s)
        at_once = False
        if running.listeners:
            running.tell(how_it_stands(running.session, running.times, running.clock.now()))


def how_it_stands(session: PaymentSession, times: Mapping[int, PartTimes], now_s: float) -> str:
    """One line for callers that wait: what for, and for how long at the most."""
    since = f"after {max(0.0, now_s - session.terms.created_at_s):.0f} s"
    live = session.live
    if not live:
        match session.state:
            case State.WAITING_HEIGHT:
                return f"Waiting {since}: nothing is out, the recipient is a block ahead of us"
            case State.PAUSING if session.waits.what_for is not None:
                return f"Waiting {since}: nothing is out, and {WORDS[session.waits.what_for]}"
            case _:
                return f"Waiting {since}: nothing is out, routes are being looked for"
    words = f"Waiting {since}: {parts_out(live)}"
    ends = [latest_block(part, times.get(part.partid)) for part in live]
    known = [end for end in ends if end is not None]
    return f"{words}, over by block {max(known)} at the latest" if len(known) == len(live) else words
