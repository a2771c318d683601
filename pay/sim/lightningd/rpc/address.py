"""The path of a Unix socket, however long."""

from __future__ import annotations

import os
from pathlib import Path


class short_path:
    """A name of a socket's path that fits into the 108 bytes of an address (Linux: through its directory)."""

    def __init__(self, path: Path):
        self._path = path
        self._directory = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) < 100:
            return str(self._path)
        self._directory = os.open(self._path.parent, os.O_RDONLY)
        return f"/proc/self/fd/{self._directory}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._directory >= 0:
            os.close(self._directory)
