"""Callers that wait hear now and then how it stands: a payment that is held says nothing of itself."""

from __future__ import annotations

import asyncio

from pay.engine.live.running import Running
from pay.payment.states import State
from pay.payment.status import how_it_stands

FIRST_S = 2.0
"""Most payments are over before the first word; a terminal that says nothing for longer is taken for stuck."""

TELL_S = 30.0
"""Between two words."""


async def tell_progress(running: Running, every_s: float = TELL_S, at_once: bool = False) -> None:
    """As long as the payment lives; `at_once` for the first time without a wait."""
    while running.session.state is not State.DONE:
        if not at_once:
            await asyncio.sleep(every_s)
        at_once = False
        if running.listeners:
            running.tell(how_it_stands(running.session, running.times, running.clock.now()))
