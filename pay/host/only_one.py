"""Whether another of us serves this host already: two would take each other's options, which ends a node's start.

A host may have us twice: `clnpay.py` and `plugin.py` of one checkout that lies in its directory of plugins, an old
checkout beside a new one, or one started by hand. Who comes first takes a name among the abstract sockets of
Linux, which the kernel gives to one process and takes back when that ends, however it ends. Nobody connects to it
but another of us, to see whose it is: a name that another user has taken says nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from dataclasses import dataclass

_PATIENCE_S = 0.5
"""One that is just ending has the name a moment longer."""
_LOOK_S = 0.02
_MOST_ASKED = 128
"""Nobody takes up those who ask, so they stay in the queue."""


@dataclass(frozen=True, slots=True)
class Other:
    """Who has the name: a process."""

    pid: int


class Claim:
    """Ours, from when it is taken until this process ends.

    Parameters
    ----------
    host_pid
        Of lightningd: of one that has died another of us may be left over.
    directory
        The host's; containers may have processes of equal numbers, and share their sockets.
    """

    def __init__(self, host_pid: int, directory: str):
        self._name = f"\0clnpay:{host_pid}:{_identity(directory)}"
        self._socket: socket.socket | None = None

    def take(self) -> Other | None:
        """Take the name, or say who has it."""
        until_s = time.monotonic() + _PATIENCE_S
        other: Other | None = None
        while True:
            mine = socket.socket(socket.AF_UNIX)
            try:
                mine.bind(self._name)
                mine.listen(_MOST_ASKED)
                self._socket = mine
                return None
            except OSError as error:
                mine.close()
                if error.errno != errno.EADDRINUSE:
                    return None  # no such names here
            other = other or self._holder()
            if time.monotonic() > until_s:
                return other
            time.sleep(_LOOK_S)

    def give_up(self) -> None:
        """Let another one have the name."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _holder(self) -> Other | None:
        with socket.socket(socket.AF_UNIX) as call:
            call.setblocking(False)
            try:
                call.connect(self._name)
                told = call.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            except BlockingIOError:
                return Other(0)  # so many have asked
            except OSError:
                return None
            pid, user, _ = struct.unpack("3i", told)
            # 0: of another container.
            return Other(pid) if pid != 0 and user == os.getuid() else None


def _identity(directory: str) -> str:
    try:
        found = os.stat(directory)
    except OSError:
        return directory[:50]
    return f"{found.st_dev}:{found.st_ino}"
