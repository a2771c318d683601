"""The first plan of a payment, thought of while the host is still asked whether it may be paid at all.

The host's table of what was paid, a signer, a policy, a hook: what stands before a payment takes a moment or
minutes, and a plan needs nothing of it. So the shadow route, the list of our channels and the plan are made
meanwhile, and nothing of them is sent: the routes are handed to the session when it asks for them, which it does
once it has begun, after the approval, if they are still true then (`pay.engine.live.routes`): else the plan is
made anew as all others are.

Of many payments at once hardly a plan would stay true until it is asked for. Only one that is alone is foreseen.
"""

from __future__ import annotations

import asyncio
import time

from pay.engine.live.own_channels import OwnChannels
from pay.engine.live.register import Register
from pay.engine.live.routes import Foreseen, Plan, situation
from pay.engine.shadowing import Shadowing
from pay.host.calls import CallError
from pay.invoice import Recipient
from pay.invoice.recipient import ClearRecipient
from pay.log_events import EventLog, LogEvent
from pay.payment.events import FindRoutes, Started
from pay.payment.session import PaymentSession
from pay.payment.settings import Shadow
from pay.payment.terms import Terms
from pay.router.planning import Planning

log = EventLog("pay")

CHANNELS_S = 1.0
"""So long the host's list of our channels is waited for; without it there is no plan yet."""


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
        shadowed = asyncio.create_task(self._shadowing.shadowed(terms, recipient, kind, self._register.out))
        plan = asyncio.create_task(self._plan(shadowed, recipient))
        self._last = Foreseen(terms, kind, shadowed, plan)
        return self._last

    async def _plan(self, shadowed: asyncio.Task[Terms], recipient: Recipient) -> Plan | None:
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
                    asked = situation(action, recipient, listed, out)
                    return Plan(asked, await self._planning.find(asked), changes, made_s)
        except (CallError, TimeoutError) as error:
            log.debug(LogEvent.NOT_FORESEEN, "error=%r", str(error) or "no answer in time")
        except Exception:
            log.broken(LogEvent.NOT_FORESEEN)
        finally:
            listing.cancel()
        return None
