"""The answer to a session that asks for routes: by the planner, or as it was foreseen.

The planner is told what our channels have left and what is held on those of others, as of now, one plan after the
other: what one has ordered is held for the next. The first plan of a payment may have been made before it began
(`pay.engine.foresight`). It is the answer only if the session asks the same question a moment later, and nothing
of any payment began or ended in between: so no slot of a channel is promised twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pay.engine.live.out import Out
from pay.engine.live.own_channels import OwnChannels, less_ordered
from pay.engine.live.running import Running
from pay.host.calls import ListedChannel
from pay.invoice import Recipient
from pay.payment.events import FindRoutes
from pay.payment.settings import Shadow
from pay.payment.terms import Terms, hints_of
from pay.router.planning import Planning
from pay.routing.query import Answer, Situation

FRESH_S = 0.25
"""So old a foreseen plan may be when it is asked for: what the host and gossip said for it is as old."""

CHANNELS_S = 60.0
"""So long at least, and for all of `retry_for`, the host is given to list our channels. Without them nothing more
can be sent, and who waits for a first part is told so."""


def situation(action: FindRoutes, recipient: Recipient, listed: Sequence[ListedChannel], out: Out) -> Situation:
    """All that a plan is made from, as of now; `listed` may be a moment older than what is `out`."""
    own = less_ordered(listed, out)
    return Situation(action.query, own, action.restrictions, hints_of(recipient), out.held(), action.whole)


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer to a question that nobody has asked yet.

    Parameters
    ----------
    changes
        Of what is out, when our channels were looked at.
    made_s
        When that was, by `time.monotonic`.
    """

    asked: Situation
    answer: Answer
    changes: int
    made_s: float

    def answers(self, action: FindRoutes, changes: int, now_s: float) -> bool:
        """Whether it is what a session asks at `now_s`, after so many `changes` of what is out."""
        return (
            changes == self.changes
            and 0 <= now_s - self.made_s < FRESH_S
            and action.whole is None
            and action.query == self.asked.query
            and action.restrictions == self.asked.restrictions
        )


class Foreseen:
    """What is being thought of for a payment that may begin.

    Parameters
    ----------
    terms
        Of the payment as if it began now, without a shadow.
    shadowed
        Those terms with the shadow of that `kind`.
    plan
        The first plan of a payment with such terms; None where it cannot be made now.
    """

    def __init__(self, terms: Terms, kind: Shadow, shadowed: asyncio.Task[Terms], plan: asyncio.Task[Plan | None]):
        self._terms = terms
        self._kind = kind
        self._shadowed = shadowed
        self._plan = plan

    @property
    def going_on(self) -> bool:
        return not self._plan.done()

    async def shadow(self, terms: Terms, kind: Shadow) -> Terms | None:
        """`terms` with the shadow, if they are the foreseen ones but for the time and the number of the group."""
        then = self._terms
        limits = replace(terms.limits, deadline_s=then.limits.deadline_s)
        now = replace(terms, groupid=then.groupid, created_at_s=then.created_at_s, limits=limits)
        if now != then or kind is not self._kind:
            return None
        shadowed = await self._shadowed
        return terms.with_shadow(shadowed.shadow_blocks, shadowed.shadow_fee_msat)

    async def plan(self) -> Plan | None:
        """None where there is none."""
        # Who asks is not cancelled with what he waits for.
        await asyncio.wait({self._plan})
        return None if self._plan.cancelled() else self._plan.result()

    def forget(self) -> None:
        """Nobody will ask for it."""
        self._shadowed.cancel()
        self._plan.cancel()


class Routes:
    """Answers what sessions ask.

    Parameters
    ----------
    own
        Our channels as the host lists them.
    out
        What is out, of all payments.
    """

    def __init__(self, planning: Planning, own: OwnChannels, out: Out):
        self._planning = planning
        self._own = own
        self._out = out
        self._foreseen: dict[Running, Foreseen] = {}

    def expect(self, running: Running, foreseen: Foreseen) -> None:
        """What was thought of for a payment that begins now."""
        self._foreseen[running] = foreseen

    def forget(self, running: Running) -> None:
        """It asks no more."""
        self._foreseen.pop(running, None)

    async def find(self, running: Running, action: FindRoutes) -> Answer:
        """Routes, or why there are none. Raises CallError, TimeoutError where our channels are not listed."""
        patience_s = max(CHANNELS_S, running.session.terms.limits.deadline_s - running.clock.now())
        foreseen = self._foreseen.pop(running, None)
        if foreseen is not None:
            plan = await foreseen.plan()
            async with self._own.turn:
                # The session takes the routes before the next plan has its turn.
                if plan is not None and plan.answers(action, self._out.changes, time.monotonic()):
                    return plan.answer
        async with asyncio.timeout(patience_s):
            listed = await self._own.listed()
        async with self._own.turn:
            return await self._planning.find(situation(action, running.recipient, listed, self._out))
