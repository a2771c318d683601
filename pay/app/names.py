"""Whether the commands that we hook exist: a hook is asked only of those that somebody has registered.

Where nobody has `pay` (the builtin is disabled, and what was seen of the host before the manifest did not say so,
or somebody stops it later) every call of it would be refused, and nobody would see why. That is noticed, said, and
mended by a second plugin that has the name and nothing else (`stand_in/`): its calls are ours by the hook.

None is started while the node starts: lightningd leaves the loop that waits for its plugins as soon as one that
was started meanwhile has its manifest (lightningd/plugin.c, check_plugins_manifests), and those that are not ready
then never are. It starts once every plugin of `plugin list` is active, which is when that loop has ended.

It is never stopped by us: a node ends where the owner of a command ends while a call of it is at a hook. Who wants
another plugin to have the name stops it, and it is not started a second time.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pay.host.calls import METHOD_NOT_FOUND, CallError, Host, Unanswered
from pay.log_events import EventLog, LogEvent

log = EventLog("pay")

STAND_INS = Path(__file__).parent / "stand_in"
NAMES = ("pay", "paystatus")
"""What the builtin has; `xpay` and `listpays` without their owner are missed by nobody who calls `pay`."""

BUILTIN = "pay"
"""The plugin that has both."""

LOOK_S = 1.0
MOST_S = 120.0
"""A node whose plugins are not ready after this has other troubles."""
_SOON_S = 0.5
"""Who stops one plugin often starts another."""


class Names:
    """Looks after them, one look at a time."""

    def __init__(self, host: Host):
        self._host = host
        self._looking = asyncio.Lock()
        self._tried: set[str] = set()

    async def look(self, wait_s: float = 0.0) -> None:
        """See whether they exist, and mend what is missing; takes as long as the node takes to start."""
        await asyncio.sleep(wait_s)
        async with self._looking:
            try:
                running = await self._started_up()
                for name in NAMES if running else ():
                    if name not in self._tried and await self._is_missing(name):
                        self._tried.add(name)
                        await self._mend(name, running)
            except (CallError, Unanswered, LookupError, TypeError, AttributeError) as error:
                log.debug(LogEvent.NAMES_UNKNOWN, "error=%r", str(error))

    async def stopped(self, fields: dict[str, Any]) -> None:
        """A plugin has ended."""
        # One of ours was stopped by somebody who wants the name for another plugin.
        if not any(str(STAND_INS / f"{name}.py") == fields.get("plugin_path") for name in NAMES):
            await self.look(_SOON_S)

    async def _started_up(self) -> set[str]:
        """The names of all plugins, once all of them are ready; none if they never are."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + MOST_S
        while True:
            plugins = (await self._host.patient("plugin", {"subcommand": "list"}))["plugins"]
            if all(plugin["active"] for plugin in plugins):
                return {Path(plugin["name"]).name for plugin in plugins}
            if loop.time() > until_s:
                waiting = [Path(plugin["name"]).name for plugin in plugins if not plugin["active"]]
                log.unusual(LogEvent.NAMES_UNKNOWN, "waits_for=%s", ",".join(waiting))
                return set()
            await asyncio.sleep(LOOK_S)

    async def _is_missing(self, name: str) -> bool:
        try:
            await self._host.patient("help", {"command": name})
        except CallError as error:
            return error.code == METHOD_NOT_FOUND
        return False

    async def _mend(self, name: str, running: set[str]) -> None:
        if BUILTIN in running:
            # It has the name: with deprecated APIs switched off the host hides `paystatus`, and asks no hook.
            log.unusual(LogEvent.NAME_UNSERVED, "command=%s error=%r", name, "it is deprecated")
            return
        path = STAND_INS / f"{name}.py"
        try:
            await self._host.call("plugin", {"subcommand": "start", "plugin": str(path)})
        except (CallError, Unanswered) as error:
            log.unusual(LogEvent.NAME_UNSERVED, "command=%s error=%r", name, str(error))
        else:
            log.unusual(LogEvent.NAME_MENDED, "command=%s started=%s", name, path)
