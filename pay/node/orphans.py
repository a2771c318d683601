"""Rows of the host that are pending for ever: no HTLC belongs to them any more.

A node that was killed between taking a `sendpay` and committing to its HTLC keeps such a row. It can never settle,
and the host refuses every other group of that hash until somebody repairs the row. What is older than the host's
start and has no HTLC once the host is up is such an orphan.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pay.node.facade import Node, Row, RowStatus


class Orphans:
    """Finds them.

    Parameters
    ----------
    host_started_s
        Unix time of the host's start; 0 where it is not known: then nothing is an orphan.
    """

    def __init__(self, node: Node, host_started_s: float):
        self._node = node
        self._host_started_s = host_started_s

    async def among(self, payment_hash: bytes, rows: Iterable[Row]) -> frozenset[int]:
        """Partids of the pending rows of one group that have no HTLC. Raises CallError."""
        # Rows are dated in whole seconds: of the second of the start itself nothing is certain, and a part of
        # which the HTLC is yet to come must not be taken for one that never had any.
        started_s = int(self._host_started_s)
        old = [row.partid for row in rows if row.status is RowStatus.PENDING and row.created_at < started_s]
        if not old or await self._has_htlc(payment_hash.hex()):
            return frozenset()
        return frozenset(old)

    async def _has_htlc(self, payment_hash: str) -> bool:
        """Whether any HTLC of this hash goes out of us; the host does not tell of which part it is."""
        channels = (await self._node.patient("listpeerchannels", {}))["channels"]
        if any(_is_ours(htlc, payment_hash) for channel in channels for htlc in channel.get("htlcs", ())):
            return True
        htlcs = (await self._node.patient("listhtlcs", {}))["htlcs"]
        return any(_is_ours(htlc, payment_hash) and not _is_over(htlc) for htlc in htlcs)


def host_started_s() -> float:
    """When our parent process, lightningd, was started: unix time, or 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
        up_s = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - up_s + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def _is_ours(htlc: dict[str, Any], payment_hash: str) -> bool:
    return bool(htlc.get("payment_hash") == payment_hash and htlc.get("direction") == "out")


def _is_over(htlc: dict[str, Any]) -> bool:
    """The last state of an HTLC that we offered: removed and revoked on both sides."""
    return bool(htlc.get("state") == "RCVD_REMOVE_ACK_REVOCATION")
