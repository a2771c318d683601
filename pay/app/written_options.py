"""Options of ours that lightningd has written down for its next start, although it may come up without us then.

`setconfig` writes to `config.setconfig` unless it is told `transient`. A plugin that was started on a running node
is in no configuration: lightningd's next start finds an option that nobody owns, and ends there. The plugin does
not hear which of the two a `setconfig` was, so what lightningd shows afterwards is looked at.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from typing import Any

from pay.host.calls import CallError, Host
from pay.log_events import EventLog, LogEvent

log = EventLog("pay")

SOON_S = 0.5
"""lightningd writes what was set after our answer to it."""


class WrittenOptions:
    """Warns of them, of each once.

    Parameters
    ----------
    names
        Our options.
    directory
        The host's, of its network.
    """

    def __init__(self, host: Host, names: Collection[str], directory: str):
        self._host = host
        self._names = names
        self._directory = directory
        self._said: set[tuple[str, str]] = set()

    async def look(self, wait_s: float = 0.0) -> None:
        """See what lightningd has written down."""
        await asyncio.sleep(wait_s)
        try:
            configs = (await self._host.patient("listconfigs", {}))["configs"]
            for name, place, plugin in written(configs, self._names, self._directory):
                if (name, place) not in self._said:
                    self._said.add((name, place))
                    log.unusual(
                        LogEvent.OPTION_OUTLASTS_PLUGIN,
                        "name=%s written=%s: lightningd does not start with an option that nobody owns; "
                        "remove that line, or add disable-plugin=pay and plugin=%s to its configuration",
                        name, place, plugin,
                    )  # fmt: skip
        except (CallError, LookupError, TypeError, AttributeError) as error:
            log.debug(LogEvent.OPTIONS_UNKNOWN, "error=%r", error)


def written(configs: Mapping[str, Any], names: Collection[str], directory: str) -> list[tuple[str, str, str]]:
    """Name, file:line and our path, of options that the next start finds and that nobody may own then.

    Parameters
    ----------
    configs
        All of `listconfigs`.
    """
    found = []
    for name in names:
        entry = configs.get(name, {})
        place, plugin = str(entry.get("source", "")), str(entry.get("plugin", ""))
        file, colon, line = place.rpartition(":")
        if colon and line.isdigit() and "/" in file and not _comes_back(configs, plugin, directory):
            found.append((name, place, plugin))
    return found


def _comes_back(configs: Mapping[str, Any], plugin: str, directory: str) -> bool:
    """Whether the configuration starts the plugin too, by its path, by its name or with its directory."""
    for option in ("plugin", "important-plugin"):
        for given in configs.get(option, {}).get("values_str", ()):
            same = os.path.realpath(given) == os.path.realpath(plugin)
            if same or ("/" not in given and given == os.path.basename(plugin)):
                return True
    # A directory of plugins, and those in the one that lightningd always looks at.
    default = os.path.join(os.path.dirname(directory.rstrip("/")), "plugins")
    folders = [os.path.realpath(given) for given in configs.get("plugin-dir", {}).get("values_str", ())]
    here = os.path.realpath(os.path.dirname(plugin))
    return here in folders or os.path.realpath(default) in (here, os.path.dirname(here))
