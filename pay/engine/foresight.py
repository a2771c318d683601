"""The first plan of a payment, thought of while the host is still asked whether it may be paid at all.

The host's table of what was paid, a signer, a policy, a hook: what stands before a payment takes a moment or
minutes, and a plan needs nothing of it. So the shadow route, the list of our channels and the plan are made
meanwhile, and nothing of them is sent: the routes are handed to the session when it asks for them, which it does
once it has begun, after the approval. It gets them only if it asks the same question, a moment later, and nothing
of any payment began or ended in between: else the plan is made anew as all others are. So no slot of a channel is
promised twice.

Of many payments at once hardly a plan would stay true until it is asked for. Only one that is alone is foreseen.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace

from pay.engine.live.own_channels import OwnChannels, less_ordered
from pay.engine.live.register import Register
from pay.engine.shadowing import Shadowing
from pay.host.calls import CallError
from pay.invoice import Recipient
from pay.invoice.recipient import ClearRecipient
from pay.payment.events import FindRoutes, Started
from pay.payment.session import PaymentSession
from pay.payment.settings import Shadow
from pay.payment.terms import Terms, hints_of
from pay.router.planning import Planning
from pay.routing.query import Answer, Situation

log = logging.getLogger("pay")

FRESH_S = 0.25
"""So old a foreseen plan may be when it is asked for: what the host and gossip said for it is as old."""

CHANNELS_S = 1.0
"""So long the host's list of our channels is waited for; without it there is no plan yet."""


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
    """

    def __init__(self, foresight: Foresight, terms: Terms, recipient: Recipient, kind: Shadow):
        self._terms = terms
        self._kind = kind
        self._shadowed = asyncio.create_task(foresight.shadowed(terms, recipient, kind))
        self._plan = asyncio.create_task(foresight.plan(self._shadowed, recipient))

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


class Foresight:
    """Thinks ahead, of one payment at a time.

    Parameters
    ----------
    own
        Our channels, as the plans of sessions see them.
    """

    def __init__(self, planning: Planning, shadowing: Shadowing, own: OwnChannels, register: Register):
        self._planning = planning
        self._shadowing = shadowing
        self._own = own
        self._register = register
        self._last: Foreseen | None = None

    def idle(self, payment_hash: bytes) -> bool:
        """Whether there may be something to plan for this payment, and no other would make it void."""
        busy = self._register.busy or (self._last is not None and self._last.going_on)
        return not busy and self._register.known(payment_hash) is None

    def of(self, terms: Terms, recipient: Recipient, kind: Shadow) -> Foreseen | None:
        """Begin with it, where it is `idle`; None where there is nothing to plan."""
        if not isinstance(recipient, ClearRecipient):
            return None
        self._last = Foreseen(self, terms, recipient, kind)
        return self._last

    async def shadowed(self, terms: Terms, recipient: Recipient, kind: Shadow) -> Terms:
        """The terms with a shadow, or without one where there is none."""
        return await self._shadowing.shadowed(terms, recipient, kind, self._register.out)

    async def plan(self, shadowed: asyncio.Task[Terms], recipient: Recipient) -> Plan | None:
        """The first plan of a payment with such terms; None where it cannot be made now."""
        out = self._register.out
        made_s, changes = time.monotonic(), out.changes
        listing = asyncio.create_task(self._own.listed())
        try:
            terms = await shadowed
            async with asyncio.timeout(CHANNELS_S):
                listed = await listing
            # What a session asks first is asked by one that nobody will hear of again.
            for action in PaymentSession(terms).handle(Started(), time.time()):
                if isinstance(action, FindRoutes):
                    own, held = less_ordered(listed, out), out.held()
                    asked = Situation(action.query, own, action.restrictions, hints_of(recipient), held)
                    return Plan(asked, await self._planning.find(asked), changes, made_s)
        except (CallError, TimeoutError) as error:
            log.debug("not_foreseen error=%r", str(error) or "no answer in time")
        except Exception:
            log.exception("not_foreseen")
        finally:
            listing.cancel()
        return None
