"""The host's table of HTLCs: what is in our channels now, and as many over ones as a test wants.

lightningd keeps every HTLC of a channel until the channel itself is forgotten; `listhtlcs` without a channel
writes them all. Those that are over are made up here when they are listed: N HTLCs of other people's payments in a
channel, long ago. They come before what is live, as they would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, islice
from typing import Any

from pay.sim.network.channel import SimChannel
from pay.units import NodeId, Scid, format_scid

_OVER_STATES = ("RCVD_REMOVE_ACK_REVOCATION", "SENT_REMOVE_ACK_REVOCATION")
"""Of an HTLC that went out, or came in, and is over."""


@dataclass(frozen=True, slots=True)
class OldHtlcs:
    """HTLCs of one channel that are over, every second one incoming."""

    scid: Scid
    count: int
    expiry: int

    def entries(self, after: int) -> Iterator[dict[str, Any]]:
        """As `listhtlcs` shows them; `after` is the last index before theirs."""
        scid = format_scid(self.scid)
        for number in range(self.count):
            incoming = number & 1
            yield {
                "created_index": after + number + 1,
                "updated_index": 2 * (after + number + 1),
                "short_channel_id": scid,
                "id": number >> 1,
                "expiry": self.expiry,
                "direction": "in" if incoming else "out",
                "amount_msat": 1_000_000 + number,
                "payment_hash": sha256(number.to_bytes(8, "big")).hexdigest(),
                "state": _OVER_STATES[incoming],
            }


class HtlcTable:
    """The table of one node."""

    def __init__(self) -> None:
        self.old: dict[Scid, OldHtlcs] = {}
        self._texts: dict[Scid, bytes] = {}

    def fill(self, channel: SimChannel, count: int, expiry: int = 1) -> None:
        """Have `count` HTLCs of this channel over: seconds for some hundred thousand, which are listed in no time.

        Raises
        ------
        ValueError
            If the channel has some already.
        """
        if channel.scid in self.old:
            raise ValueError(f"{channel!r} has HTLCs that are over already")
        rows = OldHtlcs(channel.scid, count, expiry)
        self._texts[channel.scid] = _encoded(rows.entries(sum(other.count for other in self.old.values())))
        self.old[channel.scid] = rows

    def listing(
        self, us: NodeId, channels: list[SimChannel], by_update: bool, start: int, limit: int | None
    ) -> bytes:
        """The answer of `listhtlcs` as JSON. See `entries`; half a million rows are not made into objects."""
        if start or limit is not None:
            text = _encoded(self.entries(us, channels, by_update, start, limit))
        else:
            chosen = {channel.scid for channel in channels}
            old = [self._texts[scid] for scid, rows in self.old.items() if scid in chosen and rows.count]
            live = _encoded(self._live(us, channels, by_update))
            text = b",".join([*old, live] if live else old)
        return b'{"htlcs":[' + text + b"]}"

    def entries(
        self, us: NodeId, channels: list[SimChannel], by_update: bool, start: int, limit: int | None
    ) -> Iterator[dict[str, Any]]:
        """The rows of these channels, in the order of one of their two indices."""
        chosen = {channel.scid for channel in channels}
        before = 0
        old: list[Iterator[dict[str, Any]]] = []
        for scid, rows in self.old.items():
            if scid in chosen:
                old.append(rows.entries(before))
            before += rows.count
        name = "updated_index" if by_update else "created_index"
        everything = chain(*old, self._live(us, channels, by_update))
        wanted = (entry for entry in everything if entry[name] >= start)
        return wanted if limit is None else islice(wanted, limit)

    def _live(self, us: NodeId, channels: list[SimChannel], by_update: bool) -> Iterator[dict[str, Any]]:
        before = sum(rows.count for rows in self.old.values())
        live = (entry for channel in channels for entry in _live(channel, us, before))
        name = "updated_index" if by_update else "created_index"
        return iter(sorted(live, key=lambda entry: int(entry[name])))


def _encoded(entries: Iterator[dict[str, Any]]) -> bytes:
    return b",".join(json.dumps(entry, separators=(",", ":")).encode() for entry in entries)


def htlc_state(ours: bool) -> str:
    """Of an HTLC that is committed on both sides and has no outcome yet."""
    return "SENT_ADD_ACK_REVOCATION" if ours else "RCVD_ADD_ACK_REVOCATION"


def _live(channel: SimChannel, us: NodeId, before: int) -> Iterator[dict[str, Any]]:
    side = channel.side(us)
    for number, ((htlc_id, _), htlc) in enumerate(channel.htlcs.items()):
        yield {
            "created_index": before + htlc_id,
            "updated_index": 2 * before + htlc_id,
            "short_channel_id": format_scid(channel.scid),
            "id": number,
            "expiry": htlc.cltv_expiry,
            "direction": "out" if htlc.direction == side else "in",
            "amount_msat": htlc.amount_msat,
            "payment_hash": htlc.payment_hash.hex(),
            "state": htlc_state(htlc.direction == side),
        }
