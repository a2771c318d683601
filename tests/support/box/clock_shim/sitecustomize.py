"""Imported by a plugin's interpreter where a test steps its clock: `time.time` is ahead or behind.

The file named by STEPPED_CLOCK holds two doubles: seconds to add to the wall clock, and when the host was
started, in seconds since boot (0: as the system tells). `time.monotonic` and the timers of asyncio are left
alone, as real ones are when somebody sets the clock. Not covered: `datetime.now`, which reads the clock in C.
"""

import builtins
import io
import mmap
import os
import struct
import time

_FILE = os.environ.get("STEPPED_CLOCK")


def _wall_clock(shared):
    real, real_ns = time.time, time.time_ns

    def offset_s():
        return struct.unpack_from("d", shared, 0)[0]

    time.time = lambda: real() + offset_s()
    time.time_ns = lambda: real_ns() + int(offset_s() * 1e9)


def _host_start(shared):
    """The parent's line in /proc says when the simulated host was started, not the process that has it inside."""
    real, wanted = io.open, f"/proc/{os.getppid()}/stat"

    def opened(file, *args, **kwargs):
        started_s = struct.unpack_from("d", shared, 8)[0]
        if not started_s or isinstance(file, int) or os.fspath(file) not in (wanted, wanted.encode()):
            return real(file, *args, **kwargs)
        with real(wanted) as stat:
            head, bracket, rest = stat.read().rpartition(")")
        fields = rest.split(" ")
        # The first one is empty: field 22 of proc(5), counted in ticks since boot.
        fields[20] = str(int(started_s * os.sysconf("SC_CLK_TCK")))
        text = head + bracket + " ".join(fields)
        binary = "b" in (args[0] if args else kwargs.get("mode", "r"))
        return io.BytesIO(text.encode()) if binary else io.StringIO(text)

    io.open = builtins.open = opened


if _FILE:
    with open(_FILE, "rb") as _file:
        _SHARED = mmap.mmap(_file.fileno(), 0, access=mmap.ACCESS_READ)
    _wall_clock(_SHARED)
    _host_start(_SHARED)
