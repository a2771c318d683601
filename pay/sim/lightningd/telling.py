"""How the parts of the stand-in tell others of something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

WriteLog: TypeAlias = Callable[[str, str, str], None]
"""Called with level, source and text of a line of the log."""

Notify: TypeAlias = Callable[[str, dict[str, Any]], None]
"""Called with topic and payload of a notification for the plugins."""
