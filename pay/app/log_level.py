"""Which of our log lines anybody can read: those below the host's own level are not made.

A payment has a dozen lines at `debug`: its events, its actions, its parts. Each costs as much as a call to the
host, and at the usual level, `info`, lightningd writes none of them to its file. What is lost is that
`getlog debug` shows them afterwards: who looks for something sets `log-level=debug`.

Where the level is not one word for all, because some subsystem or file has its own, all lines are made.
"""

from __future__ import annotations

import asyncio
import logging

from pay.host.calls import CallError, Host

LEVEL_OPTION = "log-level"

ANSWER_S = 10.0
"""So long the host is waited for."""

_NO_DEBUG = frozenset({"info", "unusual", "warn", "broken", "error"})
"""Words of lightningd's (common/status_levels.c) above debug."""


async def host_level(host: Host) -> int:
    """The level of `logging` from which on the host keeps lines in its log; DEBUG where that is not certain."""
    try:
        async with asyncio.timeout(ANSWER_S):
            told = (await host.patient("listconfigs", {"config": LEVEL_OPTION}))["configs"][LEVEL_OPTION]
        word = str(told["value_str"]).lower()
    except (CallError, TimeoutError, LookupError, TypeError):
        return logging.DEBUG
    return logging.INFO if word in _NO_DEBUG else logging.DEBUG
