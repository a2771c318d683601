"""Clocks that a test sets: the plugin's wall clock, the host's, and when the host was started.

Somebody's NTP daemon, a machine without a battery, a virtual machine that was asleep: the wall clock jumps, ahead
or back, while timers go on as before. Plugin and host run on one machine and see the same clock; to have them
differ is for tests of one alone.

    clock = SteppedClock(tmp_path)
    with hosting(tmp_path, environment=clock.environment) as host:
        clock.step(host.box, -3600.0)
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

from pay.sim.lightningd.harness import Box
from pay.sim.network.clock import RealClock

SHIM = Path(__file__).parent / "clock_shim"


class SteppedClock:
    """The clock of one machine; the plugins that are started with its `environment` look at it."""

    def __init__(self, directory: Path, offset_s: float = 0.0):
        file = directory / "stepped-clock"
        file.write_bytes(bytes(16))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 0)
        self.environment = {"PYTHONPATH": str(SHIM), "STEPPED_CLOCK": str(file)}
        self.offset_s = 0.0
        """How far ahead of the true time the plugin's clock is."""
        self._set(offset_s)

    def now_s(self) -> float:
        """What the plugin sees."""
        return time.time() + self.offset_s

    def step(self, box: Box, seconds: float) -> None:
        """Set the machine's clock ahead, or back: host and plugin see it at once."""
        self.step_host(box, seconds)
        self.step_plugin(seconds)

    def step_plugin(self, seconds: float) -> None:
        """The plugin's clock alone."""
        self._set(self.offset_s + seconds)

    @staticmethod
    def step_host(box: Box, seconds: float) -> None:
        """The host's clock alone: `created_at` of rows and invoices, expiry of invoices."""
        clock = box.world.clock
        assert isinstance(clock, RealClock)
        box.on_world(lambda _: clock.step(seconds))

    def host_starts(self, ago_s: float = 0.0) -> None:
        """The host's process began so long ago: what the plugin reads in /proc, counted from the system's boot.

        Without a call it is the start of the process that has the box inside.
        """
        up_s = float(Path("/proc/uptime").read_text().split()[0])
        struct.pack_into("d", self._shared, 8, up_s - ago_s)

    def _set(self, offset_s: float) -> None:
        self.offset_s = offset_s
        struct.pack_into("d", self._shared, 0, offset_s)
