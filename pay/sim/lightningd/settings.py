"""What one stand-in for lightningd is told at its start, and never changes while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters of `Lightningd` that others need as well."""

    directory: Path
    """The network's directory: the plugins' working directory, `lightning-dir` of their `init`."""
    version: str
    network: str
    developer: bool
    allow_deprecated: bool
    builtin_pay: bool
    feature_set: Mapping[str, str]
    environment: Mapping[str, str]
    """What the plugins' processes find in the environment beside what lightningd puts there."""

    @property
    def release(self) -> tuple[int, int]:
        """(year, month) of the version, e.g. (26, 6)."""
        year, month = self.version.lstrip("v").split(".")[:2]
        return int(year), int(month)

    @property
    def setconfig_source(self) -> str:
        """Where lightningd writes what is set for good, as `listconfigs` shows it."""
        return f"{self.directory}/config.setconfig:2"
