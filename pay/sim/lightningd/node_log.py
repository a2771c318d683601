"""Lines of the node's log, and the notification that lightningd makes of the alarming ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


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
