"""Rows of the host that are pending for ever: no HTLC belongs to them any more.

A node that was killed between taking a `sendpay` and committing to its HTLC keeps such a row. It can never settle,
and the host refuses every other group of that hash until somebody repairs the row. What is older than the host's
start, has no HTLC once the host is up, and is still pending after that was seen, is such a row. Only what was
pending already at our own start can be one: dates may come from a clock that has been set right since.

The host does not tell of which part an HTLC is, but what it amounts to. Not seen, until the other one has ended:
a dead row beside a part of the same payment that is out with exactly the same amount.

HTLCs are those of `listpeerchannels`: they come from what lightningd has in memory of every channel in whatever
state, closing and on chain too, until the last of its outputs is resolved (lightningd/peer_control.c,
json_add_htlcs; load_channels_from_wallet brings all that are not over back at a start; so in v24.11 and v26.06).
`listhtlcs` would add to them only what is over, which grows with all that the node has ever forwarded.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pay.host.calls import CallError, Host, SendpayRow, SendpayStatus
from pay.host.shared_call import Together
from pay.log_events import EventLog, LogEvent

log = EventLog("pay")

DOUBT_S = 30.0
"""So long the HTLC of a part from the very second of the host's start may be yet to come."""


class DeadRows:
    """Finds them.

    Parameters
    ----------
    host_started_s
        Unix time of the host's start; 0 where it is not known: then no row is dead.
    together
        We were started with the host: then what was pending at our start is older than the host's, whatever its
        date, once a new part would have its HTLC.
    doubt_s
        How long a part from the second of that start is not dead yet, whatever is seen of it.
    """

    def __init__(self, host: Host, host_started_s: float, together: bool = False, doubt_s: float = DOUBT_S):
        self._host = host
        self._host_started_s = host_started_s
        self._doubt_s = doubt_s
        self._out = Together(self._all_out)
        self._certain_at_s = time.monotonic() + doubt_s if together else math.inf
        self._found: frozenset[tuple[str, int, int]] = frozenset()
        self._trouble = ""

    def found_at_start(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """The rows of `listsendpays` that were pending before this run sent anything."""
        self._found = frozenset(
            (str(row["payment_hash"]), int(row.get("groupid", 0)), int(row.get("partid", 0))) for row in rows
        )

    async def among(self, payment_hash: bytes, rows: Iterable[SendpayRow]) -> frozenset[int]:
        """Partids of the pending rows of one group that have no HTLC; none where that cannot be found out."""
        name = payment_hash.hex()
        old = {
            row.partid: row.groupid
            for row in rows
            if (name, row.groupid, row.partid) in self._found and self._is_old(row)
        }
        out = await self.amounts_out(payment_hash) if old else None
        if out is None:
            return frozenset()
        # An HTLC that ended between the look at the rows and that at the channels has left its outcome in the
        # table by now: only what is pending still never had one.
        now = await self._host.rows(payment_hash)
        return frozenset(
            row.partid
            for row in now
            if self._is_old(row) and old.get(row.partid) == row.groupid and not out[row.sent_msat]
        )

    async def amounts_out(self, payment_hash: bytes) -> Counter[int] | None:
        """How many HTLCs of this hash and each amount in msat go out of us; None where the host does not tell."""
        name = payment_hash.hex()
        try:
            out = (await self._out.answer()).get(name, Counter())
        except (CallError, AttributeError, LookupError, TypeError, ValueError) as error:
            if repr(error) != self._trouble:
                self._trouble = repr(error)
                log.unusual(LogEvent.ORPHANS_UNKNOWN, "payment_hash=%s error=%r", name, error)
            return None
        self._trouble = ""
        return out

    async def _all_out(self) -> dict[str, Counter[int]]:
        """By payment_hash, how many HTLCs of each amount in msat go out of us."""
        out: dict[str, Counter[int]] = {}
        for channel in (await self._host.patient("listpeerchannels", {}))["channels"]:
            for htlc in channel.get("htlcs", ()):
                if htlc["direction"] == "out":
                    out.setdefault(str(htlc["payment_hash"]), Counter())[int(htlc["amount_msat"])] += 1
        return out

    def _is_old(self, row: SendpayRow) -> bool:
        """It is pending and was made before the host's start; only asked of what was found at our own.

        Rows are dated in whole seconds: of the second of the start itself nothing is certain at first, and a part
        of which the HTLC is yet to come must not be taken for one that never had any.
        """
        if row.status is not SendpayStatus.PENDING:
            return False
        if time.monotonic() >= self._certain_at_s:
            return True
        if row.created_at > self._host_started_s:
            return False
        in_that_second = row.created_at == int(self._host_started_s)
        return not in_that_second or time.time() > row.created_at + 1 + self._doubt_s


def host_started_s(latest_s: float) -> float:
    """When our parent process, lightningd, was started: unix time, or 0 where the system does not tell.

    Not after `latest_s`, when we were ourselves: in some containers the system's own time of start is another one
    than processes are dated by, and a host that seems to start later makes dead rows of parts just sent.
    """
    try:
        fields = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
        up_s = float(Path("/proc/uptime").read_text().split()[0])
        return min(latest_s, time.time() - up_s + int(fields[19]) / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return 0.0
