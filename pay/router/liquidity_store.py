"""Beliefs in the host's own datastore, so in the database that the operator backs up anyway.

They are cut into pieces of some hundred entries under `pay/liquidity/<n>-<i>`, n of them: a channel or node
belongs to a piece by a hash of its name (scores lie in the first), so what was learnt changes few pieces, and only
those are written, one after the other and no sooner than half a minute after the last time. Where n changes, the
pieces of the old n are removed once the new ones are there; in between, and after a crash, reading both does no
harm, as merging is a union.

A datastore that is full, slow or failing costs what would have been kept, nothing else. The host takes no commands
while it shuts down, so there is no last time: what was learnt since is learnt again. Where it does not tell at the
start what it has, it is asked again, and nothing is written before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import time
from typing import TYPE_CHECKING, Any
from zlib import crc32

from pay.host.calls import CallError, Host, Unanswered
from pay.log_events import EventLog, LogEvent
from pay.router.planning import Planning

if TYPE_CHECKING:
    from pay.liquidity.beliefs import Believed

log = EventLog("pay.liquidity")

KEY = ("pay", "liquidity")

WRITE_EVERY_S = 30.0
"""Seconds between two times at least: one transaction of the host a piece, whatever is paid."""

PIECE_ENTRIES = 300
"""About 50 kB: nothing that a database minds, and not many commands for all that is ever known."""

_PIECE = re.compile(r"\d{1,5}-\d{1,5}")
"""Names of pieces; what else lies there is not ours, and stays."""

_CALL_S = 10.0
"""Seconds after which a datastore is too slow to be used now."""


class LiquidityStore:
    """Reads until it has read once, then writes what has changed.

    Parameters
    ----------
    every_s
        Seconds between two times of writing.

    Attributes
    ----------
    restored
        What an earlier run kept has been read, or not at the first try.
    """

    def __init__(self, host: Host, planning: Planning, every_s: float = WRITE_EVERY_S):
        self._host = host
        self._planning = planning
        self._every_s = every_s
        self._written: dict[str, int] = {}
        self._changes = 0
        self._failing = False
        self._unread_said = False
        self._replaced = False
        self._soon = asyncio.Event()
        self.restored = asyncio.Event()

    async def run(self) -> None:
        """For as long as the plugin runs."""
        read = False
        while True:
            try:
                # Nothing is written over what could not be looked at yet.
                read = read or await self.read()
            except Exception:
                log.broken(LogEvent.LIQUIDITY_UNREAD)
                read = True
            self.restored.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), self._every_s)
            self._soon.clear()
            try:
                if read:
                    await self.write()
            except Exception:
                self._say_failing("internal error", trace=True)

    def changed(self, replaced: bool) -> None:
        """Somebody has given or taken beliefs: they are written now, as he may stop the node next.

        Where they `replaced` all others, what an earlier run kept is not taken in any more.
        """
        self._replaced = self._replaced or replaced
        self._soon.set()

    async def read(self) -> bool:
        """Take in what an earlier run kept, if the host tells; what of it cannot be read is ignored, with one line
        for all of it."""
        try:
            reading = self._host.call("listdatastore", {"key": list(KEY)})
            stored = (await asyncio.wait_for(reading, _CALL_S))["datastore"]
            found = {str(entry["key"][-1]): entry.get("string") for entry in stored}
        except (CallError, Unanswered, TimeoutError, LookupError, TypeError) as error:
            if not self._unread_said:
                self._unread_said = True
                log.unusual(
                    LogEvent.LIQUIDITY_UNREAD, "error=%r: payments begin without what was known", str(error)
                )
            return False
        ours = {name: str(text) for name, text in found.items() if _PIECE.fullmatch(name)}
        self._written = {name: crc32(text.encode()) for name, text in ours.items()}
        if self._replaced:
            return True
        now_s = time.time()
        pieces, bad = await asyncio.to_thread(_read_pieces, found)
        if bad:
            log.unusual(LogEvent.LIQUIDITY_UNREADABLE, "pieces=%d first=%r: ignored", len(bad), bad[0])
        if pieces:
            known = await self._planning.with_memory(lambda beliefs, _: _merge(beliefs, pieces, now_s))
            log.info(LogEvent.LIQUIDITY_RESTORED, "channels=%d", known)
        return True

    async def write(self) -> None:
        """Bring the datastore up to date, if anything was learnt since the last time."""
        now_s = time.time()

        def snapshot(beliefs: Any, _graph: Any) -> tuple[int, Believed]:
            beliefs.tidy(now_s)
            return beliefs.changes, beliefs.believed()

        changes, believed = await self._planning.with_memory(snapshot)
        if changes == self._changes:
            return
        pieces = await asyncio.to_thread(cut, believed)
        for name, text in pieces.items():
            if self._written.get(name) != crc32(text.encode()):
                params = {"key": [*KEY, name], "string": text, "mode": "create-or-replace"}
                if not await self._done("datastore", params):
                    return
                self._written[name] = crc32(text.encode())
        for name in [name for name in self._written if name not in pieces]:
            if not await self._done("deldatastore", {"key": [*KEY, name]}):
                return
            del self._written[name]
        self._changes = changes
        if self._failing:
            self._failing = False
            log.info(LogEvent.LIQUIDITY_KEPT_AGAIN, "pieces=%d", len(pieces))

    async def _done(self, method: str, params: dict[str, Any]) -> bool:
        """Whether the host did it; if not, the rest is left for the next time."""
        try:
            await asyncio.wait_for(self._host.call(method, params), _CALL_S)
        except CallError as error:
            if method == "deldatastore":
                return True  # somebody else removed it
            self._say_failing(str(error))
            return False
        except (Unanswered, TimeoutError) as error:
            self._say_failing(str(error) or "no answer in time")
            return False
        return True

    def _say_failing(self, error: str, trace: bool = False) -> None:
        """Once, until it works again."""
        if not self._failing:
            self._failing = True
            log.unusual(
                LogEvent.LIQUIDITY_UNWRITTEN, "error=%r: it is tried again, payments go on", error, trace=trace
            )


def cut(believed: Believed) -> dict[str, str]:
    """The pieces by name, as JSON text; none where nothing is known."""
    from pay.liquidity.portable import VERSION, channel_entries, node_entries, score_entries

    entries = [("channels", entry["short_channel_id"], entry) for entry in channel_entries(believed)]
    entries += [("nodes", entry["id"], entry) for entry in node_entries(believed)]
    scores = score_entries(believed)
    if not entries and not scores:
        return {}
    count = 1
    while count * PIECE_ENTRIES < len(entries):
        count *= 2
    pieces: list[dict[str, Any]] = [{"version": VERSION, "channels": [], "nodes": []} for _ in range(count)]
    for kind, name, entry in entries:
        pieces[crc32(name.encode()) % count][kind].append(entry)
    if scores:
        pieces[0]["scores"] = scores
    return {f"{count}-{at}": json.dumps(piece, separators=(",", ":")) for at, piece in enumerate(pieces)}


def _read_pieces(found: dict[str, Any]) -> tuple[list[Believed], list[str]]:
    """What can be read, and for the rest the name and why not."""
    from pay.liquidity.portable import from_json

    pieces, bad = [], []
    for name, text in found.items():
        try:
            # They are our own: if they are of the future, it is this start that has its clock still to be set.
            pieces.append(from_json(json.loads(text), math.inf))
        except Exception as error:
            # Whatever somebody else left there, or a later version.
            bad.append(f"{name}: {error!r:.200}")
    return pieces, bad


def _merge(beliefs: Any, pieces: list[Believed], now_s: float) -> int:
    for piece in pieces:
        beliefs.merge(piece, now_s)
    return len(beliefs)
