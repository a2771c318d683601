"""What a command works with, of fakes: for tests that ask one without a plugin around it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pay.commands.form.command import Context
from pay.engine.live.register import Register
from pay.engine.open_calls import OpenCalls
from pay.host.version import Version


def context(
    host: Any, register: Register | None = None, calls: OpenCalls | None = None, paying: Any = None
) -> Context:
    """A host that is the planner too; started. To be called on a running loop."""
    ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    ready.set_result(paying)
    return Context(
        host,
        host,
        register or Register(),
        calls or OpenCalls(),
        host,
        ready,
        began_s=time.time(),
        version=Version.parse("v26.06"),
    )


def silent(message: str, level: str = "info") -> None:
    """Nobody listens."""
