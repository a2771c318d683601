"""One `sendpay` and all that can come of it, told to the session as events.

A call without an answer is in flight: it is repeated to the letter until there is one, as the host takes only the
first. An error says that the part is not out, that somebody else has the hash, or that the payment cannot go on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from pay.engine.live.entries import Entries
from pay.engine.live.running import Running
from pay.errors import Code, PayError
from pay.feedback.failure import Failure
from pay.host.calls import CallError, Host, PartOrder, SendpayRow, SendpayStatus, Unanswered, read_failure
from pay.log_events import EventLog, Level, LogEvent
from pay.payment import events as ev
from pay.payment.attempt import Attempt
from pay.payment.states import AttemptStatus
from pay.payment.verdict import NOT_TAKEN
from pay.routing.query import Route
from pay.units import format_scid

log = EventLog("pay")

_REPEAT_FIRST_S, _REPEAT_MOST_S = 0.1, 5.0

QUEUED_S = 60.0
"""So long a call without an answer may wait in the host's queue, behind a slow hook, before the error that its
repeats meet is believed."""

IN_PROGRESS, ALREADY_USED = 200, 201
"""sendpay: another group is pending; the hash, or this part of it, was used."""


class Sender:
    """Sends parts and reads the host's rows of them.

    Parameters
    ----------
    post
        Tells a session what happened.
    """

    def __init__(self, host: Host, entries: Entries, post: Callable[[Running, ev.Event], None]):
        self._host = host
        self._entries = entries
        self._post = post

    async def send(self, running: Running, partid: int, route: Route | None) -> None:
        """Send one part and repeat it to the letter until it is answered: the host takes only the first.

        The first part of a payment goes alone: another sender may have begun a group of the same number, and what
        follows is sent only once the group is ours.
        """
        assert running.order is not None
        await self._entries.written(running)
        if not await running.may_send(partid):
            failure = Failure(None, None, NOT_TAKEN)
            self._post(running, ev.AttemptFailed(partid, failure, running.sent_height(partid)))
            return
        try:
            await self._order(running, running.order, partid, route)
        finally:
            running.group_answered()

    async def _order(self, running: Running, order: PartOrder, partid: int, route: Route | None) -> None:
        if log.is_enabled(Level.DEBUG):
            log.debug(LogEvent.SENDPAY, "%s partid=%d route=%s", running.name, partid, _path_words(route))
        pause_s, lost_at_s, said = _REPEAT_FIRST_S, None, ""
        while True:
            try:
                answer = await self._host.sendpay(order, partid, route)
            except Unanswered as error:
                lost_at_s = lost_at_s or time.monotonic()
                if str(error) != said:
                    said = str(error)
                    log.unusual(LogEvent.SENDPAY_UNANSWERED, "%s partid=%d error=%r", running.name, partid, said)
                if await self._is_heard_of(running, partid, route, pause_s):
                    return
                pause_s = min(pause_s * 2, _REPEAT_MOST_S)
            except CallError as error:
                if lost_at_s is None or error.code in (IN_PROGRESS, ALREADY_USED):
                    await self._refused(running, partid, error)
                    return
                # This is the answer to a repeat: what was sent first may be out, or come out of a queue yet.
                if await self._has_row(running, partid):
                    return
                if time.monotonic() > lost_at_s + QUEUED_S:
                    # It is not planned anew: whatever comes of it late would come on top.
                    self._not_sent(running, partid, "The node gave no answer to a part, then refused it", error)
                    return
                if await self._is_heard_of(running, partid, route, pause_s):
                    return
                pause_s = min(pause_s * 2, _REPEAT_MOST_S)
            else:
                self._taken(running, partid, answer)
                return

    async def _is_heard_of(self, running: Running, partid: int, route: Route | None, pause_s: float) -> bool:
        """After a pause: whether its outcome or its row has been heard of, so that the call did arrive."""
        await asyncio.sleep(pause_s)
        if running.session.attempts[partid].status is not AttemptStatus.CREATED:
            return True
        # v26.06 dies of a payment to itself that is repeated.
        return route is None and await self._has_row(running, partid)

    def _taken(self, running: Running, partid: int, answer: dict[str, Any]) -> None:
        """`sendpay` answered with a row."""
        groupid = int(answer.get("groupid", running.session.terms.groupid))
        ours = groupid == running.session.terms.groupid
        if not ours or not is_of(running, partid, int(answer["amount_sent_msat"])):
            # Another sender was quicker: the host answers for the row of his that bears our numbers.
            self._post(running, ev.HashTaken(partid, "another sender has a part of this hash"))
            return
        running.saw_row(answer)
        if answer["status"] == "complete":
            self._post(running, ev.AttemptSettled(partid, bytes.fromhex(answer["payment_preimage"])))
        else:
            self._post(running, ev.AttemptAccepted(partid))

    def _not_sent(self, running: Running, partid: int, why: str, error: CallError) -> None:
        """No part any more, and this one failed."""
        words = f"{why}: {error.message} (code {error.code})"
        self._post(running, ev.Cancelled(PayError(Code.OTHER, words)))
        failure = Failure(None, None, error.message)
        self._post(running, ev.AttemptFailed(partid, failure, running.sent_height(partid)))

    async def _has_row(self, running: Running, partid: int) -> bool:
        """Whether the host has the part in its table; if so the session is told what became of it."""
        terms = running.session.terms
        for row in await self._host.rows(terms.payment_hash):
            if (row.groupid, row.partid) == (terms.groupid, partid) and is_of(running, partid, row.sent_msat):
                self.tell_row(running, row)
                return True
        return False

    async def _refused(self, running: Running, partid: int, error: CallError) -> None:
        """`sendpay` answered with an error: what that says of the part, and of the payment."""
        log.debug(
            LogEvent.SENDPAY_REFUSED,
            "%s partid=%d code=%d reason=%r",
            running.name,
            partid,
            error.code,
            error.message,
        )
        if error.code == IN_PROGRESS:
            self._post(running, ev.HashTaken(partid, error.message))
        elif error.code == ALREADY_USED:
            if not await self._has_row(running, partid):
                self._post(running, ev.HashTaken(partid, error.message))
        elif error.code in (202, 203, 204):
            failure = read_failure(error.code, error.message, error.data)
            self._post(running, ev.AttemptFailed(partid, failure, running.sent_height(partid)))
        else:
            self._not_sent(running, partid, "The node refused to send a part", error)

    def tell_row(self, running: Running, row: SendpayRow) -> None:
        """Tell the session what the host's table has of a part of its, where it does not know that yet."""
        running.was_begun(row.created_at)
        if _is_known(running.session.attempts[row.partid], row):
            return
        match row.status:
            case SendpayStatus.COMPLETE:
                if row.preimage is not None:
                    self._post(running, ev.AttemptSettled(row.partid, row.preimage))
            case SendpayStatus.FAILED:
                failure = Failure(None, None, "the node has it as failed, its reason was not heard")
                self._post(running, ev.AttemptFailed(row.partid, failure, running.sent_height(row.partid)))
            case SendpayStatus.PENDING:
                self._post(running, ev.AttemptAccepted(row.partid))


def _is_known(attempt: Attempt, row: SendpayRow) -> bool:
    """Whether a row is as the session has its part: the table is looked at twice a minute, and told of every time
    a payment of a hundred parts would fill a log in an hour."""
    match row.status:
        case SendpayStatus.COMPLETE:
            return attempt.status is AttemptStatus.SETTLED
        case SendpayStatus.FAILED:
            # A part that has settled here has the preimage, whatever the table says.
            return not attempt.live
        case SendpayStatus.PENDING:
            return attempt.status is not AttemptStatus.CREATED


def is_of(running: Running, partid: int, sent_msat: int) -> bool:
    """Whether a row of our group is of the part that we ordered; another sender's may bear the same numbers."""
    attempt = running.session.attempts.get(partid)
    return attempt is not None and attempt.sent_msat == sent_msat


def _path_words(route: Route | None) -> str:
    """The channels of a route with the amount that each is given."""
    if route is None:
        return "self"
    return ",".join(f"{format_scid(hop.scid)}/{hop.direction}:{hop.amount_msat}" for hop in route.hops)
