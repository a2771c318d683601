"""One answer of the host for all who ask for the same while it is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Together(Generic[T]):
    """Asks once for all who come together; who comes after the answer asks anew.

    Parameters
    ----------
    ask
        Gets the answer.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]]):
        self._ask = ask
        self._asking: asyncio.Task[T] | None = None

    async def answer(self) -> T:
        """Raises what `ask` raises. That one asker goes away is nothing to the others."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)
