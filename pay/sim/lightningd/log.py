"""The node's log, and the notification that lightningd makes of its alarming lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the node's log. Levels: trace, debug, info, unusual, broken, and stderr of plugins."""

    level: str
    source: str
    text: str

    def warning(self, now_s: float) -> dict[str, Any]:
        """The notification `warning` about it."""
        at = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
        return {
            "level": "error" if self.level == "broken" else "warn",
            "time": f"{now_s:.9f}",
            "timestamp": at.replace("+00:00", "Z"),
            "source": self.source,
            "log": self.text,
        }

    def __str__(self) -> str:
        return f"{self.level.upper():7} {self.source}: {self.text}"


class Log:
    """The log of one node: its last lines, and all of them in a file while the node runs.

    Parameters
    ----------
    on_alarm
        Called with every line that lightningd makes a notification of.
    """

    def __init__(self, on_alarm: Callable[[LogLine], None]):
        self.lines: deque[LogLine] = deque(maxlen=100_000)
        self._on_alarm = on_alarm
        self._file: TextIO | None = None

    def open(self, path: Path) -> None:
        """Go on in this file."""
        self._file = path.open("a", buffering=1)

    def close(self) -> None:
        """The node is over; what is still said goes into `lines` only."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, level: str, source: str, text: str) -> None:
        line = LogLine(level, source, text)
        self.lines.append(line)
        if self._file is not None:
            self._file.write(f"{line}\n")
        if level in ("unusual", "broken"):
            self._on_alarm(line)
